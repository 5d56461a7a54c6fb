"""The base of networks with spikes at continuous times, not bound to time steps.

Legend: B batch, K arrivals of a sample, N neurons, C outputs, T steps. Times are in steps from the start of a
sample.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from fastspiking.choose import Choice
from fastspiking.signals.spikes import Signal, dense
from fastspiking.signals.trajectory import NOTHING, SPIKES, Keep, Trajectory, valid_steps
from sgbench.errors import InputError, require_number
from sgbench.networks.base import LayerStates, Network, Provided, hidden_sizes
from sgbench.networks.layers import DenseLayer
from sgbench.neurons.synaptic import Synaptic
from sgbench.neurons.synaptic_readout import SynapticReadout
from sgbench.surrogates.zero import Zero


class Membrane(NamedTuple):
    """Holds the parameters of a layer's current-based neurons."""

    tau_mem: float  # time constant of the potential [steps]; infinite without a leak
    tau_syn: float  # time constant of the current [steps]
    threshold: float  # [units of the potential]

    @property
    def share(self) -> float:
        """Return tau_syn / (tau_mem - tau_syn), by which a current enters the potential's solution."""
        return self.tau_syn / (self.tau_mem - self.tau_syn)


class Spikes(NamedTuple):
    """Holds the spikes of a layer, sorted by time; rows are padded with infinite times."""

    times: Tensor  # [B, K], with gradient
    source: Tensor  # index of the neuron that fires [B, K]


class Arrivals(NamedTuple):
    """Holds the input of a layer: times of events, and the jumps that they cause in each neuron's current."""

    times: Tensor  # [B, K], ascending, padded with infinite times
    jumps: Tensor  # [B, K, N]


class ReadoutActivity(NamedTuple):
    """Holds the output of the readout, and its spikes if it fires."""

    output: Tensor  # [T, B, C]
    times: Tensor | None  # first spike of each neuron [B, C], infinite if silent; None if the readout does not fire
    spikes: Spikes | None  # None if the readout does not fire
    u: Tensor  # potential at the sample's end [B, C]


