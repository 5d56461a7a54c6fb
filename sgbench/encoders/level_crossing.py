"""The level-crossing encoder: a trace is encoded by the levels that it crosses in each step."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from sgbench.encoders.base import ChangeEncoder


class LevelCrossing(ChangeEncoder):
    r"""Sends the number n of levels, theta apart, that a trace x has risen or fallen by in a step.

    A reference r follows the trace in whole thresholds, starting at x[0]:

    .. math:: n[t] = \mathrm{trunc}\frac{x[t] - r[t-1]}{\theta}, \qquad r[t] = r[t-1] + \theta n[t]

    so :math:`|x[t] - r[t]| < \theta` always, and r can be rebuilt from the spikes. A spike's size is the number of
    levels, so the first layer multiplies. Channel n has the rises of trace n, channel N + n its falls.

    Args:
        threshold: theta, above 0.

    Source: Lichtsteiner, Posch & Delbruck 2008, IEEE Journal of Solid-State Circuits 43(2) (send on delta).

    >>> encoder = LevelCrossing(steps=4, dt_s=0.001, threshold=0.25)
    >>> trace = torch.tensor([[[0.0], [0.125], [0.75], [0.625]]])
    >>> encoder.encode(trace, torch.Generator()).dense()[:, 0].T.tolist()
    [[0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """

    output: ClassVar[Literal["binary", "real"]] = "real"

    def changes(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Count the levels that traces cross upwards, and downwards, in each step, both [B, steps, N]."""
        level = torch.zeros_like(values[:, 0])  # of the reference, in thresholds above the first value
        crossed = []
        for value in values.unbind(1):
            number = torch.trunc((value - values[:, 0]) / self.threshold - level)
            level = level + number
            crossed.append(number)
        change = torch.stack(crossed, 1)
        return change.clamp(min=0), (-change).clamp(min=0)
