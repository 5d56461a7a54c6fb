"""The pages that most people read are in short sentences, without codes of a registration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documents import ROOT

NAMES = (
    "findings",
    "which_surrogate",
    "rules",
    "engine",
    "sweeps",
    "diagnosis",
    "protocols",
    "energy",
    "first_board",
    "commands",
    "your_own_data",
    "data",
    "events",
    "handing_in",
    "install",
    "judge",
    "own_neurons",
    "study",
    "worked_entries",
)
PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in NAMES),
    *sorted((ROOT / "docs" / "tutorial").glob("*.md")),
]
AS_A_RULE, AT_MOST, EXCEPTIONS = 25, 35, 0.05
"""Words of a sentence, and the share of sentences with more of them than the rule says."""
CODE = re.compile(r"(?<![\w.{/`-])(?:[HL]\d{1,2}|T[1-8](?:d\d)?|[A-Z]\d[a-z])(?![\w.}/`-])")
"""Of hypotheses, claims, tasks and blocks of a registered study."""
DOUBLE = re.compile(
    r"\b(?:not (?:un\w+|in(?:correct|valid|equal)\w*|without)|no \w+ (?:does|is|are) not|nothing that)\b"
)


def prose(text: str) -> list[str]:
    """The paragraphs and items of a page: no front matter, code, tables, headings, comments or addresses."""
    for pattern in (r"\A---\n.*?^---\n", r"^```.*?^```", r"^\$\$.*?\$\$", r"<!--.*?-->", r"^[|#].*?$"):
        text = re.sub(pattern, "\n\n", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    parts = re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d{1,2}\.) )", text)
    return [" ".join(part.split()) for part in parts if part.strip()]


def sentences(text: str) -> list[str]:
    """The sentences of a page, in which a piece of code is one word; a clause before a capital ends like one."""
    paragraphs = [re.sub(r"`[^`]*`", "X", part).replace("*", "") for part in prose(text)]
    found = [each for part in paragraphs for each in re.split(r"(?<=[.!?:;])\s+(?=[A-Z0-9\"(])", part)]
    return [each for each in found if words(each)]


def words(sentence: str) -> int:
    """How many there are."""
    return len(re.findall(r"\w[\w'.,%-]*", sentence))


def faults(text: str) -> list[str]:
    """What of a page is against the rules of this file."""
    every = sentences(text)
    long = [each for each in every if words(each) > AS_A_RULE]
    shown = long if len(long) > EXCEPTIONS * len(every) else [each for each in long if words(each) > AT_MOST]
    return [*shown, *(each for each in every if CODE.search(each) or DOUBLE.search(each))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_sentences_are_short_and_plain(page: Path) -> None:
    """25 words or fewer as a rule, never more than 35; no codes, no double negatives."""
    assert faults(page.read_text()) == []


def test_faults_are_found() -> None:
    """Hand count, must differ: a long sentence, a code and a double negative; the last one is as it should be."""
    long = " ".join(["word"] * 36)
    text = f"{long}.\n\nAs H4 says.\n\nIt is not unknown.\n\nThis is fine, and `H4 is code`.\n"
    assert faults(text) == [f"{long}.", "As H4 says.", "It is not unknown."]
