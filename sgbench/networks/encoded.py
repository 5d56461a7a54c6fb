"""A spiking layer that learns how to code analogue input, before dense layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from sgbench.engine.choose import Engine
from sgbench.errors import InputError, require_choice, require_count
from sgbench.inits.base import Init
from sgbench.networks.base import (
    RECURRENCE_GRADIENTS,
    RECURRENCES,
    Chain,
    DenseLayer,
    MakeNeuron,
    require_bias,
)
from sgbench.networks.population import PopulationLayer

WIRINGS = ("one_to_one", "all_to_all")


class Encoded(Chain):
    r"""Wires a learnt encoder, dense layers behind it, and a readout.

    The encoder's neurons turn currents into spikes by weights and biases that are trained with everything else, in
    place of a code that is fixed: for each input a population of its own (`one_to_one`), or as many neurons that
    hear all inputs (`all_to_all`). Its synapses multiply, as its input is analogue: use it with `encoder=direct`,
    or with traces. Layers behind it receive spikes.

    Args:
        n_inputs: input channels.
        n_outputs: classes.
        make_neuron: a new layer of spiking neurons of a given size.
        make_readout: a new readout of a given size.
        init: how weights are drawn.
        generator: of the initialisation's stream.
        engine: how a layer is unrolled.
        population: neurons of the encoder for each input.
        wiring: "one_to_one" or "all_to_all".
        widths: neurons of each layer behind the encoder; the list may be empty.
        recurrence: of the layers behind the encoder, "none", "one_to_one" or "all_to_all".
        recurrence_gradient: "full" or "cut".
        bias: whether layers have biases, the encoder among them.

    Raises:
        InputError: a value out of range.

    Source: Wu, Deng, Li, Zhu, Xie & Shi 2019, AAAI 33 (a trained layer of spiking neurons as encoder); Tang, Kumar,
    Yoo & Michmizos 2021, CoRL, arXiv:2010.09635 (trained populations, one for each input).
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
        population: int,
        wiring: str,
        widths: Sequence[int],
        recurrence: str,
        recurrence_gradient: str,
        bias: bool,
    ) -> None:
        super().__init__()
        require_count("network.population", population)
        require_choice("network.wiring", wiring, WIRINGS)
        require_choice("network.recurrence", recurrence, RECURRENCES)
        require_choice("network.recurrence_gradient", recurrence_gradient, RECURRENCE_GRADIENTS)
        require_bias(bias)
        size = n_inputs * population
        neuron = make_neuron(size)
        layers: list[PopulationLayer | DenseLayer] = [
            PopulationLayer("encoder", n_inputs, population, neuron, bias=bias)
            if wiring == "one_to_one"
            else DenseLayer("encoder", n_inputs, size, neuron, bias=bias)
        ]
        back = {"recurrence": recurrence, "recurrence_gradient": recurrence_gradient}
        for position, width in enumerate(_sizes(widths)):
            new_layer = DenseLayer(f"hidden{position}", size, width, make_neuron(width), bias=bias, **back)
            layers.append(new_layer)
            size = width
        layers.append(DenseLayer("readout", size, n_outputs, make_readout(n_outputs), bias=bias))
        for layer in layers:
            layer.reset_weights(init, generator)
        self.layers = nn.ModuleList(layers)
        self.engine = engine


def _sizes(widths: object) -> list[int]:
    """Check and return the number of neurons of each layer behind the encoder."""
    if isinstance(widths, str) or not isinstance(widths, Sequence):
        raise InputError(f"network.widths={widths!r}: a list of layer sizes such as [64] or [] is needed")
    return [require_count("network.widths", size) for size in widths]
