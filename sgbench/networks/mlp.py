"""Dense layers in a chain."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn

from sgbench.engine.choose import Engine
from sgbench.errors import require_choice
from sgbench.inits.base import Init
from sgbench.networks.base import (
    RECURRENCE_GRADIENTS,
    RECURRENCES,
    Chain,
    DenseLayer,
    MakeNeuron,
    hidden_sizes,
)


class Mlp(Chain):
    r"""Wires a chain of dense layers of any depth, each optionally recurrent, and a readout.

    .. math:: I^l[t] = W^l s^{l-1}[t] + V^l s^l[t-1] + b^l

    Layers are run one after another, each over all time steps: one product for all steps.

    Args:
        n_inputs: input channels.
        n_outputs: classes.
        make_neuron: a new layer of spiking neurons of a given size.
        make_readout: a new readout of a given size.
        init: how weights are drawn.
        generator: of the initialisation's stream.
        engine: how a layer is unrolled.
        hidden: neurons per hidden layer.
        recurrence: of hidden layers, "none", "one_to_one" or "all_to_all" (self-connections included).
        recurrence_gradient: "full" or "cut".
        bias: whether layers have biases.

    Raises:
        InputError: an empty chain, or a value out of range.
    """

    def __init__(  # noqa: PLR0913 - seven are given by the builder
        self,
        n_inputs: int,
        n_outputs: int,
        make_neuron: MakeNeuron,
        make_readout: MakeNeuron,
        init: Init,
        generator: torch.Generator,
        engine: Engine,
        *,
        hidden: Sequence[int],
        recurrence: str,
        recurrence_gradient: str,
        bias: bool,
    ) -> None:
        super().__init__()
        require_choice("network.recurrence", recurrence, RECURRENCES)
        require_choice("network.recurrence_gradient", recurrence_gradient, RECURRENCE_GRADIENTS)
        sizes = [n_inputs, *hidden_sizes(hidden, bias)]
        layers = [
            DenseLayer(
                f"hidden{position}",
                n_in,
                n_out,
                make_neuron(n_out),
                recurrence=recurrence,
                recurrence_gradient=recurrence_gradient,
                bias=bias,
            )
            for position, (n_in, n_out) in enumerate(itertools.pairwise(sizes))
        ]
        layers.append(DenseLayer("readout", sizes[-1], n_outputs, make_readout(n_outputs), bias=bias))
        for layer in layers:
            layer.reset_weights(init, generator)
        self.layers = nn.ModuleList(layers)
        self.engine = engine
