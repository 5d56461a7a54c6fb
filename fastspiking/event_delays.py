"""Currents of synapses with delays, where each event arrives over several steps, with autograd's gradients."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastspiking.arrays import FLOATS, in_parts
from fastspiking.kernels import delays as loops
from fastspiking.kernels.vectors import NARROW
from fastspiking.matmul import DELAY_DENSE
from fastspiking.signals.spikes import Signal, SparseSpikes


class Gaussians(NamedTuple):
    """Spreads a synapse's weight over lags by a Gaussian around its delay; the shares add up to 1."""

    delays: Tensor  # means [F, K] [steps]
    sigma_steps: float
    lags: int

    def shares(self) -> Tensor:
        """Compute the share of each lag [F, K, L]."""
        lag = torch.arange(self.lags, dtype=self.delays.dtype)
        return (-0.5 * ((lag - self.delays[..., None]) / self.sigma_steps).square()).softmax(-1)


def delay(signal: Signal, weight: Tensor, bias: Tensor | None, gaussians: Gaussians | None = None) -> Tensor | None:
    """Compute the current [T, B, F] of synapses with delays: bias plus sum over k, l of weight[k, l] s[t - l, k].

    Returns None if the signal is too dense to follow events, or the weight is neither float32 nor float64. The
    gradient of the signal is computed as a product of spectra.

    `signal`: s, dense or packed [T, B, K], on the CPU. `weight`: of each synapse and lag [F, K, L]; with `gaussians` of
    each synapse [F, K]. `bias`: [F] or None.
    """
    if weight.dtype not in FLOATS:
        return None
    events = signal if isinstance(signal, SparseSpikes) else SparseSpikes.of(signal.detach())
    if events.density > DELAY_DENSE:
        return None
    learns = None if isinstance(signal, SparseSpikes) else signal
    delays, sigma_steps, lags = gaussians or (None, 1.0, weight.shape[-1])
    return _Delayed.apply(events, learns, weight, bias, delays, sigma_steps, lags)  # type: ignore[no-any-return]


class _Delayed(torch.autograd.Function):
    """Maps events, weights, bias and delays to the current of all steps, with gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        events: SparseSpikes,
        signal: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        delays: Tensor | None,
        sigma_steps: float,
        lags: int,
    ) -> Tensor:
        """Compute the current; `signal` is the dense input that has these events, if it may need a gradient."""
        steps, batch, _ = events.shape
        number, filters = FLOATS[weight.dtype], len(weight)
        value = np.empty(0, number) if events.value is None else events.value.to(weight.dtype).numpy()
        ctx.events = loops.Lagged(events.indptr.numpy(), events.index.numpy(), value, steps, batch)
        ctx.save_for_backward(weight, bias, delays, signal)  # torch then notices if one is changed before backward
        ctx.sigma_steps, ctx.lags = sigma_steps, lags
        out = weight.new_empty(steps, batch, filters)
        begin = np.zeros(-(-filters // NARROW) * NARROW, number)
        if bias is not None:
            begin[:filters] = bias.detach().numpy()
        arguments = (ctx.events, _synapses(weight, delays, sigma_steps, lags), begin, out.view(-1, filters).numpy())
        in_parts(loops.delay, -(-filters // NARROW), out.numel(), *arguments)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the signal, if wanted, and of weight, bias and delays."""
        weight, bias, delays, _ = ctx.saved_tensors
        d_weight = torch.empty_like(weight, memory_format=torch.contiguous_format)
        d_delays = None if delays is None else torch.empty_like(delays, memory_format=torch.contiguous_format)
        grad, settings = grad.contiguous(), (ctx.sigma_steps, ctx.lags)
        synapses, out = _synapses(weight, delays, *settings), _synapses(d_weight, d_delays, *settings)
        arguments = ctx.events, synapses, grad.view(-1, len(weight)).numpy(), out
        in_parts(loops.pull_back, -(-len(weight) // NARROW), grad.numel(), *arguments)
        d_signal = None
        if ctx.needs_input_grad[1]:
            by_lag = weight if delays is None else weight[..., None] * Gaussians(delays, *settings).shares()
            d_signal = _gradient_of_signal(grad, by_lag)
        return None, d_signal, d_weight, None if bias is None else grad.sum((0, 1)), d_delays, None, None


def _synapses(weight: Tensor, delays: Tensor | None, sigma_steps: float, lags: int) -> loops.Synapses:
    """Return weights as the loops take them: of all lags, or of Gaussians where `delays` are their means."""
    weights = weight.detach().contiguous().numpy()
    inputs, nothing = weight.shape[1], np.empty((0, weight.shape[1]), weights.dtype)
    if delays is None:
        return loops.Synapses(weights, nothing, nothing, 1.0)
    no_lags = np.empty((0, inputs, lags), weights.dtype)
    return loops.Synapses(no_lags, weights, delays.detach().contiguous().numpy(), 1 / sigma_steps)


def _gradient_of_signal(gradient: Tensor, weight: Tensor) -> Tensor:
    """Return the signal's gradient [T, B, K] from the current's [T, B, F]: a correlation in time, by spectra.

    Spectra spread the rounding of the largest gradient over all steps, so they are in float64: an optimiser that
    divides by a gradient's size must not get the rounding of float32 where the gradient is almost 0.
    """
    steps, length = len(gradient), len(gradient) + weight.shape[2] - 1
    adjoint = torch.fft.rfft(gradient.double(), length, dim=0)
    spectra = torch.fft.rfft(weight.movedim(2, 0).double(), length, dim=0).conj()
    return torch.fft.irfft(adjoint @ spectra, length, dim=0)[:steps].to(gradient.dtype)
