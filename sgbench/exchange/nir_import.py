"""A network from a graph of the Neuromorphic Intermediate Representation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sgbench.errors import InputError, require_number
from sgbench.exchange import made
from sgbench.exchange.made import MakeSurrogate
from sgbench.exchange.nir_order import GraphLayer, in_order
from sgbench.exchange.time_constants import decay_per_step
from sgbench.networks.base import Chain, DenseLayer
from sgbench.networks.convolution import ConvLayer
from sgbench.neurons.base import Neuron

NEAR = 1e-9  # of a gain to 1, which rounding of time constants explains
MATRIX = 2  # dimensions of dense weights


def from_nir(
    graph: Any, *, make_surrogate: MakeSurrogate, dt_s: float | None = None, step: str | None = None
) -> Chain:
    """Build a network that does what a graph says; its numbers are fixed, its weights can be trained.

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
    told = graph.metadata if isinstance(graph.metadata, dict) else {}
    if dt_s is None:
        if "dt_s" not in told:
            raise InputError("the graph does not say how long a time step is; give dt_s")
        dt_s = float(told["dt_s"])
    require_number("dt_s", dt_s, low=0, open_low=True)
    clock = _Clock(dt_s, str(told.get("step", "euler")) if step is None else step)
    steps = in_order(graph)
    layers: list[nn.Module] = []
    for position, each in enumerate(steps):
        name = "readout" if position == len(steps) - 1 else f"hidden{position}"
        try:
            layers.append(_layer(name, each, make_surrogate, clock))
        except InputError as error:
            raise InputError(f"node '{each.neurons}': {error}") from error
    return made.chain(layers, layers[0].weight.dtype)  # type: ignore[arg-type]


class _Clock(NamedTuple):
    dt_s: float
    step: str

    def decay(self, tau: Any) -> Tensor:
        """Convert a time constant to a decay per step, float64 [N]."""
        return torch.from_numpy(decay_per_step(_flat(tau), self.dt_s, self.step))


def _layer(name: str, step: GraphLayer, make_surrogate: MakeSurrogate, clock: _Clock) -> nn.Module:
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
    """Take the weights among neurons from a node, checked against the layer that they are for."""
    if hasattr(recurrent, "scale"):
        scale = np.broadcast_to(np.reshape(recurrent.scale, -1), (layer.neurons,))
        return _times(scale, gain)
    if isinstance(layer, ConvLayer):
        _check_convolution(recurrent, stride=1)
    if np.shape(recurrent.weight)[:2] != (len(of_rows), len(of_rows)):
        raise InputError(f"weights among neurons of shape {np.shape(recurrent.weight)}, which do not fit")
    return _times(recurrent.weight, of_rows)


def _neurons(node: Any, make_surrogate: MakeSurrogate, clock: _Clock) -> tuple[Neuron, Tensor]:
    """Make a node's neurons, and the gain [N] of their current, which goes into the weights."""
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
        return made.readout(neurons, beta=beta), gain
    numbers = {"beta": beta, "threshold": torch.from_numpy(_flat(node.v_threshold))}
    if alpha is not None:
        return made.synaptic(make_surrogate(), neurons, alpha=alpha, **numbers, reset="zero"), gain
    return made.leaky(make_surrogate(), neurons, **numbers, reset="zero"), gain


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
    """Refuse a convolution of a kind that `ConvLayer` does not do."""
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
    biases = [getattr(each, "bias", None) for each in (product, recurrent)]
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
