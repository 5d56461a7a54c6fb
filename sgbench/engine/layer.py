"""What engines and networks agree on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack

from sgbench.engine.spec import LinearSpec
from sgbench.signals.spikes import Signal, dense


class Neurons(Protocol):
    """Defines what an engine needs of neurons; those that see all steps have `unroll` in place of `step`."""

    sees_all_steps: ClassVar[bool]
    currents: int  # that one neuron takes

    def fed_back(self, state: Any) -> Tensor:
        """Return the input of the recurrent weights from the last step [B, ...]."""
        ...

    def driven(self, current: Tensor, recurrent: Tensor) -> Tensor:
        """Combine the feed-forward and the recurrent current to what a step takes."""
        ...

    def initial_state(self, like: Tensor) -> Any:
        """Return the state before the first step, for one step's current [B, ...]."""
        ...

    def step(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Advance the neurons by one time step."""
        ...

    def centred(self, state: Any) -> Tensor:
        """Compute membrane potential minus threshold."""
        ...

    def recurrence_spec(self) -> LinearSpec | None:
        """Return the neuron as numbers, or None where only its `step` says what it does."""
        ...


class EngineLayer(Protocol):
    """Defines what an engine needs of a layer: its product, its recurrence and its neurons.

    It may have fixed weights for the way back beside them; see `ways_back`. It may have a `current_of_events`,
    which computes `current` for all steps by following events; see the function of this name.
    """

    name: str
    recurrence: str  # "none", "one_to_one", "all_to_all" or "convolution"
    cut: bool  # no gradient through recurrent spikes

    @property
    def neuron(self) -> Neurons:
        """Return the layer's neurons, with their step and their coefficients."""
        ...

    @property
    def recurrent(self) -> Tensor | None:
        """Return the recurrent weights V: [N], [N, N] or None."""
        ...

    def synapses(self) -> tuple[Tensor, Tensor | None] | None:
        """Return matrix [N, inputs] and bias [N] where the product has these; None for any other product."""
        ...

    def current(self, x: Tensor) -> Tensor:
        """Compute the feed-forward current of dense input, any number of leading dimensions."""
        ...

    def feedback(self, s: Tensor) -> Tensor:
        """Compute the recurrent current [B, N] from the last spikes [B, N]."""
        ...


class Wanted(NamedTuple):
    """Holds what a caller wants of each layer besides its last state; the last layer's output is always there."""

    u: bool  # membrane potential minus threshold over all steps
    spikes: bool  # output of layers before the last
    window: int | None = None  # steps over which gradient flows back through states; None: all of them
    apart: bool = False  # no gradient goes from a layer to what arrives from the one before


class WaysBack(NamedTuple):
    """Holds fixed weights by which gradient goes back in place of a layer's own; None stands for those."""

    weight: Tensor | None  # in place of W, of its shape
    recurrent: Tensor | None  # in place of V, of its shape


def ways_back(layer: EngineLayer) -> WaysBack:
    """Collect a layer's fixed feedback weights, as far as it has any."""
    return WaysBack(getattr(layer, "feedback_weight", None), getattr(layer, "recurrent_feedback", None))


def current_of_events(layer: EngineLayer, signal: Signal) -> Tensor:
    """Compute the current of all steps on a CPU, event by event where the layer defines how."""
    follow = getattr(layer, "current_of_events", None)
    current: Tensor = layer.current(dense(signal)) if follow is None else follow(signal)
    return current


def begin_feedback(layer: EngineLayer) -> Callable[[Tensor], Tensor]:
    """Return what computes the recurrent current of a pass, step by step; it keeps spikes that synapses delay."""
    begin = getattr(layer, "begin_feedback", None)
    feedback: Callable[[Tensor], Tensor] = layer.feedback if begin is None else begin()
    return feedback


def synapses_of(layer: EngineLayer) -> tuple[Tensor, Tensor | None]:
    """Return matrix and bias of a layer whose product has these."""
    synapses = layer.synapses()
    if synapses is None:
        raise TypeError(f"layer '{layer.name}' has no synapses")
    return synapses


class LayerRun(NamedTuple):
    """Holds what one layer gave over all time steps."""

    output: Tensor | None  # [T, B, N], where wanted
    u: Tensor | None  # membrane potential minus threshold [T, B, N], where wanted
    state: Any  # after the last step


class UnrollOne(Protocol):
    """Runs one layer over time, its output always wanted."""

    def __call__(self, layer: EngineLayer, signal: Signal, state: Any, wanted: Wanted) -> LayerRun:
        """Run one layer over all time steps from a state."""
        ...


def one_by_one(
    unroll: UnrollOne, layers: Sequence[EngineLayer], signal: Signal, states: Sequence[Any], wanted: Wanted
) -> list[LayerRun]:
    """Run a chain of layers, each over all steps before the next begins."""
    runs = []
    for layer, state in zip(layers, states, strict=True):
        run = unroll(layer, signal, state, wanted)
        if run.output is not None:
            signal = passed_on(run.output, wanted)
        runs.append(run)
    return runs


def passed_on(output: Tensor, wanted: Wanted) -> Tensor:
    """Return a layer's output as the next takes it, without history where layers run apart."""
    return output.detach() if wanted.apart else output


def start(layer: EngineLayer, current: Tensor, state: Any) -> Any:
    """Return the state to continue from, the neuron's initial state where `state` is None."""
    return layer.neuron.initial_state(current) if state is None else state


def traced() -> bool:
    """Return whether `torch.func` or `torch.compile` traces: the engines' own functions cannot be traced."""
    return torch.compiler.is_compiling() or peek_interpreter_stack() is not None
