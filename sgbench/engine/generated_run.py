"""One layer's pass through its own loops, as a function that autograd knows.

Legend: T steps, B samples, M neurons, R rows of what neurons have a value of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sgbench.engine.arrays import in_parts
from sgbench.engine.codegen.build import loops
from sgbench.engine.codegen.given import Noise
from sgbench.engine.codegen.source import LoopSource, backward_arrays, forward_arrays
from sgbench.engine.layer import EngineLayer, LayerRun
from sgbench.engine.layout import Layout

BLOCK = 32
"""Samples whose state stays in the cache while all steps go by; fixed, so that sums are made in one order."""


class Run:
    """Holds what a pass takes besides its differentiable inputs.

    Args:
        layer: that runs.
        source: of its step.
        layout: of its features.
        begin: state before the first step.
        shape: of all currents [T, B, ...].
        keep_u: whether potentials are wanted.
    """

    def __init__(
        self,
        layer: EngineLayer,
        source: LoopSource,
        layout: Layout,
        begin: Any,
        shape: torch.Size,
        *,
        keep_u: bool,
    ) -> None:
        self.layer, self.source, self.layout, self.begin, self.keep_u = layer, source, layout, begin, keep_u
        self.program = source.program
        self.steps, self.batch = shape[:2]
        parts = layer.neuron.currents
        self.features = shape[2:] if parts == 1 else torch.Size([shape[2] // parts])
        self.width = self.features.numel()
        self.fed_begin: Tensor | None = None
        if "fed" in self.program.outputs:
            self.fed_begin = layer.neuron.fed_back(begin).detach()

    def rows(self, dtype: torch.dtype) -> list[Tensor]:
        """Return the values of each neuron [parts, M], with autograd history, for each given tensor."""
        rows = []
        for given in self.program.given:
            expanded = given.expanded(self.features).to(dtype)
            rows.append(self.layout.flat(expanded) if given.parts == 1 else expanded)
        return rows


def run(of: Run, current: Tensor, matrix: Tensor | None) -> LayerRun:
    """Run a layer over all steps by its generated loops."""
    flat = of.layout.flat(current).contiguous()
    rows = of.rows(flat.dtype)
    output, centred, *last = _Unrolled.apply(of, flat, matrix, of.layer.recurrent, *rows)  # type: ignore[misc]
    full = of.layout.full
    state = type(of.begin)(*(full(field) for field in last))
    return LayerRun(full(output), full(centred) if of.keep_u else None, state)


class _Unrolled(torch.autograd.Function):
    """Maps current, recurrent matrix and rows to output, potential and last state."""

    @staticmethod
    def forward(
        ctx: Any, of: Run, current: Tensor, matrix: Tensor | None, weights: Tensor | None, *rows: Tensor
    ) -> Any:
        """Run all steps forward and return output, centred potential and last state."""
        ctx.set_materialize_grads(False)
        there = _Forward(of, current, matrix, rows)
        there.advance()
        # Tensors of their own: what is handed out knows this pass, which must not know it in turn.
        output, centred = there.output.detach(), there.centred.detach()
        if of.program.learns:
            ctx.of, ctx.there = of, there
            ctx.save_for_backward(current, matrix, weights, *rows, output, centred)
        return output, centred, *there.last()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        """Compute the gradients of current, recurrent matrix and parameter rows."""
        _ = ctx.saved_tensors  # torch refuses here what was changed meanwhile
        return None, *_Backward(ctx.of, ctx.there, grads).gradients()


class _Forward:
    """Makes all steps, and keeps the arrays for the way back."""

    def __init__(self, of: Run, current: Tensor, matrix: Tensor | None, rows: Iterable[Tensor]) -> None:
        self.of = of
        program = of.program
        self.loops = loops(of.source)
        self.like = current.new_empty(0)
        self.matrix = None if matrix is None else matrix.detach()
        self.rows = self.like.new_zeros(sum(given.parts for given in program.given), of.source.pitch)
        for given, row in zip(program.given, rows, strict=True):
            self.rows[given.first : given.first + given.parts, : of.width] = row.detach()
        self.numbers = np.array([*of.source.constants, 0.0], self.rows.numpy().dtype)
        self.arrays: dict[str, Tensor] = {"current": current.detach()}
        if self.matrix is not None:
            self.arrays["recurrent"] = self._over_time(current.shape[-1])
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
        self.output = self.arrays["out_output"]
        self.centred = self.arrays.get("out_centred", self.like)

    def _over_time(self, width: int) -> Tensor:
        return self.like.new_empty(self.of.steps, self.of.batch, width)

    def advance(self) -> None:
        """Run all steps; where neurons feed back, each step waits for the recurrent product of the one before."""
        self.draw(self.of.program.used[0], reverse=False)
        call = self.bound(self.loops.forward, forward_arrays(self.of.program), self.arrays)
        if self.matrix is None:
            call(0, self.of.steps)
            return
        for step in range(self.of.steps):
            fed = self.fed_before(step)
            torch.mm(fed, self.matrix, out=self.arrays["recurrent"][step])
            call(step, step + 1)

    def fed_before(self, step: int) -> Tensor:
        """Return what neurons feed back into a step [B, M]."""
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

    def bound(
        self,
        loop: Callable[..., None] | None,
        names: Iterable[str],
        arrays: dict[str, Tensor],
        sums: np.ndarray | None = None,
    ) -> Callable[[int, int], None]:
        """Bind a loop to its arrays, to be called for steps [first, last)."""
        of = self.of
        if loop is None:
            raise TypeError("nothing was kept for the way back")
        given = [arrays[name].numpy().reshape(-1, arrays[name].shape[-1]) for name in names]
        rows = self.rows.numpy().reshape(-1)
        totals = np.zeros((1, 1), rows.dtype) if sums is None else sums
        keep = int(of.program.learns)
        blocks = -(-of.batch // BLOCK)

        def call(first: int, last: int) -> None:
            entries = (last - first) * of.batch * of.width
            sizes = (keep, of.batch, BLOCK, of.width)
            in_parts(loop, blocks, entries, *given, rows, totals, self.numbers, first, last, *sizes)

        return call


class _Backward:
    """Makes all steps back, with the gradients on the way."""

    def __init__(self, of: Run, there: _Forward, grads: tuple[Tensor | None, ...]) -> None:
        self.of, self.there = of, there
        program = of.program
        output, centred, *state = grads
        arriving = {"output": output, "centred": centred, "fed": None}
        self.arrays = dict(there.arrays)
        for name in program.outputs:
            gradient = arriving[name]
            shape = (of.steps, of.batch, of.width)
            self.arrays[f"d_{name}"] = (
                there.like.new_zeros(shape) if gradient is None else gradient.contiguous()
            )
        for place, (grad, field) in enumerate(zip(state, of.begin, strict=True)):
            zeros = torch.zeros_like(of.layout.flat(field)).detach().contiguous()
            self.arrays[f"grad_{place}"] = zeros if grad is None else zeros.copy_(grad)
        for name in program.gradients:
            self.arrays[f"grad_{name}"] = torch.empty_like(there.arrays[name])
        blocks = -(-of.batch // BLOCK)
        self.sums = np.zeros((blocks, there.rows.numel()), there.rows.numpy().dtype)

    def gradients(self) -> list[Tensor | None]:
        """Return the gradients of the current, the matrix, the weights behind it, and the rows."""
        there, of = self.there, self.of
        there.draw(of.program.used[1], reverse=True)
        self.arrays |= {name: array for name, array in there.arrays.items() if name.startswith("noise_")}
        call = there.bound(there.loops.backward, backward_arrays(of.program), self.arrays, self.sums)
        if there.matrix is None:
            call(0, of.steps)
        else:
            self._step_by_step(call, there.matrix)
        total = torch.from_numpy(self.sums.sum(0)).view(there.rows.shape)[:, : of.width]
        learnt = {given.first for given in of.program.learnt}
        rows = [
            total[given.first : given.first + given.parts] if given.first in learnt else None
            for given in of.program.given
        ]
        return [self.arrays["grad_current"], self._of_matrix(), None, *rows]

    def _step_by_step(self, call: Callable[[int, int], None], matrix: Tensor) -> None:
        """Run backward step by step, since each waits for what the next one sends back through the matrix."""
        d_fed, d_recurrent = self.arrays["d_fed"], self.arrays["grad_recurrent"]
        for step in range(self.of.steps - 1, -1, -1):
            call(step, step + 1)
            if step and not self.of.layer.cut:
                torch.mm(d_recurrent[step], matrix.T, out=d_fed[step - 1])

    def _of_matrix(self) -> Tensor | None:
        """Compute the recurrent matrix's gradient as one product over all steps; None where there is no matrix."""
        if self.there.matrix is None:
            return None
        fed = torch.cat([self.there.fed_before(0)[None], self.there.arrays["out_fed"][:-1]])
        return fed.flatten(0, 1).T @ self.arrays["grad_recurrent"].flatten(0, 1)


def _draw(stream: Tensor, like: Tensor) -> Tensor:
    drawn: Tensor = torch.ops.sgbench.draw(stream, like)
    return drawn


def _apply_calls(noise: Noise, drawn: Tensor) -> Tensor:
    """Evaluate by torch the noise values made from what was drawn."""
    for function, arguments, named in noise.calls:
        drawn = function(drawn, *arguments, **named)
    return drawn
