"""One layer's run through its generated loops, as an autograd function."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastspiking.generated_back import BackwardArrays, BackwardPass
from fastspiking.generated_forward import ForwardPass, Inputs, Run
from fastspiking.layer import EngineLayer, LayerRun


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
    output, centred, readout_output, readout_last, *last = results  # type: ignore[misc]
    full = run.layout.full
    state = type(run.begin)(*(full(field) for field in last))
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
