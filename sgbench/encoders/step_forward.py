"""The step-forward encoder: a baseline follows a trace in steps of one threshold, each of them a spike."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from sgbench.encoders.base import ChangeEncoder


class StepForward(ChangeEncoder):
    r"""Follows a trace x by a baseline r that moves by at most one threshold a step; each of its moves is a spike.

    .. math:: s^{\pm}[t] = [\pm(x[t] - r[t-1]) > \theta], \qquad r[t] = r[t-1] + \theta (s^{+}[t] - s^{-}[t])

    with r[-1] = x[0]. The baseline keeps up with a trace that changes by less than the threshold in a step, and
    catches up later with a faster one. Channel n has the rises of trace n, channel N + n its falls.

    Args:
        threshold: theta, above 0.

    Source: Kasabov et al. 2016, Neural Networks 78; Petro, Kasabov & Kiss 2020, IEEE Transactions on Neural
    Networks and Learning Systems 31(2).

    >>> encoder = StepForward(steps=4, dt_s=0.001, threshold=0.25)
    >>> trace = torch.tensor([[[0.0], [0.75], [0.75], [0.75]]])
    >>> encoder.encode(trace, torch.Generator()).dense()[:, 0].T.int().tolist()
    [[0, 1, 1, 0], [0, 0, 0, 0]]
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"

    def changes(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the baseline steps up, and where down, towards the trace, both bool [B, steps, N]."""
        level = torch.zeros_like(values[:, 0])  # of the baseline, in thresholds above the first value
        moves = []
        for value in values.unbind(1):
            above = (value - values[:, 0]) / self.threshold - level
            move = (above > 1).to(values.dtype) - (above < -1).to(values.dtype)
            level = level + move
            moves.append(move)
        all_moves = torch.stack(moves, 1)
        return all_moves > 0, all_moves < 0
