r"""Converts a network to a graph of the Neuromorphic Intermediate Representation (NIR).

NIR states :math:`\tau \dot v = -v + R I` and leaves the step to the simulator. Of two usual steps of length dt,

.. math::
    \text{euler: } & v \leftarrow (1 - dt/\tau) v + (dt/\tau) R I \\
    \text{exponential: } & v \leftarrow e^{-dt/\tau} v + (1 - e^{-dt/\tau}) R I

the first is what snnTorch, Norse and NIR's own examples do.
"""

import importlib
import types
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastspiking.spec import Coefficient, LinearSpec
from sgbench.errors import InputError, require_choice, require_number
from sgbench.exchange.whole_numbers import Layer, require_linear, require_steps
from sgbench.networks.base import Chain, DenseLayer, Network
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.spike_times import SpikeTimes

Numbers = NDArray[np.float64]
STEPS = ("euler", "exponential")


def nir_module() -> types.ModuleType:
    try:
        return importlib.import_module("nir")
    except ImportError as error:
        raise InputError("NIR needs the package nir; pip install 'sgbench[nir]'") from error


def to_nir(network: Network, *, dt_s: float, step: str = "euler", unit_resistance: bool = False) -> Any:
    r"""Convert a network to a graph, whose metadata state what NIR leaves open: time step, integration, delays.

    The nodes of a layer are average pooling of its input (AvgPool2d), its weights (Linear, Affine or Conv2d), its
    neurons (LIF, CubaLIF, IF, LI, CubaLI or I, by their parameters) and recurrent weights, through which a spike
    arrives one step later. An integrator behind a synapse is two nodes. A NIR neuron that fires is set to a
    potential, which is `reset=zero` here. NIR has no reset that subtracts, no adaptation, gates, compartments or
    delays of single synapses, and only spikes of 0 and 1; other networks are refused. For networks with spikes
    between steps the metadata states whether neurons fire at most once (`spikes`), which no node can.

    `network`: a chain of dense and convolutional layers, in evaluation mode if it has normalisation or dropout. `dt_s`:
    duration of a time step [s]. `step`: how a simulator integrates: "euler", of decay 1 - dt / tau, or "exponential",
    of decay exp(-dt / tau). `unit_resistance`: whether gains go into the weights, so that R = 1 and w_in = 1, which
    Norse 1.1 assumes; weights are then rounded once more.

    Source: Pedersen et al. 2024, Nature Communications 15:8122; nir 1.0.8.
    """
    if not isinstance(network, Chain | SpikeTimes):
        raise InputError(f"NIR: {type(network).__name__} is no chain of layers, which alone is written")
    nir = nir_module()
    require_number("dt_s", dt_s, low=0, open_low=True)
    if require_choice("step", step, STEPS) == "euler" and isinstance(network, SpikeTimes):
        raise InputError("step=euler: spikes between steps are those of exact decays; use step=exponential")
    first = network.layers[0]
    shape = first.image_in if isinstance(first, ConvLayer) else (first.weight.shape[1],)  # type: ignore[union-attr]
    nodes: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array(shape)})}
    edges: list[tuple[str, str]] = []
    last = "input"
    for layer in map(_require_nir_layer, network.layers):
        if layer.pool_in is not None:
            pool = f"{layer.name}.pool"
            side = np.array(layer.pool_in.window)  # pixels outside the last whole window are left out
            nodes[pool] = nir.AvgPool2d(kernel_size=side, stride=side, padding=np.zeros(2, int))
            edges.append((last, pool))
            last, shape = pool, layer.pool_in.image_out
        # Images become flat where a dense layer follows.
        if isinstance(layer, DenseLayer) and len(shape) > 1:
            flatten = f"{layer.name}.flatten"
            nodes[flatten] = nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1)
            edges.append((last, flatten))
            last = flatten
        shape = layer.image_out if isinstance(layer, ConvLayer) else (layer.neurons,)
        own_nodes, own_edges = _layer_graph(layer, shape, dt_s, step, unit_resistance=unit_resistance)
        nodes |= own_nodes
        edges += [(last, f"{layer.name}.weights"), *own_edges]
        last = f"{layer.name}.neurons"
    nodes["output"] = nir.Output(output_type={"output": np.array(shape)})
    edges.append((last, "output"))
    return nir.NIRGraph(nodes=nodes, edges=edges, metadata=_metadata(network, dt_s, step))


def reader_warnings(graph: Any) -> list[str]:
    """Return a warning that names the nodes of a graph which other readers refuse or ignore; empty without any."""
    kinds = {type(node).__name__ for node in graph.nodes.values()}
    silent = sorted(kinds & {"LI", "I", "CubaLI"})
    if not silent:
        return []
    return [
        f"snnTorch and SpikingJelly refuse its {' and '.join(silent)} nodes, and Norse passes over them without a "
        f"word; for these: sgbench export --for"
    ]


