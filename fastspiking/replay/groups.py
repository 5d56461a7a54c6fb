"""The steps of a replay that run all time steps at once: groups of equal operations, convolutions, and neurons.

Arguments that differ from step to step are stacked along a new first axis, and the operation runs on the stack: as
it is where it broadcasts, else through `torch.vmap`.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from fastspiking.errors import InputError
from fastspiking.event_convolution import Convolution, convolve
from fastspiking.replay.neurons import NeuronLayer
from fastspiking.replay.recordable import name_of
from fastspiking.replay.schedule import STEP_NUMBER, Unit, is_rest_state, without_step_numbers
from fastspiking.replay.stacking import ELEMENTWISE, IMAGE_AXES, Gather, ReplayValues
from fastspiking.replay.trace import CentredCall, Ref, module_at, refs_in, tensors_in, tree_map, tree_values


class Group:
    """Runs equal operations at once, on arguments that are stacked along a new first axis.

    Each argument that is a tensor, or a number that differs, is a column: one `Ref` that all members share, or what
    stacks those of each. `dims` has its stacked axis as `torch.vmap` takes it (None: shared), `ranks` its number of
    axes in a single member.

    Raises:
        NotImplementedError: the arguments cannot be stacked.
    """

    def __init__(self, unit: Unit, plan: Any) -> None:
        node = self.node = unit.first
        if isinstance(node.func, CentredCall):
            raise NotImplementedError("a method of neurons")
        self.unit, self.nodes, self.number = unit, unit.nodes, unit.number
        self.columns: list[Any] = []
        self.dims: list[int | None] = []
        self.ranks: list[int] = []
        lists = [list(tree_values((each.args, each.kwargs))) for each in unit.nodes]  # flat arguments by member
        holes = list(tree_values(without_step_numbers(node, plan.trace)))
        self.out_rank = len(plan.trace.metas[node.outs[0].number].shape)
        self.picks: Any = None  # of x[..., t, ...] for many t: (x, the other indices or None, axis, all t)
        if holes != lists[0] and name_of(node.func) in ("__getitem__", "select"):
            self._pick(unit, plan)
            return
        places: dict[int, Ref] = {}  # number of the column by flat position of the argument
        for at, first in enumerate(lists[0]):
            column = [each[at] for each in lists]
            if isinstance(first, Ref):
                gather = Gather(column, plan)
                self._add(column[0] if gather.same else gather, len(plan.trace.metas[first.number].shape))
            elif at < len(holes) and holes[at] is STEP_NUMBER and any(each != first for each in column):
                dtype = plan.trace.metas[node.outs[0].number].dtype
                self._add(torch.tensor(column, dtype=dtype), 0)
            else:
                continue
            places[at] = Ref(len(places))
        count = itertools.count()
        # The arguments again, with the number of a column in place of each that has one.
        self.template = tree_map((node.args, node.kwargs), lambda each: places.get(next(count), each), None)
        self.writes = node.writes

    def _add(self, column: Any, rank: int) -> None:
        """Add an argument of the grouped calls; a plain one is mapped over its first axis, a `Ref` is shared."""
        self.columns.append(column)
        self.dims.append(None if isinstance(column, Ref) else 0)
        self.ranks.append(rank)

    def _pick(self, unit: Unit, plan: Any) -> None:
        """Set `picks` for members that index one tensor by an integer each, so that all are read by one index."""
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
            # Axes that an Ellipsis stands for; None adds an axis to the result and takes none of the tensor.
            of_ellipsis = len(shape) - sum(each is not None and each is not Ellipsis for each in lists[0])
            axis = sum(of_ellipsis if each is Ellipsis else 1 for each in lists[0][:at])
            axis_before = sum(of_ellipsis if each is Ellipsis else each is not None for each in lists[0][:at])
            size = shape[axis_before]
        index = [each % size for each in index]  # counted from the begin
        self.picks = base, kept, axis, index

    def run(self, values: ReplayValues) -> None:
        """Run the same operation of all steps as one, on stacked inputs or on the steps picked from a stack."""
        with values.plan.mode(self.node.grad):
            if self.picks is not None:
                base, kept, axis, index = self.picks
                x = values.get(base)
                x = (x if kept is None else x[kept]).movedim(axis, 0)
                begin = index[0]
                if index == list(range(begin, begin + len(index))):  # a slice needs no copy
                    out: Any = x if len(index) == len(x) else x[begin : begin + len(index)]
                else:
                    out = x[index]
            else:
                columns = (each(values) if isinstance(each, Gather) else each for each in self.columns)
                out = self._call([values.get(each) if isinstance(each, Ref) else each for each in columns])
        for slot, tensor in enumerate(tensors_in(out)):
            values.stacks[self.number, slot] = tensor

    def _call(self, columns: list[Tensor]) -> Any:
        """Run the operation on all members: directly where it broadcasts over the first axis, else by `torch.vmap`."""
        name = name_of(self.node.func)
        stacked_rank = [rank for rank, dim in zip(self.ranks, self.dims, strict=True) if dim == 0]
        if self.writes is not None:
            if self.dims[self.writes] is None:
                raise NotImplementedError("a copy for each member")
            columns[self.writes] = columns[self.writes].clone()  # what it changes stays as it was for other readers
        elif name == "linear" and self.dims[0] == 0 and not any(dim == 0 for dim in self.dims[1:]):
            return self._filled(columns)
        elif (
            name in ELEMENTWISE
            and all(rank in (0, self.out_rank) for rank in stacked_rank)
            and all(rank <= self.out_rank for rank in self.ranks)
        ):
            # Numbers of each member become columns that broadcast over the axes of a member.
            shaped = [
                column.view(-1, *[1] * self.out_rank) if dim == 0 and rank == 0 and self.out_rank else column
                for column, dim, rank in zip(columns, self.dims, self.ranks, strict=True)
            ]
            return self._filled(shaped)

        def member(*each: Tensor) -> Any:
            out = self._filled(list(each))
            return each[self.writes] if self.writes is not None else out

        return torch.vmap(member, in_dims=tuple(self.dims))(*columns)

    def named(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Map the operation's arguments by these names, positional ones included."""
        return dict(zip(names, self.node.args, strict=False)) | self.node.kwargs

    def weights(self, values: ReplayValues) -> list[Tensor | None]:
        """Return weight and bias of linear layers or convolutions."""
        given = self.named(CONVOLUTION[:3])
        return [None if given.get(key) is None else values.get(given[key]) for key in ("weight", "bias")]

    def _filled(self, columns: Sequence[Tensor]) -> Any:
        args, kwargs = tree_map(self.template, lambda ref: columns[ref.number])
        return self.node.func(*args, **kwargs)


CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
POOLING = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")


class ConvolvedImages:
    """Runs equal convolutions at once, event by event, and the max pooling that alone receives their results."""

    def __init__(self, images: Group, pooled: Group | None) -> None:
        self.images, self.pooled, self.number, self.nodes, self.pool = images, pooled, images.number, images.nodes, 1
        if pooled is not None:
            self.number, self.nodes, self.pool = pooled.number, [*images.nodes, *pooled.nodes], pooled_side(pooled)

    def run(self, values: ReplayValues) -> None:
        """Convolve and pool the images of all members; by torch where they are not on the CPU."""
        with values.plan.mode(self.images.node.grad):
            x = self.images.columns[0](values)
            if x.device.type != "cpu":
                for group in (self.images, self.pooled) if self.pooled is not None else (self.images,):
                    group.run(values)
                return
            weights = self.images.weights(values)
            of = Convolution(tuple(x.shape[2:]), *weights, *stride_and_padding(self.images), self.pool)  # type: ignore[arg-type]
            sizes = of.geometry.filters, of.geometry.rows, of.geometry.columns
            values.stacks[self.number, 0] = convolve(x.flatten(2), of).unflatten(2, sizes)


def stride_and_padding(group: Group) -> tuple[int, int]:
    """Return stride and padding of a plain square convolution, which event loops know; (0, 0) for anything else."""
    if name_of(group.node.func) != "conv2d" or group.dims[0] != 0 or 0 in group.dims[1:]:
        return 0, 0
    given = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | group.named(CONVOLUTION)
    stride, padding, dilation = (one_side(given[key]) for key in CONVOLUTION[3:6])
    plain = group.ranks[0] == IMAGE_AXES and (dilation, given["groups"]) == (1, 1) and padding >= 0
    return (stride, padding) if plain and stride > 0 else (0, 0)


