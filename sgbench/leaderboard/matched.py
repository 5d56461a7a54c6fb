"""Compare the energy of methods with that of matched networks without spikes and of each other, over all prices."""

import math
from collections.abc import Iterable, Mapping, Sequence

from sgbench.energy.crossover import Duel, EnergyComparison, Matched, matched
from sgbench.energy.interval import BoundedValue
from sgbench.errors import InputError
from sgbench.leaderboard.costs import stability
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.records.energy import INSTEAD, EnergyTarget
from sgbench.tables import number_text

MOST_MATCHED = 40
"""Most methods of a page that are compared with networks without spikes."""
MOST_DUELS = 12
"""Most methods of a page of which every pair is compared."""
NEVER, ALWAYS = 0.0, 1.0  # shares of connections, or of prices


def matched_row(board: Board, row: MethodRow) -> Matched | None:
    """Compare the energy of a method with its matched networks without spikes, on targets that price both.

    A matched network has the same layers and connections, but activations in place of spikes. None if the method's
    synapses were not counted, or no target prices both.
    """
    counts = row.costs.counts
    if counts is None:
        return None
    targets = [target for target in board.price_lists if _multiplies(target)]
    try:
        comparison = matched(counts, targets=targets, dt_s=board.protocol.dt_s, in_time=board.in_time)
    except (InputError, ZeroDivisionError):  # no counts, or no synapses
        return None
    return comparison if comparison.priced else None


def _multiplies(target: EnergyTarget) -> bool:
    """Return whether a target prices multiply-accumulates, or an operation that stands for them."""
    multiplications = {"multiply_accumulate", *INSTEAD.get("multiply_accumulate", ())}
    return not multiplications.isdisjoint((*target.priced, *target.included_elsewhere))


def matched_rows(board: Board) -> list[tuple[MethodRow, Matched]]:
    pairs = [(row, matched_row(board, row)) for row in board.rows[:MOST_MATCHED]]
    return [(row, comparison) for row, comparison in pairs if comparison is not None]


def shown_targets(board: Board, rows: Iterable[tuple[MethodRow, Matched]]) -> list[EnergyComparison]:
    """List one comparison of each target that gets columns: the board's, and those with quantised networks.

    `rows` are methods with their comparisons; targets with quantised networks come last.
    """
    on_board = {target.name for target in board.targets}
    by_target: dict[str, EnergyComparison] = {}
    for _, comparison in rows:
        by_target |= {
            name: priced for name, priced in comparison.priced.items() if priced.quantised or name in on_board
        }
    return [by_target[name] for name in sorted(by_target, key=lambda name: (by_target[name].quantised, name))]


def rate_extreme(rate: BoundedValue) -> str | None:
    """Write "always" or "never" for a crossover at which the spiking network needs less energy; None between.

    `rate` is the share of connections that carry an event per step, below which the spiking network needs less
    energy. It is at most 1, so a crossover of 1 or more means always.

    >>> [rate_extreme(BoundedValue(*ends)) for ends in ((4.55, 1.0, 5.0), (0, 0, 0), (0.5, 0, 2))]
    ['always', 'never', None]
    """
    if rate.low >= ALWAYS:
        return "always"
    return "never" if rate.high <= NEVER else None


def end_text(end: float) -> str:
    """Write one end of a crossover in percent.

    >>> end_text(0.0981), end_text(0.0), end_text(4.55)
    ('9.81', '0', 'always')
    """
    return "always" if end >= ALWAYS else number_text(100 * end)


def rate_text(rate: BoundedValue | None) -> str:
    """Write a crossover in percent, with its ends if they differ; see `rate_extreme` for "always" and "never".

    >>> rate_text(BoundedValue(0.0981, 0.0981, 0.0981)), rate_text(BoundedValue(0.16, 0.0, 4.55)), rate_text(None)
    ('9.81', '16 (0 to always)', '-')
    >>> rate_text(BoundedValue(4.55, 4.55, 4.55)), rate_text(BoundedValue(0.0, 0.0, 0.0))
    ('always', 'never')
    """
    if rate is None:
        return "-"
    value, low, high = (end_text(end) for end in (rate.value, rate.low, rate.high))
    return rate_extreme(rate) or (value if low == high else f"{value} ({low} to {high})")


def compare_energies(board: Board, rows: Sequence[MethodRow]) -> dict[tuple[str, str], Duel]:
    """Map the ids (a, b) of every two methods to how often a needs less energy than b, over prices and targets.

    Each pair is there in both orders. Prices are taken at their low and high ends; pairs that no target prices are
    left out.
    """
    counts = {row.method_id: row.costs.counts for row in rows}
    known = {name: count for name, count in counts.items() if count is not None}
    duels = stability(known, targets=board.price_lists, dt_s=board.protocol.dt_s)
    by_pair = {(duel.a, duel.b): duel for duel in duels}  # each pair in one order; the other has 1 - share
    for duel in duels:
        share = {target: 1 - value for target, value in duel.share.items()}
        by_pair[duel.b, duel.a] = Duel(duel.b, duel.a, share, duel.tied)
    return by_pair


def mean_share(duels: Mapping[tuple[str, str], Duel], name: str) -> float | None:
    """Average how often the method with id `name` needs less energy than each other method; None without others."""
    means = [duel.mean for (a, _), duel in duels.items() if a == name]
    return math.fsum(means) / len(means) if means else None


def ordered_rows(board: Board) -> list[MethodRow]:
    """List the first 12 methods of a board with operation counts: those whose energies are compared in pairs."""
    return [row for row in board.rows if row.costs.pooled is not None][:MOST_DUELS]


def share_text(duel: Duel | None) -> str:
    """Write how often one method needs less energy than another, in percent.

    0 and 100 mean never and always, "=" equal energy on every target, and "-" that they were not compared.

    >>> share_text(Duel("a", "b", {"chip": 0.999}, ())), share_text(Duel("a", "b", {"chip": 1.0}, ()))
    ('99', '100')
    """
    if duel is None:
        return "-"
    if not duel.share:
        return "="
    if duel.mean in (NEVER, ALWAYS):
        return f"{100 * duel.mean:.0f}"
    return str(min(99, max(1, round(100 * duel.mean))))
