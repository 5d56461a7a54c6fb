"""One layer's run through its generated loops, as an autograd function, and its backward pass.

Legend: T steps, B samples, M neurons, R rows with one parameter value of each neuron.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastspiking.arrays import NOTHING, in_parts, in_threads
from fastspiking.codegen.source import backward_arrays
from fastspiking.generated_forward import BLOCK, ForwardPass, Inputs, Run
from fastspiking.kernels.arguments import EventGradients, ReadoutBack
from fastspiking.layer import EngineLayer, LayerRun
from fastspiking.numba_events import absent_neighbours

MOST_PARTS, SMALLEST_PART = 4, 64
"""Most parts of a batch with their own sums of weight gradients, and fewest samples of a part; see `blocks`."""


class BackwardArrays:
    """Holds the arrays of a backward pass: those of the forward pass, incoming and outgoing gradients."""

    def __init__(self, run: Run, forward_pass: ForwardPass, grads: tuple[Tensor | None, ...]) -> None:
        self.run, self.forward_pass = run, forward_pass
        program = run.program
        output, centred, _, _, *state = grads
        self.of_arriving = run.batch  # rows of d_output per step; 0 if all steps share one array
        self.arrays = dict(forward_pass.arrays)
        for name, gradient in {"output": output, "centred": centred}.items():
            if name in program.outputs:
                self.arrays[f"d_{name}"] = self._arriving(name, gradient)
        for place, (grad, field) in enumerate(zip(state, run.begin, strict=True)):
            zeros = torch.zeros_like(run.layout.flat(field)).detach().contiguous()
            self.arrays[f"grad_{place}"] = zeros if grad is None else zeros.copy_(grad)
        for name in program.gradients:
            self.arrays[f"grad_{name}"] = torch.empty_like(forward_pass.arrays[name])

    def gradients(self) -> list[Tensor | None]:
        """Run all steps backward; return the gradients of the fields of `Inputs`, then of each parameter tensor."""
        raise NotImplementedError

    def draw(self) -> None:
        self.forward_pass.draw(self.run.program.used_noises[1], reverse=True)
        self.arrays |= {name: array for name, array in self.forward_pass.arrays.items() if name.startswith("noise_")}

    def rows(self, total: Tensor) -> list[Tensor | None]:
        """Return the gradient of each parameter tensor, None if it does not learn, from summed rows [R, M]."""
        learnt = {given.first for given in self.run.program.learnt}
        return [
            total[given.first : given.first + given.parts] if given.first in learnt else None
            for given in self.run.program.given
        ]

    def of_matrix(self) -> Tensor | None:
        """Return the recurrent matrix's gradient, one product over all steps; None without such a matrix."""
        if self.forward_pass.matrix is None:
            return None
        fed = torch.cat([self.forward_pass.fed_before(0)[None], self.forward_pass.arrays["out_fed"][:-1]])
        return fed.flatten(0, 1).T @ self.arrays["grad_recurrent"].flatten(0, 1)

    def _arriving(self, name: str, gradient: Tensor | None) -> Tensor:
        """Return an output's incoming gradient [T, B, M], zeros if None; those of "output" have one step [B, M]."""
        run = self.run
        if gradient is not None:
            return gradient.contiguous()
        if name == "output":
            self.of_arriving = 0
            return self.forward_pass.like.new_zeros(run.batch, run.width)
        return self.forward_pass.like.new_zeros(run.steps, run.batch, run.width)


