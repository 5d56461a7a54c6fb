"""Finds what repeats in a trace, the unrolled time steps: groups of equal operations, and sequences of neurons' calls.

Operations with the same function, the same fixed arguments and arguments from the same groups form one group, whose
members differ by their step alone; a group runs all members at once. The calls of neurons that hand their state
from one to the next form a sequence. Where groups need each other in turn, as under feedback from a later layer,
their operations run one after another as they were recorded.
"""

import graphlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastspiking.replay.recordable import name_of
from fastspiking.replay.simplify import frozen
from fastspiking.replay.trace import Ref, Trace, TraceNode, refs_in

# Stands in an operation's arguments for such a number, so that the operations of all steps look equal.
STEP_NUMBER = "a number that differs from step to step"
SCALED = frozenset({
    "add", "__add__", "__radd__", "sub", "__sub__", "__rsub__", "rsub", "mul", "__mul__", "__rmul__", "div",
    "__truediv__", "true_divide",
})  # fmt: skip
"""Operations in which a number may differ from step to step, such as x[t] * decay ** t."""
PIECES = frozenset({"unbind", "split", "chunk", "split_with_sizes"})  # these return a tensor in pieces, often by steps
ZEROS = frozenset({"zeros", "zeros_like", "new_zeros"})


@dataclass(eq=False)
class Unit:
    """Holds what runs together: a group of equal operations, a sequence of calls of neurons, or a loop."""

    nodes: list[TraceNode]
    neurons: bool = False
    loops: bool = False  # whether operations need each other's results in turn, and run one after another as recorded
    number: int = -1  # index in the schedule; by it a replay finds the stacked results
    cuts: list[int] = field(default_factory=list)  # of neurons: calls that start from a detached state

    @property
    def batched(self) -> bool:
        return len(self.nodes) > 1

    @property
    def first(self) -> TraceNode:
        return self.nodes[0]


def is_rest_state(ref: Ref, trace: Trace, makers: dict[Ref, TraceNode], current: Ref) -> bool:
    """Return whether a state is that of neurons at rest: zeros, or an empty tensor, which they take for none."""
    node = makers.get(before_detach(ref, makers) or ref)
    if node is not None and node.kind == "op" and name_of(node.func) in ZEROS:
        return True
    empty = trace.metas[ref.number].shape.numel() == 0 and trace.metas[current.number].shape.numel() > 0
    if empty:
        trace.shaped.add(ref)  # a call that finds another shape there starts elsewhere
    return empty


def neuron_sequences(trace: Trace) -> list[Unit]:
    """Return the sequences of calls of neurons, in which each starts from the state that the one before left.

    A state may be detached in between (truncated back-propagation); the call after that is noted in `cuts`.
    """
    makers = trace.makers()
    units: list[Unit] = []
    last: dict[tuple[Any, ...], Unit] = {}  # by module and state after the last call: where a call would go on
    for node in trace.nodes:
        if node.kind != "neurons":
            continue
        unit = last.pop((node.where, node.states, node.grad), None)
        if unit is None:
            sources = tuple(before_detach(ref, makers) for ref in node.states)
            all_detached = all(one != other for one, other in zip(sources, node.states, strict=True))
            unit = last.pop((node.where, sources, node.grad), None) if all_detached else None
            if unit is not None:
                unit.cuts.append(len(unit.nodes))
        if unit is None:
            unit = Unit([], neurons=True)
            units.append(unit)
        unit.nodes.append(node)
        last[node.where, node.after, node.grad] = unit
    return units


def before_detach(ref: Ref | None, makers: dict[Ref, TraceNode]) -> Ref | None:
    """Return the tensor of which another one is the detached form, or the tensor itself."""
    node = None if ref is None else makers.get(ref)
    detaches = node is not None and node.kind == "op" and name_of(node.func) in ("detach", "data")
    return node.args[0] if detaches else ref  # type: ignore[union-attr]


def equal_operations(trace: Trace, chains: Sequence[Unit]) -> list[Unit]:
    """Group operations that are equal but for their time step: same function, same fixed arguments, same roles.

    The role of a tensor is the group or sequence that made it, whichever the step; a tensor that belongs to none has
    a role of its own. `chains`: the sequences of neurons.
    """
    roles: dict[Ref, Any] = {}
    for number, chain in enumerate(chains):
        for node in chain.nodes:
            outs = [*refs_in(node.out), *node.after]
            roles |= {ref: ("neurons", number, slot) for slot, ref in reversed([*enumerate(outs)])}
    known: dict[Any, int] = {}
    found: dict[int, list[TraceNode]] = defaultdict(list)

    def role(ref: Ref) -> Any:
        return roles.get(ref, ("tensor", ref.number))

    for node in trace.nodes:
        if node.kind == "neurons":
            continue
        key: Any = object()  # equal to nothing: a group of its own
        if node.kind == "op":
            args, kwargs = without_step_numbers(node, trace)
            try:
                metas = tuple(trace.metas[ref.number] for ref in node.outs)
                key = node.func, frozen((args, kwargs), role), node.grad, node.writes, metas
                hash(key)
            except TypeError:  # an argument that has no hash
                key = object()
        number = known.setdefault(key, len(known))
        found[number].append(node)
        equal_pieces = name_of(node.func) in PIECES and len({trace.metas[ref.number] for ref in node.outs}) == 1
        roles |= {ref: ("group", number, 0 if equal_pieces else slot) for slot, ref in enumerate(node.outs)}
    return [Unit(nodes) for nodes in found.values()]


