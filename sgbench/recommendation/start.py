"""Measure a network before training: depth, recurrence, spikes of each layer, and how its potentials lie."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastspiking.signals.trajectory import POTENTIAL, SPIKES, Batch, valid_steps
from sgbench.composition.compose import compose
from sgbench.diagnosis.passing import RecurrentLayer, mean_passing_steps, near_share
from sgbench.errors import InputError
from sgbench.networks.watching import RECURRENT, Watcher, is_recurrent, is_snntorch, run_watched, shown_by
from sgbench.recommendation.answer import MeasuredNetwork
from sgbench.records.spec import RunSpec
from sgbench.training.build import Parts, build
from sgbench.training.creation import create

Hook = Callable[[Any, Any, Any], None]  # receives a layer, its current and its output after each call of it
SpikesAndPotential = tuple[Tensor, Tensor]
"""Spikes and potentials minus threshold of a layer in one time step."""


def _run_hooked(network: nn.Module, batch: Any, hooks: Mapping[nn.Module, Hook]) -> None:
    """Run a batch through a network from rest, in evaluation mode, with a hook on each layer; see `run_watched`."""
    run_watched(network, batch, {layer: Watcher(hook, steps=True) for layer, hook in hooks.items()})


@torch.no_grad()
def recurrent_layers(network: nn.Module, batch: Any) -> tuple[list[RecurrentLayer], int, int]:
    """Run one forward pass, and record the recurrent layers.

    Returns the potentials of each recurrent layer that is called, the count of samples, and the count of their spikes.
    """
    layers = {name: layer for name, layer in network.named_modules() if is_recurrent(layer)}
    recorded: dict[str, list[SpikesAndPotential]] = {name: [] for name in layers}
    _run_hooked(network, batch, {layer: _record_into(recorded[name]) for name, layer in layers.items()})
    called = {name: steps for name, steps in recorded.items() if steps}
    if not called:
        raise InputError(
            f"{type(network).__name__}: no recurrent layer of snnTorch's (RLeaky, RSynaptic) is called, and "
            f"passing steps choose a width for recurrent ones alone; see sgbench.recommend(network=..., batch=...)"
        )
    samples = max(len(spikes) for steps in called.values() for spikes, _ in steps)
    spike_count = int(sum((spikes != 0).sum() for steps in called.values() for spikes, _ in steps))
    potentials = [
        RecurrentLayer(name, torch.stack([centred for _, centred in steps]), series=steps[0][0].numel())
        for name, steps in called.items()
    ]
    return potentials, samples, spike_count


def _record_into(steps: list[SpikesAndPotential]) -> Hook:
    """Make a hook that appends a module's spikes and potential of each step to `steps`."""

    def hook(module: Any, _: object, output: Any) -> None:
        shown = shown_by(module, output)
        if shown is None:
            raise InputError(f"{type(module).__name__} does not show its membrane potential; set output=True")
        steps.append(shown)

    return hook


def measure_overrides(
    overrides: Sequence[str], config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()
) -> MeasuredNetwork:
    return measure_spec(compose(overrides, config_dirs=config_dirs, allow_targets=allow_targets))


@torch.no_grad()
def measure_spec(spec: RunSpec) -> MeasuredNetwork:
    """Measure the network of a run with its initial weights on one batch of its training samples."""
    parts = build(spec)
    hidden = parts.network.hidden_layers
    if not parts.network.spiking or not hidden:
        raise InputError(f"network={spec.method.choices['network']}: has no hidden layer that sends spikes")
    parts.data.setup()
    batch = next(iter(parts.data.epoch(0)))
    spikes, layers = _pass(parts, batch)
    init = spec.method.parameters.get("init", {})
    gains = tuple(
        (f"init.{key}", float(value))
        for key in ("gain", "recurrent_gain")
        if isinstance(value := init.get(key), int | float)
    )
    measured = MeasuredNetwork(
        layers=len(hidden),
        recurrent=any(layer.recurrence != "none" for layer in hidden),
        steps=batch.x.shape[0],
        spikes_per_step=spikes,
        channels=math.prod(batch.x.shape[2:]),
        neurons=max(layer.neurons for layer in hidden),
        gains=gains,
    )
    return _near_threshold(measured, layers)


