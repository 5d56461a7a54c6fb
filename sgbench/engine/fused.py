"""Layers over time by compiled loops on a CPU: spikes are followed, not multiplied, and little is remembered."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sgbench.engine import scan
from sgbench.engine.dense_product import DenseProduct
from sgbench.engine.layer import Layer, LayerRun, Wanted
from sgbench.engine.layout import Layout
from sgbench.engine.plan import Keep
from sgbench.engine.recursion import Stage, run
from sgbench.errors import one_printable_line
from sgbench.spikes import Events, Signal, dense


def refusal(layer: Layer, device: torch.device) -> str | None:
    """Why this layer cannot run here, or None where it can."""
    if device.type != "cpu":
        return "its loops are compiled for the CPU"
    missing = _missing()
    if missing is not None:
        return missing
    synapses = layer.synapses()
    if synapses is not None and synapses[0].dtype not in (torch.float32, torch.float64):
        return "its loops are compiled for float32 and float64"
    return scan.refusal(layer, device)


@functools.cache
def _missing() -> str | None:
    """Why there are no compiled loops here, or None where there are."""
    try:
        importlib.import_module("sgbench.engine.kernels.forward")
    except ImportError as error:
        return f"numba cannot be imported ({one_printable_line(error)})"
    except RuntimeError as error:  # numba finds no folder for its cache
        return f"numba cannot keep what it compiles ({one_printable_line(error)}); set NUMBA_CACHE_DIR"
    return None


def unroll(layers: Sequence[Layer], signal: Signal, states: Sequence[Any], wanted: Wanted) -> list[LayerRun]:
    """Run a chain of layers over time, chunk by chunk through all of them; see `Engine.unroll`."""
    runs: list[LayerRun] = []
    for chain in _chains(layers):
        begin = len(runs)
        chained = _unroll(chain, signal, states[begin : begin + len(chain)], wanted)
        runs += chained
        if chained[-1].output is not None:
            signal = chained[-1].output
    return runs


def _chains(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Layers that spikes join: each but the first has a matrix of synapses and follows one that fires."""
    chains: list[list[Layer]] = []
    for position, layer in enumerate(layers):
        fires = position > 0 and scan.spec_of(layers[position - 1]).surrogate is not None
        if fires and layer.synapses() is not None:
            chains[-1].append(layer)
        else:
            chains.append([layer])
    return chains


def _unroll(chain: Sequence[Layer], signal: Signal, states: Sequence[Any], wanted: Wanted) -> list[LayerRun]:
    stages: list[Stage] = []
    begins = []
    for position, (layer, state) in enumerate(zip(chain, states, strict=True)):
        last = position == len(chain) - 1
        keep = Keep(words=not last, spikes=last or wanted.spikes, x=wanted.u)
        source = stages[-1] if stages else signal
        stage, begin = _stage(layer, source, state, keep)
        stages.append(stage)
        begins.append(begin)
    return [
        scan.finish(stage.plan, outcome, begin, keep_u=wanted.u)
        for stage, outcome, begin in zip(stages, run(stages), begins, strict=True)
    ]


def _stage(layer: Layer, source: Signal | Stage, state: Any, keep: Keep) -> tuple[Stage, Any]:
    """A layer behind events, dense input or another stage, and the state that it starts from."""
    from sgbench.engine.event_product import EventProduct, Fired, Given
    from sgbench.engine.numba_steps import NumbaSteps
    from sgbench.engine.warm_up import compiled

    steps = NumbaSteps()
    synapses = layer.synapses()
    if synapses is None:
        if isinstance(source, Stage):
            raise TypeError(f"layer '{layer.name}' cannot follow another in a chain: it has no synapses")
        current = layer.current(dense(source))
        compiled(current.dtype)
        return scan.current_stage(layer, current, state, steps, keep)
    weight, bias = synapses
    compiled(weight.dtype)
    shape = source.plan.shape if isinstance(source, Stage) else source.shape
    like = weight.new_empty(shape[1], weight.shape[0])
    begin = layer.neuron.initial_state(like) if state is None else state
    plan = scan.make_plan(layer, Layout.of(like, leading=1), begin, like, steps, shape[0], keep)
    if isinstance(source, Tensor):
        return Stage(plan, DenseProduct(weight, bias, source), plan.course(), (source, weight, bias)), begin
    origin = Given(source) if isinstance(source, Events) else Fired(source.plan, source.course)
    product = EventProduct(weight, bias, origin, joined=plan.fires)
    return Stage(plan, product, plan.course(), (weight, bias)), begin
