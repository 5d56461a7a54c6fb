"""The interface of normalisations of hidden layers' currents over time and batch."""

from abc import ABC, abstractmethod
from typing import ClassVar

from sgbench.normalisations.normaliser import CurrentLayer, Normaliser


class Normalisation(ABC):
    """Normalises the feed-forward currents of each hidden layer; recurrent currents are added afterwards."""

    neutral: ClassVar[bool] = False  # whether it leaves all currents as they are

    @abstractmethod
    def of(self, layer: CurrentLayer) -> Normaliser | None:
        """Make the module that normalises one layer's currents; None if they stay as they are.

        Raises:
            InputError: the normalisation is not defined for this layer.
        """
