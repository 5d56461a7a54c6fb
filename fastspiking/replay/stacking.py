"""Values of one replay: tensors on their own, and stacks [time steps, ...] of which others are members.

`Gather` takes members of stacks together without copies where they lie side by side, `OneByOne` runs operations as
they were recorded.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from fastspiking.replay.recordable import name_of
from fastspiking.replay.schedule import PIECES
from fastspiking.replay.simplify import accumulate, put_steps
from fastspiking.replay.trace import CentredCall, Ref, TraceNode, module_at, refs_in, tensors_in, tree_map

ELEMENTWISE = frozenset({
    "add", "__add__", "__radd__", "sub", "__sub__", "__rsub__", "rsub", "mul", "__mul__", "__rmul__", "div",
    "__truediv__", "true_divide", "__neg__", "neg", "relu", "sigmoid", "tanh", "exp", "log", "abs", "clamp", "clip",
    "gt", "ge", "lt", "le", "eq", "ne", "__gt__", "__lt__", "__ge__", "__le__", "float", "detach", "pow", "square",
    "sqrt", "leaky_relu", "elu", "gelu", "silu", "softplus", "hardtanh", "where", "heaviside", "sign", "round",
    "__pow__",
})  # fmt: skip
"""Operations that may run on stacked tensors as they are."""
IMAGE_AXES = 4  # sample, channel, row, column
Key = tuple[int, Any]  # of a stack: the number of the unit that makes it, and which of its results
MOST_RANGES = 4  # separate ranges of members; with more, and more than half as many as members, one stack is quicker


class ReplayValues:
    """Holds the tensors of one pass: those of single operations, and those of groups, stacked over members."""

    def __init__(self, plan: Any) -> None:
        self.plan = plan
        self.single: dict[Ref, Tensor] = {}
        self.stacks: dict[Key, Tensor] = {}

    def get(self, ref: Ref) -> Tensor:
        """Return a tensor; the first of a stack's members that is asked for takes the whole stack apart."""
        found = self.single.get(ref)
        if found is None:
            key, _ = self.plan.slots[ref]
            pieces = self.stacks[key].unbind(0)
            for member, piece in zip(self.plan.members[key], pieces, strict=True):
                self.single.setdefault(member, piece)
            found = self.single[ref]
        return found

    def filled(self, value: Any) -> Any:
        return tree_map(value, self.get)


