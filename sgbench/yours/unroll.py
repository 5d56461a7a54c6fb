"""Runs a network whose forward is one time step over all steps, as the loop outside of it would."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastspiking.replay.trace import tree_map, tree_values
from sgbench.errors import InputError
from sgbench.networks.watching import rest
from sgbench.neurons.base import Neuron
from sgbench.yours.snntorch_neurons import state_fields

FEWEST_AXES = 2
"""Axes that every input over time has, time and batch; features follow."""


class UnrolledNetwork(nn.Module):
    """Calls a network once for each time step from rest, and stacks what it returns."""

    everywhere = False  # whether neurons outside of chains send their spikes alone as well

    def __init__(self, network: nn.Module, steps: int | None = None) -> None:
        super().__init__()
        self.network, self.steps = network, steps
        self.train(network.training)

    def forward(self, x: Tensor) -> Any:
        """Return the network's outputs of all steps, stacked along a first axis of time."""
        if self.steps is None and x.dim() < FEWEST_AXES:
            raise InputError(f"unroll: input has shape {tuple(x.shape)}; [time, batch, ...] is needed")
        rest(self.network)
        states: dict[str, Any] = {}
        with _hidden(self.network, everywhere=self.everywhere):
            inputs = x.unbind(0) if self.steps is None else [x] * self.steps
            return _stacked([self._step(now, states) for now in inputs])

    def _step(self, x: Any, states: dict[str, Any]) -> Any:
        """Return one time step's output; `states` maps names of the catalogue's neurons to states; it is updated."""
        children = _children(self.network)
        if not any(isinstance(child, Neuron) for child in children.values()):
            return self.network(x)
        for name, child in children.items():
            if not isinstance(child, Neuron):
                x = child(x)
                continue
            state = states[name] if name in states else child.initial_state(x)
            x, states[name] = child.step(x, state)
        name, last = next(reversed(children.items()))
        return (x, last.centred(states[name])) if isinstance(last, Neuron) else x


class Pass(NamedTuple):
    """Holds the spikes and potentials of the last layer in T time steps, for B samples and C neurons."""

    spikes: Tensor  # [T, B, C]
    potential: Tensor  # membrane potential before its reset, as snnTorch returns it [T, B, C]


class UnrolledPass(UnrolledNetwork):
    """Returns spikes and potentials of the last neurons, whatever the network's forward returns besides."""

    everywhere = True

    def forward(self, x: Tensor) -> Any:
        out = super().forward(x)
        return Pass(*out) if isinstance(out, tuple) else out


def is_a_step(network: nn.Module) -> bool:
    """Return whether a network is a chain of one step, in which neurons return states that the next cannot take."""
    children = list(_children(network).values()) if type(network) is nn.Sequential else []
    ours = any(isinstance(child, Neuron) for child in children)
    return ours or any(state_fields(child) and not child.init_hidden for child in children)  # type: ignore[truthy-bool]


def _children(network: nn.Module) -> dict[str, nn.Module]:
    """Map names to the modules of an `nn.Sequential`, nested ones flattened; any other network is its only module."""
    if type(network) is not nn.Sequential:
        return {"": network}
    children = {}
    for name, child in network.named_children():
        children |= {f"{name}.{inner}".rstrip("."): module for inner, module in _children(child).items()}
    return children


@contextmanager
def _hidden(network: nn.Module, *, everywhere: bool) -> Iterator[None]:
    """Let snnTorch's neurons, but the last, return spikes without states in a `with` block, as the next layer needs.

    This concerns neurons in an `nn.Sequential`, or with `everywhere` those of all modules.
    """
    last = next(reversed(_children(network).values()), None)
    parents = [parent for parent in network.modules() if everywhere or type(parent) is nn.Sequential]
    layers = [layer for parent in parents for layer in parent.children() if layer is not last]
    changed: list[Any] = [layer for layer in layers if state_fields(layer) and not layer.init_hidden]  # type: ignore[attr-defined]
    for neurons in changed:
        neurons.init_hidden = True
    try:
        yield
    finally:
        for neurons in changed:
            neurons.init_hidden = False


def _stacked(outs: list[Any]) -> Any:
    """Join the outputs of all steps to one of the same form, its tensors stacked over time, all else in lists."""
    values_over_time = zip(*map(tree_values, outs), strict=True)  # in the order in which `tree_map` visits them
    joined = (torch.stack(values) if isinstance(values[0], Tensor) else list(values) for values in values_over_time)
    return tree_map(outs[0], lambda _: next(joined), None)


def unroll(network: nn.Module, steps: int | None = None) -> UnrolledNetwork:
    """Make a module over all time steps of a network whose `forward` is one, as the loop outside would run it.

    The neurons start from rest, and keep their own states: make them with `init_hidden=True`, or put them into an
    `nn.Sequential`, in which neurons of the catalogue may stand as well. Give the result to `sgbench.accelerate`.

    Args:
        network: of one time step; weights are shared, not copied.
        steps: number of steps with the same input; None takes the input's first axis as time.

    Returns:
        A module that maps [T, B, ...] to what the network returns, each tensor stacked over time [T, ...]. A chain
        that ends in neurons returns their spikes and potentials.

    >>> import snntorch as snn
    >>> network = nn.Sequential(nn.Linear(2, 1, bias=False), snn.Leaky(beta=0.5, init_hidden=True))
    >>> _ = nn.init.constant_(network[0].weight, 0.75)
    >>> unroll(network)(torch.ones(3, 1, 2)).flatten().tolist()
    [1.0, 1.0, 1.0]
    """
    return UnrolledNetwork(network, steps)
