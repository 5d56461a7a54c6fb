"""Generation of the source of two loops from recorded values: all steps forward, and all steps backward.

Legend: T steps, B samples, M neurons, k part of a quantity with several parts side by side. Arrays have a row for
each step and sample. Those of the state have one step more, or a single one where nothing is saved for the backward
pass. The loops go over blocks of samples, in each over all steps, so that a block's state stays in the cache. Sums
over samples and steps are made for each block alone, so that bits do not depend on which thread computes a block.

Variables of the templates that index rows: `at`, this step of a sample, in arrays over all steps; `now`, the same in
an array that may have a single step; `before` and `after`, its state before and after this step; `come` and `go`,
this step in the gradient of the output, and in that of the current.
"""

import re
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from fastspiking.codegen.program import Program
from fastspiking.codegen.snapshot import Snapshot
from fastspiking.codegen.values import Value, needed

BINARY = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==",
    "ne": "!=", "and": "&", "or": "|",
}  # fmt: skip
CALLS = {
    "exp": "np.exp", "expm1": "np.expm1", "log": "np.log", "log1p": "np.log1p", "log2": "np.log2",
    "sqrt": "np.sqrt",
    "sin": "np.sin", "cos": "np.cos", "tan": "np.tan", "atan": "np.arctan", "sinh": "np.sinh", "cosh": "np.cosh",
    "tanh": "np.tanh", "erf": "math.erf", "floor": "np.floor", "ceil": "np.ceil", "trunc": "np.trunc",
    "round": "np.rint", "abs": "abs",
}  # fmt: skip
VECTORISED = {"exp": "functions.exp", "tanh": "functions.tanh", "sigmoid": "functions.sigmoid"}
"""Functions of float32 that loops can vectorise, in place of the standard ones."""
LITERAL = frozenset({-1.0, 0.0, 0.5, 1.0, 2.0})
"""Numbers that are written into the source, so that the compiler knows them; all others are arguments."""
HEAD = '''"""Written by fastspiking from a neuron's step; safe to delete."""
import math

import numpy as np

from fastspiking.kernels import functions, vectors
from fastspiking.kernels import links

F = np.{dtype}
'''
FORWARD = """
def forward(
    {arguments},
    driven, sent, rows, numbers, first, last, keep, of_current, batch, block, size, low, high,
):
    {locals}
    for part in range(low, high):
        begin = part * block
        end = min(begin + block, batch)
        for step in range(first, last):
            at = step * batch + begin
            links.sum_events(driven, at, current, step * of_current + begin, end - begin)
            for sample in range(begin, end):
                at = step * batch + sample
                now = step * of_current + sample
                before = step * keep * batch + sample
                after = (step + 1) * keep * batch + sample
{ahead}
                for m in range(size):
{body}
            at = step * batch + begin
            after = (step + 1) * keep * batch + begin
            links.send(sent, {spikes}, at, begin, end - begin)
"""
BACKWARD = """
def backward(
    {arguments},
    outside, read_back, gradients, rows, sums, numbers, first, last, steps, of_arriving, of_leaving, batch, block, size,
    low, high,
):
    {locals}
    for part in range(low, high):
        begin = part * block
        end = min(begin + block, batch)
        scratch = links.readout_scratch(read_back, end - begin)
        for step in range(last - 1, first - 1, -1):
            at = step * batch + begin
            links.gather_spike_gradient(read_back, scratch, outside, d_output, at, begin, end - begin, step, steps)
            for sample in range(begin, end):
                at = step * batch + sample
                come = step * of_arriving + sample
                go = step * of_leaving + sample
{ahead}
                for m in range(size):
{body}
            links.add_gradients(gradients, step * batch + begin, grad_current, step * of_leaving + begin, end - begin)
"""
INDENT, OUTER_INDENT = " " * 20, " " * 16
"""Indents of lines in the loop over neurons, and of the lines before it."""


class WrittenSource:
    """Holds the source text of a program's loops, and the constants that are passed to them.

    `program`: the operations of a step. `dtype`: of its numbers. `width`: number of neurons M; not part of the source,
    so that layers of similar size share their loops.
    """

    text: str

    def __init__(self, program: Program, dtype: torch.dtype, width: int) -> None:
        self.program = program
        self.dtype = dtype
        self.pitch = width  # distance between rows with one value of each neuron
        self.constants: list[float] = []


