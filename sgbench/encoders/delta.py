"""The delta encoder: a spike where a trace has changed since the previous step."""

from typing import ClassVar, Literal

from torch import Tensor

from sgbench.encoders.base import ChangeEncoder


class Delta(ChangeEncoder):
    r"""Sends a spike where a trace x rises or falls by at least the threshold from one step to the next.

    .. math:: s^{+}[t] = [x[t] - x[t-1] \ge \theta], \qquad s^{-}[t] = [x[t-1] - x[t] \ge \theta]

    with x[-1] = x[0], so that the first step has no spike. A slow drift gives no spike; `step_forward` and
    `level_crossing` follow it. Channel n has the rises of trace n, channel N + n its falls.

    Args:
        threshold: theta, above 0.

    Source: snnTorch `spikegen.delta` with `off_spike` (there as -1 on one channel); Petro, Kasabov & Kiss 2020,
    IEEE Transactions on Neural Networks and Learning Systems 31(2) (threshold-based representation).

    >>> import torch
    >>> encoder = Delta(steps=4, dt_s=0.001, threshold=0.25)
    >>> trace = torch.tensor([[[0.0], [0.25], [0.5], [0.125]]])
    >>> encoder.encode(trace, torch.Generator()).dense()[:, 0].T.int().tolist()
    [[0, 1, 1, 0], [0, 0, 0, 1]]
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"

    def changes(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return where traces rise, and where they fall, by the threshold in a step, both bool [B, steps, N]."""
        change = values.diff(dim=1, prepend=values[:, :1])
        return change >= self.threshold, change <= -self.threshold
