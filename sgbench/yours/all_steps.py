"""Runs a traced step of a user's network for all time steps at once.

Stateless modules run once, with time folded into the batch: values are [T B, ...] for T steps and batch size B.
Neurons run over time on the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from fastspiking import fused
from fastspiking.choose import Engine
from fastspiking.signals.spikes import SparseSpikes
from sgbench.errors import InputError
from sgbench.exchange.constructors import readout
from sgbench.neurons.base import Neuron
from sgbench.neurons.leaky import Leaky
from sgbench.yours.snntorch_neurons import convert_neuron
from sgbench.yours.step_graph import evaluate, is_hooked, is_neuron_node, last_neuron, spike_source

SPARSE_SHARE = 0.25
"""Largest share of non-zero inputs for which matrix products process them one by one, as events."""
IMAGE_AXES = 4
"""Axes of images with time folded into the batch [T B, C, H, W]."""


class GivenCurrent(nn.Module):
    """Wraps neurons as an engine layer without weights, whose input is the current itself."""

    cut = False
    recurrent: Tensor | None
    recurrence = "none"

    def __init__(self, name: str, neuron: Neuron) -> None:
        super().__init__()
        self.name, self.neuron = name, neuron
        self.recurrent = None

    def synapses(self) -> tuple[Tensor, Tensor | None] | None:
        """Return None, since the layer has no input weights."""
        return None

    def current(self, x: Tensor) -> Tensor:
        """Return the input x, which is the current [..., N]."""
        return x

    def feedback(self, s: Tensor) -> Tensor:
        """Return zeros of the shape of the spikes s [B, N], since nothing is fed back."""
        return torch.zeros_like(s)


class SharedWeights(GivenCurrent):
    """Holds a layer of neurons whose weights are those of the user's modules, not copies.

    Args:
        name: name of the neurons' module.
        neuron: the neurons.
        linear: module of the input weights; None if the input is the current itself.
        recurrent_module: module of the recurrent weights; None without recurrence.
    """

    def __init__(
        self, name: str, neuron: Neuron, linear: nn.Linear | None, recurrent_module: nn.Module | None
    ) -> None:
        super().__init__(name, neuron)
        self.linear, self.recurrent_module = linear, recurrent_module
        if recurrent_module is not None:
            self.recurrence = "all_to_all"
            self.recurrent = store_by_columns(recurrent_module.weight)

    def synapses(self) -> tuple[Tensor, Tensor | None] | None:
        """Return the input weight [N, inputs], and the sum of the biases [N] that snnTorch adds in every step."""
        if self.linear is None:
            return None
        biases = [module.bias for module in (self.linear, self.recurrent_module) if module is not None]
        present: list[Any] = [bias for bias in biases if bias is not None]
        bias: Any = sum(present[1:], present[0]) if present else None
        return store_by_columns(self.linear.weight), bias

    def current(self, x: Tensor) -> Tensor:
        """Return the input current [..., N] of inputs [..., inputs]."""
        weight_and_bias = self.synapses()
        if weight_and_bias is not None:
            return nn.functional.linear(x, *weight_and_bias)
        bias: Any = None if self.recurrent_module is None else self.recurrent_module.bias
        return x if bias is None else x + bias

    def feedback(self, s: Tensor) -> Tensor:
        """Return the recurrent current [B, N] from the spikes s of the last step [B, N]."""
        return torch.zeros_like(s) if self.recurrent_module is None else s @ self.recurrent_module.weight.T  # type: ignore[operator]


def store_by_columns(weight: Any) -> nn.Parameter:
    """Store a weight [N, inputs] column by column in memory, as the engine reads it; its values stay equal."""
    if not weight.T.is_contiguous():
        weight.data = weight.data.T.contiguous().T
    return weight


class AllSteps:
    """Runs a network over all time steps at once, with its current parameters; `graph` is from `trace_step`."""

    def __init__(self, graph: fx.Graph, network: nn.Module) -> None:
        self.graph, self.network = graph, network
        self.last = last_neuron(graph, network)
        self.layers()  # raises here what a call would raise, and lays out weights in memory

    def layers(self) -> list[GivenCurrent]:
        """Make an engine layer of each module of neurons, with its current parameters."""
        nodes = [node for node in self.graph.nodes if is_neuron_node(node, self.network)]
        return [self._layer(node, None) for node in nodes]

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute spikes and potentials [T, B, ...] of the last neurons from the resting state."""
        time_and_batch, found, pooled = x.shape[:2], [], set()
        # The modules may have changed since the last call, so the chains are found anew.
        chains = {chain[-1]: chain for chain in self._chains()}
        chained_nodes = {node for chain in chains.values() for node in self._nodes_within(chain)}

        def call(node: fx.Node, module: nn.Module, value: Any) -> Any:
            if node in chained_nodes or node in pooled:  # computed with a chain, or with a convolution
                return value
            if node not in chains:
                is_image = value.dim() == IMAGE_AXES and value.device.type == "cpu"
                if not (_is_plain_convolution(module) and is_image and fused.missing() is None):
                    return _run_stateless(module, value, time_and_batch)
                pool = self._pool_behind(node)
                pooled.add(pool)
                return self._convolve_events(module, pool, value, time_and_batch)
            spikes, potential = self._run_chain(chains[node], value.unflatten(0, time_and_batch))
            if node is self.last:
                found.extend((spikes, potential))
            return spikes.flatten(0, 1)

        evaluate(self.graph, self.network, x.flatten(0, 1), call)
        spikes, potential = found
        return spikes, potential

    def _module(self, node: fx.Node) -> nn.Module:
        """Return the module that a node calls."""
        return self.network.get_submodule(str(node.target))

    def _linear(self, node: fx.Node) -> fx.Node | None:
        """Return the call of the linear layer whose output is the whole current of the neurons `node`, or None."""
        before = node.args[0]
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            return None
        module = self._module(before)
        return before if type(module) is nn.Linear and not is_hooked(module) else None

    def _chains(self) -> list[list[fx.Node]]:
        """Group calls of neurons into chains, in which spikes go only to the linear layer of the next neurons."""
        chains: list[list[fx.Node]] = []
        for node in self.graph.nodes:
            if not is_neuron_node(node, self.network):
                continue
            linear = self._linear(node)
            arriving = None if linear is None else linear.args[0]
            alone = isinstance(arriving, fx.Node) and len(arriving.users) == 1
            sender = spike_source(arriving) if alone else None  # type: ignore[arg-type]
            if chains and sender is chains[-1][-1] and len(sender.users) == 1:  # type: ignore[union-attr]
                chains[-1].append(node)
            else:
                chains.append([node])
        return chains

    def _nodes_within(self, chain: Sequence[fx.Node]) -> list[fx.Node]:
        """List the nodes that a chain computes itself: its linear layers and all neurons but the last."""
        linears = [linear for linear in map(self._linear, chain) if linear is not None]
        return [*linears, *chain[:-1]]

    def _layer(self, node: fx.Node, features: tuple[int, ...] | None) -> GivenCurrent:
        """Make an engine layer of neurons and the linear layer before them.

        Args:
            node: the call of the neurons.
            features: shape of their current in one step of one sample; None if unknown.
        """
        name, module, linear = str(node.target), self._module(node), self._linear(node)
        if any(map(is_hooked, [module] if isinstance(module, Neuron) else module.modules())):
            raise InputError(
                f"accelerate: module '{name}' has hooks, which the engine does not call; remove them, or put them "
                f"on a module behind it"
            )
        matrix: Any = None if linear is None else self._module(linear)
        if matrix is not None:
            features = (matrix.out_features,)
        neuron = module if isinstance(module, Neuron) else convert_neuron(module, name, features)
        recurrent_module = getattr(module, "recurrent", None) if neuron is not module else None
        if matrix is None and recurrent_module is None:
            return GivenCurrent(name, neuron)
        return SharedWeights(name, neuron, matrix, recurrent_module)

    def _pool_behind(self, node: fx.Node) -> fx.Node | None:
        """Return the max pooling that alone follows a convolution, if one loop can compute both; else None."""
        if node.op != "call_module" or len(node.users) != 1 or not _is_plain_convolution(self._module(node)):
            return None
        (behind,) = node.users
        pool = self._module(behind) if behind.op == "call_module" else None
        return behind if type(pool) is nn.MaxPool2d and not is_hooked(pool) and _pool_side(pool) else None

    def _convolve_events(self, conv: Any, pool: fx.Node | None, value: Tensor, steps: torch.Size) -> Tensor:
        """Convolve images [T B, C, H, W] event by event, and apply the max pooling after it if `pool` is given.

        `steps` is (T, B).
        """
        from fastspiking.event_convolution import Convolution, convolve

        side = 1 if pool is None else _pool_side(self._module(pool))
        sizes = (conv.stride[0], conv.padding[0], side)
        image: Any = tuple(value.shape[1:])
        convolution = Convolution(image, conv.weight, conv.bias, *sizes)
        out = convolve(value.flatten(1).unflatten(0, steps), convolution)
        geometry = convolution.geometry
        return out.view(len(value), geometry.filters, geometry.rows, geometry.columns)

    def _run_chain(self, chain: Sequence[fx.Node], x: Tensor) -> tuple[Tensor, Tensor]:
        """Run a chain on the engine for inputs x [T, B, ...]; return spikes and potentials of its last neurons.

        Potentials are right only for the network's last neurons; for others the spikes are returned twice.
        """
        layers = [self._layer(node, tuple(x.shape[2:])) for node in chain]
        is_network_end, is_snntorch = chain[-1] is self.last, not isinstance(self._module(chain[-1]), Neuron)
        first = layers[0].synapses()
        if first is not None and x.shape[2:] != first[0].shape[1:]:
            raise InputError(
                f"accelerate: input of shape {tuple(x.shape)} reaches module '{layers[0].name}' by a matrix; "
                f"[time, batch, {first[0].shape[1]}] is needed, all time steps at once"
            )
        signal = x if first is not None or not is_snntorch else x.flatten(2)
        signal = SparseSpikes.of(signal) if first is not None and _is_sparse(signal) else signal
        integrator = _as_integrators(layers[-1]) if is_network_end and is_snntorch else None
        engine = Engine("auto", x.device)
        output, u, _ = engine.unroll(
            layers, signal, keep_u=is_network_end and integrator is None, keep_spikes=False
        )[-1]
        if output is None:
            raise AssertionError("the last layer's output is always there")
        if integrator is not None:
            spikes, potential = integrator.surrogate(output - integrator.threshold()), output
        else:
            spikes, potential = output, output if u is None else u
        if is_snntorch and u is not None:
            potential = u + layers[-1].neuron.threshold()  # type: ignore[operator]
        shape = x.shape if first is None and len(chain) == 1 else spikes.shape
        return spikes.view(shape), potential.view(shape)


