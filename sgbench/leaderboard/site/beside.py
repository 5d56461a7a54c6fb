"""What a site shows in addition to records: advice, documentation, pictures, pending submissions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sgbench.records.submission import Submission

PICTURED = ("surrogate", "neuron")
"""Config groups whose entries have pages with a picture."""


@dataclass(frozen=True)
class Advice:
    """Holds the recommendation of a study for one kind of network, or why there is none, as text."""

    network: str  # the kind, e.g. "several hidden layers"
    command: str  # the command that prints the advice
    why_not: str = ""  # why no surrogate is recommended
    surrogate: str = ""  # empty if none is recommended
    width_fwhm: float | None = None  # width [threshold units]; None if passing steps choose it
    attached: bool = False  # whether the reset is attached to the gradient
    widths: str = ""  # range of widths that lose little
    learning_rates: str = ""  # range of learning rates
    loss: str = ""  # expected loss of score against the best known cell
    rests_on: str = ""  # evidence
    out_of_sample: str = ""  # loss of score on a task that was left out
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
    pictures: Mapping[str, Path] = field(
        default_factory=dict
    )  # maps paths on the site to pictures of entries
    waiting: tuple[Submission, ...] = ()  # pending submissions


def pictures_in(catalogue: Path) -> dict[str, Path]:
    """Map the paths on the site of entries' pictures to the drawn pictures in a folder, which need not exist."""
    return {
        f"{group}s/{path.name}": path
        for group in PICTURED
        for path in sorted((catalogue / group).glob("*.svg"))
    }


def pictures_of(listed: Iterable[str], site: Path, drawn: Mapping[str, Path]) -> dict[str, Path]:
    """Map the paths of entries' pictures on a built site to files, so that the same site can be built again.

    Args:
        listed: paths of the files of the site.
        site: the site's folder, which provides the pictures that are not in `drawn`.
        drawn: maps paths on the site to drawn pictures.
    """
    folders = tuple(f"{group}s/" for group in PICTURED)
    wanted = [path for path in listed if path.endswith(".svg") and path.startswith(folders)]
    return {path: drawn.get(path, site / path) for path in wanted}
