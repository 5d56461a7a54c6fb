"""Record currents, potentials and spikes of each layer in one forward and backward pass.

Legend: T steps, B samples, N neurons, C currents of a neuron.
"""

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import SPIKES, Batch, Trajectory, valid_steps
from sgbench.errors import InputError
from sgbench.networks.base import Network
from sgbench.records.content import SATURATED_RATE
from sgbench.rules.base import Objective

PEAK_REACH = 8.0
"""Largest distance from the threshold at which the peak of a surrogate is searched [threshold units]."""
PEAK_POINTS = 4001  # count of potentials at which the peak is searched


@dataclass
class LayerTrace:
    """Holds one layer's currents, potentials and spikes by step; currents carry gradients after a backward pass."""

    name: str
    neurons: int
    slope_at: Callable[[Tensor], Tensor] | None  # slope of the surrogate; None for neurons that do not fire
    counts_spikes: bool  # whether the neurons fire
    # From potentials of all steps to the gradients that reach them from a gradient of 1 at each spike.
    passed_at: Callable[[Sequence[Tensor]], Sequence[Tensor]] | None = None
    currents: list[Tensor] = field(default_factory=list)  # of each step [B, C N]
    centred: list[Tensor] = field(default_factory=list)  # potential minus threshold of each step [B, N]
    spikes: list[Tensor] = field(default_factory=list)  # of each step [B, N]
    states: list[Any] = field(default_factory=list)  # before each step; empty for neurons without a state

    def gradient(self) -> Tensor | None:
        """Return the gradient of the loss by the currents [T, B, C N]; None if it does not depend on them."""
        if all(current.grad is None for current in self.currents):
            return None
        return torch.stack(
            [torch.zeros_like(current) if current.grad is None else current.grad for current in self.currents]
        )

    def potentials(self) -> Tensor:
        """Return the potentials minus threshold [T, B, N]."""
        return torch.stack([potential.detach() for potential in self.centred])

    def fired(self) -> Tensor:
        """Return whether each neuron fired in each step, with a spike of any size [T, B, N]."""
        return torch.stack([spikes.detach() for spikes in self.spikes]) != 0

    def peak(self) -> float:
        """Compute the largest slope of the surrogate near the threshold; 0 for neurons that do not fire."""
        like = self.centred[0]
        grid = torch.linspace(-PEAK_REACH, PEAK_REACH, PEAK_POINTS, dtype=like.dtype)
        grid = grid.to(like.device)[:, None]
        return float(self.slope_at(grid).abs().max()) if self.slope_at is not None else 0.0


class TracedBatch(NamedTuple):
    """Holds the traces of one forward and backward pass over a batch."""

    network: Network  # the copy that ran, with gradients in the `.grad` of its weights
    layers: list[LayerTrace]
    trajectory: Trajectory
    loss: Tensor  # a scalar without gradient
    lengths: Tensor  # count of valid steps of each sample [B]


def on_the_reference(network: Network) -> Network:
    """Return a copy of a network that runs step by step, on the reference engine."""
    if not network.spiking:
        raise InputError(
            f"network {type(network).__name__} has no spiking neurons, so there is nothing to diagnose; use network=mlp"
        )
    copied = copy.deepcopy(network)
    copied.engine = Engine("reference", network.engine.device)
    return copied


def trace(network: Network, batch: Batch, objective: Objective) -> TracedBatch:
    """Run a copy of a network over a batch and back-propagate the whole objective through time."""
    copied = on_the_reference(network)
    copied.zero_grad()
    layers = [_watch(layer) for layer in copied.layers]
    trajectory = copied.unroll(batch.x, batch.lengths, keep=objective.keep | {SPIKES})
    loss = objective.whole(trajectory, batch.target)
    if loss.requires_grad:
        loss.backward()
    return TracedBatch(copied, layers, trajectory, loss.detach(), batch.lengths)


def _watch(layer: Any) -> LayerTrace:
    """Replace the neuron's step by one that records, and return the trace that it fills."""
    neuron = layer.neuron
    fires = neuron.output == "binary"
    surrogate = getattr(neuron, "surrogate", None) if fires else None
    slope = None if surrogate is None else functools.partial(_slope, surrogate)
    passed = None if surrogate is None else functools.partial(_pass_ones, surrogate)
    layer_trace = LayerTrace(layer.name, layer.neurons, slope, counts_spikes=fires, passed_at=passed)
    if neuron.sees_all_steps:
        neuron.unroll = functools.partial(_recorded_sequence, layer_trace, neuron.unroll)
    else:
        neuron.step = functools.partial(recorded_step, layer_trace, neuron, neuron.step)
    return layer_trace


