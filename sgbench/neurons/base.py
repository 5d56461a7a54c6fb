"""The contract of a neuron: an elementwise step with explicit state; weights and recurrence are the network's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from sgbench.engine.spec import LinearSpec
from sgbench.errors import InputError, require_choice, require_number
from sgbench.surrogates.base import Output

RESETS = ("subtract", "subtract_decayed", "zero", "none")
RESET_GRADIENTS = ("detached", "attached")
LEARN = ("none", "shared", "per_neuron")
LOGIT_BOUND = 16.0  # sigmoid(16) = 1 - 1.1e-7, which float32 still tells from 1
NEAREST_TO_BOUND = 1.2e-7  # of a decay to be learnt, a little more than sigmoid(-16)


class Operations(NamedTuple):
    """Arithmetic of one neuron in one step, executed in every step whatever its input.

    The reset is counted as one addition each time, as a clocked machine does it; the additions that spikes
    trigger are synaptic operations and counted from the spikes themselves.
    """

    multiplications: int
    additions: int
    comparisons: int
    state_words: int


class Neuron(nn.Module, ABC):
    """One layer's neurons; a state is a NamedTuple of tensors [B, N] that the caller carries.

    A spiking neuron's state has a field `s`, the spikes of its last step.
    """

    output: ClassVar[Literal["binary", "real"]]

    @abstractmethod
    def initial_state(self, like: Tensor) -> Any:
        """The state before the first step, with the shape, dtype and device of one step's current `like`."""

    @abstractmethod
    def step(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Advance one time step: current [B, N] and state to output [B, N] and state."""

    @property
    def sends(self) -> Output:
        """What goes on to other neurons: the kind of spike that the surrogate sends, or potentials."""
        surrogate = getattr(self, "surrogate", None)
        return surrogate.output if self.output == "binary" and surrogate is not None else self.output

    def recurrence_spec(self) -> LinearSpec | None:
        """The same neuron as numbers, for engines that do not call `step`; None where only `step` tells it."""
        return None

    @abstractmethod
    def centred(self, state: Any) -> Tensor:
        """Membrane potential minus threshold [B, N]; of a readout, the potential itself."""

    @property
    @abstractmethod
    def operations(self) -> Operations:
        """Arithmetic of one neuron in one step."""


class Decay(nn.Module):
    r"""A decay per step in [0, 1], fixed or learnable.

    Learnable ones are stored as a logit, :math:`\beta = \sigma(w)`: no gradient step can leave (0, 1). Beyond
    :math:`|w| = 16`, where rounding would make the decay 1 and its gradient 0 for good, the value stays that of
    the bound and the gradient passes through, so that a decay driven there can come back.

    Args:
        name: of the parameter, for messages.
        value: initial decay per step.
        learn: "none", "shared" (one for the layer) or "per_neuron".
        features: number of neurons; needed for "per_neuron".

    Raises:
        InputError: a value outside [0, 1], or nearer than 1.2e-7 to 0 or 1 where it is to be learnt.

    >>> Decay("beta", 0.9, learn="none", features=None)()
    0.9
    """

    def __init__(self, name: str, value: float, *, learn: str, features: int | None) -> None:
        super().__init__()
        self.fixed = require_number(f"neuron.{name}", value, low=0, high=1)
        shape = _learnt_shape(name, learn, features)
        self.logit: nn.Parameter | None = None
        if shape is None:
            return
        if not NEAREST_TO_BOUND <= self.fixed <= 1 - NEAREST_TO_BOUND:
            raise InputError(
                f"neuron.{name}={value}: a decay to be learnt starts strictly between 0 and 1, "
                f"at least {NEAREST_TO_BOUND} away from either"
            )
        start = torch.full(shape, self.fixed, dtype=torch.float64)
        self.logit = nn.Parameter(torch.logit(start))

    def forward(self) -> Tensor | float:
        """The decay per step: a number, or a tensor that carries gradient."""
        if self.logit is None:
            return self.fixed
        bounded = self.logit.clamp(-LOGIT_BOUND, LOGIT_BOUND).detach()
        return torch.sigmoid(bounded + (self.logit - self.logit.detach()))


class Number(nn.Module):
    """A number of a neuron that may be learnt as it is, without bounds.

    Args:
        name: of the parameter, for messages.
        value: initial value.
        learn: "none", "shared" (one for the layer) or "per_neuron".
        features: number of neurons; needed for "per_neuron".

    >>> Number("a", 0.5, learn="none", features=None)()
    0.5
    """

    def __init__(self, name: str, value: float, *, learn: str, features: int | None) -> None:
        super().__init__()
        self.fixed = require_number(f"neuron.{name}", value)
        shape = _learnt_shape(name, learn, features)
        self.value: nn.Parameter | None = None
        if shape is not None:
            self.value = nn.Parameter(torch.full(shape, self.fixed, dtype=torch.float64))

    def forward(self) -> Tensor | float:
        """The number, or a tensor that carries gradient."""
        return self.fixed if self.value is None else self.value


class Threshold(nn.Module):
    r"""A firing threshold above 0, fixed or learnable.

    Learnable ones are stored as a logarithm, :math:`\theta = e^w`: no gradient step can make them negative.

    Args:
        value: initial threshold [units of the potential].
        learn: "none", "shared" (one for the layer) or "per_neuron".
        features: number of neurons; needed for "per_neuron".

    Raises:
        InputError: a value that is not above 0.

    >>> Threshold(1.0, learn="shared", features=None)().item()
    1.0
    """

    def __init__(self, value: float, *, learn: str, features: int | None) -> None:
        super().__init__()
        self.fixed = require_number("neuron.threshold", value, low=0, open_low=True)
        shape = _learnt_shape("threshold", learn, features)
        self.logarithm: nn.Parameter | None = None
        if shape is not None:
            self.logarithm = nn.Parameter(torch.full(shape, self.fixed, dtype=torch.float64).log())

    def forward(self) -> Tensor | float:
        """The threshold: a number, or a tensor that carries gradient."""
        return self.fixed if self.logarithm is None else self.logarithm.exp()


def _learnt_shape(name: str, learn: str, features: int | None) -> tuple[int, ...] | None:
    """Of the parameter behind a number: (), (features,), or None where it is fixed."""
    require_choice(f"neuron.learn_{name}", learn, LEARN)
    if learn == "none":
        return None
    if learn == "shared":
        return ()
    if features is None:
        raise InputError(f"neuron.learn_{name}=per_neuron: the number of neurons (features) is needed")
    return (features,)


class ResetPotential:
    r"""The membrane update shared by leaky neurons, u = potential, I = current, s = last spikes.

    .. math::
        \text{subtract: } & \beta u + I - \theta s \\
        \text{subtract\_decayed: } & \beta (u - \theta s) + I \\
        \text{zero: } & \beta (1 - s) u + I \\
        \text{none: } & \beta u + I

    `subtract` is snnTorch's default; `subtract_decayed` is the textbook reset that is paid in the step of the
    spike; `zero` keeps the current of the step after a spike.

    Args:
        reset: one of the four.
        reset_gradient: "detached" or "attached" (the gradient also flows through s).
    """

    def __init__(self, reset: str, reset_gradient: str) -> None:
        self.reset = require_choice("neuron.reset", reset, RESETS)
        self.detached = require_choice("neuron.reset_gradient", reset_gradient, RESET_GRADIENTS) == "detached"

    def __call__(
        self, u: Tensor, s: Tensor, current: Tensor, beta: Tensor | float, threshold: Tensor | float
    ) -> Tensor:
        """The potential after one step, before it is compared with the threshold."""
        if self.detached:
            s = s.detach()
        if self.reset == "subtract":
            return beta * u + current - threshold * s
        if self.reset == "subtract_decayed":
            return beta * (u - threshold * s) + current
        if self.reset == "zero":
            return beta * ((1 - s) * u) + current
        return beta * u + current

    @property
    def additions(self) -> int:
        """Additions of one update: the current, and the threshold where it is subtracted."""
        return 2 if self.reset.startswith("subtract") else 1
