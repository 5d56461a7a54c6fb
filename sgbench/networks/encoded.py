"""A learnt spiking encoder of analogue input, before dense layers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sgbench.errors import InputError, require_choice, require_count, require_counts, require_flag
from sgbench.inits.base import Init
from sgbench.networks.base import Chain, DenseLayer, Provided, readout_layer, require_recurrence
from sgbench.networks.layers import Layer
from sgbench.neurons.base import Neuron


class PopulationLayer(Layer):
    r"""Holds a layer in which each input n drives K neurons of its own, with one weight and bias per neuron.

    .. math:: I_{nK+k}[t] = w_{nK+k} \, x_n[t] + b_{nK+k}

    for the currents I, inputs x, weights w and biases b.

    `n_in`: number of inputs. `population`: number K of neurons per input. `bias`: whether there are biases.

    >>> from sgbench.neurons.leaky_readout import LeakyReadout
    >>> layer = PopulationLayer("encoder", 2, 3, LeakyReadout(6, beta=0.5, learn_beta="none"), bias=False)
    >>> _ = layer.weight.data.copy_(torch.arange(6.0))
    >>> layer.current(torch.tensor([[1.0, 10.0]], dtype=torch.float64)).tolist()
    [[0.0, 1.0, 2.0, 30.0, 40.0, 50.0]]
    """

    def __init__(self, name: str, n_in: int, population: int, neuron: Neuron, *, bias: bool) -> None:
        super().__init__(name, n_in * population, neuron, recurrence="none", recurrence_gradient="full")
        if neuron.splits_inputs:
            raise InputError(f"neuron.inputs=split: layer '{name}' has one input a neuron; use neuron.inputs=all")
        self.population = population
        rows = neuron.currents * self.neurons
        self.weight = nn.Parameter(torch.empty(rows, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(rows, dtype=torch.float64)) if bias else None
        self.recurrent: nn.Parameter | None = None

    def reset_weights(self, init: Init, generator: torch.Generator) -> None:
        init.fill(self.weight, 1, generator, recurrent=False, layer=self)

    def weighted(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute the currents [..., currents N] from inputs x [..., inputs] by these weights, plus the bias."""
        repeated = x.repeat_interleave(self.population, -1)
        current = repeated.repeat(*[1] * (x.dim() - 1), self.neuron.currents) * weight
        return current if bias is None else current + bias


WIRINGS = ("one_to_one", "all_to_all")


class Encoded(Chain):
    r"""Wires a learnt encoder, dense layers after it, and a readout.

    The encoder's neurons convert analogue input to spikes by learnt weights and biases, in place of a fixed code.
    Each input has its own population of neurons (`one_to_one`), or as many neurons receive all inputs
    (`all_to_all`). Analogue input costs a multiplication per synapse: use it with `encoder=direct`, or with traces.
    Later layers receive spikes.

    Args:
        provided: parts of the run to build from.
        population: number of the encoder's neurons per input.
        wiring: "one_to_one" or "all_to_all".
        widths: number of neurons of each hidden layer after the encoder; may be empty.
        recurrence: recurrence of these layers, "none", "one_to_one" or "all_to_all".
        recurrence_gradient: "full" or "cut" (no gradient through recurrent spikes).
        bias: whether layers, with the encoder, have biases.

    Raises:
        InputError: a value out of range.

    Source: Wu, Deng, Li, Zhu, Xie & Shi 2019, AAAI 33 (a trained layer of spiking neurons as encoder); Tang, Kumar,
    Yoo & Michmizos 2021, CoRL, arXiv:2010.09635 (trained populations, one for each input).
    """

    def __init__(
        self,
        provided: Provided,
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
        require_recurrence(recurrence, recurrence_gradient)
        require_flag("network.bias", bias)
        n_inputs = provided.n_inputs
        size = n_inputs * population
        neuron = provided.make_neuron(size)
        layers: list[PopulationLayer | DenseLayer] = [
            PopulationLayer("encoder", n_inputs, population, neuron, bias=bias)
            if wiring == "one_to_one"
            else DenseLayer("encoder", n_inputs, size, neuron, bias=bias)
        ]
        recurrent = {"recurrence": recurrence, "recurrence_gradient": recurrence_gradient}
        sizes = require_counts("network.widths", widths, "a list of layer sizes such as [64] or []", may_be_empty=True)
        for position, width in enumerate(sizes):
            new_layer = DenseLayer(
                f"hidden{position}", size, width, provided.make_neuron(width), bias=bias, **recurrent
            )
            layers.append(new_layer)
            size = width
        layers.append(readout_layer(size, provided, bias=bias))
        self.set_up(layers, provided)
