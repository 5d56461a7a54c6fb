"""Makes a surrogate from a function, to try it out before it becomes an entry of the catalogue."""

from collections.abc import Callable

from torch import Tensor

from sgbench.errors import InputError
from sgbench.surrogates.base import Surrogate


class CustomSurrogate(Surrogate):
    """Makes a surrogate whose slope is any elementwise function of u; serves as snnTorch's `spike_grad` too.

    It declares no peak, area or width, so its height is the function's own. Runs of the command cannot use it,
    since a record cannot name a function; for these write an entry of your own (CONTRIBUTING.md).

    Args:
        derivative: maps u = potential - threshold [threshold units] to the slope, of the same shape and dtype.
        primitive: maps u to a curve with that slope, needed to learn the steepness; None if there is none.
        scale: factor on slope and curve [1].

    Raises:
        InputError: `derivative` or `primitive` is not a function.

    >>> import torch
    >>> surrogate = CustomSurrogate(lambda u: torch.exp(-u.square()))
    >>> u = torch.tensor([0.0, 1.0], requires_grad=True)
    >>> surrogate(u).sum().backward()
    >>> u.grad
    tensor([1.0000, 0.3679])
    """

    def __init__(
        self,
        derivative: Callable[[Tensor], Tensor],
        primitive: Callable[[Tensor], Tensor] | None = None,
        *,
        scale: float = 1.0,
    ) -> None:
        if not callable(derivative) or not (primitive is None or callable(primitive)):
            raise InputError("a custom surrogate needs a function of u for its derivative, and for its primitive")
        super().__init__(normalisation="raw", scale=scale)
        self.function, self.curve = derivative, primitive

    def shape(self, u: Tensor) -> Tensor:
        """Return the slope at u, by the user's function."""
        return self.function(u)

    def shape_integral(self, u: Tensor) -> Tensor:
        """Return the value of the user's curve at u; an InputError without a curve."""
        return super().shape_integral(u) if self.curve is None else self.curve(u)

    @property
    def shape_peak(self) -> None:
        """Return None, since the peak of a function is not known."""

    @property
    def shape_area(self) -> None:
        """Return None, since the area of a function is not known."""

    @property
    def shape_fwhm(self) -> None:
        """Return None, since the width of a function is not known."""

    @property
    def has_primitive(self) -> bool:
        """Return whether the user gave a curve."""
        return self.curve is not None
