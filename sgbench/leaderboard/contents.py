"""The contents of boards, read from records in several processes or from the file shipped with the package."""

import gc
import lzma
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from sgbench.energy.price import load_targets
from sgbench.errors import InputError, StorageError, one_printable_line, suggest
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.rows import Measured, measure
from sgbench.leaderboard.store.audits import AUDIT, claim_problems
from sgbench.leaderboard.store.method_provenance import MethodProvenance, read_provenances, without_other_scores
from sgbench.leaderboard.store.outside import EXTERNAL, Outsider, read_outsiders
from sgbench.leaderboard.store.reading import Finding, Layout, RecordFile
from sgbench.leaderboard.store.tree import RecordTree, read_files
from sgbench.paths import conf_dir, processors
from sgbench.records.energy import EnergyTarget
from sgbench.records.files import first_problem, read_bytes, unpacked

Part = TypeVar("Part")
Result = TypeVar("Result")


def workers_for(count: int, *, many: int) -> int:
    """Return how many processes to use for `count` items: one below `many` items, or where none can be forked."""
    return processors() if count >= many and sys.platform == "linux" else 1


def in_processes(
    work: Callable[[Part], Iterable[Result]],
    parts: Sequence[Part],
    *,
    workers: int,
    meanwhile: Callable[[], object] | None = None,
) -> Iterator[tuple[int, Result]]:
    """Yield (index of the part, result) for all parts: in any order, or in that of parts with one process.

    Processes are forked: they share this one's memory, and start faster than a new interpreter. A process continues
    only when its result was received, so that few results wait in memory.

    `work`: function from a part to its results, which must be picklable. `parts`: parts of the work. `workers`: count
    of processes; 1 means that this process does the work itself. `meanwhile`: called by this process once the others
    have started; not called without others.
    """
    if workers < 2 or len(parts) < workers:  # noqa: PLR2004 - one process is this one
        for number, part in enumerate(parts):
            yield from ((number, result) for result in work(part))
        return
    context = multiprocessing.get_context("fork")
    numbered = list(enumerate(parts))
    receivers: list[Any] = []  # ends of pipes, whose class depends on the platform
    processes = []
    for first in range(workers):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(sender, numbered[first::workers], work), daemon=True)
        process.start()
        sender.close()
        receivers.append(receiver)
        processes.append(process)
    try:
        if meanwhile is not None:  # after the start of the others, so that they do not copy its memory
            meanwhile()
        yield from _receive(receivers)
    finally:
        for process in processes:
            process.terminate()  # no effect on a process that is done
            process.join()


