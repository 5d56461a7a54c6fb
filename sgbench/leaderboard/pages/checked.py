"""Writes how thoroughly a row was checked, and which boards cannot bear a claim out."""

from __future__ import annotations

from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.leaderboard.score import Measure
from sgbench.leaderboard.store.method_provenance import MethodProvenance
from sgbench.leaderboard.store.repeats import LOOSE_LOSS, LOOSE_POINTS, NOT_REPEATABLE
from sgbench.tables import NONE, prose


def trust_text(row: MethodRow) -> str:
    """Write how a row was verified: the tier that failed, else the highest passed; a dash outside a board."""
    return NONE if row.listing is None else checked_text(row.listing.provenance)


ANSWERS_ALONE = "answers alone"
"""How the verification of outside code by its stored predictions is called, since these may be written by hand."""


def checked_text(provenance: MethodProvenance, *, outside: bool = False) -> str:
    """Name the tier of verification that failed, else the highest that passed, else "self-reported".

    `outside` says that the result is of code outside the catalogue. Its stored predictions may be written by hand,
    so a score computed from them again reads "answers alone", not "rescored".
    """
    check = provenance.failed or provenance.best
    if check is None:
        return "self-reported"
    tier = ANSWERS_ALONE if outside and check.tier == "rescored" else check.tier
    return tier if check.passed else f"failed: {tier}"


def repeats_text(row: MethodRow, measure: Measure) -> str:
    """Write how a row was verified; of repeated trainings how many seeds, by whom and how far apart."""
    provenance = None if row.listing is None else row.listing.provenance
    if provenance is None or provenance.repeats is None:
        return trust_text(row)
    repeats, unit = provenance.repeats, " in loss" if measure.kind == "loss" else " points"
    if repeats.allowed is None:
        within = "shares of solved seeds compared, of which five may differ by four"
    else:
        within = f"{measure.text(repeats.allowed)}{unit} apart allowed"
    words = {
        "agrees": "too loose to rank by" if is_loose(row, measure) else "retrained",
        "differs": "failed: retrained",
        "loose": NOT_REPEATABLE,
    }
    count = f"{len(repeats.seeds)} of {len(row.finished)} seeds by {prose(', '.join(repeats.by))}"
    told = [f"{words[repeats.outcome]} ({count}, {within})"]
    for each in provenance.elsewhere:
        word = "repeated elsewhere" if each.agrees else "differs elsewhere"
        where = f"seed {each.seed} by {prose(each.by)} on {prose(each.processor)}"
        told.append(f"{word} ({where}, {measure.text(abs(each.apart))}{unit} apart)")
    return "; ".join(told)


def is_loose(row: MethodRow, measure: Measure) -> bool:
    """Return whether the tolerance within which a row was repeated is so wide that agreeing proves nothing."""
    repeats = None if row.listing is None else row.listing.provenance.repeats
    if repeats is None:
        return False
    return repeats.allowed_mean is None or repeats.allowed_mean > _loosest(measure)


def cannot_rank(board: Board) -> str:
    """Write why a board cannot rank by what was repeated; empty where it can, or nothing was repeated.

    A claim is borne out by seeds whose mean may lie at most ten points, or a tenth of guessing's loss, away.
    """
    loose = [row for row in board.shown if is_loose(row, board.measure)]
    if not loose:
        return ""
    repeats = [row.listing.provenance.repeats for row in loose if row.listing is not None]
    widest = [each.allowed_mean for each in repeats if each is not None and each.allowed_mean is not None]
    measure, unit = board.measure, " in loss" if board.measure.kind == "loss" else " points"
    if widest:
        apart = (
            f"repeated seeds may lie {measure.text(max(widest))}{unit} from their claims, "
            f"{measure.text(_loosest(measure))} would bear one out"
        )
    else:
        apart = "whether a seed solves the task hangs on rounding, so that four of five repeated seeds may differ"
    return (
        f"This board cannot rank claims: {apart}. The ranks compare the maintainers' own runs over their seeds, and "
        "repeating bears out none of them."
    )


def _loosest(measure: Measure) -> float:
    return LOOSE_LOSS * measure.guess if measure.kind == "loss" else LOOSE_POINTS
