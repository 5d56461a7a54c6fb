"""What was trained again of a board, and what that says of the rest."""

from __future__ import annotations

from collections.abc import Iterator

from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.statistics.sampling import largest_share, most_wrong
from sgbench.tables import code, prose

PERCENT = 100
RULE_OF_THREE = 3


def fresh_table(board: Board) -> tuple[list[str], list[list[str]]]:
    """Return head and lines of what stored weights score on samples drawn after they were handed in."""
    unit = "" if board.measure.is_loss else ", %"
    header = ["method", "id", "draw", "seeds", "samples", f"claimed{unit}", f"on samples drawn anew{unit}"]
    rows = (*board.rows, *board.claimed, *board.baselines)
    return header, [
        [
            code(row.label),
            row.method_id,
            str(score.draw),
            str(len(score.seeds)),
            f"{score.samples:,}",
            board.measure.text(score.claimed),
            board.measure.text(score.fresh),
        ]
        for row in rows
        if row.listing is not None
        for score in row.listing.provenance.fresh
    ]


def audit_statements(board: Board) -> Iterator[str]:
    """Yield how many rows were trained again, what that bounds, and which were not and why."""
    failed = [row for row in board.claimed if _gave_something_else(row)]
    rows = [row for row in (*board.rows, *board.baselines, *failed) if row.listing is not None]
    done = [row for row in rows if _is_done(row)]
    drawn = len(done) + len(failed)
    if not drawn:
        return
    which = "All" if drawn == len(rows) else f"{drawn} of"
    agree = (
        f": {len(done)} agree with their records within what re-made runs of this board differ by, and "
        f"{len(failed)} {'does' if len(failed) == 1 else 'do'} not "
        f"({', '.join(row.method_id for row in failed)}). "
        if failed
        else ", and these agree with their records within what re-made runs of this board differ by. "
    )
    yield (
        f"{which} {len(rows)} rows had one seed or more, drawn at random, trained again{agree}"
        f"{_bound(len(rows), drawn, len(failed))}"
    )
    for row in rows:
        reason = None if row.listing is None else row.listing.provenance.passed_over
        if reason is not None and not _is_done(row):
            yield f"Not trained again: {row.method_id}, {prose(reason)}."


def _bound(rows: int, drawn: int, failed: int) -> str:
    """Write what a random sample, with those of it that do not agree, says of the board, with 95 % confidence."""
    if drawn < rows:
        return (
            f"At most {most_wrong(rows, drawn, found=failed)} of the {rows} rows would not, with 95 % confidence, "
            "if the rows were drawn at random (hypergeometric)."
        )
    share = PERCENT * largest_share(drawn, found=failed)
    bound = f"With 95 % confidence less than {share:.1f} % of all runs would not"
    if failed:
        return f"{bound} (Clopper and Pearson)."
    return f"{bound} (the rule of three: {PERCENT * RULE_OF_THREE / drawn:.1f} %)."


def _gave_something_else(row: MethodRow) -> bool:
    """Return whether a seed of a row was trained again and does not agree."""
    checks = () if row.listing is None else row.listing.provenance.verifications
    return any(check.tier == "retrained" and not check.passed for check in checks)


def _is_done(row: MethodRow) -> bool:
    return row.listing is not None and row.listing.provenance.is_trained_again
