"""What networks share whose spikes have times of their own, between the steps of the grid.

Legend: B batch, K arrivals of a sample, N neurons, C outputs, T steps. A time counts steps from the start of a
sample.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from sgbench.dropouts.base import Dropout
from sgbench.engine.choose import Choice
from sgbench.errors import InputError, require_number
from sgbench.networks.base import Network, Provided, hidden_sizes
from sgbench.networks.layers import DenseLayer
from sgbench.neurons.synaptic import Synaptic
from sgbench.neurons.synaptic_readout import SynapticReadout
from sgbench.normalisations.base import Normalisation
from sgbench.signals.spikes import Signal, dense
from sgbench.signals.trajectory import NOTHING, SPIKES, Keep, Trajectory, valid_steps
from sgbench.surrogates.zero import Zero


class Membrane(NamedTuple):
    """Holds numbers of a layer's neurons, times in steps."""

    tau_mem: float  # infinite where the potential does not leak
    tau_syn: float
    threshold: float

    @property
    def share(self) -> float:
        """Return by what a current is multiplied in the potential it makes, tau_syn / (tau_mem - tau_syn)."""
        return self.tau_syn / (self.tau_mem - self.tau_syn)


class Spikes(NamedTuple):
    """Holds spikes of a layer in the order of their times; the rest of a row is filled with infinite times."""

    times: Tensor  # [B, K] with gradient, infinite where there is none
    source: Tensor  # which neuron [B, K]


class Arrivals(NamedTuple):
    """Holds what reaches a layer: when, and by how much the current of each neuron jumps."""

    times: Tensor  # [B, K] ascending, infinite where nothing comes
    jumps: Tensor  # [B, K, N]


class ReadoutActivity(NamedTuple):
    """Holds spikes, their times and the final potential of the readout."""

    output: Tensor  # [T, B, C]
    times: Tensor | None  # [B, C]
    spikes: Spikes | None
    u: Tensor  # potential at the sample's end [B, C]


class SpikeTimes(Network):
    """Runs dense layers whose spikes lie between steps; gradients go through times, always in float64.

    An event in step k of the input arrives at time k; a spike at time t falls into step floor(t) of what is
    counted, two of one neuron in one step are one there. Nothing happens after a sample's end, so a neuron that
    would fire later is silent. Where a neuron is silent its time has no gradient; `wake` gives its weights one.

    Args:
        provided: what the builder gives.
        hidden: neurons per hidden layer.
        membrane: numbers of all neurons.
        recurrence: of hidden layers, "none" or "all_to_all".
        fires: whether the readout's neurons fire.
        wake: what is taken from the gradient of each weight into a neuron, times the share of a batch in which it
            is
            silent.

    Raises:
        InputError: an empty chain, another engine, or a value out of range.
    """

    spiking: ClassVar[bool] = False  # no neuron's step computes them, so neuron and surrogate are not chosen
    needs_all_steps: ClassVar[str] = "its spikes lie between steps"  # type: ignore[assignment]
    firings: ClassVar[str] = "all"  # or "first": of each neuron in a sample

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
            DenseLayer(f"hidden{number}", n_in, n_out, firing_neuron(membrane), recurrence=recurrence)
            for number, (n_in, n_out) in enumerate(itertools.pairwise(sizes))
        ]
        last = firing_neuron(membrane) if fires else integrating_readout(membrane)
        layers.append(DenseLayer("readout", sizes[-1], provided.n_outputs, last))
        self.set_up(layers, provided)

    @abstractmethod
    def fired(self, layer: DenseLayer, arrivals: Arrivals, ends: Tensor) -> tuple[Spikes, Tensor]:
        """Compute what a layer sends, and the share of samples in which each neuron is silent [N]."""

    @abstractmethod
    def answered(self, layer: DenseLayer, arrivals: Arrivals, lengths: Tensor, steps: int) -> ReadoutActivity:
        """Compute what the readout answers."""

    def trained_steps(self, steps: int) -> int:
        """Return 1, since the effect of each spike is computed once."""
        return 1

    def runs_on(self) -> Choice:
        """Return the events themselves as the engine, with the reason."""
        return Choice("events", "spikes between steps go from event to event")

    def normalise(self, normalisation: Normalisation) -> None:
        """Refuse every normalisation but none."""
        self._refuse("normalisation", neutral=normalisation.neutral)

    def drop(self, dropout: Dropout) -> None:
        """Refuse every dropout but none."""
        self._refuse("dropout", neutral=dropout.neutral)

    def _refuse(self, group: str, *, neutral: bool) -> None:
        if not neutral:
            raise InputError(
                f"{group}: {type(self).__name__} goes from spike to spike, not step by step; use {group}=none"
            )

    def unroll(
        self,
        x: Signal,
        lengths: Tensor,
        state: tuple[Any, ...] | None = None,
        keep: Keep = NOTHING,
        *,
        window: int | None = None,
    ) -> Trajectory:
        """Run over all spikes (see `Network.unroll`); `times` are those of the readout where it fires."""
        ends, steps = lengths.double(), x.shape[0]
        times, rows = input_events(dense(x), lengths)
        arriving = times, rows, None
        sent: list[Spikes] = []
        for layer in self.hidden_layers:
            weight = self._wake_gradient(layer)
            spikes, weight.silent = self.fired(layer, weight.arrivals(*arriving), ends)
            sent.append(spikes)
            arriving = spikes.times, None, spikes.source
        weight = self._wake_gradient(self.readout)
        answer = self.answered(self.readout, weight.arrivals(*arriving), lengths, steps)
        weight.silent = None if answer.times is None else _share_silent(answer.times)
        return self._trajectory(answer, sent, lengths, steps, keep)

    def _wake_gradient(self, layer: DenseLayer) -> _Woken:
        return _Woken(layer.weight.double(), self.wake if self.training else 0.0)

    def _trajectory(
        self, answer: ReadoutActivity, sent: list[Spikes], lengths: Tensor, steps: int, keep: Keep
    ) -> Trajectory:
        dtype = self.readout.weight.dtype
        if answer.spikes is not None:
            sent = [*sent, answer.spikes]
        layers = [*self.hidden_layers, *([self.readout] if answer.spikes is not None else [])]
        grids = [
            on_grid(spikes, steps, layer.neurons, dtype)
            for spikes, layer in zip(sent, layers, strict=True)
            if SPIKES in keep
        ]
        rest = [
            layer.neuron.initial_state(layer.weight.detach().new_zeros(len(lengths), layer.neurons))
            for layer in (*self.hidden_layers, self.readout)
        ]
        rest[-1] = rest[-1]._replace(u=answer.u.to(dtype))
        return Trajectory(
            answer.output.to(dtype),
            lengths,
            tuple(grids),
            (),
            tuple(rest),
            None if answer.times is None else answer.times.to(dtype),
        )


