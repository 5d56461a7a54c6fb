"""What a site shows beside its records, from whoever builds it: advice, the documentation, pictures, what waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sgbench.records.submission import Submission

PICTURED = ("surrogate", "neuron")
"""Groups whose entries have pages with a picture."""


@dataclass(frozen=True)
class Advice:
    """Holds what a study recommends for one kind of network, in words; without a surrogate, why it cannot yet."""

    network: str  # "several hidden layers"
    command: str  # which says the same
    why_not: str = ""
    surrogate: str = ""
    width_fwhm: float | None = None  # in thresholds; None: by passing steps
    attached: bool = False  # whether the reset's gradient is
    widths: str = ""  # that lose little
    learning_rates: str = ""
    loss: str = ""  # expected, against the best that is known
    rests_on: str = ""
    out_of_sample: str = ""
    unknown: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Write the advice in a few words.

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
class Beside:
    """Holds what a site shows beside its records."""

    advice: tuple[Advice, ...] = ()  # a line a kind of network
    has_docs: bool = False  # whether the documentation is, or will be, in docs/ of the site
    pictures: Mapping[str, Path] = field(default_factory=dict)  # of entries, by their places on the site
    waiting: tuple[Submission, ...] = ()  # handed in and not accepted yet


def pictures_in(catalogue: Path) -> dict[str, Path]:
    """Return the drawn pictures of entries, by their places on the site.

    Args:
        catalogue: where the build of the catalogue's pages put them, or a folder that is not there.
    """
    pictures = {}
    for group in PICTURED:
        for path in sorted((catalogue / group).glob("*.svg")):
            pictures[f"{group}s/{path.name}"] = path
    return pictures


def pictures_of(listed: Iterable[str], site: Path, drawn: Mapping[str, Path]) -> dict[str, Path]:
    """Return the pictures that a site has, so that it can be built again as it was.

    Args:
        listed: paths of the files of the site.
        site: its folder, whose own picture stands for one that is not drawn.
        drawn: pictures that are, by their places.
    """
    places = tuple(f"{group}s/" for group in PICTURED)
    wanted = [path for path in listed if path.endswith(".svg") and path.startswith(places)]
    return {path: drawn.get(path, site / path) for path in wanted}
