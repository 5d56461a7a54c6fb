"""The van Rossum distance between output spikes and target spikes."""

import math
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch, Target, Trajectory, inside
from sgbench.errors import InputError, require_number
from sgbench.losses.base import OutputLoss


class Smoothed(NamedTuple):
    """Holds output minus target spikes [B, C], filtered by each of the kernel's exponentials, before scaling."""

    decaying: Tensor  # filtered by exp(-t dt / tau_decay)
    rising: Tensor  # filtered by exp(-(t + 1) dt / tau_rise)


class VanRossum(OutputLoss):
    r"""Computes the squared difference of output spikes s and target spikes s^, smoothed by a causal kernel.

    .. math:: L = \frac{1}{B} \sum_b \frac{1}{T_b C} \sum_{t<T_b} \sum_c
       \bigl(\lambda * (s_{bc} - \hat s_{bc})\bigr)^2[t], \qquad
       \lambda[t] \propto e^{-t dt/\tau_\mathrm{decay}} - e^{-(t+1) dt/\tau_\mathrm{rise}}

    over the C outputs c and the T_b valid steps t of each sample b; the largest value of the kernel lambda is 1.
    With tau_rise = 0 the kernel is a single exponential, as in van Rossum's paper.

    Args:
        tau_decay_s: time constant of the kernel's decay [s].
        tau_rise_s: time constant of the kernel's rise [s], below `tau_decay_s`; 0 for no rise.
        dt_s: duration of a step [s].

    Raises:
        InputError: a parameter is out of range.

    Source: van Rossum 2001, Neural Computation 13(4); Zenke & Ganguli 2018, Neural Computation 30(6) (double
    exponential).

    >>> output, target = torch.tensor([[[0.0]], [[1.0]]]), torch.tensor([[[1.0], [0.0]]])
    >>> loss = VanRossum(tau_decay_s=0.001, tau_rise_s=0.0, dt_s=0.001)
    >>> round(loss.whole(Trajectory(output, torch.tensor([2])), target).item(), 4)
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
            raise InputError(f"loss.tau_rise_s={tau_rise_s:g}: below loss.tau_decay_s={tau_decay_s:g} is needed")

    def kernel(self, steps: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Return the smoothing kernel's values in its first `steps` steps [steps].

        It is scaled so that its largest value is 1, even if that lies after these steps.
        """
        curve = self._curve(torch.arange(steps, dtype=torch.float64))
        return (curve / self._curve(self._peak_steps()).max()).to(dtype)

    def _curve(self, step: Tensor) -> Tensor:
        """Compute the kernel before normalisation at these steps: one exponential, or the difference of two."""
        time = step * self.dt_s
        curve = torch.exp(-time / self.tau_decay_s)
        if self.tau_rise_s > 0:
            curve = curve - torch.exp(-(time + self.dt_s) / self.tau_rise_s)
        return curve

    def _peak_steps(self) -> Tensor:
        """Return the whole steps before and after the kernel's continuous maximum; one has its largest value."""
        if self.tau_rise_s == 0:
            return torch.zeros(1, dtype=torch.float64)
        decay, rise = self.tau_decay_s, self.tau_rise_s
        peak_s = (decay * math.log(decay / rise) - decay / rise * self.dt_s) * rise / (decay - rise)
        before = math.floor(max(peak_s, 0.0) / self.dt_s)
        return torch.tensor([before, before + 1], dtype=torch.float64)

    def each(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Compute the loss of each sample [B]; target: spikes [B, T, C]."""
        output, lengths = trajectory.output, trajectory.lengths
        steps = len(output)
        difference = inside(output, lengths) - inside(target.transpose(0, 1), lengths)
        steps_ago = torch.arange(steps)[:, None] - torch.arange(steps)
        smoother = self.kernel(steps, output.dtype)[steps_ago.clamp(min=0)].tril().to(output.device)
        smooth = (smoother @ difference.flatten(1)).view_as(difference)
        return inside(smooth.square(), lengths).mean(2).sum(0) / lengths

    def begin(self, batch: Batch) -> Smoothed:
        """Return the state before the first step: zeros [B, C] for both exponentials."""
        zeros = torch.zeros_like(batch.target[:, 0])
        return Smoothed(zeros, zeros)

    def per_step(self, output: Tensor, batch: Batch, step: int, state: Any) -> tuple[Tensor, Any]:
        """Return one step's share of `whole`, and the filtered differences after the step."""
        lengths = batch.lengths
        inside_sample = (lengths > step)[:, None]
        target = batch.target[:, step] if step < batch.target.shape[1] else torch.zeros_like(output)
        difference = torch.where(inside_sample, output - target, 0.0)
        decay, rise = self.decays
        after = Smoothed(decay * state.decaying + difference, rise * (state.rising + difference))
        peak = self._curve(self._peak_steps()).max().item()
        smooth = (after.decaying - after.rising) / peak
        error = smooth.square().mean(1).masked_fill(~inside_sample[:, 0], 0.0)
        return (error / lengths).mean(), after

    @property
    def decays(self) -> tuple[float, float]:
        """Return the factors by which the decaying and the rising exponential shrink in a step (0 for no rise)."""
        rise = math.exp(-self.dt_s / self.tau_rise_s) if self.tau_rise_s > 0 else 0.0
        return math.exp(-self.dt_s / self.tau_decay_s), rise

    @torch.enable_grad()
    def window(
        self, output: Tensor, batch: Batch, first: int, state: Smoothed
    ) -> tuple[Tensor, Smoothed, tuple[Tensor, Tensor]]:
        r"""Compute the loss of several steps, and its derivatives, for learning rules that go forward in time.

        The derivative of the loss with respect to an output spike is :math:`\sum_t a[t] f_d[t] + b[t] f_r[t]`,
        where f_d and f_r are the spike filtered by the decaying and the rising exponential.

        `output`: of n consecutive steps [n, B, C]. `batch`: its targets and lengths are used. `first`: index of the
        first of these steps. `state`: filtered differences before them.

        Returns:
            The steps' share of `whole`, the state after them, and (a, b), each [n, B, C].
        """
        total, slopes_by_step = output.new_zeros(()), []
        decay, rise = self.decays
        for step, step_output in enumerate(output.detach().unbind(0)):
            before = Smoothed(*(field.detach().to(step_output).requires_grad_() for field in state))
            share, after = self.per_step(step_output, batch, first + step, before)
            slopes = torch.autograd.grad(share, before, allow_unused=True)
            decaying, rising = (torch.zeros_like(step_output) if slope is None else slope for slope in slopes)
            slopes_by_step.append((decaying / decay, rising if rise else torch.zeros_like(step_output)))
            total, state = total + share.detach(), Smoothed(*(field.detach() for field in after))
        by_decaying, by_rising = (torch.stack(steps) for steps in zip(*slopes_by_step, strict=True))
        return total, state, (by_decaying, by_rising)
