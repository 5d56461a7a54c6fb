"""No augmentation."""

from typing import ClassVar

import torch

from sgbench.augmentations.base import Augmentation
from sgbench.encoders.base import Image, Values


class NoAugmentation(Augmentation):
    """Leaves the samples of every epoch as they are."""

    varies: ClassVar[bool] = False

    def vary(self, values: Values, generator: torch.Generator, image: Image | None) -> Values:
        return values
