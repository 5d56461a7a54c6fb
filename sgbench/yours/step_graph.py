"""One step of a user's network as a graph of its modules, and its run step by step by the modules themselves."""

from __future__ import annotations

import collections
import copy
import inspect
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
PARTS = ("_parameters", "_buffers", "_modules")
ABSENT = object()
CONSTANT = "_tensor_constant"
"""Begins the names under which a trace keeps tensors that a forward makes."""
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


def is_hooked(module: nn.Module) -> bool:
    """Return whether a call of a module does more than its class says, so that it must be called and not read."""
    hooks = (
        module._forward_pre_hooks,
        module._forward_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return any(hooks) or "forward" in vars(module)


def graph_of(network: nn.Module) -> tuple[fx.Graph, str]:
    """Write one step of a network as a graph, as its `forward` says, and say why if that could not be followed.

    A `forward` that has the loop over time in it cannot be traced. Its modules are then passed in turn. What a
    `forward` decides by a number, such as `self.training`, is decided as it is now.

    Raises:
        InputError: a module that has no place in a step, by name and with the remedy; or a `forward` that needs
            more than x, keeps a state in an attribute, or passes neurons twice.
    """
    _require_one_input(network)
    twin = _twin(network)
    graph, changed, why = None, "", ""
    try:
        graph, changed = _traced(twin)
    except Exception as error:  # whatever a forward does with what is no tensor
        why = one_printable_line(error) or type(error).__name__
    if graph is not None and not _is_a_step(graph, network):
        _require_plain_loop(graph, network)
        graph, why = None, "it has the loop over time in it, or passes states of neurons"
    elif changed:
        raise InputError(
            f"accelerate: the network's forward changes '{changed}', a state that would stand still; keep states "
            f"in neurons"
        )
    if graph is None:
        graph = _in_turn(network, why)
    for node in graph.nodes:
        if node.op == "call_module":
            _require_place(str(node.target), network.get_submodule(str(node.target)))
    last_neuron(graph, network)
    return graph, why


def _require_one_input(network: nn.Module) -> None:
    """Refuse a network whose call needs more than x, or does more than its `forward`."""
    if is_hooked(network):
        raise InputError("accelerate: the network has hooks, which would not be called; remove them")
    further = [
        one.name
        for one in list(inspect.signature(network.forward).parameters.values())[1:]
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if further:
        raise InputError(
            f"accelerate: the network's forward needs '{further[0]}' besides its input; give it a default, or "
            f"leave states of neurons to the engine"
        )


def _twin(network: nn.Module) -> nn.Module:
    """Copy a network for its forward to be traced; weights, which a trace only names, are shared."""
    attributes = [
        one for module in network.modules() for one in vars(module).values() if isinstance(one, Tensor)
    ]
    held: dict[int, Any] = {id(one): one.detach().clone() for one in (*network.buffers(), *attributes)}
    held |= {id(one): one for one in network.parameters()}
    try:
        return copy.deepcopy(network, held)
    except Exception as error:  # whatever a copy of an attribute does
        raise InputError(
            f"accelerate: the network cannot be copied ({one_printable_line(error)}), as is needed to follow its "
            f"forward; take out what keeps it from that"
        ) from error


def _traced(twin: nn.Module) -> tuple[fx.Graph, str]:
    """Build the graph with further arguments at their defaults, and name an attribute that changed."""
    kind: Any = type(twin)

    def forward(self: nn.Module, x: Any) -> Any:
        return kind.forward(self, x)

    twin.__class__ = type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})
    kept: list[Any] = []  # so that no new object gets the identity of an old one
    before = _marks(twin, kept)
    graph = _Tracer().trace(twin)
    after = _marks(twin, kept)
    for node in graph.nodes:
        if node.op == "get_attr" and str(node.target).startswith(CONSTANT):
            node.meta["constant"] = getattr(twin, str(node.target))
    changed = (key for key in {**before, **after} if before.get(key, ABSENT) != after.get(key, ABSENT))
    return graph, next(changed, "")


