"""Sections of a board's page on energy: against networks without spikes, and how sure the order by energy is."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from sgbench.energy.crossover import Duel, EnergyComparison, Matched
from sgbench.leaderboard.matched import (
    MOST_DUELS,
    MOST_MATCHED,
    compare_energies,
    matched_rows,
    mean_share,
    ordered_rows,
    rate_text,
    share_text,
    shown_targets,
)
from sgbench.leaderboard.pages.sections import grid
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.tables import NONE, code, number_text

EVERYTHING = "`sgbench energy rank` has the others"


def energy_sections(board: Board) -> Iterator[str]:
    """Yield the paragraphs of the sections on energy, headings included; none where nothing can be compared."""
    rows = matched_rows(board)
    if rows:
        yield "## Beside networks without spikes"
        yield _matched_table(board, rows)
        yield _about_matched(rows, is_cut=len(board.rows) > MOST_MATCHED)
    yield from _stability_section(board)


def _matched_table(board: Board, rows: Sequence[tuple[MethodRow, Matched]]) -> str:
    """Write the table of methods beside their matched networks without spikes."""
    shown = shown_targets(board, rows)
    header = ["method", "id", "events, %"]
    for comparison in shown:
        other = "quantised ANN" if comparison.quantised else "ANN"
        header += [f"{comparison.target}: SNN / {other}, nJ", f"{comparison.target}: SNN cheaper below, %"]
    header += ["cheaper than its ANN", "than its quantised ANN"]
    lines = [
        [
            code(row.label),
            row.method_id,
            number_text(100 * energies.rate),
            *itertools.chain.from_iterable(
                _energy_cells(energies.priced.get(comparison.target)) for comparison in shown
            ),
            *(_count_text(energies.cheaper(quantised=quantised)) for quantised in (False, True)),
        ]
        for row, energies in rows
    ]
    return grid(header, lines, text_columns=2)


def _energy_cells(comparison: EnergyComparison | None) -> tuple[str, str]:
    if comparison is None or comparison.spiking_nj is None or comparison.ann_nj is None:
        return NONE, NONE
    energies = f"{number_text(comparison.spiking_nj.value)} / {number_text(comparison.ann_nj.value)}"
    return energies, rate_text(comparison.crossover)


def _count_text(wins: tuple[int, int]) -> str:
    won, lists = wins
    return f"{won} of {lists}" if lists else NONE


def _about_matched(rows: Sequence[tuple[MethodRow, Matched]], *, is_cut: bool) -> str:
    """Write the note below the table of matched networks; `is_cut` if the table leaves out methods."""
    bits = " or ".join(map(str, sorted({energies.activation_bits for _, energies in rows})))
    passes = " or ".join(sorted({energies.passes for _, energies in rows}))
    more = f" The first {MOST_MATCHED} methods; {EVERYTHING}." if is_cut else ""
    return (
        f"ANN: the same layers with units that do not spike, every connection used in every pass, one a {passes}; "
        "quantised ANN: "
        f"the same with activations of {bits} bits (as many values as counts of spikes), on price lists of 8-bit "
        "operands, where the weights of both are as narrow. Events: share of connections times steps that a spike "
        "uses. The SNN needs less dynamic energy than the other while its events stay below the crossover given "
        "beside them; in brackets, over the ends of the prices. always: even if every connection were used in "
        "every step; never: even if nothing fired. The last columns count the price lists of the catalogue on "
        f"which it does at every end, of those that price both.{more}"
    )


def _stability_section(board: Board) -> Iterator[str]:
    """Yield heading, table and note on how often each method needs less energy than each other."""
    rows = ordered_rows(board)
    by_pair = compare_energies(board, rows)
    if not by_pair:
        return
    yield "## Whose energy is lower, whoever's prices hold"
    names = [row.method_id for row in rows]
    header = ["method", "id", *(f"than {name[:6]}, %" for name in names), "mean, %"]
    lines = []
    for row in rows:
        duels = [by_pair.get((row.method_id, name)) for name in names]
        cells = ["" if name == row.method_id else share_text(duel) for name, duel in zip(names, duels, strict=True)]
        mean = mean_share(by_pair, row.method_id)
        lines.append([code(row.label), row.method_id, *cells, NONE if mean is None else f"{100 * mean:.0f}"])
    yield grid(header, lines, text_columns=2)
    yield _about_stability(by_pair, is_cut=len(board.rows) > MOST_DUELS)


def _about_stability(duels: Mapping[tuple[str, str], Duel], *, is_cut: bool) -> str:
    """Write the note below the table of pairs; `is_cut` if the table leaves out methods."""
    pairs = [duel for (a, b), duel in duels.items() if a < b]
    certain = sum(duel.certain for duel in pairs)
    counts = sorted({len(duel.share) + len(duel.tied) for duel in pairs})
    same = sum(not duel.share for duel in pairs)
    alike = f", {same} need the same energy (=)" if same else ""
    lists = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    more = f" The first {MOST_DUELS} methods; {EVERYTHING}." if is_cut else ""
    return (
        f"Share of prices, in percent, under which the method of the line needs less energy an inference than that "
        f"of the column: over the corners of each price list's intervals, an unknown price being the same for "
        f"both, and over the {lists} price lists that price both, without those on which both need the same. "
        f"{certain} of {len(pairs)} pairs have the same order under every price of every list{alike}.{more}"
    )
