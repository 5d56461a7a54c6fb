"""Calls from room to room: counted by hand in the small, and kept to what was reached for the build of a board."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sgbench.cli.main import main
from sgbench.leaderboard import differing_settings
from tests.rooms import ROOT
from tools.crossings import Tracer, report, room_of

pytestmark = pytest.mark.lint

MOST = 4_100
"""Half of the 8,880 calls that the same build once took."""


def test_calls_are_counted_by_hand() -> None:
    """Two texts of strangers are made inert in another room; what lies outside of the package calls for free."""
    tracer = Tracer()
    tracer.count(lambda: len(differing_settings.call("atan", {"a": "x y", "b": "z w", "c": 1.0})))
    assert dict(tracer.arrows) == {("leaderboard", "tables"): 2}
    assert dict(tracer.functions) == {("leaderboard", "tables", "inert"): 2}
    assert report(tracer).startswith("2 calls across rooms on 1 arrows\n")


def test_rooms_are_folders() -> None:
    """By hand: a folder in a folder, a loose module, and a file outside."""
    package = ROOT / "sgbench"
    assert room_of(str(package / "leaderboard" / "store" / "tree.py")) == "leaderboard/store"
    assert room_of(str(package / "errors.py")) == "errors"
    assert room_of(__file__) is None


def test_building_a_board_crosses_rooms_seldom(tmp_path: Path) -> None:
    """Forty records of eight methods, counted; each call more is a step further to follow."""
    shutil.copytree(ROOT / "leaderboards" / "digits_v1", tmp_path / "digits_v1")
    tracer = Tracer()
    words = ["board", "build", "--from", "leaderboards", "--root", str(tmp_path)]
    assert tracer.count(lambda: main(words)) == 0
    assert sum(tracer.arrows.values()) <= MOST, report(tracer)
