"""How a network starts: its depth, whether it recurs, and how much each layer sends before any training."""

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


def start_of_words(
    words: Sequence[str], config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()
) -> Shape:
    """Measure the network of a run on one batch of its training samples.

    Args:
        words: as on the command line of `sgbench run`.
        config_dirs: folders with entries of the user's own.
        allow_targets: classes outside the catalogue that may be imported.

    Raises:
        InputError: the words are not those of a run, or its data are not there.
    """
    return start_of_spec(compose(words, config_dirs=config_dirs, allow_targets=allow_targets))


def start_of_spec(spec: RunSpec) -> Shape:
    """Measure the network of a run as `start_of_words` does.

    Raises:
        InputError: its data are not there, or it has no hidden layer that sends spikes.
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
"""What is tried first in a recurrent network, at which passing steps are measured."""


def passing_start(
    words: Sequence[str], shape: Shape, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()
) -> OwnStart:
    """Measure passing steps of a recurrent network, and the width at which a triangle has as many as advised.

    Where they choose no width (a neuron without such a reset, a cut gradient), nothing of it is known.

    Args:
        words: as on the command line of `sgbench run`.
        shape: of the network.
        config_dirs: folders with entries of the user's own.
        allow_targets: classes outside the catalogue that may be imported.
    """
    try:
        spec = compose([*words, *FIRST_TRY], config_dirs=config_dirs, allow_targets=allow_targets)
        return measured_start(measured(spec), shape.steps, shape.layers)
    except InputError:
        return OwnStart(shape.steps, layers=shape.layers)


def measured_start(seen: FirstPass, steps: int, layers: int) -> OwnStart:
    """Collect what one forward pass shows of a recurrent network and its input.

    Args:
        seen: with the setting that is tried first.
        steps: of a sequence.
        layers: hidden ones.

    Raises:
        InputError: no width has as many passing steps as advised.
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
    """Measure passing steps of a recurrent module of one's own, as `sgbench.calibrate` does.

    Args:
        network: made of snnTorch's neurons.
        batch: what its `forward` takes.
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
    """Average the spikes of a neuron in one inference, by hidden layer; None where a layer sends none."""
    parts.network.eval()
    x, lengths = batch.x.to(parts.device), batch.lengths.to(parts.device)
    spikes = parts.network.unroll(x, lengths, keep=frozenset({SPIKES})).spikes[:layers]
    if len(spikes) < layers:
        return None
    valid = valid_steps(lengths, x.shape[0])
    return tuple(float((sent.flatten(2) * valid[..., None]).sum(0).double().mean().item()) for sent in spikes)


@dataclass
class _Seen:
    """Holds what a hook has seen of one layer."""

    calls: int = 0
    spikes: float = 0.0
    neurons: int = 0


@torch.no_grad()
def start_of_module(network: nn.Module, batch: Tensor) -> Shape:
    """Measure how a network of one's own that is made of snnTorch's neurons starts.

    Args:
        network: whose `forward` takes the batch; it may go through the steps itself.
        batch: of input, in whatever shape `forward` takes.

    Raises:
        InputError: there is no layer of snnTorch's, or the batch does not fit.
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
