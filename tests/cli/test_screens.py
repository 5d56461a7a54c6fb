"""Tables in a terminal: kept screens of 80 columns, whole names, and a pipe that has all columns."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from shutil import copyfile

import pytest

from sgbench.cli import doctor
from sgbench.cli.common import print_lines, wrapped
from sgbench.leaderboard import contents
from sgbench.tables import aligned
from tests.golden import screens
from tests.rooms import ROOT

HELP = ("", "run", "sweep", "tune", "diagnose", "recommend", "calibrate", "judge", "sync", "cite", "board show")
WIDTH_ALONE = ("list", "list surrogate", "cite surrogate/atan", "doctor")
"""Commands whose words depend on the machine, or grow with the catalogue."""


@pytest.mark.one_in(4)
@pytest.mark.parametrize("command", screens.COMMANDS)
def test_a_screen_of_80_columns(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Must match: the kept screen (`make golden` rewrites it), whose lines fit; a command is pasted as one line."""
    monkeypatch.setattr(contents, "processors", lambda: 1)
    screen = screens.printed(command)
    assert screen == screens.known()[command]
    wide = [line for line in screen.splitlines() if len(line) > screens.COLUMNS and "sgbench " not in line]
    assert wide == []


@pytest.mark.one_in(4)
@pytest.mark.parametrize("command", screens.COMMANDS)
def test_no_name_of_a_row_is_cut(command: str) -> None:
    """Must match: whatever names the rows of the piped table stands whole on the kept screen, if on several lines."""
    rows = [re.split(" {2,}", line) for line in screens.printed(command, columns=None).splitlines() if "  " in line]
    names = [part for row in rows for part in row[0].split(", ")]
    assert len(names) > 2
    shown = " ".join(screens.known()[command].split())
    assert [name for name in names if name not in shown] == []


def test_at_least_twelve_commands_are_kept() -> None:
    """Expected: the ends of a diagnosis and of a sweep among them."""
    assert len(screens.COMMANDS) >= 12
    assert {command.split()[0] for command in screens.COMMANDS} >= {"board", "diagnose", "recommend", "run", "sweep"}


@pytest.mark.parametrize("command", WIDTH_ALONE)
def test_no_line_is_wider_than_the_screen(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for commands and paths, which are pasted; must differ: a pipe, whose lines are as long as they are."""
    monkeypatch.setattr(doctor, "_data_states", lambda _: {"digits": "absent"})
    wide = [line for line in screens.printed(command).splitlines() if len(line) > screens.COLUMNS]
    assert [line for line in wide if "sgbench " not in line and not re.search("pip install|/", line)] == []
    if command == "doctor":
        assert max(map(len, screens.printed(command, columns=None).splitlines())) > screens.COLUMNS


@pytest.mark.parametrize("command", HELP)
def test_help_fits_the_screen(command: str) -> None:
    """But for commands, which are pasted, without a comment beside them."""
    wide = [line for line in screens.printed(f"{command} --help").splitlines() if len(line) > screens.COLUMNS]
    assert [line for line in wide if not re.match("  sgbench [^#]*$", line)] == []


def test_the_end_of_a_run_and_errors_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: the line of a stored run with all its words; an error in a terminal breaks between words too."""
    record = next((ROOT / "leaderboards" / "digits_v1" / "records").glob("*/0.json"))
    copyfile(record, tmp_path / "record.json")
    screen = screens.printed(f"show {tmp_path}")
    assert max(map(len, screen.splitlines())) <= screens.COLUMNS
    assert screen.split() == screens.printed(f"show {tmp_path}", columns=None).split()
    assert len(screen.splitlines()) > 1
    line = "sgbench: error: " + "a long reason " * 10
    print_lines(line, out := screens.Screen())
    assert max(map(len, out.getvalue().splitlines())) <= screens.COLUMNS
    print_lines(line, sys.stdout)
    assert capsys.readouterr().out == f"{line}\n"


@pytest.mark.one_in(2)
@pytest.mark.parametrize("protocol", ["braille_delta_v2", "digits_v1", "spoken_twin_v1"])
def test_no_method_is_cut(protocol: str) -> None:
    """Must match: every part of every name of the piped table, which has columns that a terminal has not."""
    command = f"board show --from leaderboards --protocol {protocol}"
    _, head, *rows = screens.printed(command, columns=None).splitlines()
    rows = rows[: rows.index("")]
    start, end = head.index("method"), head.index("accuracy")
    names = [row[start:end].split("  ")[0] for row in rows]
    screen = screens.printed(command)
    assert len(names) > 2
    assert [part for name in names for part in name.split(", ") if part not in screen] == []
    assert "synaptic operations" in head
    assert "synaptic operations" not in screen
    assert "synaptic operations" in screens.printed(f"{command} --wide")


def test_numbers_give_way_before_names() -> None:
    """By hand: of three numbers the last two leave, and are named; a screen too narrow for a name breaks it."""
    rows = [["method", "score", "spikes", "energy"], ["atan(width_fwhm=1)", "93.9", "70", "13"]]
    assert aligned(rows, text_columns=1, width=27) == [
        "method              score",
        "atan(width_fwhm=1)   93.9",
        "(spikes, energy: --wide)",
    ]
    assert aligned(rows, text_columns=1, width=80) == aligned(rows, text_columns=1)
    long = [["method", "score"], ["atan(width_fwhm=1), leaky(beta=0.5)", "93.9"]]
    assert aligned(long, text_columns=1, width=30) == [
        "method                   score",
        "atan(width_fwhm=1),       93.9",
        "leaky(beta=0.5)",
    ]


def test_sentences_end_within_the_screen_and_commands_stay_whole() -> None:
    """By hand: a sentence breaks between words behind its own indent; tables and commands do not break."""
    assert wrapped("  one two three", 10) == "  one two\n  three"
    assert wrapped("a  b  c", 5) == "a  b  c"
    long = "sgbench run experiment=digits surrogate=atan"
    assert wrapped(f"left out; next: {long}", 20) == f"left out; next:\n{long}"
