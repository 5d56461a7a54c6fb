"""Write the report that a study's analysis makes, or say which of its pages are stale: same store, same bytes."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sgbench.errors import InputError
from sgbench.plots.chart import CHARTS, Charts, charts_json
from sgbench.records.files import read_bytes, write_atomic
from sgbench.study_runner.definition import Loaded
from sgbench.study_runner.scores import StudyScores, read_scores, read_settled
from sgbench.study_runner.status import states_of
from sgbench.study_runner.store import Store, StoreEntry
from study.reporting.analysis import STUDIES, function_of
from study.reporting.evidence import RunFacts, StudyEvidence
from study.reporting.pages import extension
from study.reporting.pages.text import StudyPage
from study.reporting.registration import (
    Checkout,
    Departure,
    Registration,
    deviations,
    find_registration,
    require_registered,
)

KEYWORD = "Description"
"""Under which a picture carries the hash of its numbers."""
UNVERIFIED = (
    "> **Not verified.** This report was written without a checkout, so nobody has compared the commits of its "
    "records with the registration's."
)
MAX_PICTURE_BYTES = 20 * 1024**2
PAGES = {"surrogates": "study"}
"""By study, the folder in `docs` of its pages where that has another name than the study."""


@dataclass(frozen=True)
class Passage:
    """Describes a passage of a document that people write, between two comments that name the study."""

    path: str  # of the document, from the checkout's root
    name: str
    text: str  # of the passage, Markdown
    kind: str = "study"

    def within(self, document: str) -> str:
        """Return the document with this passage inserted.

        >>> print(Passage("a.md", "toy", "new").within("<!-- study:toy -->old<!-- /study -->"))
        <!-- study:toy -->
        new
        <!-- /study -->
        """
        first, last = f"<!-- {self.kind}:{self.name} -->", f"<!-- /{self.kind} -->"
        before, _, rest = document.partition(first)
        old, _, after = rest.partition(last)
        if document.count(first) != 1 or last not in rest or "<!--" in old:
            raise InputError(f"{self.path}: one {first} with {last} behind it is needed")
        return f"{before}{first}\n{self.text}\n{last}{after}"

    def is_in(self, root: Path) -> bool:
        path = root / self.path
        if not path.is_file():
            raise InputError(f"{path}: is missing; the report has a passage of it")
        text = path.read_text(encoding="utf-8")
        return self.within(text) == text


@dataclass(frozen=True)
class Report:
    """Holds the pages of a report, the front page first, and what belongs beside the records and in documents."""

    pages: tuple[StudyPage, ...]  # in their order
    banner: str = ""  # a line that each of them carries on top
    # Bytes by the name of their file in the store's folder, computed from the records.
    beside: Mapping[str, bytes] = field(default_factory=dict)
    passages: tuple[Passage, ...] = ()  # of documents of the checkout
    reads: tuple[str, ...] = ()  # files of the checkout outside the study's folder that the analysis has read
    sources: bytes | None = None  # the list of all that was read and written; None for another's store

    def write_passages(self, root: Path | None) -> list[str]:
        """Write the passages that documents of a checkout have otherwise; return the documents' paths."""
        if root is None:
            return []
        stale = self.stale_passages(root)
        for passage in self.passages:
            if passage.path in stale:
                path = root / passage.path
                write_atomic(path, passage.within(path.read_text(encoding="utf-8")).encode())
        return stale

    def stale_passages(self, root: Path) -> list[str]:
        """List the documents of a checkout whose passage differs."""
        return [passage.path for passage in self.passages if not passage.is_in(root)]

    def write_beside(self, folder: Path) -> list[str]:
        stale = self.stale_beside(folder)
        for name in stale:
            write_atomic(folder / name, self.beside[name])
        return stale

    def stale_beside(self, folder: Path) -> list[str]:
        return [name for name, data in self.beside.items() if _bytes(folder / name) != data]

    @property
    def charts(self) -> dict[str, Charts]:
        return {name: charts for page in self.pages for name, charts in page.charts.items()}

    def write(self, folder: Path) -> list[str]:
        """Write the report's pages and pictures that are missing or differ; return their names."""
        from sgbench.plots import style

        stale = self.stale(folder)
        if CHARTS in stale:
            write_atomic(folder / CHARTS, charts_json(self.charts))
        if SOURCES in stale and self.sources is not None:
            write_atomic(folder / SOURCES, self.sources)
        for page in self.pages:
            if page.name in stale:
                write_atomic(folder / page.name, page.text(self.banner).encode())
            for picture in page.pictures:
                if picture.name in stale:
                    data = style.encode(picture.draw, ".png", texts={KEYWORD: picture.digest})
                    write_atomic(folder / picture.name, data)
        return stale

    def stale(self, folder: Path) -> list[str]:
        """List the report's pages and pictures that a folder lacks or has otherwise.

        A picture is compared by the numbers that it was drawn from: another release of a library for pictures may
        give other bytes.
        """
        names = [CHARTS] if self.charts and _bytes(folder / CHARTS) != charts_json(self.charts) else []
        names += [SOURCES] if self.sources is not None and _bytes(folder / SOURCES) != self.sources else []
        for page in self.pages:
            if _bytes(folder / page.name) != page.text(self.banner).encode():
                names.append(page.name)
            for picture in page.pictures:
                if f"{KEYWORD}\0{picture.digest}".encode() not in _bytes(folder / picture.name):
                    names.append(picture.name)
        return names

    def all_stale(self, to: Path, folder: Path, root: Path | None) -> list[Path]:
        """List all that differs: pages in their folder, files beside the records, documents of a checkout."""
        documents = [] if root is None else [root / name for name in self.stale_passages(root)]
        beside = [folder / name for name in self.stale_beside(folder)]
        return [*(to / name for name in self.stale(to)), *beside, *documents]


