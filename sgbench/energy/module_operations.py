"""Operation counts of one call of a torch module or function, added to the totals of its layer."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sgbench.errors import InputError
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
        self,
        received: Received,
        wiring: Wiring,
        *,
        effective: int,
        dense: int,
        weights: StoredWeights,
        fan_in: int,
    ) -> None:
        """Add the operations of a group of connections from a source; each effective one reads a weight."""
        key = (received.source, wiring, received.kind)
        group = self.groups.setdefault(key, _Group(wiring, weights, fan_in))
        group.effective += effective
        group.dense += dense
        self.counts["weight_reads"] += effective

    def biased(self, additions: int) -> None:
        """Add so many additions of a bias, each of which reads a weight."""
        self.counts["bias_additions"] += additions
        self.counts["weight_reads"] += additions

    def update(self, updates: int, with_input: int, unit: Operations) -> None:
        """Add the operations of updates of neurons, each of which reads and writes its state."""
        self.counts["neuron_updates"] += updates
        self.counts["neuron_updates_with_input"] += with_input
        self.counts["neuron_multiplications"] += unit.multiplications * updates
        self.counts["neuron_additions"] += unit.additions * updates
        self.counts["neuron_comparisons"] += unit.comparisons * updates
        self.counts["state_reads"] += unit.state_words * updates
        self.counts["state_writes"] += unit.state_words * updates
        self.counts["function_evaluations"] += unit.functions * updates

    def result(self, bits: int) -> LayerCounts:
        """Return the totals in the form of a record; bits: of a weight and of a state variable."""
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
SEQUENCES = (nn.RNN, nn.GRU, nn.LSTM)
CELLS = (nn.RNNCell, nn.GRUCell, nn.LSTMCell)


def _linear(layer: nn.Linear, received: Received, output: Tensor, tally: Tally) -> None:
    """Each input other than 0 reaches every output."""
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

    Args:
        layer: the convolution.
        x: an input of it, of which only the shape [batch, channels, ...] is used.

    Returns:
        Number of synapses of each input of one sample [1, channels, ...].

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
    """Count k operations for the mean of a window of k values, k - 1 for its maximum."""
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
    """Count the values in all windows of a pooling along one of `dims` axes, of `size` values, without padding."""

    def along(name: str) -> int:
        value = getattr(layer, name, 1)
        return value if isinstance(value, int) else value[axis if len(value) == dims else 0]

    kernel, stride, padding, dilation = map(along, ("kernel_size", "stride", "padding", "dilation"))
    starts = (index * stride - padding for index in range(windows))
    return sum(0 <= start + tap * dilation < size for start in starts for tap in range(kernel))


def _activation(layer: nn.Module, _: Received | None, output: Tensor, tally: Tally) -> None:
    """One or two comparisons a value, and a multiplication for a leaky ReLU; or one evaluation of a function."""
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


def _unit(module: Any) -> tuple[int, Operations]:
    r"""Return the weighted sums of one unit of a recurrent module, and its other operations, by torch's equations.

    LSTM: sums of W x and U h for four gates, three sigmoids, two tanh, :math:`f c + i g` and :math:`o \tanh c`.
    GRU: sums for three gates, two sigmoids, one tanh, :math:`r (U h)`, :math:`(1 - z) n + z h`. RNN: one sum, and
    tanh or ReLU.
    """
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return 4, Operations(3, 5, 0, 2, functions=5)
    if isinstance(module, nn.GRU | nn.GRUCell):
        return 3, Operations(3, 5, 0, 1, functions=3)
    is_relu = module.nonlinearity == "relu"
    return 1, Operations(0, 1, int(is_relu), 1, functions=int(not is_relu))


GetTally = Callable[[str, str, int], Tally]
"""Function that returns the tally of a layer, given its name, its class's name and its number of neurons."""


def count_sequence(module: Any, received: Received, state: object, name: str, tally: GetTally) -> None:
    """Add the operations of one call of an RNN, GRU or LSTM, each layer and direction to a tally of its own.

    Raises:
        InputError: the module has a projection, or a first state is given; neither is counted.
    """
    if getattr(module, "proj_size", 0):
        raise InputError(f"'{name}': a projection of the state (proj_size) is not counted")
    if state is not None:
        raise InputError(f"'{name}': a first state that is given is not counted; start from zeros")
    x = received.x.transpose(0, 1) if module.batch_first and received.x.dim() == 3 else received.x  # noqa: PLR2004
    x = x.unsqueeze(1) if x.dim() == 2 else x  # noqa: PLR2004
    source, kind = received.source, received.kind
    for layer in range(module.num_layers):
        outputs = []
        for suffix in ("", "_reverse")[: 2 if module.bidirectional else 1]:
            single = _one_layer(module, layer, suffix)
            layer_input = x.flip(0) if suffix else x
            with torch.no_grad():
                hidden = single(layer_input)[0]
            before = torch.cat([torch.zeros_like(hidden[:1]), hidden[:-1]])
            layer_tally = tally(f"{name}.l{layer}{suffix}", type(module).__name__, module.hidden_size)
            _count_units(single, Received(layer_input, source, kind), before, layer_tally)
            outputs.append(hidden.flip(0) if suffix else hidden)
        x, source, kind = torch.cat(outputs, 2), f"{name}.l{layer}", "real"


