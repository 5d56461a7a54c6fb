"""Builds the page of pending submissions, and of rows that nobody has repeated yet."""

from collections.abc import Iterator
from pathlib import Path

from registry.site.render import Page
from registry.site.sources import Sources, method_path, protocol_path
from sgbench.errors import InputError
from sgbench.leaderboard.board import Board
from sgbench.leaderboard.differing_settings import surrogate_call
from sgbench.leaderboard.rows import MethodRow
from sgbench.leaderboard.store.reading import Finding, finding
from sgbench.leaderboard.store.repeats import NOT_REPEATABLE
from sgbench.records.base import in_seconds
from sgbench.records.files import read_model
from sgbench.records.submission import Submission
from sgbench.tables.table import Cell, Table, texts

PENDING = "pending.html"
HEAD = "submission.json"
REVIEW = "a maintainer's review; then its weights run again, and its seeds trained again"
REVIEW_OUTSIDE = "a maintainer's review; answers alone never rank"
RUN_AGAIN, TRAIN_AGAIN = "its weights run again", "its seeds trained again"


def read_waiting(folder: Path) -> tuple[list[Submission], list[Finding]]:
    """Read submission.json of all pending submissions, the oldest first, and a finding for each unusable one.

    `folder` has a folder for each protocol with one for each submission; it need not exist.
    """
    waiting, left_out = [], []
    for path in sorted(folder.glob(f"*/*/{HEAD}")):
        try:
            head = read_model(path, Submission)
        except InputError as error:
            left_out.append(finding(path, error))
            continue
        if (head.protocol, head.method_id) == path.parts[-3:-1]:
            waiting.append(head)
        else:
            left_out.append(Finding(str(path), f"is of {head.protocol}/{head.method_id}, not of its folder"))
    waiting.sort(key=lambda head: (in_seconds(head.created_utc), head.protocol, head.method_id))
    return waiting, left_out


def pending_page(sources: Sources) -> Page:
    """Return the page of submissions that have no rank yet, with what each waits for."""
    rows = [_submission_cells(head, sources) for head in sources.extras.waiting]
    rows += [_claimed_cells(row, board) for board in sources.boards for row in board.claimed]
    columns = texts("protocol", "method", "handed in by", "since", "waits for")
    table = Table("Handed in and not repeated yet", columns, tuple(rows), head=2) if rows else None
    return Page(
        PENDING,
        "Pending submissions",
        "What was handed in and has no rank yet, with what it waits for.",
        "pending.html",
        {"table": table},
        "submit.html",
        tables={} if table is None else {"": table},
    )


def _submission_cells(head: Submission, sources: Sources) -> tuple[Cell, ...]:
    """Make the cells of a submission that no maintainer has accepted yet."""
    boards = {board.protocol.name for board in sources.boards}
    method = head.method
    name = head.name if method is None else surrogate_call(method.label, method.parameters.get("surrogate", {}))
    return (
        Cell(head.protocol, link=protocol_path(head.protocol) if head.protocol in boards else None, is_code=True),
        Cell(name, is_code=method is not None),
        Cell(head.contact),
        Cell(in_seconds(head.created_utc)[:10]),
        Cell(REVIEW_OUTSIDE if method is None else REVIEW),
    )


def _claimed_cells(row: MethodRow, board: Board) -> tuple[Cell, ...]:
    """Make the cells of a row that was accepted and not repeated yet."""
    name = board.protocol.name
    provenance = None if row.listing is None else row.listing.provenance
    head = None if provenance is None else provenance.submission
    return (
        Cell(name, link=protocol_path(name), is_code=True),
        Cell(row.label, link=method_path(name, row.method_id), is_code=True),
        Cell("the maintainers" if head is None else head.contact),
        Cell("" if head is None else in_seconds(head.created_utc)[:10]),
        Cell("; ".join(_missing(row))),
    )


def _missing(row: MethodRow) -> Iterator[str]:
    """Yield what a claimed row waits for until it gets a rank."""
    provenance = None if row.listing is None else row.listing.provenance
    if provenance is None:
        return
    if provenance.failed is not None:
        yield f"nothing: it failed when it was {provenance.failed.tier}"
        return
    run_again = {seed for check in provenance.verifications if check.tier == "reinferred" for seed in check.seeds}
    if not run_again.issuperset(row.finished):
        yield RUN_AGAIN
    if provenance.repeats is not None and provenance.repeats.outcome == "loose":
        yield f"nothing: {NOT_REPEATABLE}"
    elif not (provenance.is_repeated(row.finished) or provenance.passed_over):
        yield TRAIN_AGAIN
