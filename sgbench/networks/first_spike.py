"""A network whose neurons fire once at most, at times that have a closed form."""

from __future__ import annotations

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
    in_order,
    times_as_output,
)

MEMBRANES = ("no_leak", "double")
LONGEST = 600.0
"""Steps over the synaptic time constant: e to this power is still a number in float64."""
ROUNDING = 1e-9
"""By how much a time may miss its interval, in synaptic time constants."""


class FirstSpike(SpikeTimes):
    r"""Wires dense layers of neurons that fire at most once, trained by the exact gradient of their spike times.

    A spike at time :math:`t_j` makes a synaptic current that decays with :math:`\tau_s`. With C the earliest
    arrivals after which the potential reaches the threshold before the next one comes, a neuron fires at

    .. math::
        \text{no\_leak: } & V(t) = \sum_{j \in C} w_j (1 - e^{-(t - t_j)/\tau_s}), &
        t &= \tau_s \ln \frac{\sum_C w_j e^{t_j/\tau_s}}{\sum_C w_j - \theta} \\
        \text{double } (\tau_m = 2 \tau_s)\text{: } & V(t) = \sum_{j \in C} w_j (e^{-(t - t_j)/\tau_m} -
        e^{-(t - t_j)/\tau_s}), & t &= 2 \tau_s \ln \frac{2 a_1}{a_2 + \sqrt{a_2^2 - 4 a_1 \theta}}

    with :math:`a_1 = \sum_C w_j e^{t_j/\tau_s}, a_2 = \sum_C w_j e^{t_j/\tau_m}`. Gradients are those of these
    formulas (central differences to 1e-6 while C stays the same). Of arrivals at the same time all are in C or
    none; where a potential just reaches the threshold the gradient has no bound; a neuron that is silent, or would
    fire after the sample's end, has none (see `wake`). The answer is `times` of the readout, and minus these in
    every step as output.

    Args:
        provided: what the builder gives.
        hidden: neurons per hidden layer.
        membrane: "no_leak" or "double".
        tau_syn_s: of the synaptic current [s].
        threshold: theta [units of V].
        wake: what is taken from the gradient of a weight into a neuron that is silent in the whole batch; 0 leaves
            gradients exact.
        dt_s: duration of a step [s].

    Raises:
        InputError: a value out of range; when it runs, a sample of more than 600 time constants.

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
        numbers = Membrane(2 * tau if leaks else math.inf, tau, threshold)
        super().__init__(
            provided,
            hidden=hidden,
            membrane=numbers,
            recurrence="none",
            fires=True,
            wake=wake,
        )

    def fired(self, layer: DenseLayer, arrivals: Arrivals, ends: Tensor) -> tuple[Spikes, Tensor]:
        """Compute one spike of each neuron at most."""
        times = first_spikes(arrivals, ends, self.membrane)
        return in_order(times), times.detach().isinf().double().mean(0)

    def answered(self, layer: DenseLayer, arrivals: Arrivals, lengths: Tensor, steps: int) -> ReadoutActivity:
        """Return the times of the readout."""
        times = first_spikes(arrivals, lengths.double(), self.membrane)
        return ReadoutActivity(
            times_as_output(times, lengths, steps), times, in_order(times), torch.zeros_like(times.detach())
        )


def first_spikes(arrivals: Arrivals, ends: Tensor, membrane: Membrane) -> Tensor:
    """Return when each neuron first reaches the threshold [B, N], infinite where it does not before the end.

    Args:
        arrivals: times [B, K] and jumps [B, K, N], in float64.
        ends: of samples [B].
        membrane: without a leak, or of twice the synaptic time constant.

    Raises:
        InputError: a sample of more than 600 synaptic time constants.

    >>> arrivals = Arrivals(torch.tensor([[1.0]]).double(), torch.tensor([[[2.0, 0.9]]]).double())
    >>> times = first_spikes(arrivals, torch.tensor([20.0]).double(), Membrane(math.inf, 5.0, 1.0))
    >>> [round(time, 4) for time in times[0].tolist()]  # 1 + 5 ln 2, and never
    [4.4657, inf]
    """
    _require_short(ends, membrane)
    comes = arrivals.times < ends[:, None]
    at = torch.where(comes, arrivals.times, 0.0)
    jumps = arrivals.jumps.masked_fill(~comes[..., None], 0.0)
    # The last prefix of arrivals that the spike is made of, from all prefixes at once and without gradient.
    with torch.no_grad():
        sums = [term.cumsum(1) for term in _weighted(jumps, at, membrane)]
        time, reaches = _crossing(sums, membrane)
        upcoming = torch.nn.functional.pad(
            torch.where(comes, arrivals.times, math.inf), (0, 1), value=math.inf
        )
        slack = ROUNDING * membrane.tau_syn
        inside = (time >= at[..., None] - slack) & (time <= upcoming[:, 1:, None] + slack)
        valid = reaches & inside & comes[..., None]
        fires = valid.any(1)
        last = valid.to(torch.int8).argmax(1) if valid.shape[1] else fires.long()
        used = torch.arange(at.shape[1], device=at.device)[:, None] <= last[:, None]  # [B, K, N]
    sums = [term.sum(1) for term in _weighted(jumps.masked_fill(~used, 0.0), at, membrane)]
    time, reaches = _crossing(sums, membrane)
    return torch.where(fires & reaches & (time < ends[:, None]), time, math.inf)


def _weighted(jumps: Tensor, at: Tensor, membrane: Membrane) -> list[Tensor]:
    """Return the two terms of each arrival's part in the formula [B, K, N]."""
    synaptic = jumps * (at / membrane.tau_syn).exp()[..., None]
    leaks = not math.isinf(membrane.tau_mem)
    return [synaptic, jumps * (at / membrane.tau_mem).exp()[..., None] if leaks else jumps]


def _crossing(sums: Sequence[Tensor], membrane: Membrane) -> tuple[Tensor, Tensor]:
    """Return when the potential of these sums rises through the threshold, and where it does at all."""
    first, second = sums
    theta, tau = membrane.threshold, membrane.tau_syn
    if math.isinf(membrane.tau_mem):
        reaches = (second > theta) & (first > 0)
        left = torch.where(reaches, second - theta, 1.0)
        return tau * (torch.where(reaches, first, 1.0) / left).log(), reaches
    square = second.square() - 4 * theta * first
    reaches = (first > 0) & (second > 0) & (square > 0)
    root = torch.where(reaches, square, 1.0).sqrt()
    ratio = 2 * torch.where(reaches, first, 1.0) / torch.where(reaches, second + root, 2.0)
    return 2 * tau * ratio.log(), reaches


def _require_short(ends: Tensor, membrane: Membrane) -> None:
    longest = ends.max().item() if ends.numel() else 0.0
    if longest / membrane.tau_syn > LONGEST:
        raise InputError(
            f"network=first_spike: {longest:g} steps are more than {LONGEST:g} synaptic time constants, which its "
            f"closed form cannot hold; use network=event_driven, or a longer network.tau_syn_s"
        )
