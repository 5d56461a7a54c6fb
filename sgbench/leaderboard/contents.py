"""Read the contents of boards, from records or from a registry: measured methods and their provenance."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sgbench.energy.price import load_targets
from sgbench.errors import InputError, suggest
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.processes import in_processes, workers_for
from sgbench.leaderboard.rows import Measured, measure
from sgbench.leaderboard.shipped import BoardContent, ShippedBoards, read_shipped
from sgbench.leaderboard.store.audits import AUDIT, claim_problems
from sgbench.leaderboard.store.method_provenance import read_provenances, without_other_scores
from sgbench.leaderboard.store.outside import EXTERNAL, read_outsiders
from sgbench.leaderboard.store.reading import Finding, Layout, RecordFile
from sgbench.leaderboard.store.tree import RecordTree, read_files
from sgbench.records.energy import EnergyTarget

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
    for found in contents.findings:
        raise InputError(f"{found}; 'sgbench board check' names all")
    return ShippedBoards(commit, created_utc, contents.boards, release)


def protocols_of(tree: RecordTree) -> list[str]:
    if tree.layout != "registry":
        return tree.protocols()
    names = sorted(read_shipped(tree.root).boards)
    if tree.only is not None and tree.only not in names:
        raise InputError(f"{tree.root} has no protocol '{tree.only}'; {suggest(tree.only, names)}")
    return names if tree.only is None else [tree.only]


def _with_outsiders(tree: RecordTree) -> Iterator[str]:
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
