"""Current-based neurons from spike to spike, and the adjoint of their spike times, compiled by numba.

Legend: B samples, K arrivals of a sample, N neurons, R room for spikes of a sample. Times and time constants count
steps. The equations are in `sgbench.networks.event_simulation`, and so is what a `membrane` holds.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sgbench.engine.kernels.codes import loop, loop_backward, row, row_backward

NEVER = math.inf
MOST_FIRINGS = 2000  # of one neuron, or of one recurrent layer and sample, between two arrivals
WITHOUT_END = -1  # in place of a number of spikes
NEWTON_STEPS = 100
ROUNDING = 1e-15  # of a step of Newton's, in synaptic time constants


class TimedArrivals(NamedTuple):
    """Holds what reaches a layer, and what its neurons send to each other."""

    times: np.ndarray  # [B, K] ascending
    jumps: np.ndarray  # of currents [B, K, N]
    ends: np.ndarray  # of samples [B]
    sends: np.ndarray  # [N, N], row n of what neuron n sends; empty without recurrence


class TimedSpikes(NamedTuple):
    """Holds the spikes of each sample, those after an arrival after those before it."""

    times: np.ndarray  # [B, R]
    source: np.ndarray  # int64, which neuron
    slope: np.ndarray  # of the potential, before it is reset
    before: np.ndarray  # int64, the number of the arrival that comes next
    count: np.ndarray  # int64 [B]; more than R where there was no room for all


@row
def share(membrane):
    """Return by what a current is multiplied in the potential that it makes."""
    return membrane.tau_syn / (membrane.tau_mem - membrane.tau_syn)


@row
def crossing(u, i, left, membrane):
    """Return the steps until a potential reaches the threshold; infinite if more than `left`.

    It rises up to its only extremum and is concave there, so Newton's steps from 0 come to the root from one side.
    """
    mem, syn, theta = membrane.tau_mem, membrane.tau_syn, membrane.threshold
    b = share(membrane) * i
    a = u + b
    ratio = b * mem / (a * syn)
    if not (i > u and ratio > 0.0):
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
    """Move the potential and the current of a neuron over a window without events."""
    slow, fast = math.exp(-span / membrane.tau_mem), math.exp(-span / membrane.tau_syn)
    u[b, n] = slow * u[b, n] + share(membrane) * (slow - fast) * i[b, n]
    i[b, n] = fast * i[b, n]


@row
def record_spike(fired, b, number, at, n, u, i, k, membrane):
    """Write down that neuron n fires before arrival k, if there is room; return how many there are."""
    if number < fired.times.shape[1]:
        fired.times[b, number] = at
        fired.source[b, number] = n
        fired.slope[b, number] = (i[b, n] - u[b, n]) / membrane.tau_mem
        fired.before[b, number] = k
    return number + 1


@row
def fire_apart(membrane, u, i, fired, b, k, now, barrier, number):
    """Advance neurons that do not hear each other to arrival k, each with a clock of its own."""
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
    """Advance neurons that hear each other to arrival k: all wait for the first, and those at once fire at once."""
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
    """Count how many arrivals of a sample come before its end."""
    k = 0
    while k < arriving.times.shape[1] and arriving.times[b, k] < arriving.ends[b]:
        k += 1
    return k


@loop
def simulate(membrane, arriving, u, i, delay, fired, low, high):
    """Run samples [low, high) to their ends; u and i [B, N] are 0, `delay` [B, N] is room of recurrent layers."""
    for b in range(low, high):
        now, number, come = 0.0, 0, count_coming(arriving, b)
        for k in range(come + 1):
            barrier = arriving.times[b, k] if k < come else arriving.ends[b]
            if arriving.sends.size:
                number = fire_together(
                    membrane, arriving.sends, u, i, delay, fired, b, k, now, barrier, number
                )
            else:
                number = fire_apart(membrane, u, i, fired, b, k, now, barrier, number)
            if number == WITHOUT_END:
                break
            if k < come:
                for n in range(u.shape[1]):
                    i[b, n] += arriving.jumps[b, k, n]
            now = barrier
        fired.count[b] = number


class Adjoints(NamedTuple):
    """Holds the derivatives of the loss by potentials and currents, on the way back, and how far each has come."""

    p: np.ndarray  # by the potential [B, N]
    q: np.ndarray  # by the current [B, N]
    at: np.ndarray  # [B, N]


class Gradients(NamedTuple):
    """Holds the derivatives of the loss by what a layer is given."""

    times: np.ndarray  # by those of arrivals [B, K]
    jumps: np.ndarray  # [B, K, N]
    sends: np.ndarray  # [N, N]


@row_backward
def bring(adjoints, b, n, to, membrane):
    """Move the adjoints of a neuron back to an earlier moment, over a window without events."""
    p, q, span = adjoints.p, adjoints.q, adjoints.at[b, n] - to
    slow, fast = math.exp(-span / membrane.tau_mem), math.exp(-span / membrane.tau_syn)
    q[b, n] = fast * q[b, n] + share(membrane) * (slow - fast) * p[b, n]
    p[b, n] = slow * p[b, n]
    adjoints.at[b, n] = to


@row_backward
def later(adjoints, b, n, membrane):
    """Return what a unit of current is worth per step by which it comes later."""
    return adjoints.q[b, n] / membrane.tau_syn - adjoints.p[b, n] / membrane.tau_mem


@row_backward
def cross_spike(adjoints, fired, by_time, b, m, membrane):
    """Move the adjoint of a potential across spike m, of which `by_time` is what its delay is worth."""
    n, slope = fired.source[b, m], fired.slope[b, m]
    after = slope + membrane.threshold / membrane.tau_mem
    adjoints.p[b, n] = (after * adjoints.p[b, n] - by_time[b, m]) / slope


@row_backward
def cross_together(adjoints, fired, by_time, arriving, gradients, b, m, membrane):
    """Move all adjoints across the spikes at the moment of spike m; return the first of them."""
    at, sends, neurons = fired.times[b, m], arriving.sends, adjoints.p.shape[1]
    first = m
    while first > 0 and fired.times[b, first - 1] == at and fired.before[b, first - 1] == fired.before[b, m]:
        first -= 1
    for j in range(neurons):
        bring(adjoints, b, j, at, membrane)
    for s in range(first, m + 1):
        n = fired.source[b, s]
        for j in range(neurons):
            by_time[b, s] += later(adjoints, b, j, membrane) * sends[n, j]
            gradients.sends[n, j] += adjoints.q[b, j]
    for s in range(first, m + 1):
        cross_spike(adjoints, fired, by_time, b, s, membrane)
    return first


@loop_backward
def pull_back(membrane, arriving, fired, by_time, adjoints, gradients, low, high):
    """Propagate adjoints back through samples [low, high), with spikes in the order of time and gradients of 0.

    `by_time` [B, R] are derivatives of the loss by spike times, and is written to. A recurrent layer adds up
    `gradients.sends` over samples, so one call takes them all.
    """
    for b in range(low, high):
        come, m = count_coming(arriving, b), fired.count[b] - 1
        for n in range(adjoints.p.shape[1]):
            adjoints.p[b, n] = adjoints.q[b, n] = 0.0
            adjoints.at[b, n] = arriving.ends[b]
        for k in range(come, -1, -1):
            if k < come:
                for n in range(adjoints.p.shape[1]):
                    bring(adjoints, b, n, arriving.times[b, k], membrane)
                    gradients.jumps[b, k, n] = adjoints.q[b, n]
                    gradients.times[b, k] += later(adjoints, b, n, membrane) * arriving.jumps[b, k, n]
            while m >= 0 and fired.before[b, m] == k:
                if arriving.sends.size:
                    m = cross_together(adjoints, fired, by_time, arriving, gradients, b, m, membrane)
                else:
                    bring(adjoints, b, fired.source[b, m], fired.times[b, m], membrane)
                    cross_spike(adjoints, fired, by_time, b, m, membrane)
                m -= 1
