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


def _plain(value: str) -> str:
    if not PLAIN.fullmatch(value):
        raise ValueError(
            "Latin letters, digits, single spaces and .,:;'()+-/=%_ alone are needed, a letter or digit first"
        )
    if SCRIPT.search(value):
        raise ValueError("an address belongs into the field paper or code")
    return value


def _link(value: str) -> str:
    if not LINK.fullmatch(value):
        raise ValueError("an address that begins with https:// and a plain host name is needed")
    return value


def _paper(value: str) -> str:
    """Return an arXiv number, DOI or https address, or raise ValueError."""
    return value if PAPER.fullmatch(value) else _link(value)


def _contact(value: str) -> str:
    if not CONTACT.fullmatch(value):
        raise ValueError("a mail address, or @ and a GitHub name, is needed")
    return value


Title = Annotated[
    str,
    Field(min_length=1, max_length=80),
    AfterValidator(_plain),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 80, "pattern": f"^{PLAIN.pattern}$"}),
]
Words = Annotated[
    str,
    Field(min_length=1, max_length=500),
    AfterValidator(_plain),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 500, "pattern": f"^{PLAIN.pattern}$"}),
]
Link = Annotated[
    str,
    Field(max_length=300),
    AfterValidator(_link),
    WithJsonSchema({"type": "string", "maxLength": 300, "pattern": f"^{LINK.pattern}$"}),
]
Paper = Annotated[
    str,
    Field(max_length=300),
    AfterValidator(_paper),
    WithJsonSchema({"type": "string", "maxLength": 300, "pattern": f"^(?:{PAPER.pattern}|{LINK.pattern})$"}),
]
Contact = Annotated[
    str,
    Field(max_length=120),
    AfterValidator(_contact),
    WithJsonSchema({"type": "string", "maxLength": 120, "pattern": f"^{CONTACT.pattern}$"}),
]
Licence = Literal["CC0-1.0", "CC-BY-4.0", "MIT", "Apache-2.0", "BSD-3-Clause"]
"""Licences under which records, predictions and weights can be submitted."""
