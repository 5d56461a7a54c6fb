"""Rows whose data nobody has confirmed are on the board and marked; of data that are known nothing changes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from sgbench.composition.catalogue import entries
from sgbench.composition.data_facts import UNREAD_FILES, facts_of
from sgbench.errors import InputError
from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import ProtocolReference, References, deviation
from sgbench.leaderboard.pages.brief import brief_cells, row_table
from sgbench.leaderboard.pages.columns import OTHER_DATA, UNACCEPTED
from sgbench.leaderboard.pages.explain import explain_rows
from sgbench.leaderboard.pages.table import to_csv, to_json, to_markdown
from sgbench.leaderboard.rows import Board
from sgbench.leaderboard.store.tree import RecordTree
from sgbench.records.record import RunRecord
from sgbench.tables import prose
from sgbench.tables.table import Note
from tests.leaderboard import factory
from tests.leaderboard.factory import TOY_FACTS, method, record, toy_entry, write_board_record
from tests.messages import raises_naming

UNKNOWN: dict[str, Any] = {"sizes": {"train": None, "validation": None, "test": 100}, "sha256": None}


class Unread(References):
    """The toy protocol, of whose data nobody here has read the files."""

    def __init__(self, **facts: Any) -> None:
        super().__init__()
        self.facts = facts

    def of(self, name: str) -> ProtocolReference:
        """The toy reference with other facts of its data."""
        found = factory.reference()
        found.entries["dataset"]["digits"] = toy_entry("dataset", "digits", meta=TOY_FACTS | self.facts)
        return found


UNREAD_DATA = Unread(**UNKNOWN, **{UNREAD_FILES: "never read here"})
KNOWN_DATA = Unread()


def board(root: Path, references: References) -> Board:
    for seed in (0, 1, 2):
        write_board_record(root, record(seed=seed))
    (found,) = show(RecordTree(root, "leaderboards", references)).boards
    return found


def test_rows_of_unread_data_are_ranked_and_marked_on_every_form(tmp_path: Path) -> None:
    """Must match: a mark in page, terminal, site, CSV and JSON. Must differ: none where the data are known."""
    marked, plain = board(tmp_path, UNREAD_DATA), board(tmp_path, KNOWN_DATA)
    assert [row.method_id for row in marked.rows] == [row.method_id for row in plain.rows]
    assert len(marked.rows) == 1
    page = to_markdown(marked, layout="leaderboards")
    assert f". {prose(UNACCEPTED)}\n" in page
    assert "not accepted" not in to_markdown(plain, layout="leaderboards")
    (values,) = csv.DictReader(io.StringIO(to_csv(marked)))
    (known,) = csv.DictReader(io.StringIO(to_csv(plain)))
    assert values.pop("data") == "not accepted"
    assert values.pop("data_sha256") == TOY_FACTS["sha256"]
    assert values == known
    assert json.loads(to_json(marked))[0]["data"] == "not accepted"
    (name,) = (cell for cell in brief_cells(marked.rows[0], marked) if cell.startswith("atan(width_fwhm=1)"))
    assert name.endswith(", data not accepted")
    assert "data not accepted" not in " ".join(brief_cells(plain.rows[0], plain))
    notes = [row_table(found, found.rows, caption="rows").all_notes for found in (marked, plain)]
    assert [Note(UNACCEPTED) in each for each in notes] == [True, False]


def on(data: str | None, width: float, accuracies: tuple[float, ...]) -> list[RunRecord]:
    """A row of a method on files of this hash."""
    found = []
    for seed, accuracy in enumerate(accuracies):
        made = record(seed=seed, accuracy=accuracy, of=method(parameters={"surrogate": {"width_fwhm": width}}))
        provenance = made.provenance.model_copy(update={"data_sha256": data})
        found.append(made.model_copy(update={"provenance": provenance}))
    return found


def shown(root: Path, *rows: list[RunRecord]) -> Board:
    for made in (made for row in rows for made in row):
        write_board_record(root, made)
    (found,) = show(RecordTree(root, "leaderboards", UNREAD_DATA)).boards
    return found


def widths(board: Board) -> list[tuple[str, tuple[int, int] | None]]:
    """Each row's method and ranks, in the order of the board."""
    return [(row.surrogate, None if row.rank is None else (row.rank.low, row.rank.high)) for row in board.rows]


