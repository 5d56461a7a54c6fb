"""The base class of augmentations, which change training samples at random in each epoch."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch

from sgbench.encoders.base import Form, Image, Values


class Augmentation(ABC):
    """Changes training samples at random before they are encoded."""

    varies: ClassVar[bool] = True  # whether samples differ from epoch to epoch
    takes: ClassVar[tuple[Form, ...]] = ("values", "traces", "spikes")  # forms of samples that `vary` accepts

    @abstractmethod
    def vary(self, values: Values, generator: torch.Generator, image: Image | None) -> Values:
        """Return randomly changed copies of the samples of a batch, of the same form and channels, none longer.

        Each sample gets random numbers of its own, so that the result does not depend on the batch size.

        `values`: samples of the batch; left unchanged. `generator`: for the random numbers of one epoch. `image`:
        polarities, height and width if the channels are an image's; else None.
        """
