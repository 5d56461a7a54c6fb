"""Event-driven simulation of current-based neurons, from spike to spike, and the adjoint of their spike times.

Legend: B samples, K arrivals (input spikes) of a sample, N neurons, R spikes of a sample that can be stored. Times
and time constants are in steps. The equations are in `sgbench.networks.event_simulation`. A `membrane` has tau_mem,
tau_syn and threshold; potential u and current i follow tau_mem u' = i - u and tau_syn i' = -i.
"""

import math
from typing import NamedTuple

import numpy as np

from fastspiking.kernels.codes import loop, loop_backward, row, row_backward

NEVER = math.inf
MOST_FIRINGS = 2000  # allowed for one neuron, or one recurrent layer and sample, between two arrivals
WITHOUT_END = -1  # returned in place of a number of spikes where more than `MOST_FIRINGS` come
NEWTON_STEPS = 100
ROUNDING = 1e-15  # Newton's method stops at a step of this many synaptic time constants


class TimedArrivals(NamedTuple):
    """Holds the input spikes of a layer, and its recurrent weights."""

    times: np.ndarray  # of the arrivals [B, K], ascending [steps]
    jumps: np.ndarray  # by which each arrival raises the currents [B, K, N]
    ends: np.ndarray  # when each sample ends [B], in steps
    sends: np.ndarray  # recurrent weights [N, N], row n of neuron n's targets; empty without recurrence


class TimedSpikes(NamedTuple):
    """Holds the spikes of each sample [B, R], ordered by the arrivals between which they fall."""

    times: np.ndarray  # [B, R], in steps
    source: np.ndarray  # int64 [B, R], which neuron fired
    slope: np.ndarray  # [B, R], of the potential at the threshold, per step
    before: np.ndarray  # int64 [B, R], the number of the arrival that comes next
    count: np.ndarray  # int64 [B]; more than R where not all could be stored


@row
def share(membrane):
    return membrane.tau_syn / (membrane.tau_mem - membrane.tau_syn)


@row
def crossing(u, i, left, membrane):
    """Return the steps until potential u, driven by current i, reaches the threshold; infinity if more than `left`.

    Without events u(t) = a e^(-t / tau_mem) - b e^(-t / tau_syn). It rises to its only maximum, at `high`, and is
    concave on the way, so Newton's method, started at 0, approaches the root from one side.
    """
    mem, syn, theta = membrane.tau_mem, membrane.tau_syn, membrane.threshold
    b = share(membrane) * i
    a = u + b
    ratio = b * mem / (a * syn)
    if not (i > u and ratio > 0.0):  # the potential falls already
        return NEVER
    high = max(min(math.log(ratio) * (mem * syn / (mem - syn)), left), 0.0)
    if not a * math.exp(-high / mem) - b * math.exp(-high / syn) > theta:
        return NEVER
    root = 0.0
    for _ in range(NEWTON_STEPS):
        slow, fast = a * math.exp(-root / mem), b * math.exp(-root / syn)
        following = min(max(root + (theta - slow + fast) / (fast / syn - slow / mem), 0.0), high)
        moved = abs(following - root)
        root = following
        if moved <= ROUNDING * syn:
            break
    return root


@row
def advance(u, i, b, n, span, membrane):
    """Advance u[b, n] and i[b, n], potential and current of a neuron, by `span` steps without events."""
    slow, fast = math.exp(-span / membrane.tau_mem), math.exp(-span / membrane.tau_syn)
    u[b, n] = slow * u[b, n] + share(membrane) * (slow - fast) * i[b, n]
    i[b, n] = fast * i[b, n]


@row
def record_spike(fired, b, number, at, n, u, i, k, membrane):
    """Store in `fired` a spike of neuron n at time `at`, before arrival k, if it fits; return `number` + 1.

    `number` counts the spikes of sample b so far; u and i [B, N] are potentials and currents at the spike.
    """
    if number < fired.times.shape[1]:
        fired.times[b, number] = at
        fired.source[b, number] = n
        fired.slope[b, number] = (i[b, n] - u[b, n]) / membrane.tau_mem
        fired.before[b, number] = k
    return number + 1


