"""The engine "scan": linear neurons over time in plain torch on any device, with a hand-derived backward pass."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from fastspiking import matmul
from fastspiking.layer import EngineLayer, LayerRun, Wanted, one_by_one
from fastspiking.plan import (
    Adjoint,
    Carry,
    ChunkAdjoints,
    Drive,
    IncomingGradients,
    Keep,
    LayerPlan,
    Layout,
    SavedActivations,
    Steps,
)
from fastspiking.recursion import Chunks, LayerOutcome, Stage, run
from fastspiking.signals.spikes import Signal, SparseSpikes, dense
from fastspiking.spec import COEFFICIENTS, LinearSpec, requires_grad


class TorchSteps:
    """Runs the steps of a layer by elementwise torch operations on one step [B, M] at a time; see `plan.Steps`."""

    uses_words = False

    def advance(self, plan: LayerPlan, saved: SavedActivations, carry: Carry, drive: Drive) -> None:
        """Run all steps forward, driven by a given current; see `plan.Steps`."""
        if drive.current is None:
            raise TypeError("plain torch follows no events: the current has to be given")
        theta, slope = plan.coefficients[1], plan.coefficients[-1]  # threshold, and how w moves it
        feedback = None if plan.layer.recurrent is None else plan.layer.feedback
        for t, current in enumerate(drive.current.unbind(0)):
            now = current if feedback is None else current + feedback(carry.last)
            if saved.now.numel():
                saved.now[t] = now
            u_drive, threshold = plan.coefficients[2] * now if plan.gained else now, theta
            if plan.second:
                u_drive = _second(plan, now, carry)
                threshold = theta + slope * carry.w
                if saved.w.numel():
                    saved.w[t] = carry.w
            _potential(plan, u_drive, carry)
            torch.sub(carry.u, threshold, out=saved.x[t])
            if plan.fires:
                torch.gt(saved.x[t], 0, out=carry.last)
                if saved.spikes.numel():
                    saved.spikes[t] = carry.last

    def backward(self, plan: LayerPlan, saved: SavedActivations, carry: Carry) -> Adjoint:
        return functools.partial(_adjoint, plan, saved, carry)

    def add_matrix_gradient(self, saved: SavedActivations, first: int, out: Tensor, total: Tensor) -> None:
        """Add to `total` [M, M] the product of the steps' adjoint `out` with the spikes one step earlier."""
        spikes = saved.spikes[first - 1 : first - 1 + len(out)]
        total.addmm_(out.flatten(0, 1).T, spikes.flatten(0, 1))


def _adjoint(
    plan: LayerPlan,
    saved: SavedActivations,
    carry: Carry,
    incoming: IncomingGradients,
    first: int,
    out: Tensor,
    adjoints: ChunkAdjoints,
) -> None:
    """Run a chunk of n steps from `first` on backward, and write their current's adjoint to `out` [n, B, M].

    `carry` is the adjoint of the state, updated in place; `adjoints` is written where it has a size.
    """
    x = saved.x[first : first + len(out)]
    psi = plan.spec.surrogate.derivative(x) if plan.spec.surrogate is not None else None
    for t in range(len(out) - 1, -1, -1):
        into_x = torch.zeros_like(carry.u)
        if psi is not None:
            outside = incoming.spikes[t] if incoming.spikes.numel() else into_x
            total = _total_of_spikes(plan, outside, saved, first + t, carry)
            into_x = psi[t] * total
            if adjoints.spikes.numel():
                adjoints.spikes[t] = total
            if plan.spec.reset == "zero":
                carry.u.mul_(x[t] <= 0)
        if incoming.x.numel():
            into_x = into_x + incoming.x[t]
        _adjoint_states(plan, into_x, carry, incoming if t == len(out) - 1 else None)
        out[t] = carry.last
        for room, value in zip(adjoints[:3], (carry.u, carry.w, into_x), strict=True):
            if room.numel():
                room[t] = value


def _second(plan: LayerPlan, now: Tensor, carry: Carry) -> Tensor:
    """Advance the second variable w in `carry`; return the potential's drive [B, M] from w and the current `now`."""
    _, _, gain, coupling, decay, potential, second_input, spike, _ = plan.coefficients
    carry.w.copy_(decay * carry.w + potential * carry.u + second_input * now + spike * carry.last)
    return gain * now + coupling * carry.w


