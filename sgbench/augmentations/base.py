"""The contract of an augmentation: how samples of the training split are varied anew in each epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch

from sgbench.encoders.base import Form, Image, Values


class Augmentation(ABC):
    """Varies samples before they are encoded, in training alone."""

    varies: ClassVar[bool] = True  # whether samples differ from epoch to epoch
    takes: ClassVar[tuple[Form, ...]] = ("values", "traces", "spikes")

    @abstractmethod
    def vary(self, values: Values, generator: torch.Generator, image: Image | None) -> Values:
        """Change samples [B] at random, each by draws of its own; form and channels stay, and none gets longer.

        Args:
            values: of the batch; they are not changed themselves.
            generator: of the augmentation's stream, one for an epoch.
            image: polarities, height and width where the channels are a camera's.
        """
