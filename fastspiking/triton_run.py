"""The passes of one layer through its generated Triton programs.

Legend: T steps, B samples, M neurons.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastspiking.codegen.triton_build import module_of
from fastspiking.codegen.triton_source import triton_backward_arrays, triton_forward_arrays
from fastspiking.generated_back import BackwardArrays
from fastspiking.generated_forward import ForwardPass, Inputs, Run
from fastspiking.generated_run import PassKinds


class Tile(NamedTuple):
    """Holds the numbers of samples and neurons of one program instance; powers of 2, as Triton requires."""

    samples: int
    neurons: int

    @staticmethod
    def of(width: int, *, recurrent: bool) -> Tile:
        """Return the tile for a layer of `width` neurons; a recurrent layer's holds all of them.

        >>> Tile.of(700, recurrent=False), Tile.of(100, recurrent=True)
        (Tile(samples=4, neurons=32), Tile(samples=16, neurons=128))
        """
        if not recurrent:
            return Tile(4, 32)
        return Tile(16, max(16, 1 << (width - 1).bit_length()))

    @property
    def warps(self) -> int:
        """Return how many warps share a tile: more for a wide recurrence, which needs their registers."""
        return 4 if self.neurons <= 64 else 8  # noqa: PLR2004 - two sizes


class TritonRun(Run):
    """Holds what a pass takes besides its differentiable inputs, and launches its programs; see `Run`."""

    @property
    def tile(self) -> Tile:
        """Return the samples and neurons that one program instance computes."""
        return Tile.of(self.width, recurrent=self.fed_begin is not None)

    @property
    def grid(self) -> tuple[int, int]:
        """Return the numbers of program instances along samples and along neurons."""
        tile = self.tile
        return -(-self.batch // tile.samples), -(-self.width // tile.neurons)

    def launch(self, way: str, like: Tensor, *arguments: Any, fuses: bool) -> None:
        """Launch a program for all tiles, on the device of the tensor `like`.

        `way`: "forward" or "backward"; `arguments`: of the program, before the sizes of a tile; `fuses`: whether a
        product and a sum may be fused to one operation.
        """
        if not self.batch * self.width:
            return
        program = getattr(module_of(self.source.text), way)
        with torch.cuda.device_of(like):
            program[self.grid](*arguments, *self.tile, num_warps=self.tile.warps, num_stages=1, enable_fp_fusion=fuses)


class TritonForward(ForwardPass):
    """Runs all steps of a layer forward by one Triton program; see `ForwardPass`."""

    def advance(self) -> None:
        """Run all steps forward, without fused products and sums, so that they round as the reference's do."""
        run: TritonRun = self.run  # type: ignore[assignment]
        self.draw(run.program.used[0], reverse=False)
        arrays = [self.given()[name] for name in triton_forward_arrays(run.program)]
        run.launch("forward", self.like, *arrays, self.rows, self.handed, run.steps, run.batch, run.width, fuses=False)

    def given(self) -> dict[str, Tensor]:
        """Return all arrays of the programs by name, those of the recurrence among them."""
        if self.matrix is None:
            return self.arrays
        matrix, fed = self.matrix.contiguous(), self.run.layout.flat(self.fed_before(0)).contiguous()
        return self.arrays | {"matrix": matrix, "fed_begin": fed}

    @property
    def handed(self) -> Tensor:
        """Return the constants of the step that the programs take as an array."""
        return self.like.new_tensor([*self.run.source.constants, 0.0])


class TritonBackward(BackwardArrays):
    """Runs all steps of a layer backward by one Triton program; see `BackwardArrays`."""

    def gradients(self) -> list[Tensor | None]:
        forward_pass: TritonForward = self.forward_pass  # type: ignore[assignment]
        run: TritonRun = self.run  # type: ignore[assignment]
        self.draw()
        given = forward_pass.given() | self.arrays
        arrays = [self._at_last(name, given[name]) for name in triton_backward_arrays(run.program)]
        sums = forward_pass.like.new_zeros(run.grid[0], len(forward_pass.rows), run.width)
        run.launch(
            "backward", forward_pass.like, *arrays, forward_pass.rows, sums, forward_pass.handed, run.steps,
            run.batch, self.of_arriving, run.width, not run.layer.cut, fuses=True,
        )  # fmt: skip
        return [*Inputs(self.arrays["grad_current"], matrix=self.of_matrix()), *self.rows(sums.sum(0))]

    def _at_last(self, name: str, array: Tensor) -> Tensor:
        """Return the view of an array that starts at the last step, where a program begins to go backward."""
        if name.startswith("state_"):
            return array[-2]  # the state before that step
        over_time = array.dim() == 3 and name != "matrix"  # noqa: PLR2004 - [T, B, M]
        return array[-1] if over_time else array


PROGRAMS = PassKinds(TritonForward, TritonBackward)
