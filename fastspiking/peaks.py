"""The maximum of an output over time, with a gradient that a compiled loop computes."""

import functools
from typing import Any

import torch
from torch import Tensor

from fastspiking.arrays import FLOATS
from fastspiking.layer import traced


def largest(output: Tensor) -> Tensor:
    """Return the maximum over time [B, C] of outputs [T, B, C]; steps that attain it share the gradient equally.

    >>> output = torch.tensor([[[-3.0, 1.0]], [[-2.0, 1.0]]], requires_grad=True)
    >>> peak = largest(output)
    >>> peak.sum().backward()
    >>> peak.tolist(), output.grad.tolist()
    ([[-2.0, 1.0]], [[[0.0, 0.5]], [[1.0, 0.5]]])
    """
    plain = not output.requires_grad or output.device.type != "cpu" or output.dtype not in FLOATS
    if plain or traced() or _loops() is None:
        return output.amax(0)
    return _Largest.apply(output)  # type: ignore[no-any-return]


@functools.cache
def _loops() -> Any:
    try:
        from fastspiking.kernels import sums
    except (ImportError, RuntimeError):
        return None
    return sums


class _Largest(torch.autograd.Function):
    """Maps outputs [T, B, C] to their maximum over time [B, C], with gradients."""

    @staticmethod
    def forward(ctx: Any, output: Tensor) -> Tensor:
        peak = output.amax(0)
        ctx.save_for_backward(output, peak)
        return peak

    @staticmethod
    def backward(ctx: Any, grad_peak: Tensor) -> Tensor:
        """Divide the gradient [B, C] of the maximum equally among the steps that attain it."""
        output, peak = ctx.saved_tensors
        if torch.is_grad_enabled():  # for a second derivative
            attains = (output == peak).to(output.dtype)
            return attains * (grad_peak / attains.sum(0))
        gradient = torch.empty_like(output, memory_format=torch.contiguous_format)
        rows = [part.contiguous().view(len(output), peak.numel()).numpy() for part in (output, gradient)]
        lines = [part.contiguous().view(-1).numpy() for part in (peak, grad_peak, torch.zeros_like(peak))]
        _loops().share_among_peaks(rows[0], *lines, rows[1])
        return gradient
