"""Builds a network from a graph of the Neuromorphic Intermediate Representation (NIR)."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sgbench.errors import InputError, require_number
from sgbench.exchange.libraries import (
    MakeSurrogate,
    make_chain,
    make_leaky,
    make_readout,
    make_synaptic,
    make_synaptic_readout,
)
from sgbench.exchange.nir_export import decay_per_step, nir_module
from sgbench.networks.base import Chain, DenseLayer
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.layers import Layer
from sgbench.networks.pool import Pool
from sgbench.neurons.base import Neuron

PRODUCTS = ("Linear", "Affine", "Conv2d")
NEURONS = ("LIF", "IF", "LI", "I", "CubaLIF", "CubaLI")
RECURRENT = (*PRODUCTS, "Scale")
POOL = "AvgPool2d"


class GraphLayer(NamedTuple):
    """Describes one layer of a NIR graph."""

    product: Any  # node of the weights
    neurons: str  # name of the node of the neurons
    node: Any  # node of the neurons
    recurrent: Any | None  # node of the recurrent weights
    means: Any | None = None  # node of average pooling before the weights


def in_order(graph: Any) -> list[GraphLayer]:
    """List the layers of a graph from input to output; a nested graph is replaced by its nodes."""
    nodes, edges = _inlined(graph)
    begin = [name for name, node in nodes.items() if _kind(node) == "Input"]
    if len(begin) != 1:
        raise InputError(f"a graph with one input is needed, not {len(begin)}")
    here, product, means, layers = begin[0], None, None, []
    while True:
        here = _only(_successors(here, nodes, edges), here)
        kind = _kind(nodes[here])
        if kind == "Output":
            break
        if kind in PRODUCTS and product is None:
            product = nodes[here]
        elif kind in NEURONS and product is not None:
            layers.append(GraphLayer(product, here, nodes[here], _recurrent(here, nodes, edges), means))
            product = means = None
        elif kind == POOL and product is means is None and layers:
            means = nodes[here]
        elif kind != "Flatten":
            reason = "where weights are expected" if kind in NEURONS else "which no layer here stands for"
            raise InputError(
                f"node '{here}': a {kind}, {reason}; known: {', '.join((*RECURRENT, *NEURONS, POOL, 'Flatten'))}"
            )
        if len(layers) > len(nodes):
            raise InputError("the graph runs in a circle")
    if product is not None or not layers:
        raise InputError("the last weights have no neurons behind them; add LI or I nodes for a readout")
    return layers


def _kind(node: Any) -> str:
    return type(node).__name__


def _inlined(graph: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Flatten nested graphs: return all nodes by name, and all edges as pairs of names.

    An inner node `b` of the nested graph `a` is called "a/b". The nested graph's own Input and Output nodes go: an
    edge into `a` goes to the successors of its Input, and an edge out of `a` comes from the predecessors of its Output.
    """
    nodes: dict[str, Any] = {}
    edges = [(str(a), str(b)) for a, b in dict.fromkeys(map(tuple, graph.edges))]
    for name, node in graph.nodes.items():
        if not isinstance(node, nir_module().NIRGraph):
            nodes[name] = node
            continue
        inner_nodes, inner_edges = _inlined(node)
        ends = ("Input", "Output")
        new_name = {
            inner: name if _kind(inner_node) in ends else f"{name}/{inner}" for inner, inner_node in inner_nodes.items()
        }
        after_input = [new_name[b] for a, b in inner_edges if _kind(inner_nodes[a]) == "Input"]
        before_output = [new_name[a] for a, b in inner_edges if _kind(inner_nodes[b]) == "Output"]
        nodes |= {new_name[inner]: each for inner, each in inner_nodes.items() if _kind(each) not in ends}
        rerouted = [edge for edge in edges if name not in edge]
        rerouted += [(a, b) for a, target in edges if target == name for b in after_input]
        rerouted += [(a, b) for source, b in edges if source == name for a in before_output]
        renamed = [(new_name[a], new_name[b]) for a, b in inner_edges]
        edges = rerouted + [edge for edge in renamed if name not in edge]
    return nodes, edges


def _successors(here: str, nodes: dict[str, Any], edges: list[tuple[str, str]]) -> list[str]:
    """Return the nodes that a node goes on to, without those that lead back to it."""
    successors = [b for a, b in edges if a == here]
    missing = [name for name in successors if name not in nodes]
    if missing:
        raise InputError(f"edge to '{missing[0]}': no such node")
    return [name for name in successors if not _loops(name, here, edges)]


def _loops(weights: str, neurons: str, edges: list[tuple[str, str]]) -> bool:
    return [b for a, b in edges if a == weights] == [neurons]


def _only(names: list[str], here: str) -> str:
    if len(names) != 1:
        raise InputError(f"node '{here}': goes on to {len(names)} nodes; layers one after another are needed")
    return names[0]


