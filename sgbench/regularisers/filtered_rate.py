"""A penalty on the distance of filtered firing rates from a target, in every step."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from fastspiking.signals.trajectory import SPIKES, Batch, Keep, Trajectory, valid_steps
from sgbench.errors import require_number
from sgbench.regularisers.base import Regulariser


class FilteredRate(Regulariser):
    r"""Adds the squared distance of each neuron's filtered rate from a target, in every step, over all layers.

    .. math::
        f[t] &= \kappa f[t-1] + s[t], \qquad \kappa = e^{-dt/\tau} \\
        E &= \frac{\lambda}{B} \sum_b \frac{1}{T_b} \sum_{t<T_b}
            \left\langle \bigl((1 - \kappa) f_{bi}[t] - r \, dt\bigr)^2 \right\rangle_i

    for spikes s, filtered spikes f, sample b of B with T_b steps, and neuron i. Each step's part depends on
    filtered spikes alone, so online rules can compute it. E-prop requires tau to be the readout's time constant, by
    which its traces are filtered.

    Args:
        strength: weight lambda of the penalty, 0 or more.
        rate_hz: target rate r [Hz].
        tau_s: time constant of the filter [s].
        dt_s: duration of a step [s].

    Raises:
        InputError: a value out of range.

    Source: Bellec et al. 2020, Nature Communications 11:3625, Methods (firing rate regularization; there the rate
    is the mean over the whole of a trial so far).

    >>> spikes = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    >>> trajectory = Trajectory(spikes, torch.tensor([2]), (spikes,), (), ())
    >>> bounds = FilteredRate(strength=8.0, rate_hz=0.0, tau_s=0.001 / math.log(2), dt_s=0.001)  # kappa = 1/2
    >>> round(bounds.penalty(trajectory).item(), 6)  # 8/2 ((1/4 + 0)/2 + (9/16 + 0)/2)
    1.625
    """

    needs: ClassVar[Keep] = frozenset({SPIKES})

    def __init__(self, *, strength: float, rate_hz: float, tau_s: float, dt_s: float) -> None:
        self.strength = require_number("regulariser.strength", strength, low=0)
        self.dt_s = require_number("regulariser.dt_s", dt_s, low=0, open_low=True)
        self.rate_hz = require_number("regulariser.rate_hz", rate_hz, low=0)
        self.tau_s = require_number("regulariser.tau_s", tau_s, low=0, open_low=True)

    @property
    def decay(self) -> float:
        """Return kappa, the decay of the filter per step, exp(-dt/tau)."""
        return math.exp(-self.dt_s / self.tau_s)

    def penalty(self, trajectory: Trajectory) -> Tensor:
        """Compute the sum over all steps and layers, a scalar with gradient.

        One matrix product per layer filters all spikes.
        """
        steps, lengths = len(trajectory.output), trajectory.lengths
        step = torch.arange(steps, dtype=torch.float64)
        lag = (step[:, None] - step).clamp(min=0)
        filters = (self.decay**lag).tril().to(trajectory.output)
        share = valid_steps(lengths, steps).to(trajectory.output) / lengths
        total = trajectory.output.new_zeros(())
        for spikes in trajectory.spikes:
            filtered = (filters @ spikes.flatten(1)).view_as(spikes)
            total = total + (share * self._distance(filtered)).sum(0).mean()
        return total

    def per_step(self, filtered: Tensor, batch: Batch, step: int) -> Tensor:
        """Compute the part of one layer and step, a scalar; a sample adds 0 after its end."""
        share = (batch.lengths > step).to(filtered) / batch.lengths
        return (share * self._distance(filtered)).mean()

    def _distance(self, filtered: Tensor) -> Tensor:
        """Compute strength times the squared distance from the target, averaged over neurons: [..., N] to [...]."""
        return self.strength * ((1 - self.decay) * filtered - self.rate_hz * self.dt_s).square().mean(-1)
