"""What a replay is told of neurons, whose classes it does not know, and how the engine runs them.

A network calls neurons in one of two ways. Some have the engine's `step` and `centred`, and the network carries their
state. Others are called as modules, with the current and maybe their state, and hold their state in attributes; they
return their spikes, or these first. A state of zeros, or of empty tensors, is that at rest.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastspiking.errors import InputError


class WeightedNeurons(nn.Module):
    """A layer as the engine takes it: neurons, the weights and bias before them, and their own recurrent weights.

    Without weights its input is the neurons' current. `wired`: module of the feedback: a linear layer, a convolution,
    or one factor `V` for each of `features` neurons; None without feedback.
    """

    cut = False
    recurrence = "none"
    recurrent: Tensor | None

    def __init__(
        self,
        name: str,
        neuron: Any,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        wired: Any = None,
        features: int = 0,
    ) -> None:
        super().__init__()
        self.name, self.neuron, self.recurrent = name, neuron, None
        self.given = weight, bias
        self.back: tuple[Callable[[Tensor], Tensor], ...] = ()  # a tuple, since a module would be registered
        if wired is None:
            return
        self.back = (wired,)
        if isinstance(wired, nn.Linear):
            self.recurrence, self.recurrent = "all_to_all", wired.weight
            own_bias, matrix = wired.bias, wired.weight  # the feedback's bias flows in each step, as the input's does
            if own_bias is not None:
                self.given = weight, own_bias if bias is None else bias + own_bias
            self.back = (lambda s: s @ matrix.T,)
        elif isinstance(wired, nn.Conv2d):
            self.recurrence, self.recurrent = "convolution", wired.weight
        else:
            self.recurrence, self.recurrent = "one_to_one", torch.as_tensor(wired.V).flatten().expand(features)

    def synapses(self) -> tuple[Tensor, Tensor | None] | None:
        weight, bias = self.given
        return None if weight is None else (weight, bias)

    def current(self, x: Tensor) -> Tensor:
        weight, bias = self.given
        if weight is not None:
            return nn.functional.linear(x, weight, bias)
        return x if bias is None else x + bias

    def feedback(self, s: Tensor) -> Tensor:
        return self.back[0](s) if self.back else torch.zeros_like(s)


class NeuronLayer:
    """Runs a module of neurons with a `step` over all steps; a subclass, one that holds its state.

    Methods take the module as it is at that time.

    Raises:
        InputError: the engine cannot run it.
    """

    loses_potential = False  # whether the engine's potential is lost in rounding
    sends_output = True  # whether neurons send the engine's output as it is
    neuron: Any  # for neurons that hold their state: what the engine runs, with a method `state` of the tensors held

    def __init__(self, name: str, module: Any, features: Sequence[int]) -> None:
        self.name = name
        if module.sees_all_steps:
            raise InputError(f"module '{name}' sees all steps at once")

    def layer(self, module: Any, weight: Tensor | None, bias: Tensor | None) -> WeightedNeurons:
        return WeightedNeurons(self.name, module, weight, bias)

    def results(
        self, module: Any, output: Tensor, centred: Tensor | None, *, with_spikes: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return what neurons send, and potentials, from the engine's output and its potential.

        Of neurons with a `step` these are potentials minus the threshold; those that do not fire send them.
        """
        return output, output if centred is None else centred

    def has_fired(self, module: Any, output: Tensor, begin: Any) -> bool:
        """Return whether neurons that were taken to stay silent fire, as this layer takes them to from then on."""
        return False


class NeuronAdapter(NamedTuple):
    """Answers what a replay asks about the modules of a network; without more, none of them holds a state."""

    has_step: Callable[[nn.Module], bool]  # whether it is neurons with the engine's `step` and `centred`
    # The attributes that hold the state of neurons, in the order of arguments, the potential last, each with the
    # engine's field.
    state_fields: Callable[[nn.Module], dict[str, str]] = lambda _: {}
    kind: Callable[[nn.Module], Any] = lambda _: None  # what decides how the engine runs neurons that hold their state
    layer: Callable[[str, nn.Module, Sequence[int]], NeuronLayer] = NeuronLayer  # of these, for currents [B, *features]
    all_neurons: Callable[[], Iterable[nn.Module]] = tuple  # those that a call of any network may set to rest
    set_to_rest: Callable[[Any], None] = lambda _: None
    library_folders: tuple[str, ...] = ()  # with the code of neurons, in which nothing is looked for that a call reads


@contextmanager
def watched(network: nn.Module, adapter: NeuronAdapter, on_forward: Callable, on_step: Callable) -> Iterator[None]:
    """Let functions stand in for `forward` of neurons that hold their state, and for `step` and `centred` of others.

    They take the name, the module and its own method, and then what that is given.
    """
    replaced: list[tuple[nn.Module, str]] = []
    try:
        for name, module in network.named_modules():
            holds = adapter.state_fields(module) and "forward" not in vars(module)
            steps = ("step", "centred") if adapter.has_step(module) else ()
            for method in ("forward",) if holds else steps:
                by = on_forward if holds else on_step
                vars(module)[method] = functools.partial(by, name, module, getattr(module, method))
                replaced.append((module, method))
        yield
    finally:
        for module, method in replaced:
            del vars(module)[method]