def _one_layer(module: Any, layer: int, suffix: str) -> Any:
    """Return a module with one layer and direction of `module`; suffix: "_reverse" for the backward direction."""
    end = f"_l{layer}{suffix}"
    weights = {
        f"{name.removesuffix(end)}_l0": weight
        for name, weight in module.state_dict().items()
        if name.endswith(end)
    }
    first = weights["weight_ih_l0"]
    extra = {"nonlinearity": module.nonlinearity} if isinstance(module, nn.RNN) else {}
    options = {"bias": module.bias, "dtype": first.dtype, "device": first.device}
    single = type(module)(first.shape[1], module.hidden_size, **options, **extra)
    single.load_state_dict(weights)
    return single


def count_cell(module: Any, received: Received, state: Tensor | None, tally: Tally) -> None:
    """Add the operations of one step of a cell; state: hidden state before it [B, H], None for zeros."""
    rows = received.x.numel() // module.input_size
    before = received.x.new_zeros(rows, module.hidden_size) if state is None else state
    _count_units(module, received, before, tally)


def _count_units(module: Any, received: Received, before: Tensor, tally: Tally) -> None:
    """Add the operations of a recurrent layer of one direction, or a cell; before: hidden states [..., H]."""
    gates, unit = _unit(module)
    fan_out = gates * module.hidden_size
    rows = before.numel() // module.hidden_size
    end = "_l0" if isinstance(module, nn.RNNBase) else ""
    own = Received(before, tally.name, "real")
    for sender, weight in ((received, f"weight_ih{end}"), (own, f"weight_hh{end}")):
        inputs = sender.x.numel() // rows
        tally.connect(
            sender,
            "all_to_all",
            effective=int(torch.count_nonzero(sender.x)) * fan_out,
            dense=rows * inputs * fan_out,
            weights=stored(module, weight),
            fan_in=inputs * gates,
        )
    updates = rows * module.hidden_size
    if module.bias:
        tally.biased(2 * gates * updates)
    tally.update(updates, updates, unit)  # the hidden state reaches each unit in every step


NEURONS: dict[str, Operations] = {  # of snnTorch: operations and state words of an update
    "Leaky": Operations(1, 2, 1, 1),  # beta u; + I, - theta s; > theta; u
    "Lapicque": Operations(1, 2, 1, 1),  # with its beta of R, C and the time step
    "RLeaky": Operations(1, 3, 1, 1),  # the same, and V s joins
    "Synaptic": Operations(2, 3, 1, 2),  # alpha i, beta u; + I, + i, - theta s
    "RSynaptic": Operations(2, 4, 1, 2),
    "Alpha": Operations(
        3, 6, 1, 3
    ),  # alpha e, beta i, tau (e + i); + I, - I, a reset of each of three states
    "SLSTM": Operations(0, 1, 1, 0),  # its cell is counted apart; - theta s, > theta
}


def neuron_operations(module: nn.Module) -> Operations | None:
    """Return the operations of an update of snnTorch's neurons, also of a class with their `forward`; else None."""
    for base in type(module).__mro__:
        if base.__module__.startswith("snntorch._neurons.") and base.__name__ in NEURONS:
            return NEURONS[base.__name__] if type(module).forward is base.forward else None  # type: ignore[attr-defined]
    return None


def count_neurons(module: Any, received: Received, spikes: Tensor, tally: Tally) -> None:
    """Add the operations of one step of snnTorch's neurons; graded spikes take a multiplication more."""
    unit = neuron_operations(module)
    assert unit is not None  # noqa: S101 - the caller looked it up
    tally.update(spikes.numel(), int(torch.count_nonzero(received.x)), unit)
    sent = int(torch.count_nonzero(spikes))
    tally.counts["spikes_sent"] += sent
    tally.counts["neuron_multiplications"] += sent if is_graded(module) else 0
    tally.counts["neuron_comparisons"] += spikes.numel() if getattr(module, "inhibition", False) else 0


def is_graded(module: Any) -> bool:
    """Return whether spikes of snnTorch's neurons are scaled, so that they are numbers."""
    return bool((torch.as_tensor(getattr(module, "graded_spikes_factor", 1.0)) != 1).any())


def count_one_to_one(module: nn.Module, received: Received, tally: Tally) -> None:
    """Add the operations of one-to-one recurrent weights: each spike in x reaches the neuron that sent it."""
    weights = StoredWeights(
        sum(weight.numel() for weight in module.parameters()),
        sum(int((weight == 0).sum()) for weight in module.parameters()),
    )
    active = int(torch.count_nonzero(received.x))
    tally.connect(
        received._replace(kind="binary"),
        "one_to_one",
        effective=active,
        dense=received.x.numel(),
        weights=weights,
        fan_in=1,
    )


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


def count_function(
    name: str,
    received: Received,
    arguments: tuple[Sequence[Any], Mapping[str, Any]],
    output: Tensor,
    tally: Tally,
) -> str:
    """Count the operations of one call of a torch function; return whether its output is "binary" or "real".

    A sum of k values takes k - 1 additions, a mean one multiplication more.

    Args:
        name: of the function, of `REDUCING` or with a `module_like` it.
        received: its input tensor.
        arguments: its other arguments, (by position, by name).
        output: its result.
        tally: to which the operations are added.
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
