"""Explains two methods' energy in sentences: which is lower, and what networks without spikes would need."""

from collections.abc import Iterator, Sequence

from sgbench.energy.crossover import EnergyComparison, Matched
from sgbench.leaderboard.matched import (
    ALWAYS,
    compare_energies,
    matched_row,
    rate_extreme,
    rate_text,
    share_text,
    shown_targets,
)
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.tables import number_text

PASSES = {"sample": "run once a sample", "step": "run in every step"}


def energy_sentences(a: MethodRow, b: MethodRow, board: Board) -> Iterator[str]:
    yield from _lower_energy(a, b, board)
    for name, row in (("A", a), ("B", b)):
        energies = matched_row(board, row)
        if energies is not None:
            yield _against_matched(name, row, energies, board)


def _lower_energy(a: MethodRow, b: MethodRow, board: Board) -> Iterator[str]:
    """Say which of two rows needs less energy, and whether that depends on the prices."""
    duel = compare_energies(board, [a, b]).get((a.method_id, b.method_id))
    if duel is None:
        return
    lists, tied = len(duel.share), len(duel.tied)
    tied_text = f" On {tied} more both need the same." if tied and lists else ""
    lists_text = f"{lists} price list{'s' if lists > 1 else ''}"
    if not lists:
        yield f"A and B need the same energy on all {tied} price lists."
    elif duel.certain:
        relation = "less" if duel.mean == ALWAYS else "more"
        yield (
            f"A needs {relation} energy than B on {lists_text}, at the low and at the high end of every price."
            f"{tied_text}"
        )
    else:
        yield (
            f"A or B needs less energy, depending on the prices: A under {share_text(duel)} % of the combinations "
            f"of low and high prices of {lists_text}.{tied_text}"
        )


def _against_matched(name: str, row: MethodRow, energies: Matched, board: Board) -> str:
    """Compare a row's energy with the same network without spikes."""
    shown = shown_targets(board, [(row, energies)])
    return " ".join(
        [
            f"In an average step {name} uses {number_text(100 * energies.rate)} % of its connections.",
            *_compared(shown, f"the same network without spikes ({PASSES[energies.passes]})", quantised=False),
            *_compared(shown, f"that network with activations of {energies.activation_bits} bits", quantised=True),
            *_won(name, energies),
        ]
    )


def _compared(shown: Sequence[EnergyComparison], other: str, *, quantised: bool) -> Iterator[str]:
    """Yield one sentence for each outcome, which names the targets that share it."""
    targets_by_outcome: dict[str, list[str]] = {}
    for comparison in shown:
        if comparison.quantised is quantised and comparison.crossover is not None:
            targets_by_outcome.setdefault(_outcome(comparison), []).append(comparison.target)
    for outcome, targets in targets_by_outcome.items():
        yield f"It needs {outcome.format(other=other)} on {', '.join(targets)}."


def _outcome(comparison: EnergyComparison) -> str:
    """Write when the spiking network needs less energy than the other one, for which `{other}` stands."""
    texts = {
        "always": "less energy than {other} however many connections it uses",
        "never": "more energy than {other} however few connections it uses",
    }
    extreme = None if comparison.crossover is None else rate_extreme(comparison.crossover)
    if extreme is not None:
        return texts[extreme]
    return f"less energy than {{other}} while it uses below {rate_text(comparison.crossover)} %"


def _won(name: str, energies: Matched) -> Iterator[str]:
    """Say on how many price lists the spiking network needs less at its own activity; nothing without a list."""
    won, lists = energies.cheaper(quantised=False)
    won_quantised, lists_quantised = energies.cheaper(quantised=True)
    where = [f"{won} of {lists} price lists" if lists else ""]
    where += [f"{won_quantised} of {lists_quantised} with quantised activations" if lists_quantised else ""]
    if any(where):
        yield f"At its own activity {name} needs less on {' and '.join(filter(None, where))}."
