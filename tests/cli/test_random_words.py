"""Random command lines over all commands: each ends with a code of its own, and none with a traceback.

The default run stops where a network would be trained; `make test-slow` trains, and tries a thousand lines.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import matplotlib.font_manager  # noqa: F401  # looks for fonts before HOME is another folder
import pytest

from sgbench.cli import main as command
from sgbench.errors import InputError
from sgbench.training.base_run import BaseRun
from tests.cli.random_words import furnish, lines

SEED = 2
AT_ONCE = 50
COUNT = 1000
CODES = {0, 1, 2, 130}
RAW = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""What a terminal would obey instead of showing it; a progress line goes back by a carriage return."""


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Put loggers back: Hydra sets them anew for a run, and switches off those that are there."""
    root, loggers = logging.getLogger(), logging.root.manager.loggerDict
    disabled = {name: one.disabled for name, one in loggers.items() if isinstance(one, logging.Logger)}
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    for name, one in loggers.items():
        if isinstance(one, logging.Logger):
            one.disabled = disabled.get(name, False)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logging_as_before: None) -> Path:
    """A furnished folder to work in, below another one, so that `..` is still a folder of the test."""
    here = tmp_path / "above" / "here"
    here.mkdir(parents=True)
    furnish(here)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))  # --allow-target puts the folder on it
    return here


def train_nothing(self: BaseRun, *_: Any, **__: Any) -> NoReturn:
    """Take the place of a training: what is asked here comes before one."""
    raise InputError("nothing is trained here")


def ends(words: list[str]) -> str:
    """What is wrong with how a command line ends: empty where nothing is."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = command.main(words)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    if code not in CODES:
        return f"exit code {code}"
    if "Traceback" in err.getvalue():
        return err.getvalue()
    raw = RAW.search(err.getvalue() + out.getvalue())
    return "" if raw is None else f"prints {raw.group()!r}"


def failures(first: int, count: int) -> list[tuple[list[str], str]]:
    """Those of some random command lines that end badly, and how."""
    chosen = itertools.islice(lines(SEED, first + count), first, None)
    return [(words, bad) for words in chosen if (bad := ends(words))]


@pytest.mark.slow
def test_lines_of_all_commands_end_well(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty of the thousand, up to where something would be trained."""
    monkeypatch.setattr(BaseRun, "__init__", train_nothing)
    assert failures(942, AT_ONCE) == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, COUNT, AT_ONCE))
def test_a_thousand_lines_end_well(first: int, place: Path) -> None:
    """Trainings included."""
    assert failures(first, AT_ONCE) == []


def test_without_the_net_they_would_not(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Must differ: a name of 300 characters is an OSError of the system, which `main` alone puts in a line."""
    words = ["show", "a" * 300 + "/atan"]
    assert ends(words) == ""
    monkeypatch.setattr(command, "as_expected_error", lambda _: None)
    assert ends(words).startswith("OSError")
