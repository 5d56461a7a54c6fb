"""Weights as they are."""

from typing import ClassVar

from torch import Tensor

from sgbench.quantisers.base import Quantiser


class Floating(Quantiser):
    """Leaves weights in the precision of the protocol."""

    neutral: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__(scale="layer", power_of_two=False)

    def levels(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights themselves, with a unit of 1."""
        return weight, weight.new_ones(())
