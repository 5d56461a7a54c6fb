"""Finds snnTorch's neurons in a user's network, and lets a function stand in for their calls."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from sgbench.neurons.base import Neuron

STATES = {
    "Leaky": ("mem",),
    "Lapicque": ("mem",),
    "Synaptic": ("syn", "mem"),
    "Alpha": ("syn_exc", "syn_inh", "mem"),
    "RLeaky": ("spk", "mem"),
    "RSynaptic": ("spk", "syn", "mem"),
    "SLSTM": ("syn", "mem"),
    "SConv2dLSTM": ("syn", "mem"),
}
"""Maps snnTorch's kinds of neurons to the attributes that hold their state, in the order of their arguments."""


def state_names(module: nn.Module) -> tuple[str, ...]:
    """Return the attributes that hold the state of snnTorch's neurons; empty for any other module.

    A subclass may do anything in its `forward`, so it is none of these neurons.
    """
    kind = type(module)
    return STATES.get(kind.__name__, ()) if kind.__module__.startswith("snntorch.") else ()


def states_of(module: nn.Module) -> tuple[Tensor, ...]:
    return tuple(getattr(module, name) for name in state_names(module))


Watcher = Callable[[str, nn.Module, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
"""Function (name, module, forward, args, kwargs) that stands in for the `forward` of a module of neurons."""


@contextmanager
def watched(network: nn.Module, watcher: Watcher, of_ours: Watcher | None = None) -> Iterator[None]:
    """Let `watcher` stand in for the `forward` of a network's spiking modules.

    `watcher`: stands in for snnTorch's neurons. `of_ours`: stands in for `step` and `centred` of neurons of the
    catalogue; None leaves them alone.
    """
    stand_ins: list[tuple[nn.Module, str, Callable[..., Any]]] = []

    def stand_in(name: str, module: nn.Module, method: str, by: Watcher) -> None:
        original = getattr(module, method)
        stand_ins.append((module, method, lambda *args, **kwargs: by(name, module, original, args, kwargs)))

    for name, module in network.named_modules():
        if state_names(module) and "forward" not in vars(module):
            stand_in(name, module, "forward", watcher)
        elif isinstance(module, Neuron) and of_ours is not None:
            stand_in(name, module, "step", of_ours)
            stand_in(name, module, "centred", of_ours)
    for module, method, replacement in stand_ins:
        vars(module)[method] = replacement
    try:
        yield
    finally:
        for module, method, _ in stand_ins:
            del vars(module)[method]


def given_states(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, ...]:
    """Return the state from which a call of neurons starts: what it is given, else what the module holds."""
    names = state_names(module)
    given = dict(zip(names, args[1:], strict=False)) | {key: kwargs[key] for key in names if key in kwargs}
    return tuple(
        held if given.get(name) is None else given[name] for name, held in zip(names, states_of(module), strict=True)
    )
