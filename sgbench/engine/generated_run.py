"""One layer's pass through its own loops, as a function that autograd knows.

Legend: T steps, B samples, M neurons, R rows of what neurons have a value of each.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sgbench.engine.alongside import ArrivingEvents, Readout, nothing_along
from sgbench.engine.arrays import FLOATS, in_parts
from sgbench.engine.codegen.build import loops
from sgbench.engine.codegen.given import Noise
from sgbench.engine.codegen.source import LoopSource, forward_arrays
from sgbench.engine.generated_back import BLOCK, BackwardPass, Inputs
from sgbench.engine.layer import EngineLayer, LayerRun
from sgbench.engine.layout import Layout


class Run:
    """Holds what a pass takes besides its differentiable inputs.

    Args:
        layer: that runs.
        source: of its step.
        layout: of its features.
        begin: state before the first step.
        shape: of all currents [T, B, ...].
        keep_u: whether potentials are wanted.
        arriving: events that make the current, where they do.
    """

    def __init__(
        self,
        layer: EngineLayer,
        source: LoopSource,
        layout: Layout,
        begin: Any,
        shape: Sequence[int],
        *,
        keep_u: bool,
        arriving: ArrivingEvents | None = None,
    ) -> None:
        self.layer, self.source, self.layout, self.begin = layer, source, layout, begin
        self.keep_u, self.arriving = keep_u, arriving
        self.keep_output = True
        self.readout: Readout | None = None  # that goes along
        self.program = source.program
        self.steps, self.batch = shape[:2]
        parts = layer.neuron.currents
        self.features = torch.Size(shape[2:] if parts == 1 else [shape[2] // parts])
        self.width = self.features.numel()
        self.blocks = -(-self.batch // BLOCK)
        self.fed_begin: Tensor | None = None
        if "fed" in self.program.outputs:
            self.fed_begin = layer.neuron.fed_back(begin).detach()

    def over(self, steps: int) -> Run:
        """Return the same run over so many steps, from its present state on."""
        other = copy.copy(self)
        other.steps = steps
        if "fed" in self.program.outputs:
            other.fed_begin = self.layer.neuron.fed_back(self.begin).detach()
        return other

    def rows(self, dtype: torch.dtype) -> list[Tensor]:
        """Return the values of each neuron [parts, M], with autograd history, for each given tensor."""
        rows = []
        for given in self.program.given:
            expanded = given.expanded(self.features).to(dtype)
            rows.append(self.layout.flat(expanded) if given.parts == 1 else expanded)
        return rows


def run(of: Run, inputs: Inputs) -> tuple[LayerRun, LayerRun | None]:
    """Run a layer over all steps by its generated loops, and the readout that goes along."""
    if inputs.current is not None:
        inputs = inputs._replace(current=of.layout.flat(inputs.current).contiguous())
    dtype = next(tensor.dtype for tensor in inputs if tensor is not None)
    output, centred, read, at_last, *last = _Unrolled.apply(of, *inputs, *of.rows(dtype))  # type: ignore[misc]
    full = of.layout.full
    state = type(of.begin)(*(full(field) for field in last))
    own = LayerRun(full(output) if of.keep_output else None, full(centred) if of.keep_u else None, state)
    return own, None if of.readout is None else of.readout.outcome(read, at_last)


class _Unrolled(torch.autograd.Function):
    """Maps inputs and rows to output, potential, the readout's output and last state, and the own last state."""

    @staticmethod
    def forward(ctx: Any, of: Run, *tensors: Tensor | None) -> Any:
        """Run all steps forward and return what is wanted of them."""
        ctx.set_materialize_grads(False)
        count = len(Inputs._fields)
        inputs = Inputs(*tensors[:count])
        there = ForwardPass(of, inputs, tensors[count:])  # type: ignore[arg-type]
        there.advance()
        # Tensors of their own: what is handed out knows this pass, which must not know it in turn.
        output, centred = there.output.detach(), there.centred.detach()
        read = (there.like, there.like) if of.readout is None else (of.readout.output, of.readout.last())
        if of.program.learns:
            ctx.of, ctx.there = of, there
            ctx.save_for_backward(*tensors, output, centred)
        return output, centred, *(tensor.detach() for tensor in read), *there.last()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        """Compute the gradients of inputs and parameter rows."""
        _ = ctx.saved_tensors  # torch refuses here what was changed meanwhile
        return None, *BackwardPass(ctx.of, ctx.there, grads).gradients()


