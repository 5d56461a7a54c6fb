"""The engine "fused": layers over time by compiled loops on a CPU, which compute spikes event by event."""

import dataclasses
import functools
import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastspiking import scan
from fastspiking.errors import one_printable_line
from fastspiking.layer import EngineLayer, LayerRun, Wanted, current_of_events, passed_on, ways_back
from fastspiking.matmul import add_product, multiply, multiply_into
from fastspiking.plan import Drive, Keep, Layout
from fastspiking.recursion import Chunks, Passes, Stage, run
from fastspiking.signals.spikes import Signal, SparseSpikes
from fastspiking.spec import LinearSpec

WHOLE_ABOVE = 2**20
"""Number of weights above which their gradient is one product over all steps; adding chunk by chunk is slower."""


class DenseProduct:
    """Computes the current I = W x + b of all steps for dense input x, and its gradients; see `plan.Product`.

    `weight`: W [M, K]. `bias`: b [M] or None. `x`: input [T, B, K]. `back`: weights [M, K] that carry gradient back to
    the input; None means W.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, x: Tensor, *, back: Tensor | None = None) -> None:
        self.weight = weight.detach()
        self.back = self.weight if back is None else back.detach()
        self.columns = self.weight.T
        self.bias = None if bias is None else bias.detach()
        self.x = x.detach().flatten(0, 1)
        self.batch = x.shape[1]
        self.sends_back = x.requires_grad
        self.whole = weight.numel() > WHOLE_ABOVE
        self.room: Tensor | None = None  # memory for the adjoint of a chunk, or of all steps
        self.d_x: Tensor | None = None
        self.d_columns: Tensor | None = None
        self.d_bias: Tensor | None = None

    def drive(self, room: Tensor) -> Drive:
        multiply_into(room.view(-1, room.shape[-1]), self.x, self.columns, self.bias)
        return Drive(room)

    def adjoint_memory(self, first: int, last: int, offered: Tensor | None) -> Tensor:
        """Return memory for the gradient of steps [first, last), of all steps if all are kept."""
        steps = len(self.x) // self.batch if self.whole else last - first
        if self.room is None or len(self.room) < steps:
            self.room = self.x.new_empty(steps, self.batch, len(self.weight))
        return self.room[first:last] if self.whole else self.room[:steps]

    def add_gradients(self, first: int, last: int, out: Tensor) -> None:
        """Add steps [first, last) to the gradients of input, weight and bias; see `plan.Product`."""
        rows = slice(first * self.batch, last * self.batch)
        flat = out.view(-1, out.shape[-1])
        if not self.whole:
            if self.d_columns is None:
                self.d_columns = self.x.new_zeros(self.columns.shape)
            add_product(self.d_columns, self.x[rows].T, flat)
        if self.bias is not None:
            total = flat.sum(0)
            self.d_bias = total if self.d_bias is None else self.d_bias + total
        if self.sends_back:
            if self.d_x is None:
                self.d_x = torch.empty_like(self.x)
            multiply_into(self.d_x[rows], flat, self.back)

    def input_adjoint(self, first: int, last: int, out: Tensor) -> Tensor:
        raise TypeError("dense input comes from outside of the chain")

    def gradients(self) -> tuple[Tensor | None, ...]:
        """Return the gradients of input, weight and bias, and forget them, so that a second pass starts anew."""
        if self.whole and self.room is not None:
            self.d_columns = multiply(self.x.T, self.room.flatten(0, 1))
        d_x = None if self.d_x is None else self.d_x.view(-1, self.batch, self.x.shape[1])
        gradients = (d_x, None if self.d_columns is None else self.d_columns.T, self.d_bias)
        self.room = self.d_x = self.d_columns = self.d_bias = None
        return gradients


def refusal(layer: EngineLayer, device: torch.device) -> str | None:
    """Return why the compiled loops cannot run a layer on a device, or None if they can."""
    if device.type != "cpu":
        return "its loops are compiled for the CPU"
    lacking = import_problem()
    if lacking is not None:
        return lacking
    synapses = layer.synapses()
    if synapses is not None and synapses[0].dtype not in (torch.float32, torch.float64):
        return "its loops are compiled for float32 and float64"
    return scan.refusal(layer, device)


@functools.cache
def import_problem() -> str | None:
    """Return why the compiled loops cannot be imported, or None if they can."""
    try:
        importlib.import_module("fastspiking.kernels.forward")
    except ImportError as error:
        return f"numba cannot be imported ({one_printable_line(error)})"
    except RuntimeError as error:  # numba finds no folder for its cache
        return f"numba cannot keep what it compiles ({one_printable_line(error)}); set NUMBA_CACHE_DIR"
    return None


class _Link(NamedTuple):
    """Holds a layer of a chain that the fused engine runs."""

    layer: EngineLayer
    spec: LinearSpec
    state: Any  # before the first step; None is the initial state


def unroll(layers: Sequence[EngineLayer], signal: Signal, states: Sequence[Any], wanted: Wanted) -> list[LayerRun]:
    """Run layers over all steps; those that compiled loops can run together are one chain."""
    runs: list[LayerRun] = []
    for chain in _chains(layers, states):
        runs += _unroll(chain, signal, wanted)
        if runs[-1].output is not None:
            signal = passed_on(runs[-1].output, wanted)
    return runs


def _chains(layers: Sequence[EngineLayer], states: Sequence[Any]) -> list[list[_Link]]:
    """Split layers into chains, in which all but the first have a weight matrix and follow a spiking layer."""
    chains: list[list[_Link]] = []
    for layer, state in zip(layers, states, strict=True):
        link = _Link(layer, scan.spec_of(layer), state)
        if chains and chains[-1][-1].spec.surrogate is not None and layer.synapses() is not None:
            chains[-1].append(link)
        else:
            chains.append([link])
    return chains


def stages_of(layers: Sequence[EngineLayer], signal: SparseSpikes) -> list[Stage] | None:
    """Return the stages of layers that run from rest as one chain by blocks of samples; None if they cannot."""
    from fastspiking.blocks import covers

    chains = _chains(layers, [None] * len(layers))
    if len(chains) > 1:
        return None
    stages, _ = _stages(chains[0], signal, Wanted(u=False, spikes=False))
    return stages if covers(stages) else None


def _unroll(chain: Sequence[_Link], signal: Signal, wanted: Wanted) -> list[LayerRun]:
    """Run one chain by a single autograd function; return the run of each of its layers."""
    stages, begins = _stages(chain, signal, wanted)
    outcomes = run(stages, _passes(chain, stages))
    return [
        scan.layer_run(stage.plan, outcome, begin, keep_u=wanted.u)
        for stage, outcome, begin in zip(stages, outcomes, begins, strict=True)
    ]


def _stages(chain: Sequence[_Link], signal: Signal, wanted: Wanted) -> tuple[list[Stage], list[Any]]:
    """Return a stage and the state before the first step for each layer of a chain."""
    stages: list[Stage] = []
    begins = []
    for position, link in enumerate(chain):
        last = position == len(chain) - 1
        keep = Keep(words=not last, spikes=last or wanted.spikes, x=wanted.u)
        stage, begin = _stage(link, stages[-1] if stages else signal, keep, wanted)
        stages.append(stage)
        begins.append(begin)
    return stages, begins


def _passes(chain: Sequence[_Link], stages: Sequence[Stage]) -> Passes:
    """Return passes by blocks of samples if these cover the chain and it begins at rest; else by chunks of time."""
    from fastspiking.blocks import BlockPasses, covers

    fresh = all(link.state is None for link in chain)
    return BlockPasses(stages) if fresh and covers(stages) else Chunks()


def _stage(link: _Link, source: Signal | Stage, keep: Keep, wanted: Wanted) -> tuple[Stage, Any]:
    """Return the stage of a layer, whose input is a signal or the stage before it, and its first state."""
    from fastspiking.event_product import EventProduct, Fired, GivenEvents
    from fastspiking.numba_steps import NumbaSteps

    layer, spec, state = link
    steps = NumbaSteps()
    synapses = layer.synapses()
    if synapses is None:
        if isinstance(source, Stage):
            raise TypeError(f"layer '{layer.name}' cannot follow another in a chain: it has no synapses")
        current = current_of_events(layer, source)
        return scan.current_stage(layer, spec, current, state, steps, keep, window=wanted.window)
    weight, bias = synapses
    shape = source.plan.shape if isinstance(source, Stage) else source.shape
    like = weight.new_empty(shape[1], weight.shape[0])
    begin = layer.neuron.initial_state(like) if state is None else state
    layout, back = Layout.of(like, leading=1), ways_back(layer).weight
    plan = scan.make_plan(layer, spec, layout, begin, like, steps, shape[0], keep)
    plan = dataclasses.replace(plan, window=wanted.window, apart=wanted.apart)
    if isinstance(source, Tensor):
        product = DenseProduct(weight, bias, source, back=back)
        return Stage(plan, product, plan.saved(), (source, weight, bias)), begin
    origin = GivenEvents(source) if isinstance(source, SparseSpikes) else Fired(source.plan, source.saved)
    events = EventProduct(weight, bias, origin, joined=plan.fires, back=back)
    return Stage(plan, events, plan.saved(), (weight, bias)), begin
