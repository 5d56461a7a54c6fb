"""One layer's pass through its own loops, on the way back.

Legend: T steps, B samples, M neurons.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from sgbench.engine.arrays import NOTHING, in_parts, in_threads
from sgbench.engine.codegen.source import backward_arrays
from sgbench.engine.generated_forward import BLOCK, ForwardPass, Inputs, Run
from sgbench.engine.kernels.arguments import ReadoutBack, Taken
from sgbench.engine.numba_events import nothing_along

PARTS, PART = 4, 64
"""Parts of a batch that have gradients of weights of their own, and samples of one at least; see `blocks`."""


class BackwardArrays:
    """Holds the arrays of a way back: those of the way there, and gradients that arrive and that are made."""

    def __init__(self, of: Run, there: ForwardPass, grads: tuple[Tensor | None, ...]) -> None:
        self.of, self.there = of, there
        program = of.program
        output, centred, _, _, *state = grads
        self.of_arriving = of.batch  # rows of a step; 0 where nothing of a step is kept
        self.arrays = dict(there.arrays)
        for name, gradient in {"output": output, "centred": centred}.items():
            if name in program.outputs:
                self.arrays[f"d_{name}"] = self._arriving(name, gradient)
        for place, (grad, field) in enumerate(zip(state, of.begin, strict=True)):
            zeros = torch.zeros_like(of.layout.flat(field)).detach().contiguous()
            self.arrays[f"grad_{place}"] = zeros if grad is None else zeros.copy_(grad)
        for name in program.gradients:
            self.arrays[f"grad_{name}"] = torch.empty_like(there.arrays[name])

    def gradients(self) -> list[Tensor | None]:
        """Return the gradients of the inputs, in their order, and of the rows."""
        raise NotImplementedError

    def draw(self) -> None:
        """Draw the noise of the way back."""
        self.there.draw(self.of.program.used[1], reverse=True)
        self.arrays |= {name: array for name, array in self.there.arrays.items() if name.startswith("noise_")}

    def rows(self, total: Tensor) -> list[Tensor | None]:
        """Return the gradient of each given tensor, from the sums over samples of all rows [R, M]."""
        learnt = {given.first for given in self.of.program.learnt}
        return [
            total[given.first : given.first + given.parts] if given.first in learnt else None
            for given in self.of.program.given
        ]

    def of_matrix(self) -> Tensor | None:
        """Compute the recurrent matrix's gradient as one product over all steps; None where there is no matrix."""
        if self.there.matrix is None:
            return None
        fed = torch.cat([self.there.fed_before(0)[None], self.there.arrays["out_fed"][:-1]])
        return fed.flatten(0, 1).T @ self.arrays["grad_recurrent"].flatten(0, 1)

    def _arriving(self, name: str, gradient: Tensor | None) -> Tensor:
        """Return the gradient of an output; that of the output itself is of one step where it is 0 throughout."""
        of = self.of
        if gradient is not None:
            return gradient.contiguous()
        if name == "output":
            self.of_arriving = 0
            return self.there.like.new_zeros(of.batch, of.width)
        return self.there.like.new_zeros(of.steps, of.batch, of.width)


