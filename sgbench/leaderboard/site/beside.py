"""What a site shows in addition to records: advice, documentation, pictures, pending submissions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sgbench.records.submission import Submission

PICTURED = ("surrogate", "neuron")
"""Config groups whose entries have pages with a picture."""


@dataclass(frozen=True)
class Advice:
    """Holds the advice of the studies for one kind of network, as plain values.

    Args:
        network: the kind, e.g. "several hidden layers".
        command: that prints the advice.
        settings: surrogate and width [threshold units] of each try, the first in front.
        attached: whether the reset is attached to the gradient.
        provisional: until when the advice is; empty: it is not provisional.
        losses: mean and worst points lost of each try, None where no run is stored, and what they rest on.
        doubt: one sentence.
    """

    network: str
    command: str
    settings: tuple[tuple[str, float], ...]
    attached: bool = False
    provisional: str = ""
    losses: tuple[tuple[float | None, float | None, str], ...] = ()
    doubt: str = ""

    @property
    def sentence(self) -> str:
        """Write the advice as part of a sentence.

        >>> Advice("recurrent", "", (("atan", 0.2), ("sigmoid", 0.5)), True, "until then").sentence
        'recurrent (provisional until then): atan at a width of 0.2 or sigmoid at 0.5, reset attached'
        """
        state = f" (provisional {self.provisional})" if self.provisional else ""
        (first, width), *others = self.settings
        more = "".join(f" or {name} at {other:g}" for name, other in others)
        reset = ", reset attached" if self.attached else ""
        return f"{self.network}{state}: {first} at a width of {width:g}{more}{reset}"


@dataclass(frozen=True)
class SiteExtras:
    """Holds what a site shows in addition to records."""

    advice: tuple[Advice, ...] = ()  # one for each kind of network
    has_docs: bool = False  # whether the documentation is, or will be, in docs/ of the site
    pictures: Mapping[str, Path] = field(default_factory=dict)  # maps paths on the site to pictures of entries
    waiting: tuple[Submission, ...] = ()  # pending submissions


def pictures_in(catalogue: Path) -> dict[str, Path]:
    """Map the paths on the site of entries' pictures to the drawn pictures in a folder, which need not exist."""
    return {f"{group}s/{path.name}": path for group in PICTURED for path in sorted((catalogue / group).glob("*.svg"))}


def pictures_of(listed: Iterable[str], site: Path, drawn: Mapping[str, Path]) -> dict[str, Path]:
    """Map the paths of entries' pictures on a built site to files, so that the same site can be built again."""
    folders = tuple(f"{group}s/" for group in PICTURED)
    wanted = [path for path in listed if path.endswith(".svg") and path.startswith(folders)]
    return {path: drawn.get(path, site / path) for path in wanted}
