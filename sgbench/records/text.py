"""Field types for untrusted text: letters, digits and little punctuation, so that no program can interpret it."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

LETTERS = "A-Za-z0-9\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017f"
PLAIN = re.compile(rf"[{LETTERS}][{LETTERS}.,:;'()+\-/=%_]*(?: [{LETTERS}.,:;'()+\-/=%_]+)*")
LINK = re.compile(r"https://[a-z0-9-]+(?:\.[a-z0-9-]+)+(?:/[A-Za-z0-9._~/%#?=+:-]*)?")
PAPER = re.compile(r"(?:arXiv:\d{4}\.\d{4,5}(?:v\d+)?|doi:10\.\d{4,9}/[A-Za-z0-9._;()/:-]+)")
CONTACT = re.compile(r"(?:[A-Za-z0-9._+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+|@[A-Za-z0-9-]+)")
SCRIPT = re.compile(r"https?:|www\.|javascript|data:", re.IGNORECASE)


def _match(needed: str, *patterns: re.Pattern[str]) -> AfterValidator:
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