def _receive(receivers: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Yield (index of a part, result) from the pipes of all processes until all are done; raise an error sent."""
    unfinished = list(receivers)
    while unfinished:
        ready: list[Any] = wait(unfinished)
        for receiver in ready:
            try:
                message = receiver.recv()
            except EOFError:
                raise StorageError("a process of the board was ended; run it again with more memory free") from None
            if isinstance(message, Exception):
                raise message
            if message is None:  # its process has done its parts
                unfinished.remove(receiver)
            else:
                yield message


def _work(sender: Any, parts: Sequence[tuple[int, Any]], work: Callable[[Any], Iterable[Any]]) -> None:
    """Send (index of a part, result) for each result of these parts, then None; an error is sent and ends the work."""
    gc.disable()  # the process is short-lived, and a collection would copy the memory that it shares
    try:
        for number, part in parts:
            for result in work(part):
                sender.send((number, result))
        sender.send(None)
    except Exception as error:
        sender.send(error)


FILE = "registry.json.xz"
MAX_BYTES = 16 * 1024**2
REMEDY = "replace it by a release with 'sgbench board update', or remove it"


@dataclass(frozen=True)
class BoardContent:
    """Holds what the board of one protocol is made of."""

    measured: tuple[Measured, ...]
    provenances: Mapping[str, MethodProvenance] = field(default_factory=dict)
    """Maps ids of methods to what is known of their submission and verification."""
    outsiders: tuple[Outsider, ...] = ()

    def provenance(self, method_id: str) -> MethodProvenance:
        """Return a method's provenance, empty if nothing is known."""
        return self.provenances.get(method_id, MethodProvenance())


@dataclass(frozen=True)
class ShippedBoards:
    """Holds the contents of all boards by protocol, with the commit of their records and its time."""

    commit: str
    created_utc: str
    boards: dict[str, BoardContent]
    release: str = ""
    """Name of the release that it was taken from; empty for the registry that came with the package."""

    def __str__(self) -> str:
        name = f"release {self.release}" if self.release else "the boards that came with sgbench"
        return f"{name}, {self.created_utc[:10]}, commit {self.commit[:12]}"


@cache
def _adapter() -> TypeAdapter[ShippedBoards]:
    return TypeAdapter(ShippedBoards)


def pack(registry: ShippedBoards) -> bytes:
    """Encode a registry as compressed JSON; equal registries give equal bytes."""
    return lzma.compress(_adapter().dump_json(registry), preset=9 | lzma.PRESET_EXTREME)


def read_shipped(path: Path) -> ShippedBoards:
    """Read a registry and check each of its values."""
    try:
        return _adapter().validate_json(unpacked(path, read_bytes(path, limit=MAX_BYTES)))
    except ValidationError as error:
        raise InputError(f"{path}: is no registry: {first_problem(error)}; {REMEDY}") from error


def updated_path() -> Path:
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return Path(os.environ.get("SGBENCH_REGISTRY") or data / "sgbench" / FILE)


def installed() -> tuple[Path, Layout]:
    """Return path and layout of the boards that are used when no folder is named.

    These are the newest of the installed and the shipped registry, or the leaderboards folder of a checkout. An
    installed one that cannot be read, since it is damaged or of a newer version, is passed over with a line on
    standard error.
    """
    shipped = Path(__file__).resolve().parent.parent / FILE
    checkout = conf_dir().parent / "leaderboards"
    dates = {shipped: read_shipped(shipped).created_utc} if shipped.is_file() else {}
    updated = updated_path()
    if updated.is_file():
        try:  # it stands first, so that it is taken of two with one date
            dates = {updated: read_shipped(updated).created_utc, **dates}
        except InputError as error:
            sys.stderr.write(f"sgbench: passed over: {one_printable_line(error)}\n")
    if dates:
        return max(dates, key=lambda path: dates[path]), "registry"
    if checkout.is_dir():
        return checkout, "leaderboards"
    raise InputError(f"{shipped}: no registry came with this package; install sgbench anew")


MANY = 1000
"""Fewest records that are read by several processes, which take time to start."""
SHARES = 8
"""Count of parts of the work for each process, so that all finish at about the same time."""


def measure_all(
    tree: RecordTree, *, targets: tuple[EnergyTarget, ...] = (), meanwhile: Callable[[], object] | None = None
) -> tuple[dict[str, list[Measured]], list[Finding]]:
    """Measure the methods of a tree; return them by protocol, and a finding for each file that was left out.

    `tree`: the records, none of which is trusted. `meanwhile`: called once in this process while worker processes read;
    not called if there are none.
    """
    files, findings = tree.candidates()
    depth = len(tree.root.parts)
    for name in dict.fromkeys(file.path.parts[depth] for file in files):
        with suppress(InputError):  # repeated for each of its records
            tree.references.of(name)  # composed once, before processes are forked
    measured: dict[str, list[Measured]] = {}
    workers = workers_for(len(files), many=MANY)
    parts = shares(files, tree.layout, workers * SHARES) if workers > 1 else [files]
    work = partial(_results, tree=tree, targets=targets)
    results = in_processes(work, parts, workers=workers, meanwhile=meanwhile)
    for _, result in sorted(results, key=lambda numbered: numbered[0]):  # by the index of their part
        if isinstance(result, Finding):
            findings.append(result)
        else:
            protocol, method = result
            measured.setdefault(protocol, []).append(method)
    return measured, findings


def shares(files: Sequence[RecordFile], layout: Layout, count: int) -> list[list[RecordFile]]:
    """Divide records into parts of about equal size, without dividing a method."""
    size = -(-len(files) // count)
    parts: list[list[RecordFile]] = [[]]
    last_method = None
    for file in files:
        method = file.path.parent if layout == "leaderboards" else file.path.parent.parent
        if len(parts[-1]) >= size and method != last_method:
            parts.append([])
        parts[-1].append(file)
        last_method = method
    return parts


def _results(
    files: Sequence[RecordFile], *, tree: RecordTree, targets: tuple[EnergyTarget, ...]
) -> Iterator[tuple[str, Measured] | Finding]:
    """Yield the protocol and measured scores of each row, or why it cannot be read."""
    for row in read_files(files, tree):
        if isinstance(row, Finding):
            yield row
            continue
        reference = tree.references.of(row.records[0].protocol)
        _ = reference.measure  # raises if the score of guessing is unknown
        result = measure(
            row.records,
            row_id=row.row_id,
            classes=reference.classes,
            guess_loss=reference.guess_loss,
            guess_accuracy=reference.guess_accuracy,
            targets=targets,
            dt_s=reference.protocol.dt_s,
        )
        yield reference.protocol.name, result


@dataclass(frozen=True)
class BoardContents:
    """Holds the contents of each protocol's board, and a finding for each file that was left out."""

    boards: dict[str, BoardContent]
    findings: list[Finding]

    def ranked(self) -> dict[str, list[Measured]]:
        """Map each protocol to the methods that its board ranks: not withdrawn, no check failed or missing."""
        return {name: list(_ranked(content)) for name, content in self.boards.items()}


def contents_of(
    tree: RecordTree, *, targets: tuple[EnergyTarget, ...] = (), meanwhile: Callable[[], object] | None = None
) -> BoardContents:
    """Read the contents of the boards of a tree.

    `tree`: the records; or a registry, whose energies were computed when it was made. `targets`: energy targets on
    which methods are priced. `meanwhile`: called by this process while other processes read a large tree.
    """
    if tree.layout == "registry":
        boards = read_shipped(tree.root).boards
        return BoardContents({name: boards[name] for name in protocols_of(tree)}, [])
    measured, findings = measure_all(tree, targets=targets, meanwhile=meanwhile)
    boards = {}
    for name in sorted({*measured, *_with_outsiders(tree)}):
        boards[name], left_out = _content(tree, name, measured.get(name, []))
        findings += left_out
    return BoardContents(boards, findings)


def make_shipped(root: Path, *, commit: str, created_utc: str, release: str = "") -> ShippedBoards:
    """Make the registry of a leaderboards folder: the contents of its boards, priced on the targets that they show.

    `commit`: the git commit that the folder is taken from; `created_utc`: time of that commit.
    """
    references = References()
    lists = load_targets(references.config_dirs, everything=True)
    targets = tuple(lists[name] for name in sorted(lists) if lists[name].on_boards)
    contents = contents_of(RecordTree(root, "leaderboards", references), targets=targets)
    if contents.findings:
        raise InputError(f"{contents.findings[0]}; 'sgbench board check' names all")
    return ShippedBoards(commit, created_utc, contents.boards, release)


def protocols_of(tree: RecordTree) -> list[str]:
    """Name the protocols that a tree has records of."""
    if tree.layout != "registry":
        return tree.protocols()
    names = sorted(read_shipped(tree.root).boards)
    if tree.only is not None and tree.only not in names:
        raise InputError(f"{tree.root} has no protocol '{tree.only}'; {suggest(tree.only, names)}")
    return names if tree.only is None else [tree.only]


def _with_outsiders(tree: RecordTree) -> Iterator[str]:
    """Yield the protocols of a leaderboards folder that have results of outside code, perhaps without any method."""
    if tree.layout == "leaderboards":
        for name in tree.protocols():
            if (tree.root / name / EXTERNAL).is_dir() and not (tree.root / name).is_symlink():
                yield name


def _content(tree: RecordTree, name: str, measured: list[Measured]) -> tuple[BoardContent, list[Finding]]:
    """Add to a protocol's measured methods what a leaderboards folder knows of them.

    Return the content of its board, with submissions, verifications and results of outside code, and a finding for
    each unusable file. A runs folder has none of these.
    """
    content = BoardContent(tuple(measured))
    if tree.layout == "runs":
        return content, []
    folder = tree.root / name
    try:
        measure = tree.references.of(name).measure
    except InputError:  # repeated when its board is made
        return content, []
    provenances = without_other_scores(read_provenances(folder), folder, measure)
    outsiders, left_out = read_outsiders(folder, provenances, measure=measure)
    scores = {method.method_id: method.scores for method in measured}
    known = {*scores, *(outsider.method_id for outsider in outsiders)}
    findings = [*provenances.findings, *left_out]
    findings += [
        Finding(str(folder), f"speaks of method {method}, of which there is no record")
        for method in provenances.by_method
        if method not in known
    ]
    if provenances.audit is not None:
        findings += claim_problems(provenances.audit, scores, folder / AUDIT)
    return BoardContent(tuple(measured), dict(provenances.by_method), outsiders), findings


def _ranked(content: BoardContent) -> Iterator[Measured]:
    for method in content.measured:
        provenance = content.provenance(method.method_id)
        finished = method.scores.keys() - set(method.failed_seeds)
        if provenance.notice is None and not provenance.is_claimed(finished):
            yield method
