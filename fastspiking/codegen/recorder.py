"""Traced tensors: they hold no data, and record the torch operations that are done with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastspiking.codegen.rules import RULES, broadcast_shape, flat, operation_name, shape_only, summed_shape
from fastspiking.codegen.values import GivenTensors, Noise, Untraceable, Value, as_number, number

VIEWS = frozenset({
    "alias", "detach", "view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "expand", "_reshape_alias",
    "lift_fresh",
})  # fmt: skip
"""Operations whose result is the same data in another shape."""
COPIES = frozenset({"clone", "_to_copy", "contiguous"})
SAME_SHAPE = COPIES | {"alias", "detach", "lift_fresh"}
NEW = {"new_zeros": 0.0, "new_ones": 1.0, "new_full": None}
NAMED = frozenset({"alpha", "value", "min", "max", "rounding_mode"})
"""Keyword arguments that rules of elementwise operations take."""
LINEAR = frozenset({"add", "neg", "mul", "div"})
"""Operations that commute with a sum over samples, so that they may be applied to a summed gradient."""


class TracedTensor(Tensor):
    """Stands for a tensor [B, ...] of a step, without data; holds the symbolic value of each of its parts.

    A part has one number for each sample and neuron. A tensor with several parts, such as the currents of several
    gates, has them side by side in its last axis.
    """

    values: tuple[Value, ...]  # one for each part
    recorder: Recorder
    is_sum: bool  # whether it is a sum over samples
    is_shared: bool  # whether another tensor shows the same memory
    is_row: bool  # whether it has no axis of samples: a parameter, or computed from parameters alone
    is_whole: bool  # whether it is one part with samples and neurons, as most are
    stands_for: Tensor | None  # the parameter that it replaces, whose history is cut here

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation with placeholders in place of parameters, which cuts their autograd history.

        A parameter may itself be computed from others. That computation is not recorded with the step, since it
        has to run only once in a pass.
        """
        with torch._C.DisableTorchFunctionSubclass():
            if any(type(argument) not in WITHOUT_HISTORY and isinstance(argument, Tensor) for argument in args):
                recorder = next(argument.recorder for argument in args if isinstance(argument, TracedTensor))
                args = tuple(recorder.stand_in(argument) for argument in args)
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Record a torch operation on traced tensors instead of executing it."""
        recorder = next(argument.recorder for argument in flat(args) if isinstance(argument, TracedTensor))
        return recorder.record(func, args, kwargs or {})

    def numpy(self, *_: Any, **__: Any) -> Any:
        """Refuse the conversion to numpy, since a traced tensor holds no numbers."""
        raise Untraceable("its step calls numpy")

    __array__ = numpy


WITHOUT_HISTORY = {TracedTensor, int, float, bool}
"""The commonest types of arguments that cannot be a parameter, so that most checks are one look-up."""


class Recorder:
    """Records the operations that a neuron's step does with tensors.

    `shape`: of one part, [B, features]. `dtype`: of the layer's currents.
    """

    def __init__(self, shape: Sequence[int], dtype: torch.dtype) -> None:
        self.shape = torch.Size(shape)
        self.dtype = dtype
        self.per_part = math.prod(shape)  # numbers in one part
        self.given = GivenTensors()
        self.stand_ins: dict[int, TracedTensor] = {}  # by the id of the parameter
        self.noises: list[Noise] = []
        self.draws = 0  # number of draws of random numbers
        self.is_backward = False  # whether the vector-Jacobian product is recorded now

    def input(self, name: str, shape: Sequence[int], *, learns: bool = False) -> TracedTensor:
        """Return a traced tensor of this shape [B, ...] for an array that every step reads, under a name."""
        parts = self._parts(shape)
        return self._traced(shape, tuple(Value("input", detail=f"{name}.{k}") for k in range(parts)), learns=learns)

    def record(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record one call of a torch operation; return its traced result, or raise `Untraceable`.

        Operations that are neither elementwise nor views have a method of their own, `_record_NAME`.
        """
        name, plain = operation_name(func)
        if self.noises and self._is_noise(args):
            return self._of_noise(func, args, kwargs)
        rule = RULES.get(plain)
        if rule is not None:
            result = self._elementwise(plain, rule, args, kwargs)
            return self._in_place(args[0], result) if plain != name else result
        if name in VIEWS or name in COPIES:
            return self._view_or_copy(func, name, args, kwargs)
        if name == "fastspiking::draw":
            return self._draw(*args)
        if name == "_local_scalar_dense":
            raise Untraceable("its step looks at a number (if, bool, item), so that it may branch on data")
        special = getattr(self, f"_record_{plain}", None)
        if special is not None:
            return special(func, args, kwargs)
        if name in NEW:
            value = NEW[name] if NEW[name] is not None else args[2]
            return self._traced(args[1], (number(value),) * self._parts(args[1]))
        raise Untraceable(f"its step calls {func.name()}, for which there is no rule")

    def stand_in(self, argument: Any) -> Any:
        """Return the traced placeholder of a tensor that requires gradient, the same one on each call.

        Any other argument is returned unchanged. The placeholder is a row: it has no axis of samples.
        """
        if not isinstance(argument, Tensor) or isinstance(argument, TracedTensor) or not argument.requires_grad:
            return argument
        if id(argument) not in self.stand_ins:
            placeholder = (Value("row"),)  # never written: operands read the rows of `stands_for`
            traced = self._traced(argument.shape, placeholder, learns=True, is_row=True)
            traced.stands_for = argument
            self.stand_ins[id(argument)] = traced
        return self.stand_ins[id(argument)]

    # --- one kind of operation each

    def _elementwise(self, name: str, rule: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> TracedTensor:
        """Record an elementwise operation: apply its rule to the operands of each part."""
        named = {key: value for key, value in kwargs.items() if key in NAMED} if kwargs else kwargs
        tensors = [argument for argument in args if isinstance(argument, Tensor)]
        if all(type(tensor) is TracedTensor and tensor.is_whole for tensor in tensors):  # most operations, quickly
            operands = [each.values[0] if type(each) is TracedTensor else each for each in args]
            return self._traced(self.shape, (rule(*operands, **named),))
        return self._broadcast(name, rule, args, named, tensors)

    def _broadcast(
        self, name: str, rule: Any, args: Sequence[Any], named: dict[str, Any], tensors: Sequence[Tensor]
    ) -> TracedTensor:
        """Record an elementwise operation whose tensors have several parts, no samples, or a sum over samples."""
        shape = broadcast_shape(tensors)
        has_samples = not all(isinstance(tensor, TracedTensor) and tensor.is_row for tensor in tensors)
        sums = [tensor for tensor in tensors if isinstance(tensor, TracedTensor) and tensor.is_sum]
        if sums and (name not in LINEAR or len(sums) < len(tensors)):
            raise Untraceable(f"its step mixes samples (aten::{name})")
        parts = max(len(each.values) for each in sums) if sums else self._parts(shape, has_samples=has_samples)
        operand_shape = shape
        if not has_samples:  # parameters alone: the shape that they would have with an axis of samples
            operand_shape = torch.Size((self.shape[0], *shape)) if parts > 1 else self.shape
        columns = [
            self._operands(argument, operand_shape, parts) if isinstance(argument, Tensor) else [argument] * parts
            for argument in args
        ]
        values = tuple(rule(*operands, **named) for operands in zip(*columns, strict=True))
        return self._traced(shape, values, is_sum=bool(sums), is_row=not has_samples)

    def _view_or_copy(self, func: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> TracedTensor:
        """Record a view or a copy: the same values in another shape, or converted to numbers or to booleans."""
        source = args[0]
        if source.is_row:
            raise Untraceable(f"its step calls {func.name()} on a parameter together with a potential")
        dtype = kwargs.get("dtype")
        keeps_precision = dtype in (None, self.dtype, torch.bool)
        if not keeps_precision and not (source.is_sum and dtype.is_floating_point):
            raise Untraceable(f"its step computes in {dtype}, its currents are {self.dtype}")
        shape = source.shape if name in SAME_SHAPE else func(shape_only(source), *args[1:], **kwargs).shape
        values = source.values
        if not source.is_sum:
            parts = self._parts(shape)
            if len(values) != parts:  # expanded from one part to several
                values = values * (parts // len(values))
        if dtype == torch.bool:
            values = tuple(value if value.is_truth else Value("ne", (value, number(0))) for value in values)
        elif dtype is not None:
            values = tuple(as_number(value) for value in values)
        if name in VIEWS:
            source.is_shared = True
        return self._traced(shape, values, is_sum=source.is_sum, is_shared=name in VIEWS)

    def _record_sum(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> TracedTensor:
        """Record a sum over parts (an addition of their values), or in the backward pass over samples.

        A sum over samples keeps its values, and only marks the result: the loops that are written add them up.
        """
        summed = args[0]
        if summed.is_row:
            raise Untraceable(f"its step calls {func.name()} on a parameter together with a potential")
        axes = args[1] if len(args) > 1 and args[1] else range(summed.dim())
        axes = {axis % summed.dim() for axis in axes}
        shape = summed_shape(summed.shape, axes, keeps=bool(args[2]) if len(args) > 2 else False)  # noqa: PLR2004
        if summed.is_sum:
            return self._traced(shape, summed.values, is_sum=True)
        over_samples = 0 in axes
        if over_samples and not self.is_backward:
            raise Untraceable("its step sums over samples")
        inner_axes = {axis for axis in axes if axis > 0}
        feature_axes = set(range(summed.dim() - len(self.shape) + 1, summed.dim()))
        if not over_samples and inner_axes & feature_axes:
            raise Untraceable("its step sums over neurons")
        values = summed.values
        if len(values) > 1 and inner_axes:
            total = as_number(values[0])
            for value in values[1:]:
                total = Value("add", (total, as_number(value)))
            values = (total,)
        return self._traced(shape, tuple(as_number(value) for value in values), is_sum=over_samples)

    def _record_split(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> list[TracedTensor]:
        """Record `split` or `chunk` of the last axis into whole parts; `sizes` is one length or a list of them."""
        whole, sizes, axis = args[0], args[1], args[2] if len(args) > 2 else 0  # noqa: PLR2004
        width = whole.shape[-1]
        sizes = [sizes] * (width // sizes) if isinstance(sizes, int) else list(sizes)
        if axis % whole.dim() != whole.dim() - 1 or sum(sizes) != width:
            raise Untraceable(f"its step calls {func.name()} on another axis than the last")
        pieces, first = [], 0
        for size in sizes:
            pieces.append(self._cut(whole, first, first + size))
            first += size
        return pieces

    _record_split_with_sizes = _record_split

    def _record_slice(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> TracedTensor:
        """Record a slice `first:last:step` of an axis: the whole axis, or whole parts of the last one."""
        defaults = (0, None, None, 1)  # of axis, first, last and step, which a call may leave out
        arguments: tuple[Any, ...] = (*args, *defaults[len(args) - 1 :])
        whole, axis, first, last, step = arguments
        size = whole.shape[axis]
        first, last = slice(first, last).indices(size)[:2]
        if (first, last, step) == (0, size, 1):  # the whole axis
            whole.is_shared = True
            return self._traced(whole.shape, whole.values, is_sum=whole.is_sum, is_shared=True)
        if axis % whole.dim() != whole.dim() - 1 or step != 1:
            raise Untraceable(f"its step calls {func.name()} on another axis than the last")
        return self._cut(whole, first, last)

    def _record_slice_backward(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> TracedTensor:
        """Record the gradient of a slice: its own parts, and zeros for the parts before and after it."""
        grad, shape, _, first, last, _ = args
        width, last = self.shape[-1], min(last, shape[-1])
        zero = (number(0),)
        parts_before, parts_after = first // width, (shape[-1] - last) // width
        return self._traced(shape, zero * parts_before + grad.values + zero * parts_after)

    def _record_cat(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> TracedTensor:
        """Record a concatenation along the last axis, whose parts are those of all pieces in order."""
        pieces, axis = args[0], args[1] if len(args) > 1 else 0
        shape = list(pieces[0].shape)
        if axis % len(shape) != len(shape) - 1:
            raise Untraceable(f"its step calls {func.name()} on another axis than the last")
        shape[-1] = sum(piece.shape[-1] for piece in pieces)
        values = [self._operands(piece, piece.shape, self._parts(piece.shape)) for piece in pieces]
        return self._traced(shape, tuple(as_number(value) for piece_values in values for value in piece_values))

    def _record_repeat(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> TracedTensor:
        whole, times = args
        if any(count != 1 for count in times[:-1]) or len(times) != whole.dim():
            raise Untraceable(f"its step calls {func.name()} on another axis than the last")
        return self._traced((*whole.shape[:-1], whole.shape[-1] * times[-1]), whole.values * times[-1])

    def _draw(self, stream: Tensor, like: TracedTensor) -> TracedTensor:
        """Record a draw of one random number for each sample and neuron from a generator's state."""
        if like.shape != self.shape:
            raise Untraceable("its step draws numbers that are not one for each neuron")
        self.noises.append(Noise(stream, self.draws, (), self.is_backward))
        self.draws += 1
        return self._traced(like.shape, (Value("noise", detail=len(self.noises) - 1),))

    def _of_noise(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> TracedTensor:
        """Record an operation on noise alone, to be computed by torch when the numbers are drawn.

        The result is a noise of the same draw, with one operation more.
        """
        source = self.noises[int(args[0].values[0].detail)]  # type: ignore[arg-type]
        calls = (*source.calls, (func, tuple(args[1:]), kwargs))
        self.noises.append(Noise(source.stream, source.draw, calls, source.is_backward))
        shape = func(shape_only(args[0]), *args[1:], **kwargs).shape
        return self._traced(shape, (Value("noise", detail=len(self.noises) - 1),))

    @staticmethod
    def _is_noise(args: Sequence[Any]) -> bool:
        """Return whether the first argument is noise, and no other argument a tensor."""
        if not args or not isinstance(args[0], TracedTensor):
            return False
        is_alone = not any(isinstance(argument, Tensor) for argument in args[1:])
        return is_alone and len(args[0].values) == 1 and args[0].values[0].operation == "noise"

    def _in_place(self, target: Any, result: TracedTensor) -> TracedTensor:
        """Record an operation in place: give `target` the values of the result.

        Another tensor that shows the same memory would not see the change, so such a target is refused.
        """
        if not isinstance(target, TracedTensor) or target.is_shared or target.shape != result.shape:
            raise Untraceable("its step changes a tensor in place that others see")
        target.values = result.values
        return target

    def _cut(self, whole: TracedTensor, first: int, last: int) -> TracedTensor:
        """Return entries [first, last) of the last axis as a view; they must be whole parts."""
        width = self.shape[-1]
        if first % width or last % width:
            raise Untraceable("its step takes some neurons out of a layer")
        whole.is_shared = True
        shape = (*whole.shape[:-1], last - first)
        return self._traced(shape, whole.values[first // width : last // width], is_shared=True)

    # --- operands and results

    def _operands(self, tensor: Tensor, shape: torch.Size, parts: int) -> Sequence[Value]:
        """Return the value of each part of an operand that is broadcast to `shape`, which has `parts` parts.

        An operand that is not traced, such as a parameter, becomes a constant if it is one number throughout and does
        not learn. Else it becomes rows: arrays with one number for each neuron, which the loops get as an argument.
        """
        if isinstance(tensor, TracedTensor) and tensor.stands_for is not None:
            tensor = tensor.stands_for
        if isinstance(tensor, TracedTensor):  # one value serves all parts
            return tensor.values * parts if len(tensor.values) == 1 else tensor.values
        if not tensor.requires_grad and (tensor.numel() == 1 or self._is_uniform(tensor)):
            return [number(tensor.flatten()[0].item())] * parts
        if tensor.dim() and tensor.dtype.itemsize > self.dtype.itemsize and tensor.dtype.is_floating_point:
            raise Untraceable(f"its step computes in {tensor.dtype}, its currents are {self.dtype}")
        is_one = tensor.numel() == 1
        given = self.given.of(tensor, self.shape[1:] if is_one else shape[1:], parts=1 if is_one else parts)
        rows = [Value("row", detail=given.first + part) for part in range(given.parts)]
        if tensor.dtype == torch.bool:  # rows are numbers
            rows = [Value("ne", (row, number(0))) for row in rows]
        return rows * parts if given.parts == 1 else rows

    def _is_uniform(self, tensor: Tensor) -> bool:
        """Return whether a tensor [B, ...] has the same number everywhere, as the zeros that a step creates."""
        return tensor.shape[:1] == self.shape[:1] and tensor.dim() > 1 and bool((tensor == tensor.flatten()[0]).all())

    def _parts(self, shape: Sequence[int], *, has_samples: bool = True) -> int:
        """Return the number of parts of a tensor of this shape; without samples it lacks the first axis."""
        if shape == self.shape:
            return 1
        if not has_samples:
            return max(1, math.prod(shape) * self.shape[0] // self.per_part)
        parts, rest = divmod(math.prod(shape), self.per_part)
        if rest or not parts or shape[0] != self.shape[0]:
            raise Untraceable(f"its step makes a tensor [{', '.join(map(str, shape))}] of other axes than its neurons'")
        return parts

    def _traced(
        self,
        shape: Sequence[int],
        values: tuple[Value, ...],
        *,
        learns: bool = False,
        is_sum: bool = False,
        is_shared: bool = False,
        is_row: bool = False,
    ) -> TracedTensor:
        """Create the result of an operation: a tensor of this shape without data, which holds symbolic values."""
        dtype = torch.bool if values[0].is_truth else self.dtype
        traced: TracedTensor = Tensor._make_wrapper_subclass(TracedTensor, shape, dtype=dtype, requires_grad=learns)  # type: ignore[attr-defined]
        traced.values, traced.recorder, traced.is_sum, traced.is_shared = values, self, is_sum, is_shared
        traced.stands_for, traced.is_row = None, is_row
        traced.is_whole = shape == self.shape and len(values) == 1 and not (is_sum or is_row)
        return traced
