"""Layers in which each input drives its own population of neurons."""

import torch
from torch import Tensor, nn

from sgbench.errors import InputError
from sgbench.inits.base import Init
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
