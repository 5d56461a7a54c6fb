"""The interface between engines and networks: layers, their neurons, and the results of a run."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack

from fastspiking.signals.spikes import Signal, dense
from fastspiking.spec import LinearSpec


class Neurons(Protocol):
    """Defines what an engine needs of a layer's neurons."""

    sees_all_steps: ClassVar[bool]  # whether they have `unroll` for a whole sequence in place of `step`
    currents: int  # number of input currents of one neuron

    def fed_back(self, state: Any) -> Tensor:
        """Return what the recurrent weights multiply in the next step [B, ...]: the last output, as a rule."""
        ...

    def driven(self, current: Tensor, recurrent: Tensor) -> Tensor:
        """Combine the feed-forward and the recurrent current to the argument of `step`."""
        ...

    def initial_state(self, like: Tensor) -> Any:
        """Return the state before the first step, for one step's current [B, ...]."""
        ...

    def step(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Advance the neurons by one time step; return the output and the next state."""
        ...

    def centred(self, state: Any) -> Tensor:
        """Compute membrane potential minus threshold."""
        ...

    def recurrence_spec(self) -> LinearSpec | None:
        """Return the coefficients of a linear neuron, or None if only `step` defines it."""
        ...


class EngineLayer(Protocol):
    """Defines what an engine needs of a layer: its product, its recurrence and its neurons.

    A layer may also have fixed weights for the backward pass (see `ways_back`), and a method `current_of_events`
    that computes `current` of all steps from events.
    """

    name: str
    recurrence: str  # "none", "one_to_one", "all_to_all" or "convolution"
    cut: bool  # whether no gradient goes through recurrent spikes

    @property
    def neuron(self) -> Neurons:
        """Return the layer's neurons, with their step and their coefficients."""
        ...

    @property
    def recurrent(self) -> Tensor | None:
        """Return the recurrent weights V: [N], [N, N] or None."""
        ...

    def synapses(self) -> tuple[Tensor, Tensor | None] | None:
        """Return weight matrix [N, inputs] and bias [N] or None; None if the product is not by a matrix."""
        ...

    def current(self, x: Tensor) -> Tensor:
        """Compute the feed-forward current of dense input with any number of leading dimensions."""
        ...

    def feedback(self, s: Tensor) -> Tensor:
        """Compute the recurrent current [B, N] from the last spikes [B, N]."""
        ...


class Wanted(NamedTuple):
    """Holds which results a caller wants of each layer, besides the last layer's output and all last states."""

    u: bool  # whether membrane potentials minus threshold of all steps are
    spikes: bool  # whether the outputs of layers before the last are
    window: int | None = None  # number of steps after which states are detached; None: never
    apart: bool = False  # whether each layer receives the previous layer's output detached


class WaysBack(NamedTuple):
    """Holds fixed weights that carry gradient back in place of a layer's own, as in feedback alignment."""

    weight: Tensor | None  # in place of the input weights, of their shape; None for these themselves
    recurrent: Tensor | None  # in place of the recurrent weights, likewise


def ways_back(layer: EngineLayer) -> WaysBack:
    """Return a layer's fixed feedback weights; fields are None if it has none."""
    return WaysBack(getattr(layer, "feedback_weight", None), getattr(layer, "recurrent_feedback", None))


def current_of_events(layer: EngineLayer, signal: Signal) -> Tensor:
    """Compute a layer's current [T, B, ...] of all steps, event by event if the layer can."""
    from_events = getattr(layer, "current_of_events", None)
    return layer.current(dense(signal)) if from_events is None else from_events(signal)  # type: ignore[no-any-return]


def begin_feedback(layer: EngineLayer) -> Callable[[Tensor], Tensor]:
    """Return a function that computes the recurrent current step by step in one pass.

    For recurrent synapses with delays it stores the spikes that have not arrived yet.
    """
    begin = getattr(layer, "begin_feedback", None)
    return layer.feedback if begin is None else begin()  # type: ignore[no-any-return]


def synapses_of(layer: EngineLayer) -> tuple[Tensor, Tensor | None]:
    """Return the weight matrix and bias of a layer, or raise `TypeError` if its product is not by a matrix."""
    synapses = layer.synapses()
    if synapses is None:
        raise TypeError(f"layer '{layer.name}' has no synapses")
    return synapses


class LayerRun(NamedTuple):
    """Holds the results of one layer over all time steps."""

    output: Tensor | None  # spikes, or potentials of a readout [T, B, N]; None if not wanted
    u: Tensor | None  # membrane potential minus threshold [T, B, N]; None if not wanted
    state: Any  # after the last step


class UnrollOne(Protocol):
    """Defines a function that runs one layer over time, and always returns its output."""

    def __call__(self, layer: EngineLayer, signal: Signal, state: Any, wanted: Wanted) -> LayerRun:
        """Run one layer over all time steps from a state; None is the initial one."""
        ...


def one_by_one(
    unroll: UnrollOne, layers: Sequence[EngineLayer], signal: Signal, states: Sequence[Any], wanted: Wanted
) -> list[LayerRun]:
    """Run a chain of layers by `unroll`, each over all steps before the next begins."""
    runs = []
    for layer, state in zip(layers, states, strict=True):
        run = unroll(layer, signal, state, wanted)
        if run.output is not None:
            signal = passed_on(run.output, wanted)
        runs.append(run)
    return runs


def passed_on(output: Tensor, wanted: Wanted) -> Tensor:
    """Return a layer's output as the next layer receives it: detached if layers are kept apart."""
    return output.detach() if wanted.apart else output


def start(layer: EngineLayer, current: Tensor, state: Any) -> Any:
    return layer.neuron.initial_state(current) if state is None else state


def traced() -> bool:
    return torch.compiler.is_compiling() or peek_interpreter_stack() is not None
