"""A network of current-based neurons, simulated from spike to spike and trained by EventProp."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fastspiking.fused import import_problem
from sgbench.errors import InputError, require_choice, require_number
from sgbench.networks.base import Provided
from sgbench.networks.layers import DenseLayer
from sgbench.networks.spike_times import Arrivals, Membrane, ReadoutActivity, Spikes, SpikeTimes, times_as_output

ANSWERS = ("potential", "first_spike")
WIRINGS = ("none", "all_to_all")


class EventDriven(SpikeTimes):
    r"""Simulates dense layers of current-based leaky neurons from spike to spike, with exact gradients (EventProp).

    .. math:: \tau_m \dot V = -V + I, \qquad \dot I = -I / \tau_s + \sum_k w_k \delta(t - t_k), \qquad
        V \to 0 \text{ where } V = \theta

    for the potential V, current I, time constants tau_m and tau_s, and weights w of input spikes at t_k. A neuron
    fires each time that V reaches the threshold theta. Between events both equations are solved in closed form.
    Gradients solve the adjoint equations (they agree with central differences to 1e-6 while the number and order of
    spikes stay the same). The loss jumps where a spike appears or vanishes, which no gradient shows. If a potential
    just touches the threshold the gradient is unbounded. Of simultaneous spikes in a recurrent layer each is
    differentiated with the others fixed.

    The output is the readout's potential at the end of each step, without a threshold; or readout neurons fire, and
    the output is minus the time of their first spike, in every step.

    Args:
        provided: parts of the run to build from.
        hidden: number of neurons of each hidden layer.
        recurrence: recurrence of hidden layers, "none" or "all_to_all"; recurrent spikes arrive without delay.
        answer: output of the network, "potential" or "first_spike".
        tau_mem_s: time constant tau_m of the potential [s].
        tau_syn_s: time constant tau_s of the current [s]; must differ from tau_mem_s.
        threshold: theta, above 0 [units of V].
        wake: subtracted from the gradient of weights into a neuron that is silent in the whole batch, so that they
            grow; 0 for exact gradients.
        dt_s: duration of a step [s].

    Raises:
        InputError: a value out of range, or numba, which compiles the loops, cannot be imported.

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
        reason = import_problem()
        if reason is not None:
            raise InputError(f"network=event_driven: {reason}")
        theta = require_number("network.threshold", threshold, low=0, open_low=True)
        super().__init__(
            provided,
            hidden=hidden,
            membrane=Membrane(tau_mem=mem, tau_syn=syn, threshold=theta),
            recurrence=recurrence,
            fires=fires,
            wake=wake,
        )

    def compute_spikes(self, layer: DenseLayer, arrivals: Arrivals, ends: Tensor) -> tuple[Spikes, Tensor]:
        """Compute all spikes of a layer, and the share of samples in which each neuron is silent [N]."""
        from sgbench.networks.event_simulation import run_events

        recurrent = None if layer.recurrent is None else layer.recurrent.double()
        spikes, _ = run_events(arrivals, ends, self.membrane, recurrent)
        first = first_spike_times(Spikes(spikes.times.detach(), spikes.source), layer.neurons)
        return spikes, first.isinf().double().mean(0)

    def compute_output(self, layer: DenseLayer, arrivals: Arrivals, lengths: Tensor, steps: int) -> ReadoutActivity:
        """Compute the readout's potentials, or minus the times of its first spikes; see `SpikeTimes`."""
        from sgbench.networks.event_simulation import run_events

        if layer.neuron.output == "real":
            output = potentials(arrivals, steps, self.membrane)
            last = (lengths - 1).view(1, -1, 1).expand(1, -1, output.shape[2])
            u = output.detach().gather(0, last)[0]
            return ReadoutActivity(output=output, times=None, spikes=None, u=u)
        spikes, u = run_events(arrivals, lengths.double(), self.membrane, None)
        times = first_spike_times(spikes, layer.neurons)
        output = times_as_output(times, lengths, steps)
        return ReadoutActivity(output=output, times=times, spikes=spikes, u=u)


def first_spike_times(spikes: Spikes, neurons: int) -> Tensor:
    """Return the time of each neuron's first spike [B, N]; infinite for silent neurons.

    >>> first_spike_times(Spikes(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1, 1, 0]])), 3).tolist()
    [[3.0, 1.0, inf]]
    """
    never = spikes.times.new_full((len(spikes.times), neurons), torch.inf)
    return never.scatter_reduce(1, spikes.source, spikes.times, "amin")


def potentials(arrivals: Arrivals, steps: int, membrane: Membrane) -> Tensor:
    r"""Compute the potentials of neurons without a threshold at the end of each step [T, B, N].

    .. math:: V(t) = k \sum_{t_j < t} w_j (e^{-(t - t_j)/\tau_m} - e^{-(t - t_j)/\tau_s})

    for jumps w_j of the current at t_j, with k = tau_s / (tau_m - tau_s).

    `arrivals`: times and sizes of the jumps. `steps`: number T of steps. `membrane`: time constants of the neurons; its
    threshold is not used.
    """
    ends = torch.arange(1, steps + 1, dtype=torch.float64, device=arrivals.times.device)
    elapsed = (ends[:, None, None] - arrivals.times).clamp(min=0)  # [T, B, K]; at 0 both exponentials cancel
    kernel = membrane.share * ((-elapsed / membrane.tau_mem).exp() - (-elapsed / membrane.tau_syn).exp())
    return torch.einsum("tbk,bkn->tbn", kernel, arrivals.jumps)
