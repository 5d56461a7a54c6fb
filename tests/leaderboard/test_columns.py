"""A board's columns are declared once: each of its forms shows the declared ones, in groups and in their order."""

from __future__ import annotations

import csv
import io
import re

from sgbench.leaderboard.pages.brief import brief_head, row_table
from sgbench.leaderboard.pages.columns import Form, board_columns, columns_in
from sgbench.leaderboard.pages.table import to_csv, to_markdown
from sgbench.leaderboard.rows import Board
from tests.leaderboard.factory import CLASSES, make_board, protocol, target
from tests.leaderboard.gallery import gallery

BY_GROUP = {
    "method": ["rank", "alike", "surrogate", "rule"],
    "accuracy": ["test accuracy, % (mean, 95 % CI)", "seeds"],
    "activity": ["spikes per inference", "synaptic operations per inference"],
    "energy": ["toy: dynamic energy per inference, nJ"],
    "provenance": ["trainable parameters", "training time, s", "records"],
}
"""By hand: the methods differ in surrogate and rule, nobody handed them in, the target has no static part."""


def toy() -> Board:
    """The gallery's board, priced with one target."""
    return make_board(gallery(), protocol=protocol(), targets={"toy": target()}, classes=CLASSES)


def declared(board: Board, form: Form) -> list[str]:
    """The heads that are declared for a form."""
    return [column.titles[form] for column in columns_in(board, form)]


def test_columns_stand_in_groups() -> None:
    """By hand: each group's heads on the page, and no column between two of another group."""
    columns = columns_in(toy(), "page")
    found: dict[str, list[str]] = {}
    for column in columns:
        found.setdefault(column.group, []).append(column.titles["page"])
    assert found == BY_GROUP
    assert [column.group for column in columns] == [group for group in found for _ in found[group]]


def test_every_form_reads_the_declaration() -> None:
    """Page, site, terminal and file of values have the declared heads and no others."""
    board = toy()
    page = to_markdown(board, layout="runs")
    head = next(line for line in page.splitlines() if line.startswith("| rank"))
    titles = [re.sub(r" \[\d+\]", "", title) for title in head.strip("| ").split(" | ")]
    assert titles == declared(board, "page")
    site = row_table(board, board.rows, caption="t")
    assert [column.title for column in site.columns] == declared(board, "site")
    assert brief_head(board) == declared(board, "brief")
    fields = [name for column in board_columns(board) for name in column.values(board.rows[0])]
    assert next(csv.reader(io.StringIO(to_csv(board)))) == fields
    assert len(set(fields)) == len(fields)


def test_site_hides_what_is_no_score() -> None:
    """A page shows what names and scores a method, and the other groups on request."""
    board = toy()
    table = row_table(board, board.rows, caption="t", link_of=lambda row: row.method_id)
    groups = [column.group for column in columns_in(board, "site")]
    assert [column.group for column in table.columns] == [
        "" if group in ("method", "accuracy") else group for group in groups
    ]
    assert table.columns[table.head].title == "method"
    assert all(row[table.head].link for row in table.rows)
