"""Build boards from a tree of records, write them, and check stored ones."""

import importlib
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from sgbench.energy.price import load_targets
from sgbench.errors import InputError, SgbenchError, StorageError
from sgbench.leaderboard.contents import BoardContent, contents_of, workers_for
from sgbench.leaderboard.deviation import ProtocolReference, References
from sgbench.leaderboard.division import division_of
from sgbench.leaderboard.pages.picture import stale
from sgbench.leaderboard.pages.table import to_csv, to_markdown
from sgbench.leaderboard.rows import Board, Listing, Measured, board_of
from sgbench.leaderboard.store.integrity import forged_verifications, hidden_files, lost_files
from sgbench.leaderboard.store.method_provenance import Provenances, read_provenances
from sgbench.leaderboard.store.objects import Objects
from sgbench.leaderboard.store.outside import EXTERNAL
from sgbench.leaderboard.store.reading import Finding, finding
from sgbench.leaderboard.store.tree import RecordTree, protocols
from sgbench.records.energy import EnergyTarget
from sgbench.records.files import MAX_BYTES, read_bytes, write_atomic

TABLE, VALUES, PICTURE = "table.md", "table.csv", "board.png"
DEFAULT_ROOT = Path("leaderboards")
MANY_ROWS = 200  # boards with as many methods are drawn in a process of their own


@dataclass(frozen=True)
class Boards:
    """Holds the boards of a tree of records, and the files that were left out."""

    boards: tuple[Board, ...]
    findings: tuple[Finding, ...]
    measured: Mapping[str, Sequence[Measured]]  # maps each protocol to all its methods, also without a board


@dataclass(frozen=True)
class Built:
    """Counts the methods and records of a board that was written, and lists its files."""

    protocol: str
    methods: int
    records: int
    outside: int  # results of code outside the catalogue
    files: tuple[str, ...]


def show(tree: RecordTree, *, meanwhile: Callable[[], object] | None = None) -> Boards:
    """Make the boards of a tree in memory; `meanwhile` is called while other processes read a large tree."""
    lists = load_targets(tree.references.config_dirs, everything=True)
    price_lists = tuple(lists[name] for name in sorted(lists))
    targets = tuple(price_list for price_list in price_lists if price_list.on_boards)
    contents = contents_of(tree, targets=targets, meanwhile=meanwhile)
    findings, boards = contents.findings, []
    for name, content in contents.boards.items():
        try:
            reference = tree.references.of(name)
            _ = reference.measure  # raises if the score of guessing is unknown
        except InputError as error:
            findings.append(finding(tree.root / name / EXTERNAL, error))
            continue
        board = _board(content, reference, price_lists, is_stored=tree.layout != "runs")
        if content.measured or board.outsiders:
            boards.append(board)
    measured = {name: content.measured for name, content in contents.boards.items()}
    return Boards(tuple(boards), tuple(sorted(findings, key=lambda problem: problem.path)), measured)


def _board(
    content: BoardContent, reference: ProtocolReference, price_lists: tuple[EnergyTarget, ...], *, is_stored: bool
) -> Board:
    """Rank the methods of one protocol.

    If `is_stored`, the board is one of a leaderboards folder, on which a method's provenance decides whether it is
    ranked. Boards of a runs folder rank every method.
    """
    listings = {
        method.method_id: Listing(division_of(method.method, reference), content.provenance(method.method_id))
        for method in content.measured
    }
    return board_of(
        content.measured,
        protocol=reference.protocol,
        targets=[price_list for price_list in price_lists if price_list.on_boards],
        classes=reference.classes,
        score=reference.measure,
        price_lists=price_lists,
        in_time=reference.facts.in_time,
        is_data_accepted=reference.facts.is_accepted,
        listings=listings if is_stored else {},
        outsiders=content.outsiders,
    )


def build(tree: RecordTree) -> tuple[list[Built], tuple[Finding, ...]]:
    """Write table.md, table.csv and board.png of each protocol of a tree into <root>/<protocol>/.

    Return a summary of each written board, and a finding for each record that was left out.
    """
    boards = show(tree, meanwhile=_load_drawing)  # imported while other processes read the records
    if not boards.boards and not boards.findings:
        remedy = "make one with 'sgbench run'" if tree.layout == "runs" else "add some with 'sgbench board add'"
        raise InputError(f"{tree.root}: no record of a seed that reports; {remedy}, or name a folder with --root")
    is_large = any(len(board.rows) >= MANY_ROWS for board in boards.boards)
    can_fork = workers_for(MANY_ROWS, many=MANY_ROWS) > 1  # whether several processes can run side by side
    with _drawing_executor(in_process=is_large and can_fork) as executor:
        return [_write(board, tree, executor) for board in boards.boards], boards.findings


def _load_drawing() -> None:
    importlib.import_module("sgbench.leaderboard.pages.picture").load()


def _drawing_executor(*, in_process: bool) -> Executor:
    return ProcessPoolExecutor(1, mp_context=get_context("fork")) if in_process else ThreadPoolExecutor(1)


