"""The curve from 0 to 1 behind a surrogate: its slope, who may send it, and spikes in its place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

from sgbench.errors import InputError
from sgbench.firing.base import is_smooth
from sgbench.surrogates.base import FiresOtherwise, Output, Surrogate

ROUNDING = 1e-9
"""How far from 1 an area may lie and still be 1."""


def curve_slope(u: Tensor, surrogate: Surrogate) -> Tensor:
    """Compute the derivative of the curve from 0 to 1 that a surrogate of finite area stands for."""
    area: float = surrogate.area  # type: ignore[assignment]
    slope = surrogate.derivative(u)
    return slope if area == 1.0 else slope / area


def require_own_slope(override: str, surrogate: Surrogate, *, otherwise: str = "") -> None:
    """Refuse a surrogate whose area is not 1: its slope is not that of a curve from 0 to 1.

    Args:
        override: which asks for the curve, for the message.
        surrogate: a bell of finite area, before any stretch.
        otherwise: another remedy, appended to the message.

    Raises:
        InputError: with the remedy.
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
    """Let surrogates that send a smooth curve send spikes for as long as the context lasts.

    Args:
        surrogates: of a network; those that fire otherwise stay as they are.
    """
    smooth: list[tuple[Surrogate, FiresOtherwise | None, Output]] = [
        (surrogate, surrogate.firing, surrogate.output)
        for surrogate in surrogates
        if is_smooth(surrogate.firing)
    ]
    for surrogate, _, _ in smooth:
        surrogate.firing, surrogate.output = None, "binary"
    try:
        yield
    finally:
        for surrogate, firing, output in smooth:
            surrogate.firing, surrogate.output = firing, output
