r"""A layer of current-based neurons from event to event, and the adjoint of its spike times.

.. math:: \tau_m \dot V = -V + I, \qquad \tau_s \dot I = -I

with V set to 0 where it reaches the threshold. Between events both are exponentials; the time of a crossing is the
root of their sum. Backward, with p and q the derivatives of the loss by V and I just after a moment,

.. math::
    p(t - d) &= e^{-d/\tau_m} p(t), \qquad
    q(t - d) = e^{-d/\tau_s} q(t) + k (e^{-d/\tau_m} - e^{-d/\tau_s}) p(t), \qquad k = \tau_s / (\tau_m - \tau_s) \\
    p_n^- &= \frac{1}{\dot V_n^-} \Big[ \dot V_n^+ p_n^+ - \frac{\partial L}{\partial t_k} - \sum_j V_{jn}
        \Big(\frac{q_j}{\tau_s} - \frac{p_j}{\tau_m}\Big) \Big] \quad \text{where neuron n fires}

which is EventProp's with p = -tau_m lambda_V and q = -tau_s lambda_I (Wunderlich & Pehle 2021, Scientific Reports
11:12829, equations 5 to 10); a jump of I has the derivative q, and its time that of q along what it added.

Legend: B batch, K arrivals of a sample, N neurons, M spikes of a sample. Times and time constants in steps, in
float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sgbench.errors import NonFiniteError
from sgbench.networks.spike_times import NEVER, Arrivals, Membrane, Spikes

MOST_FIRINGS = 2000
"""Of one neuron, or of one recurrent layer and sample, between two arrivals."""
NEWTON_STEPS = 100


class Segment(NamedTuple):
    """Holds a window without events, and what happened at its end."""

    span: Tensor  # [B, N] or [B, 1]
    fires: Tensor  # [B, N]
    slope: Tensor  # of the potential before it is reset [B, N]
    at: Tensor  # its end [B, N]
    arrival: int | None  # which arrival came at its end


class SimulatedLayer(NamedTuple):
    """Holds a layer's simulated spikes and the windows between them."""

    tape: list[Segment]
    spikes: Spikes
    ranks: tuple[
        Tensor, ...
    ]  # of each spike, in the tape, sample, neuron, and its rank in the sample's order
    u: Tensor  # at the samples' ends [B, N]


def run_events(
    arrivals: Arrivals, ends: Tensor, membrane: Membrane, recurrent: Tensor | None
) -> tuple[Spikes, Tensor]:
    """Run a layer; gradients go to arrivals' times and jumps and to recurrent weights through spike times.

    Args:
        arrivals: at a layer.
        ends: of samples [B]; what would come or fire then or later does not.
        membrane: with a leak whose time constant is not that of the synapse.
        recurrent: weights among the neurons [N, N], or None.

    Returns:
        The spikes, and the potentials at the samples' ends [B, N].

    Raises:
        NonFiniteError: neurons fire without end.
    """
    given = (arrivals.times, arrivals.jumps, recurrent, ends, membrane)
    times, source, u = _Events.apply(*given)  # type: ignore[no-untyped-call]
    return Spikes(times, source), u


