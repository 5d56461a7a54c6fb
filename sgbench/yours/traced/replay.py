"""Runs a recorded call again on other values: groups at once, neurons on the engine, the rest as recorded."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastspiking.choose import Engine
from sgbench.errors import InputError
from sgbench.neurons.base import Neuron
from sgbench.yours.snntorch_neurons import why_not
from sgbench.yours.spiking_modules import state_names, states_of
from sgbench.yours.traced.layers import Neurons, OurNeurons, engine_of, packed
from sgbench.yours.traced.reads import module_at
from sgbench.yours.traced.record import Centred
from sgbench.yours.traced.schedule import (
    HOLE,
    PIECES,
    Loop,
    Unit,
    ancestors,
    attached,
    components,
    needs_of,
    resting,
    schedule,
    with_holes,
)
from sgbench.yours.traced.simplify import accumulate, name_of, put_steps, uses_of
from sgbench.yours.traced.trace import Node, Ref, Trace, Unproven, mapped, refs_in, tensors_in

ELEMENTWISE = frozenset({
    "add", "__add__", "__radd__", "sub", "__sub__", "__rsub__", "rsub", "mul", "__mul__", "__rmul__", "div",
    "__truediv__", "true_divide", "__neg__", "neg", "relu", "sigmoid", "tanh", "exp", "log", "abs", "clamp", "clip",
    "gt", "ge", "lt", "le", "eq", "ne", "__gt__", "__lt__", "__ge__", "__le__", "float", "detach", "pow", "square",
    "sqrt", "leaky_relu", "elu", "gelu", "silu", "softplus", "hardtanh", "where", "heaviside", "sign", "round",
    "__pow__",
})  # fmt: skip
"""Operations that may run on stacked tensors as they are."""
IMAGE_AXES = 4
Key = tuple[int, Any]


class Values:
    """Holds the tensors of one pass: those of single operations, and those of groups, stacked over members."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.single: dict[Ref, Tensor] = {}
        self.stacks: dict[Key, Tensor] = {}

    def get(self, ref: Ref) -> Tensor:
        """Return one tensor."""
        found = self.single.get(ref)
        if found is None:
            key, _ = self.plan.slots[ref]
            pieces = self.stacks[key].unbind(0)
            for member, piece in zip(self.plan.members[key], pieces, strict=True):
                self.single.setdefault(member, piece)
            found = self.single[ref]
        return found

    def filled(self, value: Any) -> Any:
        """Return arguments with tensors in place of their stand-ins."""
        return mapped(value, self.get)


