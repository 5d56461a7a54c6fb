"""The strict, frozen base of everything that is stored."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Strict(BaseModel):
    """Unknown keys, NaN, infinity and later changes are all refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _plain(value: object) -> object:
    """One clear complaint in place of one for each member of the union."""
    items = value if isinstance(value, list | tuple) else (value,)
    for item in items:
        if not (item is None or isinstance(item, bool | int | float | str)):
            raise ValueError("a number, text, true, false, null or a list of these is needed")
        if isinstance(item, float) and not math.isfinite(item):
            raise ValueError("a finite number is needed")
    return tuple(value) if isinstance(value, list) else value  # JSON has no tuples


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("text without control characters is needed")
    return value


Text = Annotated[str, AfterValidator(_printable)]
"""Words that a terminal only shows and never obeys."""

MAX_WHOLE = 2**63 - 1
"""Nothing is counted beyond it, and sums and products of numbers within it are floats still."""
Natural = Annotated[int, Field(ge=0, le=MAX_WHOLE)]
Positive = Annotated[int, Field(ge=1, le=MAX_WHOLE)]

Scalar = bool | int | float | str | None
Value = Annotated[Scalar | tuple[Scalar, ...], BeforeValidator(_plain)]
