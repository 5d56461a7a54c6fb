"""A snnTorch network on sgbench's engine, with the weights that it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sgbench.custom import CustomSurrogate
from sgbench.engine.choose import Engine
from sgbench.errors import InputError
from sgbench.exchange.constructors import readout
from sgbench.exchange.snntorch_weights import from_snntorch
from sgbench.networks.layers import DenseLayer
from sgbench.neurons.base import Neuron
from sgbench.neurons.leaky import Leaky
from sgbench.signals.spikes import SparseSpikes
from sgbench.surrogates.atan import Atan
from sgbench.surrogates.base import Surrogate
from sgbench.surrogates.fast_sigmoid import FastSigmoid
from sgbench.surrogates.sigmoid import Sigmoid

SPARSE = 0.25
"""Share of inputs that are not 0 up to which they are followed one by one."""
AXES = 3
"""Of input: time, batch, channels."""
PROBE_TOLERANCE = 1e-4


class Pass(NamedTuple):
    """Holds what the last layer did over all steps."""

    spikes: Tensor  # [T, B, C]
    potential: Tensor  # membrane potential before its reset, as snnTorch returns it [T, B, C]


class SharedLayer(DenseLayer):
    """Shares the weights of snnTorch's modules with a dense layer, so that training one trains the other.

    Args:
        layer: with the neurons and the recurrence, whose own weights are left behind.
        linear: into the neurons.
        recurrent: among the neurons, or None.
    """

    def __init__(self, layer: DenseLayer, linear: nn.Linear, recurrent: nn.Module | None) -> None:
        super().__init__(
            layer.name,
            linear.in_features,
            linear.out_features,
            layer.neuron,
            recurrence=layer.recurrence,
            bias=False,
        )
        self.weight = by_columns(linear.weight)
        self.bias = linear.bias
        self.second_bias: Tensor | None = None
        if isinstance(recurrent, nn.Linear):
            self.recurrent = by_columns(recurrent.weight)
            self.second_bias = recurrent.bias

    def acting(self) -> tuple[Tensor, Tensor | None]:
        """Return the weight, and the sum of the biases that snnTorch adds in every step."""
        biases = [bias for bias in (self.bias, self.second_bias) if bias is not None]
        return self.weight, sum(biases[1:], biases[0]) if biases else None


def by_columns(weight: Any) -> nn.Parameter:
    """Lay out a weight's memory once, the values of one input side by side, as the engine reads them."""
    if not weight.T.is_contiguous():
        weight.data = weight.data.T.contiguous().T
    return weight


class Accelerated(nn.Module):
    """Runs a snnTorch network over all time steps at once.

    Its parameters are the network's own, so optimisers and `state_dict` of either serve both. Decays, thresholds
    and all else are read off the network in each pass.

    Args:
        network: whose modules are used.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        _layers(network)  # refused as soon as possible, and laid out in memory

    def forward(self, x: Tensor) -> Pass:
        """Run all time steps from the resting state.

        Args:
            x: input [T, B, N].

        Raises:
            InputError: another shape, or the network has become one that the engine does not run.
        """
        layers = _layers(self.network)
        inputs = layers[0].weight.shape[1]
        if x.dim() != AXES or x.shape[-1] != inputs:
            raise InputError(
                f"accelerate: input has shape {tuple(x.shape)}; [time, batch, {inputs}] is needed, all time steps "
                f"at once"
            )
        fires_by = _as_integrators(layers[-1])
        signal = SparseSpikes.of(x) if _is_sparse(x) else x
        engine = Engine("auto", network_device(self.network))
        output, u, _ = engine.unroll(layers, signal, keep_u=fires_by is None, keep_spikes=False)[-1]
        if output is None:
            raise AssertionError("the last layer's output is always there")
        if fires_by is not None:
            return Pass(fires_by.surrogate(output - fires_by.threshold()), output)
        if u is None:
            raise AssertionError("the last layer's potential was asked for")
        return Pass(output, u + layers[-1].neuron.threshold())  # type: ignore[operator]

    @property
    def runs_on(self) -> str:
        """Return the engine that runs the network, with the reason."""
        layers = _layers(self.network)
        _as_integrators(layers[-1])
        return ": ".join(Engine("auto", network_device(self.network)).describe(layers))


def _layers(network: nn.Module) -> list[SharedLayer]:
    """Make layers of the network as it is, which share its weights.

    Raises:
        InputError: the network is no chain that the engine runs; one line that says why.
    """
    linears, neurons = _chain(network)
    surrogates = iter([_surrogate(neuron) for neuron in neurons])
    layers = from_snntorch(_tensors(linears, neurons), make_surrogate=lambda: next(surrogates)).layers
    return [
        SharedLayer(layer, linear, getattr(neuron, "recurrent", None))  # type: ignore[arg-type]
        for layer, linear, neuron in zip(layers, linears, neurons, strict=True)
    ]


def _is_sparse(x: Tensor) -> bool:
    """Say whether few inputs differ from 0, judged by every sixteenth sample."""
    some = x[:, ::16]
    return not x.requires_grad and int(some.count_nonzero()) <= SPARSE * some.numel()


def _as_integrators(layer: SharedLayer) -> Leaky | None:
    """Turn neurons that nothing comes back to into integrators; return what they fire by, None for others.

    Without reset and recurrence the output can be the potential, from which spikes follow afterwards. The engine
    then keeps no potential of any other layer.
    """
    neuron = layer.neuron
    if not isinstance(neuron, Leaky) or neuron.next_potential.reset != "none" or layer.recurrence != "none":
        return None
    layer.neuron = readout(layer.neurons, beta=torch.as_tensor(neuron.beta()))
    return neuron


def network_device(network: nn.Module) -> torch.device:
    """Return the device of the network's first parameter."""
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