class SpikeTimes(Network):
    """Runs dense layers with spikes at continuous times; gradients flow through these times, in float64.

    An input event in step k arrives at time k. A spike at time t is counted in step floor(t); two spikes of a
    neuron in one step are counted once. Nothing happens after a sample's end. A silent neuron's time has no
    gradient; `wake` gives its weights one.

    `provided`: parts of the run to build from; `membrane`: parameters of all neurons; `wake`: subtracted from the
    gradient of weights into a neuron, times the share of the batch in which it is silent.
    """

    spiking: ClassVar[bool] = False  # neurons have no step, so neuron and surrogate cannot be chosen
    needs_all_steps: ClassVar[str] = "its spikes lie between steps"  # type: ignore[assignment]
    why_no_steps: ClassVar[str | None] = "a network of spike times goes from spike to spike"
    firings: ClassVar[str] = "all"  # spikes of each neuron in a sample: "all" or "first"

    def __init__(
        self,
        provided: Provided,
        *,
        hidden: Sequence[int],
        membrane: Membrane,
        recurrence: str,
        fires: bool,
        wake: float,
    ) -> None:
        super().__init__()
        if provided.engine.requested != "auto":
            raise InputError(
                f"engine={provided.engine.requested}: spikes between steps are computed by none; use engine=auto"
            )
        self.membrane = membrane
        self.wake = require_number("network.wake", wake, low=0)
        sizes = [provided.n_inputs, *hidden_sizes(hidden, bias=False)]
        layers = [
            DenseLayer(f"hidden{number}", n_in, n_out, build_firing_neuron(membrane), recurrence=recurrence)
            for number, (n_in, n_out) in enumerate(itertools.pairwise(sizes))
        ]
        last = build_firing_neuron(membrane) if fires else build_integrating_readout(membrane)
        layers.append(DenseLayer("readout", sizes[-1], provided.n_outputs, last))
        self.set_up(layers, provided)

    @abstractmethod
    def compute_spikes(self, layer: DenseLayer, arrivals: Arrivals, ends: Tensor) -> tuple[Spikes, Tensor]:
        """Compute a hidden layer's spikes, and the share of samples in which each neuron is silent [N].

        `arrivals`: times of its input events [B, K], and their jumps of each neuron's current [B, K, N]; `ends`: end of
        each sample [B], in steps.
        """

    @abstractmethod
    def compute_output(self, layer: DenseLayer, arrivals: Arrivals, lengths: Tensor, steps: int) -> ReadoutActivity:
        """Compute the readout's output in each step, and its spikes if it fires.

        `layer`: the readout, with C neurons. `arrivals`: times of its input events [B, K], and their jumps of each
        neuron's current [B, K, C]. `lengths`: number of steps of each sample [B]. `steps`: number T of steps of the
        output [T, B, C].
        """

    def trained_steps(self, steps: int) -> int:
        return 1

    def runs_on(self) -> Choice:
        return Choice("events", "spikes between steps go from event to event")

    def unroll(
        self, x: Signal, lengths: Tensor, state: LayerStates = None, keep: Keep = NOTHING, *, window: int | None = None
    ) -> Trajectory:
        """Run over all spikes (see `Network.unroll`); `times` are those of the readout if it fires."""
        ends, steps = lengths.double(), x.shape[0]
        times, rows = input_events(dense(x), lengths)
        events = times, rows, None
        sent: list[Spikes] = []
        for layer in self.hidden_layers:
            weight = self._awakened_weight(layer)
            spikes, weight.silent = self.compute_spikes(layer, weight.arrivals(*events), ends)
            sent.append(spikes)
            events = spikes.times, None, spikes.source
        weight = self._awakened_weight(self.readout)
        readout = self.compute_output(self.readout, weight.arrivals(*events), lengths, steps)
        weight.silent = None if readout.times is None else readout.times.detach().isinf().double().mean(0)
        return self._trajectory(readout, sent, lengths, steps, keep)

    def _awakened_weight(self, layer: DenseLayer) -> _AwakenedWeight:
        return _AwakenedWeight(layer.weight.double(), self.wake if self.training else 0.0)

    def _trajectory(
        self, readout: ReadoutActivity, sent: list[Spikes], lengths: Tensor, steps: int, keep: Keep
    ) -> Trajectory:
        """Build the trajectory from the readout's activity and the spikes of hidden layers, counted in steps.

        Its states are those at rest, but for the readout's potential.
        """
        dtype = self.readout.weight.dtype
        if readout.spikes is not None:
            sent = [*sent, readout.spikes]
        layers = [*self.hidden_layers, *([self.readout] if readout.spikes is not None else [])]
        grids = [
            spikes_on_grid(spikes, steps, layer.neurons, dtype)
            for spikes, layer in zip(sent, layers, strict=True)
            if SPIKES in keep
        ]
        states = [
            layer.neuron.initial_state(layer.weight.detach().new_zeros(len(lengths), layer.neurons))
            for layer in (*self.hidden_layers, self.readout)
        ]
        states[-1] = states[-1]._replace(u=readout.u.to(dtype))
        return Trajectory(
            output=readout.output.to(dtype),
            lengths=lengths,
            spikes=tuple(grids),
            u=(),
            state=tuple(states),
            times=None if readout.times is None else readout.times.to(dtype),
        )


class _AwakenedWeight:
    """Holds weights whose gradient is lowered for silent neurons, so that an update makes them grow.

    `weight`: weights [N, inputs]. `by`: amount for a neuron that is silent in the whole batch; 0 for none.
    """

    def __init__(self, weight: Tensor, by: float) -> None:
        self.value, self.by = weight, by
        self.silent: Tensor | None = None  # share of the batch in which each neuron is silent [N]
        if by and weight.requires_grad:
            self.value = weight.clone()
            self.value.register_hook(
                lambda slope: slope if self.silent is None else slope - self.by * self.silent[:, None]
            )

    def arrivals(self, times: Tensor, rows: Tensor | None, source: Tensor | None) -> Arrivals:
        """Compute the arrivals that events at these times cause.

        `times`: times of the events [B, K]. `rows`: input values of the events [B, K, inputs]; None if each is a spike
        of one neuron. `source`: index of that neuron [B, K]; used if `rows` is None.
        """
        jumps = self.value.T[source] if rows is None else rows @ self.value.T
        return Arrivals(times, jumps)


def times_as_output(times: Tensor, lengths: Tensor, steps: int) -> Tensor:
    """Return minus the spike times [B, C], repeated for every step [T, B, C]; silent neurons get minus the length.

    The neuron that fires first has the largest output.

    >>> times_as_output(torch.tensor([[1.5, torch.inf]]), torch.tensor([4]), 2)[1].tolist()
    [[-1.5, -4.0]]
    """
    finite = torch.where(times.isfinite(), times, lengths[:, None].to(times.dtype))
    return (-finite).expand(steps, -1, -1)


