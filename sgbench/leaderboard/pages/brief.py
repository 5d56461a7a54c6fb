"""A board with few columns, for a terminal, a README or a notebook, and what a terminal shows below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

from sgbench.leaderboard.matched import (
    compare_energies,
    end_text,
    matched_rows,
    mean_share,
    ordered_rows,
    rate_extreme,
    shown_targets,
)
from sgbench.leaderboard.pages.checked import checked_text, seeds_outside, too_few, without_rows
from sgbench.leaderboard.pages.columns import ACCURACY, METHOD, BoardColumn, columns_in
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.tables import NONE, aligned, number_text
from sgbench.tables.markup import as_html, as_latex, as_markdown
from sgbench.tables.table import Cell, Column, Table, numbers, plain_table, texts

if TYPE_CHECKING:
    from sgbench.energy.crossover import Duel, EnergyComparison, Matched


NOTE = (
    "events: share of connections times steps that a spike uses; ANN, QNN: below this share it needs less "
    "energy than the same network without spikes, than that with quantised activations (always: at any "
    "share up to 100; never: even if nothing fires); beats: on so many price lists; lower: how often its "
    "energy is below another method's, over the corners of all price lists"
)
"""Explains the columns below the table."""


def energy_lines(board: Board, width: int | None) -> list[str]:
    """Write the table that compares methods with their matched networks without spikes; empty if none can be.

    `width` limits its lines [characters].
    """
    rows = matched_rows(board)
    if not rows:
        return []
    shown = shown_targets(board, rows)
    duels = compare_energies(board, ordered_rows(board))
    titles = [f"{energies.target} {'QNN' if energies.quantised else 'ANN'}, %" for energies in shown]
    head = ["method", "events, %", "beats ANN", "beats QNN", "lower, %", *titles]
    cells = [[*_cells(row, energies, shown, duels)] for row, energies in rows]
    return ["", *aligned([head, *cells], text_columns=1, width=width, least=len(head) - len(titles)), "", NOTE]


def _cells(
    row: MethodRow, matched: Matched, shown: list[EnergyComparison], duels: Mapping[tuple[str, str], Duel]
) -> Iterator[str]:
    """Yield a row's cells: name, rate, comparisons won against networks without spikes, and crossovers."""
    yield row.label
    yield number_text(100 * matched.rate)
    for quantised in (False, True):
        won, lists = matched.cheaper(quantised=quantised)
        yield f"{won}/{lists}" if lists else NONE
    mean = mean_share(duels, row.method_id)
    yield NONE if mean is None else f"{100 * mean:.0f}"
    for comparison in shown:
        yield _crossover(matched.priced.get(comparison.target))


def _crossover(comparison: EnergyComparison | None) -> str:
    if comparison is None or comparison.crossover is None:
        return NONE
    low, high = end_text(comparison.crossover.low), end_text(comparison.crossover.high)
    return rate_extreme(comparison.crossover) or (low if low == high else f"{low}-{high}")


def outsider_cells(board: Board) -> Iterator[list[str]]:
    """Yield the titles, then the cells of each result of outside code, in the order of the board."""
    yield ["from outside", board.measure.title, "seeds", "checked"]
    for outsider in board.outsiders:
        submission = outsider.provenance.submission
        yield [
            outsider.method_id if submission is None else submission.name,
            board.measure.summary(outsider.score),
            seeds_outside(outsider),
            checked_text(outsider.provenance, outside=True)
            if outsider.provenance.notice is None
            else outsider.provenance.notice.kind,
        ]


def outsider_table(board: Board) -> Table:
    """Make the table of results of code outside the catalogue."""
    columns, *rows = outsider_cells(board)
    name, score, seeds, checked = columns
    heads = (*texts(name), *numbers(score, seeds), *texts(checked))
    return Table(f"From outside of {board.protocol.name}", heads, tuple(tuple(map(Cell, row)) for row in rows))


