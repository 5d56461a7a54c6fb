"""Two methods' energy in plain sentences: whose is lower, and what networks without spikes would need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sgbench.energy.crossover import EnergyComparison, Matched
from sgbench.leaderboard.matched import (
    ALWAYS,
    matched_row,
    order,
    rate_text,
    rate_word,
    share_text,
    shown_targets,
)
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.tables import number_text


def energy_sentences(a: MethodRow, b: MethodRow, board: Board) -> Iterator[str]:
    """Yield sentences on both methods' energy by the price lists that a board knows."""
    yield from _stable(a, b, board)
    for name, row in (("A", a), ("B", b)):
        energies = matched_row(board, row)
        if energies is not None:
            yield _beside(name, row, energies, board)


def _stable(a: MethodRow, b: MethodRow, board: Board) -> Iterator[str]:
    duel = order(board, [a, b]).get((a.method_id, b.method_id))
    if duel is None:
        return
    lists, tied = len(duel.share), len(duel.tied)
    also = f"; {tied} more cannot tell them apart" if tied and lists else ""
    of = f"{lists} price list{'s' if lists > 1 else ''}"
    if not lists:
        yield f"Whoever's prices hold, A and B need the same energy (price lists: {tied})."
    elif duel.certain:
        word = "less" if duel.mean == ALWAYS else "more"
        yield f"Whoever's prices hold, A needs {word} energy than B: at all ends of the prices of {of}{also}."
    else:
        yield (
            f"Whose energy is lower depends on the prices: A's is under {share_text(duel)} % of them, over the "
            f"ends of the prices of {of}, each list weighing the same{also}."
        )


def _places(shown: Sequence[EnergyComparison], *, quantised: bool) -> Iterator[str]:
    """Describe at which share of events both networks need the same energy, on each price list."""
    words = {"always": "at no share (always more)", "never": "at no share (always less)"}
    for one in shown:
        if one.quantised is quantised and one.crossover is not None:
            word = rate_word(one.crossover)
            where = f"at {rate_text(one.crossover)} %" if word is None else words[word]
            yield f"{where} on {one.target}"


def _beside(name: str, row: MethodRow, energies: Matched, board: Board) -> str:
    shown = shown_targets(board, [(row, energies)])
    wide, narrow = (", ".join(_places(shown, quantised=kind)) for kind in (False, True))
    places = [wide] if wide else []
    places += [f"with {energies.activation_bits}-bit activations {narrow}"] if narrow else []
    same = f" The same network without spikes would need as much {' and '.join(places)}." if places else ""
    won, all_of_them = energies.cheaper(quantised=False)
    won_narrow, all_narrow = energies.cheaper(quantised=True)
    where = [f"{won} of {all_of_them} price lists"] if all_of_them else []
    where += [f"{won_narrow} of {all_narrow} with quantised activations"] if all_narrow else []
    return (
        f"Spikes use {number_text(100 * energies.rate)} % of the connections times steps of {name}.{same} "
        f"{name} needs less energy than it on {', and on '.join(where)}."
    )
