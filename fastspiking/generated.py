"""The engine "generated": layers over time by loops that are generated from their neurons' `step`, for the CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fastspiking import fused, matmul, reference
from fastspiking.codegen.program import record
from fastspiking.codegen.snapshot import Snapshot
from fastspiking.codegen.source import LoopSource, WrittenSource, stored_source
from fastspiking.codegen.values import Untraceable
from fastspiking.errors import InputError
from fastspiking.layer import EngineLayer, LayerRun, Wanted, current_of_events, passed_on, start, synapses_of, ways_back
from fastspiking.paths import default_loops_dir
from fastspiking.plan import Layout
from fastspiking.signals.spikes import Signal, SparseSpikes, dense

if TYPE_CHECKING:
    from fastspiking.generated_forward import ArrivingEvents, Inputs

DTYPES = (torch.float32, torch.float64)
SAMPLES, NEURONS = 3, 2
"""Size of the layer on which a step is tried out; neurons with parameters of their own determine their number."""


def refusal(layer: EngineLayer, device: torch.device) -> str | None:
    """Return why the generated engine cannot run a layer on a device, or None if it can.

    The step is recorded on trial, with gradients and potentials.
    """
    return without_trial(layer, device) or try_out(layer)


def without_trial(layer: EngineLayer, device: torch.device) -> str | None:
    """Return why no loops can be generated, as far as it is known without recording the step, or None."""
    if device.type != "cpu":
        return "its loops are compiled for the CPU"
    lacking = fused.import_problem()
    if lacking is not None:
        return lacking
    if default_loops_dir() is None:
        return "SGBENCH_LOOPS=off, so no loops are written"
    return beyond_a_step(layer)


def beyond_a_step(layer: EngineLayer) -> str | None:
    """Return why a program of single steps cannot run a layer, or None if it can."""
    if layer.neuron.sees_all_steps:
        return "its neurons see all steps at once"
    if layer.recurrence == "convolution":
        return "its recurrence is a convolution"
    if ways_back(layer).recurrent is not None:
        return "gradient goes back through other recurrent weights than its own"
    return None


def try_out(layer: EngineLayer, writer: type[WrittenSource] = LoopSource) -> str | None:
    """Record a layer's step on trial and write its source; return why that fails, or None if it does not."""
    numbers = [*layer.neuron.parameters(), *layer.neuron.buffers()]  # type: ignore[attr-defined]
    tensors = [*layer.parameters(), *numbers]  # type: ignore[attr-defined]
    dtype = next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)
    if dtype not in DTYPES:
        return "its loops are compiled for float32 and float64"
    shape = (SAMPLES, *_feature_shape(layer, numbers))
    try:
        writer(record(layer, shape, dtype, keep_u=True, learns=True), dtype, math.prod(shape[1:]))
    except Untraceable as reason:
        return str(reason)
    return None


def can_join_loop(layer: EngineLayer, wanted: Wanted) -> bool:
    """Return whether the previous layer's loops can compute a layer: a readout whose outputs share one fixed decay."""
    spec = layer.neuron.recurrence_spec()
    if spec is None or layer.synapses() is None or layer.recurrence != "none":
        return False
    if isinstance(spec.input, Tensor) or any(isinstance(value, Tensor) for value in spec.coefficients()):
        return False
    is_plain = spec.surrogate is None and spec.second is None and spec.input == 1.0
    return is_plain and wanted.window is None and not wanted.apart


def unroll(
    layers: Sequence[EngineLayer],
    signal: Signal,
    states: Sequence[Any],
    wanted: Wanted,
    readout: EngineLayer | None = None,
    *,
    or_reference: bool = False,
) -> list[LayerRun]:
    """Run layers over time one after another, and a readout after them if one is given.

    `layers`: the layers that generated loops run. `signal`: input of the first. `states`: state of each layer before
    the first step; None is the initial state. `wanted`: results that are wanted of each. `readout`: the layer after
    them, starting at rest, if `can_join_loop`; the last layer's loops compute it. `or_reference`: whether a layer whose
    step cannot be recorded runs on the reference engine.
    """
    runs: list[LayerRun] = []
    for layer, state in zip(layers, states, strict=True):
        joined = readout if layer is layers[-1] else None
        run, readout_run = _unroll(layer, signal, state, wanted, joined, or_reference=or_reference)
        runs.append(run)
        if readout_run is not None:
            return [*runs, readout_run]
        if run.output is not None:
            signal = passed_on(run.output, wanted)
    return runs if readout is None else [*runs, *fused.unroll([readout], signal, [None], wanted)]


