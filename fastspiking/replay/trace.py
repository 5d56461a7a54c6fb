"""The intermediate form of one recorded call: a straight line of operations on numbered tensors, without control flow.

A `Trace` is what a compiler would call SSA: every `TraceNode` reads and makes tensors by their `Ref`, and each `Ref`
has one maker, or is a leaf that comes from the input or the network. Loops of the network's forward are unrolled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class NotReplayable(Exception):  # noqa: N818 - a reason, not a failure
    """Says in one line why a call cannot be replayed, so that the network runs exactly as written."""


class Ref:
    """Stands for one tensor of a trace, by its number."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other.number == self.number

    def __hash__(self) -> int:
        return self.number

    def __repr__(self) -> str:
        return f"%{self.number}"


class Meta(NamedTuple):
    """Describes a tensor without its values."""

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device
    learns: bool  # its `requires_grad`

    @staticmethod
    def of(tensor: Tensor) -> Meta:
        return Meta(tensor.shape, tensor.dtype, tensor.device, tensor.requires_grad)


@dataclass(frozen=True)
class TraceNode:
    """Holds one recorded operation."""

    kind: str  # "op", "neurons", "random" (draws), or "effect" (writes a buffer of the network)
    func: Callable[..., Any]
    args: Any  # with `Ref`s in place of tensors
    kwargs: dict[str, Any]
    out: Any  # what it returned, with `Ref`s in place of tensors
    grad: bool  # whether autograd recorded it
    where: str  # name of the module whose forward called it
    states: tuple[Ref | None, ...] = ()  # of neurons: their state before, None for that at rest
    after: tuple[Ref, ...] = ()  # of neurons: their state after
    writes: int | None = None  # flat position of the argument that it changes in place

    @property
    def inputs(self) -> list[Ref]:
        found = [*refs_in(self.args), *refs_in(self.kwargs)]
        return [*found, *(state for state in self.states if state is not None)]

    @property
    def outs(self) -> list[Ref]:
        """Return all tensors that the operation makes, each once."""
        return list(dict.fromkeys([*refs_in(self.out), *self.after]))

    def renamed(self, names: dict[Ref, Ref]) -> TraceNode:
        """Return the node with its inputs replaced as `names` says; the same object if none is."""
        if not any(ref in names for ref in self.inputs):
            return self
        args, kwargs, states = renamed((self.args, self.kwargs, self.states), names)
        return replace(self, args=args, kwargs=kwargs, states=states)


class Leaf(NamedTuple):
    """Says where a tensor comes from that no recorded operation made.

    `place` by kind. "input": (position). "attribute": (path of the module, attribute, keys into nested containers...).
    "outside", such as a global: (key of the guard that reads it, keys ...). "other": (number of a neuron of another
    network, buffer).
    """

    kind: str  # "input", "attribute", "outside" or "other"
    place: tuple[Any, ...]


@dataclass
class Trace:
    """Holds the operations of one call, where its tensors come from, and what it returned."""

    nodes: list[TraceNode] = field(default_factory=list)
    metas: list[Meta] = field(default_factory=list)
    leaves: dict[Ref, Leaf] = field(default_factory=dict)
    out: Any = None  # what forward returned, with `Ref`s
    writes: dict[tuple[str, str], Any] = field(default_factory=dict)  # attributes that it set, by module and name
    shaped: set[Ref] = field(default_factory=set)  # tensors whose shape or type the forward read, so may branch on

    def new(self, meta: Meta) -> Ref:
        self.metas.append(meta)
        return Ref(len(self.metas) - 1)

    def makers(self) -> dict[Ref, TraceNode]:
        """Map each tensor that an operation made to that operation; leaves are missing."""
        return {ref: node for node in self.nodes for ref in node.outs}

    def results(self) -> list[Ref]:
        """Return the tensors that outlive the call: what it returned, and what it stored in the network."""
        return [*refs_in(self.out), *(ref for value in self.writes.values() for ref in refs_in(value))]


def tree_map(value: Any, change: Callable[[Any], Any], kind: type | None = Ref) -> Any:
    """Return nested containers with each innermost value of a kind replaced by `change(value)`; None: with each."""
    if isinstance(value, (tuple, list, dict)):
        inner = value.values() if isinstance(value, dict) else value
        items: Any = [tree_map(each, change, kind) for each in inner]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*items)
        items = dict(zip(value, items, strict=True)) if isinstance(value, dict) else items
        return items if type(value) in (list, dict) else type(value)(items)
    if isinstance(value, slice):
        return slice(*(tree_map(each, change, kind) for each in (value.start, value.stop, value.step)))
    return change(value) if kind is None or isinstance(value, kind) else value


def renamed(value: Any, names: dict[Ref, Ref]) -> Any:
    return tree_map(value, lambda ref: names.get(ref, ref))


def with_refs(value: Any, ref_of: Callable[[Tensor], Any]) -> Any:
    return tree_map(value, ref_of, Tensor)


def tree_values(value: Any, kind: type | None = None) -> Iterator[Any]:
    """Yield each innermost value of a kind in nested containers, in order; None: each."""
    if isinstance(value, slice):
        yield from tree_values((value.start, value.stop, value.step), kind)
    elif isinstance(value, (tuple, list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from tree_values(each, kind)
    elif kind is None or isinstance(value, kind):
        yield value


def refs_in(value: Any) -> Iterator[Ref]:
    return tree_values(value, Ref)


def tensors_in(value: Any) -> Iterator[Tensor]:
    return tree_values(value, Tensor)


def module_at(network: nn.Module, path: str) -> nn.Module:
    """Return the submodule at a dotted path; an empty path is the network itself."""
    for name in path.split(".") if path else ():
        network = network._modules[name]  # type: ignore[assignment]
    return network


@dataclass(frozen=True)
class CentredCall:
    """Stands for the method `centred` of neurons of this name: their potential minus the threshold."""

    name: str

    def __call__(self, *_: Any) -> Any:
        raise NotImplementedError(self.name)
