"""Operation counts of torch modules without state: linear, convolution, normalisation, pooling, activations."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sgbench.energy.tally import Tally, stored
from sgbench.errors import InputError


class Received(NamedTuple):
    """Holds the input tensor of a module and its origin."""

    x: Tensor
    source: str  # name of the module or input that it comes from
    kind: str  # "binary" (spikes) or "real", as declared by the source


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
POOLS = (
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)
COMPARING = (nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.LeakyReLU)  # activations that take comparisons
# Activations that take a function such as exp.
FUNCTIONS = (nn.Sigmoid, nn.Tanh, nn.GELU, nn.SiLU, nn.ELU, nn.Softplus, nn.Softmax, nn.LogSoftmax)
# Modules without an operation in evaluation mode: their outputs are their inputs.
PASSING = (nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


def linear(layer: nn.Linear, received: Received, output: Tensor, tally: Tally) -> None:
    """Add the operations of one call of a linear layer: each input other than 0 reaches every output."""
    out, inputs = layer.weight.shape
    rows = output.numel() // out
    tally.connect(
        received.source,
        "all_to_all",
        received.kind,
        effective=int(torch.count_nonzero(received.x)) * out,
        dense=rows * inputs * out,
        weights=stored(layer, "weight"),
        fan_in=inputs,
    )
    if layer.bias is not None:
        tally.biased(output.numel())


def convolution(layer: nn.Module, received: Received, output: Tensor, tally: Tally) -> None:
    """Add the operations of one call of a convolution: each input other than 0 reaches the outputs that use it."""
    assert isinstance(layer, CONVOLUTIONS)  # noqa: S101 - the caller dispatches by class
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
    r"""Count the synapses of each input of a convolution, exact at borders, for any padding, stride and groups.

    If all weights are 1, each synapse of input i adds 1 to the derivative of the sum of all outputs o:

    .. math:: \mathrm{fan}_i = \frac{\partial}{\partial x_i} \sum_o (\mathbf 1 * x)_o .

    Args:
        layer: the convolution.
        x: an input of it, of which only the shape [batch, channels, ...] is used.

    Returns:
        Number of synapses of each input of one sample [1, channels, ...].

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
    """Add one operation (a multiply-accumulate) a value; none if `folded` into the weights of the layer before.

    Raises:
        InputError: the layer is in training mode.
    """
    if layer.training:
        raise InputError(f"'{tally.name}': a {type(layer).__name__} in training mode; call eval() first")
    tally.counts["normalisation_operations"] += 0 if folded else output.numel()


def layer_norm(layer: nn.LayerNorm | nn.GroupNorm, output: Tensor, tally: Tally) -> None:
    """Add three operations a value (sum, sum of squares, shift and scale), and a fourth for learnt weights."""
    has_weights = layer.weight is not None
    tally.counts["normalisation_operations"] += output.numel() * (4 if has_weights else 3)


def pool(layer: nn.Module, received: Received, output: Tensor, tally: Tally) -> None:
    """Add the operations of a pooling: k for the mean of a window of k values, k - 1 for its maximum."""
    elements = window_elements(layer, received.x, output)
    is_maximum = "Max" in type(layer).__name__
    tally.counts["pooling_operations"] += elements - output.numel() if is_maximum else elements


def window_elements(layer: nn.Module, x: Tensor, output: Tensor) -> int:
    """Count the values in all windows of a pooling of x, summed over windows, without padding."""
    name = type(layer).__name__
    dims = int(name[-2])
    inputs, outputs = x.shape[-dims:], output.shape[-dims:]
    images = output.numel() // math.prod(outputs)  # one for each sample and channel
    along_axes = [
        _adaptive_elements(size, windows)
        if name.startswith("Adaptive")
        else _elements_along(layer, axis, dims, size, windows)
        for axis, (size, windows) in enumerate(zip(inputs, outputs, strict=True))
    ]
    return images * math.prod(along_axes)


def _adaptive_elements(size: int, windows: int) -> int:
    """Count the values in all windows of an adaptive pooling along an axis of `size` values."""
    return sum(-(-(index + 1) * size // windows) - index * size // windows for index in range(windows))


def _elements_along(layer: Any, axis: int, dims: int, size: int, windows: int) -> int:
    """Count the values in all windows of a pooling along one of `dims` axes, of `size` values, without padding."""
    kernel, stride, padding = (
        _setting_along(getattr(layer, name), axis, dims) for name in ("kernel_size", "stride", "padding")
    )
    dilation = _setting_along(getattr(layer, "dilation", 1), axis, dims)
    starts = (index * stride - padding for index in range(windows))
    positions = (start + tap * dilation for start in starts for tap in range(kernel))
    return sum(0 <= position < size for position in positions)


def _setting_along(value: Any, axis: int, dims: int) -> int:
    """Return a layer's setting, a number or one for each of `dims` axes, along one axis."""
    return value if isinstance(value, int) else value[axis if len(value) == dims else 0]


def activation(layer: nn.Module, output: Tensor, tally: Tally) -> None:
    """Add the operations of an activation function for each value of its output.

    These are one or two comparisons, and a multiplication for a leaky ReLU; or one evaluation of a function.
    """
    if isinstance(layer, COMPARING):
        bounds = 2 if isinstance(layer, nn.Hardtanh) else 1  # ReLU6 is a Hardtanh
        tally.counts["neuron_comparisons"] += bounds * output.numel()
        if isinstance(layer, nn.LeakyReLU):
            tally.counts["neuron_multiplications"] += output.numel()
    else:
        tally.counts["function_evaluations"] += output.numel()


def keeps_kind(layer: nn.Module) -> bool:
    """Return whether a module's output is binary if its input is: it passes values on, or takes maxima."""
    return isinstance(layer, PASSING) or "MaxPool" in type(layer).__name__
