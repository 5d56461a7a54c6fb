"""The integral of a surrogate's slope, scaled to 0..1, as an output: its slope, its checks, and its removal."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

from sgbench.errors import InputError
from sgbench.firing.base import is_smooth
from sgbench.surrogates.base import FiresOtherwise, Output, Surrogate

ROUNDING = 1e-9
"""Relative difference up to which an area counts as 1."""


def curve_slope(u: Tensor, surrogate: Surrogate) -> Tensor:
    area: float = surrogate.area  # type: ignore[assignment]
    slope = surrogate.derivative(u)
    return slope if area == 1.0 else slope / area


def require_own_slope(override: str, surrogate: Surrogate, *, otherwise: str = "") -> None:
    """Raise an `InputError` unless the area under the surrogate's slope is 1.

    Only then is that slope the derivative of its integral scaled to 0..1.

    `override`: the setting that needs the area of 1, such as "firing=soft", for the message; `surrogate`: of finite
    area, before any stretch; `otherwise`: another remedy, appended to the message.
    """
    area = math.nan if surrogate.area is None else surrogate.area
    if math.isclose(area, 1.0, rel_tol=ROUNDING):
        return
    remedy = "surrogate.normalisation=area1"
    if surrogate.normalisation == "area1":
        remedy = "surrogate.scale=1" if surrogate.scale != 1 else "init=kaiming"
    elif surrogate.scale != 1:
        remedy += " and surrogate.scale=1"
    raise InputError(
        f"{override}: sends a curve from 0 to 1, and the slope of {type(surrogate).__name__} has an area of "
        f"{area:.3g}, so that it is the slope of another curve; use {remedy}{otherwise}"
    )


@contextmanager
def stepping(surrogates: Sequence[Surrogate]) -> Iterator[None]:
    """Replace smooth firings of surrogates by the plain step, within a `with` block.

    `surrogates`: all surrogates of a network; those without a smooth firing stay as they are.
    """
    smooth: list[tuple[Surrogate, FiresOtherwise | None, Output]] = [
        (surrogate, surrogate.firing, surrogate.output) for surrogate in surrogates if is_smooth(surrogate.firing)
    ]
    for surrogate, _, _ in smooth:
        surrogate.firing, surrogate.output = None, "binary"
    try:
        yield
    finally:
        for surrogate, firing, output in smooth:
            surrogate.firing, surrogate.output = firing, output