def test_rows_on_other_files_have_no_rank(tmp_path: Path) -> None:
    """Expected by hand: two rows on one file are ranked as without the others, a better one on another file and one
    of two files or of none stand behind them, marked; must differ: on the same file it is the first.
    """
    best, good, bad = (0.97, 0.98, 0.97), (0.9, 0.92, 0.91), (0.5, 0.53, 0.51)
    same = [on("a" * 64, 1.0, good), on("a" * 64, 2.0, bad)]
    alone = shown(tmp_path / "alone", *same)
    mixed = [*on("a" * 64, 4.0, best[:1]), *on("b" * 64, 4.0, best)[1:]]
    others = [on("b" * 64, 3.0, best), mixed, on(None, 5.0, best)]
    board = shown(tmp_path / "beside", *same, *others)
    assert widths(board)[:2] == widths(alone)
    assert [rank for _, rank in widths(board)[2:]] == [None, None, None]
    assert widths(shown(tmp_path / "one", *same, on("a" * 64, 3.0, best)))[0][1] == (1, 1)
    values = list(csv.DictReader(io.StringIO(to_csv(board))))
    assert [row["data"] for row in values] == ["not accepted"] * 2 + ["not accepted, other files"] * 3
    assert {row["data_sha256"] for row in values[2:]} == {"b" * 64, f"{'a' * 64} {'b' * 64}", ""}
    page = to_markdown(board, layout="leaderboards")
    assert f". {prose(OTHER_DATA)}\n" in page
    assert prose(OTHER_DATA) not in to_markdown(alone, layout="leaderboards")
    assert "accepted, other files" in " ".join(brief_cells(board.rows[2], board))
    first, second, other, *_ = board.rows
    said = "A and B rest on different files"
    assert said in " ".join(explain_rows(board, first, other, hits={}).short)
    assert said not in " ".join(explain_rows(board, first, second, hits={}).short)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (UNKNOWN | {UNREAD_FILES: "never read here"}, None),
        (UNKNOWN | {UNREAD_FILES: "never read here", "sha256": "e" * 64}, "data_sha256"),
        ({UNREAD_FILES: "x", "sha256": None, "sizes": {"train": None, "validation": 49, "test": 100}}, "validation.s"),
        ({UNREAD_FILES: "x", "sha256": None, "classes": 11}, "classes"),
        (UNKNOWN, "meta.sizes is missing"),
    ],
)
def test_what_is_known_of_unread_data_still_counts(facts: dict[str, Any], says: str | None) -> None:
    """Expected: only what nobody knows is passed over; without the word that nobody has read them, nothing is."""
    why = deviation(record(), Unread(**facts).of("toy_v1"))
    assert (why is None) if says is None else says in str(why)


def test_size_of_an_unknown_test_split_is_refused_by_name() -> None:
    facts = {UNREAD_FILES: "x", "sha256": None, "sizes": {"train": None, "validation": None, "test": None}}
    with raises_naming(InputError, "data set digits", "data confirm digits"):
        _ = Unread(**facts).of("toy_v1").test_samples


def test_every_data_set_of_the_package_says_whether_it_was_read() -> None:
    """Expected: unread are exactly those without a checksum, and with an `original` in their file."""
    given = {name: entry for name, entry in entries("dataset").items() if name != "tonic"}
    accepted = {name for name, entry in given.items() if facts_of(entry).is_accepted}
    assert accepted == {name for name, entry in given.items() if entry.meta.get("sha256") is not None}
    assert {"shd", "dvs_gesture", "nmnist"} <= given.keys() - accepted