@row
def fire_apart(membrane, u, i, fired, b, k, now, barrier, number):
    """Advance the unconnected neurons of sample b from time `now` to arrival k at time `barrier`, one by one.

    u and i [B, N] are updated, and spikes stored in `fired`. `number` counts the sample's spikes so far. Returns
    the new count, or `WITHOUT_END`.
    """
    for n in range(u.shape[1]):
        at, left, firings = now, max(barrier - now, 0.0), 0
        delay = crossing(u[b, n], i[b, n], left, membrane)
        while delay < NEVER:
            if firings == MOST_FIRINGS:
                return WITHOUT_END
            firings += 1
            advance(u, i, b, n, delay, membrane)
            at = min(at + delay, barrier)
            number = record_spike(fired, b, number, at, n, u, i, k, membrane)
            u[b, n] = 0.0
            left = max(barrier - at, 0.0)
            delay = crossing(0.0, i[b, n], left, membrane)
        advance(u, i, b, n, left, membrane)
    return number


@row
def fire_together(membrane, sends, u, i, delay, fired, b, k, now, barrier, number):
    """Advance the recurrently connected neurons of sample b from time `now` to arrival k at `barrier`, together.

    All advance to the first spike; neurons that reach the threshold at the same time fire together. `sends` are the
    recurrent weights, delay [B, N] is scratch memory; otherwise as `fire_apart`.
    """
    neurons = u.shape[1]
    for _ in range(MOST_FIRINGS):
        left = max(barrier - now, 0.0)
        span, fires = left, False
        for n in range(neurons):
            delay[b, n] = crossing(u[b, n], i[b, n], left, membrane)
            if delay[b, n] <= span:
                span, fires = delay[b, n], True
        for n in range(neurons):
            advance(u, i, b, n, span, membrane)
        if not fires:
            return number
        now = min(now + span, barrier)
        for n in range(neurons):
            if delay[b, n] <= span:
                number = record_spike(fired, b, number, now, n, u, i, k, membrane)
        for n in range(neurons):
            if delay[b, n] <= span:
                u[b, n] = 0.0
                for j in range(neurons):
                    i[b, j] += sends[n, j]
    return WITHOUT_END


@row
def count_coming(arriving, b):
    """Return how many arrivals of sample b come before its end."""
    k = 0
    while k < arriving.times.shape[1] and arriving.times[b, k] < arriving.ends[b]:
        k += 1
    return k


@loop
def simulate(membrane, arriving, u, i, delay, fired, low, high):
    """Simulate samples [low, high) to their ends, and store their spikes in `fired`, a `TimedSpikes`.

    `arriving` is a `TimedArrivals`. u and i [B, N], potentials and currents, are 0 at first; delay [B, N] is
    scratch memory for recurrent layers. fired.count is `WITHOUT_END` for a sample of endless firing.
    """
    for b in range(low, high):
        now, number, count = 0.0, 0, count_coming(arriving, b)
        for k in range(count + 1):
            barrier = arriving.times[b, k] if k < count else arriving.ends[b]
            if arriving.sends.size:
                number = fire_together(membrane, arriving.sends, u, i, delay, fired, b, k, now, barrier, number)
            else:
                number = fire_apart(membrane, u, i, fired, b, k, now, barrier, number)
            if number == WITHOUT_END:
                break
            if k < count:
                for n in range(u.shape[1]):
                    i[b, n] += arriving.jumps[b, k, n]
            now = barrier
        fired.count[b] = number


class Adjoints(NamedTuple):
    """Holds the adjoint state of each neuron: derivatives of the loss, and the time to which they belong."""

    p: np.ndarray  # derivative by the potential [B, N]
    q: np.ndarray  # derivative by the current [B, N]
    at: np.ndarray  # time to which both belong [B, N], in steps


