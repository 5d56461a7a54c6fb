"""Convolutions of spikes, as functions of weights and spikes that autograd knows.

Forward the weights of what fired are added up, pixel by pixel. After a maximum over windows one pixel of each has
an adjoint, and it alone is sent back. The gradient of weights follows the events of an image, or its windows where
these are fewer products.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numba.core import event
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, max_pool2d, pad

from sgbench.engine.arrays import FLOATS, NOTHING, in_parts, in_threads
from sgbench.engine.density import CONVOLUTION_DENSE
from sgbench.engine.kernels import convolution_backward, convolution_forward
from sgbench.engine.kernels.images import Geometry, Images, count_events
from sgbench.engine.kernels.vectors import NARROW
from sgbench.engine.note import CompileNote
from sgbench.errors import InputError
from sgbench.signals.spikes import Signal, SparseSpikes

PARTS = 4  # of the batch, with gradients of their own; their number alone decides how sums are rounded
LARGE = 2**20  # weights from which on there are fewer parts


class Convolution(NamedTuple):
    """Says what is convolved, and how; square strides, paddings and windows."""

    image: tuple[int, int, int]  # channels, height, width of what arrives
    weight: Tensor  # [filters, channels, K, K']
    bias: Tensor | None
    stride: int = 1
    padding: int = 0  # by zeros, on each side
    pool: int = 1  # side of the windows of which the largest value goes on; 1: no pooling

    @property
    def geometry(self) -> Geometry:
        """Return the sizes as the loops take them."""
        filters, channels, high, wide = self.weight.shape
        _, height, width = self.image
        stride, padding, pool = self.stride, self.padding, self.pool
        rows = ((height + 2 * padding - high) // stride + 1) // pool
        columns = ((width + 2 * padding - wide) // stride + 1) // pool
        sizes = (channels, height, width, high, wide, stride, padding, padding, filters, pool, rows, columns)
        return Geometry(*sizes, height + 2 * padding, width + 2 * padding)


def convolve(signal: Signal, of: Convolution) -> Tensor:
    """Convolve flat images [T, B, C H W] to flat images, and take the largest value of each window.

    Images of which few values differ from 0 are followed event by event; others are left to torch.

    Args:
        signal: dense or packed, on the CPU.
        of: weights and sizes.

    Raises:
        InputError: images, weights and signal do not fit one another.
    """
    _require_fit(signal, of)
    steps, batch = signal.shape[:2]
    if of.weight.dtype not in FLOATS:
        return _dense(signal, of).view(steps, batch, -1)
    counts, ones = _counted(signal, of.weight.dtype)
    crowded = counts > CONVOLUTION_DENSE * of.geometry.inputs
    if crowded.all():
        return _dense(signal, of).view(steps, batch, -1)
    if crowded.any():  # each image by itself: what others hold does not change its bits
        rows = signal.dense().flatten(0, 1) if isinstance(signal, SparseSpikes) else signal.flatten(0, 1)
        places = [torch.from_numpy(np.flatnonzero(kind)) for kind in (~crowded, crowded)]
        out = torch.cat([convolve(rows[place][None], of)[0] for place in places])
        return out[torch.cat(places).argsort()].view(steps, batch, -1)
    compiled(of.weight.dtype)
    learns = None if isinstance(signal, SparseSpikes) else signal
    images = _images(signal, of.weight.dtype, ones=ones)
    out = _Convolved.apply(images, of.geometry, learns, of.weight, of.bias)
    return out.view(steps, batch, -1)  # type: ignore[no-any-return]


def _require_fit(signal: Signal, of: Convolution) -> None:
    """Refuse shapes by which the loops, which check nothing, would leave their arrays."""
    flat, channels = signal.shape[-1], of.weight.shape[1]
    fits = channels == of.image[0] and math.prod(of.image) == flat
    if not fits or min(of.geometry.rows, of.geometry.columns) < 1:
        raise InputError(
            f"convolution: weights of shape {tuple(of.weight.shape)} do not fit images of shape {of.image}, which "
            f"arrive as {flat} values; {channels} channels are needed, and sides no smaller than the kernel's"
        )


def _dense(signal: Signal, of: Convolution) -> Tensor:
    """Convolve by torch, with channels side by side in memory, which is faster there."""
    images = signal.dense() if isinstance(signal, SparseSpikes) else signal
    folded = images.reshape(-1, *of.image).contiguous(memory_format=torch.channels_last)
    out = conv2d(folded, of.weight, of.bias, of.stride, of.padding)
    return (out if of.pool == 1 else max_pool2d(out, of.pool)).flatten(1)


def _flat(signal: Tensor, dtype: torch.dtype) -> np.ndarray:
    """Return dense images as rows."""
    return signal.detach().to(dtype).reshape(-1, signal.shape[-1]).contiguous().numpy()  # type: ignore[no-any-return]


def _counted(signal: Signal, dtype: torch.dtype) -> tuple[np.ndarray, bool]:
    """Count the entries of each image that are not 0, and say whether all of these are 1."""
    if isinstance(signal, SparseSpikes):
        return signal.indptr.diff().numpy(), signal.value is None
    flat = _flat(signal, dtype)
    counts = np.empty(len(flat), np.int64)
    return counts, count_events(flat, counts) == 0


def _images(signal: Signal, dtype: torch.dtype, *, ones: bool) -> Images:
    """Return the events that the loops follow."""
    if isinstance(signal, SparseSpikes):
        return _packed(signal, dtype)
    none = np.empty(0, FLOATS[dtype])
    return Images(np.zeros(1, np.int64), np.empty(0, np.int32), none, _flat(signal, dtype), ones)


def _packed(events: SparseSpikes, dtype: torch.dtype) -> Images:
    """Return packed images as the loops take them."""
    number = FLOATS[dtype]
    value = np.empty(0, number) if events.value is None else events.value.to(dtype).numpy()
    index = events.indptr.numpy(), events.index.numpy()
    return Images(*index, value, NOTHING[number], ones=events.value is None)


class _Convolved(torch.autograd.Function):
    """Maps images, weight and bias to the outputs [R, F P]."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Images,
        geometry: Geometry,
        signal: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
    ) -> Tensor:
        """Convolve all images; `signal` is what they were read off, where gradient may reach it."""
        count = max(len(images.dense), len(images.indptr) - 1)
        ctx.images, ctx.geometry = images, geometry
        ctx.shape = torch.Size() if signal is None else signal.shape
        ctx.save_for_backward(weight, bias, signal)  # torch then notices what moved meanwhile
        rows = _padded(weight.detach().permute(2, 3, 1, 0).flatten(0, 2))
        begin = weight.new_zeros(rows.shape[1])
        if bias is not None:
            begin[: len(bias)] = bias.detach()
        out = weight.new_empty(count, geometry.outputs)
        ctx.places = np.empty(out.shape if geometry.pool > 1 else (0, 0), np.uint16)
        given = (images, rows.numpy(), begin.numpy(), geometry, out.numpy(), ctx.places)
        in_parts(convolution_forward.convolve, count, out.numel(), *given)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients of images, weight and bias."""
        weight, bias, _ = ctx.saved_tensors
        geometry, count = ctx.geometry, len(grad)
        wanted = ctx.needs_input_grad[2]
        d_images = weight.new_empty((count, geometry.inputs) if wanted else (0, 0))
        back = _padded(weight.detach().permute(2, 0, 3, 1).flatten(2).flatten(0, 1))  # [K F, K C]
        parts = max(1, min(PARTS, count, LARGE // weight.numel()))
        high, wide = geometry.kernel_height, geometry.kernel_width * geometry.channels
        filters = geometry.filters + -geometry.filters % NARROW
        d_weights, d_begins = weight.new_zeros(parts, high * wide, filters), weight.new_zeros(parts, filters)
        d_rows = weight.new_zeros(parts, *back.shape)
        borders = np.linspace(0, count, parts + 1).astype(int).tolist()
        fixed = (ctx.images, back.numpy(), geometry, grad.contiguous().numpy(), ctx.places)

        def pull_back(first: int, last: int) -> None:
            for part in range(first, last):
                sums = d_weights[part].numpy(), d_rows[part].numpy(), d_begins[part].numpy()
                ends = borders[part], borders[part + 1]
                convolution_backward.pull_back(*fixed, *sums, d_images.numpy(), *ends)

        in_threads(pull_back, [(part, part + 1) for part in range(parts)], grad.numel())
        d_weight = _added(d_weights)[:, : geometry.filters]
        d_weight = d_weight.reshape(high, -1, geometry.channels, geometry.filters).permute(3, 2, 0, 1)
        by_window = _added(d_rows)[:, :wide].reshape(high, geometry.filters, -1, geometry.channels)
        d_weight = d_weight + by_window.permute(1, 3, 0, 2)
        d_bias = None if bias is None else _added(d_begins)[: geometry.filters]
        return None, None, d_images.view(ctx.shape) if wanted else None, d_weight, d_bias


def _padded(rows: Tensor) -> Tensor:
    """Fill rows with zeros up to whole vectors."""
    short = -rows.shape[1] % NARROW
    return pad(rows, (0, short)).contiguous() if short else rows.contiguous()


def _added(parts: Tensor) -> Tensor:
    """Add up gradients of parts of the batch, one after another."""
    return list(itertools.accumulate(parts.unbind()))[-1]


@functools.cache
def compiled(dtype: torch.dtype) -> None:
    """Compile the loops for one precision, or load them; announce it where one is compiled."""
    number = FLOATS[dtype]
    one = Geometry(1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1)
    given, nothing = np.zeros((1, NARROW), number), NOTHING[number]
    begin, places = np.zeros(NARROW, number), np.zeros((1, 1), np.uint16)
    index = np.zeros(1, np.int32)
    images = Images(np.array([0, 1]), index, np.empty(0, number), nothing, ones=True)
    with event.install_listener("numba:compile", CompileNote(f"compiling convolutions for {dtype}, once")):
        convolution_forward.convolve(images, given, begin, one, np.zeros((1, 1), number), places, 0, 1)
        sums = given.copy(), given.copy(), begin
        convolution_backward.pull_back(images, given, one, given[:, :1].copy(), places, *sums, nothing, 0, 1)