def outsider_lines(board: Board, width: int | None) -> list[str]:
    """Write the table of results of outside code in lines of at most `width` characters; empty for none."""
    if not board.outsiders:
        return []
    return [
        "",
        *aligned([*outsider_cells(board)], text_columns=1, width=width, least=4),
        "",
        f"from outside: {board.measure.kind} of code outside the catalogue as its predictions say, mean over seeds "
        "with its 95 % interval; not ranked, since neither its operations nor its training were seen",
    ]


PAGE_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Boards</title>
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #8885; padding: .2rem .6rem; text-align: left; }
</style>
"""


def brief_markdown(board: Board) -> str:
    """Write the tables of `board show` as Markdown, without the notes of `table.md`."""
    return "\n".join(f"{part if isinstance(part, str) else as_markdown(part)}\n" for part in _parts(board))


def brief_latex(board: Board) -> str:
    return "\n".join(f"% {part}\n" if isinstance(part, str) else as_latex(part) for part in _parts(board))


def html_page(boards: Iterable[Board]) -> str:
    return f"{PAGE_HEAD}{''.join(part for board in boards for part in _html_parts(board))}</html>\n"


def _html_parts(board: Board) -> Iterator[str]:
    """Yield the parts of the one-page HTML of a board."""
    yield f"<h1>{escape(board.protocol.name)}</h1>\n<p>{escape(board.protocol.about)}</p>\n"
    notes = (too_few(board) or "",) if board.rows else (without_rows(board),)
    table = row_table(board, board.shown, caption=board.protocol.name)
    yield f"{as_html(table, [*filter(None, notes)])}\n"
    if board.outsiders:
        yield f"{as_html(outsider_table(board))}\n"


def _parts(board: Board) -> Iterator[Table | str]:
    """Yield what a terminal shows of a board: its tables, or why there is none."""
    if not board.rows:
        yield f"{board.protocol.name}: {without_rows(board)}"
    if board.rows or board.claimed or board.baselines:
        yield brief_table(board)
    if board.outsiders:
        yield outsider_table(board)


def brief_table(board: Board) -> Table:
    """Make the table of rank, name, score and costs of ranked methods, of claimed ones, and of baselines."""
    rows = [brief_head(board), *(brief_cells(row, board) for row in board.shown)]
    return plain_table(board.protocol.name, rows, text_columns=3)


def brief_head(board: Board) -> list[str]:
    return [column.titles["brief"] for column in columns_in(board, "brief")]


def brief_cells(row: MethodRow, board: Board) -> list[str]:
    return [column.cell(row).text for column in columns_in(board, "brief")]


def page_table(board: Board, rows: Sequence[MethodRow], link_of: Callable[[MethodRow], str]) -> Table:
    """Make the table of a board's page; `link_of` gives where a row's records are, to which its last cell leads."""
    columns = columns_in(board, "page")
    heads = tuple(Column(column.titles["page"], column.group != METHOD, column.notes) for column in columns)
    lines = []
    for row in rows:
        *cells, last_cell = (column.cell(row) for column in columns)
        lines.append((*cells, replace(last_cell, link=link_of(row))))
    return Table(board.protocol.name, heads, tuple(lines))


def row_table(
    board: Board,
    rows: Sequence[MethodRow],
    *,
    caption: str,
    link_of: Callable[[MethodRow], str | None] = lambda _: None,
) -> Table:
    """Make the table of all columns of a board; `link_of` gives the page that a method's name leads to."""
    columns = columns_in(board, "site")
    heads = tuple(_head(column) for column in columns)
    name_index = [column.titles["site"] for column in columns].index("method")

    def linked_cell(row: MethodRow, column: BoardColumn) -> Cell:
        cell = column.cell(row)
        return replace(cell, text=cell.text or NONE, link=link_of(row) if column is columns[name_index] else None)

    lines = tuple(tuple(linked_cell(row, column) for column in columns) for row in rows)
    return Table(caption, heads, lines, head=name_index, is_filtered=len(rows) > 1)


def _head(column: BoardColumn) -> Column:
    group = "" if column.group in (METHOD, ACCURACY) else column.group
    return Column(column.titles["site"], column.is_number, column.notes, group)