class LoopSource(WrittenSource):
    """Writes the forward and backward loops of a program in Python, which numba compiles for the CPU."""

    def __init__(self, program: Program, dtype: torch.dtype, width: int) -> None:
        super().__init__(program, dtype, width)
        self.pitch = pitch(width)
        self.text = HEAD.format(dtype=str(dtype).removeprefix("torch."))
        self.text += self._forward()
        if program.gradients:
            self.text += self._backward()

    def _forward(self) -> str:
        """Write the loop that stores the next state and the outputs of every step.

        An output that is also a field of the state is stored once, as that field.
        """
        program = self.program
        stored = [(f"state_{k}", "after", parts) for k, parts in enumerate(program.next_state)]
        stored += [
            (f"out_{name}", "at", values) for name, values in program.outputs.items() if program.field_of(name) is None
        ]
        spiking_field = program.field_of("output")
        spikes = "out_output, at" if spiking_field is None else f"state_{spiking_field}, after"
        rows = {"current": "now", "state": "before"}
        ahead = _prefetch_lines("write", "after", _fields("state", program), "keep * batch")
        ahead += _prefetch_lines("read", "now", ["current"], "of_current")
        return self._loop(FORWARD, forward_arrays(program), _stores(stored), rows, ahead, spikes=spikes)

    def _backward(self) -> str:
        """Write the loop that goes back from the last step, and adds up the gradients of parameters in `sums`."""
        program = self.program
        stored = [
            (f"grad_{name}", "go" if name == "current" else "at", values) for name, values in program.gradients.items()
        ]
        stored += [(f"grad_{k}", "sample", values) for k, values in enumerate(program.state_gradients)]
        stores = _stores(stored)
        stores += [(f"sums[part, {row * self.pitch} + m] +=", value) for row, value in program.sums]
        rows = {"state": "at", "d_output": "come", "d_state": "sample"}
        ahead = _prefetch_lines("read", "at", ["current", *_fields("state", program)], "-batch")
        ahead += _prefetch_lines("read", "come", ["d_output"], "-of_arriving")
        ahead += _prefetch_lines("write", "go", ["grad_current"], "-of_leaving")
        return self._loop(BACKWARD, backward_arrays(program), stores, rows, ahead)

    def _loop(
        self,
        template: str,
        arrays: Sequence[str],
        stores: Sequence[tuple[str, Value]],
        rows: Mapping[str, str],
        ahead: Sequence[str],
        **names: str,
    ) -> str:
        """Fill a loop template with code that computes values and stores them.

        `template`: `FORWARD` or `BACKWARD`. `arrays`: names of the arrays that the loop takes. `stores`: pairs of the
        start of an assignment, such as "out[at, m] =", and the value that it stores. `rows`: maps the name of an input
        to the variable that indexes its rows; "at" for all others. `ahead`: lines before the loop over neurons, which
        prefetch. `names`: further fields of the template.
        """
        written = Lines(self.constants, self.dtype, self.pitch, rows)
        lines = written.lines(needed(value for _, value in stores))
        lines += [f"{place} {written.names[value]}" for place, value in stores]
        return template.format(
            arguments=", ".join(arrays),
            locals="; ".join(written.locals) or "pass",
            body="\n".join(f"{INDENT}{line}" for line in lines),
            ahead="\n".join(f"{OUTER_INDENT}{line}" for line in ahead),
            **names,
        )


def pitch(width: int) -> int:
    """Return the distance between rows of `width` values: the next of 64, 256, 1024, ...

    It is a constant of the source, so that the compiler knows that rows do not overlap.

    >>> pitch(60), pitch(64), pitch(65)
    (64, 64, 256)
    """
    size = 64
    while size < width:
        size *= 4
    return size


def forward_arrays(program: Program) -> list[str]:
    """Return the names of the arrays that the forward loop takes, in the order of its arguments."""
    outside = [f"out_{name}" for name in program.outputs if program.field_of(name) is None]
    return [*given_arrays(program, program.used_noises[0]), *outside]


def backward_arrays(program: Program) -> list[str]:
    """Return the names of the arrays that the backward loop takes, in the order of its arguments.

    d_NAME is the gradient that arrives at an output, grad_NUMBER that of a field of the state, and grad_NAME the
    gradient of an input that the loop writes.
    """
    arriving = [f"d_{name}" for name in program.outputs]
    carried = [f"grad_{place}" for place in range(len(program.state_gradients))]
    outgoing = [f"grad_{name}" for name in program.gradients]
    return [*given_arrays(program, program.used_noises[1]), *arriving, *carried, *outgoing]


def given_arrays(program: Program, noises: Iterable[int]) -> list[str]:
    """Return the names of the arrays that a loop takes first: currents, these noises, and states."""
    recurrent = ["recurrent"] if "fed" in program.outputs else []
    states = [f"state_{place}" for place in range(len(program.next_state))]
    return ["current", *recurrent, *(f"noise_{place}" for place in noises), *states]


def _fields(name: str, program: Program) -> list[str]:
    return [f"{name}_{place}" for place in range(len(program.next_state))]


def _prefetch_lines(purpose: str, row: str, names: Iterable[str], turn: str) -> list[str]:
    """Write lines of source that prefetch rows of arrays; `purpose` is "read" or "write".

    `row`: name of the variable that indexes the row at work. `turn`: source of the number of rows per step.
    """
    return [f"vectors.ask_row_to_{purpose}({name}, {row}, begin, end, sample, {turn})" for name in names]


