"""Traces one time step of a user's network as a graph of its modules, and runs that graph step by step."""

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

WITH_MEMORY = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.Transformer)
"""Modules that need more than the input of one time step."""
TORCH_ATTRIBUTES = ("_parameters", "_buffers", "_modules")  # of every module
MISSING = object()
CONSTANT = "_tensor_constant"
"""Prefix of the names that torch.fx gives to tensors which a forward makes."""
REMEDY = "write the step without it, or leave this part to torch"


def is_snntorch(module: nn.Module) -> bool:
    """Return whether a module is one of snnTorch's neurons."""
    return type(module).__module__.startswith("snntorch.") and hasattr(module, "reset_mechanism_val")


def is_neuron(module: nn.Module) -> bool:
    """Return whether a module is a neuron, which is one node of the graph whatever its submodules."""
    return is_snntorch(module) or isinstance(module, Neuron)


class _Tracer(fx.Tracer):
    """Traces a network with neurons and torch's own modules as single nodes."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module becomes one node of the graph."""
        return is_neuron(m) or super().is_leaf_module(m, module_qualified_name)


def is_hooked(module: nn.Module) -> bool:
    """Return whether a module has hooks or a replaced `forward`, so that it must be called as it is."""
    hooks = (
        module._forward_pre_hooks,
        module._forward_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return any(hooks) or "forward" in vars(module)


def trace_step(network: nn.Module) -> tuple[fx.Graph, str]:
    """Trace one time step of a network; return the graph, and why its `forward` was not traced (empty if it was).

    A graph of `forward` is used if it is one time step. If tracing fails, or if the graph has the loop over time
    in it, the graph chains the modules in the order in which they were created instead. Branches of a `forward`,
    such as on `self.training`, are taken by the current values.

    Raises:
        InputError: a module cannot be part of a time step, by name and with the remedy; or a `forward` needs more
            than x, keeps a state in an attribute, or calls neurons twice.
    """
    _require_one_input(network)
    twin = _copy_for_tracing(network)
    graph, changed_attribute, why_not_traced = None, "", ""
    try:
        graph, changed_attribute = _trace_forward(twin)
    except Exception as error:  # a forward may do anything with a traced value
        why_not_traced = one_printable_line(error) or type(error).__name__
    if graph is not None and not _is_a_step(graph, network):
        _require_plain_loop(graph, network)
        graph, why_not_traced = None, "it has the loop over time in it, or passes states of neurons"
    elif changed_attribute:
        raise InputError(
            f"accelerate: the network's forward changes '{changed_attribute}', a state that would stand still; "
            f"keep states in neurons"
        )
    if graph is None:
        graph = _chain_modules(network, why_not_traced)
    for node in graph.nodes:
        if node.op == "call_module":
            _require_stateless(str(node.target), network.get_submodule(str(node.target)))
    last_neuron(graph, network)  # raises an error for a network that does not end in neurons
    return graph, why_not_traced


def _require_one_input(network: nn.Module) -> None:
    """Raise an InputError for a network whose `forward` needs more than x, or which has hooks."""
    if is_hooked(network):
        raise InputError("accelerate: the network has hooks, which would not be called; remove them")
    further = [
        argument.name
        for argument in list(inspect.signature(network.forward).parameters.values())[1:]
        if argument.default is argument.empty
        and argument.kind not in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD)
    ]
    if further:
        raise InputError(
            f"accelerate: the network's forward needs '{further[0]}' besides its input; give it a default, or "
            f"leave states of neurons to the engine"
        )


def _copy_for_tracing(network: nn.Module) -> nn.Module:
    """Copy a network with its buffers and other tensors, so that its forward can be traced; weights are shared."""
    attributes = [
        value for module in network.modules() for value in vars(module).values() if isinstance(value, Tensor)
    ]
    copies: dict[int, Any] = {
        id(value): value.detach().clone() for value in (*network.buffers(), *attributes)
    }
    copies |= {id(parameter): parameter for parameter in network.parameters()}
    try:
        return copy.deepcopy(network, copies)
    except Exception as error:  # copying an attribute may raise anything
        raise InputError(
            f"accelerate: the network cannot be copied ({one_printable_line(error)}), as is needed to follow its "
            f"forward; take out what keeps it from that"
        ) from error