def accelerate(network: nn.Module, example: Tensor | None = None) -> Accelerated:
    """Run a snnTorch network on the fast engine: equal spikes, potentials and gradients, all time steps at once.

    The network is a chain of `nn.Linear` with `snn.Leaky`, `snn.Synaptic`, `snn.RLeaky` or `snn.RSynaptic`, in
    the order in which signals pass; its own `forward` is not called, but for the example. Weights are
    shared, not copied.

    Args:
        network: an `nn.Sequential`, or a module with these as attributes.
        example: input [T, B, N]; if it is given, a `forward` that takes all steps and returns spikes [T, B, C],
            or spikes and potentials, is held against the fast one.

    Returns:
        A module: x [T, B, N] to spikes and potentials [T, B, C] of the last layer.

    Raises:
        InputError: the network is no such chain, or computes something else on the example; one line that says why.

    Source: snnTorch 1.0 (Eshraghian et al. 2023, Proceedings of the IEEE 111(9)).

    >>> import snntorch as snn
    >>> network = nn.Sequential(nn.Linear(2, 1, bias=False), snn.Leaky(beta=0.5))
    >>> _ = nn.init.constant_(network[0].weight, 0.75)
    >>> accelerate(network)(torch.ones(2, 1, 2)).spikes.flatten().tolist()
    [1.0, 1.0]
    """
    fast = Accelerated(network)
    if example is not None:
        _compare(network, fast, example)
    return fast


def _chain(network: nn.Module) -> tuple[list[nn.Linear], list[nn.Module]]:
    """List the modules with weights or states, if they are Linear and neurons in turn."""
    leaves = [
        (name, module) for name, module in network.named_modules() if name and not _is_inside(network, name)
    ]
    used = [(name, module) for name, module in leaves if not isinstance(module, nn.Flatten | nn.Identity)]
    linears, neurons = [], []
    for place, (name, module) in enumerate(used):
        wanted = "a Linear" if place % 2 == 0 else "a Leaky, Synaptic, RLeaky or RSynaptic of snnTorch"
        fits = isinstance(module, nn.Linear) if place % 2 == 0 else _is_neuron(module)
        if not fits:
            kind = type(module)
            whose = " of sgbench" if kind.__module__.startswith("sgbench.") else ""
            raise InputError(
                f"accelerate: module '{name}' is a {kind.__name__}{whose}, and {wanted} is expected in this place"
            )
        (neurons if place % 2 else linears).append(module)  # type: ignore[arg-type]
    if not neurons or len(linears) != len(neurons):
        raise InputError(
            "accelerate: a chain of Linear and snnTorch's neurons in turn is needed, neurons last"
        )
    for neuron, (name, _) in zip(neurons, used[1::2], strict=True):
        _require_plain(neuron, name)
    return linears, neurons


def _is_inside(network: nn.Module, name: str) -> bool:
    """Say whether a module only contains others, or is a part of a neuron, snnTorch's or ours."""
    module, path = network.get_submodule(name), name.split(".")
    above = (network.get_submodule(".".join(path[:depth])) for depth in range(1, len(path)))
    holds = any(True for _ in module.children()) and not _is_whole(module)
    return holds or any(map(_is_whole, above))