def pooled_side(group: Group) -> int:
    """Return the side of the windows of a plain square max pooling, which event loops know; 1 for anything else."""
    if group.node.func is not max_pool2d or group.dims != [0]:
        return 1
    usual = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, "return_indices": False}
    given = usual | group.named(POOLING)
    side = one_side(given["kernel_size"])
    others = one_side(given["stride"] or side), one_side(given["padding"]), one_side(given["dilation"])
    return side if others == (side, 0, 1) and not (given["ceil_mode"] or given["return_indices"]) else 1


def one_side(value: Any) -> int:
    """Return n of the forms n and (n, n) that torch takes for the sides of a square; -1 for anything else."""
    values = set(value) if isinstance(value, tuple | list) else {value}
    return values.pop() if len(values) == 1 and all(isinstance(each, int) for each in values) else -1


class NeuronSequence:
    """Prepares one sequence of neurons' calls for the engine, and registers its stacked results in the plan.

    Raises:
        InputError: the engine cannot run it, with the reason.
    """

    def __init__(self, unit: Unit, plan: Any) -> None:
        self.unit, self.number, node = unit, unit.number, unit.first
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
        fields = plan.adapter.state_fields(module)
        self.holds, self.holds_spikes = bool(fields), "s" in fields.values()
        self.neurons = (plan.adapter.layer if fields else NeuronLayer)(node.where, module, features)
        makers = plan.makers
        rest = all(is_rest_state(ref, plan.trace, makers, node.args[0]) for ref in node.states if ref is not None)
        self.states = None if rest else node.states  # None: the engine starts at rest
        self.spikes_dtype = plan.trace.metas[next(refs_in(node.out)).number].dtype
        # The state after the last step, by the engine's fields; of neurons with a `step` it is a named tuple.
        self.final = dict(zip(fields.values() or getattr(node.func, "_fields", ()), unit.nodes[-1].after, strict=True))
        self.spikes_key, self.potential_key = (self.number, "spikes"), (self.number, "potential")
        self.linear: Group | None = None  # the linear layer before it, once the plan has fused it
        self.input = Gather([each.args[0] for each in unit.nodes], plan)
        self.needs_spikes = self.needs_potential = False
        plan.members[self.spikes_key] = [next(refs_in(each.out)) for each in unit.nodes]
        potentials = [each.after[-1] if fields else plan.centred.get(each.after) for each in unit.nodes]
        plan.members[self.potential_key] = [Ref(-1) if ref is None else ref for ref in potentials]
        # The engine returns spikes and potentials of all steps if asked to, and the whole state of the last step alone.
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
        if self.needs_potential and self.neurons.loses_potential:
            raise InputError(f"module '{self.name}' has a threshold beside which its potential is lost in rounding")

    def of(self, plan: Any) -> Any:
        return module_at(plan.network, self.name)


def window_of(unit: Unit) -> int | None:
    """Return the number of steps after which a sequence's state is detached, or None if it never is."""
    if not unit.cuts:
        return None
    window = unit.cuts[0]
    if unit.cuts != list(range(window, len(unit.nodes), window)):
        raise InputError(f"module '{unit.first.where}' has its state detached after different numbers of steps")
    return window
