"""Recording of a neuron's step and its vector-Jacobian product, by running the step once on traced tensors.

A record is used again only if all that it depends on is unchanged: values of parameters, numbers that a schedule
moves, and the code of classes (`source.stored_source`). Compiled loops are found by their text, and take numbers as
arguments.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastspiking.codegen.recorder import Recorder, TracedTensor
from fastspiking.codegen.snapshot import Snapshot
from fastspiking.codegen.values import GivenTensor, Noise, Untraceable, Value, as_number, needed, number
from fastspiking.errors import one_printable_line
from fastspiking.layer import EngineLayer


@contextmanager
def unchanged(before: Snapshot) -> Iterator[None]:
    """Undo what the body, which runs a step, changed on its module or drew; raise `Untraceable` if it did either."""
    draws = _Draws.of(before)
    try:
        yield
    finally:
        changed = [] if before.is_same() else before.put_back()
        has_drawn = draws.put_back()
    if changed:
        raise Untraceable(f"its step keeps '{changed[0]}' on itself")
    if has_drawn:
        raise Untraceable("its step draws numbers by itself")


class _Draws(NamedTuple):
    """Holds the states of the random generators that a step can draw from."""

    streams: list[torch.Generator]
    states: list[Tensor]  # of these generators
    others: tuple[Any, dict[str, Any]] | None  # states of Python's and NumPy's, if the step is foreign

    @staticmethod
    def of(before: Snapshot) -> _Draws:
        """Read the states of torch's generators, and for foreign steps also Python's and NumPy's, which is slow."""
        streams = [torch.default_generator, *before.streams]
        others = None if before.is_ours else _others()
        return _Draws(streams, [stream.get_state() for stream in streams], others)

    def put_back(self) -> bool:
        """Restore the states of all generators, and return whether any had been used."""
        has_drawn = False
        for stream, state in zip(self.streams, self.states, strict=True):
            if not torch.equal(stream.get_state(), state):
                has_drawn = True
                stream.set_state(state)
        if self.others is None or _comparable(_others()) == _comparable(self.others):
            return has_drawn
        random.setstate(self.others[0])
        np.random.set_state(self.others[1])  # noqa: NPY002 - as below
        return True


def _others() -> tuple[Any, dict[str, Any]]:
    """Return the states of Python's and NumPy's global generators."""
    return random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002 - somebody's step may use it


def _comparable(others: tuple[Any, dict[str, Any]]) -> tuple[Any, ...]:
    """Return the states of Python's and NumPy's generators as a tuple that `==` can compare."""
    inner = others[1]["state"]
    return others[0], inner["key"].tobytes(), inner["pos"], others[1]["has_gauss"], others[1]["gauss"]


Parts = tuple[Value, ...]
LONGEST = 120
"""Most characters of a foreign error message in the reason of an `Untraceable`, which records store."""


@dataclass(frozen=True)
class Program:
    """Holds the operations of a neuron's step, as graphs of values, and those of its backward step.

    A quantity has one value for each of its parts, such as the currents of several gates.
    """

    # By name: "output", "centred" (potential minus threshold) and "fed" (what recurrence feeds back), if wanted.
    outputs: dict[str, Parts]
    next_state: tuple[Parts, ...]  # each field of the next state
    gradients: dict[str, Parts]  # of "current" and "recurrent"; empty where none are wanted
    state_gradients: tuple[Parts, ...]  # the gradient of each field of the state
    # For each row whose gradient is wanted: its number, and the value to be summed over samples and steps.
    sums: tuple[tuple[int, Value], ...]
    given: tuple[GivenTensor, ...]  # tensors whose rows the step reads
    learnt: tuple[GivenTensor, ...]  # those of them that need a gradient
    noises: tuple[Noise, ...]  # random numbers drawn in each step
    used_noises: tuple[tuple[int, ...], tuple[int, ...]]  # numbers of the noises used forward, and backward
    currents: int  # parts of "current" and "recurrent"

    @property
    def learns(self) -> bool:
        return bool(self.gradients)

    @property
    def forward_roots(self) -> list[Value]:
        """Return all values that a forward step stores, outputs before next state."""
        return [value for parts in (*self.outputs.values(), *self.next_state) for value in parts]

    @property
    def backward_roots(self) -> list[Value]:
        """Return all values that a backward step stores, those that are summed over samples last."""
        back = [value for parts in (*self.gradients.values(), *self.state_gradients) for value in parts]
        return [*back, *(value for _, value in self.sums)]

    def field_of(self, name: str) -> int | None:
        """Return the number of the state field that equals an output and is stored over time anyway, or None."""
        if not self.learns:
            return None
        values = self.outputs[name]
        return next((field for field, parts in enumerate(self.next_state) if parts == values), None)

    @property
    def fires(self) -> bool:
        """Return whether the output is recorded as `where(condition, 1, 0)`, so that it is 0 or 1."""
        (output,) = self.outputs["output"]
        numbers = [value.detail for value in output.arguments[1:] if value.operation == "number"]
        return output.operation == "where" and numbers == [1.0, 0.0]


