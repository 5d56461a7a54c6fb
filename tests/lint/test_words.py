"""The first pages that people read are free of the codes of a registration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.rooms import ROOT

pytestmark = pytest.mark.lint

PAGES = [ROOT / "README.md", ROOT / "docs" / "install.md", *sorted((ROOT / "docs" / "tutorial").glob("*.md"))]
CODE = re.compile(r"(?<![\w.{/`-])(?:[HL]\d{1,2}|T[1-8](?:d\d)?|[A-Z]\d[a-z])(?![\w.}/`-])")
"""Of hypotheses, claims, tasks and blocks of a registered study."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_code_of_a_registration(page: Path) -> None:
    """Outside of code, none of the words that only a study's registration explains."""
    text = re.sub(r"^```.*?^```|`[^`]*`", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert CODE.findall(text) == []


def test_a_code_is_found() -> None:
    """Must match: a hypothesis and a task; must differ: a file's name and a word in code."""
    assert CODE.findall("As H4 says of T2d4, not of `H4`, h4.md or v1.") == ["H4", "T2d4"]