def _marks(network: nn.Module, kept: list[Any]) -> dict[str, Any]:
    """Return what tells whether attributes and buffers of a network change, those of neurons aside."""
    marks = {}
    for name, module in network.named_modules():
        own = {key: value for key, value in vars(module).items() if key not in PARTS} | module._buffers
        for key, value in own.items():
            if not is_neuron(module) and not key.startswith(CONSTANT):
                marks[f"{name}.{key}".lstrip(".")] = _mark(value, kept)
    return marks


def _mark(value: Any, kept: list[Any]) -> Any:
    """Return what differs where a value was replaced or changed."""
    if isinstance(value, bool | int | float | str):
        return repr(value)
    kept.append(value)
    if isinstance(value, Tensor):
        return id(value), value._version
    if isinstance(value, dict):
        return id(value), [(_mark(key, kept), _mark(one, kept)) for key, one in value.items()]
    if isinstance(value, list | tuple | collections.deque):
        return id(value), [_mark(one, kept) for one in value]
    return id(value), len(value) if isinstance(value, set) else None


def _require_plain_loop(graph: fx.Graph, network: nn.Module) -> None:
    """Refuse a traced forward that is no step, unless it passes all modules in turn, once for each time step."""
    calls = [node for node in graph.nodes if node.op == "call_module"]
    order = [name for name, _ in _leaves(network)]
    rounds = max(1, len(calls) // max(1, len(order)))
    begins = calls[:: max(1, len(order))]
    in_turn = [node.target for node in calls] == order * rounds
    if in_turn and rounds == 1 and not _shows_states(calls, network):
        return
    if in_turn and rounds > 1 and not any(map(_follows_a_module, begins[1:])):
        return
    if any(is_neuron_node(node, network) for node in calls):
        raise InputError(
            "accelerate: the network's forward calls neurons twice, uses their potentials, or calls its "
            "modules in another order than that in which they were made; write a forward of one step, each neuron "
            "once with its current alone"
        )


def _follows_a_module(node: fx.Node) -> bool:
    """Return whether what a node takes comes from a module, and not from the input alone."""
    current = node.all_input_nodes[:1]
    while current:
        one = current.pop()
        if one.op == "call_module":
            return True
        current.extend(one.all_input_nodes)
    return False


def _is_a_step(graph: fx.Graph, network: nn.Module) -> bool:
    """Return whether each neuron is called once, with its current alone."""
    calls = [node for node in graph.nodes if node.op == "call_module"]
    neurons = [node for node in calls if is_neuron(network.get_submodule(str(node.target)))]
    once = len({node.target for node in neurons}) == len(neurons)
    alone = all(len(node.args) == 1 and not node.kwargs for node in neurons)
    return bool(neurons) and once and alone and not _shows_states(calls, network)


def _shows_states(calls: list[fx.Node], network: nn.Module) -> bool:
    """Return whether states that neurons return go elsewhere than to the output."""
    neurons = [node for node in calls if is_neuron_node(node, network)]
    picked = [user for node in neurons for user in node.users if user.target is operator.getitem]
    return any(user.op != "output" for pick in picked if pick.args[1] != 0 for user in pick.users)


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
            kept = node.meta.get("constant")
            values[node] = operator.attrgetter(str(node.target))(network) if kept is None else kept
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
    """Runs a network as its modules are written, one step after another."""

    def __init__(self, graph: fx.Graph, network: nn.Module) -> None:
        self.graph, self.network = graph, network
        self.last = last_neuron(graph, network)
        self.states: dict[fx.Node, Any] = {}
        self.potential = torch.empty(0)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run the graph step by step from rest; return the last neurons' spikes and potentials [T, B, ...] each.

        Args:
            x: input [T, B, ...].
        """
        self.states = {}
        spikes, potentials = [], []
        for now in x.unbind(0):
            values = evaluate(self.graph, self.network, now, self._call)
            spikes.append(values[self.last])
            potentials.append(self.potential)  # set by `_call` when it runs the last neurons
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
            if node is self.last:
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
        if node is self.last:
            self.potential = out[-1]
        return out[0]  # type: ignore[no-any-return]
