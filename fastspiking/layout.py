"""Flattening of features of any shape to one axis, in the order in which they are stored."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Defines how a layer's features are flattened without a copy; any order will do, since neurons do not mix.

    >>> images = torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)[None]
    >>> layout = Layout.of(images, leading=2)
    >>> flat = layout.flat(images)
    >>> flat.data_ptr() == images.data_ptr(), torch.equal(layout.full(flat), images)
    (True, True)
    """

    features: torch.Size  # their shape
    channels_last: bool  # whether images [C, H, W] are stored as [H, W, C]

    @staticmethod
    def of(tensor: Tensor, leading: int) -> Layout:
        features = tensor.shape[leading:]
        last = len(features) == 3 and features[0] > 1 and tensor.stride(leading) == 1  # noqa: PLR2004 - C, H, W
        return Layout(features, last)

    def flat(self, tensor: Tensor) -> Tensor:
        """Flatten `[..., *features]` to `[..., M]`."""
        if len(self.features) == 1:
            return tensor
        leading = tensor.shape[: tensor.dim() - len(self.features)]
        if self.channels_last:
            tensor = tensor.movedim(-3, -1)
        return tensor.reshape(*leading, self.features.numel())

    def full(self, tensor: Tensor) -> Tensor:
        """Restore `[..., M]` to `[..., *features]`."""
        if len(self.features) == 1:
            return tensor
        leading = tensor.shape[:-1]
        if not self.channels_last:
            return tensor.view((*leading, *self.features))
        channels, height, width = self.features
        return tensor.view(*leading, height, width, channels).movedim(-1, -3)