def record(
    layer: EngineLayer,
    shape: Sequence[int],
    dtype: torch.dtype,
    *,
    keep_u: bool,
    learns: bool,
    snapshot: Snapshot | None = None,
) -> Program:
    """Record the operations of one step of a layer's neurons, and with `learns` of its vector-Jacobian product.

    `layer`: the layer; one-to-one recurrence becomes part of its neurons' step. `shape`: of one part of the current in
    one step `[B, *features]`. `dtype`: of the currents. `keep_u`: whether the potential is wanted as an output.
    `learns`: whether gradients are wanted. `snapshot`: of the neuron module, to notice changes by the step; None takes
    one.
    """
    recorder = Recorder(shape, dtype)
    try:
        with (
            unchanged(snapshot or Snapshot(layer.neuron)),  # type: ignore[arg-type]
            torch.inference_mode(mode=False),
            torch.set_grad_enabled(learns),
        ):
            step = _Step(layer, recorder, keep_u=keep_u, learns=learns)
            gradients, before, sums, learnt = step.pulled_back() if learns else ({}, (), (), ())
            given = recorder.given.all()
    except Untraceable:
        raise
    except Exception as error:  # foreign code, run on traced tensors
        raise Untraceable(f"its step cannot be written down ({one_printable_line(error)[:LONGEST]})") from error
    finally:
        recorder.stand_ins.clear()  # they refer to the recorder: a reference cycle
    program = Program(
        outputs={name: traced.values for name, traced in step.outputs.items()},
        next_state=tuple(traced.values for traced in step.following),
        gradients=gradients,
        state_gradients=before,
        sums=sums,
        given=given,
        learnt=learnt,
        noises=tuple(recorder.noises),
        used_noises=((), ()),
        currents=layer.neuron.currents,
    )
    if not program.noises:
        return program
    used = (_noises_of(program.forward_roots), _noises_of(program.backward_roots))
    return dataclasses.replace(program, used_noises=used)


def _noises_of(roots: Sequence[Value]) -> tuple[int, ...]:
    """Return the numbers of the noises that these values are computed from, ascending."""
    return tuple(sorted(int(value.detail or 0) for value in needed(roots) if value.operation == "noise"))