def _trace_forward(twin: nn.Module) -> tuple[fx.Graph, str]:
    """Trace the forward of a copied network, its other arguments at their defaults.

    Return the graph, and the name of an attribute that the forward changed; empty if it changed none.
    """
    network_class: Any = type(twin)

    def forward(self: nn.Module, x: Any) -> Any:
        return network_class.forward(self, x)

    members = {"forward": forward, "__module__": network_class.__module__}
    twin.__class__ = type(network_class.__name__, (network_class,), members)
    alive: list[Any] = []  # so that no new object gets the identity of an old one
    before = _state_tokens(twin, alive)
    graph = _Tracer().trace(twin)
    after = _state_tokens(twin, alive)
    for node in graph.nodes:
        if node.op == "get_attr" and str(node.target).startswith(CONSTANT):
            node.meta["constant"] = getattr(twin, str(node.target))
    changed = (key for key in {**before, **after} if before.get(key, MISSING) != after.get(key, MISSING))
    return graph, next(changed, "")


def _state_tokens(network: nn.Module, alive: list[Any]) -> dict[str, Any]:
    """Map attributes and buffers of a network, except those of neurons, to tokens; see `_state_token`."""
    marks = {}
    for name, module in network.named_modules():
        attributes = {key: value for key, value in vars(module).items() if key not in TORCH_ATTRIBUTES}
        for key, value in (attributes | module._buffers).items():
            if not is_neuron(module) and not key.startswith(CONSTANT):
                marks[f"{name}.{key}".lstrip(".")] = _state_token(value, alive)
    return marks


def _state_token(value: Any, alive: list[Any]) -> Any:
    """Return a token that differs once a value is replaced or changed; `alive` keeps objects, so no id recurs."""
    if isinstance(value, bool | int | float | str):
        return repr(value)
    alive.append(value)
    if isinstance(value, Tensor):
        return id(value), value._version
    if isinstance(value, dict):
        return id(value), [
            (_state_token(key, alive), _state_token(item, alive)) for key, item in value.items()
        ]
    if isinstance(value, list | tuple | collections.deque):
        return id(value), [_state_token(item, alive) for item in value]
    return id(value), len(value) if isinstance(value, set) else None


