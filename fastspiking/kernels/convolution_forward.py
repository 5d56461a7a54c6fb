"""Convolutions, with max pooling, of images whose non-zero values are given as events; letters are in `images`."""

import numpy as np

from fastspiking.kernels.codes import entry, inner, row
from fastspiking.kernels.images import events_under, is_thin, room_to_sort, sort_image
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
    events is added event by event, any other output pixel by output pixel; see `images.is_thin`.
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
