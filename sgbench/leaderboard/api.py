"""Loads records, makes boards and explains them in Python, as objects that print, draw and convert themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from sgbench.errors import InputError, suggest
from sgbench.leaderboard.board import show
from sgbench.leaderboard.contents import installed, protocols_of
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.pages.brief import brief_markdown, brief_table
from sgbench.leaderboard.pages.explain import Explanation, Hits, explain_rows, find_row, why_no_samples
from sgbench.leaderboard.pages.export import to_table
from sgbench.leaderboard.pages.picture import picture_of
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.leaderboard.store.objects import Objects
from sgbench.leaderboard.store.predictions import MAX_PREDICTION_BYTES, parse_predictions
from sgbench.leaderboard.store.reading import Finding, Layout, by_cause
from sgbench.leaderboard.store.sources import method_of_row
from sgbench.leaderboard.store.stored import StoredRecords, record_path
from sgbench.leaderboard.store.tree import RecordTree, candidates
from sgbench.paths import PREDICTIONS, RECORD, default_runs_dir
from sgbench.plots.board import board_figure
from sgbench.plots.style import Drawn
from sgbench.records.files import read_bytes
from sgbench.records.method import by_method
from sgbench.records.record import RunRecord
from sgbench.tables import few
from sgbench.tables.shown import ShownTable, data_frame
from sgbench.tables.table import Table, plain_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def explain_two(a: str, b: str, *, tree: RecordTree) -> Explanation:
    """Explain which of two methods is better, how sure that is, and at what cost.

    `a`: id, beginning of an id, label or surrogate of one method. `b`: id, beginning of an id, label or surrogate of
    the other method. `tree`: the records; where several of its boards have both methods, it must be limited to one.
    """
    protocol = tree.only or _protocol_of(a, b, tree)
    boards = show(replace(tree, only=protocol))
    if not boards.boards:
        raise InputError(f"{tree.root / protocol}: no valid record")
    (board,) = boards.boards
    protocol = board.protocol.name  # the whole name, also if its beginning was given
    rows = find_row(board, a), find_row(board, b)
    no_samples = why_no_samples(tree.references.of(protocol))
    with_predictions = () if no_samples or tree.layout == "registry" else rows
    hits = {row.method_id: stored for row in with_predictions if (stored := _hits(tree, protocol, row))}
    return explain_rows(board, *rows, hits=hits, no_samples=no_samples)


def _protocol_of(a: str, b: str, tree: RecordTree) -> str:
    """Return the one protocol whose board has both methods; InputError if none or several have."""
    names = protocols_of(tree)
    if len(names) == 1:
        return names[0]
    if tree.layout != "leaderboards":  # whose records take half a minute to read
        boards = show(tree).boards
        names = [board.protocol.name for board in boards if _has(board, a) and _has(board, b)]
        if not names:
            raise InputError(f"no board of {tree.root} has both '{a}' and '{b}'; sgbench board show names methods")
    if len(names) > 1:
        raise InputError(f"name a board with --protocol (in Python protocol=...): one of {', '.join(names)}")
    return names[0]


def _has(board: Board, name: str) -> bool:
    try:
        find_row(board, name)
    except InputError:
        return False
    return True


def _hits(tree: RecordTree, protocol: str, row: MethodRow) -> Hits:
    """Map each finished seed with stored predictions to whether each test sample is right [samples]."""
    folder = tree.root / protocol
    objects, stored = Objects(folder), StoredRecords(folder)
    hits = {}
    for seed in sorted(row.finished):
        if tree.layout == "leaderboards":
            path = record_path(folder, row.method_id, seed)
            record = stored.record(row.method_id, seed)
            sha256 = None if record is None else record.predictions_sha256
            data = None if sha256 is None else objects.get(sha256, "csv")
        else:
            path = folder / method_of_row(row.method_id) / str(seed) / RECORD
            table = path.with_name(PREDICTIONS)
            data = read_bytes(table, limit=MAX_PREDICTION_BYTES) if table.is_file() else None
        if data is not None:
            hits[seed] = parse_predictions(data, str(path)).hits
    return hits


LEADERBOARDS = Path("leaderboards")
FEW = 3  # protocols that are named
COLUMNS = ("protocol", "method", "method_id", "seed", "status", "validation", "test")


class Records(ShownTable, Sequence[RunRecord]):
    """Holds the records of a folder, as a sequence, and why other files were left out.

    Args:
        records: the records, sorted by protocol, method id and seed.
        left_out: one line for each file that is not a valid record.
    """

    def __init__(self, records: Sequence[RunRecord], left_out: Sequence[str]) -> None:
        self.records = tuple(records)
        self.left_out = tuple(left_out)

    @overload
    def __getitem__(self, index: int) -> RunRecord: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[RunRecord, ...]: ...

    def __getitem__(self, index: int | slice) -> RunRecord | tuple[RunRecord, ...]:
        return self.records[index]

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        names = sorted({record.protocol for record in self.records})
        of = ", ".join(names) if len(names) <= FEW else f"{len(names)} protocols"
        more = f"; {len(self.left_out)} files left out" if self.left_out else ""
        return f"{len(self)} records of {of or 'no protocol'}{more}"

    __str__ = __repr__

    def table(self) -> Table:
        """Make the table of the records with their scores."""
        return plain_table("Records", [COLUMNS, *map(_cells, self.records)], text_columns=len(COLUMNS))

    def table_notes(self) -> tuple[str, ...]:
        """Return one line for each file that is not a valid record."""
        return self.left_out

    def to_pandas(self) -> Any:
        """Make a DataFrame with a row for each record and the columns of `sgbench board export`.

        Raises:
            InputError: pandas is not installed.
        """
        table = to_table(by_method(self.records).values())
        return data_frame(list(table), list(zip(*table.values(), strict=True)))


def _cells(record: RunRecord) -> tuple[str, ...]:
    """List the cells of a record's row, in the order of COLUMNS."""
    scores = (
        "" if score is None else f"{score.loss:.4g}" if score.accuracy is None else f"{100 * score.accuracy:.2f} %"
        for score in (record.validation, record.test)
    )
    method = record.method.label
    return (record.protocol, method, record.method_id, str(record.seed), record.status, *scores)