def _require_plain_loop(graph: fx.Graph, network: nn.Module) -> None:
    """Raise an InputError for a traced forward that is no time step, unless it repeats all modules in order."""
    calls = [node for node in graph.nodes if node.op == "call_module"]
    order = [name for name, _ in _innermost_modules(network)]
    rounds = max(1, len(calls) // max(1, len(order)))
    begins = calls[:: max(1, len(order))]
    in_turn = [node.target for node in calls] == order * rounds
    if in_turn and rounds == 1 and not _uses_states(calls, network):
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
    """Return whether an input of a node comes from a module, not only from x."""
    current = node.all_input_nodes[:1]
    while current:
        source = current.pop()
        if source.op == "call_module":
            return True
        current.extend(source.all_input_nodes)
    return False


def _is_a_step(graph: fx.Graph, network: nn.Module) -> bool:
    """Return whether a graph is one time step: each neuron is called once, with no argument but its current."""
    calls = [node for node in graph.nodes if node.op == "call_module"]
    neurons = [node for node in calls if is_neuron(network.get_submodule(str(node.target)))]
    once = len({node.target for node in neurons}) == len(neurons)
    alone = all(len(node.args) == 1 and not node.kwargs for node in neurons)
    return bool(neurons) and once and alone and not _uses_states(calls, network)


def _uses_states(calls: list[fx.Node], network: nn.Module) -> bool:
    """Return whether states returned by neurons are used by anything but the output."""
    neurons = [node for node in calls if is_neuron_node(node, network)]
    picked = [user for node in neurons for user in node.users if user.target is operator.getitem]
    return any(user.op != "output" for pick in picked if pick.args[1] != 0 for user in pick.users)


def _chain_modules(network: nn.Module, why: str) -> fx.Graph:
    """Build a graph that calls the innermost modules in the order of creation, each with the output before it.

    Raises:
        InputError: a module is neither a neuron nor of torch.nn; `why` says why the forward could not be traced.
    """
    graph = fx.Graph()
    node = graph.placeholder("x")
    for name, module in _innermost_modules(network):
        if not is_neuron(module) and not type(module).__module__.startswith("torch.nn."):
            raise InputError(
                f"accelerate: module '{name}' is a {type(module).__name__}, whose place in a step is unknown as "
                f"the network's forward cannot be traced ({why}); give a network whose forward is one step"
            )
        node = graph.call_module(name, (node,))
    graph.output(node)
    return graph


def _innermost_modules(network: nn.Module, above: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the names and modules that contain no others; of a neuron, the submodules are not yielded."""
    for name, module in network.named_children():
        path = f"{above}{name}"
        if is_neuron(module) or not any(True for _ in module.children()):
            yield path, module
        else:
            yield from _innermost_modules(module, f"{path}.")


def _require_stateless(name: str, module: nn.Module) -> None:
    """Raise an InputError for a module that has a state, and so needs more than one step's input."""
    foreign = type(module).__module__.startswith("snntorch.") and not is_neuron(module)
    if isinstance(module, WITH_MEMORY) or foreign:
        raise InputError(
            f"accelerate: module '{name}' is a {type(module).__name__}, which has states of its own; {REMEDY}"
        )


def last_neuron(graph: fx.Graph, network: nn.Module) -> fx.Node:
    """Return the node that calls the neurons whose spikes are the output of a step.

    Raises:
        InputError: the output is anything else.
    """
    (output,) = (node for node in graph.nodes if node.op == "output")
    value = output.args[0]
    first = value[0] if isinstance(value, tuple | list) and value else value  # spikes come before states
    call = spike_source(first) if isinstance(first, fx.Node) else None
    if call is None or not is_neuron_node(call, network):
        raise InputError(
            "accelerate: a network that ends in neurons is needed; add the neurons of the output"
        )
    return call


def spike_source(node: fx.Node) -> fx.Node:
    """Return the call of neurons from which a node takes the spikes; a node that takes none is returned itself."""
    picks = node.op == "call_function" and node.target is operator.getitem and node.args[1] == 0
    return node.args[0] if picks and isinstance(node.args[0], fx.Node) else node


def evaluate(
    graph: fx.Graph, network: nn.Module, x: Any, call: Callable[[fx.Node, nn.Module, Any], Any]
) -> dict[fx.Node, Any]:
    """Compute the values of all nodes for an input x; `call(node, module, value)` computes those of modules."""
    values: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        args, options = map_arg((node.args, node.kwargs), values.__getitem__)
        if node.op == "placeholder":
            values[node] = x
        elif node.op == "get_attr":
            constant = node.meta.get("constant")
            values[node] = operator.attrgetter(str(node.target))(network) if constant is None else constant
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
    """Runs a network by calling its modules, one time step after another; `graph` is from `trace_step`."""

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
        for step_input in x.unbind(0):
            values = evaluate(self.graph, self.network, step_input, self._call)
            spikes.append(values[self.last])
            potentials.append(self.potential)  # set by `_call` when it runs the last neurons
        self.states = {}
        return torch.stack(spikes), torch.stack(potentials)

    def _call(self, node: fx.Node, module: nn.Module, current: Any) -> Tensor:
        """Call a module; neurons get their states of the last step."""
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
        """Call neurons of snnTorch with explicit states, also with `init_hidden`."""
        if node not in self.states:
            rest = module.reset_mem()
            self.states[node] = rest if isinstance(rest, tuple) else (rest,)
        hidden, module.init_hidden = module.init_hidden, False
        try:
            out = module(current, *self.states[node])
        finally:
            module.init_hidden = hidden
        self.states[node] = tuple(out) if hasattr(module, "recurrent") else tuple(out[1:])
        if node is self.last:
            self.potential = out[-1]
        return out[0]  # type: ignore[no-any-return]
