"""A linear readout of the input."""

from __future__ import annotations

from torch import Tensor

from sgbench.networks.base import Provided
from sgbench.networks.baseline import Baseline, InputView, linear
from sgbench.signals.spikes import Signal, dense


class Linear(Baseline):
    r"""Applies a linear classifier, or a linear filter, to the part of a sample that `network.sees` chooses.

    .. math:: y = W v + b

    With `counts` time is summed away; with `all` it is a linear classifier of the whole sample, steps and channels
    laid flat; with `last_K` a linear filter of K steps, which answers in every step. It has as many parameters as
    that takes, whatever the spiking network has.

    Args:
        provided: what the builder gives.
        sees: "counts", "all" or "last_K"; see `InputView`.
        steps: of the protocol.

    Raises:
        InputError: a value out of range.

    Source: Iyer, Chua & Li 2021, Frontiers in Neuroscience 15 (a network without time on summed events).
    """

    def __init__(
        self,
        provided: Provided,
        *,
        sees: str,
        steps: int,
    ) -> None:
        self.view = InputView(sees, steps)
        super().__init__([linear(self.view.features(provided.n_inputs), provided.n_outputs)], provided)
        self.sums_up = self.view.sees == "counts"

    def seen(self, x: Signal, lengths: Tensor) -> Tensor:
        """Return the layer's view of a sample; see `InputView`."""
        return self.view(dense(x), lengths)
