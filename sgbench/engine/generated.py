"""Layers over time by loops that are written for their neurons' `step` and compiled for the CPU."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sgbench.engine import fused
from sgbench.engine.codegen.program import Program, record
from sgbench.engine.codegen.recall import recalled
from sgbench.engine.codegen.source import LoopSource
from sgbench.engine.codegen.unchanged import unchanged
from sgbench.engine.codegen.values import Untraceable
from sgbench.engine.layer import EngineLayer, LayerRun, Wanted, one_by_one, start, ways_back
from sgbench.engine.layout import Layout
from sgbench.errors import InputError
from sgbench.paths import default_loops_dir
from sgbench.signals.spikes import Signal, SparseSpikes, dense

DTYPES = (torch.float32, torch.float64)
SAMPLES, NEURONS = 3, 2
"""Of the layer on which a step is tried out; neurons with a value each decide for themselves."""
_tried: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
"""Why the step of neurons cannot be written as loops, or nothing where it can; what was tried once."""


def refusal(layer: EngineLayer, device: torch.device) -> str | None:
    """Explain why the generated engine cannot run a layer on a device, or return None where it can."""
    if device.type != "cpu":
        return "its loops are compiled for the CPU"
    lacking = fused.missing()
    if lacking is not None:
        return lacking
    if default_loops_dir() is None:
        return "SGBENCH_LOOPS=off, so no loops are written"
    if layer.neuron.sees_all_steps:
        return "its neurons see all steps at once"
    if layer.recurrence == "convolution":
        return "its recurrence is a convolution"
    if ways_back(layer).recurrent is not None:
        return "gradient goes back through other recurrent weights than its own"
    if layer.neuron not in _tried:
        _tried[layer.neuron] = _try_out(layer)
    return _tried[layer.neuron] or None


def _try_out(layer: EngineLayer) -> str:
    """Record a step on trial and return why it cannot be written as loops, or an empty string where it can."""
    numbers = [*layer.neuron.parameters(), *layer.neuron.buffers()]  # type: ignore[attr-defined]
    dtype = next((tensor.dtype for tensor in numbers if tensor.is_floating_point()), torch.float32)
    synapses = layer.synapses()
    if synapses is not None:
        dtype = synapses[0].dtype
    if dtype not in DTYPES:
        return "its loops are compiled for float32 and float64"
    shape = (SAMPLES, *_features(layer, numbers))
    try:
        with unchanged(layer.neuron):  # type: ignore[arg-type]
            record(layer, shape, dtype, parts=layer.neuron.currents, keep_u=True, learns=True)
    except Untraceable as reason:
        return str(reason)
    return ""


def unroll(
    layers: Sequence[EngineLayer], signal: Signal, states: Sequence[Any], wanted: Wanted
) -> list[LayerRun]:
    """Run a chain of layers over time, one after another; see `Engine.unroll`."""
    return one_by_one(_unroll, layers, signal, states, wanted)


def _unroll(layer: EngineLayer, signal: Signal, state: Any, wanted: Wanted) -> LayerRun:
    """Run a layer by loops that are written for its neurons' step."""
    from sgbench.engine.generated_run import Run, run

    current = _current(layer, signal)
    if current.dtype not in DTYPES:
        raise InputError(f"layer '{layer.name}': currents in {current.dtype}; use engine=reference")
    layout = Layout.of(current, leading=2)
    parts = layer.neuron.currents
    begin = start(layer, current[0], state)
    neuron_learns = any(parameter.requires_grad for parameter in layer.neuron.parameters())  # type: ignore[attr-defined]
    recurrent = layer.recurrent is not None and layer.recurrent.requires_grad
    learns = torch.is_grad_enabled() and (current.requires_grad or neuron_learns or recurrent)
    shape = current.shape[1:] if parts == 1 else (current.shape[1], current.shape[2] // parts)

    def write() -> tuple[Program, LoopSource]:
        program = record(layer, shape, current.dtype, parts=parts, keep_u=wanted.u, learns=learns)
        return program, LoopSource(program, current.dtype, math.prod(shape[1:]))

    try:
        key = (shape, current.dtype, wanted.u, learns, layer.recurrence, layer.cut, id(layer.recurrent))
        _, source = recalled(layer.neuron, key, write)  # type: ignore[arg-type]
    except Untraceable as reason:
        raise InputError(
            f"engine=generated: layer '{layer.name}': {reason}; use engine=reference"
        ) from reason
    matrix = None
    if layer.recurrence == "all_to_all":  # what one spike of each neuron feeds back, which is the matrix
        matrix = layer.feedback(torch.eye(shape[-1], dtype=current.dtype))
    # Across a window's border the state goes on without its gradient: each window is a pass of its own.
    runs: list[LayerRun] = []
    for part in current.split(wanted.window or len(current)):
        runs.append(run(Run(layer, source, layout, begin, part.shape, keep_u=wanted.u), part, matrix))
        begin = type(begin)(*(field.detach() for field in runs[-1].state))
    if len(runs) == 1:
        return runs[0]
    outputs = torch.cat([one.output for one in runs if one.output is not None])
    return LayerRun(
        outputs, torch.cat([one.u for one in runs if one.u is not None]) if wanted.u else None, runs[-1].state
    )


def _current(layer: EngineLayer, signal: Signal) -> Tensor:
    """Compute the current [T, B, ...] of all steps, by a sum over events where there are some."""
    from sgbench.engine.event_current import event_current

    synapses = layer.synapses()
    if synapses is None or not isinstance(signal, SparseSpikes) or synapses[0].dtype not in DTYPES:
        return layer.current(dense(signal))
    return event_current(signal, *synapses)


def _features(layer: EngineLayer, numbers: Sequence[Tensor]) -> tuple[int, ...]:
    """Count the neurons of one current of a layer; an unknown number does not matter to an elementwise step."""
    weight = layer.synapses()
    if weight is not None:
        return (weight[0].shape[0] // layer.neuron.currents,)
    if layer.recurrent is not None:
        return (layer.recurrent.shape[0] // layer.neuron.currents,)
    known = [tensor.shape for tensor in numbers if tensor.dim() > 1]
    if known:  # a value for each channel [C, 1, 1]
        return tuple(max(size, NEURONS) if size == 1 else size for size in known[0])
    return (max((tensor.numel() for tensor in numbers), default=NEURONS) // layer.neuron.currents or NEURONS,)
