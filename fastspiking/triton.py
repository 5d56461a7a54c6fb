"""The engine "triton": layers over time by Triton programs generated from their neurons' `step`, for CUDA devices.

A step is recorded as for the engine "generated", and written as a Triton program. torch computes a layer's current
of all steps; one program instance then computes a tile of samples and neurons over all steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastspiking.codegen.build import is_interpreted, missing_triton, module_of
from fastspiking.codegen.triton_source import TritonSource, triton_backward_arrays, triton_forward_arrays
from fastspiking.codegen.values import Untraceable
from fastspiking.errors import InputError
from fastspiking.generated import beyond_a_step, learns, try_out, write_source
from fastspiking.generated_forward import ForwardPass, Inputs, Run
from fastspiking.generated_run import BackwardArrays, PassKinds, run_layer, with_matrix
from fastspiking.layer import EngineLayer, LayerRun, Wanted, one_by_one, start
from fastspiking.plan import Layout
from fastspiking.signals.spikes import Signal, dense


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

    def launch(self, direction: str, like: Tensor, *arguments: Any, fuses: bool) -> None:
        """Launch a program for all tiles, on the device of the tensor `like`.

        `direction`: "forward" or "backward". `arguments`: of the program, before the sizes of a tile. `fuses`: whether
        a product and a sum may be fused to one operation.
        """
        if not self.batch * self.width:
            return
        program = getattr(module_of(self.source.text), direction)
        with torch.cuda.device_of(like):
            program[self.grid](*arguments, *self.tile, num_warps=self.tile.warps, num_stages=1, enable_fp_fusion=fuses)


class TritonForward(ForwardPass):
    """Runs all steps of a layer forward by one Triton program; see `ForwardPass`."""

    def advance(self) -> None:
        """Run all steps forward, without fused products and sums, so that they round as the reference's do."""
        run: TritonRun = self.run  # type: ignore[assignment]
        self.draw(run.program.used_noises[0], reverse=False)
        arrays = [self.given()[name] for name in triton_forward_arrays(run.program)]
        run.launch(
            "forward", self.like, *arrays, self.rows, self.constants, run.steps, run.batch, run.width, fuses=False
        )

    def given(self) -> dict[str, Tensor]:
        """Return all arrays of the programs by name, those of the recurrence among them."""
        if self.matrix is None:
            return self.arrays
        matrix, fed = self.matrix.contiguous(), self.run.layout.flat(self.fed_before(0)).contiguous()
        return self.arrays | {"matrix": matrix, "fed_begin": fed}

    @property
    def constants(self) -> Tensor:
        """Return the constants of the step that the programs take as an array."""
        return self.like.new_tensor([*self.run.source.constants, 0.0])


class TritonBackward(BackwardArrays):
    """Runs all steps of a layer backward by one Triton program; see `BackwardArrays`."""

    def gradients(self) -> list[Tensor | None]:
        """Run all steps backward; return the gradients of the fields of `Inputs`, then of each parameter tensor."""
        forward_pass: TritonForward = self.forward_pass  # type: ignore[assignment]
        run: TritonRun = self.run  # type: ignore[assignment]
        self.draw()
        given = forward_pass.given() | self.arrays
        arrays = [self._at_last(name, given[name]) for name in triton_backward_arrays(run.program)]
        sums = forward_pass.like.new_zeros(run.grid[0], len(forward_pass.rows), run.width)
        run.launch(
            "backward", forward_pass.like, *arrays, forward_pass.rows, sums, forward_pass.constants, run.steps,
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


MOST_KIB = 128
"""Most memory of the recurrent weights that one program instance holds: of 128 neurons of one current in float64."""


def refusal(layer: EngineLayer, device: torch.device) -> str | None:
    """Return why no Triton program can run a layer on a device, or None if one can.

    The step is recorded on trial, with gradients and potentials.
    """
    return without_trial(layer, device) or try_out(layer, TritonSource)


def without_trial(layer: EngineLayer, device: torch.device) -> str | None:
    """Return why no program can be generated, as far as it is known without recording the step, or None."""
    lacking = missing_triton()
    if lacking is not None:
        return lacking
    if device.type != "cuda" and not is_interpreted():
        return (
            f"its programs run on a CUDA device, not on {device.type}: choose device=cuda, "
            f"or set TRITON_INTERPRET=1 to check them slowly without one"
        )
    return beyond_a_step(layer) or _recurrence_refusal(layer)


def _recurrence_refusal(layer: EngineLayer) -> str | None:
    """Return why a layer's recurrent weights do not fit one program instance, or None if they do."""
    if layer.recurrence != "all_to_all" or layer.recurrent is None:
        return None
    neurons = layer.recurrent.shape[-1]
    tile = Tile.of(neurons, recurrent=True)
    kib = layer.neuron.currents * tile.neurons**2 * layer.recurrent.dtype.itemsize // 1024
    if kib <= MOST_KIB:
        return None
    return f"the weights that feed back its {neurons} neurons take {kib} KiB of one program, which holds {MOST_KIB}"


def unroll(layers: Sequence[EngineLayer], signal: Signal, states: Sequence[Any], wanted: Wanted) -> list[LayerRun]:
    """Run a chain of layers over time; see `Engine.unroll`."""
    return one_by_one(_unroll, layers, signal, states, wanted)


def _unroll(layer: EngineLayer, signal: Signal, state: Any, wanted: Wanted) -> LayerRun:
    """Run one layer by the programs of its recorded step."""
    inputs = Inputs(layer.current(dense(signal)))
    current: torch.Tensor = inputs.current  # type: ignore[assignment]
    shape, like = tuple(current.shape), current[0]
    try:
        source = write_source(layer, shape, like.dtype, wanted, learns=learns(layer, inputs), writer=TritonSource)
    except Untraceable as reason:
        raise InputError(f"engine=triton: layer '{layer.name}': {reason}; use engine=reference") from reason
    layout = Layout.of(like, leading=1)
    run = TritonRun(layer, source, layout, start(layer, like, state), shape, keep_u=wanted.u)
    if layer.recurrence == "all_to_all":
        inputs = with_matrix(layer, inputs, run.width)
    return run_layer(run, inputs, wanted.window, PROGRAMS)[0]