class BackwardPass(BackwardArrays):
    """Runs all steps of a layer backward by compiled loops; see `BackwardArrays`."""

    def __init__(self, run: Run, forward_pass: ForwardPass, grads: tuple[Tensor | None, ...]) -> None:
        super().__init__(run, forward_pass, grads)
        like = forward_pass.like
        output, _, read, at_last, *_ = grads
        self.parameter_rows = forward_pass.rows.numpy().reshape(-1)
        number = self.parameter_rows.dtype.type
        _, _, self.read_back, self.taken = absent_neighbours(number)
        self.outside = NOTHING[number]
        self.of_leaving = run.batch  # rows of grad_current per step; 0 if all steps share one array
        if "fed" in run.program.outputs:
            self.arrays["d_fed"] = self._arriving("fed", None)
        if run.arriving is not None:
            self.of_leaving = 0
            self.arrays["grad_current"] = like.new_empty(forward_pass.arrays["current"].shape[1:])
        self.reads = run.readout is not None and (read is not None or at_last is not None)
        if run.readout is not None and self.reads:
            self.read_back = run.readout.backward_argument(read, at_last, forward_pass.words)
            self.of_arriving = 0
            self.arrays["d_output"] = like.new_zeros(run.batch, run.width)
            if output is not None:
                self.outside = output.detach().contiguous().numpy().reshape(-1, run.width)
        self.sums = np.zeros((run.blocks, forward_pass.rows.numel()), number)

    def gradients(self) -> list[Tensor | None]:
        """Run all steps backward: in parts with gradients of weights, at once, or step by step with a matrix.

        Return the gradients of the fields of `Inputs`, then of each parameter tensor.
        """
        forward_pass, run = self.forward_pass, self.run
        self.draw()
        self.in_rows = forward_pass.in_rows(backward_arrays(run.program), self.arrays)
        weights = readout = [None, None]  # gradients of weight and bias
        if run.arriving is not None or self.reads:
            weights, readout = self._in_parts()
        elif forward_pass.matrix is None:
            self._call(0, run.steps)
        else:
            self._step_by_step(forward_pass.matrix)
        # The parameters' gradients of all blocks of samples, [R, M] without padding.
        total = torch.from_numpy(self.sums.sum(0)).view(forward_pass.rows.shape)[:, : run.width]
        current = self.arrays["grad_current"] if run.arriving is None else None
        of_inputs = Inputs(
            current=current, weight=weights[0], bias=weights[1], matrix=self.of_matrix(),
            readout_weight=readout[0], readout_bias=readout[1],
        )  # fmt: skip
        return [*of_inputs, *self.rows(total)]

    def _pull_back(
        self, first: int, last: int, read_back: ReadoutBack, taken: EventGradients, low: int, high: int
    ) -> None:
        """Run steps [first, last) backward for blocks [low, high) of samples: one call of the compiled loop."""
        run, forward_pass = self.run, self.forward_pass
        forward_pass.loops.backward(  # type: ignore[misc]
            *self.in_rows, self.outside, read_back, taken, self.parameter_rows, self.sums, forward_pass.numbers,
            first, last, run.steps, self.of_arriving, self.of_leaving, run.batch, BLOCK, run.width, low, high,
        )  # fmt: skip

    def _call(self, first: int, last: int) -> None:
        """Run steps [first, last) of all samples backward, on several threads."""
        run = self.run
        entries = (last - first) * run.batch * run.width
        in_parts(self._pull_back, run.blocks, entries, first, last, self.read_back, self.taken)

    def _in_parts(self) -> tuple[list[Tensor | None], list[Tensor | None]]:
        """Run all steps backward; return the gradients of the layer's weight and bias, and those of the readout's.

        Blocks of samples are divided among a fixed number of parts, whatever the number of threads: each part adds
        its gradients into arrays of its own, and these are added in order, so that sums round the same everywhere.
        """
        run = self.run
        arriving, readout = run.arriving, run.readout if self.reads else None
        count = max(1, min(MOST_PARTS, run.batch // SMALLEST_PART))
        borders = [run.blocks * part // count for part in range(count + 1)]
        before = [] if arriving is None else [arriving.zeros() for _ in range(count)]
        sums = [] if readout is None else [readout.block.zero_gradients() for _ in range(count)]

        def call(part: int, _: int) -> None:
            taken = self.taken if arriving is None else arriving.backward_argument(before[part])
            read_back = self.read_back
            if sums:
                read_back = read_back._replace(d_columns=sums[part].columns, d_begin=sums[part].bias)
            self._pull_back(0, run.steps, read_back, taken, borders[part], borders[part + 1])

        in_threads(call, [(part, part + 1) for part in range(count)], run.steps * run.batch * run.width)
        nothing: list[Tensor | None] = [None, None]
        totals = [functools.reduce(np.add, each) for each in zip(*sums, strict=True)]  # columns, bias, wires
        return (
            nothing if arriving is None else arriving.gradients(functools.reduce(torch.add, before)),
            nothing if readout is None else readout.gradients(*totals[:2]),
        )

    def _step_by_step(self, matrix: Tensor) -> None:
        """Run backward step by step, since each step needs the next one's gradient through the recurrent matrix."""
        d_fed, d_recurrent = self.arrays["d_fed"], self.arrays["grad_recurrent"]
        for step in range(self.run.steps - 1, -1, -1):
            self._call(step, step + 1)
            if step and not self.run.layer.cut:
                torch.mm(d_recurrent[step], matrix.T, out=d_fed[step - 1])


class PassKinds(NamedTuple):
    """Holds the classes that run a kind of generated program over all steps, forward and backward."""

    forward: type[ForwardPass]
    backward: type[BackwardArrays]


LOOPS = PassKinds(ForwardPass, BackwardPass)


def with_matrix(layer: EngineLayer, inputs: Inputs, width: int) -> Inputs:
    """Return the inputs with the layer's recurrent matrix: its response to a spike of each neuron alone."""
    current: Tensor = inputs.current  # type: ignore[assignment]
    matrix = layer.feedback(torch.eye(width, dtype=current.dtype, device=current.device))
    return inputs._replace(matrix=matrix, behind_matrix=layer.recurrent)


def run_layer(
    run: Run, inputs: Inputs, window: int | None = None, passes: PassKinds = LOOPS
) -> tuple[LayerRun, LayerRun | None]:
    """Run a layer over all steps; also return the run of the readout that its loops compute, or None.

    `inputs`: differentiable inputs of all steps. `window`: number of steps after which the state is detached; None:
    never. `passes`: classes that run the steps, by loops or by Triton programs.
    """
    if window is None or inputs.current is None:
        return _over_all(run, inputs, passes)
    runs: list[LayerRun] = []
    for part in inputs.current.split(window):
        runs.append(_over_all(run.over(len(part)), inputs._replace(current=part), passes)[0])
        run.begin = type(run.begin)(*(field.detach() for field in runs[-1].state))
    outputs, potentials = [one.output for one in runs], [one.u for one in runs]
    u = torch.cat(potentials) if run.keep_u else None  # type: ignore[arg-type]
    return LayerRun(torch.cat(outputs), u, runs[-1].state), None  # type: ignore[arg-type]


def _over_all(run: Run, inputs: Inputs, passes: PassKinds) -> tuple[LayerRun, LayerRun | None]:
    """Run a layer over all steps as one autograd function; return what `run_layer` does."""
    if inputs.current is not None:
        inputs = inputs._replace(current=run.layout.flat(inputs.current).contiguous())
    dtype = next(tensor.dtype for tensor in inputs if tensor is not None)
    results = _Unrolled.apply(run, passes, *inputs, *run.rows(dtype))
    output, centred, readout_output, readout_last, *last_state = results  # type: ignore[misc]
    full = run.layout.full  # from flat features to the layer's own
    state = type(run.begin)(*(full(field) for field in last_state))
    own = LayerRun(full(output) if run.keep_output else None, full(centred) if run.keep_u else None, state)
    return own, None if run.readout is None else run.readout.outcome(readout_output, readout_last)


class _Unrolled(torch.autograd.Function):
    """Maps inputs and parameters to output, potential, the readout's output and last potential, and last state."""

    @staticmethod
    def forward(ctx: Any, run: Run, passes: PassKinds, *tensors: Tensor | None) -> Any:
        """Run all steps forward; results that are not wanted are empty tensors."""
        ctx.set_materialize_grads(False)
        count = len(Inputs._fields)
        inputs = Inputs(*tensors[:count])
        forward_pass = passes.forward(run, inputs, tensors[count:])  # type: ignore[arg-type]
        forward_pass.advance()
        # Detached copies: a result refers to this pass, so the pass must not refer to the result.
        output, centred = forward_pass.output.detach(), forward_pass.centred.detach()
        read = [forward_pass.like] * 2 if run.readout is None else [run.readout.output, run.readout.last()]
        if run.program.learns:
            ctx.run, ctx.forward_pass, ctx.back = run, forward_pass, passes.backward
            ctx.save_for_backward(*tensors, output, centred)
        return output, centred, *(tensor.detach() for tensor in read), *forward_pass.last()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        _ = ctx.saved_tensors  # torch raises an error here if one was changed since the forward pass
        return None, None, *ctx.back(ctx.run, ctx.forward_pass, grads).gradients()
