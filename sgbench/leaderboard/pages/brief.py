"""A board in the few columns that a terminal, a README or a notebook has room for."""

from __future__ import annotations

from sgbench.leaderboard.labels import prose
from sgbench.leaderboard.pages.empty import without_rows
from sgbench.leaderboard.pages.seeds import seeds_of
from sgbench.leaderboard.pages.solved_section import has_solved, solved_text
from sgbench.leaderboard.pages.table import rank_text
from sgbench.leaderboard.pages.terminal_outside import outsider_cells
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.tables import NONE, markdown, number_text


def brief_markdown(board: Board) -> str:
    """Write the columns of `board show` as a Markdown table; the notes are in `table.md`."""
    names = brief_head(board)
    shown = (*board.rows, *board.claimed, *board.baselines)
    blocks = [] if board.rows else [f"{board.protocol.name}: {without_rows(board)}\n"]
    if shown:
        cells = [[prose(cell) for cell in brief_cells(row, board)] for row in shown]
        blocks.append(markdown(names, cells, numbers=range(3, len(names))) + "\n")
    if board.outsiders:
        head, *lines = outsider_cells(board)
        rows = [[prose(cell) for cell in line] for line in lines]
        blocks.append(markdown(head, rows, numbers=[1, 2]) + "\n")
    return "\n".join(blocks)


def brief_head(board: Board) -> list[str]:
    """Return the head of the columns of `brief_cells`, as `board show` prints them."""
    names = ["rank", "alike", "method", board.measure.title, "seeds"]
    names += ["solved"] if has_solved(board) else []
    names += ["spikes", "synaptic operations"]
    return [*names, *(f"{target.name}, nJ{' *' if target.missing else ''}" for target in board.targets)]


def brief_cells(row: MethodRow, board: Board) -> list[str]:
    """Return a row's rank, name, score and costs."""
    energies = [row.costs.energies[target.name].dynamic_nj for target in board.targets]
    numbers = [row.costs.spikes.value, row.costs.synaptic_operations.value]
    numbers += [None if energy is None else energy.value for energy in energies]
    return [
        rank_text(row),
        "" if row.place is None else row.place.groups,
        row.label.replace("(", " ("),  # a narrow column breaks there
        board.measure.summary(row.score),
        seeds_of(row),
        *([solved_text(row, board)] if has_solved(board) else []),
        *(NONE if number is None else number_text(number) for number in numbers),
    ]