def _layer_graph(
    layer: Layer, shape: tuple[int, ...], dt_s: float, step: str, *, unit_resistance: bool
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return a layer's NIR nodes by name, and edges: weights, synapses if there are any, neurons, recurrence."""
    weights, neurons, recurrent = (f"{layer.name}.{part}" for part in ("weights", "neurons", "recurrent"))
    nodes: dict[str, Any] = {weights: _product(layer)}
    edges = []
    entry = weights
    if _integrates_behind_a_synapse(layer):
        entry = f"{layer.name}.synapses"
        nodes[entry] = _synapses(layer, shape, dt_s, step)
        edges.append((weights, entry))
    nodes[neurons] = _neurons(layer, shape, dt_s, step)
    edges.append((entry, neurons))
    if layer.recurrent is not None:
        nodes[recurrent] = _recurrence(layer)
        edges += [(neurons, recurrent), (recurrent, neurons)]
    if unit_resistance:
        _fold_gain(layer.name, nodes[neurons], [nodes[key] for key in (weights, recurrent) if key in nodes])
    return nodes, edges


def _metadata(network: Chain | SpikeTimes, dt_s: float, step: str) -> dict[str, Any]:
    """Write what a graph leaves open: the time step, the integration scheme, and the delay of a spike."""
    metadata: dict[str, Any] = {
        "dt_s": dt_s,
        "step": step,
        "reset": "same step, to 0",
        "recurrent_delay_steps": 1,
        "writer": "sgbench",
    }
    if isinstance(network, SpikeTimes):
        metadata |= {"spikes": network.firings, "recurrent_delay_steps": 0}
    return metadata


def _require_nir_layer(layer: object) -> Layer:
    """Return a layer; raise an `InputError` unless it steps through time and pools at most averages of spikes."""
    checked = require_steps(layer, "NIR")
    if checked.pool_out is not None or (checked.pool_in is not None and checked.pool_in.kind != "average"):
        raise InputError(
            f"layer '{checked.name}': NIR has means of spikes alone; use network.pooling=none, or "
            "network.pooling=average network.pooling_of=spikes"
        )
    return checked


def _fold_gain(name: str, neurons: Any, products: list[Any]) -> None:
    """Move the gain of a layer's neurons into the nodes of the weights that lead to them, which are modified."""
    gain = neurons.r * getattr(neurons, "w_in", 1.0)
    for key in {"r", "w_in"} & vars(neurons).keys():
        setattr(neurons, key, np.ones_like(gain))
    for product in products:
        if hasattr(product, "scale"):
            product.scale = (product.scale * gain).astype(product.scale.dtype)
            continue
        rows = gain.reshape(len(product.weight), -1)
        if (rows != rows[:, :1]).any():
            raise InputError(f"layer '{name}': gains that differ within an image cannot go into its shared weights")
        for field in {"weight", "bias"} & vars(product).keys():
            values = getattr(product, field)
            scaled = values * rows[:, 0].reshape(-1, *[1] * (values.ndim - 1))
            setattr(product, field, scaled.astype(values.dtype))


def _product(layer: Layer) -> Any:
    """Return the NIR node of a layer's feed-forward weights."""
    nir = nir_module()
    weights, biases = layer.weights_in_use()
    weight = _array(weights)
    if isinstance(layer, ConvLayer):
        bias = np.zeros(len(weight), weight.dtype) if biases is None else _array(biases)
        return _conv2d(layer.image_in, weight, layer.stride, bias)
    return nir.Linear(weight=weight) if biases is None else nir.Affine(weight=weight, bias=_array(biases))


def _recurrence(layer: Layer) -> Any:
    """Return the NIR node of a layer's recurrent weights."""
    nir = nir_module()
    weight = _array(layer.recurrent)  # type: ignore[arg-type]
    if layer.recurrence == "one_to_one":
        shape = layer.image_out if isinstance(layer, ConvLayer) else (layer.neurons,)
        return nir.Scale(scale=weight.reshape(shape))
    if isinstance(layer, ConvLayer):
        return _conv2d(layer.image_out, weight, 1, np.zeros(len(weight), weight.dtype))
    return nir.Linear(weight=weight)


def _conv2d(image: tuple[int, int, int], weight: np.ndarray, stride: int, bias: np.ndarray) -> Any:
    """Make the node of a convolution of images [C, H, W], padded by half of its kernel."""
    pad = weight.shape[-1] // 2
    return nir_module().Conv2d(
        input_shape=image[1:], weight=weight, stride=stride, padding=pad, dilation=1, groups=1, bias=bias
    )


def _neurons(layer: Layer, shape: tuple[int, ...], dt_s: float, step: str) -> Any:
    """Make the node of a layer's neurons, of a shape; raise an `InputError` for neurons without one."""
    nir = nir_module()
    spec = _nir_coefficients(layer)

    def numbers(value: Coefficient) -> Numbers:
        array = value.detach().cpu().double().numpy() if isinstance(value, Tensor) else np.float64(value)
        return np.broadcast_to(array.reshape(shape) if np.size(array) > 1 else array, shape).copy()

    beta, zeros = numbers(spec.decay), np.zeros(shape)
    firing = {} if spec.surrogate is None else {"v_threshold": numbers(spec.threshold), "v_reset": zeros}
    if _integrates_behind_a_synapse(layer):
        return (nir.IF if firing else nir.I)(r=numbers(spec.coupling) / dt_s, **firing)
    if spec.second is not None:  # a synaptic current
        alpha = numbers(spec.second_decay)
        _require_leaks(layer, alpha, beta)
        return (nir.CubaLIF if firing else nir.CubaLI)(
            tau_syn=time_constant(alpha, dt_s, step),
            tau_mem=time_constant(beta, dt_s, step),
            w_in=numbers(spec.second_input) / (1 - alpha),
            r=numbers(spec.coupling) / (1 - beta),
            v_leak=zeros,
            **firing,
        )
    if (beta == 1).all():
        return (nir.IF if firing else nir.I)(r=numbers(spec.input) / dt_s, **firing)
    _require_leaks(layer, beta)
    tau = time_constant(beta, dt_s, step)
    return (nir.LIF if firing else nir.LI)(tau=tau, r=numbers(spec.input) / (1 - beta), v_leak=zeros, **firing)


def _integrates_behind_a_synapse(layer: Layer) -> bool:
    """Return whether a layer's neurons integrate a synaptic current without a leak, for which NIR has two nodes."""
    spec = layer.neuron.recurrence_spec()
    return spec is not None and spec.second is not None and bool((torch.as_tensor(spec.decay) == 1).all())


def _synapses(layer: Layer, shape: tuple[int, ...], dt_s: float, step: str) -> Any:
    """Return the NIR node of synapses whose current decays."""
    spec: Any = layer.neuron.recurrence_spec()
    alpha = np.full(shape, float(spec.second_decay))
    tau = time_constant(alpha, dt_s, step)
    return nir_module().LI(tau=tau, r=float(spec.second_input) / (1 - alpha), v_leak=np.zeros(shape))


def _require_leaks(layer: Layer, *decays: Numbers) -> None:
    if any((decay >= 1).any() for decay in decays):
        raise InputError(
            f"layer '{layer.name}': some of its decays are 1, so their time constants are infinite; "
            f"NIR has integrators only without a synapse and for all neurons of a layer"
        )


def _nir_coefficients(layer: Layer) -> LinearSpec:
    """Return the layer's linear equations; InputError for a reset that NIR has not."""
    spec = require_linear(layer, "NIR")
    if spec.surrogate is not None and spec.reset != "zero":
        raise InputError(
            f"layer '{layer.name}': its reset is {spec.reset}, and NIR sets a potential when a neuron fires; "
            f"train with neuron.reset=zero (reset_mechanism='zero' in snnTorch), or write the network for a "
            f"library, which has it: sgbench export --for"
        )
    return spec


def _array(weight: Tensor) -> np.ndarray:
    return np.ascontiguousarray(weight.detach().cpu().numpy())


def time_constant(decay: Numbers, dt_s: float, step: str) -> Numbers:
    """Convert decays per step in [0, 1) to time constants tau [s] for a step of "euler" or "exponential".

    >>> time_constant(np.array([0.9]), 0.001, "euler").round(6).tolist()
    [0.01]
    """
    if require_choice("step", step, STEPS) == "euler":
        return dt_s / (1 - decay)
    if (decay <= 0).any():
        raise InputError("step=exponential: a decay of 0 per step has no time constant; use step=euler")
    return -dt_s / np.log(decay)


def decay_per_step(tau_s: Numbers, dt_s: float, step: str) -> Numbers:
    """Convert time constants [s] to decays per step in [0, 1) for a step of "euler" or "exponential".

    >>> decay_per_step(np.array([0.01]), 0.001, "euler").tolist()
    [0.9]
    """
    if not (tau_s > 0).all():
        raise InputError("a time constant above 0 is needed")
    if require_choice("step", step, STEPS) == "exponential":
        return np.exp(-dt_s / tau_s)
    if (tau_s < dt_s).any():
        raise InputError(
            f"a time constant of {tau_s.min():g} s is shorter than the time step of {dt_s:g} s; use a shorter step"
        )
    return 1 - dt_s / tau_s