def _potential(plan: LayerPlan, drive: Tensor, carry: Carry) -> None:
    """Advance the potential u in `carry`, reset by the last spikes; see `kept` in `spec`."""
    beta, theta = plan.coefficients[:2]
    u, s, reset = carry.u, carry.last, plan.spec.reset
    if reset == "subtract":
        u.mul_(beta).add_(drive).sub_(theta * s)
    elif reset == "subtract_decayed":
        u.sub_(theta * s).mul_(beta).add_(drive)
    elif reset == "zero":
        u.mul_(1 - s).mul_(beta).add_(drive)
    else:
        u.mul_(beta).add_(drive)


def _total_of_spikes(plan: LayerPlan, outside: Tensor, saved: SavedActivations, t: int, carry: Carry) -> Tensor:
    """Return the gradient of the spikes of step t [B, M]: `outside` plus what step t + 1 sends back.

    `carry` holds the adjoint of the state and the current in step t + 1.
    """
    beta, theta, *_, spike, slope = plan.coefficients
    if plan.forgets:
        return outside
    total = outside
    if plan.sends_back:
        wires = plan.recurrent_back
        total = total + (carry.last @ wires if wires.dim() > 1 else wires * carry.last)
    if plan.second:
        total = total + spike * carry.w
    if plan.spec.detached or plan.spec.reset == "none":
        return total
    if plan.spec.reset == "subtract":
        return total - theta * carry.u
    if plan.spec.reset == "subtract_decayed":
        return total - beta * theta * carry.u
    threshold = theta + slope * saved.w[t] if plan.second else theta
    return total - beta * (saved.x[t] + threshold) * carry.u


def _adjoint_states(plan: LayerPlan, into_x: Tensor, carry: Carry, final: IncomingGradients | None) -> None:
    """Move the adjoints of u, w and the current in `carry` one step back.

    `into_x` [B, M] is the gradient of the potential minus threshold; `final`, in the last step, holds the gradients
    of the last state.
    """
    beta, _, gain, coupling, second_decay, potential, second_input, _, slope = plan.adjoint_coefficients
    carry.u.mul_(beta).add_(into_x)
    if plan.second:
        carry.u.add_(potential * carry.w)
    if final is not None and final.u.numel():
        carry.u.add_(final.u)
    if not plan.second:
        carry.last.copy_(gain * carry.u if plan.gained else carry.u)
        return
    carry.w.mul_(second_decay).add_(coupling * carry.u).sub_(slope * into_x)
    if final is not None and final.w.numel():
        carry.w.add_(final.w)
    torch.mul(gain, carry.u, out=carry.last).add_(second_input * carry.w)


class DenseCurrent:
    """Provides a current [T, B, M] that autograd computed, for the first layer of a chain; see `plan.Product`."""

    def __init__(self, current: Tensor) -> None:
        self.current = current.detach()
        self.adjoint: Tensor | None = None

    def drive(self, room: Tensor) -> Drive:
        return Drive(self.current)

    def adjoint_memory(self, first: int, last: int, offered: Tensor | None) -> Tensor:
        """Return memory for the gradient of steps [first, last), a part of one array for all steps."""
        if self.adjoint is None:
            self.adjoint = torch.empty_like(self.current)
        return self.adjoint[first:last]

    def add_gradients(self, first: int, last: int, out: Tensor) -> None:
        """Do nothing, since `out` already is a part of the current's gradient."""

    def input_adjoint(self, first: int, last: int, out: Tensor) -> Tensor:
        raise TypeError("a current that autograd made is not part of a chain")

    def gradients(self) -> tuple[Tensor | None, ...]:
        """Return the gradient of the current, and forget it, so that a second backward pass starts anew."""
        adjoint, self.adjoint = self.adjoint, None
        return (adjoint,)


def refusal(layer: EngineLayer, device: torch.device) -> str | None:
    """Return why a layer cannot run by the hand-derived backward pass, or None if it can."""
    spec = layer.neuron.recurrence_spec()
    if spec is None:
        return "its neurons have no linear recurrence"
    if layer.recurrence == "convolution":
        return "its recurrence is a convolution"
    surrogate = spec.surrogate
    if surrogate is None:
        return None if layer.recurrence == "none" else "a layer that does not fire has no recurrence"
    if not surrogate.elementwise:
        return "its surrogate is not elementwise"
    if surrogate.stochastic:
        return "its surrogate draws random numbers step by step"
    if not surrogate.fires_at_threshold:
        return "its spikes are not those of a step at threshold"
    if surrogate.has_own_forward:
        return "its surrogate has a forward pass of its own"
    return None


def unroll(layers: Sequence[EngineLayer], signal: Signal, states: Sequence[Any], wanted: Wanted) -> list[LayerRun]:
    return one_by_one(_unroll, layers, signal, states, wanted)


