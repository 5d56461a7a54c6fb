"""No normalisation."""

from typing import ClassVar

from sgbench.normalisations.base import CurrentLayer, Normalisation


class NoNormalisation(Normalisation):
    """Leaves currents as the weights compute them.

    Source: Neftci, Mostafa & Zenke 2019, IEEE Signal Processing Magazine 36(6), section II.
    """

    neutral: ClassVar[bool] = True

    def of(self, layer: CurrentLayer) -> None:
        """Return None: currents stay as the weights compute them."""
