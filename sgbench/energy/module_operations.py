"""Operation counts of one call of a torch module or function, added to the totals of its layer."""

import inspect
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sgbench.neurons.base import Operations
from sgbench.records.counts import Count, LayerCounts, SynapseCounts, Wiring


class StoredWeights(NamedTuple):
    """Holds how many weights a group of connections stores."""

    numbers: int  # of weights
    zeros: int  # of weights that are 0


def stored(layer: nn.Module, name: str) -> StoredWeights:
    """Count a layer's weights in its attribute `name`, e.g. "weight"; weights removed by its mask do not count."""
    weight = getattr(layer, name)
    mask = getattr(layer, "mask" if name == "weight" else f"{name}_mask", None)
    connections = weight.numel() if mask is None else int(torch.count_nonzero(mask))
    used = weight if mask is None else weight * mask
    return StoredWeights(connections, connections - int(torch.count_nonzero(used)))


class Received(NamedTuple):
    """Holds the input tensor of a module and its origin."""

    x: Tensor
    source: str  # name of the module or input that it comes from
    kind: str  # "binary" (spikes) or "real", as declared by the source


@dataclass
class _Group:
    """Holds the operations of one group of connections into a module."""

    wiring: Wiring
    weights: StoredWeights
    fan_in: int  # connections to one neuron
    effective: int = 0  # operations caused by inputs other than 0
    dense: int = 0  # operations if every connection is used in every step


@dataclass
class Tally:
    """Holds the operation totals of one module."""

    name: str
    module: str  # its class
    neurons: int
    groups: dict[tuple[str, str, str], _Group] = field(default_factory=dict)  # by source, wiring and kind
    counts: Counter[str] = field(default_factory=Counter)  # totals by field of `LayerCounts`

    def connect(
        self, received: Received, wiring: Wiring, *, effective: int, dense: int, weights: StoredWeights, fan_in: int
    ) -> None:
        """Add the operations of a group of connections from a source; each effective one reads a weight."""
        key = (received.source, wiring, received.kind)
        group = self.groups.setdefault(key, _Group(wiring, weights, fan_in))
        group.effective += effective
        group.dense += dense
        self.counts["weight_reads"] += effective

    def biased(self, additions: int) -> None:
        self.counts["bias_additions"] += additions
        self.counts["weight_reads"] += additions

    def update(self, updates: int, with_input: int, unit: Operations) -> None:
        """Add `updates` updates of units that cost `unit` each; `with_input` of them receive input."""
        self.counts["neuron_updates"] += updates
        self.counts["neuron_updates_with_input"] += with_input
        self.counts["neuron_multiplications"] += unit.multiplications * updates
        self.counts["neuron_additions"] += unit.additions * updates
        self.counts["neuron_comparisons"] += unit.comparisons * updates
        self.counts["state_reads"] += unit.state_words * updates
        self.counts["state_writes"] += unit.state_words * updates
        self.counts["function_evaluations"] += unit.functions * updates

    def result(self, bits: int) -> LayerCounts:
        """Return what was tallied as the counts of a layer whose numbers have `bits` bits."""
        totals: dict[str, Any] = {
            name: Count(total=self.counts[name])
            for name, info in LayerCounts.model_fields.items()
            if info.annotation is Count
        }
        functions = self.counts["function_evaluations"]
        synapses = tuple(
            SynapseCounts(
                source=source,
                wiring=group.wiring,
                operation="accumulate" if kind == "binary" else "multiply_accumulate",
                weight_bits=bits,
                effective=Count(total=group.effective),
                dense=Count(total=group.dense),
                weights=group.weights.numbers,
                zero_weights=group.weights.zeros,
                fan_in=group.fan_in,
            )
            for (source, _, kind), group in self.groups.items()
        )
        return LayerCounts(
            name=self.name,
            neuron=self.module,
            neurons=self.neurons,
            state_bits=bits,
            synapses=synapses,
            function_evaluations=Count(total=functions) if functions else None,
            **totals,
        )


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
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
# Modules without an operation in evaluation mode: their outputs are their inputs.
PASSING = (nn.Flatten, nn.Unflatten, nn.Identity, *DROPOUTS)


def _linear(layer: nn.Linear, received: Received, output: Tensor, tally: Tally) -> None:
    """Tally a dense layer: an input other than 0 reaches all outputs."""
    out, inputs = layer.weight.shape
    tally.connect(
        received,
        "all_to_all",
        effective=int(torch.count_nonzero(received.x)) * out,
        dense=output.numel() * inputs,
        weights=stored(layer, "weight"),
        fan_in=inputs,
    )
    if layer.bias is not None:
        tally.biased(output.numel())


