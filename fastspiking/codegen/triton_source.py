"""Generation of the source of two Triton programs from recorded values: all steps forward, and all steps backward.

Legend: T steps, B samples, M neurons, k part of a quantity with several parts side by side. A program instance
computes a tile of samples and neurons over all steps, with the tile's state in registers. All-to-all recurrence is
a product inside the program: the tile then holds every neuron of the layer, and weights are loaded once. Arrays
have the layout of `source`. Sums over samples and steps are made for each tile alone, so they do not depend on an
order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from fastspiking.codegen.program import Parts, Program
from fastspiking.codegen.source import (
    BINARY,
    LITERAL,
    Lines,
    WrittenSource,
    backward_arrays,
    forward_arrays,
    given_arrays,
)
from fastspiking.codegen.values import Untraceable, Value, needed

_WRITTEN = """
def sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))

def expm1(x):
    e = tl.exp(x)
    curve = (e - 1.0) * x / tl.log(e)
    return tl.where(e == 1.0, x, tl.where((e - 1.0 == e) | (e == 0.0), e - 1.0, curve))

def log1p(x):
    above = 1.0 + x
    curve = tl.log(above) * x / (above - 1.0)
    return tl.where(above == 1.0, x, tl.where(above - 1.0 == above, tl.log(above), curve))

def tanh(x):
    e = expm1(-2.0 * tl.abs(x))
    size = -e / (2.0 + e)
    return tl.where(x < 0.0, -size, size)

def sinh(x):
    e = expm1(tl.abs(x))
    size = tl.where(e == e + 1.0, e * 0.5, (e + e / (e + 1.0)) * 0.5)
    return tl.where(x < 0.0, -size, size)

def cosh(x):
    e = tl.exp(tl.abs(x))
    return e * 0.5 + 0.5 / e

def tan(x):
    return tl.sin(x) / tl.cos(x)

def trunc(x):
    return tl.where(x < 0.0, tl.ceil(x), tl.floor(x))

def round(x):
    low = tl.floor(x)
    past = x - low
    is_odd = low * 0.5 != tl.floor(low * 0.5)
    return tl.where((past > 0.5) | ((past == 0.5) & is_odd), low + 1.0, low)

def minimum(a, b):
    return tl.where((a < b) | (a != a), a, b)

def maximum(a, b):
    return tl.where((a > b) | (a != a), a, b)
"""
FUNCTIONS = {
    text.split("(")[0].removeprefix("def "): f"\n\n@triton.jit\n{text}\n" for text in _WRITTEN.strip().split("\n\n")
}
"""Maps the name of an operation to the source of its function; a function comes after the functions it calls."""


OF_LANGUAGE = {
    "exp": "tl.exp", "log": "tl.log", "log2": "tl.log2", "sin": "tl.sin", "cos": "tl.cos", "erf": "tl.erf",
    "floor": "tl.floor", "ceil": "tl.ceil", "abs": "tl.abs",
}  # fmt: skip
"""Maps operations to functions of Triton's language that serve both precisions."""
ROUNDED = {"div": "tl.div_rn", "sqrt": "tl.sqrt_rn"}
"""Maps operations to functions that round correctly in float32, where the plain ones are approximate."""
HEAD = '''"""Written by fastspiking from a neuron's step."""
import triton
import triton.language as tl
'''
FORWARD = """

@triton.jit
def forward(
    {arguments},
    rows, numbers, steps, batch, size, SAMPLES: tl.constexpr, NEURONS: tl.constexpr,
):
{placed}
{before}
    for _ in range(steps):
{body}
{behind}
"""
BACKWARD = """

@triton.jit
def backward(
    {arguments},
    rows, sums, numbers, steps, batch, of_arriving, size,
    SENDS_BACK: tl.constexpr, SAMPLES: tl.constexpr, NEURONS: tl.constexpr,
):
{placed}
{before}
    for _ in range(steps):
{body}
{behind}
"""
PLACED = (
    "n = tl.program_id(1) * NEURONS + tl.arange(0, NEURONS)",
    "sample = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES))[:, None]",
    "m = n[None, :]",
    "inside = (sample < batch) & (m < size)",
)


