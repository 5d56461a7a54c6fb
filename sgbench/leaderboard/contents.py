"""Read the contents of boards, from records or from a registry: measured methods and their provenance."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sgbench.energy.price import load_targets
from sgbench.errors import InputError, suggest
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.measuring import measure_all
from sgbench.leaderboard.rows import Measured
from sgbench.leaderboard.shipped import BoardContent, ShippedBoards, read_shipped
from sgbench.leaderboard.store.audits import AUDIT, claim_problems
from sgbench.leaderboard.store.method_provenance import read_provenances, without_other_scores
from sgbench.leaderboard.store.outside import EXTERNAL, read_outsiders
from sgbench.leaderboard.store.reading import Finding
from sgbench.leaderboard.store.tree import RecordTree
from sgbench.records.energy import EnergyTarget


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
