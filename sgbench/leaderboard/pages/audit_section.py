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
    rows = [row for row in (*board.rows, *board.baselines) if row.listing is not None]
    done = [row for row in rows if _is_done(row)]
    if not done:
        return
    which = "All" if len(done) == len(rows) else f"{len(done)} of"
    yield (
        f"{which} {len(rows)} rows had one seed or more, drawn at random, trained again, and these agree with "
        f"their records within what re-made runs of this board differ by. {_bound(len(rows), len(done))}"
    )
    for row in rows:
        reason = None if row.listing is None else row.listing.provenance.passed_over
        if reason is not None and row not in done:
            yield f"Not trained again: {row.method_id}, {prose(reason)}."


def _bound(rows: int, done: int) -> str:
    """Write what a random sample without a failure says of the board, with 95 % confidence."""
    if done < rows:
        return (
            f"At most {most_wrong(rows, done)} of the {rows} rows would not, with 95 % confidence, if the rows "
            "were drawn at random (hypergeometric)."
        )
    return (
        f"With 95 % confidence less than {PERCENT * largest_share(done):.1f} % of all runs would not (the rule of "
        f"three: {PERCENT * RULE_OF_THREE / done:.1f} %)."
    )


def _is_done(row: MethodRow) -> bool:
    return row.listing is not None and row.listing.provenance.is_trained_again
