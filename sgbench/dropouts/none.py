"""No dropout."""

from typing import ClassVar

from sgbench.dropouts.base import Dropout


class NoDropout(Dropout):
    """Lets every spike arrive.

    Source: Neftci, Mostafa & Zenke 2019, IEEE Signal Processing Magazine 36(6), section II.
    """

    neutral: ClassVar[bool] = True

    def make(self) -> None:
        """Return None: every spike arrives."""