class Gradients(NamedTuple):
    """Holds the derivatives of the loss by the inputs and recurrent weights of a layer; see `TimedArrivals`."""

    times: np.ndarray  # by the times of arrivals [B, K]
    jumps: np.ndarray  # by their jumps of currents [B, K, N]
    sends: np.ndarray  # by the recurrent weights [N, N]


@row_backward
def move_back(adjoints, b, n, to, membrane):
    """Move the adjoint state of neuron n in sample b back to the earlier time `to`, without events between."""
    p, q, span = adjoints.p, adjoints.q, adjoints.at[b, n] - to
    slow, fast = math.exp(-span / membrane.tau_mem), math.exp(-span / membrane.tau_syn)
    q[b, n] = fast * q[b, n] + share(membrane) * (slow - fast) * p[b, n]
    p[b, n] = slow * p[b, n]
    adjoints.at[b, n] = to


@row_backward
def slope_by_arrival(adjoints, b, n, membrane):
    """Return the derivative of the loss by the time at which a unit of current arrives at neuron n of sample b."""
    return adjoints.q[b, n] / membrane.tau_syn - adjoints.p[b, n] / membrane.tau_mem


@row_backward
def cross_spike(adjoints, fired, by_time, b, m, membrane):
    """Move the adjoint of a neuron's potential back across spike m of sample b.

    by_time[b, m] is the derivative of the loss by the time of that spike.
    """
    n, slope = fired.source[b, m], fired.slope[b, m]
    after = slope + membrane.threshold / membrane.tau_mem
    adjoints.p[b, n] = (after * adjoints.p[b, n] - by_time[b, m]) / slope


@row_backward
def cross_together(adjoints, fired, by_time, arriving, gradients, b, m, membrane):
    """Move all adjoints of sample b back across the spikes that are simultaneous with spike m.

    Adds to `by_time` and to the gradient of the recurrent weights what these spikes did to the other neurons.
    Returns the number of the first of the simultaneous spikes.
    """
    at, sends, neurons = fired.times[b, m], arriving.sends, adjoints.p.shape[1]
    first = m
    while first > 0 and fired.times[b, first - 1] == at and fired.before[b, first - 1] == fired.before[b, m]:
        first -= 1
    for j in range(neurons):
        move_back(adjoints, b, j, at, membrane)
    for s in range(first, m + 1):
        n = fired.source[b, s]
        for j in range(neurons):
            by_time[b, s] += slope_by_arrival(adjoints, b, j, membrane) * sends[n, j]
            gradients.sends[n, j] += adjoints.q[b, j]
    for s in range(first, m + 1):
        cross_spike(adjoints, fired, by_time, b, s, membrane)
    return first


@loop_backward
def pull_back(membrane, arriving, fired, by_time, adjoints, gradients, low, high):
    """Propagate adjoints backward through samples [low, high), and add to `gradients` (`Gradients`), 0 at first.

    `arriving` and `fired` are those of `simulate`, with the spikes in order of time. by_time [B, R] is the
    derivative of the loss by spike times, and is overwritten. A recurrent layer sums `gradients.sends` over
    samples, so all its samples must be in one call.
    """
    for b in range(low, high):
        count, m = count_coming(arriving, b), fired.count[b] - 1
        for n in range(adjoints.p.shape[1]):
            adjoints.p[b, n] = adjoints.q[b, n] = 0.0
            adjoints.at[b, n] = arriving.ends[b]
        for k in range(count, -1, -1):
            if k < count:
                for n in range(adjoints.p.shape[1]):
                    move_back(adjoints, b, n, arriving.times[b, k], membrane)
                    gradients.jumps[b, k, n] = adjoints.q[b, n]
                    gradients.times[b, k] += slope_by_arrival(adjoints, b, n, membrane) * arriving.jumps[b, k, n]
            while m >= 0 and fired.before[b, m] == k:
                if arriving.sends.size:
                    m = cross_together(adjoints, fired, by_time, arriving, gradients, b, m, membrane)
                else:
                    move_back(adjoints, b, fired.source[b, m], fired.times[b, m], membrane)
                    cross_spike(adjoints, fired, by_time, b, m, membrane)
                m -= 1
