"""Van Rossum distance between output spikes and those that are wanted."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from sgbench.errors import InputError, require_number
from sgbench.losses.base import OutputLoss
from sgbench.signals.trajectory import Batch, Target, Trajectory, inside


class Smoothed(NamedTuple):
    """Holds the difference of two spike trains under the kernel's two exponentials [B, C], before it is scaled."""

    decaying: Tensor
    rising: Tensor


class VanRossum(OutputLoss):
    r"""Computes the squared difference of the two spike trains, smoothed by a causal kernel.

    .. math:: L = \frac{1}{B} \sum_b \frac{1}{T_b C} \sum_{t<T_b} \sum_c
       \bigl(\lambda * (s_{bc} - \hat s_{bc})\bigr)^2[t], \qquad
       \lambda[t] \propto e^{-t dt/\tau_\mathrm{decay}} - e^{-(t+1) dt/\tau_\mathrm{rise}}

    with a kernel of peak 1. With a rise of 0 the kernel is a single exponential, as van Rossum has it. Spikes
    after a sample's end do not count.

    Args:
        tau_decay_s: time constant of the decay [s].
        tau_rise_s: time constant of the rise [s], below that of the decay; 0 for none.
        dt_s: duration of a step [s].

    Raises:
        InputError: a value out of range.

    Source: van Rossum 2001, Neural Computation 13(4); Zenke & Ganguli 2018, Neural Computation 30(6) (double
    exponential).

    >>> output, target = torch.tensor([[[0.0]], [[1.0]]]), torch.tensor([[[1.0], [0.0]]])
    >>> loss = VanRossum(tau_decay_s=0.001, tau_rise_s=0.0, dt_s=0.001)
    >>> round(loss.whole(Trajectory(output, torch.tensor([2]), (), (), ()), target).item(), 4)
    0.6998
    """

    readout: ClassVar[Literal["binary", "real", "any"]] = "binary"
    targets: ClassVar[tuple[Target, ...]] = ("spikes",)
    online: ClassVar[bool] = True
    remembers: ClassVar[bool] = True

    def __init__(self, *, tau_decay_s: float, tau_rise_s: float, dt_s: float) -> None:
        self.dt_s = require_number("loss.dt_s", dt_s, low=0, open_low=True)
        self.tau_decay_s = require_number("loss.tau_decay_s", tau_decay_s, low=0, open_low=True)
        self.tau_rise_s = require_number("loss.tau_rise_s", tau_rise_s, low=0)
        if self.tau_rise_s >= self.tau_decay_s:
            raise InputError(
                f"loss.tau_rise_s={tau_rise_s:g}: below loss.tau_decay_s={tau_decay_s:g} is needed"
            )

    def kernel(self, steps: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Evaluate the smoothing kernel in its first steps [steps].

        Its largest value in whole steps is 1, also where that comes after the steps asked for.
        """
        curve = self._curve(torch.arange(steps, dtype=torch.float64))
        return (curve / self._curve(self._peak_steps()).max()).to(dtype)

    def _curve(self, step: Tensor) -> Tensor:
        """Evaluate the kernel's difference of exponentials, before it is scaled, in the given steps."""
        time = step * self.dt_s
        curve = torch.exp(-time / self.tau_decay_s)
        if self.tau_rise_s > 0:
            curve = curve - torch.exp(-(time + self.dt_s) / self.tau_rise_s)
        return curve

    def _peak_steps(self) -> Tensor:
        """Return the whole steps on both sides of the kernel's top, one of which is its largest."""
        if self.tau_rise_s == 0:
            return torch.zeros(1, dtype=torch.float64)
        decay, rise = self.tau_decay_s, self.tau_rise_s
        peak_s = (decay * math.log(decay / rise) - decay / rise * self.dt_s) * rise / (decay - rise)
        before = math.floor(max(peak_s, 0.0) / self.dt_s)
        return torch.tensor([before, before + 1], dtype=torch.float64)

    def each(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Smooth all spike trains by one matrix product and average each sample's squared differences [B]."""
        output, lengths = trajectory.output, trajectory.lengths
        steps = len(output)
        difference = inside(output, lengths) - inside(target.transpose(0, 1), lengths)
        ago = torch.arange(steps)[:, None] - torch.arange(steps)
        smoother = self.kernel(steps, output.dtype)[ago.clamp(min=0)].tril().to(output.device)
        smooth = (smoother @ difference.flatten(1)).view_as(difference)
        return inside(smooth.square(), lengths).mean(2).sum(0) / lengths

    def begin(self, batch: Batch) -> Smoothed:
        """Start from no spike at all: zeros for both exponentials' memories [B, C]."""
        nothing = torch.zeros_like(batch.target[:, 0])
        return Smoothed(nothing, nothing)

    def per_step(self, output: Tensor, batch: Batch, step: int, state: Any) -> tuple[Tensor, Any]:
        """Return one step's share: the squares of what the two exponentials leave of all spikes so far."""
        lengths = batch.lengths
        inside_sample = (lengths > step)[:, None]
        wanted = batch.target[:, step] if step < batch.target.shape[1] else torch.zeros_like(output)
        difference = torch.where(inside_sample, output - wanted, 0.0)
        after = Smoothed(
            math.exp(-self.dt_s / self.tau_decay_s) * state.decaying + difference,
            self._left_of_rise() * (state.rising + difference),
        )
        peak = self._curve(self._peak_steps()).max().item()
        smooth = (after.decaying - after.rising) / peak
        error = smooth.square().mean(1).masked_fill(~inside_sample[:, 0], 0.0)
        return (error / lengths).mean(), after

    @property
    def decays(self) -> tuple[float, float]:
        """Return the factors by which the kernel's two exponentials decay in a step."""
        return math.exp(-self.dt_s / self.tau_decay_s), self._left_of_rise()

    @torch.enable_grad()
    def window(
        self, output: Tensor, batch: Batch, first: int, state: Smoothed
    ) -> tuple[Tensor, Smoothed, tuple[Tensor, Tensor]]:
        r"""Return several steps' share, the state after them, and its slopes by what each exponential left.

        A spike's part in the loss is :math:`\sum_t a[t] f_d[t] + b[t] f_r[t]` with f the spikes filtered by each
        exponential; a and b are the slopes, so that whoever filters forward in time needs no later step.

        Args:
            output: of consecutive steps [n, B, C].
            batch: of which targets and lengths are used.
            first: the first of the steps.
            state: before them.

        Returns:
            The share, the state, and (a, b), each [n, B, C].
        """
        total, slopes_by_step = output.new_zeros(()), []
        left = self._left_of_rise()
        for step, now in enumerate(output.detach().unbind(0)):
            before = Smoothed(*(field.detach().to(now).requires_grad_() for field in state))
            share, after = self.per_step(now, batch, first + step, before)
            slopes = torch.autograd.grad(share, before, allow_unused=True)
            decaying, rising = (torch.zeros_like(now) if slope is None else slope for slope in slopes)
            slopes_by_step.append((decaying / self.decays[0], rising if left else torch.zeros_like(now)))
            total, state = total + share.detach(), Smoothed(*(field.detach() for field in after))
        by_decaying, by_rising = (torch.stack(steps) for steps in zip(*slopes_by_step, strict=True))
        return total, state, (by_decaying, by_rising)

    def _left_of_rise(self) -> float:
        """Return the share of the rising exponential that a step leaves; none where there is no rise."""
        return math.exp(-self.dt_s / self.tau_rise_s) if self.tau_rise_s > 0 else 0.0