def _write(board: Board, tree: RecordTree, executor: Executor) -> Built:
    """Write the files of one board, and remove its picture if it has no row; `executor` draws meanwhile."""
    folder = tree.root / board.protocol.name
    values = to_csv(board)
    drawing = _begin_picture(board, values, executor) if board.rows else None
    text = to_markdown(board, layout=tree.layout, indexed=tree.indexed_rows(board.protocol.name))
    contents = {TABLE: text.encode(), VALUES: values.encode()}
    if drawing is None:
        _remove(folder / PICTURE)
    else:
        contents[PICTURE] = _wait_for_picture(drawing)
    for name, data in contents.items():
        write_atomic(folder / name, data)
    shown = (*board.shown, *board.retired)
    return Built(
        protocol=board.protocol.name,
        methods=len(shown),
        records=sum(len(row.scores) for row in shown),
        outside=len(board.outsiders),
        files=tuple(str(folder / name) for name in contents),
    )


def _begin_picture(board: Board, values: str, executor: Executor) -> Future[bytes]:
    from sgbench.leaderboard.pages.picture import picture_of, png

    return executor.submit(png, picture_of(board), table_csv=values)


def _wait_for_picture(drawing: Future[bytes]) -> bytes:
    try:
        return drawing.result()
    except BrokenExecutor as error:
        raise SgbenchError("the process that draws pictures was ended; is there too little memory?") from error


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path} cannot be removed: {error.strerror}; it shows no row of the board") from error


def check(root: Path, *, references: References) -> tuple[list[str], tuple[Finding, ...]]:
    """Rebuild every board of a leaderboards folder in memory and compare it with the stored one.

    Return the names of the protocols that have a board, and a finding for each problem.

    A table that differs in one byte from the rebuilt one is a finding. A picture is compared by the digests of its
    table and its pixels inside it, since its bytes depend on the version of the drawing library. Every file of an
    accepted submission must be stored unchanged.
    """
    tree = RecordTree(root, "leaderboards", references)
    boards = show(tree)
    findings = list(boards.findings)
    for board in boards.boards:
        findings += _stale_files(board, tree)
    names = [board.protocol.name for board in boards.boards]
    for name in protocols(root, layout="leaderboards"):
        folder = root / name
        findings += Objects(folder).check()
        provenances = read_provenances(folder)
        findings += lost_files(folder, provenances)
        findings += hidden_files(folder)
        findings += _forged(name, provenances, boards, tree)
        if name not in names:
            findings += provenances.findings
            findings += [
                Finding(str(folder / file), "has no valid record behind it")
                for file in (TABLE, VALUES, PICTURE)
                if (folder / file).exists()
            ]
    return names, tuple(findings)


def _forged(name: str, provenances: Provenances, boards: Boards, tree: RecordTree) -> Iterable[Finding]:
    """List a finding for each verification that disagrees with the board's records and files.

    `name`: the protocol's; of one that the catalogue lacks nothing is listed.
    """
    scores = {  # of finished seeds, by method id
        method.method_id: {seed: score for seed, score in method.scores.items() if seed not in method.failed_seeds}
        for method in boards.measured.get(name, ())
    }
    for board in boards.boards:
        if board.protocol.name == name:
            scores |= {
                outsider.method_id: {
                    seed: score for seed, score in outsider.scores.items() if seed not in outsider.failed_seeds
                }
                for outsider in board.outsiders
            }
    with suppress(InputError):  # told where its board is made
        return list(forged_verifications(tree.root / name, provenances, scores, tree.references.of(name)))
    return ()


def _stale_files(board: Board, tree: RecordTree) -> Iterable[Finding]:
    """Yield a finding for each stored file of a board that differs from what the records give."""
    root, folder = tree.root, tree.root / board.protocol.name
    values = to_csv(board)
    page = to_markdown(board, layout=tree.layout, indexed=tree.indexed_rows(board.protocol.name))
    texts = {TABLE: page, VALUES: values}
    for name, text in texts.items():
        reason = _difference(folder / name, text.encode())
        if reason is not None:
            yield Finding(str(folder / name), f"{reason}; {rebuild(root)}")
    path = folder / PICTURE
    if board.rows:
        reason = stale(path, table_csv=values)
    else:
        reason = "shows a board without rows" if path.exists() or path.is_symlink() else None
    if reason is not None:
        yield Finding(str(path), f"{reason}; {rebuild(root)}")


def rebuild(root: Path) -> str:
    """Write the command that rebuilds the boards of a leaderboards folder.

    >>> rebuild(Path("leaderboards")), rebuild(Path("my boards"))[-18:]
    ('rebuild with: sgbench board build --from leaderboards', "--root 'my boards'")
    """
    option = "" if root == DEFAULT_ROOT else f" --root {shlex.quote(str(root))}"
    return f"rebuild with: sgbench board build --from leaderboards{option}"


def _difference(path: Path, expected: bytes) -> str | None:
    """Explain why a file does not hold the expected bytes; None if it does."""
    try:
        stored = read_bytes(path, limit=max(MAX_BYTES, len(expected)))  # tables may be larger than records
        return None if stored == expected else "is not what the records give"
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