class Gather:
    """Collects several tensors to one, stacked along a new first axis.

    Args:
        refs: the tensors.
        plan: knows in which groups they are.
    """

    def __init__(self, refs: Sequence[Ref], plan: Plan) -> None:
        self.refs = list(refs)
        self.same = all(ref == refs[0] for ref in refs)
        self.runs: list[tuple[Key | None, int, int]] = []  # group and range of members, or a single tensor
        if self.same:
            return
        for at, ref in enumerate(refs):
            key, member = plan.slots.get(ref, (None, at))
            if self.runs and key is not None and self.runs[-1][0] == key and self.runs[-1][2] == member:
                self.runs[-1] = (key, self.runs[-1][1], member + 1)
            else:
                self.runs.append((key, member, member + 1))

    def whole(self, plan: Plan) -> Key | None:
        """Return the group of which these are all members, in their order; None if they are not."""
        if self.same or len(self.runs) != 1:
            return None
        key, first, last = self.runs[0]
        return key if key is not None and (first, last) == (0, len(plan.members[key])) else None

    def __call__(self, values: Values) -> Tensor:
        """Return the stacked tensors."""
        if self.same:
            one = values.get(self.refs[0])
            return one.unsqueeze(0).expand(len(self.refs), *one.shape)
        if len(self.runs) > max(4, len(self.refs) // 2):
            return torch.stack([values.get(ref) for ref in self.refs])
        parts, at = [], 0
        for key, first, last in self.runs:
            stack = values.stacks.get(key) if key is not None else None
            if stack is None:
                parts += [values.get(ref).unsqueeze(0) for ref in self.refs[at : at + last - first]]
            else:
                parts.append(stack if (first, last) == (0, len(stack)) else stack[first:last])
            at += last - first
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class Single:
    """Runs operations one after another as they were recorded."""

    def __init__(self, nodes: Sequence[Node], plan: Plan) -> None:
        self.nodes = nodes
        self.gathers = {id(node): gather_of(node, plan) for node in nodes}

    def run(self, values: Values) -> None:
        """Run all operations."""
        for node in self.nodes:
            with values.plan.mode(node.grad):
                self._run(node, values)

    def _run(self, node: Node, values: Values) -> None:
        if node.kind == "neurons":
            run_neurons(node, values)
            return
        if isinstance(node.func, Centred):
            values.single[node.out] = run_centred(node, values)
            return
        gather = self.gathers[id(node)]
        if gather is not None:
            out = stacked_call(node, gather(values), values)
        elif name_of(node.func) in PIECES and (key := values.plan.pieces.get(id(node))) is not None:
            values.stacks[key] = pieces_of(node, values)
            return
        else:
            args, kwargs = values.filled(node.args), values.filled(node.kwargs)
            out = changed_copy(node, args, kwargs) if node.writes is not None else node.func(*args, **kwargs)
        for ref, tensor in zip(refs_in(node.out), tensors_in(out) if node.outs else (), strict=True):
            values.single[ref] = tensor


def gather_of(node: Node, plan: Plan) -> Gather | None:
    """Return how an operation's list of tensors is collected, if it takes one; else None."""
    at = {accumulate: 1, put_steps: 3, torch.stack: 0, torch.cat: 0, torch.concat: 0}.get(node.func)
    if at is None or len(node.args) <= at:
        return None
    refs = node.args[at]
    if not isinstance(refs, tuple | list) or not all(isinstance(ref, Ref) for ref in refs) or len(refs) < 2:  # noqa: PLR2004
        return None
    metas = {plan.trace.metas[ref.number][:3] for ref in refs}
    return Gather(refs, plan) if len(metas) == 1 else None


def stacked_call(node: Node, stacked: Tensor, values: Values) -> Tensor:
    """Run an operation on a list of tensors that are stacked already."""
    if node.func is accumulate:
        return accumulate(values.filled(node.args[0]), stacked)
    if node.func is put_steps:
        return put_steps(values.get(node.args[0]), node.args[1], node.args[2], stacked)
    axis = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
    if node.func is torch.stack:
        return stacked if axis == 0 else stacked.movedim(0, axis)
    axis %= stacked.dim() - 1
    return stacked.flatten(0, 1) if axis == 0 else stacked.movedim(0, axis).flatten(axis, axis + 1)


def pieces_of(node: Node, values: Values) -> Tensor:
    """Return the pieces of a tensor that unbind, split or chunk make, stacked."""
    given = [*node.args, *(node.kwargs[key] for key in node.kwargs)]
    x = values.get(node.args[0])
    unbinds = name_of(node.func) == "unbind"
    axis = node.kwargs.get("dim", given[(1 if unbinds else 2)] if len(node.args) > (1 if unbinds else 2) else 0)
    if unbinds:
        return x.movedim(axis, 0)
    count = len(node.outs)
    axis %= x.dim()
    return x.unflatten(axis, (count, x.shape[axis] // count)).movedim(axis, 0)


def changed_copy(node: Node, args: Any, kwargs: Any) -> Tensor:
    """Run an operation in place on a copy, and return the copy."""
    at, copies = -1, []

    def copied(value: Any) -> Any:
        nonlocal at
        if isinstance(value, Tensor):
            at += 1
            if at == node.writes:
                copies.append(value.clone())
                return copies[0]
        return value

    args, kwargs = walked(args, copied), walked(kwargs, copied)
    node.func(*args, **kwargs)
    return copies[0]


def walked(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return nested containers with each innermost value replaced by `change(value)`."""
    if isinstance(value, tuple):
        return tuple(walked(each, change) for each in value)
    if isinstance(value, list):
        return [walked(each, change) for each in value]
    if isinstance(value, dict):
        return {key: walked(each, change) for key, each in value.items()}
    return change(value)


def run_neurons(node: Node, values: Values) -> None:
    """Call neurons as they are written."""
    module: Any = module_at(values.plan.network, node.where)
    states = [values.get(ref) for ref in node.states if ref is not None]
    current = values.get(node.args[0])
    names = state_names(module)
    if names:
        for name, state in zip(names, states, strict=True):
            setattr(module, name, state)
        out = module.forward(current)
        after = states_of(module)
    else:
        out, after = module.step(current, node.func(*states))
    spikes = out if isinstance(out, Tensor) else out[0]
    values.single |= dict(zip(node.after, after, strict=True))
    values.single[next(refs_in(node.out))] = spikes


def run_centred(node: Node, values: Values) -> Tensor:
    """Return the potential minus the threshold of neurons' state."""
    module: Any = module_at(values.plan.network, node.where)
    return module.centred(values.filled(node.args[0]))  # type: ignore[no-any-return]


class Group:
    """Runs equal operations at once, on arguments that are stacked along a new first axis.

    Args:
        unit: the operations.
        plan: knows where their arguments are.
    """

    def __init__(self, unit: Unit, plan: Plan) -> None:
        node = self.node = unit.first
        if isinstance(node.func, Centred):
            raise NotImplementedError("a method of neurons")
        self.unit, self.nodes = unit, unit.nodes
        self.number = plan.number(unit)
        self.columns: list[Any] = []  # a tensor of all members, or how to stack those of each
        self.dims: list[int | None] = []
        self.ranks: list[int] = []
        lists = [flat_leaves((each.args, each.kwargs)) for each in unit.nodes]
        holes = flat_leaves(with_holes(node, plan.trace))
        self.out_rank = len(plan.trace.metas[node.outs[0].number].shape)
        self.picks: Any = None
        if holes != lists[0] and name_of(node.func) in ("__getitem__", "select"):
            self._pick(unit, plan)
            return
        places = []
        for at, first in enumerate(lists[0]):
            column = [each[at] for each in lists]
            if isinstance(first, Ref):
                gather = Gather(column, plan)
                self._add(column[0] if gather.same else gather, len(plan.trace.metas[first.number].shape))
            elif at < len(holes) and holes[at] is HOLE and any(each != first for each in column):
                dtype = plan.trace.metas[node.outs[0].number].dtype
                self._add(torch.tensor(column, dtype=dtype), 0)
            else:
                continue
            places.append(at)
        self.template = numbered((node.args, node.kwargs), places)
        self.writes = None if node.writes is None else node.writes

    def _add(self, column: Any, rank: int) -> None:
        self.columns.append(column)
        self.dims.append(None if isinstance(column, Ref) else 0)
        self.ranks.append(rank)

    def _pick(self, unit: Unit, plan: Plan) -> None:
        """Prepare a group that takes one step each out of the same tensor."""
        bases = {each.args[0] for each in unit.nodes}
        if len(bases) != 1:
            raise NotImplementedError("steps of several tensors")
        base = unit.first.args[0]
        shape = plan.trace.metas[base.number].shape
        if name_of(unit.first.func) == "select":
            axis, index, kept = unit.first.args[1], [each.args[2] for each in unit.nodes], None
            size = shape[axis]
        else:
            lists = [each.args[1] if isinstance(each.args[1], tuple) else (each.args[1],) for each in unit.nodes]
            at = next(place for place, each in enumerate(lists[0]) if type(each) is int)
            if any(not isinstance(each, slice | int) and each not in (None, Ellipsis) for each in lists[0]):
                raise NotImplementedError("other indices")
            index = [each[at] for each in lists]
            kept = tuple(slice(None) if place == at else each for place, each in enumerate(lists[0]))
            spared = len(shape) - sum(each is not None and each is not Ellipsis for each in lists[0])
            axis = sum(spared if each is Ellipsis else 1 for each in lists[0][:at])
            source = sum(spared if each is Ellipsis else each is not None for each in lists[0][:at])
            size = shape[source]
        index = [each % size for each in index]
        self.picks = base, kept, axis, index

    def run(self, values: Values) -> None:
        """Run all members."""
        with values.plan.mode(self.node.grad):
            if self.picks is not None:
                base, kept, axis, index = self.picks
                x = values.get(base)
                x = (x if kept is None else x[kept]).movedim(axis, 0)
                begin = index[0]
                if index == list(range(begin, begin + len(index))):
                    out: Any = x if len(index) == len(x) else x[begin : begin + len(index)]
                else:
                    out = x[index]
            else:
                out = self._call(
                    [
                        each(values)
                        if isinstance(each, Gather)
                        else values.get(each)
                        if isinstance(each, Ref)
                        else each
                        for each in self.columns
                    ]
                )
        for slot, tensor in enumerate(tensors_in(out)):
            values.stacks[self.number, slot] = tensor

    def _call(self, columns: list[Tensor]) -> Any:
        """Call the function on stacked arguments."""
        name = name_of(self.node.func)
        stacked_rank = [rank for rank, dim in zip(self.ranks, self.dims, strict=True) if dim == 0]
        if self.writes is not None:
            if self.dims[self.writes] is None:
                raise NotImplementedError("a copy for each member")
            columns[self.writes] = columns[self.writes].clone()
        elif name == "linear" and self.dims[0] == 0 and not any(dim == 0 for dim in self.dims[1:]):
            return self._filled(columns)
        elif name in ELEMENTWISE and all(rank in (0, self.out_rank) for rank in stacked_rank):
            if all(rank <= self.out_rank for rank in self.ranks):
                shaped = [
                    column.view(-1, *[1] * self.out_rank) if dim == 0 and rank == 0 and self.out_rank else column
                    for column, dim, rank in zip(columns, self.dims, self.ranks, strict=True)
                ]
                return self._filled(shaped)
        elif (
            name == "conv2d"
            and self.ranks[0] == IMAGE_AXES
            and self.dims[0] == 0
            and not any(d == 0 for d in self.dims[1:])
        ):
            out = self._filled([columns[0].flatten(0, 1), *columns[1:]])
            return out.unflatten(0, columns[0].shape[:2])

        def member(*each: Tensor) -> Any:
            out = self._filled(list(each))
            return each[self.writes] if self.writes is not None else out

        return torch.vmap(member, in_dims=tuple(self.dims))(*columns)

    def _filled(self, columns: Sequence[Tensor]) -> Any:
        args, kwargs = mapped(self.template, lambda ref: columns[ref.number])
        return self.node.func(*args, **kwargs)


def flat_leaves(value: Any) -> list[Any]:
    """List the innermost values of nested containers, in order."""
    if isinstance(value, tuple | list):
        return [leaf for each in value for leaf in flat_leaves(each)]
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in flat_leaves(each)]
    if isinstance(value, slice):
        return flat_leaves((value.start, value.stop, value.step))
    return [value]


def numbered(value: Any, places: Sequence[int]) -> Any:
    """Return nested containers with the stand-in of a number in place of each of these innermost values."""
    order = {place: Ref(at) for at, place in enumerate(places)}
    count = -1

    def build(each: Any) -> Any:
        nonlocal count
        if isinstance(each, tuple):
            items = [build(one) for one in each]
            return type(each)(*items) if hasattr(each, "_fields") else tuple(items)
        if isinstance(each, list):
            return [build(one) for one in each]
        if isinstance(each, dict):
            return {key: build(one) for key, one in each.items()}
        if isinstance(each, slice):
            return slice(*(build(one) for one in (each.start, each.stop, each.step)))
        count += 1
        return order.get(count, each)

    return build(value)


class Part:
    """Holds one sequence of calls of neurons within a run of the engine."""

    def __init__(self, unit: Unit, plan: Plan) -> None:
        self.unit, self.number = unit, plan.number(unit)
        node = unit.first
        self.name = node.where
        module = module_at(plan.network, node.where)
        meta = plan.trace.metas[node.args[0].number]
        self.unbatched = len(meta.shape) == 1
        features = meta.shape if self.unbatched else meta.shape[1:]
        if not len(meta.shape):
            raise InputError(f"module '{self.name}' takes a single number")
        if not unit.batched and plan.calls[node.where] > 1:
            raise InputError(f"module '{self.name}' starts each step from a state that something else has changed")
        self.window = window_of(unit)
        names = state_names(module)
        self.neurons: Any = (Neurons if names else OurNeurons)(node.where, module, features)
        self.kind = self.kind_of(module)
        names = names or getattr(node.func, "_fields", ())
        self.fields = {"mem": "u", "syn": "i", "syn_exc": "exc", "syn_inh": "inh", "spk": "s"}
        makers = plan.makers
        rest = all(resting(ref, plan.trace, makers, node.args[0]) for ref in node.states if ref is not None)
        self.states = None if rest else node.states
        self.spikes_dtype = plan.trace.metas[next(refs_in(node.out)).number].dtype
        self.final = dict(zip(names, unit.nodes[-1].after, strict=True))
        self.spikes_key, self.potential_key = (self.number, "spikes"), (self.number, "potential")
        self.linear: Unit | None = None
        self.input = Gather([each.args[0] for each in unit.nodes], plan)
        self.needs_spikes = self.needs_potential = False
        plan.members[self.spikes_key] = [next(refs_in(each.out)) for each in unit.nodes]
        ours = isinstance(module, Neuron)
        potentials = [plan.centred.get(each.after) if ours else each.after[-1] for each in unit.nodes]
        plan.members[self.potential_key] = [Ref(-1) if ref is None else ref for ref in potentials]
        for at, each in enumerate(unit.nodes):
            spikes, potential = next(refs_in(each.out)), potentials[at]
            last = each is unit.nodes[-1]
            plan.slots[spikes] = self.spikes_key, at
            self.needs_spikes |= plan.outer_uses[spikes] > 0 and not (last and spikes in each.after)
            if potential is not None:
                plan.slots[potential] = self.potential_key, at
                self.needs_potential |= plan.outer_uses[potential] > 0 and not (last and potential in each.after)
            for ref in () if last else each.after:
                if plan.outer_uses[ref] > 0 and ref not in (spikes, potential):
                    raise InputError(f"module '{self.name}' hands out all of its state in each step")

    def kind_of(self, module: Any) -> tuple[Any, ...]:
        """Return what decides how neurons run, besides plain attributes."""
        if isinstance(module, Neuron):
            return type(module), True
        factor = module.graded_spikes_factor
        plain = not factor.requires_grad and factor.numel() == 1 and float(factor) == 1
        return why_not(module), plain

    def of(self, plan: Plan) -> Any:
        """Return the module as it is now."""
        return module_at(plan.network, self.name)


def window_of(unit: Unit) -> int | None:
    """Return the number of steps after which a sequence's state is detached, or None if it never is."""
    if not unit.cuts:
        return None
    window = unit.cuts[0]
    if unit.cuts != list(range(window, len(unit.nodes), window)):
        raise InputError(f"module '{unit.first.where}' has its state detached after different numbers of steps")
    return window


class EngineRun:
    """Runs sequences of neurons' calls that spikes join, with the weights between them, on the engine."""

    def __init__(self, parts: list[Part], plan: Plan) -> None:
        self.parts, self.grad = parts, parts[0].unit.first.grad
        first = parts[0]
        self.input = first.input if first.linear is None else Gather([n.args[0] for n in first.linear.nodes], plan)
        self.engine = plan.engine
        linears = [part.linear.nodes for part in parts if part.linear is not None]
        self.nodes = [node for nodes in (*linears, *(part.unit.nodes for part in parts)) for node in nodes]

    @property
    def reads(self) -> set[Ref]:
        """Return all tensors that a run reads."""
        given = {ref for node in self.nodes for ref in (*refs_in(node.args), *refs_in(node.kwargs))}
        return given | {ref for part in self.parts for ref in part.states or () if ref is not None}

    def weights(self, part: Part, values: Values) -> tuple[Tensor | None, Tensor | None]:
        """Return the weight and bias before a sequence."""
        if part.linear is None:
            return None, None
        node = part.linear.first
        given = [*node.args[1:], *(node.kwargs[key] for key in ("weight", "bias") if key in node.kwargs)]
        weight = values.get(given[0])
        return weight, values.get(given[1]) if len(given) > 1 and given[1] is not None else None

    def run(self, values: Values) -> None:
        """Run all sequences over all steps."""
        plan = values.plan
        with plan.mode(self.grad):
            x = self.input(values)
            x = x.unsqueeze(1) if self.parts[0].unbatched else x
            layers = [part.neurons.layer(part.of(plan), *self.weights(part, values)) for part in self.parts]
            states = [self._state(part, values) for part in self.parts]
            signal = packed(x) if self.parts[0].linear is not None else x
            runs = Engine(self.engine_for(values), x.device).unroll(
                layers,
                signal,
                states,
                window=self.parts[0].window,
                keep_u=any(part.needs_potential for part in self.parts),
                keep_spikes=any(part.needs_spikes for part in self.parts[:-1]),
            )
            for part, run in zip(self.parts, runs, strict=True):
                self._keep(part, run, values)

    def engine_for(self, values: Values) -> str:
        """Return the engine that is asked for; spikes that do not fit the potentials need the reference."""
        for part in self.parts:
            if part.states is not None and len(part.states) > 1 and "spk" in part.final:
                module: Any = part.of(values.plan)
                if isinstance(module, Neuron):
                    continue
                spikes, potential = (values.get(part.states[at]) for at in (0, -1))  # type: ignore[arg-type]
                if not torch.equal((potential > module.threshold).to(spikes.dtype), spikes):
                    return "reference"
        return self.engine

    def _state(self, part: Part, values: Values) -> Any:
        if part.states is None:
            return None
        states = tuple(values.get(ref) for ref in part.states if ref is not None)
        given = tuple(each[None] for each in states) if part.unbatched else states
        return part.neurons.state(given) if state_names(part.of(values.plan)) else part.unit.first.func(*given)

    def _keep(self, part: Part, run: Any, values: Values) -> None:
        """Store a sequence's results."""
        out, u = (each.squeeze(1) if part.unbatched and each is not None else each for each in (run.output, run.u))
        if out is not None:
            spikes, potential = part.neurons.results(part.of(values.plan), out, u, with_spikes=part.needs_spikes)
            if spikes is not None:
                values.stacks[part.spikes_key] = spikes.to(part.spikes_dtype)
            if potential is not None and part.needs_potential:
                values.stacks[part.potential_key] = potential
        for name, ref in part.final.items():
            value = getattr(run.state, part.fields.get(name, name))
            values.single[ref] = value.squeeze(0) if part.unbatched else value


class Plan:
    """Says how a recorded call runs on other values.

    Args:
        network: the network.
        trace: the recorded call, simplified.
        engine: name of the engine, or "auto".
    """

    def __init__(self, network: nn.Module, trace: Trace, engine: str) -> None:
        self.network, self.trace, self.engine = network, trace, engine
        self.grad = torch.is_grad_enabled()
        self.makers = trace.makers()
        self.slots: dict[Ref, tuple[Key, int]] = {}
        self.members: dict[Key, list[Ref]] = {}
        self.pieces: dict[int, Key] = {}
        self.numbers: dict[int, int] = {}
        self.lines: list[str] = []  # how each part runs
        self.by_steps: list[str] = []  # parts that run step by step, and why
        self.steps: list[Any] = []
        self.outer_uses = uses_of(trace)
        self.centred = {tuple(node.args[0]): node.out for node in trace.nodes if isinstance(node.func, Centred)}
        for state in self.centred:
            self.outer_uses.subtract(state)
        self.calls = Counter(node.where for node in trace.nodes if node.kind == "neurons")
        self._compile(schedule(trace))
        used = self._drop_idle()
        self.leaves = {ref: leaf for ref, leaf in trace.leaves.items() if ref in used}

    def _drop_idle(self) -> set[Ref]:
        """Drop steps that only made resting states; return all tensors that the others read."""
        used, kept = set(self.trace.results()), []
        for step in reversed(self.steps):
            acts = any(node.kind in ("random", "effect") for node in step.nodes)
            if acts or not used.isdisjoint(ref for node in step.nodes for ref in node.outs):
                kept.append(step)
                used |= step.reads if isinstance(step, EngineRun) else {r for node in step.nodes for r in node.inputs}
        self.steps = kept[::-1]
        return used | ancestors(self.trace, self.trace.shaped)

    def number(self, unit: Unit) -> int:
        """Return the number of a unit."""
        return self.numbers.setdefault(id(unit), len(self.numbers))

    def mode(self, grad: bool) -> Any:
        """Return a context in which autograd records as it did."""
        return contextlib.nullcontext() if grad == torch.is_grad_enabled() else torch.set_grad_enabled(grad)

    def _compile(self, units: list[Unit | Loop]) -> None:
        """Decide how each unit runs."""
        for unit in units:
            if isinstance(unit, Unit) and unit.neurons:
                for node in unit.nodes:
                    for ref in node.states if node is not unit.first else ():
                        self.outer_uses[ref] -= 1  # type: ignore[index]
                        source = attached(ref, self.makers)
                        if source != ref and not self.outer_uses[ref]:  # type: ignore[index]
                            self.outer_uses[source] -= 1  # type: ignore[index]
        parts: dict[int, Part] = {}
        for unit in units:
            if isinstance(unit, Loop):
                self._by_steps(unit)
            elif unit.neurons:
                self._neurons(unit, parts)
            elif unit.batched:
                self._group(unit)
            else:
                self._single(unit)
        self._join(parts)

    def _by_steps(self, loop: Loop) -> None:
        """Run a loop as it was recorded, and say why."""
        names = list(dict.fromkeys(node.where for node in loop.nodes if node.kind == "neurons"))
        listed = ", ".join(names) or loop.nodes[0].where or "forward"
        self.by_steps.append(f"{listed}: step by step, since what it receives depends on what it sent a step before")
        self.steps.append(Single(loop.nodes, self))

    def _neurons(self, unit: Unit, parts: dict[int, Part]) -> None:
        """Run a sequence of neurons on the engine, or as it was recorded."""
        try:
            part = Part(unit, self)
        except InputError as reason:
            if unit.cuts:
                raise Unproven(str(reason)) from reason
            for ref in (ref for node in unit.nodes for ref in node.outs):
                self.slots.pop(ref, None)
            self.by_steps.append(f"{unit.first.where}: step by step: {reason}")
            self.steps.append(Single(unit.nodes, self))
            return
        parts[id(unit)] = part
        self.steps.append(part)

    def _group(self, unit: Unit) -> None:
        """Run a group at once, or its members one by one."""
        number = self.number(unit)
        if all(node.out in self.slots for node in unit.nodes if isinstance(node.func, Centred)) and isinstance(
            unit.first.func, Centred
        ):
            return  # the engine returns it
        try:
            group = Group(unit, self)
        except NotImplementedError:
            self.steps.append(Single(unit.nodes, self))
            return
        for at, node in enumerate(unit.nodes):
            for slot, ref in enumerate(node.outs):
                self.slots[ref] = (number, slot), at
                self.members.setdefault((number, slot), []).append(ref)
        self.steps.append(group)

    def _single(self, unit: Unit) -> None:
        """Run one operation; pieces of a tensor count as a group."""
        node = unit.first
        outs = node.outs
        if isinstance(node.func, Centred) and node.out in self.slots:
            return
        if name_of(node.func) in PIECES and len(outs) > 1 and len({self.trace.metas[ref.number] for ref in outs}) == 1:
            key = self.pieces[id(node)] = (self.number(unit), "pieces")
            self.members[key] = outs
            self.slots |= {ref: (key, at) for at, ref in enumerate(outs)}
        self.steps.append(Single([node], self))

    def _join(self, parts: dict[int, Part]) -> None:
        """Take linear layers into the engine, and join sequences that only they are between."""
        by_number = {step.number: step for step in self.steps if isinstance(step, Group)}
        by_spikes = {part.spikes_key: part for part in parts.values()}
        taken: set[int] = set()
        runs: dict[int, list[Part]] = {}
        for step in list(self.steps):
            if not isinstance(step, Part):
                continue
            part = step
            runs[id(part)] = [part]
            key = part.input.whole(self)
            group = by_number.get(key[0]) if key is not None else None
            if group is None or not self._is_plain(group, part):
                continue
            part.linear = group.unit
            taken.add(id(group))
            source = group.columns[0]
            sender = by_spikes.get(source.whole(self))
            if sender is None or not sender.neurons.sends_ones or self._factor(sender) or sender.unbatched:
                continue
            static = self._static([*group.columns[1:], *(part.states or ())])
            if (
                static
                and runs[id(sender)][-1] is sender
                and (sender.unit.first.grad, sender.window) == (part.unit.first.grad, part.window)
            ):
                own = self._uses_outside(sender, part.linear)
                sender.needs_spikes = own
                chain = runs[id(sender)]
                chain.append(part)
                runs[id(part)] = chain
        self._arrange(runs, taken)

    def _arrange(self, runs: dict[int, list[Part]], taken: set[int]) -> None:
        """Put runs of the engine in place of their sequences: a joined one where its last sequence was."""
        steps = []
        for step in self.steps:
            if isinstance(step, Part):
                chain = runs[id(step)]
                if chain[-1] is step:
                    steps.append(EngineRun(chain, self))
            elif id(step) not in taken:
                steps.append(step)
        place = {id(node): number for number, node in enumerate(self.trace.nodes)}
        nodes = [list(step.nodes) for step in steps]
        needs = [each - {at} for at, each in enumerate(needs_of(nodes, self.trace, place))]
        self.steps = [steps[at] for members in components(needs) for at in members]

    def _is_plain(self, group: Group, part: Part) -> bool:
        """Return whether a group is a linear layer that only a sequence of neurons receives."""
        node = group.node
        if name_of(node.func) != "linear" or node.grad != part.unit.first.grad or group.picks is not None:
            return False
        rank = len(self.trace.metas[node.args[0].number].shape)
        fixed = not isinstance(group.columns[0], Ref) and all(isinstance(each, Ref) for each in group.columns[1:])
        alone = all(self.outer_uses[node.out] == 1 for node in group.nodes)
        return fixed and alone and rank == (1 if part.unbatched else 2) and isinstance(node.args[0], Ref)

    def _factor(self, part: Part) -> bool:
        """Return whether neurons send graded spikes."""
        return not part.kind[1]

    def _static(self, refs: Sequence[Any]) -> bool:
        """Return whether tensors are computed from no neurons."""
        found = ancestors(self.trace, [ref for ref in refs if isinstance(ref, Ref)])
        return not any(self.makers[ref].kind == "neurons" for ref in found if ref in self.makers)

    def _uses_outside(self, sender: Part, linear: Unit) -> bool:
        """Return whether anything but a linear layer uses the spikes of a sequence."""
        inner = {node.args[0] for node in linear.nodes}
        return any(self.outer_uses[ref] - (ref in inner) > 0 for ref in self.members[sender.spikes_key])

    # --- running

    def run(self, inputs: list[Tensor], fetch: Callable[[Any, list[Tensor]], Tensor]) -> tuple[Any, dict[Any, Any]]:
        """Run the call on inputs; return what forward returns, and the values of the attributes that it sets."""
        values = Values(self)
        for ref, leaf in self.leaves.items():
            values.single[ref] = fetch(leaf, inputs)
        for step in self.steps:
            step.run(values)
        return values.filled(self.trace.out), values.filled(self.trace.writes)

    def changed(self) -> str:
        """Return the name of a module of neurons that has become one of another kind, or ""."""
        for step in self.steps:
            for part in step.parts if isinstance(step, EngineRun) else ():
                if part.kind_of(part.of(self)) != part.kind:
                    return part.name
        return ""

    def describe(self) -> list[str]:
        """Return one line for each part: how it runs, and why."""
        lines = []
        for step in self.steps:
            if isinstance(step, EngineRun):
                for part in step.parts:
                    layer = part.neurons.layer(part.of(self), None, None)
                    name, why = engine_of(layer, torch.device("cpu"), self.engine)
                    line = f"{part.name}: {name} engine, all {len(part.unit.nodes)} steps at once"
                    if name == "reference":
                        line = f"{part.name}: step by step on the reference engine: {why}"
                    lines.append(line)
        return [*lines, *self.by_steps] or ["it calls no neurons of snnTorch: all steps at once in torch"]
