"""Currents of synapses with delays, where each event arrives over several steps, with autograd's gradients."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from numba.core import event
from torch import Tensor
from torch.autograd.function import once_differentiable

from sgbench.engine.arrays import FLOATS, in_parts
from sgbench.engine.density import DELAY_DENSE
from sgbench.engine.kernels import delays
from sgbench.engine.kernels.vectors import NARROW
from sgbench.engine.note import CompileNote
from sgbench.signals.spikes import Signal, SparseSpikes


def delay(signal: Signal, weight: Tensor, bias: Tensor | None) -> Tensor | None:
    """Compute the current [T, B, F] of synapses with delays: bias plus sum over k, l of weight[k, l] s[t - l, k].

    Returns None if the signal is too dense to follow events, or the weight is neither float32 nor float64. The
    gradient of the signal is computed as a product of spectra.

    Args:
        signal: s, dense or packed [T, B, K], on the CPU.
        weight: of each synapse and lag [F, K, L].
        bias: [F] or None.
    """
    if weight.dtype not in FLOATS:
        return None
    events = signal if isinstance(signal, SparseSpikes) else SparseSpikes.of(signal.detach())
    if events.density > DELAY_DENSE:
        return None
    compiled(weight.dtype)
    learns = None if isinstance(signal, SparseSpikes) else signal
    return _Delayed.apply(events, learns, weight, bias)  # type: ignore[no-any-return]


class _Delayed(torch.autograd.Function):
    """Maps events, weight and bias to the current of all steps, with gradients."""

    @staticmethod
    def forward(
        ctx: Any, events: SparseSpikes, signal: Tensor | None, weight: Tensor, bias: Tensor | None
    ) -> Tensor:
        """Compute the current; `signal` is the dense input that has these events, if it may need a gradient."""
        steps, batch, _ = events.shape
        number, filters = FLOATS[weight.dtype], len(weight)
        value = np.empty(0, number) if events.value is None else events.value.to(weight.dtype).numpy()
        ctx.events = delays.Lagged(events.indptr.numpy(), events.index.numpy(), value, steps, batch)
        ctx.save_for_backward(
            weight, bias, signal
        )  # torch then notices if one is changed before the backward pass
        out = weight.new_empty(steps, batch, filters)
        begin = np.zeros(filters, number) if bias is None else bias.detach().contiguous().numpy()
        arguments = ctx.events, weight.detach().contiguous().numpy(), begin, out.view(-1, filters).numpy()
        in_parts(delays.delay, -(-filters // NARROW), out.numel(), *arguments)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients of signal, weight and bias."""
        weight, bias, _ = ctx.saved_tensors
        d_weight = torch.empty_like(weight, memory_format=torch.contiguous_format)
        grad = grad.contiguous()
        arguments = ctx.events, grad.view(-1, len(weight)).numpy(), d_weight.numpy()
        in_parts(delays.pull_back, -(-len(weight) // NARROW), grad.numel(), *arguments)
        d_signal = _gradient_of_signal(grad, weight.detach()) if ctx.needs_input_grad[1] else None
        return None, d_signal, d_weight, None if bias is None else grad.sum((0, 1))


def _gradient_of_signal(gradient: Tensor, weight: Tensor) -> Tensor:
    """Return the signal's gradient [T, B, K] from the current's [T, B, F]: a correlation in time, by spectra."""
    steps, length = len(gradient), len(gradient) + weight.shape[2] - 1
    adjoint = torch.fft.rfft(gradient, length, dim=0)
    spectra = torch.fft.rfft(weight.movedim(2, 0), length, dim=0).conj()
    return torch.fft.irfft(adjoint @ spectra, length, dim=0)[:steps]


@functools.cache
def compiled(dtype: torch.dtype) -> None:
    """Compile the loops for one float type, or load them from the cache; log a message if any is compiled."""
    number = FLOATS[dtype]
    events = delays.Lagged(np.array([0, 1]), np.zeros(1, np.int32), np.empty(0, number), 1, 1)
    row, weight = np.zeros((1, 1), number), np.zeros((1, 1, 1), number)
    with event.install_listener("numba:compile", CompileNote(f"compiling delays for {dtype}, once")):
        delays.delay(events, weight, np.zeros(1, number), row, 0, 1)
        delays.pull_back(events, row, weight, 0, 1)
