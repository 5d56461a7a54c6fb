"""Reads once what all pages are made of: boards, measured methods, the catalogue and the checkout."""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sgbench.composition import catalogue
from sgbench.composition.catalogue import Entry
from sgbench.composition.selection import canonical_name, is_preset
from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.rows import Board, Measured, MethodRow
from sgbench.leaderboard.store.reading import Finding
from sgbench.leaderboard.store.tree import RecordTree
from sgbench.paths import conf_dir
from sgbench.recommendation.answer import NetworkAdvice, read_answer, shipped_answer
from sgbench.records.release import Part
from sgbench.records.submission import Submission

PICTURED = ("surrogate", "neuron")
"""Config groups whose entries have pages with a picture."""


@dataclass(frozen=True)
class SiteExtras:
    """Holds what a site shows in addition to records."""

    advice: tuple[NetworkAdvice, ...] = ()  # one for each kind of network
    has_docs: bool = False  # whether the documentation is, or will be, in docs/ of the site
    pictures: Mapping[str, Path] = field(default_factory=dict)  # maps paths on the site to pictures of entries
    waiting: tuple[Submission, ...] = ()  # pending submissions


def shipped_advice() -> tuple[NetworkAdvice, ...]:
    """Return the shipped advice for each kind of network; empty without the file."""
    return read_answer().networks if shipped_answer().is_file() else ()


def pictures_in(catalogue: Path) -> dict[str, Path]:
    """Map the paths on the site of entries' pictures to the drawn pictures in a folder, which need not exist."""
    return {f"{group}s/{path.name}": path for group in PICTURED for path in sorted((catalogue / group).glob("*.svg"))}


def pictures_of(listed: Iterable[str], site: Path, drawn: Mapping[str, Path]) -> dict[str, Path]:
    """Map the paths of entries' pictures on a built site to files, so that the same site can be built again."""
    folders = tuple(f"{group}s/" for group in PICTURED)
    wanted = [path for path in listed if path.endswith(".svg") and path.startswith(folders)]
    return {path: drawn.get(path, site / path) for path in wanted}


NO_EXTRAS = SiteExtras()
CONTROL = "control"
"""Family of the surrogates that serve as controls: others are compared with them."""


@dataclass(frozen=True)
class ShownRow:
    """Holds a row with its board, and the part of the board that it is in."""

    board: Board
    row: MethodRow
    part: Part


@dataclass(frozen=True)
class Sources:
    """Holds what the pages of a site are made of."""

    root: Path  # the leaderboards folder
    references: References  # references of the catalogue's protocols
    commit: str  # git commit of the records, or a text that there is none
    boards: tuple[Board, ...]  # boards of all protocols
    measured: Mapping[str, Sequence[Measured]]  # maps each protocol to its methods, ranked or not
    findings: tuple[Finding, ...] = field(default=())  # one for each file that was left out
    extras: SiteExtras = field(default=NO_EXTRAS)  # what is shown in addition to records

    @property
    def tree(self) -> RecordTree:
        return RecordTree(self.root, "leaderboards", self.references)

    @cached_property
    def shown(self) -> dict[str, ShownRow]:
        return {row.method_id: ShownRow(board, row, part) for board in self.boards for part, row in board.parts()}

    @cached_property
    def by_id(self) -> dict[str, Measured]:
        return {method.method_id: method for methods in self.measured.values() for method in methods}

    @cached_property
    def ranked(self) -> dict[str, list[Measured]]:
        return {board.protocol.name: [self.by_id[row.method_id] for row in board.rows] for board in self.boards}

    @cached_property
    def surrogates(self) -> dict[str, Entry]:
        """Read the catalogue's surrogates by name, with presets of libraries."""
        return catalogue.entries("surrogate", self.references.config_dirs)

    @cached_property
    def neurons(self) -> dict[str, Entry]:
        return catalogue.entries("neuron", self.references.config_dirs)

    def group(self, name: str) -> dict[str, Entry]:
        return self.surrogates if name == "surrogate" else self.neurons

    def is_control(self, surrogate: str) -> bool:
        entry = self.surrogates.get(surrogate)
        return entry is not None and entry.meta.get("family") == CONTROL

    def page_of(self, group: str, name: str) -> str | None:
        """Return the address of an entry's page, or of the entry that it is another name of; None if it has none."""
        entry = self.group(group).get(name)
        if entry is None:
            return None
        canonical = self.group(group).get(canonical_name(entry))
        if canonical is None or is_preset(canonical) or "/" in canonical.name:
            return None
        return f"{group}s/{canonical.name}.html"

    @property
    def docs(self) -> Path | None:
        """Return the folder of the documentation in a checkout; None outside a checkout."""
        folder = conf_dir().parent / "docs"
        return folder if (folder / "index.md").is_file() else None


def read_sources(root: Path, *, references: References, commit: str, extras: SiteExtras = NO_EXTRAS) -> Sources:
    boards = show(RecordTree(root, "leaderboards", references))
    return Sources(root, references, commit, boards.boards, boards.measured, boards.findings, extras)


def method_path(protocol: str, method_id: str) -> str:
    return f"methods/{protocol}/{method_id}.html"


def protocol_path(name: str) -> str:
    return f"protocols/{name}.html"


def plain(sentence: str) -> str:
    """Convert a sentence of a board's Markdown page to plain text, which templates escape.

    >>> plain("less than 5 pJ &#124; 0.8 V")
    'less than 5 pJ | 0.8 V'
    """
    return html.unescape(sentence)