def without_step_numbers(node: TraceNode, trace: Trace) -> tuple[Any, Any]:
    """Return an operation's (args, kwargs) with `STEP_NUMBER` for the one number that may be the time step."""
    name = name_of(node.func)
    if name == "__getitem__" and isinstance(node.args[0], Ref):
        index = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
        if sum(type(each) is int for each in index) == 1:  # of x[3, 5] it could be either
            return (node.args[0], tuple(STEP_NUMBER if type(each) is int else each for each in index)), node.kwargs
    if name == "select" and len(node.args) == 3:  # noqa: PLR2004
        return (*node.args[:2], STEP_NUMBER), node.kwargs
    if name in SCALED and not node.kwargs and trace.metas[node.outs[0].number].dtype.is_floating_point:
        return tuple(STEP_NUMBER if type(each) in (int, float) else each for each in node.args), node.kwargs
    return node.args, node.kwargs


def schedule(trace: Trace) -> list[Unit]:
    """Return all units of a trace, each after those whose results it takes; units in a cycle become one loop."""
    chains = neuron_sequences(trace)
    units = [*chains, *equal_operations(trace, chains)]
    for number, unit in enumerate(units):
        unit.number = number
    place = {id(node): number for number, node in enumerate(trace.nodes)}
    needs = dependencies_of([unit.nodes for unit in units], trace, place)
    ordered = []
    for members in strongly_connected(needs):
        if len(members) == 1 and members[0] not in needs[members[0]]:
            ordered.append(units[members[0]])
        else:
            inner_nodes = [node for at in members for node in units[at].nodes]
            ordered.append(Unit(sorted(inner_nodes, key=lambda node: place[id(node)]), loops=True))
    return ordered


def dependencies_of(units: Sequence[Sequence[TraceNode]], trace: Trace, place: dict[int, int]) -> list[set[int]]:
    """Return for each list of operations the numbers of those that must run before it; itself if it needs itself.

    Draws of random numbers stay in their order, and so do changes of a buffer.
    """
    owner = {ref: at for at, nodes in enumerate(units) for node in nodes for ref in node.outs}
    needs: list[set[int]] = [set() for _ in units]
    orders: dict[Any, list[tuple[int, int]]] = defaultdict(list)
    for at, nodes in enumerate(units):
        is_sequence = all(node.kind == "neurons" and node.where == nodes[0].where for node in nodes)
        for node in nodes:
            needs[at] |= {owner[ref] for ref in (*refs_in(node.args), *refs_in(node.kwargs)) if ref in owner}
            # Within a sequence the engine hands the state on; only its first call takes one from elsewhere.
            if node is nodes[0] or not is_sequence:
                needs[at] |= {owner[ref] for ref in refs_in(node.states) if ref in owner and owner[ref] != at}
            if node.kind == "random":
                orders["draws"].append((place[id(node)], at))
            if node.kind == "effect":
                for ref in node.inputs:
                    if ref in trace.leaves:
                        orders[ref].append((place[id(node)], at))
    for members in orders.values():
        for before, after in itertools.pairwise(at for _, at in sorted(members)):
            needs[after] |= {before} - {after}
    return needs


def strongly_connected(needs: Sequence[set[int]]) -> list[list[int]]:
    """Return the strongly connected components of a graph, each after those that it needs.

    >>> strongly_connected([set(), {0, 2}, {1}])
    [[0], [1, 2]]
    """
    parts, part_of = [], {}
    path, place, roots = [], {}, []  # nodes met whose component is not complete; those that may be the first of one
    waiting = [(at, False) for at in reversed(range(len(needs)))]
    while waiting:  # Gabow's search (2000), without recursion
        at, is_left = waiting.pop()
        if is_left and roots[-1] == at:
            members = path[place[roots.pop()] :]
            del path[place[at] :]
            part_of |= dict.fromkeys(members, len(parts))
            parts.append(sorted(members))
        elif not is_left and at not in place:
            place[at] = len(path)
            path.append(at)
            roots.append(at)
            waiting += [(at, True), *((each, False) for each in sorted(needs[at]))]
        elif not is_left and at not in part_of:
            while place[roots[-1]] > place[at]:
                roots.pop()
    between: dict[int, set[int]] = {part_of[at]: set() for at in range(len(needs))}
    for at, others in enumerate(needs):
        between[part_of[at]].update(part_of[each] for each in others if part_of[each] != part_of[at])
    return [parts[number] for number in graphlib.TopologicalSorter(between).static_order()]


def ancestors(trace: Trace, refs: Iterable[Ref]) -> set[Ref]:
    """Return all tensors that these are computed from, themselves among them."""
    makers, seen, waiting = trace.makers(), set(), list(refs)
    while waiting:
        ref = waiting.pop()
        if ref in seen:
            continue
        seen.add(ref)
        if ref in makers:
            waiting += makers[ref].inputs
    return seen
