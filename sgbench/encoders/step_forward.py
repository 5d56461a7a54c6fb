"""One spike a step towards where a trace is."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from sgbench.encoders.base import Encoder, Form, over_time
from sgbench.errors import require_number
from sgbench.spikes import Events


class StepForward(Encoder):
    r"""A baseline follows the trace by at most one threshold a step; each of its steps is a spike.

    .. math:: s^{\pm}[t] = [\pm(x[t] - r[t-1]) > \theta], \qquad r[t] = r[t-1] + \theta (s^{+}[t] - s^{-}[t])

    with r[-1] = x[0]. A trace that changes by less than the threshold a step is followed within it; a faster one is
    caught up with later. Channel n tells rises of trace n, channel N + n falls.

    Args:
        steps: number of time steps T.
        dt_s: duration of a step [s].
        threshold: theta.

    Source: Kasabov et al. 2016, Neural Networks 78; Petro, Kasabov & Kiss 2020, IEEE Transactions on Neural
    Networks and Learning Systems 31(2).

    >>> encoder = StepForward(steps=4, dt_s=0.001, threshold=0.25)
    >>> trace = torch.tensor([[[0.0], [0.75], [0.75], [0.75]]])
    >>> encoder.encode(trace, torch.Generator()).dense()[:, 0].T.int().tolist()
    [[0, 1, 1, 0], [0, 0, 0, 0]]
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"
    takes: ClassVar[tuple[Form, ...]] = ("traces",)

    def __init__(self, *, steps: int, dt_s: float, threshold: float) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.threshold = require_number("encoder.threshold", threshold, low=0, open_low=True)

    def encode(self, values: Tensor, generator: torch.Generator) -> Events:
        """Spikes [T, B, 2 N]."""
        level = torch.zeros_like(values[:, 0])
        stepped = []
        for now in values.unbind(1):
            above = (now - values[:, 0]) / self.threshold - level
            move = (above > 1).to(values.dtype) - (above < -1).to(values.dtype)
            level = level + move
            stepped.append(move)
        moves = torch.stack(stepped, 1)
        spikes = torch.cat([moves > 0, moves < 0], 2).to(values.dtype)
        return Events.of(over_time(spikes, self.steps).transpose(0, 1))

    def channels(self, n_inputs: int) -> int:
        """Two for each trace."""
        return 2 * n_inputs
