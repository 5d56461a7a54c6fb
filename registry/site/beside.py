"""What a site shows in addition to records: advice, documentation, pictures, pending submissions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sgbench.recommendation.answer import NetworkAdvice, read_answer, shipped_answer
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
