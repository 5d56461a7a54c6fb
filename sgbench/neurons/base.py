"""The contract of a neuron: an elementwise step with explicit state; weights and recurrence are the network's."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from sgbench.engine.spec import LinearSpec
from sgbench.errors import InputError, require_choice
from sgbench.neurons.arguments import require_argument, with_arguments
from sgbench.neurons.quantity import Threshold
from sgbench.surrogates.base import Output, Surrogate

RESETS = ("subtract", "subtract_decayed", "zero", "none")
INPUT_GAINS = ("one", "one_minus_beta", "dt_over_tau")
RESET_GRADIENTS = ("detached", "attached")


class Operations(NamedTuple):
    """Counts the arithmetic of one neuron in one step, executed in every step whatever its input.

    The reset is counted as one addition each time, as a clocked machine does it; the additions that spikes
    trigger are synaptic operations and counted from the spikes themselves.
    """

    multiplications: int
    additions: int
    comparisons: int
    state_words: int
    functions: int = 0  # exponentials, sigmoids and the like


class Neuron(nn.Module, ABC):
    """Models one layer's neurons; a state is a NamedTuple of tensors [B, N] that the caller carries.

    A spiking neuron's state has a field `s`, the spikes of its last step. A neuron's docstring explains its own
    arguments; those that many neurons have are explained in `sgbench.neurons.arguments`, and added to it.
    """

    output: ClassVar[Literal["binary", "real"]]
    currents: int = (
        1  # that one neuron takes: gates or branches; those of one kind lie side by side [B, currents N]
    )
    splits_inputs: bool = (
        False  # whether each input reaches only one of a neuron's currents, drawn by the layer
    )
    sees_all_steps: ClassVar[bool] = False  # whether it is a `SequenceNeuron`
    feeds_back: ClassVar[Literal["spikes", "potential"]] = "spikes"  # what recurrent weights see

    def __init_subclass__(cls, **options: Any) -> None:
        """Add to a neuron's docstring what it leaves unsaid of arguments that many neurons have."""
        super().__init_subclass__(**options)
        if cls.__doc__ and "__init__" in vars(cls):
            _, *names = inspect.signature(cls.__init__).parameters
            cls.__doc__ = with_arguments(cls.__doc__, names)

    @abstractmethod
    def initial_state(self, like: Tensor) -> Any:
        """Return the state before the first step, of shape, dtype and device of a step's current `like`."""

    @abstractmethod
    def step(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Advance one time step: current [B, N] and state to output [B, N] and state."""

    def advance(self, progress: float) -> None:
        """Set what changes from epoch to epoch by the share of training done, in [0, 1]; most have nothing."""

    @property
    def sends(self) -> Output:
        """Name what goes on to other neurons: the kind of spike that the surrogate sends, or potentials."""
        surrogate = getattr(self, "surrogate", None)
        return surrogate.output if self.output == "binary" and surrogate is not None else self.output

    def recurrence_spec(self) -> LinearSpec | None:
        """Write the neuron as coefficients for engines that do not call `step`; None if only `step` can run it."""
        return None

    @property
    def filters_alike(self) -> bool:
        """Return whether an input moves the states of all neurons by the same filter, whatever they sent before."""
        spec = self.recurrence_spec()
        return spec is not None and spec.filters_alike

    def fed_back(self, state: Any) -> Tensor:
        """Return the recurrent weights' input from a state [B, N]: its spikes, or what `feeds_back` says."""
        return state.s

    def driven(self, current: Tensor, recurrent: Tensor) -> Tensor:
        """Combine feed-forward and recurrent current [B, currents N] into what `step` takes: here their sum."""
        return current + recurrent

    @abstractmethod
    def centred(self, state: Any) -> Tensor:
        """Subtract the threshold from a state's membrane potential [B, N]; a readout has the potential itself."""

    @property
    @abstractmethod
    def operations(self) -> Operations:
        """Count the arithmetic of one neuron in one step."""


class InputGain:
    r"""Multiplies a current on its way into a leaky potential.

    .. math:: \text{one: } 1, \qquad \text{one\_minus\_beta: } 1 - \beta, \qquad \text{dt\_over\_tau: } -\ln\beta

    With 1 a current is a charge that arrives at once, as in snnTorch; with 1 - beta a constant current I charges
    the potential to I whatever the decay, as in SpikingJelly, sinabs and snnax; dt / tau is the gain of forward
    Euler in front of an exact decay beta = exp(-dt/tau).

    Args:
        kind: "one", "one_minus_beta" or "dt_over_tau", as above.
        beta: initial decay; `dt_over_tau` has no gain for 0.

    Raises:
        InputError: an unknown kind, or a decay without such a gain.

    >>> InputGain("one_minus_beta", 0.75)(0.75)
    0.25
    """

    def __init__(self, kind: str, beta: Tensor | float) -> None:
        self.kind = require_choice("neuron.input_gain", kind, INPUT_GAINS)
        if kind == "dt_over_tau" and not (torch.as_tensor(beta) > 0).all():
            raise InputError(
                "neuron.input_gain=dt_over_tau: beta=0 has no time constant; use one or one_minus_beta"
            )

    def __call__(self, beta: Tensor | float) -> Tensor | float:
        """Return the factor of the current at a decay per step: 1, 1 - beta or -ln beta."""
        if self.kind == "one":
            return 1.0
        if self.kind == "one_minus_beta":
            return 1 - beta
        return -beta.log() if isinstance(beta, Tensor) else -math.log(beta)

    @property
    def multiplications(self) -> int:
        """Count the products that the gain costs in a step: one, but none where it is 1."""
        return int(self.kind != "one")


class ResetPotential:
    r"""Says what a spike does to the potential u in the next step; f is one step of the neuron's own dynamics.

    .. math::
        \text{subtract: } & f(u) - \theta s \\
        \text{subtract\_decayed: } & f(u - \theta s) \\
        \text{zero: } & f((1 - s) u + s u_\mathrm{r}) \\
        \text{none: } & f(u)

    `subtract` is snnTorch's default; `subtract_decayed` is the textbook reset that is paid in the step of the
    spike; `zero` keeps the current of the step after a spike, and sets the potential to 0 unless an entry says
    otherwise. Of a leaky neuron, f(u) is beta u + I.

    Args:
        reset: "subtract", "subtract_decayed", "zero" or "none", as above.
        reset_gradient: "detached" or "attached" (the gradient also flows through s).
        to: u_r.
    """

    def __init__(self, reset: str, reset_gradient: str, *, to: float = 0.0) -> None:
        self.reset = require_choice("neuron.reset", reset, RESETS)
        self.detached = require_choice("neuron.reset_gradient", reset_gradient, RESET_GRADIENTS) == "detached"
        self.to = to

    def __call__(
        self, u: Tensor, s: Tensor, current: Tensor, beta: Tensor | float, threshold: Tensor | float
    ) -> Tensor:
        """Compute the potential of a leaky neuron after one step, before its comparison with the threshold."""
        return self.around(lambda start: beta * start + current, u, s, threshold)

    def around(
        self, advance: Callable[[Tensor], Tensor], u: Tensor, s: Tensor, threshold: Tensor | float
    ) -> Tensor:
        """Compute the potential after one step of any neuron, whose dynamics without reset are `advance`."""
        return self.behind(advance(self.before(u, s, threshold)), s, threshold)

    def behind(self, u: Tensor, s: Tensor, threshold: Tensor | float) -> Tensor:
        """Complete the reset that `before` began, after the step's move: here `subtract` takes its share."""
        return u - threshold * self.seen(s) if self.reset == "subtract" else u

    def before(self, u: Tensor, s: Tensor, threshold: Tensor | float) -> Tensor:
        """Begin the reset of the last potential, before the next step moves it; `subtract` leaves it as it is."""
        s = self.seen(s)
        if self.reset == "subtract_decayed":
            return u - threshold * s
        if self.reset == "zero":
            return (1 - s) * u + self.to * s if self.to else (1 - s) * u
        return u

    def seen(self, s: Tensor) -> Tensor:
        """Return the spikes as a reset sees them: cut off from the gradient unless it is attached."""
        return s.detach() if self.detached else s

    @property
    def additions(self) -> int:
        """Count the sums of one update: the current's, and the threshold's where it is subtracted."""
        return 2 if self.reset.startswith("subtract") else 1


class SpikingState(NamedTuple):
    """Holds what a layer carries from step to step if its neurons have a potential alone."""

    u: Tensor  # membrane potential [B, N], before its reset
    s: Tensor  # spikes of the last step [B, N], their number where a neuron may send several


class AdaptiveState(NamedTuple):
    """Holds what a layer carries from step to step if its neurons adapt by a second variable."""

    u: Tensor  # membrane potential [B, N], before its reset
    w: Tensor  # adaptation [B, N]
    s: Tensor  # spikes of the last step [B, N]


class SpikingNeuron(Neuron):
    """Models a neuron that fires when its potential u exceeds its threshold, and starts from rest, all zeros.

    A subclass names its state's type if it carries more than potential and spikes, sets `threshold`, and writes
    `step`.
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"
    State: ClassVar[type[Any]] = SpikingState
    threshold: Threshold

    def __init__(
        self, surrogate: Surrogate, reset: str, reset_gradient: str, *, reset_to: float = 0.0
    ) -> None:
        super().__init__()
        self.surrogate = surrogate
        self.next_potential = ResetPotential(reset, reset_gradient, to=require_argument("reset_to", reset_to))

    def initial_state(self, like: Tensor) -> Any:
        """Start from rest, with every tensor of the state 0 and shaped as the current `like`."""
        zeros = torch.zeros_like(like)
        return self.State(*(zeros for _ in self.State._fields))

    def centred(self, state: Any) -> Tensor:
        """Subtract the threshold from a state's membrane potential [B, N]."""
        return state.u - self.threshold()  # type: ignore[no-any-return]

    def fires_by_itself(self, *, stochastic: bool = False) -> None:
        """Claim the surrogate's forward pass for a neuron that decides how it fires.

        Raises:
            InputError: the surrogate is set to fire otherwise, or sends no single spikes.
        """
        if self.surrogate.firing is not None or self.surrogate.output != "binary":
            raise InputError(
                f"{type(self).__name__} decides how it fires, so it needs single spikes to start from; "
                f"use firing=step and a surrogate that sends 0 or 1"
            )
        self.surrogate.stochastic = self.surrogate.stochastic or stochastic

    def refuse_zero(self) -> None:
        """Refuse the reset to zero, which cannot count several spikes of a step.

        Raises:
            InputError: the reset is `zero`.
        """
        if self.next_potential.reset == "zero":
            raise InputError(
                f"neuron.reset=zero: {type(self).__name__} sends more than single spikes, which such a reset "
                f"cannot count; use neuron.reset=subtract"
            )
