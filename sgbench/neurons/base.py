"""The interface of neurons: an elementwise step with explicit state; weights and recurrence are the network's."""

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from fastspiking.spec import LinearSpec
from sgbench.errors import InputError, require_choice
from sgbench.neurons.arguments import require_argument, with_arguments
from sgbench.neurons.quantity import Threshold
from sgbench.surrogates.base import Output, Surrogate

RESETS = ("subtract", "subtract_decayed", "zero", "none")
INPUT_GAINS = ("one", "one_minus_beta", "dt_over_tau")
RESET_GRADIENTS = ("detached", "attached")


class Operations(NamedTuple):
    """Counts the operations that one neuron performs in every time step, whatever its input.

    A reset by subtraction counts as one addition in every step, with or without a spike. Additions of weights that
    arriving spikes trigger are synaptic operations, which are counted elsewhere from the spikes.
    """

    multiplications: int
    additions: int
    comparisons: int
    state_words: int  # numbers of state read and written
    functions: int = 0  # exponentials, sigmoids, divisions and the like


class Neuron(nn.Module, ABC):
    """Models the N neurons of a layer; the caller carries their state, a NamedTuple of tensors [B, N].

    A spiking neuron's state has a field `s`, the spikes of the last step. A neuron's docstring explains its own
    arguments; `sgbench.neurons.arguments` adds those that many neurons share.
    """

    output: ClassVar[Literal["binary", "real"]]  # spikes, or the potential of a readout
    # Input currents of one neuron, for its gates or branches. A layer's are [B, currents N]: those of the first
    # gate or branch for all N neurons, then those of the next.
    currents: int = 1
    # Whether each input reaches only one of a neuron's currents, which the layer draws.
    splits_inputs: bool = False
    sees_all_steps: ClassVar[bool] = False  # whether it is a `SequenceNeuron`
    feeds_back: ClassVar[Literal["spikes", "potential"]] = "spikes"  # input of the recurrent weights

    def __init_subclass__(cls, **options: Any) -> None:
        """Complete a subclass's docstring with the descriptions of arguments that many neurons share."""
        super().__init_subclass__(**options)
        if cls.__doc__ and "__init__" in vars(cls):
            _, *names = inspect.signature(cls.__init__).parameters
            cls.__doc__ = with_arguments(cls.__doc__, names)

    @abstractmethod
    def initial_state(self, like: Tensor) -> Any:
        """Return the state before the first step, for currents of the shape, dtype and device of `like`."""

    @abstractmethod
    def step(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Advance one time step: from current [B, currents N] and state return output [B, N] and next state."""

    def advance(self, progress: float) -> None:
        """Update parameters that follow a schedule; progress is the share of training done, in [0, 1].

        Most neurons have none.
        """

    @property
    def sends(self) -> Output:
        """Return the kind of values sent to other layers: that of the surrogate's spikes, or "real"."""
        surrogate = getattr(self, "surrogate", None)
        return surrogate.output if self.output == "binary" and surrogate is not None else self.output

    def recurrence_spec(self) -> LinearSpec | None:
        """Return the neuron's coefficients for engines that do not call `step`; None if only `step` can run it."""
        return None

    @property
    def filters_alike(self) -> bool:
        """Return whether all neurons filter an input by the same linear filter, whatever they sent before."""
        spec = self.recurrence_spec()
        return spec is not None and spec.filters_alike

    def fed_back(self, state: Any) -> Tensor:
        """Return the input of the recurrent weights [B, N]: the state's spikes, or what `feeds_back` names."""
        return state.s

    def driven(self, current: Tensor, recurrent: Tensor) -> Tensor:
        """Combine feed-forward and recurrent current [B, currents N] into what `step` takes: here their sum."""
        return current + recurrent

    @abstractmethod
    def centred(self, state: Any) -> Tensor:
        """Return a state's membrane potential minus the threshold [B, N]; a readout's potential as it is."""

    @property
    @abstractmethod
    def operations(self) -> Operations:
        """Count the operations of one neuron in one step."""


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
            raise InputError("neuron.input_gain=dt_over_tau: beta=0 has no time constant; use one or one_minus_beta")

    def __call__(self, beta: Tensor | float) -> Tensor | float:
        """Return the factor of the current for a decay beta per step: 1, 1 - beta or -ln beta."""
        if self.kind == "one":
            return 1.0
        if self.kind == "one_minus_beta":
            return 1 - beta
        return -beta.log() if isinstance(beta, Tensor) else -math.log(beta)

    @property
    def multiplications(self) -> int:
        """Return the multiplications of the gain per neuron and step: one, or none if the gain is 1."""
        return int(self.kind != "one")


class ResetPotential:
    r"""Applies the reset of a spike s to the potential u; f is one step of the neuron's dynamics without reset.

    .. math::
        \text{subtract: } & f(u) - \theta s \\
        \text{subtract\_decayed: } & f(u - \theta s) \\
        \text{zero: } & f((1 - s) u + s u_\mathrm{r}) \\
        \text{none: } & f(u)

    `subtract` is snnTorch's default; `subtract_decayed` is the textbook reset in the step of the spike itself;
    `zero` keeps the current of the step after a spike, and sets the potential to u_r, mostly 0. A leaky neuron has
    f(u) = beta u + I.

    Args:
        reset: "subtract", "subtract_decayed", "zero" or "none", as above.
        reset_gradient: "detached" or "attached" (the gradient also flows through s).
        to: potential u_r after a spike with reset `zero` [units of u].

    Raises:
        InputError: an unknown reset or reset_gradient.
    """

    def __init__(self, reset: str, reset_gradient: str, *, to: float = 0.0) -> None:
        self.reset = require_choice("neuron.reset", reset, RESETS)
        self.detached = require_choice("neuron.reset_gradient", reset_gradient, RESET_GRADIENTS) == "detached"
        self.to = to

    def __call__(
        self, u: Tensor, s: Tensor, current: Tensor, beta: Tensor | float, threshold: Tensor | float
    ) -> Tensor:
        """Compute a leaky neuron's next potential [B, N] from the last potential u and last spikes s [B, N]."""
        return self.around(lambda start: beta * start + current, u, s, threshold)

    def around(self, advance: Callable[[Tensor], Tensor], u: Tensor, s: Tensor, threshold: Tensor | float) -> Tensor:
        """Compute the next potential [B, N] of a neuron whose dynamics without reset are u -> advance(u)."""
        return self.after_step(advance(self.before_step(u, s, threshold)), s, threshold)

    def after_step(self, u: Tensor, s: Tensor, threshold: Tensor | float) -> Tensor:
        """Subtract the threshold of the last spikes from the moved potential u, if the reset is `subtract`."""
        return u - threshold * self.reset_spikes(s) if self.reset == "subtract" else u

    def before_step(self, u: Tensor, s: Tensor, threshold: Tensor | float) -> Tensor:
        """Apply the resets `zero` and `subtract_decayed` to the last potential u, before the step moves it."""
        s = self.reset_spikes(s)
        if self.reset == "subtract_decayed":
            return u - threshold * s
        if self.reset == "zero":
            return (1 - s) * u + self.to * s if self.to else (1 - s) * u
        return u

    def reset_spikes(self, s: Tensor) -> Tensor:
        """Return the spikes for use in a reset: detached from the gradient if `reset_gradient` says so."""
        return s.detach() if self.detached else s

    before, behind, seen = before_step, after_step, reset_spikes  # their old names, for one release

    @property
    def additions(self) -> int:
        """Return the additions of one update: one for the current, one more if the threshold is subtracted."""
        return 2 if self.reset.startswith("subtract") else 1


class Takeoff:
    r"""Computes the exponential current that starts a spike, from the membrane potential u.

    .. math:: \Delta e^{(\min(u, \theta) - u_T)/\Delta}

    Beyond the threshold theta it is constant, so that it cannot overflow.

    `sharpness`: Delta, the rise of u that multiplies the current by e, above 0 [units of u]; `rheobase`: u_T, the
    potential at which the current is Delta [units of u].

    Source: Fourcaud-Trocme et al. 2003, Journal of Neuroscience 23.

    >>> takeoff = Takeoff(sharpness=0.5, rheobase=0.0)
    >>> takeoff(torch.tensor([0.0]), 1.0).item(), takeoff(torch.tensor([9.0]), 0.0).item()
    (0.5, 0.5)
    """

    def __init__(self, *, sharpness: float, rheobase: float) -> None:
        self.sharpness = require_argument("sharpness", sharpness)
        self.rheobase = require_argument("rheobase", rheobase)

    def __call__(self, u: Tensor, threshold: Tensor | float) -> Tensor:
        """Compute the exponential current [B, N] at potentials u [B, N], constant above the threshold."""
        below = torch.minimum(u, torch.as_tensor(threshold, dtype=u.dtype, device=u.device))
        return self.sharpness * torch.exp((below - self.rheobase) / self.sharpness)


class SpikingState(NamedTuple):
    """Holds the state of a layer whose neurons have no variable but the potential."""

    u: Tensor  # membrane potential [B, N], before its reset
    s: Tensor  # spikes of the last step [B, N], 0 or 1 for most neurons


class AdaptiveState(NamedTuple):
    """Holds the state of a layer whose neurons have a potential and an adaptation."""

    u: Tensor  # membrane potential [B, N], before its reset
    w: Tensor  # adaptation [B, N]
    s: Tensor  # spikes of the last step [B, N]


class SpikingNeuron(Neuron):
    """Models a neuron that fires when its potential u exceeds its threshold; its initial state is all zeros.

    A subclass sets `threshold`, implements `step`, and sets `State` if it has more than potential and spikes.
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"
    State: ClassVar[type[Any]] = SpikingState
    threshold: Threshold

    def __init__(self, surrogate: Surrogate, reset: str, reset_gradient: str, *, reset_to: float = 0.0) -> None:
        super().__init__()
        self.surrogate = surrogate
        self.next_potential = ResetPotential(reset, reset_gradient, to=require_argument("reset_to", reset_to))

    def initial_state(self, like: Tensor) -> Any:
        """Return the state at rest: every tensor is 0 and has the shape of the current `like` [B, N]."""
        zeros = torch.zeros_like(like)
        return self.State(*(zeros for _ in self.State._fields))

    def centred(self, state: Any) -> Tensor:
        """Return the state's membrane potential minus the threshold [B, N]."""
        return state.u - self.threshold()  # type: ignore[no-any-return]

    def linear_spec(self, **coefficients: Any) -> LinearSpec:
        """Return a `LinearSpec` of these coefficients with the neuron's surrogate, reset and threshold."""
        rule = self.next_potential
        return LinearSpec(self.surrogate, rule.reset, rule.detached, threshold=self.threshold(), **coefficients)

    def leaky_operations(self, **extra: int) -> Operations:
        """Count the operations of a `Leaky` neuron's step plus `extra` ones, by their names in `Operations`.

        Those of `Leaky` are the decay, the input gain (if not 1), the sums of current and reset, and a comparison.
        """
        gain = getattr(self, "input_gain", None)
        leaky = Operations(
            multiplications=1 if gain is None else 1 + gain.multiplications,
            additions=self.next_potential.additions,
            comparisons=1,
            state_words=1,
        )
        added = Operations(0, 0, 0, 0)._replace(**extra)
        return Operations(*map(sum, zip(leaky, added, strict=True)))

    def take_over_firing(self, *, stochastic: bool = False) -> None:
        """Require a surrogate with plain 0 or 1 spikes, for a neuron that decides by its own rule how it fires.

        Args:
            stochastic: whether the neuron draws its spikes; marks the surrogate as stochastic.

        Raises:
            InputError: the surrogate has a `firing` of its own, or sends other spikes than 0 or 1.
        """
        if self.surrogate.firing is not None or self.surrogate.output != "binary":
            raise InputError(
                f"{type(self).__name__} decides how it fires, so it needs single spikes to start from; "
                f"use firing=step and a surrogate that sends 0 or 1"
            )
        self.surrogate.stochastic = self.surrogate.stochastic or stochastic

    fires_by_itself = take_over_firing  # its old name, for one release

    def refuse_zero(self) -> None:
        """Raise an `InputError` if the reset is `zero`, which cannot count several or negative spikes."""
        if self.next_potential.reset == "zero":
            raise InputError(
                f"neuron.reset=zero: {type(self).__name__} sends more than single spikes, which such a reset "
                f"cannot count; use neuron.reset=subtract"
            )