def _recurrent(neurons: str, nodes: dict[str, Any], edges: list[tuple[str, str]]) -> Any | None:
    """Return the node through which neurons reach themselves again; None if there is none."""
    recurrent = [b for a, b in edges if a == neurons and _loops(b, neurons, edges)]
    if len(recurrent) > 1:
        raise InputError(f"node '{neurons}': has {len(recurrent)} recurrent connections; one is known here")
    if recurrent and _kind(nodes[recurrent[0]]) not in RECURRENT:
        raise InputError(
            f"node '{recurrent[0]}': a {_kind(nodes[recurrent[0]])} among neurons, which no layer here stands for"
        )
    return nodes[recurrent[0]] if recurrent else None


NEAR = 1e-9  # of a gain to 1, which rounding of time constants explains
MATRIX = 2  # dimensions of dense weights


def from_nir(graph: Any, *, make_surrogate: MakeSurrogate, dt_s: float | None = None, step: str | None = None) -> Chain:
    """Build the network that a graph describes; neuron parameters are fixed, weights can be trained.

    Gains other than 1 go into the weights. A neuron that fires is reset to 0 before the next step, and recurrent
    spikes arrive one step later.

    `graph`: a graph of layers one after another, read by `nir.read`. `make_surrogate`: returns a surrogate for each
    layer, since NIR has none. `dt_s`: duration of a time step [s]; None takes that of the graph's metadata. `step`:
    "euler" or "exponential", how decays follow from time constants; None takes that of the metadata, or Euler.

    Raises:
        InputError: no network here does the same; names the node and the reason.
    """
    metadata = graph.metadata if isinstance(graph.metadata, dict) else {}
    if dt_s is None:
        if "dt_s" not in metadata:
            raise InputError("the graph does not say how long a time step is; give dt_s")
        dt_s = float(metadata["dt_s"])
    require_number("dt_s", dt_s, low=0, open_low=True)
    clock = _Clock(dt_s, str(metadata.get("step", "euler")) if step is None else step)
    graph_layers = in_order(graph)
    layers: list[Layer] = []
    for position, source in enumerate(graph_layers):
        name = "readout" if position == len(graph_layers) - 1 else f"hidden{position}"
        try:
            layer = _layer(name, source, make_surrogate, clock)
            if source.means is not None:
                layer.pool_in = _pool(source.means, layers[-1], layer)
            layers.append(layer)
        except InputError as error:
            raise InputError(f"node '{source.neurons}': {error}") from error
    return make_chain(layers, layers[0].weight.dtype)  # type: ignore[arg-type]


def _pool(node: Any, before: Layer, layer: Layer) -> Pool:
    """Convert a node of means to the pooling between two layers; InputError for windows that overlap."""
    window, stride = (tuple(np.broadcast_to(side, 2).tolist()) for side in (node.kernel_size, node.stride))
    if not isinstance(before, ConvLayer) or window != stride or np.any(node.padding):
        raise InputError("means are taken of images, in windows side by side without padding")
    pool = Pool("average", before.image_out, *window)
    wanted = layer.image_in if isinstance(layer, ConvLayer) else (layer.weight.shape[1],)
    if pool.image_out != wanted and math.prod(pool.image_out) != wanted[0]:
        raise InputError(f"means of {pool.image_out} in front of weights for {wanted}")
    return pool


class _Clock(NamedTuple):
    """Converts time constants for a time step [s] and a kind of step, "euler" or "exponential"."""

    dt_s: float
    step: str

    def decay(self, tau: Any) -> Tensor:
        """Convert time constants [s] of N neurons to decays per step, float64 [N]."""
        return torch.from_numpy(decay_per_step(_flat(tau), self.dt_s, self.step))


def _layer(name: str, source: GraphLayer, make_surrogate: MakeSurrogate, clock: _Clock) -> DenseLayer | ConvLayer:
    """Make a layer of a node of neurons and the weights before it; gains of the neurons go into the weights."""
    neuron, gain = _neurons(source.node, make_surrogate, clock)
    product, recurrent = source.product, source.recurrent
    bias = _total_bias(product, recurrent)
    wiring = "none" if recurrent is None else "one_to_one" if hasattr(recurrent, "scale") else "all_to_all"
    if np.ndim(product.weight) == MATRIX:
        rows, inputs = np.shape(product.weight)
        if rows != len(gain):
            raise InputError(f"{len(gain)} neurons behind weights of {rows} rows")
        layer = DenseLayer(name, inputs, rows, neuron, recurrence=wiring, bias=bias is not None)
        row_gain = gain
    else:
        layer = _convolution(name, product, len(gain), neuron, wiring, bias=bias is not None)
        row_gain = gain[:1].expand(len(product.weight))
        if not bool((gain == gain[0]).all()):
            raise InputError("gains that differ within an image cannot go into its shared weights")
    layer.weight = _times(product.weight, row_gain)
    layer.bias = None if bias is None else _times(bias, row_gain)
    if recurrent is not None:
        layer.recurrent = _recurrent_weights(recurrent, layer, gain, row_gain)
    return layer


