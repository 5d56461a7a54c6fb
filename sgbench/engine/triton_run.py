"""One layer's pass through its own Triton programs.

Legend: T steps, B samples, M neurons, R rows of what neurons have a value of each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sgbench.engine.codegen.triton_build import module_of
from sgbench.engine.codegen.triton_source import triton_backward_arrays, triton_forward_arrays
from sgbench.engine.generated_back import BackwardArrays
from sgbench.engine.generated_forward import ForwardPass, Inputs, Run
from sgbench.engine.generated_run import PassKinds


class Tile(NamedTuple):
    """Holds the samples and neurons that one program instance takes; powers of 2, as Triton asks."""

    samples: int
    neurons: int

    @staticmethod
    def of(width: int, *, recurrent: bool) -> Tile:
        """Choose a tile; with a recurrence it holds all neurons, and enough samples for a product of tiles.

        >>> Tile.of(700, recurrent=False), Tile.of(100, recurrent=True)
        (Tile(samples=4, neurons=32), Tile(samples=16, neurons=128))
        """
        if not recurrent:
            return Tile(4, 32)
        return Tile(16, max(16, 1 << (width - 1).bit_length()))

    @property
    def warps(self) -> int:
        """Return how many warps share a tile, so that a wide recurrence finds room in their registers."""
        return 4 if self.neurons <= 64 else 8  # noqa: PLR2004 - two sizes


class TritonRun(Run):
    """Holds what a pass takes besides its differentiable inputs."""

    @property
    def tile(self) -> Tile:
        """Return what one program instance takes."""
        return Tile.of(self.width, recurrent=self.fed_begin is not None)

    @property
    def grid(self) -> tuple[int, int]:
        """Count the program instances along samples and along neurons."""
        tile = self.tile
        return -(-self.batch // tile.samples), -(-self.width // tile.neurons)

    def launch(self, way: str, like: Tensor, *arguments: Any, fuses: bool) -> None:
        """Start a written program for all tiles, on the device where the numbers are."""
        if not self.batch * self.width:
            return
        program = getattr(module_of(self.source.text), way)
        with torch.cuda.device_of(like):
            program[self.grid](
                *arguments, *self.tile, num_warps=self.tile.warps, num_stages=1, enable_fp_fusion=fuses
            )


class TritonForward(ForwardPass):
    """Makes all steps, and keeps the arrays for the way back."""

    def advance(self) -> None:
        """Run all steps forward. A product and a sum stay two operations, as the reference makes them."""
        of: TritonRun = self.of  # type: ignore[assignment]
        self.draw(of.program.used[0], reverse=False)
        arrays = [self.given()[name] for name in triton_forward_arrays(of.program)]
        of.launch(
            "forward", self.like, *arrays, self.rows, self.handed, of.steps, of.batch, of.width, fuses=False
        )

    def given(self) -> dict[str, Tensor]:
        """Return all arrays, those of the recurrence among them."""
        if self.matrix is None:
            return self.arrays
        matrix, fed = self.matrix.contiguous(), self.of.layout.flat(self.fed_before(0)).contiguous()
        return self.arrays | {"matrix": matrix, "fed_begin": fed}

    @property
    def handed(self) -> Tensor:
        """Return the numbers that are handed to the programs."""
        return self.like.new_tensor([*self.of.source.constants, 0.0])


class TritonBackward(BackwardArrays):
    """Makes all steps back, from the last to the first."""

    def gradients(self) -> list[Tensor | None]:
        """Return the gradients of the inputs, in their order, and of the rows."""
        there: TritonForward = self.there  # type: ignore[assignment]
        of: TritonRun = self.of  # type: ignore[assignment]
        self.draw()
        given = there.given() | self.arrays
        arrays = [self._at_last(name, given[name]) for name in triton_backward_arrays(of.program)]
        sums = there.like.new_zeros(of.grid[0], len(there.rows), of.width)
        of.launch(
            "backward", there.like, *arrays, there.rows, sums, there.handed, of.steps, of.batch,
            self.of_arriving, of.width, not of.layer.cut, fuses=True,
        )  # fmt: skip
        return [*Inputs(self.arrays["grad_current"], matrix=self.of_matrix()), *self.rows(sums.sum(0))]

    def _at_last(self, name: str, array: Tensor) -> Tensor:
        """Return an array from the row of the last step on, from which a program goes back."""
        if name.startswith("state_"):
            return array[-2]  # of before that step
        over_time = array.dim() == 3 and name != "matrix"  # noqa: PLR2004 - [T, B, M]
        return array[-1] if over_time else array


PROGRAMS = PassKinds(TritonForward, TritonBackward)