class _Events(torch.autograd.Function):
    """Computes spike times forward, and EventProp's adjoint backward."""

    @staticmethod
    def forward(
        ctx: Any, times: Tensor, jumps: Tensor, recurrent: Tensor | None, ends: Tensor, membrane: Membrane
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Simulate the layer and return its spikes, their sources and the last potentials."""
        simulated = simulate(Arrivals(times, jumps), ends, membrane, recurrent)
        ctx.made, ctx.membrane, ctx.recurrent = simulated, membrane, recurrent
        ctx.jumps, ctx.comes = jumps, times < ends[:, None]
        ctx.mark_non_differentiable(simulated.spikes.source, simulated.u)
        return simulated.spikes.times, simulated.spikes.source, simulated.u

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_time: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor | None, None, None]:
        """Compute the adjoints by going through the tape of events from its end."""
        simulated: SimulatedLayer = ctx.made
        tape, jumps = simulated.tape, ctx.jumps
        by_spike = jumps.new_zeros(len(tape), *jumps.shape[::2])
        segment, sample, neuron, rank = simulated.ranks
        by_spike[segment, sample, neuron] = by_time[sample, rank]
        adjoint = _Adjoint(ctx.membrane, ctx.recurrent, jumps.new_zeros(jumps.shape[::2]))
        to_times, to_jumps = jumps.new_zeros(ctx.comes.shape), torch.zeros_like(jumps)
        for number in range(len(tape) - 1, -1, -1):
            step = tape[number]
            if step.arrival is not None:
                comes = ctx.comes[:, step.arrival]
                to_jumps[:, step.arrival] = adjoint.q * comes[:, None]
                to_times[:, step.arrival] = (adjoint.later() * jumps[:, step.arrival]).sum(1) * comes
            adjoint.fire(step, by_spike[number])
            adjoint.back(step.span)
        return to_times, to_jumps, adjoint.to_recurrent, None, None


class _Adjoint:
    """Holds the derivatives of the loss by potentials and currents, on the way back.

    Args:
        membrane: of the neurons.
        recurrent: weights among them, or None.
        zeros: [B, N].
    """

    def __init__(self, membrane: Membrane, recurrent: Tensor | None, zeros: Tensor) -> None:
        self.membrane, self.recurrent = membrane, recurrent
        self.p, self.q = zeros, zeros
        self.to_recurrent = None if recurrent is None else torch.zeros_like(recurrent)

    def later(self) -> Tensor:
        """Compute what a unit of current is worth per step by which it comes later."""
        return self.q / self.membrane.tau_syn - self.p / self.membrane.tau_mem

    def fire(self, segment: Segment, by_time: Tensor) -> None:
        """Move the adjoints across the spikes at a segment's end; a delay moves the reset and what is sent on."""
        fires = segment.fires
        if not fires.any():
            return
        delayed = by_time
        if self.recurrent is not None:
            delayed = delayed + self.later() @ self.recurrent
            self.to_recurrent = self.to_recurrent + self.q.T @ fires.to(self.q.dtype)  # type: ignore[operator]
        slope = torch.where(fires, segment.slope, 1.0)
        behind = slope + self.membrane.threshold / self.membrane.tau_mem
        self.p = torch.where(fires, (behind * self.p - delayed) / slope, self.p)

    def back(self, span: Tensor) -> None:
        """Move the adjoints back over a window without events."""
        mem, syn = torch.exp(-span / self.membrane.tau_mem), torch.exp(-span / self.membrane.tau_syn)
        self.q = syn * self.q + self.membrane.share * (mem - syn) * self.p
        self.p = mem * self.p


@torch.no_grad()
def simulate(
    arrivals: Arrivals, ends: Tensor, membrane: Membrane, recurrent: Tensor | None
) -> SimulatedLayer:
    """Run a layer from arrival to arrival; neurons that do not hear each other each have a clock of their own."""
    times, jumps = arrivals
    state = _State(jumps.new_zeros(jumps.shape[::2]), membrane, recurrent)
    for number in range(times.shape[1]):
        state.until(torch.minimum(times[:, number], ends)[:, None], number)
        state.i = state.i + jumps[:, number] * (times[:, number] < ends)[:, None]
    state.until(ends[:, None], None)
    return state.layer()


class _State:
    """Holds potentials and currents of a layer on the way forward.

    Args:
        zeros: [B, N].
        membrane: of the neurons.
        recurrent: weights among them, or None.
    """

    def __init__(self, zeros: Tensor, membrane: Membrane, recurrent: Tensor | None) -> None:
        self.u, self.i, self.now = zeros, zeros, zeros
        self.membrane, self.recurrent = membrane, recurrent
        self.tape: list[Segment] = []

    def until(self, barrier: Tensor, arrival: int | None) -> None:
        """Advance each sample to a moment [B, 1], with all spikes on the way."""
        for _ in range(MOST_FIRINGS):
            left = (barrier - self.now).clamp(min=0.0)
            delay = crossing(self.u, self.i, left, self.membrane)
            span = torch.minimum(delay, left)
            fires = delay.isfinite()
            if self.recurrent is not None:  # all wait for the first
                span = span.amin(1, keepdim=True).expand_as(span)
                fires = fires & (delay <= span)
            self._advance(span)
            self.now = torch.where(fires | (span < left), self.now + span, barrier)
            any_fires = bool(fires.any())
            slope = (self.i - self.u) / self.membrane.tau_mem
            self.tape.append(Segment(span, fires, slope, self.now, None if any_fires else arrival))
            if not any_fires:
                return
            self.u = torch.where(fires, 0.0, self.u)
            if self.recurrent is not None:
                self.i = self.i + fires.to(self.i.dtype) @ self.recurrent.T
        raise NonFiniteError(f"neurons fire more than {MOST_FIRINGS} times between two events")

    def _advance(self, span: Tensor) -> None:
        mem, syn = torch.exp(-span / self.membrane.tau_mem), torch.exp(-span / self.membrane.tau_syn)
        self.u = mem * self.u + self.membrane.share * (mem - syn) * self.i
        self.i = syn * self.i

    def layer(self) -> SimulatedLayer:
        """Put the spikes of each sample in the order of their times."""
        fires = torch.stack([segment.fires for segment in self.tape])
        at = torch.stack([segment.at for segment in self.tape])
        segment, sample, neuron = fires.nonzero(as_tuple=True)
        time = at[segment, sample, neuron]
        by_time = time.argsort(dim=0, stable=True)
        order = by_time[sample[by_time].argsort(dim=0, stable=True)]
        segment, sample, neuron, time = (column[order] for column in (segment, sample, neuron, time))
        counts = torch.bincount(sample, minlength=len(self.u))
        rank = torch.arange(len(sample), device=sample.device) - (counts.cumsum(0) - counts)[sample]
        shape = (len(self.u), int(counts.max()) if counts.numel() else 0)
        times, source = time.new_full(shape, NEVER), neuron.new_zeros(shape)
        times[sample, rank], source[sample, rank] = time, neuron
        return SimulatedLayer(self.tape, Spikes(times, source), (segment, sample, neuron, rank), self.u)


def crossing(u: Tensor, i: Tensor, left: Tensor, membrane: Membrane) -> Tensor:
    r"""Compute the steps until each potential reaches the threshold [B, N]; infinite if more than `left`.

    .. math:: u(d) = a e^{-d/\tau_m} - b e^{-d/\tau_s}, \qquad a = u + k i, \; b = k i, \;
              k = \tau_s / (\tau_m - \tau_s)

    rises up to its only extremum and is concave there, so Newton's steps from 0 come to the root from one side.

    Args:
        u: potentials at d = 0 [B, N], not above the threshold.
        i: currents at d = 0 [B, N].
        left: steps that are left, of each neuron [B, N] or of each sample [B, 1].
        membrane: time constants [steps] and threshold of the neurons.

    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> membrane = Membrane(tau_mem=4.0, tau_syn=2.0, threshold=1.0)
    >>> round(crossing(0 * one, 5 * one, 9 * one, membrane).item(), 6)  # x - x^2 = 1/5, x = e^(-d/4)
    1.294029
    """
    mem, syn = membrane.tau_mem, membrane.tau_syn
    a, b = u + membrane.share * i, membrane.share * i
    ratio = b * mem / (a * syn)
    peaks = (i > u) & (ratio > 0)
    peak = torch.where(peaks, ratio, 1.0).log() * (mem * syn / (mem - syn))
    high = torch.minimum(peak, left.expand_as(peak)).clamp(min=0.0)
    top = a * torch.exp(-high / mem) - b * torch.exp(-high / syn)
    crossings = (peaks & (top > membrane.threshold)).nonzero(as_tuple=True)
    delay = torch.full_like(u, NEVER)
    if len(crossings[0]):
        delay[crossings] = _root(a[crossings], b[crossings], high[crossings], membrane)
    return delay


def _root(a: Tensor, b: Tensor, high: Tensor, membrane: Membrane) -> Tensor:
    """Return the roots by Newton's method from 0."""
    mem, syn, theta = membrane.tau_mem, membrane.tau_syn, membrane.threshold
    root = torch.zeros_like(a)
    for _ in range(NEWTON_STEPS):
        slow, fast = a * torch.exp(-root / mem), b * torch.exp(-root / syn)
        step = (theta - slow + fast) / (fast / syn - slow / mem)
        following = torch.minimum((root + step).clamp(min=0.0), high)
        moved = (following - root).abs().max()
        root = following
        if moved <= 1e-15 * syn:
            break
    return root
