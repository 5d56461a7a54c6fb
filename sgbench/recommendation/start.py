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
from sgbench.training.calibration import TARGETS, FirstPass, measured
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
    """Measure the network of a run as `start_of_overrides` does.

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
        start_spikes=_sent(parts, batch, len(hidden)),
    )


FIRST_TRY = ("neuron.reset_gradient=attached", "surrogate=atan", "width_fwhm=0.5")
"""The first setting to try in a recurrent network, with which passing steps are measured."""


def passing_start(
    overrides: Sequence[str],
    shape: Shape,
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
) -> OwnStart:
    """Measure passing steps of a recurrent network, and the width at which a triangle has as many as advised.

    If they choose no width (a neuron without such a reset, a cut gradient), these values are None.

    Args:
        overrides: Hydra overrides of a run.
        shape: of the network.
        config_dirs: folders with the user's own entries.
        allow_targets: classes outside the catalogue that may be imported.
    """
    try:
        spec = compose([*overrides, *FIRST_TRY], config_dirs=config_dirs, allow_targets=allow_targets)
        return measured_start(measured(spec), shape.steps, shape.layers)
    except InputError:
        return OwnStart(shape.steps, layers=shape.layers)


def measured_start(seen: FirstPass, steps: int, layers: int) -> OwnStart:
    """Collect properties of a recurrent network and its input from one forward pass.

    Args:
        seen: the pass, with the first setting to try.
        steps: time steps of a sequence.
        layers: count of hidden layers.

    Raises:
        InputError: no width has the advised number of passing steps.
    """
    samples = sum(len(batch.lengths) for batch in seen.batches)
    inputs = [batch.x for batch in seen.batches]
    return OwnStart(
        steps,
        mean_passing_steps(seen.layers, seen.surrogate),
        width_for(seen.layers, create("surrogate/triangle", width_fwhm=1.0), TARGETS["attached"]),
        channels=math.prod(inputs[0].shape[2:]),
        neurons=int(max(layer.series for layer in seen.layers)) // samples,
        layers=layers,
        analogue=any(isinstance(x, Tensor) and bool((x != x.round()).any()) for x in inputs),
    )


def module_start(network: nn.Module, batch: Tensor, shape: Shape) -> OwnStart:
    """Measure passing steps of a user's recurrent module, as `sgbench.calibrate` does.

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
def _sent(parts: Parts, batch: Batch, layers: int) -> tuple[float, ...] | None:
    """Average the spikes per neuron and inference, by hidden layer; None if a layer has no spikes."""
    parts.network.eval()
    x, lengths = batch.x.to(parts.device), batch.lengths.to(parts.device)
    spikes = parts.network.unroll(x, lengths, keep=frozenset({SPIKES})).spikes[:layers]
    if len(spikes) < layers:
        return None
    valid = valid_steps(lengths, x.shape[0])
    return tuple(float((sent.flatten(2) * valid[..., None]).sum(0).double().mean().item()) for sent in spikes)


@dataclass
class _Seen:
    """Counts the calls, spikes and neurons of one layer in a hook."""

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
    seen = [_Seen() for _ in layers]
    run_hooked(network, batch, {layer: _note(one) for layer, one in zip(layers, seen, strict=True)})
    hidden = seen[:-1] if len(seen) > 1 else seen  # the last layer answers
    return Shape(
        layers=len(hidden),
        recurrent=any(type(layer).__name__ in RECURRENT for layer in layers[: len(hidden)]),
        steps=max(one.calls for one in seen),
        start_spikes=tuple(one.spikes / max(one.neurons, 1) for one in hidden),
    )


def _note(seen: _Seen) -> Hook:
    """Make a hook that adds up the spikes of a layer; a sample's neurons count once."""

    def hook(_: nn.Module, __: object, output: Any) -> None:
        sent = output[0] if isinstance(output, tuple) else output
        seen.calls += 1
        seen.spikes += float(sent.sum())
        seen.neurons = sent.numel()

    return hook
