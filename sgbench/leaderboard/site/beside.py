"""What a site shows in addition to records: advice, documentation, pictures, pending submissions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sgbench.records.submission import Submission

PICTURED = ("surrogate", "neuron")
"""Groups whose entries have pages with a picture."""


@dataclass(frozen=True)
class Advice:
    """Holds the recommendation of a study for one kind of network, or why there is none, as text."""

    network: str  # e.g. "several hidden layers"
    command: str  # that prints it
    why_not: str = ""  # if no surrogate is recommended
    surrogate: str = ""
    width_fwhm: float | None = None  # [threshold units]; None: chosen by passing steps
    attached: bool = False  # whether the reset is attached to the gradient
    widths: str = ""  # range that loses little
    learning_rates: str = ""  # range
    loss: str = ""  # expected, to the best known cell
    rests_on: str = ""  # evidence
    out_of_sample: str = ""
    unknown: tuple[str, ...] = ()  # limits of the evidence

    @property
    def sentence(self) -> str:
        """Write the advice as part of a sentence.

        >>> Advice("recurrence", "", why_not="no run is stored").sentence
        'with recurrence it is not known yet'
        >>> Advice("recurrence", "", surrogate="atan", width_fwhm=0.5, attached=True).sentence
        'with recurrence atan at a width of 0.5 and the reset attached'
        """
        if not self.surrogate:
            return f"with {self.network} it is not known yet"
        width = "by passing steps" if self.width_fwhm is None else f"of {self.width_fwhm:g}"
        reset = " and the reset attached" if self.attached else ""
        return f"with {self.network} {self.surrogate} at a width {width}{reset}"


@dataclass(frozen=True)
class SiteExtras:
    """Holds what a site shows in addition to records."""

    advice: tuple[Advice, ...] = ()  # one for each kind of network
    has_docs: bool = False  # whether the documentation is, or will be, in docs/ of the site
    pictures: Mapping[str, Path] = field(default_factory=dict)  # of entries, by path on the site
    waiting: tuple[Submission, ...] = ()  # pending submissions


def pictures_in(catalogue: Path) -> dict[str, Path]:
    """Return the drawn pictures of entries, by path on the site.

    Args:
        catalogue: folder of the catalogue's pages with pictures; it need not exist.
    """
    pictures = {}
    for group in PICTURED:
        for path in sorted((catalogue / group).glob("*.svg")):
            pictures[f"{group}s/{path.name}"] = path
    return pictures


def pictures_of(listed: Iterable[str], site: Path, drawn: Mapping[str, Path]) -> dict[str, Path]:
    """Return the pictures of a built site, by path on it, so that it can be rebuilt equally.

    Args:
        listed: paths of the files of the site.
        site: its folder, which provides pictures that are not in `drawn`.
        drawn: drawn pictures, by path on the site.
    """
    folders = tuple(f"{group}s/" for group in PICTURED)
    wanted = [path for path in listed if path.endswith(".svg") and path.startswith(folders)]
    return {path: drawn.get(path, site / path) for path in wanted}
