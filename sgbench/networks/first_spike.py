"""A network whose neurons fire at most once, at times that have a closed form."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import InputError, require_choice, require_number
from sgbench.networks.base import Provided
from sgbench.networks.layers import DenseLayer
from sgbench.networks.spike_times import (
    Arrivals,
    Membrane,
    ReadoutActivity,
    Spikes,
    SpikeTimes,
    sort_spikes,
    times_as_output,
)

MEMBRANES = ("no_leak", "double")
LONGEST = 600.0
"""Longest sample in synaptic time constants, up to which exponentials are finite in float64."""
ROUNDING = 1e-9
"""Tolerance for a spike time at the ends of its interval [synaptic time constants]."""


class FirstSpike(SpikeTimes):
    r"""Wires dense layers of neurons that fire at most once, trained by the exact gradient of their spike times.

    An input spike of weight w_j at time :math:`t_j` adds a current that decays with :math:`\tau_s`. Let C be the
    shortest set of earliest arrivals after which the potential V reaches the threshold before the next arrival.
    Then a neuron fires at

    .. math::
        \text{no\_leak: } & V(t) = \sum_{j \in C} w_j (1 - e^{-(t - t_j)/\tau_s}), &
        t &= \tau_s \ln \frac{\sum_C w_j e^{t_j/\tau_s}}{\sum_C w_j - \theta} \\
        \text{double } (\tau_m = 2 \tau_s)\text{: } & V(t) = \sum_{j \in C} w_j (e^{-(t - t_j)/\tau_m} -
        e^{-(t - t_j)/\tau_s}), & t &= 2 \tau_s \ln \frac{2 a_1}{a_2 + \sqrt{a_2^2 - 4 a_1 \theta}}

    with :math:`a_1 = \sum_C w_j e^{t_j/\tau_s}, a_2 = \sum_C w_j e^{t_j/\tau_m}`. Gradients are the derivatives of
    these formulas (they agree with central differences to 1e-6 while C stays the same). Simultaneous arrivals are
    all in C or none. If a potential just touches the threshold the gradient is unbounded; a silent neuron has none
    (see `wake`). The output is minus the spike times of the readout, in every step.

    Args:
        provided: parts of the run to build from.
        hidden: number of neurons of each hidden layer.
        membrane: "no_leak", or "double" (tau_m = 2 tau_s).
        tau_syn_s: time constant tau_s of the synaptic current [s].
        threshold: theta, above 0 [units of V].
        wake: subtracted from the gradient of weights into a neuron that is silent in the whole batch, so that they
            grow; 0 for exact gradients.
        dt_s: duration of a step [s].

    Raises:
        InputError: a value out of range; in `unroll`, a sample longer than 600 synaptic time constants.

    Source: Mostafa 2017, IEEE Transactions on Neural Networks and Learning Systems 29(7) (no_leak); Göltz et al.
    2021, Nature Machine Intelligence 3 (double).
    """

    firings: ClassVar[str] = "first"

    def __init__(
        self,
        provided: Provided,
        *,
        hidden: Sequence[int],
        membrane: str,
        tau_syn_s: float,
        threshold: float,
        wake: float,
        dt_s: float,
    ) -> None:
        leaks = require_choice("network.membrane", membrane, MEMBRANES) == "double"
        tau = require_number("network.tau_syn_s", tau_syn_s, low=0, open_low=True) / dt_s
        threshold = require_number("network.threshold", threshold, low=0, open_low=True)
        super().__init__(
            provided,
            hidden=hidden,
            membrane=Membrane(tau_mem=2 * tau if leaks else math.inf, tau_syn=tau, threshold=threshold),
            recurrence="none",
            fires=True,
            wake=wake,
        )

    def compute_spikes(self, layer: DenseLayer, arrivals: Arrivals, ends: Tensor) -> tuple[Spikes, Tensor]:
        times = first_spikes(arrivals, ends, self.membrane)
        return sort_spikes(times), times.detach().isinf().double().mean(0)

    def compute_output(self, layer: DenseLayer, arrivals: Arrivals, lengths: Tensor, steps: int) -> ReadoutActivity:
        times = first_spikes(arrivals, lengths.double(), self.membrane)
        return ReadoutActivity(
            output=times_as_output(times, lengths, steps),
            times=times,
            spikes=sort_spikes(times),
            u=torch.zeros_like(times.detach()),
        )


def first_spikes(arrivals: Arrivals, ends: Tensor, membrane: Membrane) -> Tensor:
    """Compute the time at which each neuron first reaches the threshold [B, N], infinite if not before the end.

    `arrivals`: times [B, K] and jumps [B, K, N] of the currents, in float64. `ends`: ends of the samples [B].
    `membrane`: without a leak, or with tau_mem = 2 tau_syn.

    >>> arrivals = Arrivals(torch.tensor([[1.0]]).double(), torch.tensor([[[2.0, 0.9]]]).double())
    >>> times = first_spikes(arrivals, torch.tensor([20.0]).double(), Membrane(math.inf, 5.0, 1.0))
    >>> [round(time, 4) for time in times[0].tolist()]  # 1 + 5 ln 2, and never
    [4.4657, inf]
    """
    _require_short(ends, membrane)
    exists = arrivals.times < ends[:, None]
    arrival = torch.where(exists, arrivals.times, 0.0)
    jumps = arrivals.jumps.masked_fill(~exists[..., None], 0.0)
    # Find the set C of each neuron, without gradient: compute the spike time for all prefixes of arrivals. Take the
    # first prefix whose time lies before the next arrival.
    with torch.no_grad():
        sums = [term.cumsum(1) for term in _arrival_terms(jumps, arrival, membrane)]
        time, reaches = _crossing_time(sums, membrane)
        # Times of the arrivals and infinity: entry k + 1 is the arrival after arrival k.
        later = torch.nn.functional.pad(torch.where(exists, arrivals.times, math.inf), (0, 1), value=math.inf)
        slack = ROUNDING * membrane.tau_syn
        inside = (time >= arrival[..., None] - slack) & (time <= later[:, 1:, None] + slack)
        valid = reaches & inside & exists[..., None]
        fires = valid.any(1)
        last = valid.to(torch.int8).argmax(1) if valid.shape[1] else fires.long()
        used = torch.arange(arrival.shape[1], device=last.device)[:, None] <= last[:, None]  # [B, K, N]
    sums = [term.sum(1) for term in _arrival_terms(jumps.masked_fill(~used, 0.0), arrival, membrane)]
    time, reaches = _crossing_time(sums, membrane)
    return torch.where(fires & reaches & (time < ends[:, None]), time, math.inf)


def _arrival_terms(jumps: Tensor, arrival: Tensor, membrane: Membrane) -> list[Tensor]:
    """Compute the terms whose sums over C enter the formulas of `FirstSpike`, for each arrival [B, K, N].

    These are w e^{t/tau_s}, and w e^{t/tau_m}, or w without a leak.
    """
    synaptic = jumps * (arrival / membrane.tau_syn).exp()[..., None]
    has_leak = not math.isinf(membrane.tau_mem)
    return [synaptic, jumps * (arrival / membrane.tau_mem).exp()[..., None] if has_leak else jumps]


def _crossing_time(sums: Sequence[Tensor], membrane: Membrane) -> tuple[Tensor, Tensor]:
    """Compute spike times by the formulas of `FirstSpike`, and whether the threshold is reached at all.

    `sums` are those of `_arrival_terms` over a set C. Where the threshold is not reached the formula's arguments are
    replaced, since the gradient of a NaN would be NaN even if its value is not used.
    """
    first, second = sums
    theta, tau = membrane.threshold, membrane.tau_syn
    if math.isinf(membrane.tau_mem):
        reaches = (second > theta) & (first > 0)
        excess = torch.where(reaches, second - theta, 1.0)
        return tau * (torch.where(reaches, first, 1.0) / excess).log(), reaches
    discriminant = second.square() - 4 * theta * first
    reaches = (first > 0) & (second > 0) & (discriminant > 0)
    root = torch.where(reaches, discriminant, 1.0).sqrt()
    ratio = 2 * torch.where(reaches, first, 1.0) / torch.where(reaches, second + root, 2.0)
    return 2 * tau * ratio.log(), reaches


def _require_short(ends: Tensor, membrane: Membrane) -> None:
    """Raise an `InputError` if a sample is longer than 600 synaptic time constants."""
    longest = ends.max().item() if ends.numel() else 0.0
    if longest / membrane.tau_syn > LONGEST:
        raise InputError(
            f"network=first_spike: {longest:g} steps are more than {LONGEST:g} synaptic time constants, which its "
            f"closed form cannot hold; use network=event_driven, or a longer network.tau_syn_s"
        )
