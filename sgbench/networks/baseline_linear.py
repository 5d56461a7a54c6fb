"""A linear baseline: a linear readout of the input."""

from torch import Tensor

from fastspiking.signals.spikes import Signal, dense
from sgbench.networks.base import Provided
from sgbench.networks.baseline import Baseline, InputView, linear_readout


class Linear(Baseline):
    r"""Applies a linear classifier, or a linear filter, to the part of a sample that `network.sees` chooses.

    .. math:: y = W v + b

    for the features v of `InputView`: sums over time ("counts"), all steps and channels ("all"), or the last K
    steps ("last_K", with an output in every step). Its number of parameters follows from these; it does not match
    that of a spiking network.

    Args:
        provided: parts of the run to build from.
        sees: "counts", "all" or "last_K"; see `InputView`.
        steps: number of steps of the protocol.

    Raises:
        InputError: a value out of range.

    Source: Iyer, Chua & Li 2021, Frontiers in Neuroscience 15 (a network without time on summed events).
    """

    def __init__(self, provided: Provided, *, sees: str, steps: int) -> None:
        self.view = InputView(sees, steps)
        super().__init__([linear_readout(self.view.features(provided.n_inputs), provided.n_outputs)], provided)
        self.sums_up = self.view.sees == "counts"

    def first_input(self, x: Signal, lengths: Tensor) -> Tensor:
        return self.view(dense(x), lengths)
