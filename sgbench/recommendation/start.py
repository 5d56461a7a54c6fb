"""Measure a network before training: its depth, recurrence, and the spikes of each layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.composition.compose import compose
from sgbench.diagnosis.passing import mean_passing_steps, width_for
from sgbench.errors import InputError
from sgbench.recommendation.hooks import RECURRENT, Hook, recurrent_layers, run_hooked
from sgbench.recommendation.summary import Shape
from sgbench.recommendation.tries import OwnStart
from sgbench.records.spec import RunSpec
from sgbench.signals.trajectory import SPIKES, Batch, valid_steps
from sgbench.training.build import Parts, build
from sgbench.training.calibration import TARGETS, FirstPass, measure_first_pass
from sgbench.training.creation import create


def start_of_overrides(
    overrides: Sequence[str], config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()
) -> Shape:
    """Measure the network of a run on one batch of its training samples.

    Args:
        overrides: Hydra overrides of a run.
        config_dirs: folders with the user's own entries.
        allow_targets: classes outside the catalogue that may be imported.

    Raises:
        InputError: the overrides do not compose a run, or its data are missing.
    """
    return start_of_spec(compose(overrides, config_dirs=config_dirs, allow_targets=allow_targets))


def start_of_spec(spec: RunSpec) -> Shape:
    """Measure depth, recurrence, steps and spikes of a run's network on one batch of its training samples.

    Raises:
        InputError: its data are missing, or it has no hidden layer that fires.
    """
    parts = build(spec)
    hidden = parts.network.hidden_layers
    if not parts.network.spiking or not hidden:
        raise InputError(f"network={spec.method.choices['network']}: has no hidden layer that sends spikes")
    parts.data.setup()
    batch = next(iter(parts.data.epoch(0)))
    steps = batch.x.shape[0]
    return Shape(
        layers=len(hidden),
        recurrent=any(layer.recurrence != "none" for layer in hidden),
        steps=steps,
        start_spikes=_spikes_per_neuron(parts, batch, len(hidden)),
    )


FIRST_TRY = ("neuron.reset_gradient=attached", "surrogate=atan", "width_fwhm=0.5")
"""The first setting to try in a recurrent network, with which passing steps are measured."""


def passing_start(
    overrides: Sequence[str],
    shape: Shape,
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
) -> OwnStart:
    """Measure a recurrent network for its first settings: passing steps, the width that they choose, and its input.

    If passing steps choose no width (a neuron without such a reset, a cut gradient), only steps and layers are
    known.

    Args:
        overrides: Hydra overrides of a run.
        shape: of the network, measured before.
        config_dirs: folders with the user's own entries.
        allow_targets: classes outside the catalogue that may be imported.
    """
    try:
        spec = compose([*overrides, *FIRST_TRY], config_dirs=config_dirs, allow_targets=allow_targets)
        return measured_start(measure_first_pass(spec), shape.steps, shape.layers)
    except InputError:
        return OwnStart(shape.steps, layers=shape.layers)


def measured_start(first_pass: FirstPass, steps: int, layers: int) -> OwnStart:
    """Compute properties of a recurrent network and its input from one forward pass.

    Args:
        first_pass: the pass, with the setting to try first.
        steps: time steps of a sequence.
        layers: count of hidden layers.

    Raises:
        InputError: no width has the advised number of passing steps.
    """
    samples = sum(len(batch.lengths) for batch in first_pass.batches)
    inputs = [batch.x for batch in first_pass.batches]
    return OwnStart(
        steps,
        mean_passing_steps(first_pass.layers, first_pass.surrogate),
        width_for(first_pass.layers, create("surrogate/triangle", width_fwhm=1.0), TARGETS["attached"]),
        channels=math.prod(inputs[0].shape[2:]),
        neurons=int(max(layer.series for layer in first_pass.layers)) // samples,
        layers=layers,
        analogue=any(isinstance(x, Tensor) and bool((x != x.round()).any()) for x in inputs),
    )


def module_start(network: nn.Module, batch: Tensor, shape: Shape) -> OwnStart:
    """Measure a user's recurrent module for its first settings; see `passing_start`.

    Args:
        network: a module of snnTorch's neurons.
        batch: input of its `forward`.
        shape: of the network.
    """
    analogue = bool((batch != batch.round()).any())
    try:
        layers, *_ = recurrent_layers(network, batch)
        triangle = create("surrogate/triangle", width_fwhm=1.0)
        first = create("surrogate/atan", width_fwhm=0.5)
        width = width_for(layers, triangle, TARGETS["attached"])
        return OwnStart(
            shape.steps, mean_passing_steps(layers, first), width, layers=shape.layers, analogue=analogue
        )
    except InputError:
        return OwnStart(shape.steps, layers=shape.layers, analogue=analogue)


@torch.no_grad()
def _spikes_per_neuron(parts: Parts, batch: Batch, layers: int) -> tuple[float, ...] | None:
    """Average the spikes of a neuron in one inference, for each hidden layer; None if a layer records none.

    Args:
        parts: of the run, with its network.
        batch: of samples.
        layers: count of hidden layers, which are the network's first.
    """
    parts.network.eval()
    x, lengths = batch.x.to(parts.device), batch.lengths.to(parts.device)
    spikes = parts.network.unroll(x, lengths, keep=frozenset({SPIKES})).spikes[:layers]
    if len(spikes) < layers:
        return None
    valid = valid_steps(lengths, x.shape[0])
    return tuple(float((sent.flatten(2) * valid[..., None]).sum(0).double().mean().item()) for sent in spikes)


@dataclass
class _LayerCounts:
    """Counts the calls and spikes of one layer, and its neurons times samples."""

    calls: int = 0
    spikes: float = 0.0
    neurons: int = 0


@torch.no_grad()
def start_of_module(network: nn.Module, batch: Tensor) -> Shape:
    """Measure depth, recurrence and spikes of a user's network made of snnTorch's neurons, before training.

    Args:
        network: a module whose `forward` takes the batch; it may contain the loop over time.
        batch: input, in the shape that `forward` takes.

    Raises:
        InputError: there is no layer of snnTorch, or the batch does not fit.
    """
    import snntorch

    layers = [module for module in network.modules() if isinstance(module, snntorch.SpikingNeuron)]
    if not layers:
        raise InputError(
            f"{type(network).__name__}: has no layer of snnTorch's neurons; give its shape instead"
        )
    counts = [_LayerCounts() for _ in layers]
    hooks: dict[nn.Module, Hook] = {
        layer: _count_into(of_layer) for layer, of_layer in zip(layers, counts, strict=True)
    }
    run_hooked(network, batch, hooks)
    hidden = counts[:-1] if len(counts) > 1 else counts  # the last layer is the readout
    return Shape(
        layers=len(hidden),
        recurrent=any(type(layer).__name__ in RECURRENT for layer in layers[: len(hidden)]),
        steps=max(of_layer.calls for of_layer in counts),
        start_spikes=tuple(of_layer.spikes / max(of_layer.neurons, 1) for of_layer in hidden),
    )


def _count_into(counts: _LayerCounts) -> Hook:
    """Return a hook that adds a layer's spikes of each time step to its counts."""

    def hook(_: nn.Module, __: object, output: Any) -> None:
        spikes = output[0] if isinstance(output, tuple) else output
        counts.calls += 1
        counts.spikes += float(spikes.sum())
        counts.neurons = spikes.numel()

    return hook
