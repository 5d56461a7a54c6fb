r"""Event-driven simulation of a layer of current-based neurons, and the gradient of its spike times (EventProp).

.. math:: \tau_m \dot V = -V + I, \qquad \tau_s \dot I = -I

for the potential V and current I; V is set to 0 when it reaches the threshold theta. Between events both are sums
of exponentials, and the time d until a spike solves V(d) = theta with

.. math:: V(d) = a e^{-d/\tau_m} - b e^{-d/\tau_s}, \qquad a = V + b, \quad b = k I, \quad
    k = \tau_s / (\tau_m - \tau_s)

Backward in time, with p and q the derivatives of the loss L by V and I just after a moment, and recurrent weights
V_jn from neuron n to j,

.. math::
    p(t - d) &= e^{-d/\tau_m} p(t), \qquad
    q(t - d) = e^{-d/\tau_s} q(t) + k (e^{-d/\tau_m} - e^{-d/\tau_s}) p(t) \\
    p_n^- &= \frac{1}{\dot V_n^-} \Big[ \dot V_n^+ p_n^+ - \frac{\partial L}{\partial t_k} - \sum_j V_{jn}
        \Big(\frac{q_j}{\tau_s} - \frac{p_j}{\tau_m}\Big) \Big] \quad \text{where neuron n fires}

for spike k of neuron n. These are the equations of EventProp with p = -tau_m lambda_V and q = -tau_s lambda_I
(Wunderlich & Pehle 2021, Scientific Reports 11:12829, equations 5 to 10). The derivative of the loss by a jump of I
is q.

Legend: B batch, K arrivals of a sample, N neurons, M spikes of a sample. Times and time constants are in steps, in
float64.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastspiking.arrays import in_parts
from fastspiking.kernels import spike_times as loops
from sgbench.errors import NonFiniteError
from sgbench.networks.spike_times import Arrivals, Membrane, Spikes


def run_events(arrivals: Arrivals, ends: Tensor, membrane: Membrane, recurrent: Tensor | None) -> tuple[Spikes, Tensor]:
    """Simulate a layer, differentiably in the arrivals' times and jumps and in the recurrent weights.

    Returns the spikes, in the order of time, and the potentials at the samples' ends [B, N].

    `arrivals`: input of the layer. `ends`: ends of the samples [B]; later arrivals and spikes do not count. `membrane`:
    time constants and threshold; both time constants must differ. `recurrent`: recurrent weights [N, N], or None.

    >>> arrivals = Arrivals(torch.zeros(1, 1).double(), torch.full((1, 1, 1), 5.0).double())
    >>> spikes, _ = run_events(arrivals, torch.tensor([2.0]).double(), Membrane(4.0, 2.0, 1.0), None)
    >>> round(spikes.times.item(), 6)  # x - x^2 = 1/5, x = e^(-t/4)
    1.294029
    """
    arguments = (arrivals.times, arrivals.jumps, recurrent, ends, membrane)
    times, source, u = _EventSimulation.apply(*arguments)  # type: ignore[no-untyped-call]
    return Spikes(times, source), u


class _EventSimulation(torch.autograd.Function):
    """Computes spike times forward, and solves EventProp's adjoint equations backward."""

    @staticmethod
    def forward(
        ctx: Any, times: Tensor, jumps: Tensor, recurrent: Tensor | None, ends: Tensor, membrane: Membrane
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Simulate the layer; return times and neurons of its spikes [B, M], and its last potentials [B, N]."""
        sends = np.empty((0, 0)) if recurrent is None else _to_numpy(recurrent.T)
        ctx.arriving = loops.TimedArrivals(_to_numpy(times), _to_numpy(jumps), _to_numpy(ends), sends)
        ctx.membrane = membrane
        ctx.fired, last_u = _simulate(membrane, ctx.arriving)
        arrays = (ctx.fired.times, ctx.fired.source, last_u)
        spike_times, source, u = (torch.from_numpy(array).to(jumps.device) for array in arrays)
        ctx.mark_non_differentiable(source, u)
        return spike_times.clone(), source, u  # a copy, as backward reads the original

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_time: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor | None, None, None]:
        """Return the gradients by arrival times, jumps and recurrent weights, given those by spike times."""
        arriving: loops.TimedArrivals = ctx.arriving
        batch, _, neurons = arriving.jumps.shape
        adjoints = loops.Adjoints(*np.zeros((3, batch, neurons)))
        gradients = loops.Gradients(*(np.zeros_like(part) for part in (arriving.times, arriving.jumps, arriving.sends)))
        arguments = ctx.membrane, arriving, ctx.fired, _to_numpy(by_time).copy(), adjoints, gradients
        if arriving.sends.size:
            loops.pull_back(*arguments, 0, batch)
        else:
            in_parts(loops.pull_back, batch, arriving.jumps.size, *arguments)
        to_times, to_jumps, to_sends = (torch.from_numpy(part).to(by_time.device) for part in gradients)
        return to_times, to_jumps, to_sends.T if arriving.sends.size else None, None, None


def _to_numpy(values: Tensor) -> np.ndarray:
    return values.detach().cpu().contiguous().numpy()


def _simulate(membrane: Membrane, arriving: loops.TimedArrivals) -> tuple[loops.TimedSpikes, np.ndarray]:
    """Simulate a layer; return its spikes, sorted by time, and its last potentials [B, N].

    The number of spikes is not known before, so the simulation runs again if they exceed a first guess.
    """
    batch, arrivals, neurons = arriving.jumps.shape
    capacity = 4 * neurons + arrivals
    while True:
        fired = loops.TimedSpikes(
            times=np.full((batch, capacity), loops.NEVER),
            source=np.zeros((batch, capacity), np.int64),
            slope=np.zeros((batch, capacity)),
            before=np.zeros((batch, capacity), np.int64),
            count=np.zeros(batch, np.int64),
        )
        u, i, delay = np.zeros((3, batch, neurons))
        in_parts(loops.simulate, batch, arriving.jumps.size, membrane, arriving, u, i, delay, fired)
        if (fired.count == loops.WITHOUT_END).any():
            raise NonFiniteError(f"neurons fire more than {loops.MOST_FIRINGS} times between two events")
        most = int(fired.count.max(initial=0))
        if most <= capacity:
            break
        capacity = most
    order = fired.times[:, :most].argsort(axis=1, kind="stable")
    times, source, slope, before = (np.take_along_axis(column[:, :most], order, 1) for column in fired[:4])
    return loops.TimedSpikes(times, source, slope, before, fired.count), u
