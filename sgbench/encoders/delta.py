"""A spike where a trace has changed since the step before."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from sgbench.encoders.base import Encoder, Form, over_time
from sgbench.errors import require_number
from sgbench.spikes import Events


class Delta(Encoder):
    r"""Spikes of two channels per trace where it has risen, or fallen, by the threshold within a step.

    .. math:: s^{+}[t] = [x[t] - x[t-1] \ge \theta], \qquad s^{-}[t] = [x[t-1] - x[t] \ge \theta]

    with x[-1] = x[0], so that nothing happens in the first step. A slow drift is never seen; `step_forward` and
    `level_crossing` follow it. Channel n tells rises of trace n, channel N + n falls.

    Args:
        steps: number of time steps T.
        dt_s: duration of a step [s].
        threshold: theta.

    Source: snnTorch `spikegen.delta` with `off_spike` (there as -1 on one channel); Petro, Kasabov & Kiss 2020,
    IEEE Transactions on Neural Networks and Learning Systems 31(2) (threshold-based representation).

    >>> encoder = Delta(steps=4, dt_s=0.001, threshold=0.25)
    >>> trace = torch.tensor([[[0.0], [0.25], [0.5], [0.125]]])
    >>> encoder.encode(trace, torch.Generator()).dense()[:, 0].T.int().tolist()
    [[0, 1, 1, 0], [0, 0, 0, 1]]
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"
    takes: ClassVar[tuple[Form, ...]] = ("traces",)

    def __init__(self, *, steps: int, dt_s: float, threshold: float) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.threshold = require_number("encoder.threshold", threshold, low=0, open_low=True)

    def encode(self, values: Tensor, generator: torch.Generator) -> Events:
        """Spikes [T, B, 2 N]."""
        change = values.diff(dim=1, prepend=values[:, :1])
        spikes = torch.cat([change >= self.threshold, change <= -self.threshold], 2).to(values.dtype)
        return Events.of(over_time(spikes, self.steps).transpose(0, 1))

    def channels(self, n_inputs: int) -> int:
        """Two for each trace."""
        return 2 * n_inputs