class ForwardPass:
    """Makes all steps, and keeps the arrays for the way back."""

    def __init__(self, of: Run, inputs: Inputs, rows: Iterable[Tensor]) -> None:
        self.of = of
        program = of.program
        self.loops = loops(of.source)
        like = next(tensor for tensor in inputs if tensor is not None)
        self.like = like.new_empty(0)
        self.matrix = None if inputs.matrix is None else inputs.matrix.detach()
        self.rows = self.like.new_zeros(sum(given.parts for given in program.given), of.source.pitch)
        for given, row in zip(program.given, rows, strict=True):
            self.rows[given.first : given.first + given.parts, : of.width] = row.detach()
        number = FLOATS[like.dtype]
        self.numbers = np.array([*of.source.constants, 0.0], number)
        self.driven, self.sent, _, _ = nothing_along(number)
        self.words = torch.empty(0, dtype=torch.int64)
        self.of_current = of.batch  # rows of a step; 0 where none but the last is kept
        self.arrays: dict[str, Tensor] = {}
        if of.arriving is None:
            self.arrays["current"] = inputs.current.detach()  # type: ignore[union-attr]
        else:
            self.driven = of.arriving.driven()
            self.of_current = of.batch if program.learns else 0
            self.arrays["current"] = self._over_time(len(like), steps=of.steps if program.learns else 1)
        if self.matrix is not None:
            self.arrays["recurrent"] = self._over_time(self.arrays["current"].shape[-1])
        stored_steps = of.steps + 1 if program.learns else 1
        for place, field in enumerate(of.begin):
            flat = of.layout.flat(field.detach())
            state = self.like.new_empty(stored_steps, *flat.shape)
            state[0] = flat
            self.arrays[f"state_{place}"] = state
        for name in program.outputs:
            place = program.field_of(name)
            states = None if place is None else self.arrays[f"state_{place}"][1:].detach()
            self.arrays[f"out_{name}"] = self._over_time(of.width) if states is None else states
        if of.readout is not None:
            self.words = self.like.new_empty(of.steps, of.batch, -(-of.width // 64), dtype=torch.int64)
            self.sent = of.readout.sent(self.words)
        self.output = self.arrays["out_output"] if of.keep_output else self.like
        self.centred = self.arrays.get("out_centred", self.like)

    def _over_time(self, width: int, *, steps: int | None = None) -> Tensor:
        return self.like.new_empty(self.of.steps if steps is None else steps, self.of.batch, width)

    def advance(self) -> None:
        """Run all steps forward; where neurons feed back, each waits for the product with what the last sent."""
        of = self.of
        self.draw(of.program.used[0], reverse=False)
        arrays = self.in_rows(forward_arrays(of.program), self.arrays)
        rows, entries = self.rows.numpy().reshape(-1), of.steps * of.batch * of.width

        def call(first: int, last: int) -> None:
            in_parts(
                self.loops.forward, of.blocks, entries, *arrays, self.driven, self.sent, rows, self.numbers, first,
                last, int(of.program.learns), self.of_current, of.batch, BLOCK, of.width,
            )  # fmt: skip

        if self.matrix is None:
            call(0, of.steps)
            return
        for step in range(of.steps):
            fed = self.fed_before(step)
            torch.mm(fed, self.matrix, out=self.arrays["recurrent"][step])
            call(step, step + 1)

    def fed_before(self, step: int) -> Tensor:
        """Return the recurrent input of a step [B, M]."""
        return self.of.fed_begin if step == 0 else self.arrays["out_fed"][step - 1]  # type: ignore[return-value]

    def last(self) -> list[Tensor]:
        """Copy each field of the state after the last step."""
        return [self.arrays[f"state_{place}"][-1].clone() for place in range(len(self.of.begin))]

    def draw(self, used: Iterable[int], *, reverse: bool) -> None:
        """Draw the noise of all steps, in the order in which single steps would have drawn it."""
        program = self.of.program
        wanted = [
            (place, program.noises[place]) for place in used if program.noises[place].is_backward == reverse
        ]
        if not wanted:
            return
        like = self.like.new_empty(self.of.batch, *self.of.features)
        for place, _ in wanted:
            self.arrays[f"noise_{place}"] = self._over_time(self.of.width)
        draws = {noise.draw: noise.stream for noise in program.noises if noise.is_backward == reverse}
        order = range(self.of.steps)
        for step in reversed(order) if reverse else order:
            drawn = {draw: _draw(stream, like) for draw, stream in draws.items()}
            for place, noise in wanted:
                self.arrays[f"noise_{place}"][step] = self.of.layout.flat(
                    _apply_calls(noise, drawn[noise.draw])
                )

    @staticmethod
    def in_rows(names: Iterable[str], arrays: dict[str, Tensor]) -> list[np.ndarray]:
        """Return arrays as the loops take them, in rows."""
        return [arrays[name].numpy().reshape(-1, arrays[name].shape[-1]) for name in names]


def _draw(stream: Tensor, like: Tensor) -> Tensor:
    drawn: Tensor = torch.ops.sgbench.draw(stream, like)
    return drawn


def _apply_calls(noise: Noise, drawn: Tensor) -> Tensor:
    """Evaluate by torch the noise values made from what was drawn."""
    for function, arguments, named in noise.calls:
        drawn = function(drawn, *arguments, **named)
    return drawn