def _unroll(layer: EngineLayer, signal: Signal, state: Any, wanted: Wanted) -> LayerRun:
    """Run a layer step by step in torch."""
    current = compute_current(layer, signal)
    keep = Keep(words=False, spikes=True, x=wanted.u)
    stage, begin = current_stage(layer, spec_of(layer), current, state, TorchSteps(), keep, window=wanted.window)
    return layer_run(stage.plan, run([stage], Chunks())[0], begin, keep_u=wanted.u)


def compute_current(layer: EngineLayer, signal: Signal) -> Tensor:
    """Compute a layer's current [T, B, ...] of all steps, as a sum of weights over events if these are few."""
    synapses = layer.synapses()
    in_bfloat16 = getattr(layer, "coarse", None) is not None  # sums over events are not
    if in_bfloat16 or synapses is None or not isinstance(signal, SparseSpikes):
        return layer.current(dense(signal))
    if signal.density > matmul.SCAN_DENSE:
        return layer.current(dense(signal))
    weight, bias = synapses
    value = None if signal.value is None else signal.value.to(weight.dtype)
    current = embedding_bag(signal.index.long(), weight.T, signal.indptr[:-1], mode="sum", per_sample_weights=value)
    current = current.view(*signal.shape[:2], -1)
    return current if bias is None else current + bias


def current_stage(
    layer: EngineLayer,
    spec: LinearSpec,
    current: Tensor,
    state: Any,
    steps: Steps,
    keep: Keep,
    *,
    window: int | None = None,
) -> tuple[Stage, Any]:
    """Return the stage of a layer whose current [T, B, ...] is given, and its state before the first step.

    `spec`: coefficients of its neurons. `state`: before the first step; None is the initial state. `steps`: how steps
    are computed. `keep`: results that are wanted. `window`: number of steps after which states are detached; None:
    never.
    """
    layout = Layout.of(current, leading=2)
    flat = layout.flat(current).contiguous()
    begin = layer.neuron.initial_state(current[0]) if state is None else state
    plan = make_plan(layer, spec, layout, begin, flat[0], steps, len(flat), keep)
    plan = dataclasses.replace(plan, window=window)
    return Stage(plan, DenseCurrent(flat), plan.saved(), (flat,)), begin


def make_plan(
    layer: EngineLayer,
    spec: LinearSpec,
    layout: Layout,
    begin: Any,
    one_step: Tensor,
    steps: Steps,
    count: int,
    keep: Keep,
) -> LayerPlan:
    """Return the plan of a layer's run.

    `spec`: coefficients of its neurons. `layout`: how the features of a step are flattened to M neurons. `begin`: state
    before the first step, in the neuron's own type and shape. `one_step`: tensor of the shape [B, M], type and device
    of a step's current; its values are not read. `steps`: how steps are computed. `count`: number T of time steps.
    `keep`: results of the steps that others need.
    """
    state = tuple(None if field is None else layout.flat(field).contiguous() for field in spec.state(begin))
    parameters = () if spec.surrogate is None else spec.surrogate.parameters()
    return LayerPlan(
        layer=layer,
        spec=spec,
        nothing=one_step.new_empty(0),
        shape=(count, one_step.shape[0], one_step.shape[1]),
        layout=layout,
        state=(state[0], state[1], state[2]),
        steps=steps,
        keep=keep,
        learnt=tuple(name for name in COEFFICIENTS if requires_grad(getattr(spec, name))),
        surrogate_parameters=[each for each in parameters if requires_grad(each)],
    )


def layer_run(plan: LayerPlan, outcome: LayerOutcome, begin: Any, *, keep_u: bool) -> LayerRun:
    """Reshape a layer's flat results [T, B, M] and last state [B, M] to its feature shape.

    `plan`: of the layer that ran. `outcome`: flat results, among them x, the potential minus threshold of all steps.
    `begin`: the state before the first step, whose type the last state has. `keep_u`: whether the result's field `u` is
    x, reshaped; else it is None.
    """
    full = plan.layout.full
    w, s = (None if field is None else full(field) for field in (outcome.w, outcome.s))
    # A readout has no threshold, so its output, the potential, is x.
    x = outcome.output if outcome.x is None else outcome.x
    return LayerRun(
        output=None if outcome.output is None else full(outcome.output),
        u=full(x) if keep_u and x is not None else None,
        state=plan.spec.next_state(begin, full(outcome.u), w, s),
    )


def spec_of(layer: EngineLayer) -> LinearSpec:
    spec = layer.neuron.recurrence_spec()
    if spec is None:
        raise TypeError(f"layer '{layer.name}' has no linear recurrence")
    return spec
