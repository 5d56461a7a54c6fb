"""A network from a graph of the Neuromorphic Intermediate Representation."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sgbench.errors import InputError, require_number
from sgbench.exchange import constructors
from sgbench.exchange.constructors import MakeSurrogate
from sgbench.exchange.nir_export import nir_module
from sgbench.exchange.time_constants import decay_per_step
from sgbench.networks.base import Chain, DenseLayer
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.layers import Layer
from sgbench.networks.pool import Pool
from sgbench.neurons.base import Neuron

PRODUCTS = ("Linear", "Affine", "Conv2d")
NEURONS = ("LIF", "IF", "LI", "I", "CubaLIF")
RECURRENT = (*PRODUCTS, "Scale")
POOL = "AvgPool2d"


class GraphLayer(NamedTuple):
    """Describes one layer of a NIR graph."""

    product: Any  # node of the weights
    neurons: str  # name of the neurons' node
    node: Any  # the neurons' node
    recurrent: Any | None  # node of the weights among them
    means: Any | None = None  # node that averages what reaches the weights


def in_order(graph: Any) -> list[GraphLayer]:
    """List the layers from input to output; a nested graph is replaced by its nodes.

    Raises:
        InputError: a branch, a node of a kind that there is no layer for, or weights without neurons behind them.
    """
    nodes, edges = _inlined(graph)
    begin = [name for name, node in nodes.items() if _kind(node) == "Input"]
    if len(begin) != 1:
        raise InputError(f"a graph with one input is needed, not {len(begin)}")
    here, product, means, steps = begin[0], None, None, []
    while True:
        here = _only(_behind(here, nodes, edges), here)
        kind = _kind(nodes[here])
        if kind == "Output":
            break
        if kind in PRODUCTS and product is None:
            product = nodes[here]
        elif kind in NEURONS and product is not None:
            steps.append(GraphLayer(product, here, nodes[here], _recurrent(here, nodes, edges), means))
            product = means = None
        elif kind == POOL and product is means is None and steps:
            means = nodes[here]
        elif kind != "Flatten":
            where = "where weights are expected" if kind in NEURONS else "which no layer here stands for"
            raise InputError(
                f"node '{here}': a {kind}, {where}; known: "
                f"{', '.join((*RECURRENT, *NEURONS, POOL, 'Flatten'))}"
            )
        if len(steps) > len(nodes):
            raise InputError("the graph runs in a circle")
    if product is not None or not steps:
        raise InputError("the last weights have no neurons behind them; add LI or I nodes for a readout")
    return steps


def _kind(node: Any) -> str:
    return type(node).__name__


def _inlined(graph: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Collect all nodes and edges, including those of nested graphs."""
    nodes: dict[str, Any] = {}
    edges = [(str(a), str(b)) for a, b in dict.fromkeys(map(tuple, graph.edges))]
    for name, node in graph.nodes.items():
        if not isinstance(node, nir_module().NIRGraph):
            nodes[name] = node
            continue
        inner, between = _inlined(node)
        doors = {"Input": name, "Output": name}
        called = {
            inner_name: doors.get(_kind(one), f"{name}/{inner_name}") for inner_name, one in inner.items()
        }
        into = [called[b] for a, b in between if _kind(inner[a]) == "Input"]
        out = [called[a] for a, b in between if _kind(inner[b]) == "Output"]
        nodes |= {called[inner_name]: one for inner_name, one in inner.items() if _kind(one) not in doors}
        rerouted = [edge for edge in edges if name not in edge]
        rerouted += [(a, b) for a, through in edges if through == name for b in into]
        rerouted += [(a, b) for through, b in edges if through == name for a in out]
        own = [(called[a], called[b]) for a, b in between]
        edges = rerouted + [edge for edge in own if name not in edge]
    return nodes, edges


def _behind(here: str, nodes: dict[str, Any], edges: list[tuple[str, str]]) -> list[str]:
    """List the successors of a node, without recurrent weights."""
    successors = [b for a, b in edges if a == here]
    missing = [name for name in successors if name not in nodes]
    if missing:
        raise InputError(f"edge to '{missing[0]}': no such node")
    return [name for name in successors if not _loops(name, here, edges)]


def _loops(weights: str, neurons: str, edges: list[tuple[str, str]]) -> bool:
    """Return whether weights are recurrent: from neurons to themselves and nowhere else."""
    return [b for a, b in edges if a == weights] == [neurons]


