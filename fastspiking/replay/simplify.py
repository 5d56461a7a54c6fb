"""Passes that simplify a trace before it is scheduled, as an optimising compiler makes them.

In their order: random masks are drawn apart from the values that they multiply; equal operations are computed once
(common subexpressions); unused ones are dropped (dead code); a sum that grows step by step becomes one sum, and a
table that is filled step by step one assignment, since such chains would tie each step to the one before.
"""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fastspiking.replay.recordable import name_of
from fastspiking.replay.trace import Meta, Ref, Trace, TraceNode, refs_in, renamed

ADDS = frozenset({"add", "__add__", "__radd__", "add_", "__iadd__"})
DROPOUTS = frozenset({"dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout"})
LIKE = frozenset({"rand_like", "randn_like", "randint_like"})
FEWEST_TERMS = 3  # below, a chain of sums stays as it is


def simplify(trace: Trace) -> None:
    """Run all passes on a trace, which is changed in place."""
    trace.nodes = [each for node in trace.nodes for each in _drawn_first(node, trace)]
    _compute_once(trace)
    _drop_unused(trace)
    _sum_up(trace)
    _place_together(trace)


# --- random numbers that depend on no values


def draw_mask(func: Callable[..., Tensor], meta: Meta, *args: Any, **kwargs: Any) -> Tensor:
    """Draw the factors that a dropout multiplies values of this shape by."""
    with torch.no_grad():
        return func(torch.ones(meta.shape, dtype=meta.dtype, device=meta.device), *args, **kwargs)


def draw_like(func: Callable[..., Tensor], meta: Meta, *args: Any, **kwargs: Any) -> Tensor:
    return func(torch.empty(meta.shape, dtype=meta.dtype, device=meta.device), *args, **kwargs)


def _drawn_first(node: TraceNode, trace: Trace) -> list[TraceNode]:
    """Split a dropout into its draw and a product; let random numbers like a tensor depend on its shape alone."""
    name = name_of(node.func)
    if node.kind != "random" or name not in DROPOUTS | LIKE or not isinstance(node.args[0], Ref):
        return [node]
    value, rest = node.args[0], node.args[1:]
    meta = trace.metas[value.number]
    if name in LIKE:
        return [replace(node, func=functools.partial(draw_like, node.func, meta), args=rest)]
    mask = trace.new(meta._replace(learns=False))
    draw = replace(
        node, func=functools.partial(draw_mask, node.func, meta), args=rest, out=mask, writes=None, grad=False
    )
    return [draw, TraceNode("op", torch.mul, (value, mask), {}, node.out, node.grad, node.where)]


# --- what is the same


def frozen(value: Any, role: Callable[[Ref], Any]) -> Any:
    """Return a hashable token of an operation's arguments; `role(ref)` is that of a tensor."""
    if isinstance(value, Ref):
        return role(value)
    if isinstance(value, tuple | list):
        return type(value).__name__, *(frozen(each, role) for each in value)
    if isinstance(value, dict):
        return "dict", *((key, frozen(each, role)) for key, each in sorted(value.items()))
    if isinstance(value, slice):
        return "slice", *(frozen(each, role) for each in (value.start, value.stop, value.step))
    hash(value)
    return type(value).__name__, repr(value) if isinstance(value, float) else value


def _compute_once(trace: Trace) -> None:
    """Drop operations that repeat an earlier one with the same arguments, and rename their results to its."""
    names: dict[Ref, Ref] = {}
    seen: dict[Any, TraceNode] = {}
    kept = []
    for given in trace.nodes:
        node = given.renamed(names)
        if node.kind == "op":
            try:
                key = node.func, frozen((node.args, node.kwargs), lambda ref: ref), node.grad, node.writes
                first = seen.setdefault(key, node)
            except TypeError:  # an argument that has no hash
                first = node
            if first is not node:
                names |= dict(zip(refs_in(node.out), refs_in(first.out), strict=True))
                continue
        kept.append(node)
    trace.nodes = kept
    trace.out, trace.writes = renamed((trace.out, trace.writes), names)
    trace.shaped = {names.get(ref, ref) for ref in trace.shaped}


def _drop_unused(trace: Trace) -> None:
    """Drop operations that no result needs, except those with effects or random numbers."""
    used = set(trace.results())
    kept = []
    for node in reversed(trace.nodes):
        if node.kind in ("random", "effect") or not used.isdisjoint(node.outs):
            used.update(node.inputs)
            kept.append(node)
    trace.nodes = kept[::-1]


# --- sums and tables that grow step by step


def uses_of(trace: Trace) -> Counter[Ref]:
    return Counter([*(ref for node in trace.nodes for ref in node.inputs), *trace.results()])