def _run_stateless(module: nn.Module, value: Any, steps: torch.Size) -> Any:
    """Call a stateless module on values [T B, ...] of all steps; `steps` is (T, B).

    A normalisation that takes its mean over the batch is called for each step, as in a loop over time.
    """
    if isinstance(module, _NormBase):
        has_running_mean = module.running_mean is not None
        if module.training if has_running_mean else isinstance(module, _BatchNorm):
            return torch.cat([module(now) for now in value.unflatten(0, steps).unbind(0)])
    return module(value)


def _is_plain_convolution(module: nn.Module) -> bool:
    """Return whether a module is a square, ungrouped convolution with zero padding, which can process events."""
    if type(module) is not nn.Conv2d or is_hooked(module):
        return False
    if isinstance(module.padding, str) or module.padding_mode != "zeros":
        return False
    pairs = (module.stride, module.padding)
    square = all(vertical == horizontal for vertical, horizontal in pairs)  # type: ignore[misc]
    return square and module.groups == 1 and tuple(module.dilation) == (1, 1)


def _pool_side(pool: Any) -> int:
    """Return the side of square pooling windows that do not overlap, or 0 for other windows."""
    sides = {pool.kernel_size, pool.stride} if isinstance(pool.kernel_size, int) else set()
    plain = not pool.padding and pool.dilation == 1 and not pool.ceil_mode and not pool.return_indices
    return int(pool.kernel_size) if plain and len(sides) == 1 else 0


def _is_sparse(x: Tensor) -> bool:
    """Return whether at most SPARSE_SHARE of the inputs x [T, B, ...] is not 0, by every sixteenth sample."""
    some = x[:, ::16]
    return not x.requires_grad and int(some.count_nonzero()) <= SPARSE_SHARE * some.numel()


def _as_integrators(layer: GivenCurrent) -> Leaky | None:
    """Replace the neuron of a layer without reset and recurrence by an integrator; return the original neuron.

    The output of integrators is the potential, from which the spikes follow afterwards. The engine then stores no
    potential of any other layer. Other layers are left as they are, and None is returned.
    """
    neuron = layer.neuron
    if not isinstance(neuron, Leaky) or neuron.next_potential.reset != "none" or layer.recurrence != "none":
        return None
    beta = torch.as_tensor(neuron.beta())
    layer.neuron = readout(max(1, beta.numel()), beta=beta)
    return neuron
