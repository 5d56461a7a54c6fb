"""A network of current-based neurons that goes from spike to spike, with EventProp's gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sgbench.engine.fused import missing
from sgbench.errors import InputError, require_choice, require_number
from sgbench.networks.base import Provided
from sgbench.networks.layers import DenseLayer
from sgbench.networks.spike_times import (
    Arrivals,
    Membrane,
    ReadoutActivity,
    Spikes,
    SpikeTimes,
    times_as_output,
)

ANSWERS = ("potential", "first_spike")
WIRINGS = ("none", "all_to_all")


class EventDriven(SpikeTimes):
    r"""Runs dense current-based leaky neurons from spike to spike, trained by EventProp, their exact gradient.

    .. math:: \tau_m \dot V = -V + I, \qquad \dot I = -I / \tau_s + \sum_k w_k \delta(t - t_k), \qquad
        V \to 0 \text{ where } V = \theta

    Neurons fire as often as they reach the threshold. Between events both equations are solved in closed form; the
    gradient is the adjoint system, one jump a spike (central differences to 1e-6 while spikes keep their order and
    none comes or goes). Where spikes come or go the loss itself jumps, which no gradient shows; where two swap
    their order it is continuous and its slope is that of either side. Of spikes at one time in a recurrent
    layer each has the slope of the others held. Where a potential just reaches the threshold the gradient has no
    bound.

    The answer is the readout's potential at the end of each step, without a threshold, or `times` of readout
    neurons that fire, and minus these in every step as output.

    Args:
        provided: what the builder gives.
        hidden: neurons per hidden layer.
        recurrence: of hidden layers, "none" or "all_to_all"; a spike arrives at once.
        answer: "potential" or "first_spike".
        tau_mem_s: of the potential [s].
        tau_syn_s: of the current [s], another than that of the potential.
        threshold: theta [units of V].
        wake: what is taken from the gradient of a weight into a neuron that is silent in the whole batch; 0 leaves
            gradients exact.
        dt_s: duration of a step [s].

    Raises:
        InputError: a value out of range, or no compiled loops on this machine.

    Source: Wunderlich & Pehle 2021, Scientific Reports 11:12829.
    """

    def __init__(  # noqa: PLR0913 - one argument per symbol of the equations
        self,
        provided: Provided,
        *,
        hidden: Sequence[int],
        recurrence: str,
        answer: str,
        tau_mem_s: float,
        tau_syn_s: float,
        threshold: float,
        wake: float,
        dt_s: float,
    ) -> None:
        require_choice("network.recurrence", recurrence, WIRINGS)
        fires = require_choice("network.answer", answer, ANSWERS) == "first_spike"
        mem = require_number("network.tau_mem_s", tau_mem_s, low=0, open_low=True) / dt_s
        syn = require_number("network.tau_syn_s", tau_syn_s, low=0, open_low=True) / dt_s
        if abs(mem - syn) < 1e-3 * syn:
            raise InputError(
                f"network.tau_syn_s={tau_syn_s:g}: is network.tau_mem_s to a thousandth, where the solution has "
                f"another form; use network.tau_syn_s={0.99 * tau_mem_s:g}"
            )
        lacking = missing()
        if lacking is not None:
            raise InputError(f"network=event_driven: {lacking}")
        super().__init__(
            provided,
            hidden=hidden,
            membrane=Membrane(mem, syn, require_number("network.threshold", threshold, low=0, open_low=True)),
            recurrence=recurrence,
            fires=fires,
            wake=wake,
        )

    def fired(self, layer: DenseLayer, arrivals: Arrivals, ends: Tensor) -> tuple[Spikes, Tensor]:
        """Compute all spikes of each neuron, and the share of samples in which it is silent."""
        from sgbench.networks.event_simulation import run_events

        recurrent = None if layer.recurrent is None else layer.recurrent.double()
        spikes, _ = run_events(arrivals, ends, self.membrane, recurrent)
        first = first_of_each(Spikes(spikes.times.detach(), spikes.source), layer.neurons)
        return spikes, first.isinf().double().mean(0)

    def answered(self, layer: DenseLayer, arrivals: Arrivals, lengths: Tensor, steps: int) -> ReadoutActivity:
        """Compute the answer: potentials of the readout, or the first of its spikes."""
        from sgbench.networks.event_simulation import run_events

        if layer.neuron.output == "real":
            output = potentials(arrivals, steps, self.membrane)
            last = (lengths - 1).view(1, -1, 1).expand(1, -1, output.shape[2])
            return ReadoutActivity(output, None, None, output.detach().gather(0, last)[0])
        spikes, u = run_events(arrivals, lengths.double(), self.membrane, None)
        times = first_of_each(spikes, layer.neurons)
        return ReadoutActivity(times_as_output(times, lengths, steps), times, spikes, u)


def first_of_each(spikes: Spikes, neurons: int) -> Tensor:
    """Return when each neuron first fires [B, N], infinite where it does not.

    >>> first_of_each(Spikes(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1, 1, 0]])), 3).tolist()
    [[3.0, 1.0, inf]]
    """
    never = spikes.times.new_full((len(spikes.times), neurons), torch.inf)
    return never.scatter_reduce(1, spikes.source, spikes.times, "amin")


def potentials(arrivals: Arrivals, steps: int, membrane: Membrane) -> Tensor:
    r"""Return the potential of neurons without a threshold at the end of each step [T, B, N].

    .. math:: V(t) = k \sum_{t_j < t} w_j (e^{-(t - t_j)/\tau_m} - e^{-(t - t_j)/\tau_s})

    Args:
        arrivals: at the neurons.
        steps: T.
        membrane: of the neurons, whose threshold is not used.
    """
    ends = torch.arange(1, steps + 1, dtype=torch.float64, device=arrivals.times.device)
    since = ends[:, None, None] - arrivals.times  # [T, B, K]
    inside = since > 0
    since = torch.where(inside, since, 0.0)  # where both exponentials are the same
    kernel = membrane.share * ((-since / membrane.tau_mem).exp() - (-since / membrane.tau_syn).exp())
    return torch.einsum("tbk,bkn->tbn", kernel, arrivals.jumps)
