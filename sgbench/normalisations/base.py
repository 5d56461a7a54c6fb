"""The contract of a normalisation: what is done over time and batch to the currents of hidden layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from sgbench.normalisations.normaliser import CurrentLayer, Normaliser


class Normalisation(ABC):
    """Puts a normaliser after the weights of each hidden layer; recurrent currents join after it."""

    neutral: ClassVar[bool] = False  # whether it leaves all currents as they are

    @abstractmethod
    def of(self, layer: CurrentLayer) -> Normaliser | None:
        """Make the normaliser of one layer's currents, or None where nothing is done.

        Raises:
            InputError: it is not defined for this layer.
        """
