"""A current that some product has already made."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.engine.plan import Drive


class DenseCurrent:
    """Holds the current of all steps [T, B, M]; autograd has its history, so nothing is sent back from here.

    Args:
        current: flat features.
    """

    def __init__(self, current: Tensor) -> None:
        self.current = current.detach()
        self.adjoint: Tensor | None = None

    def drive(self, room: Tensor) -> Drive:
        """Return the given current as the drive of the layer."""
        return Drive(self.current)

    def slot(self, first: int, last: int, offered: Tensor | None) -> Tensor:
        """Return a view of the current's gradient to write into."""
        if self.adjoint is None:
            self.adjoint = torch.empty_like(self.current)
        return self.adjoint[first:last]

    def filled(self, first: int, last: int, out: Tensor) -> None:
        """Do nothing, since the adjoint already lies in the current's gradient."""

    def sent_back(self, first: int, last: int, out: Tensor) -> Tensor:
        """Raise an error: only the first layer of a chain has a current that autograd made."""
        raise TypeError("a current that autograd made is not part of a chain")

    def gradients(self) -> tuple[Tensor | None, ...]:
        """Return the gradient of the current; it is given away, so that a second backward starts anew."""
        adjoint, self.adjoint = self.adjoint, None
        return (adjoint,)
