"""The strict, frozen base of everything that is stored."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict


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
    return value


Scalar = bool | int | float | str | None
Value = Annotated[Scalar | tuple[Scalar, ...], BeforeValidator(_plain)]
