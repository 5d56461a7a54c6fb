"""Sizes of convolved images, and their events sorted by pixel, as the convolution loops read them.

Legend: R images, C channels of the input, H W its sides, F filters, K sides of a kernel, P pooling windows (output
pixels without pooling). An image is stored flat, [C H W] or [F P]. Inside a loop channels are adjacent, so that the
weights of one event are a row; rows of filters are padded with zeros to whole vectors.
"""

from typing import NamedTuple

import numpy as np

from fastspiking.kernels.codes import entry, inner, row

THIN = 4  # a line is computed event by event if it has more output columns than this for each event


class Geometry(NamedTuple):
    """Holds the sizes of a convolution and of the pooling that follows it, in pixels."""

    channels: int
    height: int
    width: int
    kernel_height: int
    kernel_width: int
    stride: int
    above: int  # padding: rows of zeros above the image
    before: int  # padding: columns of zeros left of the image
    filters: int
    pool: int  # side of a pooling window; 1 is no pooling
    rows: int  # of windows
    columns: int  # of windows
    padded_height: int  # of the image with its padding
    padded_width: int

    @property
    def inputs(self) -> int:
        """Return the number of values of an input image, C H W."""
        return self.channels * self.height * self.width

    @property
    def outputs(self) -> int:
        """Return the number of values of an output image, F P."""
        return self.filters * self.rows * self.columns


class Images(NamedTuple):
    """Holds the R images of a convolution as packed events."""

    indptr: np.ndarray  # int64 [R + 1]; the events of image r are index[indptr[r]:indptr[r + 1]], ascending
    index: np.ndarray  # int32, position of each event in the flat image
    value: np.ndarray  # of each event; empty where all are 1


class Sorted(NamedTuple):
    """Holds the events of one image ordered by pixel; x is a pixel's column and c a channel."""

    starts: np.ndarray  # int64 [H W + 2]; the events of pixel p are in [starts[p], starts[p + 1])
    place: np.ndarray  # int32, x C + c of each event
    column: np.ndarray  # int32, x of each event
    value: np.ndarray  # of each event; empty where all are 1
    columns: np.ndarray  # int32 [H W], x of each pixel


@entry
def room_to_sort(images, geometry):
    """Create a `Sorted` with memory for all events that one image of `images` can have."""
    pixels = geometry.height * geometry.width
    columns = np.empty(pixels, np.int32)
    for pixel in range(pixels):
        columns[pixel] = pixel % geometry.width
    room = pixels * geometry.channels + 1
    value = np.empty(room if images.value.size else 0, images.value.dtype)
    starts, place, column = np.empty(pixels + 2, np.int64), np.empty(room, np.int32), np.empty(room, np.int32)
    return Sorted(starts, place, column, value, columns)


@inner
def sort_image(images, r, geometry, by_pixel):
    """Write the events of image r into `by_pixel`, a `Sorted`, by a counting sort.

    Events arrive channel after channel, so that `border` follows the first index of an event's channel. Counts are
    two entries behind their pixel: summed up, starts[p + 1] is where the next event of pixel p goes, and after all
    events starts[p] is the first of pixel p.
    """
    pixels, channels = geometry.height * geometry.width, geometry.channels
    begin, end = images.indptr[r], images.indptr[r + 1]
    by_pixel.starts[:] = 0
    border = 0
    for e in range(begin, end):
        while images.index[e] >= border + pixels:
            border += pixels
        by_pixel.starts[images.index[e] - border + 2] += 1
    for pixel in range(2, pixels + 2):
        by_pixel.starts[pixel] += by_pixel.starts[pixel - 1]
    channel, border = 0, 0
    for e in range(begin, end):
        while images.index[e] >= border + pixels:
            border += pixels
            channel += 1
        pixel = images.index[e] - border
        target, column = by_pixel.starts[pixel + 1], by_pixel.columns[pixel]
        by_pixel.starts[pixel + 1] = target + 1
        by_pixel.place[target], by_pixel.column[target] = column * channels + channel, column
        if by_pixel.value.size:
            by_pixel.value[target] = images.value[e]


@row
def is_thin(by_pixel, line, geometry):
    """Return whether the image line that starts at pixel `line` has so few events that each is computed singly."""
    count = by_pixel.starts[line + geometry.width] - by_pixel.starts[line]
    return geometry.stride == 1 and THIN * count < geometry.columns * geometry.pool


@row
def events_under(by_pixel, line, column, geometry):
    """Find the events of an image line under a kernel row at one output column; return (first, last, shift, following).

    The line starts at pixel `line`. The events are [first, last) of `by_pixel`, and the weights of event e are row
    by_pixel.place[e] + shift of that kernel row. `following` is the next output column that can have events.
    """
    x = column * geometry.stride - geometry.before
    low = min(max(x, 0), geometry.width)  # a kernel may lie in the padding alone
    high = max(min(x + geometry.kernel_width, geometry.width), low)
    first, last = by_pixel.starts[line + low], by_pixel.starts[line + high]
    following = column + 1
    if first == last:
        if last == by_pixel.starts[line + geometry.width]:
            following = geometry.columns * geometry.pool
        else:
            # The first output column whose kernel reaches the line's next event, by_pixel.column[last].
            reach = by_pixel.column[last] + geometry.before - geometry.kernel_width + geometry.stride
            following = max(following, reach // geometry.stride)
    return first, last, -x * geometry.channels, following