def input_events(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the steps of each sample with input that is not 0 [B, K], and their input [B, K, N], in float64.

    Rows are padded with infinite times and zeros. x is [T, B, N], lengths [B].

    >>> x = torch.tensor([[[0.0]], [[2.0]], [[1.0]]])
    >>> times, rows = input_events(x, torch.tensor([2]))
    >>> times.tolist(), rows.tolist()
    ([[1.0]], [[[2.0]]])
    """
    has_input = (x != 0).any(2) & valid_steps(lengths, len(x))
    sample, step = has_input.T.nonzero(as_tuple=True)
    counts = has_input.sum(0)
    rank = torch.arange(len(sample), device=x.device) - (counts.cumsum(0) - counts)[sample]
    shape = (len(counts), int(counts.max()) if len(counts) else 0)
    times = torch.full(shape, math.inf, dtype=torch.float64, device=x.device)
    rows = torch.zeros(*shape, x.shape[2], dtype=torch.float64, device=x.device)
    values = x[step, sample].double()
    return times.index_put((sample, rank), step.double()), rows.index_put((sample, rank), values)


def sort_spikes(times: Tensor) -> Spikes:
    """Return spikes sorted by time, from the time of each neuron's only spike [B, N]."""
    ordered, source = times.sort(dim=1, stable=True)
    return Spikes(ordered, source)


def spikes_on_grid(spikes: Spikes, steps: int, neurons: int, dtype: torch.dtype) -> Tensor:
    """Return the spikes as a grid of 0 and 1 [T, B, N]; a spike at time t is in step floor(t).

    >>> spikes = Spikes(torch.tensor([[0.5, 0.7, 2.0]]), torch.tensor([[1, 1, 0]]))
    >>> spikes_on_grid(spikes, 3, 2, torch.float32)[:, 0].tolist()
    [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    """
    times, source = spikes.times.detach(), spikes.source
    sample, rank = times.isfinite().nonzero(as_tuple=True)
    grid = times.new_zeros(steps, len(times), neurons, dtype=dtype)
    grid[times[sample, rank].long(), sample, source[sample, rank]] = 1.0
    return grid


def build_firing_neuron(membrane: Membrane) -> Synaptic:
    """Build a neuron that shows the same membrane to counts and exports; its step is never run."""
    neuron = Synaptic(
        Zero(normalisation="raw", scale=1.0),  # gradients go through times
        alpha=math.exp(-1 / membrane.tau_syn),
        beta=math.exp(-1 / membrane.tau_mem),
        threshold=membrane.threshold,
        reset="zero",
        reset_gradient="detached",
        learn_alpha="none",
        learn_beta="none",
        learn_threshold="none",
    )
    neuron.input_gain = ExactGain(membrane)  # type: ignore[assignment]
    return neuron


def build_integrating_readout(membrane: Membrane) -> SynapticReadout:
    """Build a readout unit for the same membrane without a threshold; its step is never run."""
    neuron = SynapticReadout(
        alpha=math.exp(-1 / membrane.tau_syn),
        beta=math.exp(-1 / membrane.tau_mem),
        input_gain="one",
        learn_alpha="none",
        learn_beta="none",
    )
    neuron.input_gain = ExactGain(membrane)  # type: ignore[assignment]
    return neuron


class ExactGain:
    r"""Computes the gain of a current into the potential over one step, exactly, in place of `InputGain`.

    .. math:: \frac{\tau_s}{\tau_m - \tau_s} (e^{-1/\tau_m} - e^{-1/\tau_s}), \qquad
        \text{without a leak: } 1 - e^{-1/\tau_s}

    >>> round(ExactGain(Membrane(math.inf, 2.0, 1.0))(1.0), 4)
    0.3935
    """

    multiplications: ClassVar[int] = 1

    def __init__(self, membrane: Membrane) -> None:
        mem, syn = membrane.tau_mem, membrane.tau_syn
        share = 1.0 if math.isinf(mem) else membrane.share
        self.value = share * (math.exp(-1 / mem) - math.exp(-1 / syn))

    def __call__(self, beta: Tensor | float) -> float:
        """Return the gain; the argument is ignored, as the decay is that of the membrane."""
        return self.value