def load_records(root: Path | str | None = None, *, layout: Layout = "runs") -> Records:
    """Read and check the records of a folder, including those that deviate from their protocol.

    The example has what that of `run` has trained:

    >>> records = load_records()  # doctest: +SKIP
    >>> len(records), records[0].protocol  # doctest: +SKIP
    (1, 'digits_v1')

    Args:
        root: a runs or leaderboards folder; None takes the default one.
        layout: "runs" or "leaderboards", the kind of folder.

    Returns:
        The records as a sequence, sorted by protocol, method and seed; `left_out` says which files are none.

    Raises:
        InputError: there is no such folder.
    """
    files, findings = candidates(_folder_or_default(root, layout), layout=layout)
    records, left_out = [], []
    for file in files:
        try:
            records.append(file.read())
        except InputError as error:
            left_out.append(str(error))
    records.sort(key=lambda record: (record.protocol, record.method_id, record.seed))
    return Records(records, [*map(str, findings), *left_out])


class BoardTable(Drawn, ShownTable):
    """Holds a board: rank, score with interval, and costs of each method; print() writes it as Markdown.

    Args:
        board: the board.
        findings: the records left out and why; `left_out` has one line for each.
    """

    def __init__(self, board: Board, findings: Sequence[Finding] = ()) -> None:
        self.board = board
        self.left_out = tuple(map(str, findings))
        self._causes = by_cause(findings)

    def __str__(self) -> str:
        left_out = [f"left out: {line}" for line in few(self._causes, "the attribute left_out has all")]
        return "\n".join([brief_markdown(self.board).rstrip("\n"), *([""] if left_out else []), *left_out])

    def table(self) -> Table:
        """Make the table of the board, as `sgbench board show` prints it."""
        return brief_table(self.board)

    def table_notes(self) -> tuple[str, ...]:
        """Return why records were left out, each cause once."""
        return tuple(self._causes)

    def to_pandas(self) -> Any:
        """Make a DataFrame with a row for each method: its rank and letters, score, seeds, costs and energies [nJ].

        Raises:
            InputError: pandas is not installed.
        """
        rows = [_row_values(row) for row in self.board.shown]
        return data_frame(list(rows[0]) if rows else [], [list(row.values()) for row in rows])

    def figure(self) -> Figure:
        return board_figure(picture_of(self.board))


