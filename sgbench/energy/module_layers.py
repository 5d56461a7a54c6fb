"""What torch's layers without memory do in one call: products, normalisation, pooling, activations."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sgbench.energy.tally import Tally, stored
from sgbench.errors import InputError


class Received(NamedTuple):
    """Holds what a module is called with: the tensor, where it comes from and what it declares to hold."""

    x: Tensor
    source: str
    kind: str  # "binary" or "real"


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
POOLS = (
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d,
)
COMPARING = (nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.LeakyReLU)
FUNCTIONS = (
    nn.Sigmoid,
    nn.Tanh,
    nn.GELU,
    nn.SiLU,
    nn.ELU,
    nn.Softplus,
    nn.Softmax,
    nn.LogSoftmax,
)
PASSING = (nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


def linear(layer: nn.Linear, received: Received, output: Tensor, tally: Tally) -> None:
    """Count a linear layer's operations: each input that is not 0 reaches every output."""
    out, inputs = layer.weight.shape
    rows = output.numel() // out
    tally.connect(
        received.source,
        "all_to_all",
        received.kind,
        effective=_active(received.x) * out,
        dense=rows * inputs * out,
        weights=stored(layer, "weight"),
        fan_in=inputs,
    )
    if layer.bias is not None:
        tally.biased(output.numel())


def convolution(layer: nn.Module, received: Received, output: Tensor, tally: Tally) -> None:
    """Count a convolution's operations: each input that is not 0 reaches the outputs whose kernels cover it."""
    assert isinstance(layer, CONVOLUTIONS)  # noqa: S101 - the dispatch saw to it
    fan = fan_out(layer, received.x)
    active = (received.x != 0).to(fan)
    samples = received.x.numel() // fan.numel()
    tally.connect(
        received.source,
        "convolution",
        received.kind,
        effective=round((active * fan).sum().item()),
        dense=round(fan.sum().item()) * samples,
        weights=stored(layer, "weight"),
        fan_in=layer.weight[0].numel(),
    )
    if layer.bias is not None:
        tally.biased(output.numel())


def fan_out(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, x: Tensor) -> Tensor:
    r"""Count the synapses of each input of one sample, exact at borders, for any padding, stride, dilation, groups.

    With all weights 1 the sum of all outputs grows by one for each synapse of an input, so

    .. math:: \mathrm{fan}_i = \frac{\partial}{\partial x_i} \sum_o (\mathbf 1 * x)_o .

    >>> fan_out(nn.Conv1d(1, 2, 3, padding=1), torch.zeros(1, 1, 4))
    tensor([[[4., 6., 6., 4.]]], dtype=torch.float64)
    """
    shape = x.shape[-layer.weight.dim() + 1 :]
    ones = type(layer)(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        stride=layer.stride,  # type: ignore[arg-type]
        padding=layer.padding,  # type: ignore[arg-type]
        dilation=layer.dilation,  # type: ignore[arg-type]
        groups=layer.groups,
        bias=False,
        padding_mode=layer.padding_mode,
        dtype=torch.float64,
    )
    nn.init.ones_(ones.weight)
    with torch.enable_grad():
        sample = torch.zeros(1, *shape, dtype=torch.float64, requires_grad=True)
        (fan,) = torch.autograd.grad(ones(sample).sum(), sample)
    return fan.to(x.device)


def batch_norm(layer: nn.Module, output: Tensor, tally: Tally, *, folded: bool) -> None:
    """Count a multiplication and addition a value; none where the layer before has the normalisation folded in."""
    if layer.training:
        raise InputError(f"'{tally.name}': a {type(layer).__name__} in training mode; call eval() first")
    tally.counts["normalisation_operations"] += 0 if folded else output.numel()


def layer_norm(layer: nn.LayerNorm | nn.GroupNorm, output: Tensor, tally: Tally) -> None:
    """Count sum, squares, shift and scale of every value, and one more of each where there are weights."""
    weighted = layer.weight is not None
    tally.counts["normalisation_operations"] += output.numel() * (4 if weighted else 3)


def pool(layer: nn.Module, received: Received, output: Tensor, tally: Tally) -> None:
    """Count a window of k values: k - 1 additions and a multiplication, or k - 1 comparisons."""
    elements = window_elements(layer, received.x, output)
    outputs = output.numel()
    maximum = "Max" in type(layer).__name__
    tally.counts["pooling_operations"] += elements - outputs if maximum else elements


def window_elements(layer: nn.Module, x: Tensor, output: Tensor) -> int:
    """Count the values in all windows together, those of the padding left out."""
    name = type(layer).__name__
    dims = int(name[-2])
    inputs, outputs = x.shape[-dims:], output.shape[-dims:]
    planes = output.numel() // math.prod(outputs)
    sides = [
        _adaptive_side(size, count) if name.startswith("Adaptive") else _side(layer, axis, dims, size, count)
        for axis, (size, count) in enumerate(zip(inputs, outputs, strict=True))
    ]
    return planes * math.prod(sides)


def _adaptive_side(size: int, count: int) -> int:
    """Return the inputs that all bins of an adaptive pool read along one side."""
    return sum(-(-(index + 1) * size // count) - index * size // count for index in range(count))


def _side(layer: Any, axis: int, dims: int, size: int, count: int) -> int:
    """Count the values along one side over all windows."""
    kernel, stride, padding = (
        _along(getattr(layer, name), axis, dims) for name in ("kernel_size", "stride", "padding")
    )
    dilation = _along(getattr(layer, "dilation", 1), axis, dims)
    positions = (index * stride - padding + tap * dilation for index in range(count) for tap in range(kernel))
    return sum(0 <= position < size for position in positions)


def _along(value: Any, axis: int, dims: int) -> int:
    """Return a layer's setting along one axis."""
    return value if isinstance(value, int) else value[axis if len(value) == dims else 0]


def activation(layer: nn.Module, output: Tensor, tally: Tally) -> None:
    """Count a comparison a value, a multiplication where it leaks, or one evaluation of a function."""
    if isinstance(layer, COMPARING):
        bounds = 2 if isinstance(layer, nn.Hardtanh) else 1  # ReLU6 is one
        tally.counts["neuron_comparisons"] += bounds * output.numel()
        if isinstance(layer, nn.LeakyReLU):
            tally.counts["neuron_multiplications"] += output.numel()
    else:
        tally.counts["function_evaluations"] += output.numel()


def _active(x: Tensor) -> int:
    """Count the entries other than 0."""
    return int(torch.count_nonzero(x))


def keeps_kind(layer: nn.Module) -> bool:
    """Return whether spikes stay spikes: where they are passed on, or the largest of a window is."""
    return isinstance(layer, PASSING) or "MaxPool" in type(layer).__name__
