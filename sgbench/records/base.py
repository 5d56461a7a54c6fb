"""The strict, frozen base classes and field types of all stored data."""

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SerializerFunctionWrapHandler,
    StringConstraints,
    WithJsonSchema,
    model_serializer,
)

MAX_WHOLE = 2**63 - 1
"""Largest whole number that a record may hold."""
MAX_NUMBER = 1e100
"""Largest magnitude of a number that a record may hold, so that sums of numbers do not overflow."""


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
        """Drop the fields in `LATER` that are None, so that the bytes of old records stay the same."""
        tree = handler(self)
        return {name: value for name, value in tree.items() if value is not None or name not in self.LATER}


def _plain(value: object) -> object:
    """Return a number, text, truth value, None, or a list of these as a tuple; raise ValueError for all else.

    Pydantic would complain once for each member of the union.
    """
    if value is None or type(value) in (str, bool):
        return value  # first, for speed: most are
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
    """Return an int, or raise ValueError; for versions, as pydantic's `Literal[1]` accepts true and 1.0 too."""
    if type(value) is not int:
        raise ValueError("a whole number is needed")
    return value


def truth(value: object) -> object:
    """Return True, or raise ValueError; pydantic's `Literal[True]` accepts 1 and 1.0 too."""
    if value is not True:
        raise ValueError("true is needed, or nothing")
    return value


def _utc(value: str) -> str:
    """Refuse a time that is not ISO 8601 in UTC."""
    try:
        offset = datetime.fromisoformat(value).utcoffset()
    except ValueError:
        offset = None
    if offset != timedelta(0):
        raise ValueError("an ISO 8601 time in UTC such as 2026-01-31T12:00:00+00:00 is needed")
    return value


def in_seconds(value: str) -> str:
    """Convert any ISO 8601 time in UTC to the form of RFC 3339 in whole seconds.

    >>> in_seconds("2026-W49-7T12+00:00"), in_seconds("2026-12-06T12:00:00.25+00:00")
    ('2026-12-06T12:00:00Z', '2026-12-06T12:00:00Z')
    """
    return datetime.fromisoformat(value).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


Text = Annotated[str, AfterValidator(_printable)]
"""Text without control characters, which is safe to print in a terminal."""

Natural = Annotated[int, Field(ge=0, le=MAX_WHOLE)]
Positive = Annotated[int, Field(ge=1, le=MAX_WHOLE)]
Number = Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)]
Amount = Annotated[float, Field(ge=0, le=MAX_NUMBER)]
Fraction = Annotated[float, Field(ge=0, le=1)]

Version = Annotated[Literal[1], BeforeValidator(whole)]
"""The number of a schema whose first version still holds."""

MethodId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,64}$")]
Time = Annotated[str, Field(max_length=40), AfterValidator(_utc)]

Scalar = bool | int | float | str | None
_Value = Scalar | tuple[Scalar, ...]
if TYPE_CHECKING:
    Value = _Value
else:
    # Validated by `_plain` alone, as pydantic would try each member of the union for each value.
    Value = Annotated[Any, PlainValidator(_plain, json_schema_input_type=_Value)]


LETTERS = "A-Za-z0-9\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017f"
PLAIN = re.compile(rf"[{LETTERS}][{LETTERS}.,:;'()+\-/=%_]*(?: [{LETTERS}.,:;'()+\-/=%_]+)*")
LINK = re.compile(r"https://[a-z0-9-]+(?:\.[a-z0-9-]+)+(?:/[A-Za-z0-9._~/%#?=+:-]*)?")
PAPER = re.compile(r"(?:arXiv:\d{4}\.\d{4,5}(?:v\d+)?|doi:10\.\d{4,9}/[A-Za-z0-9._;()/:-]+)")
CONTACT = re.compile(r"(?:[A-Za-z0-9._+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+|@[A-Za-z0-9-]+)")
SCRIPT = re.compile(r"https?:|www\.|javascript|data:", re.IGNORECASE)


def _match(needed: str, *patterns: re.Pattern[str]) -> AfterValidator:
    """Make a validator of text that needs one of the patterns; `needed` is the message."""

    def check(value: str) -> str:
        if not any(pattern.fullmatch(value) for pattern in patterns):
            raise ValueError(needed)
        return value

    return AfterValidator(check)


def _without_address(value: str) -> str:
    if SCRIPT.search(value):
        raise ValueError("an address belongs into the field paper or code")
    return value


LETTERS_NEEDED = "Latin letters, digits, single spaces and .,:;'()+-/=%_ alone are needed, a letter or digit first"
ADDRESS_NEEDED = "an address that begins with https:// and a plain host name is needed"
Title = Annotated[
    str,
    Field(min_length=1, max_length=80),
    _match(LETTERS_NEEDED, PLAIN),
    AfterValidator(_without_address),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 80, "pattern": f"^{PLAIN.pattern}$"}),
]
Words = Annotated[
    str,
    Field(min_length=1, max_length=500),
    _match(LETTERS_NEEDED, PLAIN),
    AfterValidator(_without_address),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 500, "pattern": f"^{PLAIN.pattern}$"}),
]
Link = Annotated[
    str,
    Field(max_length=300),
    _match(ADDRESS_NEEDED, LINK),
    WithJsonSchema({"type": "string", "maxLength": 300, "pattern": f"^{LINK.pattern}$"}),
]
Paper = Annotated[
    str,
    Field(max_length=300),
    _match(ADDRESS_NEEDED, PAPER, LINK),
    WithJsonSchema({"type": "string", "maxLength": 300, "pattern": f"^(?:{PAPER.pattern}|{LINK.pattern})$"}),
]
Contact = Annotated[
    str,
    Field(max_length=120),
    _match("a mail address, or @ and a GitHub name, is needed", CONTACT),
    WithJsonSchema({"type": "string", "maxLength": 120, "pattern": f"^{CONTACT.pattern}$"}),
]
Licence = Literal["CC0-1.0", "CC-BY-4.0", "MIT", "Apache-2.0", "BSD-3-Clause"]
"""Licences under which records, predictions and weights can be submitted."""