def pages_folder(name: str) -> Path:
    """Return where a study's pages lie in a checkout: a folder of its own, so that none overwrites another's.

    >>> pages_folder("chip").as_posix()
    'docs/chip'
    """
    return Path("docs") / PAGES.get(name, name)


def own_checkout(root: Path | None, store: Store) -> Path | None:
    """Return the checkout's root if the store is the one in it; None otherwise."""
    if root is None:
        return None
    return root if store.folder.resolve() == (root / STUDIES / store.study).resolve() else None


def _bytes(path: Path) -> bytes:
    return read_bytes(path, limit=MAX_PICTURE_BYTES) if path.is_file() else b""


@dataclass(frozen=True)
class ReportInput:
    """Holds all that an analysis makes its report of."""

    evidence: StudyEvidence  # of the store and the registration
    entries: Sequence[StoreEntry]  # the stored runs
    folder: Path
    root: Path | None  # of the checkout that was verified; None where none was

    @property
    def registration(self) -> str:
        """Return the name of the registration's file."""
        return Path(self.evidence.loaded.study.registration).name

    @property
    def stored_text(self) -> str:
        """Write how many of the planned runs of each block are stored."""
        scores = self.evidence.scores
        blocks = states_of(scores, list(scores.study.blocks))
        return "; ".join(f"{block.name}: {block.stored} of {block.runs}" for block in blocks)


def make_report(loaded: Loaded, store: Store, *, checkout: Checkout | None) -> Report:
    """Read a store and have the study's analysis write the report's pages in memory.

    A study that extends another one has the report of that one's analysis; where that has none, it has the pages of
    `pages.extension`.

    `store`: of its records. `checkout`: with the registration's commit; None: nothing is verified, and every page says
    so.
    """
    made_by = function_of(
        loaded,
        "report",
        otherwise=None
        if loaded.study.extends is None
        else lambda report_input: Report(extension.pages_of(report_input.evidence)),
    )
    report = made_by(gather(loaded, store, checkout=checkout))
    if checkout is None:
        return replace(report, banner=UNVERIFIED, passages=())
    root = own_checkout(checkout.folder, store)
    if root is None:
        return report
    written = {page.name: page.text().encode() for page in report.pages}
    read = sources_of(loaded, store.folder, root, report.reads, report.beside)
    return replace(report, sources=sources_json(read, written))


def gather(loaded: Loaded, store: Store, *, checkout: Checkout | None) -> ReportInput:
    """Read a store, and hold it against the registration where there is a checkout."""
    entries = list(store.entries())
    manifest = store.manifest()
    settled = read_settled(store.folder)
    registration: Registration | None = None
    if checkout is not None:
        registration = find_registration(loaded, checkout)
        if manifest is not None:
            require_registered(registration, checkout, manifest, entries)
    scores = read_scores(loaded.study, settled, entries)
    listed: Sequence[Departure] = ()
    if manifest is not None:
        listed = [*deviations(loaded, settled, manifest, entries, registration), *_not_run(scores)]
    evidence = StudyEvidence(
        loaded=loaded,
        scores=scores,
        facts=[RunFacts.of(entry) for entry in entries],
        manifest=manifest,
        registration=registration,
        deviations=listed,
    )
    return ReportInput(evidence, entries, store.folder, None if checkout is None else checkout.folder)


def _not_run(scores: StudyScores) -> list[Departure]:
    """List the blocks that are registered and lack runs; those of an extension are its user's own affair."""
    study = scores.study
    if study.extends is not None:
        return []
    return [
        Departure(f"Block {state.name} lacks {state.runs - state.stored:,} of its {state.runs:,} registered runs")
        for state in states_of(scores, [name for name, block in study.blocks.items() if block.withdrawn is None])
        if state.stored < state.runs
    ]


SOURCES = "sources.json"
"""The list, beside the pages."""
READ, WRITTEN = "read", "written"
MAX_BYTES = 20 * 1024**2


def sources_of(
    loaded: Loaded, folder: Path, root: Path, others: Iterable[str], beside: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Read the files of a checkout that a report is written from, by path; a manifest stands for its shards."""
    paths = [loaded.path, root / loaded.study.registration, *folder.glob("*.json"), *map(root.joinpath, others)]
    found = {path.resolve(): read_bytes(path, limit=MAX_BYTES) for path in paths}
    found |= {folder.resolve() / name: data for name, data in beside.items()}
    return {
        path.relative_to(root.resolve()).as_posix(): data
        for path, data in found.items()
        if path.is_relative_to(root.resolve())  # a wheel's own catalogue is not
    }


def sources_json(read: Mapping[str, bytes], written: Mapping[str, bytes]) -> bytes:
    lists = {READ: read, WRITTEN: written}
    tree = {name: {path: _sha256(data) for path, data in files.items()} for name, files in lists.items()}
    return json.dumps(tree, indent=1, sort_keys=True).encode() + b"\n"


def changed_since(root: Path, pages: Path) -> list[str]:
    """Name the files that a report read or wrote and that are not the same any more."""
    path = pages / SOURCES
    try:
        tree = json.loads(read_bytes(path))
        known = {root / name: digest for name, digest in tree[READ].items()}
        known |= {pages / name: digest for name, digest in tree[WRITTEN].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: is not what a report writes; write the report again") from error
    return [
        file.relative_to(root).as_posix()
        for file, digest in known.items()
        if not file.is_file() or _sha256(read_bytes(file, limit=MAX_BYTES)) != digest
    ]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
