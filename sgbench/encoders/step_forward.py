"""One spike a step towards where a trace is."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from sgbench.encoders.base import ChangeEncoder


class StepForward(ChangeEncoder):
    r"""Follows a trace by a baseline that moves at most one threshold a step; each of its moves is a spike.

    .. math:: s^{\pm}[t] = [\pm(x[t] - r[t-1]) > \theta], \qquad r[t] = r[t-1] + \theta (s^{+}[t] - s^{-}[t])

    with r[-1] = x[0]. A trace that changes by less than the threshold a step is followed within it; a faster one is
    caught up with later. Channel n signals rises of trace n, channel N + n falls.

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

    def changes(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Mark where the baseline steps up or down towards the trace, bool [B, steps, N]."""
        level = torch.zeros_like(values[:, 0])
        stepped = []
        for now in values.unbind(1):
            above = (now - values[:, 0]) / self.threshold - level
            move = (above > 1).to(values.dtype) - (above < -1).to(values.dtype)
            level = level + move
            stepped.append(move)
        moves = torch.stack(stepped, 1)
        return moves > 0, moves < 0
