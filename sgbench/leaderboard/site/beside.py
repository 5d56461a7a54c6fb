"""What a site shows beside its records, from whoever builds it: the advice of a study, and the documentation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """What a study recommends for one kind of network, in words; without a surrogate, why it cannot yet."""

    network: str  # "several hidden layers"
    command: str  # which says the same
    why_not: str = ""
    surrogate: str = ""
    width_fwhm: float = 0.0  # in thresholds
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
        """
        if not self.surrogate:
            return f"with {self.network} it is not known yet"
        return f"with {self.network} {self.surrogate} at a width of {self.width_fwhm:g}"


@dataclass(frozen=True)
class Beside:
    """What lies beside the records of a site."""

    advice: tuple[Advice, ...] = ()  # a line a kind of network
    has_docs: bool = False  # whether the documentation is, or will be, in docs/ of the site
