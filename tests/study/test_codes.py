"""Codes of a registration stay with it: what users read has titles of tasks, blocks and hypotheses instead."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sgbench.cli.main import parser
from sgbench.study_runner.definition import load_study

ROOT = Path(__file__).parents[2]
OF_REVIEWERS = {path.name for path in (ROOT / "docs").glob("preregistration*.md")}
PAGES = [
    ROOT / "README.md",
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name not in OF_REVIEWERS),
    *sorted((ROOT / "docs" / "tutorial").rglob("*.md")),
    *sorted((ROOT / "registry" / "site" / "templates").iterdir()),
]


def codes() -> re.Pattern[str]:
    """Names of the first study's tasks, blocks and hypotheses; a letter alone is an English word as well."""
    study = load_study("surrogates", []).study
    tasks = [name for name, task in study.tasks.items() if task.scale == "small"]
    names = [*tasks, *study.blocks, *(f"H{number}" for number in range(1, 10))]
    return re.compile(rf"(?<![\w/.-])({'|'.join(sorted(name for name in names if len(name) > 1))})(?!\w|\.\w|-\d)")


def helps(of: argparse.ArgumentParser) -> Iterator[str]:
    """The help of a command and of all below it."""
    yield of.format_help()
    for action in of._actions:
        if isinstance(action.choices, dict):
            for below in action.choices.values():
                yield from helps(below)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_of_users_have_no_code(path: Path) -> None:
    """Must match: no page beside the registration and the study's own names a task or hypothesis by its code."""
    assert codes().findall(path.read_text(encoding="utf-8")) == []


def test_help_has_no_code() -> None:
    """Must match: what commands say of themselves."""
    texts = list(helps(parser()))
    assert len(texts) > 30
    assert [code for text in texts for code in codes().findall(text)] == []


def test_a_code_is_found_out() -> None:
    """Must differ: sentences with a task, a block and a hypothesis, and none in an ordinary one."""
    coded = "On T2d4g and in block A3b, H6 is open, as on T4."
    plain = "A letter, e.g. of A4 paper, in a file A2-000.jsonl is no code, nor T100."
    assert (codes().findall(coded), codes().findall(plain)) == (["T2d4g", "A3b", "H6", "T4"], [])
