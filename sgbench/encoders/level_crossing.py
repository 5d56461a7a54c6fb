"""A spike for every level that a trace crosses."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from sgbench.encoders.base import Encoder, Form, over_time
from sgbench.errors import require_number
from sgbench.spikes import Events


class LevelCrossing(Encoder):
    r"""Spikes of two channels per trace, one for each level, theta apart, that it has risen or fallen by.

    A reference follows the trace in whole thresholds, starting at x[0]:

    .. math:: n[t] = \mathrm{trunc}\frac{x[t] - r[t-1]}{\theta}, \qquad r[t] = r[t-1] + \theta n[t]

    so :math:`|x[t] - r[t]| < \theta` always, and the reference is rebuilt from the spikes. Where several levels are
    crossed in one step, the spike counts them, so the first layer multiplies. Channel n tells rises of trace n,
    channel N + n falls.

    Args:
        steps: number of time steps T.
        dt_s: duration of a step [s].
        threshold: theta.

    Source: Lichtsteiner, Posch & Delbruck 2008, IEEE Journal of Solid-State Circuits 43(2) (send on delta).

    >>> encoder = LevelCrossing(steps=4, dt_s=0.001, threshold=0.25)
    >>> trace = torch.tensor([[[0.0], [0.125], [0.75], [0.625]]])
    >>> encoder.encode(trace, torch.Generator()).dense()[:, 0].T.tolist()
    [[0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """

    output: ClassVar[Literal["binary", "real"]] = "real"
    takes: ClassVar[tuple[Form, ...]] = ("traces",)

    def __init__(self, *, steps: int, dt_s: float, threshold: float) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.threshold = require_number("encoder.threshold", threshold, low=0, open_low=True)

    def encode(self, values: Tensor, generator: torch.Generator) -> Events:
        """Counted crossings [T, B, 2 N]."""
        level = torch.zeros_like(values[:, 0])
        crossed = []
        for now in values.unbind(1):
            number = torch.trunc((now - values[:, 0]) / self.threshold - level)
            level = level + number
            crossed.append(number)
        change = torch.stack(crossed, 1)
        spikes = torch.cat([change.clamp(min=0), (-change).clamp(min=0)], 2)
        return Events.of(over_time(spikes, self.steps).transpose(0, 1))

    def channels(self, n_inputs: int) -> int:
        """Two for each trace."""
        return 2 * n_inputs
