"""Convolutions of spike images, optionally max-pooled, with autograd's gradients.

Forward the weights of active inputs are added up, pixel by pixel. With pooling, only the largest pixel of a window
has an adjoint, and it alone is sent back. The gradient of weights is summed over the events of an image, or over
its windows where that takes fewer products.
"""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, max_pool2d, pad

from fastspiking.arrays import FLOATS, in_parts, in_threads
from fastspiking.errors import InputError
from fastspiking.kernels import convolution, convolution_backward
from fastspiking.kernels.convolution import Geometry, Images
from fastspiking.kernels.vectors import NARROW
from fastspiking.matmul import CONVOLUTION_DENSE
from fastspiking.numba_events import Rows, listed_entries, no_events
from fastspiking.signals.spikes import Signal, SparseSpikes

PARTS = 4  # parts of the batch with their own sums of gradients; their number decides how sums are rounded
LARGE = 2**20  # number of weights from which there are fewer parts


class Convolution(NamedTuple):
    """Holds the weights and sizes of a convolution; strides, paddings and windows are square."""

    image: tuple[int, int, int]  # channels, height, width of an input image
    weight: Tensor  # [filters, channels, K, K']
    bias: Tensor | None
    stride: int = 1
    padding: int = 0  # by zeros, on each side
    pool: int = 1  # side of a max-pooling window; 1: no pooling

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
    """Convolve flat images [T, B, C H W], and max-pool them; return flat images [T, B, F P].

    F is the number of filters, P that of windows. Images with few non-zero values are computed event by event, others
    by torch. `signal`: the images, dense or packed, on the CPU; `of`: weights and sizes.
    """
    _require_fit(signal, of)
    steps, batch = signal.shape[:2]
    if of.weight.dtype not in FLOATS:
        return _dense(signal, of).view(steps, batch, -1)
    images = _images(signal, FLOATS[of.weight.dtype])
    counts = np.diff(images.indptr)
    crowded = counts > CONVOLUTION_DENSE * of.geometry.inputs
    if crowded.all():
        return _dense(signal, of).view(steps, batch, -1)
    if crowded.any():  # decided for each image alone, so that other images do not change its bits
        rows = signal.dense().flatten(0, 1) if isinstance(signal, SparseSpikes) else signal.flatten(0, 1)
        places = [torch.from_numpy(np.flatnonzero(kind)) for kind in (~crowded, crowded)]
        out = torch.cat([convolve(rows[place][None], of)[0] for place in places])  # as two batches of one kind
        return out[torch.cat(places).argsort()].view(steps, batch, -1)
    out = _Convolved.apply(images, of.geometry, signal if isinstance(signal, Tensor) else None, of.weight, of.bias)
    return out.view(steps, batch, -1)  # type: ignore[no-any-return]


def _require_fit(signal: Signal, of: Convolution) -> None:
    """Raise `InputError` for shapes with which the loops, which check no bounds, would leave their arrays."""
    flat, channels = signal.shape[-1], of.weight.shape[1]
    fits = channels == of.image[0] and math.prod(of.image) == flat
    if not fits or min(of.geometry.rows, of.geometry.columns) < 1:
        raise InputError(
            f"convolution: weights of shape {tuple(of.weight.shape)} do not fit images of shape {of.image}, which "
            f"arrive as {flat} values; {channels} channels are needed, and sides no smaller than the kernel's"
        )


def _dense(signal: Signal, of: Convolution) -> Tensor:
    """Convolve and pool by torch, with channels last in memory, which is faster; return [T B, F P]."""
    images = signal.dense() if isinstance(signal, SparseSpikes) else signal
    folded = images.reshape(-1, *of.image).contiguous(memory_format=torch.channels_last)
    out = conv2d(folded, of.weight, of.bias, of.stride, of.padding)
    return (out if of.pool == 1 else max_pool2d(out, of.pool)).flatten(1)


def _images(signal: Signal, number: type) -> Images:
    """Return the entries of all images that are not 0, with values of a float type."""
    if isinstance(signal, SparseSpikes):
        rows = Rows.of(signal)
    else:
        flat = signal.detach().reshape(-1, signal.shape[-1]).contiguous().numpy().astype(number, copy=False)
        rows = listed_entries(flat, flat.size) or Rows(*no_events(number))
    return Images(rows.indptr, rows.index, rows.value_as(number))


class _Convolved(torch.autograd.Function):
    """Maps images, weight and bias to the convolved and pooled images [R, F P], with gradients."""

    @staticmethod
    def forward(
        ctx: Any, images: Images, geometry: Geometry, signal: Tensor | None, weight: Tensor, bias: Tensor | None
    ) -> Tensor:
        """Convolve all images; `signal` is the dense tensor that holds them, if it may need a gradient."""
        count = len(images.indptr) - 1
        ctx.images, ctx.geometry = images, geometry
        ctx.shape = torch.Size() if signal is None else signal.shape
        ctx.save_for_backward(weight, bias, signal)  # torch then notices if one is changed before the backward pass
        # [K K C, F]: the weights of an input channel at one place of the kernel are a row.
        rows = _pad_rows(weight.detach().permute(2, 3, 1, 0).flatten(0, 2))
        begin = weight.new_zeros(rows.shape[1])
        if bias is not None:
            begin[: len(bias)] = bias.detach()
        out = weight.new_empty(count, geometry.outputs)
        # Pixels from each window's corner to its largest one; see `kernels.convolution`.
        ctx.places = np.empty(out.shape if geometry.pool > 1 else (0, 0), np.uint16)
        arguments = (images, rows.numpy(), begin.numpy(), geometry, out.numpy(), ctx.places)
        in_parts(convolution.convolve, count, out.numel(), *arguments)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the images, if wanted, and of weight and bias.

        Each part of the batch adds to sums of its own; these are added in order, so that bits do not depend on threads.
        """
        weight, bias, _ = ctx.saved_tensors
        geometry, count = ctx.geometry, len(grad)
        wanted = ctx.needs_input_grad[2]
        d_images = weight.new_empty((count, geometry.inputs) if wanted else (0, 0))
        back = _pad_rows(weight.detach().permute(2, 0, 3, 1).flatten(2).flatten(0, 1))  # [K F, K C]
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
        # Gradients from images with few events [K K' C, F], and from others [K F, K' C]; both to [F, C, K, K'].
        d_weight = _sum_parts(d_weights)[:, : geometry.filters]
        d_weight = d_weight.reshape(high, -1, geometry.channels, geometry.filters).permute(3, 2, 0, 1)
        by_window = _sum_parts(d_rows)[:, :wide].reshape(high, geometry.filters, -1, geometry.channels)
        d_weight = d_weight + by_window.permute(1, 3, 0, 2)
        d_bias = None if bias is None else _sum_parts(d_begins)[: geometry.filters]
        return None, None, d_images.view(ctx.shape) if wanted else None, d_weight, d_bias


def _pad_rows(rows: Tensor) -> Tensor:
    short = -rows.shape[1] % NARROW
    return pad(rows, (0, short)).contiguous() if short else rows.contiguous()


def _sum_parts(parts: Tensor) -> Tensor:
    """Return the sum of the gradients [parts, ...] of the batch's parts, added in order."""
    return list(itertools.accumulate(parts.unbind()))[-1]
