"""What an engine needs of a surrogate: spikes forward, a derivative backward, and forms that loops can compile."""

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, Protocol

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
