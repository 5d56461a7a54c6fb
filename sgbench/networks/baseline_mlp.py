"""Rectified units."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from torch import Tensor, nn

from sgbench.networks.base import Provided
from sgbench.networks.baseline import Baseline, InputView, Size, dense_parameters, layers_of, undrawn
from sgbench.signals.spikes import Signal, dense


class Perceptron(Baseline):
    r"""Wires rectified units in as many layers and with about as many parameters as a spiking network.

    .. math:: h^l = \max(0, W^l h^{l-1} + b^l), \quad h^0 = v, \quad y = W h^L + b

    Args:
        provided: what the builder gives.
        sees: "counts", "all" or "last_K"; see `InputView`.
        steps: of the protocol.
        parameters: how many to have, or None for those of the spiking network that the others describe.
        match_hidden: neurons per hidden layer of that network.
        match_recurrence: "none", "one_to_one" or "all_to_all".
        match_bias: whether its layers have biases.

    Raises:
        InputError: a value out of range, or more parameters in one unit a layer than it may have.

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
        widths = size.widths(
            lambda widths: dense_parameters([first, *widths, n_outputs]), n_inputs, n_outputs
        )
        layers = layers_of([first, *widths, n_outputs], functools.partial(undrawn, nn.Linear), nn.ReLU)
        super().__init__(layers, provided)
        self.sums_up = self.view.sees == "counts"

    def seen(self, x: Signal, lengths: Tensor) -> Tensor:
        """Return the first layer's view of a sample; see `InputView`."""
        return self.view(dense(x), lengths)