class TritonSource(WrittenSource):
    """Writes the forward and backward Triton programs of a recorded step.

    Each method writes lines in three places of a template: `before` the first step, in the `body` of the loop over
    steps, and `behind` the last step. Fields of the state stay in registers from step to step.
    """

    def __init__(self, program: Program, dtype: torch.dtype, width: int) -> None:
        super().__init__(program, dtype, width)
        self.functions: dict[str, str] = {}
        loops = self._forward()
        if program.learns:
            loops += self._backward()
        self.text = HEAD + "".join(self.functions.values()) + loops

    @property
    def recurrent_parts(self) -> range:
        """Return the numbers of the current's parts that recurrence feeds; empty without all-to-all recurrence."""
        return range(self.program.currents if "fed" in self.program.outputs else 0)

    def _forward(self) -> str:
        """Write the program that computes all steps, and stores outputs and, if gradients are wanted, all states."""
        program = self.program
        fields = {f"state_{k}": parts for k, parts in enumerate(program.next_state)}
        registers = {f"{field}.{k}": _register(field, k) for field, k, _ in _parts_of(fields)}  # by "array.part"
        written = self._lines(registers | {f"recurrent.{k}": f"recurrent_{k}" for k in self.recurrent_parts})
        body = [f"recurrent_{k} = {self._product(f'fed, matrix_{k}')}" for k in self.recurrent_parts]
        outputs = {name: parts for name, parts in program.outputs.items() if program.field_of(name) is None}
        body += written.lines(needed(program.forward_roots))
        body += [f"{_register(field, k)} = {written.names[v]}" for field, k, v in _parts_of(fields)]
        before = [f"{_register(field, k)} = {written.load(field, k)}" for field, k, _ in _parts_of(fields)]
        before += self._matrix(transposed=False)
        moved = [f"out_{name}" for name in outputs] + ["current", *(f"noise_{k}" for k in program.used_noises[0])]
        stores = [written.store(f"out_{name}", 0, written.names[parts[0]]) for name, parts in outputs.items()]
        if self.recurrent_parts:
            before.append(f"fed = {written.load('fed_begin', 0)}")
            (fed,) = program.outputs["fed"]
            body.append(f"fed = tl.where(inside, {written.names[fed]}, zero)")
        state_stores = [written.store(field, k, _register(field, k)) for field, k, _ in _parts_of(fields)]
        behind = state_stores  # without gradients only the last state is stored
        if program.learns:
            before += written.pointer_moves(fields, "+")  # row 0 of a state is the one before the first step
            stores += state_stores
            stores += [written.store("recurrent", k, f"recurrent_{k}") for k in self.recurrent_parts]
            moved += [*fields, *(["recurrent"] if self.recurrent_parts else [])]
            behind = []
        body += stores + written.pointer_moves(moved, "+")
        return written.program_text(FORWARD, triton_forward_arrays(program), before, body, behind)

    def _backward(self) -> str:
        """Write the program that goes back from the last step, and stores a tile's gradients of parameters."""
        program = self.program
        fields = {f"grad_{k}": parts for k, parts in enumerate(program.state_gradients)}
        registers = {
            f"{field.replace('grad', 'd_state')}.{k}": _register(field, k) for field, k, _ in _parts_of(fields)
        }
        written = self._lines(registers | {"d_fed.0": "d_fed"})
        outgoing = {f"grad_{name}": parts for name, parts in program.gradients.items()}
        arriving = [f"d_{name}" for name in program.outputs if name != "fed"]
        body = written.lines(needed(program.backward_roots))
        body += [written.store(name, k, written.names[value]) for name, k, value in _parts_of(outgoing)]
        body += [f"{_register(field, k)} = {written.names[v]}" for field, k, v in _parts_of(fields)]
        before = [f"{_register(field, k)} = {written.load(field, k)}" for field, k, _ in _parts_of(fields)]
        behind = [written.store(field, k, _register(field, k)) for field, k, _ in _parts_of(fields)]
        rows = sum(given.parts for given in program.given)  # of parameters; `sums` has as many for each tile
        for row, value in program.sums:
            before.append(f"sum_{row} = zero")
            body.append(f"sum_{row} = sum_{row} + tl.where(inside, {written.names[value]}, zero)")
            address = f"sums + (tl.program_id(0) * {rows} + {row}) * size + n"
            behind.append(f"tl.store({address}, tl.sum(sum_{row}, axis=0), mask=n < size)")
        if self.recurrent_parts:
            before += [*self._matrix(transposed=True), "d_fed = zero"]
            products = [
                self._product(f"tl.where(inside, {written.names[value]}, zero), matrix_{k}")
                for k, value in enumerate(program.gradients["recurrent"])
            ]
            body.append(f"d_fed = {' + '.join(products)} if SENDS_BACK else zero")
        moved = [*given_arrays(program, program.used_noises[1]), *outgoing]
        body += written.pointer_moves(moved + [name for name in arriving if name != "d_output"], "-")
        body.append("d_output -= of_arriving * size")
        return written.program_text(BACKWARD, triton_backward_arrays(program), before, body, behind)

    def _matrix(self, *, transposed: bool) -> list[str]:
        """Write lines that load each part's recurrent weights as [source, target], or transposed for backward."""
        if not self.recurrent_parts:
            return []
        source, target = ("m", "j") if transposed else ("j", "m")
        pointer = f"matrix + {source} * ({self.program.currents} * size) + {target}"
        loads = [
            f"matrix_{k} = tl.load({pointer} + {k} * size, mask=(j < size) & (m < size), other=0.0)"
            for k in self.recurrent_parts
        ]
        return ["j = tl.arange(0, NEURONS)[:, None]", *loads]

    def _product(self, factors: str) -> str:
        """Write a matrix product of two tiles, given as "a, b", in their own precision."""
        return f'tl.dot({factors}, input_precision="ieee", out_dtype={self._number_type()})'

    def _number_type(self) -> str:
        return "tl." + str(self.dtype).removeprefix("torch.")

    def _lines(self, registers: Mapping[str, str]) -> TileLines:
        return TileLines(self.constants, self.dtype, registers, self._parts(), self.functions, self._number_type())

    def _parts(self) -> dict[str, int]:
        """Return the number of parts of each array that may have several, by name."""
        program = self.program
        counts: dict[str, int] = dict.fromkeys(
            ("current", "recurrent", "grad_current", "grad_recurrent"), program.currents
        )
        for place, parts in enumerate(program.next_state):
            counts |= {f"state_{place}": len(parts), f"grad_{place}": len(parts)}
        return counts


