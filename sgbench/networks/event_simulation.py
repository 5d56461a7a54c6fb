r"""A layer of current-based neurons from event to event, and the adjoint of its spike times.

.. math:: \tau_m \dot V = -V + I, \qquad \tau_s \dot I = -I

with V set to 0 where it reaches the threshold. Between events both are exponentials; the time of a crossing is the
root of their sum,

.. math:: V(d) = a e^{-d/\tau_m} - b e^{-d/\tau_s}, \qquad a = V + b, \quad b = k I, \quad
    k = \tau_s / (\tau_m - \tau_s)

Backward, with p and q the derivatives of the loss by V and I just after a moment,

.. math::
    p(t - d) &= e^{-d/\tau_m} p(t), \qquad
    q(t - d) = e^{-d/\tau_s} q(t) + k (e^{-d/\tau_m} - e^{-d/\tau_s}) p(t) \\
    p_n^- &= \frac{1}{\dot V_n^-} \Big[ \dot V_n^+ p_n^+ - \frac{\partial L}{\partial t_k} - \sum_j V_{jn}
        \Big(\frac{q_j}{\tau_s} - \frac{p_j}{\tau_m}\Big) \Big] \quad \text{where neuron n fires}

which is EventProp's with p = -tau_m lambda_V and q = -tau_s lambda_I (Wunderlich & Pehle 2021, Scientific Reports
11:12829, equations 5 to 10); a jump of I has the derivative q, and its time that of q along what it added.

Legend: B batch, K arrivals of a sample, N neurons, M spikes of a sample. Times and time constants in steps, in
float64.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from numba.core import event
from torch import Tensor
from torch.autograd.function import once_differentiable

from sgbench.engine.arrays import in_parts
from sgbench.engine.kernels import spike_times as loops
from sgbench.engine.note import CompileNote
from sgbench.errors import NonFiniteError
from sgbench.networks.spike_times import Arrivals, Membrane, Spikes


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

    >>> arrivals = Arrivals(torch.zeros(1, 1).double(), torch.full((1, 1, 1), 5.0).double())
    >>> spikes, _ = run_events(arrivals, torch.tensor([2.0]).double(), Membrane(4.0, 2.0, 1.0), None)
    >>> round(spikes.times.item(), 6)  # x - x^2 = 1/5, x = e^(-t/4)
    1.294029
    """
    _compile_loops()
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
        sends = np.empty((0, 0)) if recurrent is None else _to_numpy(recurrent.T)
        ctx.arriving = loops.TimedArrivals(_to_numpy(times), _to_numpy(jumps), _to_numpy(ends), sends)
        ctx.membrane = membrane
        ctx.fired, u = _simulate(membrane, ctx.arriving)
        found = [torch.from_numpy(part).to(jumps.device) for part in (ctx.fired.times, ctx.fired.source, u)]
        ctx.mark_non_differentiable(*found[1:])
        return found[0].clone(), found[1], found[2]  # what backward reads is not what others may write to

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_time: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor | None, None, None]:
        """Compute the adjoints by going through the events from the end."""
        arriving: loops.TimedArrivals = ctx.arriving
        batch, _, neurons = arriving.jumps.shape
        adjoints = loops.Adjoints(*np.zeros((3, batch, neurons)))
        gradients = loops.Gradients(
            *(np.zeros_like(part) for part in (arriving.times, arriving.jumps, arriving.sends))
        )
        whole = ctx.membrane, arriving, ctx.fired, _to_numpy(by_time).copy(), adjoints, gradients
        if arriving.sends.size:
            loops.pull_back(*whole, 0, batch)
        else:
            in_parts(loops.pull_back, batch, arriving.jumps.size, *whole)
        to_times, to_jumps, to_sends = (torch.from_numpy(part).to(by_time.device) for part in gradients)
        return to_times, to_jumps, to_sends.T if arriving.sends.size else None, None, None


def _to_numpy(values: Tensor) -> np.ndarray:
    return values.detach().cpu().contiguous().numpy()


def _simulate(membrane: Membrane, arriving: loops.TimedArrivals) -> tuple[loops.TimedSpikes, np.ndarray]:
    """Run a layer; return its spikes in the order of time and the last potentials."""
    batch, arrivals, neurons = arriving.jumps.shape
    room = 4 * neurons + arrivals  # a first guess
    while True:
        fired = loops.TimedSpikes(
            np.full((batch, room), loops.NEVER),
            np.zeros((batch, room), np.int64),
            np.zeros((batch, room)),
            np.zeros((batch, room), np.int64),
            np.zeros(batch, np.int64),
        )
        u, i, delay = np.zeros((3, batch, neurons))
        in_parts(loops.simulate, batch, arriving.jumps.size, membrane, arriving, u, i, delay, fired)
        if (fired.count == loops.WITHOUT_END).any():
            raise NonFiniteError(f"neurons fire more than {loops.MOST_FIRINGS} times between two events")
        most = int(fired.count.max(initial=0))
        if most <= room:
            break
        room = most
    order = fired.times[:, :most].argsort(axis=1, kind="stable")  # neurons of a window follow each other
    times, source, slope, before = (np.take_along_axis(column[:, :most], order, 1) for column in fired[:4])
    return loops.TimedSpikes(times, source, slope, before, fired.count), u


@functools.cache
def _compile_loops() -> None:
    """Compile the loops, or load them; announce it where they are compiled."""
    arriving = loops.TimedArrivals(np.zeros((1, 1)), np.ones((1, 1, 1)), np.ones(1), np.empty((0, 0)))
    membrane = Membrane(2.0, 1.0, 1.0)
    with event.install_listener("numba:compile", CompileNote("compiling spike times, once for this machine")):
        fired, u = _simulate(membrane, arriving)
        given = loops.Adjoints(u, u.copy(), u.copy()), loops.Gradients(*arriving[:2], arriving.sends)
        loops.pull_back(membrane, arriving, fired, np.zeros_like(fired.times), *given, 0, 1)
