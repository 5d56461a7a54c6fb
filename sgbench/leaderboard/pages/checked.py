"""Writes how thoroughly rows were checked and audited, and which boards cannot compare or bear a claim out."""

from collections import Counter
from collections.abc import Iterator, Sequence

from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.leaderboard.score import Measure
from sgbench.leaderboard.store.method_provenance import MethodProvenance
from sgbench.leaderboard.store.outside import Outsider
from sgbench.leaderboard.store.repeats import LOOSE_LOSS, LOOSE_POINTS, NOT_REPEATABLE, Repeats
from sgbench.records.audit import Draw
from sgbench.records.submission import Verification
from sgbench.statistics.sampling import largest_share, most_wrong
from sgbench.tables import NONE, code, counted, prose


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
    statements = [f"{words[repeats.outcome]} ({count}, {within})"]
    for repeat in provenance.elsewhere:
        word = "repeated elsewhere" if repeat.agrees else "differs elsewhere"
        where = f"seed {repeat.seed} by {prose(repeat.by)} on {prose(repeat.processor)}"
        statements.append(f"{word} ({where}, {measure.text(abs(repeat.apart))}{unit} apart)")
    return "; ".join(statements)


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


FEWEST = 4
"""Ranked methods from which on a board compares."""


def too_few(board: Board) -> str:
    """Write that a board of one to three ranked methods compares nothing yet; empty of others.

    A rank among so few says more of who has run the protocol than of the methods.
    """
    if not 0 < len(board.rows) < FEWEST:
        return ""
    return f"No comparison yet: {counted(len(board.rows), 'method')} on this board, and {FEWEST} are needed."


def without_rows(board: Board) -> str:
    """Describe in one line why a board has no ranked method."""
    retired = [row.listing.provenance.notice for row in board.retired if row.listing is not None]
    outside = [outsider.provenance.notice for outsider in board.outsiders]
    kinds = Counter(notice.kind for notice in (*retired, *outside) if notice is not None)
    parts = [f"{number} {kind}" for kind, number in sorted(kinds.items(), reverse=True)]
    if board.claimed:
        parts.append(f"{len(board.claimed)} claimed and not repeated")
    if board.baselines:
        parts.append(f"{counted(len(board.baselines), 'baseline')} without spikes")
    if None in outside:
        parts.append(f"{outside.count(None)} from outside the catalogue")
    return f"no method counts: {', '.join(parts)}"


PERCENT = 100
RULE_OF_THREE = 3
SHORT = 12  # digits of a commit that is shown


def draw_table(board: Board) -> tuple[list[str], list[list[str]]]:
    """Make head and rows of the table of promised draws: which seeds a commit drew, and what their repeats gave."""
    header = ["method", "id", "promised", "drawn by commit", "seeds drawn", "what came of it"]
    return header, [
        [
            code(row.label),
            row.method_id,
            draw.promised_utc[:10],
            (draw.commit or NONE)[:SHORT],
            ", ".join(map(str, draw.seeds)) or NONE,
            _draw_outcome(draw, row.listing.provenance.repeats),
        ]
        for row in (*board.shown, *board.retired)
        if row.listing is not None and (draw := row.listing.provenance.draw) is not None
    ]


def _draw_outcome(draw: Draw, repeats: Repeats | None) -> str:
    """Say what came of a draw: not drawn yet, seeds still to train, or what the repeats found."""
    if draw.commit is None:
        return "the first commit to come draws"
    missing = sorted({*draw.seeds} - {*(() if repeats is None else repeats.seeds)})
    if repeats is None or missing:
        return f"not trained yet: {', '.join(map(str, missing))}"
    return prose(repeats.statement)


def fresh_table(board: Board) -> tuple[list[str], list[list[str]]]:
    """Make head and rows of the table of stored weights that were scored on samples drawn later."""
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
    drawn = [*done, *failed]  # rows of which a seed was trained again
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


def seeds_of(row: MethodRow, *, planned: int = 0) -> str:
    return seeds_text(len(row.scores), len(row.failed_seeds), len(row.at_chance), planned)


def seeds_outside(outsider: Outsider) -> str:
    """Write how many seeds of a result of outside code ran, and how many failed."""
    return seeds_text(len(outsider.scores), len(outsider.failed_seeds))


def seeds_text(seeds: int, failed: int = 0, at_chance: int = 0, planned: int = 0) -> str:
    """Write a count of seeds, with the planned count if it is larger, and counts of failed and chance seeds if any.

    >>> seeds_text(5), seeds_text(2, 1, planned=5), seeds_text(5, at_chance=3, planned=5)
    ('5', '2 of 5 (1 failed)', '5 (3 at chance)')
    """
    text = f"{seeds} of {planned}" if seeds < planned else f"{seeds}"
    counts = [f"{count} {word}" for count, word in ((failed, "failed"), (at_chance, "at chance")) if count]
    return f"{text} ({', '.join(counts)})" if counts else text