def _only(names: list[str], here: str) -> str:
    """Return the only successor, or raise where a node has none or several."""
    if len(names) != 1:
        raise InputError(f"node '{here}': goes on to {len(names)} nodes; layers one after another are needed")
    return names[0]


def _recurrent(neurons: str, nodes: dict[str, Any], edges: list[tuple[str, str]]) -> Any | None:
    """Return the node of the recurrent weights, or None where there are none."""
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


def from_nir(
    graph: Any, *, make_surrogate: MakeSurrogate, dt_s: float | None = None, step: str | None = None
) -> Chain:
    """Build the network that a graph describes; neuron parameters are fixed, weights can be trained.

    Gains other than 1 go into the weights. A neuron that fires is reset to 0 before the next step, and recurrent
    spikes arrive one step later.

    Args:
        graph: read by `nir.read`, of layers one after another.
        make_surrogate: a surrogate for each layer, of which NIR knows nothing.
        dt_s: duration of a time step [s]; None takes what `to_nir` wrote.
        step: "euler" or "exponential"; None takes what `to_nir` wrote, or Euler.

    Raises:
        InputError: what cannot be represented here, with the node's name and the reason.
    """
    metadata = graph.metadata if isinstance(graph.metadata, dict) else {}
    if dt_s is None:
        if "dt_s" not in metadata:
            raise InputError("the graph does not say how long a time step is; give dt_s")
        dt_s = float(metadata["dt_s"])
    require_number("dt_s", dt_s, low=0, open_low=True)
    clock = _Clock(dt_s, str(metadata.get("step", "euler")) if step is None else step)
    steps = in_order(graph)
    layers: list[Layer] = []
    for position, stage in enumerate(steps):
        name = "readout" if position == len(steps) - 1 else f"hidden{position}"
        try:
            layer = _layer(name, stage, make_surrogate, clock)
            if stage.means is not None:
                layer.pool_in = _pool(stage.means, layers[-1], layer)
            layers.append(layer)
        except InputError as error:
            raise InputError(f"node '{stage.neurons}': {error}") from error
    return constructors.chain(layers, layers[0].weight.dtype)  # type: ignore[arg-type]


def _pool(node: Any, before: Layer, layer: Layer) -> Pool:
    """Build the average pooling between one layer's spikes and the next layer."""
    window, stride = (tuple(np.broadcast_to(side, 2).tolist()) for side in (node.kernel_size, node.stride))
    if not isinstance(before, ConvLayer) or window != stride or np.any(node.padding):
        raise InputError("means are taken of images, in windows side by side without padding")
    pool = Pool("average", before.image_out, *window)
    wanted = layer.image_in if isinstance(layer, ConvLayer) else (layer.weight.shape[1],)
    if pool.image_out != wanted and math.prod(pool.image_out) != wanted[0]:
        raise InputError(f"means of {pool.image_out} in front of weights for {wanted}")
    return pool


class _Clock(NamedTuple):
    dt_s: float
    step: str

    def decay(self, tau: Any) -> Tensor:
        """Convert a time constant to a decay per step, float64 [N]."""
        return torch.from_numpy(decay_per_step(_flat(tau), self.dt_s, self.step))


def _layer(
    name: str, step: GraphLayer, make_surrogate: MakeSurrogate, clock: _Clock
) -> DenseLayer | ConvLayer:
    """Build a layer with the node's weights, times the gain of its neurons."""
    neuron, gain = _neurons(step.node, make_surrogate, clock)
    product, recurrent = step.product, step.recurrent
    bias = _joined(product, recurrent)
    wiring = "none" if recurrent is None else "one_to_one" if hasattr(recurrent, "scale") else "all_to_all"
    if np.ndim(product.weight) == MATRIX:
        rows, inputs = np.shape(product.weight)
        if rows != len(gain):
            raise InputError(f"{len(gain)} neurons behind weights of {rows} rows")
        layer = DenseLayer(name, inputs, rows, neuron, recurrence=wiring, bias=bias is not None)
        of_rows = gain
    else:
        layer = _convolution(name, product, len(gain), neuron, wiring, bias=bias is not None)
        of_rows = gain[:1].expand(len(product.weight))
        if not bool((gain == gain[0]).all()):
            raise InputError("gains that differ within an image cannot go into its shared weights")
    layer.weight = _times(product.weight, of_rows)
    layer.bias = None if bias is None else _times(bias, of_rows)
    if recurrent is not None:
        layer.recurrent = _among(recurrent, layer, gain, of_rows)
    return layer


