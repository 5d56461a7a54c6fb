"""One step of a user's network as a graph of its modules, and its run step by step by the modules themselves."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from sgbench.errors import InputError, one_printable_line
from sgbench.neurons.base import Neuron

SEES_STEPS = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.Transformer)
"""Modules whose step is more than a function of their input."""
REMEDY = "write the step without it, or leave this part to torch"


def is_snntorch(module: nn.Module) -> bool:
    """Return whether a module is one of snnTorch's neurons."""
    return type(module).__module__.startswith("snntorch.") and hasattr(module, "reset_mechanism_val")


def is_neuron(module: nn.Module) -> bool:
    """Return whether a module is a neuron, whose parts are its own affair."""
    return is_snntorch(module) or isinstance(module, Neuron)


class _Tracer(fx.Tracer):
    """Stops at neurons, as at torch's own modules."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is one node."""
        return is_neuron(m) or super().is_leaf_module(m, module_qualified_name)


def graph_of(network: nn.Module) -> tuple[fx.Graph, bool]:
    """Write one step of a network as a graph, as its `forward` says, and say whether that could be followed.

    A `forward` that has the loop over time in it cannot be traced. Its modules are then passed in turn.

    Raises:
        InputError: a module that has no place in a step, by name and with the remedy.
    """
    graph, why = None, "a neuron is called twice, or with its state"
    try:
        graph = _Tracer().trace(network)
    except Exception as error:  # whatever a forward does with what is no tensor
        why = one_printable_line(error) or type(error).__name__
    traced = graph is not None and _is_a_step(graph, network)
    if graph is None or not traced:
        graph = _in_turn(network, why)
    for node in graph.nodes:
        if node.op == "call_module":
            _require_place(str(node.target), network.get_submodule(str(node.target)))
    last_neuron(graph, network)
    return graph, traced


def _is_a_step(graph: fx.Graph, network: nn.Module) -> bool:
    """Return whether each neuron is called once, with its current alone."""
    calls = [node for node in graph.nodes if node.op == "call_module"]
    neurons = [node for node in calls if is_neuron(network.get_submodule(str(node.target)))]
    once = len({node.target for node in neurons}) == len(neurons)
    alone = all(len(node.args) == 1 and not node.kwargs for node in neurons)
    picked = [user for node in neurons for user in node.users if user.target is operator.getitem]
    others = [user for pick in picked if pick.args[1] != 0 for user in pick.users if user.op != "output"]
    return bool(neurons) and once and alone and not others


def _in_turn(network: nn.Module, why: str) -> fx.Graph:
    """Write a graph of the innermost modules, one behind the other."""
    graph = fx.Graph()
    node = graph.placeholder("x")
    for name, module in _leaves(network):
        if not is_neuron(module) and not type(module).__module__.startswith("torch.nn."):
            raise InputError(
                f"accelerate: module '{name}' is a {type(module).__name__}, whose place in a step is unknown as "
                f"the network's forward cannot be traced ({why}); give a network whose forward is one step"
            )
        node = graph.call_module(name, (node,))
    graph.output(node)
    return graph


def _leaves(network: nn.Module, above: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the innermost modules with their names; a neuron's parts are none."""
    for name, module in network.named_children():
        path = f"{above}{name}"
        if is_neuron(module) or not any(True for _ in module.children()):
            yield path, module
        else:
            yield from _leaves(module, f"{path}.")


def _require_place(name: str, module: nn.Module) -> None:
    """Refuse a module that is more than a function of one step's input."""
    foreign = type(module).__module__.startswith("snntorch.") and not is_neuron(module)
    if isinstance(module, SEES_STEPS) or foreign:
        raise InputError(
            f"accelerate: module '{name}' is a {type(module).__name__}, which has states of its own; {REMEDY}"
        )


def last_neuron(graph: fx.Graph, network: nn.Module) -> fx.Node:
    """Return the neurons whose spikes a step returns.

    Raises:
        InputError: it returns anything else.
    """
    (output,) = (node for node in graph.nodes if node.op == "output")
    given = output.args[0]
    given = given[0] if isinstance(given, tuple | list) and given else given
    given = spiking(given) if isinstance(given, fx.Node) else None
    if given is None or given.op != "call_module" or not is_neuron(network.get_submodule(str(given.target))):
        raise InputError(
            "accelerate: a network that ends in neurons is needed; add the neurons of the output"
        )
    return given


def spiking(node: fx.Node) -> fx.Node:
    """Return the neurons behind a node that picks their spikes out of what they return."""
    picks = node.op == "call_function" and node.target is operator.getitem and node.args[1] == 0
    return node.args[0] if picks and isinstance(node.args[0], fx.Node) else node


def evaluate(
    graph: fx.Graph, network: nn.Module, x: Any, call: Callable[[fx.Node, nn.Module, Any], Any]
) -> dict[fx.Node, Any]:
    """Compute the values of all nodes, modules by `call`."""
    values: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        args, options = map_arg((node.args, node.kwargs), values.__getitem__)
        if node.op == "placeholder":
            values[node] = x
        elif node.op == "get_attr":
            values[node] = operator.attrgetter(str(node.target))(network)
        elif node.op == "call_module":
            values[node] = call(node, network.get_submodule(str(node.target)), *args, **options)
        elif node.op == "call_method":
            values[node] = getattr(args[0], str(node.target))(*args[1:], **options)
        elif node.op == "call_function":
            picks = node.target is operator.getitem and is_neuron_node(node.args[0], network)
            values[node] = args[0] if picks else node.target(*args, **options)
    return values


def is_neuron_node(node: Any, network: nn.Module) -> bool:
    """Return whether a node is a call of neurons."""
    return (
        isinstance(node, fx.Node)
        and node.op == "call_module"
        and is_neuron(network.get_submodule(str(node.target)))
    )


class StepByStep:
    """Runs a network as its modules are written, one step after another.

    Args:
        graph: of one step.
        network: whose modules are called.
    """

    def __init__(self, graph: fx.Graph, network: nn.Module) -> None:
        self.graph, self.network = graph, network
        self.last = last_neuron(graph, network)
        self.states: dict[fx.Node, Any] = {}
        self.potential = torch.empty(0)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute spikes and potentials of the last neurons [T, B, ...] from rest."""
        self.states = {}
        spikes, potentials = [], []
        for now in x.unbind(0):
            values = evaluate(self.graph, self.network, now, self._call)
            spikes.append(values[self.last])
            potentials.append(self.potential)
        self.states = {}
        return torch.stack(spikes), torch.stack(potentials)

    def _call(self, node: fx.Node, module: nn.Module, current: Any) -> Tensor:
        """Call a module, neurons with the states that they have left."""
        if not is_neuron(module):
            return module(current)  # type: ignore[no-any-return]
        if isinstance(module, Neuron):
            state = self.states.get(node)
            state = module.initial_state(current) if state is None else state
            output, self.states[node] = module.step(current, state)
            self.potential = module.centred(self.states[node])
            return output
        return self._snntorch(node, module, current)

    def _snntorch(self, node: fx.Node, module: Any, current: Tensor) -> Tensor:
        """Call neurons of snnTorch with their states in the open, whether or not they would keep them."""
        if node not in self.states:
            begun = module.reset_mem()
            self.states[node] = begun if isinstance(begun, tuple) else (begun,)
        hidden, module.init_hidden = module.init_hidden, False
        try:
            out = module(current, *self.states[node])
        finally:
            module.init_hidden = hidden
        self.states[node] = tuple(out) if hasattr(module, "recurrent") else tuple(out[1:])
        self.potential = out[-1]
        return out[0]  # type: ignore[no-any-return]