def _stores(stored: Iterable[tuple[str, str, Sequence[Value]]]) -> list[tuple[str, Value]]:
    """Return each value with the start of the statement that stores it.

    `stored`: for each array its name, the variable that indexes its rows, and the values of its parts.
    """
    return [
        (f"{name}[{row}, {_column(part, values)}] =", value)
        for name, row, values in stored
        for part, value in enumerate(values)
    ]


def _column(part: int, parts: Sequence[Value]) -> str:
    """Return the source of neuron m's column for one part of an array that holds these parts side by side."""
    return "m" if len(parts) == 1 else f"{part} * size + m"


class Lines:
    """Writes the values of one loop as lines of source, and names them.

    `constants`: extended by numbers that become arguments of the loop. `pitch`: distance between rows of parameters.
    `rows`: maps the name of an input to the variable that indexes its rows; see `LoopSource._loop`.
    """

    def __init__(self, constants: list[float], dtype: torch.dtype, pitch: int, rows: Mapping[str, str]) -> None:
        self.constants, self.pitch, self.rows = constants, pitch, rows
        self.calls = CALLS | (VECTORISED if dtype == torch.float32 else {})
        self.names: dict[Value, str] = {}
        self.locals: list[str] = []

    def lines(self, values: Iterable[Value]) -> list[str]:
        """Write one line of source for each value that is not a constant; arguments come before their results."""
        lines = []
        for value in values:
            if value.operation == "number":
                self.names[value] = self._number(float(value.detail or 0.0))
                continue
            self.names[value] = f"v{len(self.names)}"
            lines.append(f"{self.names[value]} = {self._expression(value)}")
        return lines

    def _number(self, value: float) -> str:
        """Return the source of a constant: a literal, or the name of a local variable that holds an argument."""
        if value in LITERAL and str(value) != "-0.0":
            return f"F({value})"
        place = len(self.constants)
        self.constants.append(value)
        self.locals.append(f"c{place} = numbers[{place}]")
        return f"c{place}"

    def _expression(self, value: Value) -> str:
        """Return the source of a value in terms of the names of its arguments."""
        operation = value.operation
        if operation == "input":
            return self._input(str(value.detail))
        if operation == "row":
            return f"rows[{int(value.detail or 0) * self.pitch} + m]"
        if operation == "noise":
            return f"noise_{value.detail}[at, m]"
        return self._computed(operation, [self.names[argument] for argument in value.arguments])

    def _computed(self, operation: str, names: Sequence[str]) -> str:
        """Return the source of an operation on the variables `names`."""
        if operation in BINARY:
            return f"{names[0]} {BINARY[operation]} {names[1]}"
        if operation == "where":
            return f"{names[1]} if {names[0]} else {names[2]}"
        if operation in ("not", "neg"):
            return f"{'not ' if operation == 'not' else '-'}{names[0]}"
        if operation == "pow":
            return f"{names[0]} ** {names[1]}"
        if operation in ("minimum", "maximum"):  # NaN in either is NaN
            a, b = names
            return f"{a} if ({a} {'<' if operation == 'minimum' else '>'} {b}) | ({a} != {a}) else {b}"
        if operation == "sigmoid" and operation not in self.calls:
            return f"F(1.0) / (F(1.0) + np.exp(-{names[0]}))"
        return f"F({self.calls[operation]}({names[0]}))"

    def _input(self, detail: str) -> str:
        """Return the source of an array's entry for an input "array.part", such as "state_1.0"."""
        name, _, part = detail.rpartition(".")
        column = "m" if part == "0" else f"{part} * size + m"
        kind = re.sub(r"_\d+$", "", name)  # without the number of a field of the state
        array = name.replace("d_state", "grad")  # the adjoint of the state is updated in place
        return f"{array}[{self.rows.get(kind, 'at')}, {column}]"


MOST = 16
"""Most sources that are kept for a neuron module: with and without gradient, and for a shorter last batch."""
_written: weakref.WeakKeyDictionary[Any, dict[tuple[Any, ...], tuple[Snapshot, WrittenSource]]]
_written = weakref.WeakKeyDictionary()


def stored_source(neuron: nn.Module, key: tuple[Any, ...], write: Callable[[Snapshot], WrittenSource]) -> WrittenSource:
    """Return the source of a neuron's loops: the stored one if all that its step reads is unchanged, else a new one.

    What the step reads is compared by value, tensors bit by bit. Three kinds of step are never stored: steps of
    other packages, which may read anything; steps that draw random numbers; and steps whose parameters learn.
    `key`: what else the source depends on: shapes, precision, wanted outputs. `write`: called with a snapshot of the
    neuron to write the source.
    """
    stored = _written.setdefault(neuron, {})
    if key in stored:
        before, source = stored[key]
        if before.is_same():
            return source
    before = Snapshot(neuron)
    source = write(before)
    if before.is_ours and not source.program.learnt and not source.program.noises:
        if len(stored) >= MOST:
            stored.clear()
        stored[key] = before, source
    return source
