"""All that pages are made of, read once: boards, measured methods, the catalogue, and what the checkout says."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sgbench.composition import catalogue
from sgbench.composition.catalogue import Entry
from sgbench.composition.selection import canonical_name, is_preset
from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.rows import Board, Measured, MethodRow
from sgbench.leaderboard.site.beside import Beside
from sgbench.leaderboard.store.reading import Finding
from sgbench.leaderboard.store.tree import RecordTree
from sgbench.paths import conf_dir

NOTHING_BESIDE = Beside()
CONTROL = "control"
"""Family of the surrogates that are there to be beaten."""


@dataclass(frozen=True)
class BoardPlace:
    """Says where a method stands: on which board, in which row, and as what."""

    board: Board
    row: MethodRow
    part: str  # "ranked", "claimed", "baseline" or "retired"


@dataclass(frozen=True)
class Sources:
    """Holds what a site is built from."""

    root: Path  # the leaderboards folder
    references: References  # what the catalogue says of protocols
    commit: str  # of the records, or words in its place
    boards: tuple[Board, ...]  # of all protocols
    measured: Mapping[str, Sequence[Measured]]  # methods by protocol, whether ranked or not
    findings: tuple[Finding, ...] = field(default=())  # what was left out
    beside: Beside = field(default=NOTHING_BESIDE)  # what is shown beside the records

    @property
    def tree(self) -> RecordTree:
        """Return the records behind the boards."""
        return RecordTree(self.root, "leaderboards", self.references)

    @cached_property
    def places(self) -> dict[str, BoardPlace]:
        """Find where each method stands, by its id."""
        by_method = {}
        for board in self.boards:
            parts = {
                "ranked": board.rows,
                "claimed": board.claimed,
                "baseline": board.baselines,
                "retired": board.retired,
            }
            for part, rows in parts.items():
                by_method |= {row.method_id: BoardPlace(board, row, part) for row in rows}
        return by_method

    @cached_property
    def by_id(self) -> dict[str, Measured]:
        """Index measured methods by their ids."""
        return {method.method_id: method for methods in self.measured.values() for method in methods}

    @cached_property
    def ranked(self) -> dict[str, list[Measured]]:
        """Collect the methods that boards rank, by protocol."""
        return {
            board.protocol.name: [self.by_id[row.method_id] for row in board.rows] for board in self.boards
        }

    @cached_property
    def surrogates(self) -> dict[str, Entry]:
        """Read the entries of the surrogates, presets of libraries among them."""
        return catalogue.entries("surrogate", self.references.config_dirs)

    @cached_property
    def neurons(self) -> dict[str, Entry]:
        """Read the entries of the neurons."""
        return catalogue.entries("neuron", self.references.config_dirs)

    def group(self, name: str) -> dict[str, Entry]:
        """Return the entries of one of the two groups that have pages."""
        return self.surrogates if name == "surrogate" else self.neurons

    def is_control(self, surrogate: str) -> bool:
        """Return whether a surrogate is a control, against which others are compared."""
        entry = self.surrogates.get(surrogate)
        return entry is not None and entry.meta.get("family") == CONTROL

    def page_of(self, group: str, name: str) -> str | None:
        """Find the page of an entry, or of the one that a preset belongs to; None where there is none."""
        entry = self.group(group).get(name)
        if entry is None:
            return None
        canonical = self.group(group).get(canonical_name(entry))
        if canonical is None or is_preset(canonical) or "/" in canonical.name:
            return None
        return f"{group}s/{canonical.name}.html"

    @property
    def docs(self) -> Path | None:
        """Find the folder of the documentation in a checkout, if there is one."""
        folder = conf_dir().parent / "docs"
        return folder if (folder / "index.md").is_file() else None


def read_sources(
    root: Path, *, references: References, commit: str, beside: Beside = NOTHING_BESIDE
) -> Sources:
    """Read from a leaderboards folder all that a site is built from.

    Args:
        root: the folder.
        references: what the catalogue says of protocols.
        commit: of the records, or words in its place.
        beside: what is shown beside the records.

    Raises:
        InputError: there is no such folder, or an energy target's file is not usable.
    """
    boards = show(RecordTree(root, "leaderboards", references))
    return Sources(root, references, commit, boards.boards, boards.measured, boards.findings, beside)


def method_path(protocol: str, method_id: str) -> str:
    """Return the path of a method's page."""
    return f"methods/{protocol}/{method_id}.html"


def protocol_path(name: str) -> str:
    """Return the path of a protocol's page."""
    return f"protocols/{name}.html"


def plain(sentence: str) -> str:
    """Convert a sentence of a board's Markdown page to plain text, which pages escape themselves.

    >>> plain("less than 5 pJ &#124; 0.8 V")
    'less than 5 pJ | 0.8 V'
    """
    return html.unescape(sentence)