class BackwardPass(BackwardArrays):
    """Makes all steps back, with the gradients on the way."""

    def __init__(self, of: Run, there: ForwardPass, grads: tuple[Tensor | None, ...]) -> None:
        super().__init__(of, there, grads)
        like = there.like
        output, _, read, at_last, *_ = grads
        self.rows_there = there.rows.numpy().reshape(-1)
        number = self.rows_there.dtype.type
        _, _, self.read_back, self.taken = nothing_along(number)
        self.outside = NOTHING[number]
        self.of_leaving = of.batch  # rows of a step; 0 where nothing of a step is kept
        if "fed" in of.program.outputs:
            self.arrays["d_fed"] = self._arriving("fed", None)
        if of.arriving is not None:
            self.of_leaving = 0
            self.arrays["grad_current"] = like.new_empty(there.arrays["current"].shape[1:])
        self.reads = of.readout is not None and (read is not None or at_last is not None)
        if of.readout is not None and self.reads:
            self.read_back = of.readout.read_back(read, at_last, there.words)
            self.of_arriving = 0
            self.arrays["d_output"] = like.new_zeros(of.batch, of.width)
            if output is not None:
                self.outside = output.detach().contiguous().numpy().reshape(-1, of.width)
        self.sums = np.zeros((of.blocks, there.rows.numel()), number)

    def gradients(self) -> list[Tensor | None]:
        """Return the gradients of the inputs, in their order, and of the rows."""
        there, of = self.there, self.of
        self.draw()
        self.in_rows = there.in_rows(backward_arrays(of.program), self.arrays)
        weights = readout = [None, None]  # gradients of weight and bias
        if of.arriving is not None or self.reads:
            weights, readout = self._in_parts()
        elif there.matrix is None:
            self._call(0, of.steps)
        else:
            self._step_by_step(there.matrix)
        total = torch.from_numpy(self.sums.sum(0)).view(there.rows.shape)[:, : of.width]
        current = self.arrays["grad_current"] if of.arriving is None else None
        of_inputs = Inputs(current, weights[0], weights[1], self.of_matrix(), None, readout[0], readout[1])
        return [*of_inputs, *self.rows(total)]

    def _pull_back(
        self, first: int, last: int, read_back: ReadoutBack, taken: Taken, low: int, high: int
    ) -> None:
        """Run the steps [first, last) back for blocks [low, high)."""
        of, there = self.of, self.there
        there.loops.backward(  # type: ignore[misc]
            *self.in_rows, self.outside, read_back, taken, self.rows_there, self.sums, there.numbers, first, last,
            of.steps, self.of_arriving, self.of_leaving, of.batch, BLOCK, of.width, low, high,
        )  # fmt: skip

    def _call(self, first: int, last: int) -> None:
        """Run the steps [first, last) back for all blocks."""
        of = self.of
        entries = (last - first) * of.batch * of.width
        in_parts(self._pull_back, of.blocks, entries, first, last, self.read_back, self.taken)

    def _in_parts(self) -> tuple[list[Tensor | None], list[Tensor | None]]:
        """Run all steps back and return the gradients of the weights in front and of the readout's.

        Blocks of samples are divided among a fixed number of parts, whatever the number of threads: each part adds
        its gradients into arrays of its own, and these are added in order, so that sums round the same everywhere.
        """
        of = self.of
        arriving, readout = of.arriving, of.readout if self.reads else None
        count = max(1, min(PARTS, of.batch // PART))
        borders = [of.blocks * part // count for part in range(count + 1)]
        before = [] if arriving is None else [arriving.zeros() for _ in range(count)]
        sums = [] if readout is None else [readout.block.zero_gradients() for _ in range(count)]

        def call(part: int, _: int) -> None:
            taken = self.taken if arriving is None else arriving.taken(before[part])
            read_back = self.read_back
            if sums:
                read_back = read_back._replace(d_columns=sums[part].columns, d_begin=sums[part].bias)
            self._pull_back(0, of.steps, read_back, taken, borders[part], borders[part + 1])

        in_threads(call, [(part, part + 1) for part in range(count)], of.steps * of.batch * of.width)
        nothing: list[Tensor | None] = [None, None]
        totals = [functools.reduce(np.add, each) for each in zip(*sums, strict=True)]
        return (
            nothing if arriving is None else arriving.gradients(functools.reduce(torch.add, before)),
            nothing if readout is None else readout.gradients(*totals[:2]),
        )

    def _step_by_step(self, matrix: Tensor) -> None:
        """Run backward step by step, since each waits for what the next one sends back through the matrix."""
        d_fed, d_recurrent = self.arrays["d_fed"], self.arrays["grad_recurrent"]
        for step in range(self.of.steps - 1, -1, -1):
            self._call(step, step + 1)
            if step and not self.of.layer.cut:
                torch.mm(d_recurrent[step], matrix.T, out=d_fed[step - 1])