def _among(recurrent: Any, layer: DenseLayer | ConvLayer, gain: Tensor, of_rows: Tensor) -> nn.Parameter:
    """Read recurrent weights from a node, checked against their layer."""
    if hasattr(recurrent, "scale"):
        scale = np.broadcast_to(np.reshape(recurrent.scale, -1), (layer.neurons,))
        return _times(scale, gain)
    if isinstance(layer, ConvLayer):
        _check_convolution(recurrent, stride=1)
    if np.shape(recurrent.weight)[:2] != (len(of_rows), len(of_rows)):
        raise InputError(f"weights among neurons of shape {np.shape(recurrent.weight)}, which do not fit")
    return _times(recurrent.weight, of_rows)


def _neurons(node: Any, make_surrogate: MakeSurrogate, clock: _Clock) -> tuple[Neuron, Tensor]:
    """Make a node's neurons, and the gain [N] of their current, which the weights absorb."""
    kind = type(node).__name__
    for name in ("v_leak", "v_reset"):
        if np.any(getattr(node, name, 0.0) != 0):
            raise InputError(f"{name} is not 0, and neurons here rest at 0 and are reset to it")
    alpha = None
    if kind in ("IF", "I"):
        gain = torch.from_numpy(_flat(node.r) * clock.dt_s)
        beta = torch.ones_like(gain)
    elif kind == "CubaLIF":
        alpha, beta = clock.decay(node.tau_syn), clock.decay(node.tau_mem)
        gain = (1 - alpha) * torch.from_numpy(_flat(node.w_in)) * (1 - beta) * torch.from_numpy(_flat(node.r))
    else:
        beta = clock.decay(node.tau)
        gain = (1 - beta) * torch.from_numpy(_flat(node.r))
    gain = torch.where((gain - 1).abs() < NEAR, torch.ones_like(gain), gain)
    neurons = len(gain)
    if kind in ("LI", "I"):
        return constructors.readout(neurons, beta=beta), gain
    numbers = {"beta": beta, "threshold": torch.from_numpy(_flat(node.v_threshold))}
    if alpha is not None:
        return constructors.synaptic(make_surrogate(), neurons, alpha=alpha, **numbers, reset="zero"), gain
    return constructors.leaky(make_surrogate(), neurons, **numbers, reset="zero"), gain


def _convolution(
    name: str, product: Any, neurons: int, neuron: Neuron, wiring: str, *, bias: bool
) -> ConvLayer:
    """Build a convolutional layer of the node's shape, without weights."""
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
    """Refuse a convolution that `ConvLayer` does not support."""
    sides = np.shape(product.weight)[2:]
    same = "same" if isinstance(product.padding, str) else tuple(np.ravel(product.padding).tolist())
    half = sides[-1] // 2
    wrong = (
        len(set(sides)) != 1 or sides[0] % 2 == 0,
        same != "same" and set(same) != {half},
        same == "same" and stride != 1,
        isinstance(product.padding, str) and product.padding != "same",
        set(np.ravel(product.stride).tolist()) != {stride},
        set(np.ravel(product.dilation).tolist()) != {1},
        int(product.groups) != 1,
    )
    if any(wrong):
        raise InputError(
            "convolutions here have square kernels of odd size, padded by half of it, one stride, no dilation and "
            "no groups"
        )


def _joined(product: Any, recurrent: Any | None) -> np.ndarray | None:
    """Add the biases of both weights, which join the current in every step; None without any."""
    biases = [getattr(weights, "bias", None) for weights in (product, recurrent)]
    given = [np.asarray(bias) for bias in biases if bias is not None and np.any(bias != 0)]
    return sum(given[1:], given[0]) if given else None


def _times(weight: Any, gain: Tensor) -> nn.Parameter:
    """Multiply weights by a gain of each row; a gain of 1 changes no bit."""
    value = torch.from_numpy(np.array(weight))
    if not value.is_floating_point():
        value = value.double()
    if not bool((gain == 1).all()):
        value = value * gain.view(-1, *[1] * (value.dim() - 1)).to(value.dtype)
    return nn.Parameter(value)


def _flat(values: Any) -> np.ndarray:
    return np.array(values, np.float64).reshape(-1)
