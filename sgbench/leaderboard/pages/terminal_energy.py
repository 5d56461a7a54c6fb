"""Prints below the table of `sgbench board show` how methods compare with networks without spikes in energy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sgbench.tables import NONE

if TYPE_CHECKING:
    from rich.console import Console

    from sgbench.energy.crossover import EnergyComparison, Matched
    from sgbench.energy.stability import Duel
    from sgbench.leaderboard.rows import Board, MethodRow


NOTE = (
    "events: share of connections times steps that a spike uses; ANN, QNN: below this share it needs less "
    "energy than the same network without spikes, than that with quantised activations (always: at any "
    "share up to 100; never: even if nothing fires); beats: on so many price lists; lower: how often its "
    "energy is below another method's, over the corners of all price lists"
)
"""Explains the columns below the table."""


def add_energy(console: Console, board: Board, *, spacious: bool) -> None:
    """Print a table that compares methods with their matched networks without spikes; nothing if none can be.

    `spacious` adds space between the columns.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from sgbench.leaderboard.matched import compare_energies, matched_rows, ordered_rows, shown_targets

    rows = matched_rows(board)
    if not rows:
        return
    shown = shown_targets(board, rows)
    duels = compare_energies(board, ordered_rows(board))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0) if spacious else 0)
    table.add_column("method", overflow="fold")
    heads = ["events\n%"]
    heads += [
        f"{comparison.target.replace('_', chr(10))}\n{'QNN' if comparison.quantised else 'ANN'}, %"
        for comparison in shown
    ]
    for head in [*heads, "beats\nANN", "beats\nQNN", "lower\n%"]:
        table.add_column(head, justify="right", no_wrap=True)
    for row, energies in rows:
        table.add_row(*(Text(cell) for cell in _cells(row, energies, shown, duels)))
    console.print()
    console.print(table)
    console.print(NOTE, markup=False, style="dim", soft_wrap=not console.is_terminal)


def _cells(
    row: MethodRow, matched: Matched, shown: list[EnergyComparison], duels: Mapping[tuple[str, str], Duel]
) -> Iterator[str]:
    """Yield the cells of one method: name, events, crossover of each target, lists won, mean share of prices."""
    from sgbench.leaderboard.labels import breakable
    from sgbench.leaderboard.matched import mean_share
    from sgbench.tables import number_text

    yield breakable(row.label)
    yield number_text(100 * matched.rate)
    for comparison in shown:
        yield _crossover(matched.priced.get(comparison.target))
    for quantised in (False, True):
        won, lists = matched.cheaper(quantised=quantised)
        yield f"{won}/{lists}" if lists else NONE
    mean = mean_share(duels, row.method_id)
    yield NONE if mean is None else f"{100 * mean:.0f}"


def _crossover(comparison: EnergyComparison | None) -> str:
    """Write the interval of a crossover in percent, or "always", "never" or a dash."""
    from sgbench.leaderboard.matched import end_text, rate_extreme

    if comparison is None or comparison.crossover is None:
        return NONE
    low, high = end_text(comparison.crossover.low), end_text(comparison.crossover.high)
    return rate_extreme(comparison.crossover) or (low if low == high else f"{low}-{high}")