def _row_values(row: MethodRow) -> dict[str, object]:
    """Map the columns of `BoardTable.to_pandas` to the values of a row; None for what it has not."""
    energies = {name: energy.dynamic_nj for name, energy in row.costs.energies.items()}
    return {
        "rank_low": None if row.rank is None else row.rank.low,
        "rank_high": None if row.rank is None else row.rank.high,
        "alike": "" if row.rank is None else row.rank.groups,
        "method": row.label,
        "method_id": row.method_id,
        "score": row.score.mean,
        "low": row.score.low,
        "high": row.score.high,
        "seeds": len(row.scores),
        "spikes": row.costs.spikes.value,
        "synaptic_operations": row.costs.synaptic_operations.value,
        **{f"{name}_nj": None if energy is None else energy.value for name, energy in energies.items()},
    }


def board(
    protocol: str | None = None,
    *,
    root: Path | str | None = None,
    layout: Layout = "runs",
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
) -> BoardTable:
    """Make the board of one protocol from records, in memory.

    >>> table = board("digits_v1", layout="registry")
    >>> first = table.board.rows[0]
    >>> f"{first.label}: {100 * first.score.mean:.1f} %"
    'exponential(width_fwhm=1): 93.9 %'

    Args:
        protocol: name of the board's protocol; not needed if there are records of only one.
        root: a runs or leaderboards folder; None takes the default one.
        layout: "runs" or "leaderboards", the kind of folder, or "registry": the boards shipped with the package.
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.

    Returns:
        The board, which prints itself; `plot()` draws it, `to_latex` and `to_pandas` make tables of it.

    Raises:
        InputError: there is no such folder or protocol, or the protocol has no comparable record.
    """
    references = References([Path(config_dir) for config_dir in config_dirs], allow_targets)
    tree = _record_tree(root, layout, references)
    names = protocols_of(tree)
    chosen = protocol or (names[0] if len(names) == 1 else None)
    if chosen not in names:
        raise InputError(f"board: protocol '{chosen}' has no records in {tree.root}; {suggest(str(chosen), names)}")
    boards = show(replace(tree, only=chosen))
    if not boards.boards:
        causes = by_cause(boards.findings)
        raise InputError(
            f"board: {chosen} has no comparable record; {causes[0] if causes else 'none of a seed that reports'}"
        )
    return BoardTable(boards.boards[0], boards.findings)


class Sentences(str, ShownTable):
    """Is an explanation, one sentence on each line; `explanation` has its numbers."""

    explanation: Explanation
    __slots__ = ("explanation",)
    __repr__ = ShownTable.__repr__

    def table(self) -> Table:
        return plain_table("Two methods", self.explanation.table, text_columns=1)

    def table_notes(self) -> tuple[str, ...]:
        return self.explanation.short


def explain(
    a: str,
    b: str,
    *,
    protocol: str | None = None,
    root: Path | str | None = None,
    layout: Layout = "runs",
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
) -> Sentences:
    """Explain in sentences which of two methods of a board is better, how sure that is, and at what cost.

    >>> print(explain("atan", "zero", protocol="digits_v1", layout="registry"))
    A is atan(width_fwhm=1) (a04bca376b8a), B is zero(normalisation=raw) (a0573f8f0031), both on digits_v1.
    ...
    A is better than B: A minus B is 54.00 points (95 % interval 43.82 to 64.18), ...

    Args:
        a: id, beginning of an id, or surrogate of the first method.
        b: id, beginning of an id, or surrogate of the second method.
        protocol: name of the board's protocol; not needed if there are records of only one.
        root: a runs or leaderboards folder; None takes the default one.
        layout: "runs" or "leaderboards", the kind of folder, or "registry": the boards shipped with the package.
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.

    Returns:
        The sentences, which print themselves; a notebook shows the numbers side by side.

    Raises:
        InputError: no such method, or a protocol has to be named.
    """
    references = References([Path(config_dir) for config_dir in config_dirs], allow_targets)
    explanation = explain_two(a, b, tree=replace(_record_tree(root, layout, references), only=protocol))
    text = Sentences("\n".join(explanation.sentences))
    text.explanation = explanation
    return text


def _record_tree(root: Path | str | None, layout: Layout, references: References) -> RecordTree:
    """Return the object that reads boards: from a folder of records, or from those shipped with the package."""
    source = (_folder_or_default(root, layout), layout) if root is not None or layout != "registry" else installed()
    return RecordTree(*source, references)


def _folder_or_default(root: Path | str | None, layout: Layout) -> Path:
    if root is not None:
        return Path(root)
    return default_runs_dir() if layout == "runs" else LEADERBOARDS