def _convolution(layer: Any, received: Received, output: Tensor, tally: Tally) -> None:
    """Each input other than 0 reaches the outputs that use it."""
    fan = fan_out(layer, received.x)
    tally.connect(
        received,
        "convolution",
        effective=round(((received.x != 0).to(fan) * fan).sum().item()),
        dense=round(fan.sum().item()) * (received.x.numel() // fan.numel()),
        weights=stored(layer, "weight"),
        fan_in=layer.weight[0].numel(),
    )
    if layer.bias is not None:
        tally.biased(output.numel())


def fan_out(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, x: Tensor) -> Tensor:
    r"""Count the synapses of each input of a convolution, exact at borders, for any padding, stride and groups.

    If all weights are 1, each synapse of input i adds 1 to the derivative of the sum of all outputs o:

    .. math:: \mathrm{fan}_i = \frac{\partial}{\partial x_i} \sum_o (\mathbf 1 * x)_o .

    `x`: an input of it, of which only the shape [batch, channels, ...] is used. Returns number of synapses of each
    input of one sample [1, channels, ...].

    >>> fan_out(nn.Conv1d(1, 2, 3, padding=1), torch.zeros(1, 1, 4))
    tensor([[[4., 6., 6., 4.]]], dtype=torch.float64)
    """
    kind: Any = type(layer)
    ones = kind(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=False,
        padding_mode=layer.padding_mode,
        dtype=torch.float64,
    )
    nn.init.ones_(ones.weight)
    with torch.enable_grad():
        shape = x.shape[-layer.weight.dim() + 1 :]
        sample = torch.zeros(1, *shape, dtype=torch.float64, requires_grad=True)
        (fan,) = torch.autograd.grad(ones(sample).sum(), sample)
    return fan.to(x.device)


def _layer_norm(layer: nn.LayerNorm | nn.GroupNorm, _: Received, output: Tensor, tally: Tally) -> None:
    """Sum, sum of squares, shift and scale; learnt weights are a fourth."""
    tally.counts["normalisation_operations"] += output.numel() * (4 if layer.weight is not None else 3)


def _pool(layer: nn.Module, received: Received, output: Tensor, tally: Tally) -> None:
    """Tally a pooling: a maximum of n values takes n - 1 operations, a mean n."""
    elements = _window_elements(layer, received.x, output)
    is_maximum = "Max" in type(layer).__name__
    tally.counts["pooling_operations"] += elements - output.numel() if is_maximum else elements


def _window_elements(layer: Any, x: Tensor, output: Tensor) -> int:
    """Count the values in all windows of a pooling of x, summed over windows, without padding."""
    name = type(layer).__name__
    dims = int(name[-2])
    inputs, outputs = x.shape[-dims:], output.shape[-dims:]
    images = output.numel() // math.prod(outputs)  # one for each sample and channel
    along_axes = [
        sum(-(-(index + 1) * size // windows) - index * size // windows for index in range(windows))
        if name.startswith("Adaptive")
        else _elements_along(layer, axis, dims, size, windows)
        for axis, (size, windows) in enumerate(zip(inputs, outputs, strict=True))
    ]
    return images * math.prod(along_axes)


def _elements_along(layer: Any, axis: int, dims: int, size: int, windows: int) -> int:
    """Count the values in all windows along one axis of x, without padding; a value in two windows counts twice.

    `dims`: number of axes that are pooled; `size`: length of the axis; `windows`: number of windows along it.
    """

    def along(name: str) -> int:
        value = getattr(layer, name, 1)  # a number for all axes, or one for each
        return value if isinstance(value, int) else value[axis if len(value) == dims else 0]

    kernel, stride, padding, dilation = map(along, ("kernel_size", "stride", "padding", "dilation"))
    starts = (index * stride - padding for index in range(windows))
    return sum(0 <= start + tap * dilation < size for start in starts for tap in range(kernel))


def _activation(layer: nn.Module, _: Received | None, output: Tensor, tally: Tally) -> None:
    """Tally an activation: comparisons if it is piecewise linear, else one evaluation of a function for each value."""
    if isinstance(layer, COMPARING):
        bounds = 2 if isinstance(layer, nn.Hardtanh) else 1  # ReLU6 is a Hardtanh
        tally.counts["neuron_comparisons"] += bounds * output.numel()
        if isinstance(layer, nn.LeakyReLU):
            tally.counts["neuron_multiplications"] += output.numel()
    else:
        tally.counts["function_evaluations"] += output.numel()


COUNTED: dict[tuple[type[nn.Module], ...], Callable[[Any, Received, Tensor, Tally], None]] = {
    (nn.Linear,): _linear,
    CONVOLUTIONS: _convolution,
    (nn.LayerNorm, nn.GroupNorm): _layer_norm,
    POOLS: _pool,
    (*COMPARING, *FUNCTIONS): _activation,
}
"""Maps classes of modules without state to the function that adds the operations of one call."""


def keeps_kind(layer: nn.Module) -> bool:
    """Return whether a module's output is binary if its input is: it passes values on, or takes maxima."""
    return isinstance(layer, PASSING) or "MaxPool" in type(layer).__name__


REDUCING = ("sum", "mean")
MODULES: Mapping[str, type[nn.Module]] = {
    module.__name__.lower(): module for module in (*POOLS, *COMPARING, *FUNCTIONS)
}


def module_like(name: str) -> type[nn.Module] | None:
    """Return the class of the torch module that does the same as a torch function; None if there is none.

    >>> module_like("leaky_relu"), module_like("matmul")
    (<class 'torch.nn.modules.activation.LeakyReLU'>, None)
    """
    return MODULES.get(name.replace("_", ""))


def is_counted(name: str) -> bool:
    return name in REDUCING or module_like(name) is not None


def count_function(
    name: str, received: Received, arguments: tuple[Sequence[Any], Mapping[str, Any]], output: Tensor, tally: Tally
) -> str:
    """Count the operations of one call of a torch function; return whether its output is "binary" or "real".

    A sum of k values takes k - 1 additions, a mean one multiplication more.
    """
    module_class = module_like(name)
    if module_class is None:
        elements = received.x.numel()
        tally.counts["pooling_operations"] += elements - output.numel() if name == "sum" else elements
        return "real"
    if module_class not in POOLS:
        _activation(module_class(), None, output, tally)
        return "real"
    by_position, by_name = arguments
    known = inspect.signature(module_class).parameters
    module = module_class(*by_position, **{key: value for key, value in by_name.items() if key in known})
    _pool(module, received, output, tally)
    return received.kind if keeps_kind(module) else "real"
