"""One layer's pass through its own loops, as a function that autograd knows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sgbench.engine.generated_back import BackwardPass
from sgbench.engine.generated_forward import ForwardPass, Inputs, Run
from sgbench.engine.layer import LayerRun


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
