"""Pictures by another process: the same bytes, its failures told, and nobody left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from sgbench.errors import SgbenchError
from sgbench.leaderboard import measuring
from sgbench.leaderboard import painter as painting
from sgbench.leaderboard.board import build, check, show
from sgbench.leaderboard.painter import painter
from sgbench.leaderboard.png import digest, read_digest, stamped
from sgbench.leaderboard.rows import Board
from sgbench.plots.board import draw
from tests.leaderboard.factory import ToyReferences, method, record, write_board_record

REFERENCES = ToyReferences()


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """Two methods of two seeds."""
    for number in (1, 2):
        of = method(parameters={"surrogate": {"width_fwhm": float(number)}})
        for seed in range(2):
            write_board_record(tmp_path, record(seed=seed, accuracy=0.9 - 0.01 * number, of=of))
    return show(tmp_path, layout="leaderboards", references=REFERENCES).boards[0]


def test_another_process_draws_the_same(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Must match: both pictures, of a board that is cut too; must differ: that of the cut one alone."""
    monkeypatch.setattr("sgbench.plots.board.MAX_ROWS", 1)
    monkeypatch.setattr(painting, "MAX_ROWS", 1)
    here = draw(board)
    assert here != draw(replace(board, rows=board.rows[:1]))  # its title says "first 1 of 2"
    for apart in (False, True):
        with painter(apart=apart) as begin:
            first, second = begin(board), begin(board)
            assert first() == here
            assert second() == here


def test_its_failure_is_raised_where_the_picture_is_asked_for(board: Board) -> None:
    """Expected: the error of drawing itself, in both; no process is left."""
    broken = replace(board, rows=(replace(board.rows[0], score=None),))  # type: ignore[arg-type]
    for apart in (False, True):
        with painter(apart=apart) as begin, pytest.raises(AttributeError, match="NoneType"):
            begin(broken)()
    assert not multiprocessing.active_children()


def test_one_that_was_killed_is_an_error_of_one_line(board: Board) -> None:
    """As when the system takes back memory."""
    with painter(apart=True) as begin:
        [child] = multiprocessing.active_children()
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        with pytest.raises(SgbenchError, match="the process that draws pictures was ended"):
            begin(board)()


def test_a_digest_is_read_back(board: Board) -> None:
    """Pillow reads it as the picture's description; must differ: another table's."""
    image = pytest.importorskip("PIL.Image")
    import io

    png = stamped(draw(board), table_csv="a,b\n")
    opened = image.open(io.BytesIO(png))
    opened.load()  # checks the sums of all chunks
    assert opened.text["Description"] == digest("a,b\n") != digest("a,c\n")


def test_a_large_tree_is_built_as_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board) -> None:
    """Must match: all three files, and they are not stale."""
    [built], _ = build(tmp_path, layout="leaderboards", references=REFERENCES)
    alone = [Path(name).read_bytes() for name in built.files]
    monkeypatch.setattr(measuring, "MANY", 5)
    monkeypatch.setattr(measuring.os, "sched_getaffinity", lambda _: {0, 1})
    assert measuring.is_large(tmp_path, layout="leaderboards")
    [again], _ = build(tmp_path, layout="leaderboards", references=REFERENCES)
    assert [Path(name).read_bytes() for name in again.files] == alone
    assert check(tmp_path, references=REFERENCES)[1] == ()
    assert read_digest(Path(again.files[2])) == digest(alone[1].decode())


def test_what_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board) -> None:
    """By hand: two methods are more than five records in fives; a small tree, one processor, and none are not."""
    monkeypatch.setattr(measuring.os, "sched_getaffinity", lambda _: {0, 1})
    assert not measuring.is_large(tmp_path, layout="leaderboards")
    assert not measuring.is_large(tmp_path / "nowhere", layout="runs")
    monkeypatch.setattr(measuring, "MANY", 5)
    assert measuring.is_large(tmp_path, layout="leaderboards")
    monkeypatch.setattr(measuring, "MANY", 10)
    assert not measuring.is_large(tmp_path, layout="leaderboards")
    monkeypatch.setattr(measuring, "MANY", 5)
    monkeypatch.setattr(measuring.os, "sched_getaffinity", lambda _: {0})
    assert not measuring.is_large(tmp_path, layout="leaderboards")
