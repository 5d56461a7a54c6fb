"""A linear readout of the input."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.engine.choose import Engine
from sgbench.inits.base import Init
from sgbench.networks.baseline import Baseline, InputView, linear
from sgbench.signals.spikes import Signal, dense


class Linear(Baseline):
    r"""Applies a linear classifier, or a linear filter, to what it sees.

    .. math:: y = W v + b

    With `counts` time is summed away; with `all` it is a linear classifier of the whole sample, steps and channels
    laid flat; with `last_K` a linear filter of K steps, which answers in every step. It has as many parameters as
    that takes, whatever the spiking network has.

    Args:
        n_inputs: input channels.
        n_outputs: classes or outputs.
        init: how weights are drawn.
        generator: of the initialisation's stream.
        engine: "auto".
        sees: "counts", "all" or "last_K"; see `InputView`.
        steps: of the protocol.

    Raises:
        InputError: a value out of range.

    Source: Iyer, Chua & Li 2021, Frontiers in Neuroscience 15 (a network without time on summed events).
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        init: Init,
        generator: torch.Generator,
        engine: Engine,
        *,
        sees: str,
        steps: int,
    ) -> None:
        self.view = InputView(sees, steps)
        super().__init__([linear(self.view.features(n_inputs), n_outputs)], init, generator, engine)
        self.sums_up = self.view.sees == "counts"

    def seen(self, x: Signal, lengths: Tensor) -> Tensor:
        """Return what the layer sees of a sample; see `InputView`."""
        return self.view(dense(x), lengths)