def accumulate(start: Any, terms: Tensor) -> Tensor:
    """Return a start plus stacked terms [K, ...]."""
    return start + terms.sum(0)


def _sum_up(trace: Trace) -> None:
    """Replace chains of sums, total = total + term in each step, by one `accumulate(start, terms)`."""
    uses, makers = uses_of(trace), trace.makers()

    def is_sum(node: TraceNode | None) -> bool:
        plain = node is not None and node.kind == "op" and name_of(node.func) in ADDS and not node.kwargs
        if not plain or len(node.args) != 2 or not all(isinstance(each, Ref) for each in node.args):  # type: ignore[union-attr] # noqa: PLR2004
            return False
        made = trace.metas[node.out.number]  # type: ignore[union-attr]
        return all(trace.metas[each.number].dtype == made.dtype for each in node.args)  # type: ignore[union-attr]

    def walk(node: TraceNode) -> tuple[list[Ref], Ref, list[TraceNode]]:
        """Follow a chain back from its last sum; return its terms in order, its start, and its operations."""
        terms: list[Ref] = []
        inner = [node]
        while True:
            first, second = node.args
            shape = trace.metas[node.out.number].shape
            for total, term in ((first, second), (second, first)):
                before = makers.get(total)
                fits = trace.metas[term.number].shape == shape
                if fits and uses[total] == 1 and is_sum(before) and before.grad == node.grad:  # type: ignore[union-attr]
                    terms.append(term)
                    node = before  # type: ignore[assignment]
                    inner.append(node)
                    break
            else:
                start, last = (second, first) if trace.metas[second.number].shape != shape else (first, second)
                return [*reversed([*terms, last])], start, inner

    replaced: dict[int, TraceNode | None] = {}
    for node in reversed(trace.nodes):
        if id(node) in replaced or not is_sum(node):
            continue
        terms, start, inner = walk(node)
        shape = trace.metas[node.out.number].shape
        if len(terms) < FEWEST_TERMS or any(trace.metas[term.number].shape != shape for term in terms):
            continue
        replaced |= dict.fromkeys(map(id, inner))
        replaced[id(node)] = TraceNode("op", accumulate, (start, terms), {}, node.out, node.grad, node.where)
    _replace(trace, replaced)


def _replace(trace: Trace, replaced: dict[int, TraceNode | None]) -> None:
    nodes = [replaced.get(id(node), node) for node in trace.nodes]
    trace.nodes = [node for node in nodes if node is not None]


def put_steps(base: Tensor, axis: int, places: Sequence[int], values: Tensor) -> Tensor:
    """Return a table with stacked values [K, ...] at these places of an axis."""
    if len(set(places)) == base.shape[axis]:
        order = sorted(range(len(places)), key=places.__getitem__)
        if order != list(range(len(places))):
            values = values[order]
        return values.movedim(0, axis).to(base.dtype)
    index = torch.tensor(places, device=base.device)
    return base.index_copy(axis, index, values.movedim(0, axis).to(base.dtype))


def _place_together(trace: Trace) -> None:
    """Replace assignments to one step of a table after another by one operation."""
    uses, makers = uses_of(trace), trace.makers()

    def place_of(node: TraceNode | None) -> tuple[int, int] | None:
        """Return (axis, step) of an assignment table[:, step] = tensor of that shape; None for any other operation."""
        if node is None or node.kind != "op" or name_of(node.func) != "__setitem__":
            return None
        base, index, value = node.args
        index = index if isinstance(index, tuple) else (index,)
        axes = [axis for axis, each in enumerate(index) if type(each) is int]
        if len(axes) != 1 or any(each != slice(None) for at, each in enumerate(index) if at != axes[0]):
            return None
        shape = list(trace.metas[base.number].shape)
        size = shape.pop(axes[0])
        if not isinstance(value, Ref) or trace.metas[value.number].shape != torch.Size(shape):
            return None
        return axes[0], index[axes[0]] % size

    replaced: dict[int, TraceNode | None] = {}
    for node in reversed(trace.nodes):
        place = place_of(node)
        if id(node) in replaced or place is None:
            continue
        inner, at = [node], [place]
        while True:
            before = makers.get(inner[-1].args[0])
            earlier = place_of(before)
            single = before is not None and uses[inner[-1].args[0]] == 1 and before.grad == node.grad
            if earlier is None or not single or earlier[0] != place[0] or earlier in at:
                break
            inner.append(before)  # type: ignore[arg-type]
            at.append(earlier)
        values = [each.args[2] for each in reversed(inner)]
        places = [step for _, step in reversed(at)]
        args = inner[-1].args[0], place[0], places, values
        replaced |= dict.fromkeys(map(id, inner))
        replaced[id(node)] = TraceNode("op", put_steps, args, {}, node.out, node.grad, node.where)
    _replace(trace, replaced)