def _recurrent_weights(recurrent: Any, layer: DenseLayer | ConvLayer, gain: Tensor, row_gain: Tensor) -> nn.Parameter:
    """Multiply the weights from a layer's spikes to itself by the gain of its neurons.

    NIR has either `scale`, one weight from each neuron to itself, or `weight`, those among all neurons. `gain`: of
    each neuron; `row_gain`: of each row of `weight`, which is an output channel in a convolution.
    """
    if hasattr(recurrent, "scale"):
        scale = np.broadcast_to(np.reshape(recurrent.scale, -1), (layer.neurons,))
        return _times(scale, gain)
    if isinstance(layer, ConvLayer):
        _check_convolution(recurrent, stride=1)
    if np.shape(recurrent.weight)[:2] != (len(row_gain), len(row_gain)):
        raise InputError(f"weights among neurons of shape {np.shape(recurrent.weight)}, which do not fit")
    return _times(recurrent.weight, row_gain)


def _neurons(node: Any, make_surrogate: MakeSurrogate, clock: _Clock) -> tuple[Neuron, Tensor]:
    """Make a node's neurons; return them, and the gain [N] of their current, which the weights take up."""
    kind = _kind(node)
    for name in ("v_leak", "v_reset"):
        if np.any(getattr(node, name, 0.0) != 0):
            raise InputError(f"{name} is not 0, and neurons here rest at 0 and are reset to it")
    alpha = None
    if kind in ("IF", "I"):
        gain = torch.from_numpy(_flat(node.r) * clock.dt_s)
        beta = torch.ones_like(gain)
    elif kind in ("CubaLIF", "CubaLI"):
        alpha, beta = clock.decay(node.tau_syn), clock.decay(node.tau_mem)
        gain = (1 - alpha) * torch.from_numpy(_flat(node.w_in)) * (1 - beta) * torch.from_numpy(_flat(node.r))
    else:
        beta = clock.decay(node.tau)
        gain = (1 - beta) * torch.from_numpy(_flat(node.r))
    gain = torch.where((gain - 1).abs() < NEAR, torch.ones_like(gain), gain)
    neurons = len(gain)
    if kind == "CubaLI":
        return make_synaptic_readout(neurons, alpha=alpha, beta=beta), gain  # type: ignore[arg-type]
    if kind in ("LI", "I"):
        return make_readout(neurons, beta=beta), gain
    numbers = {"beta": beta, "threshold": torch.from_numpy(_flat(node.v_threshold))}
    if alpha is not None:
        return make_synaptic(make_surrogate(), neurons, alpha=alpha, **numbers, reset="zero"), gain
    return make_leaky(make_surrogate(), neurons, **numbers, reset="zero"), gain


def _convolution(name: str, product: Any, neurons: int, neuron: Neuron, wiring: str, *, bias: bool) -> ConvLayer:
    """Build a convolutional layer of the shape of the node `product`, whose weights are set later."""
    weight, stride = product.weight, int(np.ravel(product.stride)[0])
    _check_convolution(product, stride=stride)
    if product.input_shape is None:
        raise InputError("a convolution without the size of its image (input_shape)")
    height, width = (int(side) for side in product.input_shape)
    layer = ConvLayer(
        name,
        (int(weight.shape[1]), height, width),
        len(weight),
        lambda _: neuron,
        kernel_size=int(weight.shape[-1]),
        stride=stride,
        recurrence=wiring,
        recurrence_gradient="full",
        bias=bias,
    )
    if layer.neurons != neurons:
        raise InputError(f"{neurons} neurons behind a convolution onto {layer.neurons} pixels")
    return layer


def _check_convolution(product: Any, *, stride: int) -> None:
    """Raise an `InputError` for a convolution that `ConvLayer` does not support."""
    sides = np.shape(product.weight)[2:]
    padding = product.padding if isinstance(product.padding, str) else set(np.ravel(product.padding).tolist())
    is_padded_by_half = stride == 1 if padding == "same" else padding == {sides[-1] // 2}
    wrong = (
        len(set(sides)) != 1 or sides[0] % 2 == 0,
        not is_padded_by_half,
        set(np.ravel(product.stride).tolist()) != {stride},
        set(np.ravel(product.dilation).tolist()) != {1},
        int(product.groups) != 1,
    )
    if any(wrong):
        raise InputError(
            "convolutions here have square kernels of odd size, padded by half of it, one stride, no dilation and "
            "no groups"
        )


def _total_bias(product: Any, recurrent: Any | None) -> np.ndarray | None:
    """Sum the biases of feed-forward and recurrent weights; None if all are 0."""
    biases = [getattr(weights, "bias", None) for weights in (product, recurrent)]
    nonzero = [np.asarray(bias) for bias in biases if bias is not None and np.any(bias != 0)]
    return sum(nonzero[1:], nonzero[0]) if nonzero else None


def _times(weight: Any, gain: Tensor) -> nn.Parameter:
    """Multiply weights by a gain [rows] of each row; a gain of 1 changes no bit."""
    value = torch.from_numpy(np.array(weight))
    if not value.is_floating_point():
        value = value.double()
    if not bool((gain == 1).all()):
        value = value * gain.view(-1, *[1] * (value.dim() - 1)).to(value.dtype)
    return nn.Parameter(value)


def _flat(values: Any) -> np.ndarray:
    return np.array(values, np.float64).reshape(-1)
