"""Writes which rows of a board were retrained as an audit, and the bound on wrong rows that follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.leaderboard.store.repeats import Repeats
from sgbench.records.audit import Draw
from sgbench.records.trust import Verification
from sgbench.statistics.sampling import largest_share, most_wrong
from sgbench.tables import NONE, code, prose

PERCENT = 100
RULE_OF_THREE = 3
SHORT = 12  # digits of a commit that is shown


def draw_table(board: Board) -> tuple[list[str], list[list[str]]]:
    header = ["method", "id", "promised", "drawn by commit", "seeds drawn", "what came of it"]
    return header, [
        [
            code(row.label),
            row.method_id,
            draw.promised_utc[:10],
            (draw.commit or NONE)[:SHORT],
            ", ".join(map(str, draw.seeds)) or NONE,
            _outcome(draw, row.listing.provenance.repeats),
        ]
        for row in (*board.shown, *board.retired)
        if row.listing is not None and (draw := row.listing.provenance.draw) is not None
    ]


def _outcome(draw: Draw, repeats: Repeats | None) -> str:
    if draw.commit is None:
        return "the first commit to come draws"
    missing = sorted({*draw.seeds} - {*(() if repeats is None else repeats.seeds)})
    if repeats is None or missing:
        return f"not trained yet: {', '.join(map(str, missing))}"
    return prose(repeats.statement)


def fresh_table(board: Board) -> tuple[list[str], list[list[str]]]:
    unit = "" if board.measure.is_loss else ", %"
    header = ["method", "id", "draw", "seeds", "samples", f"claimed{unit}", f"on samples drawn anew{unit}"]
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
        for row in board.shown
        if row.listing is not None
        for score in row.listing.provenance.fresh
    ]


def audit_statements(board: Board) -> Iterator[str]:
    """Yield sentences on the audit of a board: how many rows were retrained, with which result, and which were not.

    Nothing if no row was retrained.
    """
    failed = [row for row in board.claimed if any(not check.passed for check in _retrainings(row))]
    rows = [row for row in (*board.rows, *board.baselines, *failed) if row.listing is not None]
    done = [row for row in rows if row.listing is not None and row.listing.provenance.is_trained_again]
    drawn = [*done, *failed]
    if not drawn:
        return
    passed_over = {row.method_id: row.listing.provenance.passed_over for row in rows if row.listing}
    not_drawn = [row for row in rows if row not in drawn and passed_over[row.method_id] is not None]
    count = "All" if len(drawn) == len(rows) else f"{len(drawn)} of"
    by_shares = all(any(check.tolerance is None for check in _retrainings(row)) for row in drawn)
    agreement = (
        "solve the task as often as in their records, by Boschloo's exact test of each row's same seeds"
        if by_shares
        else "agree with their records within what re-made runs of this board differ by"
    )
    result = (
        f": {len(done)} {agreement}, and {len(failed)} {'does' if len(failed) == 1 else 'do'} not "
        f"({', '.join(row.method_id for row in failed)})."
        if failed
        else f", and these {agreement}."
    )
    bound = "" if by_shares else _bound(drawn, len(rows) - len(not_drawn), len(failed))
    yield f"{count} {len(rows)} rows had one seed or more, drawn at random, trained again{result}{bound}"
    for row in not_drawn:
        yield f"Not trained again: {row.method_id}, {prose(passed_over[row.method_id] or '')}."


def _bound(drawn: Sequence[MethodRow], rows: int, failed: int) -> str:
    """Write the sentence on the 95 % confidence bound that a random sample gives on rows that would not agree.

    The bound is on rows if all finished seeds of the drawn ones were retrained, else on seeds. Empty if no seed of
    any row is left.
    """
    is_all = len(drawn) == rows
    if all(row.finished <= {seed for check in _retrainings(row) for seed in check.seeds} for row in drawn):
        most = most_wrong(rows, len(drawn), found=failed)
        if is_all:
            return ""
        return (
            f" At most {most} of the {rows} rows would not, with 95 % confidence, if the rows were drawn at random "
            "(all their finished seeds were trained again; hypergeometric)."
        )
    share = PERCENT * largest_share(len(drawn), found=failed)
    rule = "Clopper and Pearson" if failed else f"the rule of three: {PERCENT * RULE_OF_THREE / len(drawn):.1f} %"
    seeds = "of their finished seeds" if is_all else f"of the finished seeds of the {rows} rows"
    at_random = "" if is_all else ", if the rows were drawn at random"
    return (
        f" With 95 % confidence less than {share:.1f} % {seeds} would not, each row weighing the same{at_random} "
        f"({rule})."
    )


def _retrainings(row: MethodRow) -> list[Verification]:
    checks = () if row.listing is None else row.listing.provenance.verifications
    return [check for check in checks if check.tier == "retrained"]
