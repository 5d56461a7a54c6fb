"""The strict, frozen base of everything that is stored."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)

MAX_WHOLE = 2**63 - 1
"""Nothing is counted beyond it, and sums and products of numbers within it are floats still."""
MAX_NUMBER = 1e100
"""No measured quantity is larger; sums of numbers within this bound cannot overflow."""


class Strict(BaseModel):
    """Refuses unknown keys, NaN, infinity and later changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Grown(Strict):
    """Leaves a field that came later out of what is stored where it is None.

    So what was stored before it came loads, and its bytes stay what they were.
    """

    LATER: ClassVar[frozenset[str]]  # names of these fields; a name is never taken out

    @model_serializer(mode="wrap")
    def _without_later_nulls(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what came later and is None, so that old bytes stay."""
        tree = handler(self)
        return {name: value for name, value in tree.items() if value is not None or name not in self.LATER}


def _plain(value: object) -> object:
    """Validate a value with one clear complaint in place of one for each member of the union."""
    if value is None or type(value) in (str, bool):
        return value  # most are, and every record has dozens
    items = value if isinstance(value, list | tuple) else (value,)
    for item in items:
        if not (item is None or isinstance(item, bool | int | float | str)):
            raise ValueError("a number, text, true, false, null or a list of these is needed")
        if isinstance(item, int | float) and not -MAX_NUMBER <= item <= MAX_NUMBER:  # NaN neither
            raise ValueError("a finite number of at most 1e100 is needed")
    return tuple(value) if isinstance(value, list) else value  # JSON has no tuples


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("text without control characters is needed")
    return value


def whole(value: object) -> object:
    """Require a whole number; for versions, since a literal 1 alone takes true and 1.0, which equal it."""
    if type(value) is not int:
        raise ValueError("a whole number is needed")
    return value


def truth(value: object) -> object:
    """Require the word true; a literal true alone takes 1 and 1.0, which equal it."""
    if value is not True:
        raise ValueError("true is needed, or nothing")
    return value


def _utc(value: str) -> str:
    """Require a time in UTC."""
    try:
        offset = datetime.fromisoformat(value).utcoffset()
    except ValueError:
        offset = None
    if offset != timedelta(0):
        raise ValueError("an ISO 8601 time in UTC such as 2026-01-31T12:00:00+00:00 is needed")
    return value


def in_seconds(value: str) -> str:
    """Write a `Time` of a record as a date and a time of day, whichever of the forms of ISO 8601 it has (RFC 3339).

    >>> in_seconds("2026-W49-7T12+00:00"), in_seconds("2026-12-06T12:00:00.25+00:00")
    ('2026-12-06T12:00:00Z', '2026-12-06T12:00:00Z')
    """
    return datetime.fromisoformat(value).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


Text = Annotated[str, AfterValidator(_printable)]
"""Words that a terminal only shows and never obeys."""

Natural = Annotated[int, Field(ge=0, le=MAX_WHOLE)]
Positive = Annotated[int, Field(ge=1, le=MAX_WHOLE)]
Number = Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)]
Amount = Annotated[float, Field(ge=0, le=MAX_NUMBER)]
Fraction = Annotated[float, Field(ge=0, le=1)]

MethodId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,64}$")]
Time = Annotated[str, Field(max_length=40), AfterValidator(_utc)]

Scalar = bool | int | float | str | None
_Value = Scalar | tuple[Scalar, ...]
if TYPE_CHECKING:
    Value = _Value
else:
    # Left to `_plain`, since pydantic tries each member of a union on each of the dozens of values of a record.
    Value = Annotated[Any, PlainValidator(_plain, json_schema_input_type=_Value)]