def _unroll(
    layer: EngineLayer, signal: Signal, state: Any, wanted: Wanted, readout: EngineLayer | None, *, or_reference: bool
) -> tuple[LayerRun, LayerRun | None]:
    """Run a layer by loops generated from its step; also return the run of the readout if the loops computed it."""
    from fastspiking.generated_forward import JoinedReadout, Run
    from fastspiking.generated_run import run_layer, with_matrix

    by_steps = layer.recurrence == "all_to_all"
    arriving = None if by_steps or wanted.window is not None else _arriving_events(layer, signal)
    inputs, like, shape = _inputs(layer, signal, arriving)
    layout = Layout.of(like, leading=1)
    try:
        source = write_source(layer, shape, like.dtype, wanted, learns=learns(layer, inputs, readout))
    except Untraceable as reason:
        if not or_reference:
            raise InputError(f"engine=generated: layer '{layer.name}': {reason}; use engine=reference") from reason
        current = layer.current(dense(signal)) if inputs.current is None else inputs.current
        return reference.unroll_current(layer, current, state, wanted), None
    run = Run(layer, source, layout, start(layer, like, state), shape, keep_u=wanted.u, arriving=arriving)
    if by_steps:
        inputs = with_matrix(layer, inputs, run.width)
    elif readout is not None and source.program.fires and len(layout.features) == 1:
        weight, bias = synapses_of(readout)
        if weight.dtype == like.dtype:
            run.keep_output = wanted.spikes
            run.readout = JoinedReadout(readout, weight.new_empty(*shape[:2], len(weight)), keep_u=wanted.u)
            inputs = inputs._replace(readout_weight=weight, readout_bias=bias)
    return run_layer(run, inputs, wanted.window)


def _inputs(
    layer: EngineLayer, signal: Signal, arriving: ArrivingEvents | None
) -> tuple[Inputs, Tensor, tuple[int, ...]]:
    """Return the differentiable inputs, a tensor like one step's current, and the shape of the current of all steps."""
    from fastspiking.generated_forward import Inputs

    if arriving is None:
        current = _current(layer, signal)
        return Inputs(current), current[0], tuple(current.shape)
    weight, bias = synapses_of(layer)
    shape = (*signal.shape[:2], len(weight))
    return Inputs(None, weight, bias), weight.new_empty(shape[1:]), shape


def learns(layer: EngineLayer, inputs: Inputs, readout: EngineLayer | None = None) -> bool:
    """Return whether an input or parameter of a layer, or a weight of the readout after it, needs a gradient."""
    tensors = [*inputs, layer.recurrent, *layer.neuron.parameters()]  # type: ignore[attr-defined]
    if readout is not None:
        tensors += synapses_of(readout)
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def write_source(
    layer: EngineLayer,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    wanted: Wanted,
    *,
    learns: bool,
    writer: type[WrittenSource] = LoopSource,
) -> WrittenSource:
    """Return the generated source of a layer's step, a stored one if the neuron has not changed.

    `layer`: the layer. `shape`: shape of its current over all steps: [T, B, ...], or [T, B, C N] if each of its N
    neurons takes C currents. `dtype`: dtype of its current. `wanted`: results that the caller wants of the layer.
    `learns`: whether the source also computes gradients. `writer`: class that writes the source, as loops for the CPU
    or as Triton programs.
    """
    if dtype not in DTYPES:
        raise Untraceable(f"its currents are {dtype}")
    neuron = layer.neuron
    # Shape of one step's potentials: one for each neuron, which may take several currents.
    step_shape = shape[1:] if neuron.currents == 1 else (shape[1], shape[2] // neuron.currents)

    def write(snapshot: Snapshot) -> WrittenSource:
        program = record(layer, step_shape, dtype, keep_u=wanted.u, learns=learns, snapshot=snapshot)
        return writer(program, dtype, math.prod(step_shape[1:]))

    if layer.recurrence == "one_to_one":  # the step reads weights that a snapshot of the neuron does not hold
        return write(Snapshot(neuron))  # type: ignore[arg-type]
    key = (writer, step_shape, dtype, wanted.u, learns, layer.recurrence, torch.get_default_dtype())
    return stored_source(neuron, key, write)  # type: ignore[arg-type]


def _arriving_events(layer: EngineLayer, signal: Signal) -> ArrivingEvents | None:
    """Return a layer's input events, if its loops are to sum the current from them step by step.

    Return None if the current of all steps is computed before the loops: without a weight matrix, or for dense input.
    """
    from fastspiking.generated_forward import ArrivingEvents

    synapses = layer.synapses()
    if synapses is None or not isinstance(signal, SparseSpikes) or synapses[0].dtype not in DTYPES:
        return None
    return ArrivingEvents(signal, *synapses) if signal.density <= matmul.WEIGHT_DENSE else None


def _current(layer: EngineLayer, signal: Signal) -> Tensor:
    """Compute a layer's current [T, B, ...] of all steps, by sums over events if the signal is packed."""
    from fastspiking.event_product import event_current

    synapses = layer.synapses()
    if synapses is None or not isinstance(signal, SparseSpikes) or synapses[0].dtype not in DTYPES:
        return current_of_events(layer, signal)
    return event_current(signal, *synapses)


def _feature_shape(layer: EngineLayer, numbers: Sequence[Tensor]) -> tuple[int, ...]:
    """Return the feature shape of a layer's neurons; a step is elementwise, so a guess is good enough on trial."""
    currents, synapses = layer.neuron.currents, layer.synapses()
    weights = layer.recurrent if synapses is None else synapses[0]
    if weights is not None:
        return (weights.shape[0] // currents,)
    shapes = [tensor.shape for tensor in numbers if tensor.dim() > 1]
    if shapes:  # a value for each channel [C, 1, 1]
        return tuple(max(size, NEURONS) if size == 1 else size for size in shapes[0])
    return (max((tensor.numel() for tensor in numbers), default=NEURONS) // currents or NEURONS,)