def _pass(parts: Parts, batch: Batch) -> tuple[tuple[float, ...] | None, list[RecurrentLayer]]:
    """Run a batch forward; return spikes a neuron and step by hidden layer, and the recurrent layers' potentials.

    The spikes are None if a layer records none. A layer whose recurrent gradient is cut passes none on and is left
    out.
    """
    network = parts.network.eval()
    hidden = list(network.hidden_layers)
    x, lengths = batch.x.to(parts.device), batch.lengths.to(parts.device)
    run = network.unroll(x, lengths, keep=frozenset({POTENTIAL, SPIKES}))
    valid = valid_steps(lengths, x.shape[0])
    if len(run.spikes) < len(hidden):
        return None, []
    spikes = tuple(float(sent.flatten(2)[valid].double().mean().item()) for sent in run.spikes[: len(hidden)])
    if len(run.u) < len(hidden) or not any(spikes):
        return spikes, []
    layers = [
        RecurrentLayer(layer.name, run.u[index][valid], len(lengths) * layer.neurons)
        for index, layer in enumerate(hidden)
        if layer.recurrence != "none" and not layer.cut
    ]
    return spikes, layers


def _near_threshold(measured: MeasuredNetwork, layers: Sequence[RecurrentLayer]) -> MeasuredNetwork:
    """Add how much gradient recurrent spikes pass on, and the least share of potentials near the threshold."""
    if not layers:
        return measured
    surrogate = create("surrogate/atan", width_fwhm=0.5)
    return replace(
        measured,
        passing_steps=mean_passing_steps(layers, surrogate),
        near_share=min(near_share(layer, surrogate) for layer in layers),
    )


@dataclass
class _LayerCounts:
    """Counts the calls and spikes of one layer, and its neurons times samples."""

    calls: int = 0
    spikes: float = 0.0
    neurons: int = 0


@torch.no_grad()
def measure_module(network: nn.Module, batch: Tensor) -> MeasuredNetwork:
    """Measure a user's network made of snnTorch's neurons, before training.

    `network`: a module whose `forward` takes the batch; it may contain the loop over time. `batch`: input, in the shape
    that `forward` takes.
    """
    layers = [module for module in network.modules() if is_snntorch(module)]
    if not layers:
        raise InputError(f"{type(network).__name__}: has no layer of snnTorch's neurons; give its shape instead")
    counts = [_LayerCounts() for _ in layers]
    hooks: dict[nn.Module, Hook] = {
        layer: _count_into(of_layer) for layer, of_layer in zip(layers, counts, strict=True)
    }
    _run_hooked(network, batch, hooks)
    hidden = counts[:-1] if len(counts) > 1 else counts  # the last layer is the readout
    recurrent = any(type(layer).__name__ in RECURRENT for layer in layers[: len(hidden)])
    found: list[RecurrentLayer] = []
    if recurrent:
        try:
            found = recurrent_layers(network, batch)[0]
        except InputError:  # a layer hides its potentials, so that spikes alone are known
            found = []
    measured = MeasuredNetwork(
        layers=len(hidden),
        recurrent=recurrent,
        steps=max(of_layer.calls for of_layer in counts),
        spikes_per_step=tuple(of_layer.spikes / max(of_layer.neurons * of_layer.calls, 1) for of_layer in hidden),
    )
    return _near_threshold(measured, found)


def _count_into(counts: _LayerCounts) -> Hook:
    """Make a hook that adds a module's calls and spikes to `counts`."""

    def hook(_: nn.Module, __: object, output: Any) -> None:
        spikes = output[0] if isinstance(output, tuple) else output
        counts.calls += 1
        counts.spikes += float(spikes.sum())
        counts.neurons = spikes.numel()

    return hook
