r"""The description of a linear neuron by coefficients, from which engines run it without its `step`, and surrogates.

A neuron whose state is a membrane potential u and at most one more variable w, both linear in themselves, in the
current I and in the last spikes s, is described by numbers alone:

.. math::
    w[t] &= d_w w[t-1] + p u[t-1] + c_w I[t] + q s[t-1] \\
    u[t] &= \mathrm{kept}(\beta, u[t-1], s[t-1]) + (c I[t] + k w[t]) \\
    x[t] &= u[t] - (\theta + m w[t]), \qquad s[t] = H(x[t])

where `kept` is one of the four resets. The sums are made in the written order, so that all engines round equally.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from fastspiking.formula import Node


class Kernel(NamedTuple):
    """Describes a derivative that compiled loops implement by name: height * form(steepness * u)."""

    shape: str  # name of the form
    steepness: float
    height: float


class SurrogateDerivative(Protocol):
    """Defines what an engine needs of a surrogate, u being the potential minus the threshold."""

    stochastic: bool  # whether calls draw random numbers
    elementwise: ClassVar[bool]  # whether the gradient of an element depends on that element alone

    @property
    def fires_at_threshold(self) -> bool:
        """Return whether a spike is sent where u > 0, and nothing elsewhere."""
        ...

    @property
    def has_own_forward(self) -> bool:
        """Return whether a call does more than to send spikes with `derivative` backward."""
        ...

    def __call__(self, u: Tensor, /) -> Tensor:
        """Return the spikes at u, with the surrogate gradient."""
        ...

    def derivative(self, u: Tensor) -> Tensor:
        """Compute the derivative psi(u), elementwise."""
        ...

    def primitive(self, u: Tensor) -> Tensor:
        """Compute a primitive of `derivative`, from which the surrogate's own parameters learn."""
        ...

    def kernel(self) -> Kernel | None:
        """Return the derivative as a form that compiled loops implement, or None if they do not."""
        ...

    def as_formula(self) -> Node | None:
        """Return the derivative as a formula of u, from which loops can be generated, or None if there is none."""
        ...

    def parameters(self) -> Iterator[Any]:
        """Yield the parameters that may learn."""
        ...


Coefficient = Tensor | float


class LinearSpec(NamedTuple):
    """Describes one layer's linear neurons by the coefficients of the module's equations.

    A tensor may need a gradient, and broadcasts against the layer's features. Construct it by keywords.
    """

    surrogate: SurrogateDerivative | None  # None for a readout, whose output is its potential
    reset: str  # "subtract", "subtract_decayed", "zero" or "none"
    detached: bool  # whether no gradient goes through the reset to the spikes
    decay: Coefficient  # beta
    threshold: Coefficient = 0.0  # theta
    input: Coefficient = 1.0  # c
    coupling: Coefficient = 0.0  # k
    second_decay: Coefficient = 0.0  # d_w
    second_potential: Coefficient = 0.0  # p
    second_input: Coefficient = 0.0  # c_w
    second_spike: Coefficient = 0.0  # q; its gradient flows whatever `detached` says
    threshold_slope: Coefficient = 0.0  # m
    second: str | None = None  # field of the state that holds w, or None where there is no w

    def coefficients(self) -> tuple[Coefficient, ...]:
        return self[3:-1]

    @property
    def filters_alike(self) -> bool:
        """Return whether one linear filter maps input to potential for all neurons, whatever they fired before."""
        if self.reset == "zero" or not (self.detached or self.reset == "none"):
            return False
        numbers = (self.decay, self.input, self.coupling, self.second_decay, self.second_potential, self.second_input)
        per_neuron = any(isinstance(number, Tensor) for number in numbers)
        return not per_neuron and not isinstance(self.second_spike, Tensor) and self.second_spike == 0.0

    def state(self, state: Any) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return u, w and s of a neuron's state; None for those that it does not have."""
        return (
            state.u,
            None if self.second is None else getattr(state, self.second),
            None if self.surrogate is None else state.s,
        )

    def next_state(self, state: Any, u: Tensor, w: Tensor | None, s: Tensor | None) -> Any:
        values = {"u": u} | ({} if self.second is None else {self.second: w})
        return state._replace(**values, **({} if self.surrogate is None else {"s": s}))


COEFFICIENTS = LinearSpec._fields[3:-1]


def requires_grad(value: object) -> bool:
    """Return whether a coefficient or a field of a state needs a gradient, with autograd enabled."""
    return isinstance(value, Tensor) and value.requires_grad and torch.is_grad_enabled()
