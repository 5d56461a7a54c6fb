"""A baseline of rectified units (multilayer perceptron)."""

import functools
from collections.abc import Sequence

from torch import Tensor, nn

from fastspiking.signals.spikes import Signal, dense
from sgbench.networks.base import Provided
from sgbench.networks.baseline import Baseline, InputView, Size, build_layers, build_undrawn, dense_parameters


class Perceptron(Baseline):
    r"""Wires rectified units in as many layers and with about as many parameters as a spiking network.

    .. math:: h^l = \max(0, W^l h^{l-1} + b^l), \quad h^0 = v, \quad y = W h^L + b

    for the features v of `InputView`, weights W, biases b, values h of hidden layer l, and the readout's output y.

    Args:
        provided: parts of the run to build from.
        sees: "counts", "all" or "last_K"; see `InputView`.
        steps: number of steps of the protocol.
        parameters: wanted number of parameters, or None to match the spiking network that `match_*` describe.
        match_hidden: neurons per hidden layer of that network.
        match_recurrence: its recurrence, "none", "one_to_one" or "all_to_all".
        match_bias: whether its layers have biases.

    Raises:
        InputError: a value out of range, or far too many parameters even with one unit per layer.

    Source: Iyer, Chua & Li 2021, Frontiers in Neuroscience 15.
    """

    def __init__(
        self,
        provided: Provided,
        *,
        sees: str,
        steps: int,
        parameters: int | None,
        match_hidden: Sequence[int] | None,
        match_recurrence: str | None,
        match_bias: bool | None,
    ) -> None:
        self.view = InputView(sees, steps)
        n_inputs, n_outputs = provided.n_inputs, provided.n_outputs
        first = self.view.features(n_inputs)
        size = Size(parameters, match_hidden, match_recurrence, match_bias)
        widths = size.widths(lambda widths: dense_parameters([first, *widths, n_outputs]), n_inputs, n_outputs)
        layers = build_layers([first, *widths, n_outputs], functools.partial(build_undrawn, nn.Linear), nn.ReLU)
        super().__init__(layers, provided)
        self.sums_up = self.view.sees == "counts"

    def first_input(self, x: Signal, lengths: Tensor) -> Tensor:
        return self.view(dense(x), lengths)