class Gather:
    """Collects several tensors to one, stacked along a new first axis; `plan` knows in which stacks they are.

    `same`: whether they are one and the same tensor, which is expanded and not copied.
    """

    def __init__(self, refs: Sequence[Ref], plan: Any) -> None:
        self.refs = list(refs)
        self.same = all(ref == refs[0] for ref in refs)
        self.runs: list[tuple[Key | None, int, int]] = []  # (stack, first member, end); no stack: one tensor
        if self.same:
            return
        for at, ref in enumerate(refs):
            key, member = plan.slots.get(ref, (None, at))
            if self.runs and key is not None and self.runs[-1][0] == key and self.runs[-1][2] == member:
                self.runs[-1] = (key, self.runs[-1][1], member + 1)
            else:
                self.runs.append((key, member, member + 1))

    def whole(self, plan: Any) -> Key | None:
        """Return the group of which these are all members, in their order; None if they are not."""
        if self.same or len(self.runs) != 1:
            return None
        key, first, last = self.runs[0]
        return key if key is not None and (first, last) == (0, len(plan.members[key])) else None

    def __call__(self, values: ReplayValues) -> Tensor:
        if self.same:
            one = values.get(self.refs[0])
            return one.unsqueeze(0).expand(len(self.refs), *one.shape)
        if len(self.runs) > max(MOST_RANGES, len(self.refs) // 2):
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


class OneByOne:
    """Runs operations one after another as they were recorded."""

    def __init__(self, nodes: Sequence[TraceNode], plan: Any) -> None:
        self.nodes = nodes
        self.gathers = {id(node): gather_of(node, plan) for node in nodes}

    def run(self, values: ReplayValues) -> None:
        for node in self.nodes:
            with values.plan.mode(node.grad):
                self._run(node, values)

    def _run(self, node: TraceNode, values: ReplayValues) -> None:
        """Run one recorded operation on the values of this call."""
        if node.kind == "neurons":
            run_neurons(node, values)
            return
        if isinstance(node.func, CentredCall):
            module: Any = module_at(values.plan.network, node.where)
            values.single[node.out] = module.centred(values.filled(node.args[0]))
            return
        gather = self.gathers[id(node)]
        if gather is not None:
            out = stacked_call(node, gather(values), values)
        elif name_of(node.func) in PIECES and (key := values.plan.pieces.get(id(node))) is not None:
            values.stacks[key] = pieces_of(node, values)
            return
        else:
            args, kwargs = values.filled(node.args), values.filled(node.kwargs)
            out = node.func(*args, **kwargs) if node.writes is None else on_a_copy(node.func, node.writes, args, kwargs)
        for ref, tensor in zip(refs_in(node.out), tensors_in(out) if node.outs else (), strict=True):
            values.single[ref] = tensor


def gather_of(node: TraceNode, plan: Any) -> Gather | None:
    """Return how an operation's list of tensors is collected, if it takes one; else None."""
    # Position of the list among the arguments.
    at = {accumulate: 1, put_steps: 3, torch.stack: 0, torch.cat: 0, torch.concat: 0}.get(node.func)
    if at is None or len(node.args) <= at:
        return None
    refs = node.args[at]
    if not isinstance(refs, tuple | list) or not all(isinstance(ref, Ref) for ref in refs) or len(refs) < 2:  # noqa: PLR2004
        return None
    metas = {plan.trace.metas[ref.number][:3] for ref in refs}
    return Gather(refs, plan) if len(metas) == 1 else None


def stacked_call(node: TraceNode, stacked: Tensor, values: ReplayValues) -> Tensor:
    """Run an operation on a list of tensors, which are given as one stack [K, ...]."""
    if node.func is accumulate:
        return accumulate(values.filled(node.args[0]), stacked)
    if node.func is put_steps:
        return put_steps(values.get(node.args[0]), node.args[1], node.args[2], stacked)
    axis = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
    if node.func is torch.stack:
        return stacked if axis == 0 else stacked.movedim(0, axis)
    axis %= stacked.dim() - 1
    return stacked.flatten(0, 1) if axis == 0 else stacked.movedim(0, axis).flatten(axis, axis + 1)


def pieces_of(node: TraceNode, values: ReplayValues) -> Tensor:
    """Return the pieces of a tensor that unbind, split or chunk make, stacked."""
    x = values.get(node.args[0])
    unbinds = name_of(node.func) == "unbind"
    at = 1 if unbinds else 2  # after the tensor, or after the size or number of pieces
    axis = node.kwargs.get("dim", node.args[at] if len(node.args) > at else 0)
    if unbinds:
        return x.movedim(axis, 0)
    count = len(node.outs)
    axis %= x.dim()
    return x.unflatten(axis, (count, x.shape[axis] // count)).movedim(axis, 0)


def on_a_copy(func: Callable[..., Any], at: int, args: Any, kwargs: Any) -> Tensor:
    """Run an operation that changes a tensor in place, the argument at a flat position, on a copy; return the copy."""
    given = list(tensors_in((args, kwargs)))
    given[at] = given[at].clone()
    left = iter(given)
    args, kwargs = tree_map((args, kwargs), lambda _: next(left), Tensor)
    func(*args, **kwargs)
    return given[at]


def run_neurons(node: TraceNode, values: ReplayValues) -> None:
    """Call neurons for one step from their recorded state, and store spikes and the state after it."""
    module: Any = module_at(values.plan.network, node.where)
    states = [values.get(ref) for ref in node.states if ref is not None]
    current = values.get(node.args[0])
    names = values.plan.adapter.state_fields(module)
    if names:
        for name, state in zip(names, states, strict=True):
            setattr(module, name, state)
        out = module.forward(current)
        after = [getattr(module, name) for name in names]
    else:
        out, after = module.step(current, node.func(*states))
    values.single |= dict(zip(node.after, after, strict=True))
    values.single[next(refs_in(node.out))] = out if isinstance(out, Tensor) else out[0]