class _Woken:
    """Lowers the gradient of a weight where the neuron that it drives is silent, so that a step makes it grow.

    Args:
        weight: [N, inputs].
        by: how much where it is silent in the whole batch; nothing at 0.
    """

    def __init__(self, weight: Tensor, by: float) -> None:
        self.value, self.by = weight, by
        self.silent: Tensor | None = None  # share of the batch, of each neuron [N]
        if by and weight.requires_grad:
            self.value = weight.clone()
            self.value.register_hook(self._lower_gradient)

    def arrivals(self, times: Tensor, rows: Tensor | None, source: Tensor | None) -> Arrivals:
        """Return the synaptic drive of whole rows of the input [B, K, inputs], or of single spikes."""
        jumps = self.value.T[source] if rows is None else rows @ self.value.T
        return Arrivals(times, jumps)

    def _lower_gradient(self, slope: Tensor) -> Tensor:
        return slope if self.silent is None else slope - self.by * self.silent[:, None]


def times_as_output(times: Tensor, lengths: Tensor, steps: int) -> Tensor:
    """Return minus the times in every step [T, B, C], of silent ones minus the length: the first is largest.

    >>> times_as_output(torch.tensor([[1.5, torch.inf]]), torch.tensor([4]), 2)[1].tolist()
    [[-1.5, -4.0]]
    """
    held = torch.where(times.isfinite(), times, lengths[:, None].to(times.dtype))
    return (-held).expand(steps, -1, -1)


def input_events(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the steps in which something comes, of each sample [B, K], and what comes [B, K, N]; in float64.

    >>> x = torch.tensor([[[0.0]], [[2.0]], [[1.0]]])
    >>> times, rows = input_events(x, torch.tensor([2]))
    >>> times.tolist(), rows.tolist()
    ([[1.0]], [[[2.0]]])
    """
    comes = (x != 0).any(2) & valid_steps(lengths, len(x))
    sample, step = comes.T.nonzero(as_tuple=True)
    counts = comes.sum(0)
    rank = torch.arange(len(sample), device=x.device) - (counts.cumsum(0) - counts)[sample]
    shape = (len(counts), int(counts.max()) if len(counts) else 0)
    times = torch.full(shape, math.inf, dtype=torch.float64, device=x.device)
    rows = torch.zeros(*shape, x.shape[2], dtype=torch.float64, device=x.device)
    arrived = x[step, sample].double()
    return times.index_put((sample, rank), step.double()), rows.index_put((sample, rank), arrived)


def in_order(times: Tensor) -> Spikes:
    """Sort the only spikes of neurons by their times [B, N]."""
    ordered, source = times.sort(dim=1, stable=True)
    return Spikes(ordered, source)


def on_grid(spikes: Spikes, steps: int, neurons: int, dtype: torch.dtype) -> Tensor:
    """Put spikes into steps, [T, B, N] of 0 and 1.

    >>> spikes = Spikes(torch.tensor([[0.5, 0.7, 2.0]]), torch.tensor([[1, 1, 0]]))
    >>> on_grid(spikes, 3, 2, torch.float32)[:, 0].tolist()
    [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    """
    times, source = spikes.times.detach(), spikes.source
    sample, rank = times.isfinite().nonzero(as_tuple=True)
    grid = times.new_zeros(steps, len(times), neurons, dtype=dtype)
    grid[times[sample, rank].long(), sample, source[sample, rank]] = 1.0
    return grid


def firing_neuron(membrane: Membrane) -> Synaptic:
    """Return the neuron that a clocked machine steps: exact for events at the beginnings of steps."""
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


def integrating_readout(membrane: Membrane) -> SynapticReadout:
    """Build the same neuron without a threshold."""
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
    r"""Computes what a current adds to the potential within a step.

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
        """Return it; the decay is the membrane's own."""
        return self.value


def _share_silent(times: Tensor) -> Tensor:
    return times.detach().isinf().double().mean(0)