def _slope(surrogate: Any, centred: Tensor) -> Tensor:
    """Compute a surrogate's slope at potentials minus threshold, without a graph."""
    with torch.no_grad():
        return surrogate.sent_slope(centred)  # type: ignore[no-any-return]


def _pass_ones(surrogate: Any, centred: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the slope at each potential: what a gradient of 1 becomes."""
    with torch.enable_grad():
        leaves = [step.detach().requires_grad_() for step in centred]
        sent = [surrogate(step) for step in leaves]
    return torch.autograd.grad(sent, leaves, [torch.ones_like(step) for step in leaves])


def leaf_like(current: Tensor) -> Tensor:
    """Copy a current, and make a backward pass store the copy's gradient in `.grad`.

    The copy of a current without a graph is a leaf that requires a gradient; that of another stays in its graph.
    """
    current = current.clone() if current.requires_grad else current.detach().clone().requires_grad_()
    current.retain_grad()
    return current


def recorded_step(layer_trace: LayerTrace, neuron: Any, step: Callable[..., Any], current: Tensor, state: Any) -> Any:
    """Run a step of a neuron of sgbench, and store its current, potential, spikes and the state before it."""
    current = leaf_like(current)
    output, after = step(current, state)
    layer_trace.currents.append(current)
    layer_trace.centred.append(neuron.centred(after))
    layer_trace.spikes.append(output)
    layer_trace.states.append(state)
    return output, after


def _recorded_sequence(layer_trace: LayerTrace, unroll: Callable[..., Any], current: Tensor) -> Any:
    """Run neurons that take all steps at once [T, B, N], and store their currents, potentials and spikes."""
    # The input is a stack of stored steps, so that each step has its own gradient.
    steps = [leaf_like(step_current) for step_current in current.unbind(0)]
    output, centred, last = unroll(torch.stack(steps))
    layer_trace.currents += steps
    layer_trace.centred += list(centred.unbind(0))
    layer_trace.spikes += list(output.unbind(0))
    return output, centred, last


IN_WINDOW = 0.01  # share of a surrogate's peak above which its slope counts as non-zero
SILENT_BY_DESIGN = "the neurons of this layer do not fire"


def activity(layer: Sequence[LayerTrace], lengths: Sequence[Tensor]) -> tuple[dict[str, float], dict[str, str]]:
    """Measure how often one layer fires, and how its potentials lie to the surrogate, over several batches.

    Steps after a sample's end do not count. Slopes are relative to the surrogate's peak. `lengths`: count of valid time
    steps of each sample [B], one tensor for each batch. Returns measured values, and reasons for missing ones; both map
    field names of `LayerDiagnosis`. Layers that do not fire have reasons alone, and neurons without a surrogate have
    rates alone.
    """
    first = layer[0]
    names = ("rate_per_step", "dead_fraction", "saturated_fraction", "in_window_fraction", "mean_slope")
    if not first.counts_spikes:
        return {}, dict.fromkeys(names, SILENT_BY_DESIGN)
    spikes, steps = torch.zeros(first.neurons, dtype=torch.float64), 0
    inside, potential_count, slope_sum = 0, 0, 0.0
    peak = first.peak()
    for trace, length in zip(layer, lengths, strict=True):
        potentials = trace.potentials()
        valid = valid_steps(length, len(potentials))
        spikes += (trace.fired() & valid[..., None]).sum((0, 1)).double().cpu()
        steps += int(length.sum())
        if trace.slope_at is not None:
            slopes = trace.slope_at(potentials)[valid]
            inside += int((slopes.abs() > IN_WINDOW * peak).sum())
            potential_count += slopes.numel()
            slope_sum += slopes.abs().double().sum().item()
    rates = spikes / max(1, steps)
    values = {
        "rate_per_step": rates.mean().item(),
        "dead_fraction": (rates == 0).double().mean().item(),
        "saturated_fraction": (rates > SATURATED_RATE).double().mean().item(),
    }
    if first.slope_at is None:
        return values, dict.fromkeys(names[3:], "the neurons of this layer have no surrogate")
    potential_count = max(1, potential_count)
    mean = slope_sum / potential_count / peak if peak else 0.0
    values["passing_steps"] = slope_sum / max(1, first.neurons * sum(len(length) for length in lengths))
    return values | {"in_window_fraction": inside / potential_count, "mean_slope": min(1.0, mean)}, {}
