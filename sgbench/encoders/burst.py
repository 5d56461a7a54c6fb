"""The burst encoder: a larger value has more spikes, closer together, from the first step on."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from fastspiking.signals.spikes import SparseSpikes
from sgbench.encoders.base import ROUNDING, Encoder, slack
from sgbench.errors import require_count, require_number


class Burst(Encoder):
    r"""Encodes a value x in [0, 1] as a burst of n spikes at intervals of d steps.

    .. math:: n(x) = \lceil n_\max x \rceil, \qquad d(x) = \lceil d_\max - (d_\max - d_\min) x \rceil

    The first spike is in step 0; spikes after the last step are dropped.

    Args:
        most: n_max, number of spikes for the value 1.
        shortest_s: d_min, interval for the value 1 [s], at least a step.
        longest_s: d_max, interval as the value approaches 0 [s].

    Source: Guo, Fouda, Eltawil & Salama 2021, Frontiers in Neuroscience 15:638474, section 2.1.

    >>> encoder = Burst(steps=8, dt_s=0.001, most=4, shortest_s=0.001, longest_s=0.003)
    >>> encoder.encode(torch.tensor([[1.0, 0.5, 0.0]]), torch.Generator()).dense()[:, 0].T.int().tolist()
    [[1, 1, 1, 1, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]]
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"

    def __init__(self, *, steps: int, dt_s: float, most: int, shortest_s: float, longest_s: float) -> None:
        super().__init__(steps=steps, dt_s=dt_s)
        self.most = require_count("encoder.most", most)
        self.shortest_s = require_number("encoder.shortest_s", shortest_s, low=self.dt_s)
        self.longest_s = require_number("encoder.longest_s", longest_s, low=self.shortest_s)

    def encode(self, values: Tensor, generator: torch.Generator) -> SparseSpikes:
        """Encode values [B, N] as bursts [T, B, N]."""
        exact = values.double()  # so that `slack` has to allow for the rounding of the values only
        # A value that rounding moved just above a whole number of spikes, or of steps, does not round up to the next.
        count = torch.ceil(self.most * exact * (1 - slack(values))).long()
        longest, shortest = self.longest_s / self.dt_s, self.shortest_s / self.dt_s
        span = longest - shortest
        interval = torch.ceil(longest - span * exact - (ROUNDING + span * slack(values))).long()
        step = torch.arange(self.steps, device=values.device)[:, None, None]
        fires = (step % interval == 0) & (step < count * interval)
        return SparseSpikes.of(fires.to(values.dtype))