class _Step:
    """Runs a neuron's step once on traced tensors, and holds its inputs, outputs and next state."""

    def __init__(self, layer: EngineLayer, recorder: Recorder, *, keep_u: bool, learns: bool) -> None:
        self.recorder = recorder
        neuron, shape = layer.neuron, recorder.shape
        current_shape = (*shape[:-1], shape[-1] * neuron.currents)
        initial = neuron.initial_state(recorder.input("like", current_shape))
        if not all(isinstance(field, Tensor) for field in initial):
            raise Untraceable("its state holds more than tensors")
        self.state = [recorder.input(f"state_{k}", field.shape, learns=learns) for k, field in enumerate(initial)]
        state = type(initial)(*self.state)
        self.inputs = {"current": recorder.input("current", current_shape, learns=learns)}
        current: Tensor = self.inputs["current"]
        if layer.recurrence == "one_to_one":
            current = neuron.driven(current, layer.feedback(neuron.fed_back(state)))
        elif layer.recurrence == "all_to_all":  # a product that mixes neurons: the caller computes it between steps
            self.inputs["recurrent"] = recorder.input("recurrent", current_shape, learns=learns)
            current = neuron.driven(current, self.inputs["recurrent"])
        output, following = neuron.step(current, state)
        self.following = tuple(following)
        self.outputs: dict[str, Any] = {"output": output}
        if keep_u:
            self.outputs["centred"] = neuron.centred(following)
        if layer.recurrence == "all_to_all":
            self.outputs["fed"] = neuron.fed_back(following)
        self._require_samples(type(initial)._fields)

    def _require_samples(self, fields: Sequence[str]) -> None:
        """Raise `Untraceable` unless outputs and next state have samples, and the types and shapes of their inputs.

        `fields` are the names of the state's fields, for messages.
        """
        results = [*self.outputs.items(), *zip(fields, self.following, strict=True)]
        for name, result in results:
            if not isinstance(result, TracedTensor) or result.is_sum or result.is_row:
                raise Untraceable(f"its step makes a {name} that has no samples")
            if result.dtype != self.recorder.dtype:
                raise Untraceable(f"its step makes a {name} in {result.dtype}")
        for name, before, after in zip(fields, self.state, self.following, strict=True):
            if after.shape != before.shape:
                raise Untraceable(f"its state's {name} changes its shape")
        for name, result in self.outputs.items():
            if len(result.values) > 1:
                raise Untraceable(f"its {name} is more than one number of a neuron")

    def pulled_back(
        self,
    ) -> tuple[dict[str, Parts], tuple[Parts, ...], tuple[tuple[int, Value], ...], tuple[GivenTensor, ...]]:
        """Record the vector-Jacobian product.

        Returns the fields `gradients`, `state_gradients`, `sums` and `learnt` of a `Program`.
        """
        recorder = self.recorder
        recorder.is_backward = True
        learnt = {id(given.tensor): given for given in reversed(recorder.given.all()) if given.tensor.requires_grad}
        sources = [*self.inputs.values(), *self.state, *(recorder.stand_ins[key] for key in learnt)]
        results = [*self.outputs.items(), *((f"state_{k}", field) for k, field in enumerate(self.following))]
        differentiable = [(name, result) for name, result in results if result.requires_grad]
        arriving = [recorder.input(f"d_{name}", result.shape) for name, result in differentiable]
        gradients: Sequence[Any] = [None] * len(sources)
        if differentiable:
            targets = [result for _, result in differentiable]
            gradients = torch.autograd.grad(targets, sources, arriving, allow_unused=True)
        first_parameter = len(self.inputs) + len(self.state)
        of_samples = [  # gradients of inputs, then of the state
            (number(0),) * len(source.values) if grad is None else _repeated(grad, len(source.values))
            for source, grad in zip(sources[:first_parameter], gradients, strict=False)
        ]
        sums: list[tuple[int, Value]] = []
        for given, grad in zip(learnt.values(), gradients[first_parameter:], strict=True):
            if grad is not None:
                sums += ((given.first + part, value) for part, value in enumerate(_values_to_sum(grad)))
        of_inputs = dict(zip(self.inputs, of_samples, strict=False))
        return of_inputs, tuple(of_samples[len(self.inputs) :]), tuple(sums), tuple(learnt.values())


def _values_to_sum(grad: Any) -> Parts:
    """Return the values whose sums over samples and steps are a parameter's gradient, one for each of its rows."""
    if not grad.is_sum and grad.values[0].operation != "number":
        raise Untraceable("its step makes a gradient of a parameter that is no sum over samples")
    return tuple(as_number(value) for value in grad.values)


def _repeated(grad: Any, parts: int) -> Parts:
    """Return a gradient's values; a single one is repeated for each of `parts` parts."""
    values = tuple(as_number(value) for value in grad.values)
    return values * parts if len(values) == 1 else values
