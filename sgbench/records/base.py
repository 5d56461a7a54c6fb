"""The strict, frozen base of everything that is stored."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Unknown keys, NaN, infinity and later changes are all refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Scalar = bool | int | float | str | None
Value = Scalar | tuple[Scalar, ...]
