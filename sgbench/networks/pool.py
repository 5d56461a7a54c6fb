"""Pooling of flat images, and the image sizes of inputs."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d

from sgbench.errors import InputError, require_choice, require_count

IMAGE_AXES = 3
POOLINGS = ("none", "max", "average")
Image = tuple[int, int, int]  # channels, height, width


class Pool(nn.Module):
    """Computes the maximum or the mean over each window of flat images; windows do not overlap.

    Pixels left over at the right and at the bottom are ignored. Of equal maxima the first gets the gradient. The
    maximum of a window of spikes is a spike if any of its neurons fires.

    `kind`: "max" or "average"; `height`: height of a window [pixels]; `width`: width of a window [pixels].

    >>> pool = Pool("max", (1, 2, 4), 2, 2)
    >>> pool(torch.tensor([[1.0, 0.0, 2.0, 0.0, 0.0, 5.0, 0.0, 0.0]])), pool.operations
    (tensor([[5., 2.]]), 6)
    """

    def __init__(self, kind: str, image: Image, height: int, width: int) -> None:
        super().__init__()
        self.kind = require_choice("network.pooling", kind, POOLINGS[1:])
        self.image_in, self.window = image, (height, width)
        self.image_out: Image = (image[0], image[1] // height, image[2] // width)
        if not all(self.image_out):
            raise InputError(
                f"network.pool_size={height}: windows are larger than the images of {image[1]} x {image[2]} pixels "
                f"that are left to pool; use fewer layers, a smaller stride or smaller windows"
            )

    @property
    def operations(self) -> int:
        """Return the operations per image: k - 1 comparisons, or k sums and products, per window of k values."""
        channels, rows, columns = self.image_out
        values = self.window[0] * self.window[1]
        return channels * rows * columns * (values - 1 if self.kind == "max" else values)

    def forward(self, x: Tensor) -> Tensor:
        """Pool flat images [..., C H W], where C may be any multiple of `image`'s channels, to flat images."""
        planes = x.reshape(-1, 1, *self.image_in[1:])
        pooled = (max_pool2d if self.kind == "max" else avg_pool2d)(planes, self.window)
        return pooled.reshape(*x.shape[:-1], -1)

    def reached(self, pixels: Tensor) -> Tensor:
        """Return for each window whether any of its pixels [..., H, W] is true, as flat images."""
        planes = pixels.reshape(-1, 1, *self.image_in[1:]).to(torch.float32)
        return (max_pool2d(planes, self.window) > 0).reshape(*pixels.shape[:-1], -1)


def image_of(image: object, n_inputs: int, stated: Image | None) -> Image:
    """Return channels, height and width of a network's input.

    They are `image` if it is given, else those that the data set states, else one square channel. Raises an
    `InputError` if they do not multiply to `n_inputs`.
    """
    if image is None and stated is not None:
        return stated
    if image is None:
        side = math.isqrt(n_inputs)
        if side * side != n_inputs:
            raise InputError(f"network.image=null: {n_inputs} inputs are no square; give [channels, height, width]")
        return 1, side, side
    is_triple = isinstance(image, Sequence) and not isinstance(image, str) and len(image) == IMAGE_AXES
    if not is_triple or math.prod(require_count("network.image", side) for side in image) != n_inputs:  # type: ignore[union-attr]
        raise InputError(
            f"network.image={image!r}: [channels, height, width] that multiply to {n_inputs} inputs is needed"
        )
    return tuple(image)  # type: ignore[return-value, arg-type]