def triton_forward_arrays(program: Program) -> list[str]:
    given = ["matrix", "fed_begin"] if "fed" in program.outputs else []
    return [*forward_arrays(program), *given]


def triton_backward_arrays(program: Program) -> list[str]:
    given = ["matrix"] if "fed" in program.outputs else []
    return [*(name for name in backward_arrays(program) if name != "d_fed"), *given]


def _register(array: str, part: int) -> str:
    """Return the name of the variable that carries a part of an array from step to step."""
    return f"{array}_now_{part}"


def _parts_of(parts: Mapping[str, Parts]) -> list[tuple[str, int, Value]]:
    """Return the array's name, the number and the value of each part of each array."""
    return [(name, k, value) for name, values in parts.items() for k, value in enumerate(values)]


class TileLines(Lines):
    """Writes the values of one Triton program as lines of source; each is a tile of samples and neurons.

    `registers` maps inputs "array.part" that are in registers to their names, `parts` array names to numbers of parts.
    `functions` is extended by the source of functions that the lines call.
    """

    def __init__(
        self,
        constants: list[float],
        dtype: torch.dtype,
        registers: Mapping[str, str],
        parts: Mapping[str, int],
        functions: dict[str, str],
        number_type: str,
    ) -> None:
        super().__init__(constants, dtype, 0, {})
        self.registers, self.parts, self.functions, self.number_type = registers, parts, functions, number_type
        self.is_single = dtype == torch.float32
        self.hoisted = {"zero": f"tl.zeros((SAMPLES, NEURONS), {number_type})"}

    def load(self, array: str, part: int) -> str:
        return f"tl.load({self._place(array, part)}, mask=inside, other=0.0)"

    def store(self, array: str, part: int, name: str) -> str:
        return f"tl.store({self._place(array, part)}, {name}, mask=inside)"

    def pointer_moves(self, arrays: Sequence[str] | Mapping[str, object], sign: str) -> list[str]:
        """Write statements that advance the pointers of arrays by one step ("+"), or move them back ("-")."""
        return [f"{array} {sign}= batch * ({self.parts.get(array, 1)} * size)" for array in arrays]

    def program_text(
        self, loop: str, arrays: Sequence[str], before: Sequence[str], body: Sequence[str], behind: Sequence[str]
    ) -> str:
        """Fill a program's template: hoisted tiles and `before` stand before the loop over steps, `behind` after it."""
        hoisted = [f"{name} = {expression}" for name, expression in self.hoisted.items()]
        return loop.format(
            arguments=", ".join(arrays),
            placed=_indented(PLACED),
            before=_indented([*hoisted, *before]),
            body=_indented(body, 8),
            behind=_indented(behind),
        )

    def _place(self, array: str, part: int) -> str:
        """Write the expression for the addresses of a part of an array's current row."""
        count = self.parts.get(array, 1)
        offset = self._hoist(f"of_{count}", f"sample * ({count} * size) + m")
        return f"{array} + {offset}" + (f" + {part} * size" if part else "")

    def _hoist(self, name: str, expression: str) -> str:
        """Return `name`, and have the expression computed under it once, before the first step."""
        self.hoisted[name] = expression
        return name

    def _number(self, value: float) -> str:
        """Write a constant as a tile: a literal if it is one of `LITERAL`, else an entry of the array `numbers`."""
        tile = "(SAMPLES, NEURONS)"
        if value in LITERAL and str(value) != "-0.0":
            name = f"number_{value}".replace(".", "_").replace("-", "minus_")
            return self._hoist(name, f"tl.full({tile}, {value}, {self.number_type})")
        self.constants.append(value)
        place = len(self.constants) - 1
        return self._hoist(f"c{place}", f"tl.broadcast_to(tl.load(numbers + {place}), {tile})")

    def _expression(self, value: Value) -> str:
        """Return the source of a value: a register, a load from memory, or an operation on named tiles."""
        operation, detail = value.operation, value.detail
        if operation == "input":
            name, _, part = str(detail).rpartition(".")
            return self.registers.get(str(detail)) or self.load(name, int(part))
        if operation == "row":
            row = f"tl.load(rows + {detail} * size + m, mask=m < size, other=0.0)"
            return self._hoist(f"row_{detail}", f"tl.broadcast_to({row}, (SAMPLES, NEURONS))")
        if operation == "noise":
            return self.load(f"noise_{detail}", 0)
        return self._computed(operation, [self.names[argument] for argument in value.arguments])

    def _computed(self, operation: str, names: Sequence[str]) -> str:
        """Return the source of an operation on the tiles `names`, and note the functions that it calls."""
        listed = ", ".join(names)
        if operation in ROUNDED and self.is_single:
            return f"{ROUNDED[operation]}({listed})"
        if operation in BINARY:
            return f"{names[0]} {BINARY[operation]} {names[1]}"
        if operation in ("not", "neg"):
            return f"{'~' if operation == 'not' else '-'}{names[0]}"
        if operation in ("where", "sqrt"):
            return f"tl.{operation}({listed})"
        if operation in OF_LANGUAGE:
            return f"{OF_LANGUAGE[operation]}({listed})"
        if operation not in FUNCTIONS:
            raise Untraceable(f"its step computes {operation}, which Triton's language lacks")
        for name, text in FUNCTIONS.items():
            if name == operation or f"{name}(" in FUNCTIONS[operation]:
                self.functions[name] = text
        return f"{operation}({listed})"


def _indented(lines: Sequence[str], spaces: int = 4) -> str:
    return "\n".join(" " * spaces + line for line in lines)
