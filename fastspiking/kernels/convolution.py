"""Convolutions, with max pooling, of images whose non-zero values are given as events, forward.

Legend: R images, C channels of the input, H W its sides, F filters, K sides of a kernel, P pooling windows (output
pixels without pooling). An image is stored flat, [C H W] or [F P]. Inside a loop channels are adjacent, so that the
weights of one event are a row; rows of filters are padded with zeros to whole vectors.
"""

from typing import NamedTuple

import numpy as np

from fastspiking.kernels.codes import entry, inner, row
from fastspiking.kernels.vectors import (
    HALF,
    NARROW,
    WIDE,
    half,
    load,
    load_line,
    narrow,
    spread,
    store,
    where_larger,
    wide,
)

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


@row
def add_pixel(kind, weights, m, by_pixel, first, last, shift, summed, pixel):
    """Add to summed[pixel, m:] the weights of the events [first, last) under the kernel there, times their values.

    The weights of event e are row by_pixel.place[e] + shift; `kind` is a vector of the width to work with.
    """
    total = load(kind, summed, pixel, m)
    if by_pixel.value.size:
        for e in range(first, last):
            weight = load(kind, weights, by_pixel.place[e] + shift, m)
            total = total + spread(kind, by_pixel.value[e]) * weight
    else:
        for e in range(first, last):  # one after another, as where values differ: their bits are the same
            total = total + load(kind, weights, by_pixel.place[e] + shift, m)
    store(summed, pixel, m, total)


@row
def add_event(kind, weights, m, by_pixel, e, shift, geometry, summed, pixel):
    """Add event e times its weights, in columns from m on, to the sums of all pixels that it reaches in one line.

    The line starts at row `pixel` of `summed`; `kind` is a vector of the width to work with.
    """
    last = by_pixel.column[e] + geometry.before
    factor = spread(kind, by_pixel.value[e]) if by_pixel.value.size else spread(kind, 1)
    for column in range(max(0, last - geometry.kernel_width + 1), min(geometry.columns * geometry.pool, last + 1)):
        place = by_pixel.place[e] + shift + (geometry.before - column) * geometry.channels
        total = load(kind, summed, pixel + column, m)
        store(summed, pixel + column, m, total + factor * load(kind, weights, place, m))


@inner
def add_thin_line(weights, begin, by_pixel, line, k, geometry, summed, pixel):
    """Add the events of one input line to the sums of one output line, event after event.

    `line` is the first pixel of the input line, `pixel` the row of `summed` where the output line starts, k the
    kernel's row.
    """
    shift = k * geometry.kernel_width * geometry.channels
    for e in range(by_pixel.starts[line], by_pixel.starts[line + geometry.width]):
        m = 0
        while m + WIDE <= begin.size:
            add_event(wide(begin), weights, m, by_pixel, e, shift, geometry, summed, pixel)
            m += WIDE
        if m + HALF <= begin.size:
            add_event(half(begin), weights, m, by_pixel, e, shift, geometry, summed, pixel)
            m += HALF
        if m + NARROW <= begin.size:
            add_event(narrow(begin), weights, m, by_pixel, e, shift, geometry, summed, pixel)


@inner
def add_image(weights, begin, by_pixel, geometry, summed):
    """Write to summed [pixels, F padded] the convolution of one image before pooling, row after row of the kernel.

    `by_pixel` holds the image's events, `weights` is [K K C, F padded], `begin` the bias [F padded]. A line with few
    events is added event by event, any other output pixel by output pixel; see `is_thin`.
    """
    for pixel in range(summed.shape[0]):
        for m in range(0, begin.size, NARROW):
            store(summed, pixel, m, load_line(narrow(begin), begin, m))
    rows, columns = geometry.rows * geometry.pool, geometry.columns * geometry.pool
    for k in range(geometry.kernel_height):
        for y in range(rows):
            under = y * geometry.stride - geometry.above + k
            column = 0 if 0 <= under < geometry.height else columns  # nothing to add for a line of padding
            line = under * geometry.width
            if column < columns and is_thin(by_pixel, line, geometry):
                add_thin_line(weights, begin, by_pixel, line, k, geometry, summed, y * columns)
                column = columns
            while column < columns:
                first, last, shift, following = events_under(by_pixel, line, column, geometry)
                if first < last:
                    events = (by_pixel, first, last, shift + k * geometry.kernel_width * geometry.channels)
                    m, pixel = 0, y * columns + column
                    while m + WIDE <= begin.size:
                        add_pixel(wide(begin), weights, m, *events, summed, pixel)
                        m += WIDE
                    if m + HALF <= begin.size:
                        add_pixel(half(begin), weights, m, *events, summed, pixel)
                        m += HALF
                    if m + NARROW <= begin.size:
                        add_pixel(narrow(begin), weights, m, *events, summed, pixel)
                column = following


@inner
def largest(summed, geometry, pooled, chosen):
    """Pool one image: write each window's largest sum to `pooled`, and its distance from the corner to `chosen`.

    Both are [P, F padded]; distances count pixels, and of equal sums the first is taken.
    """
    pool, line = geometry.pool, geometry.columns * geometry.pool
    kind = narrow(summed)
    for window in range(pooled.shape[0]):
        y, column = window // geometry.columns, window % geometry.columns
        first = y * pool * line + column * pool
        for m in range(0, summed.shape[1], NARROW):
            best, place = load(kind, summed, first, m), kind
            for a in range(pool):
                for b in range(a == 0, pool):
                    value = load(kind, summed, first + a * line + b, m)
                    place = where_larger(value, best, spread(kind, a * line + b), place)
                    best = where_larger(value, best, value, best)
            store(pooled, window, m, best)
            store(chosen, window, m, place)


@entry
def convolve(images, weights, begin, geometry, out, places, low, high):
    """Convolve images [low, high) with weights [K K C, F padded], add the bias `begin`, and write out [R, F P].

    places [R, F P] is written with the pixels from the corner of each window to its largest; it is empty without
    pooling.
    """
    windows, by_pixel = geometry.rows * geometry.columns, room_to_sort(images, geometry)
    summed = np.empty((windows * geometry.pool * geometry.pool, begin.size), begin.dtype)
    chosen = np.empty((windows if places.size else 0, begin.size), begin.dtype)
    pooled = np.empty(chosen.shape, begin.dtype) if places.size else summed
    for r in range(low, high):
        sort_image(images, r, geometry, by_pixel)
        add_image(weights, begin, by_pixel, geometry, summed)
        if places.size:
            largest(summed, geometry, pooled, chosen)
            for f in range(geometry.filters):
                for window in range(windows):
                    places[r, f * windows + window] = np.uint16(chosen[window, f])
        for f in range(geometry.filters):
            for window in range(windows):
                out[r, f * windows + window] = pooled[window, f]