def _is_whole(module: nn.Module) -> bool:
    """Say whether a module is a neuron, whose parts are its own affair."""
    return _is_neuron(module) or isinstance(module, Neuron)


def _is_neuron(module: nn.Module) -> bool:
    return type(module).__module__.startswith("snntorch.") and hasattr(module, "reset_mechanism_val")


def _require_plain(neuron: Any, name: str) -> None:
    """Refuse options of neurons that the engine treats otherwise, each by its name."""
    learnt = [
        key
        for key, parameter in neuron.named_parameters(recurse=False)
        if parameter.requires_grad and key != "V"
    ]
    options = {
        "learn_beta, learn_alpha or learn_threshold": bool(learnt),
        "inhibition=True": bool(getattr(neuron, "inhibition", False)),
        "state_quant": bool(getattr(neuron, "state_quant", False)),
        "surrogate_disable=True": bool(getattr(neuron, "surrogate_disable", False)),
        "reset_delay=False": getattr(neuron, "reset_delay", True) is False,
        "all_to_all=False": getattr(neuron, "all_to_all", True) is False,
    }
    unsupported = next((option for option, given in options.items() if given), None)
    if unsupported is not None:
        raise InputError(
            f"accelerate: module '{name}' has {unsupported}, which the engine does not do; leave it out"
        )


def _tensors(linears: Sequence[nn.Linear], neurons: Sequence[nn.Module]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for place, (linear, neuron) in enumerate(zip(linears, neurons, strict=True)):
        state |= {f"linear{place}.{key}": value for key, value in linear.state_dict().items()}
        parameters = {
            key: value for key, value in neuron.state_dict().items() if key.split(".")[0] not in STATES
        }
        state |= {f"neuron{place}.{key}": value for key, value in parameters.items()}
    return state


STATES = ("mem", "syn", "spk")
"""Buffers that `init_hidden` keeps, which are no numbers of the neuron."""
KNOWN: dict[str, Callable[[dict[str, Any]], Surrogate]] = {
    "atan": lambda given: Atan(alpha=given["alpha"], width_fwhm=None, normalisation="raw", scale=1.0),
    "fast_sigmoid": lambda given: FastSigmoid(
        slope=given["slope"], width_fwhm=None, normalisation="raw", scale=1.0
    ),
    "sigmoid": lambda given: Sigmoid(slope=given["slope"], width_fwhm=None, normalisation="raw", scale=1.0),
}
"""snnTorch's functions that the compiled engine knows by name, from what they were made with."""


def _surrogate(neuron: Any) -> Surrogate:
    """Find the neuron's surrogate: our own object, one known by name, or one read off its backward pass."""
    given = neuron.spike_grad
    if isinstance(given, Surrogate):
        return given
    name = getattr(given, "__qualname__", "").partition(".")[0]
    cells = getattr(given, "__closure__", None) or ()
    if getattr(given, "__module__", "") == "snntorch.surrogate" and name in KNOWN:
        names = given.__code__.co_freevars
        return KNOWN[name]({key: cell.cell_contents for key, cell in zip(names, cells, strict=True)})

    def slope(u: Tensor) -> Tensor:
        with torch.enable_grad():
            free = u.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(given(free).sum(), free)
        return gradient

    return CustomSurrogate(slope)


def _compare(network: nn.Module, fast: Accelerated, example: Tensor) -> None:
    """Compare the network's own forward pass with the fast one, and refuse a difference."""
    with torch.no_grad():
        ours = fast(example)
        theirs = network(example)
    theirs_by_kind = theirs if isinstance(theirs, tuple | list) else (theirs,)
    for name, one, other in zip(("spikes", "potentials"), theirs_by_kind, ours, strict=False):
        if getattr(one, "shape", None) != other.shape:
            raise InputError(
                f"accelerate: the network's forward gives {name} of shape {tuple(getattr(one, 'shape', ()))} on "
                f"the example, not {tuple(other.shape)}; let it take all time steps, or leave the example out"
            )
        apart = float((one - other).abs().max())
        if apart > PROBE_TOLERANCE:
            raise InputError(
                f"accelerate: the network's forward gives other {name} on the example (by {apart:.2g}): it does "
                f"more than pass its modules in turn"
            )
