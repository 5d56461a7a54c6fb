"""Gradients of convolutions over images whose non-zero values are given as events.

Letters are those of `convolution`. The gradient of weights is summed over the events of an image, or over its windows
where that takes fewer products.
"""

from typing import NamedTuple

import numpy as np

from fastspiking.kernels.codes import entry_backward, inner_backward, row, row_backward
from fastspiking.kernels.convolution import events_under, is_thin, room_to_sort, sort_image
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
    store_line,
    where_above,
    wide,
)


class NonzeroAdjoints(NamedTuple):
    """Holds the non-zero adjoints of a convolved image, ordered by pixel."""

    starts: np.ndarray  # int64 [pixels + 1]; those of a pixel are in [starts[pixel], starts[pixel + 1])
    filter: np.ndarray  # int32, the filter of each adjoint
    value: np.ndarray  # each adjoint


@inner_backward
def unpool(gradient, places, r, geometry, adjoint, full, d_begin):
    """Write to `full` [pixels, F padded] the gradient of image r before pooling, and add its sums to `d_begin` [F].

    `gradient` [R, F P] is that of the pooled outputs. In each window only the largest pixel gets it, which is
    places[r, f P + window] pixels after the window's corner; `places` of size 0 means no pooling. `adjoint` is
    scratch memory: two arrays [P, F padded] of zeros.
    """
    windows, pool, line = geometry.rows * geometry.columns, geometry.pool, geometry.columns * geometry.pool
    by_window, place = adjoint
    zero = full.dtype.type(0)
    for f in range(geometry.filters):
        total = zero
        for window in range(windows):
            by_window[window, f] = gradient[r, f * windows + window]
            total += gradient[r, f * windows + window]
        d_begin[f] += total
        if places.size:
            for window in range(windows):
                place[window, f] = places[r, f * windows + window]
    none, window = narrow(full), 0
    for y in range(geometry.rows):
        for x in range(geometry.columns):
            for m in range(0, full.shape[1], NARROW):
                value, largest = load(none, by_window, window, m), load(none, place, window, m)
                for a in range(pool):
                    for b in range(pool):
                        offset, pixel = a * line + b, (y * pool + a) * line + x * pool + b
                        # The value where offset - 0.5 < largest < offset + 0.5, else 0: there is no test for equality.
                        here = where_above(spread(none, offset + 0.5), largest, value, none)
                        store(full, pixel, m, where_above(largest, spread(none, offset - 0.5), here, none))
            window += 1


@row_backward
def add_pixel(kind, full, pixel, m, by_pixel, first, last, shift, d_weights):
    """Add a pixel's adjoint, full[pixel, m:], to the weight gradients of the events [first, last) under its kernel.

    Event e belongs to row by_pixel.place[e] + shift of d_weights [K K C, F padded]; `kind` is a vector of the width
    to work with.
    """
    q = load(kind, full, pixel, m)
    if by_pixel.value.size:
        for e in range(first, last):
            target = by_pixel.place[e] + shift
            store(d_weights, target, m, load(kind, d_weights, target, m) + spread(kind, by_pixel.value[e]) * q)
    else:
        for e in range(first, last):
            target = by_pixel.place[e] + shift
            store(d_weights, target, m, load(kind, d_weights, target, m) + q)


@row_backward
def add_event(kind, full, m, by_pixel, e, shift, geometry, d_weights, pixel):
    """Add to the weight gradients of event e, in columns from m on, the adjoints of all pixels that it reaches.

    These lie in one line of `full`, which starts at `pixel`; `kind` is a vector of the width to work with.
    """
    last = by_pixel.column[e] + geometry.before
    factor = spread(kind, by_pixel.value[e]) if by_pixel.value.size else spread(kind, 1)
    for column in range(max(0, last - geometry.kernel_width + 1), min(geometry.columns * geometry.pool, last + 1)):
        place = by_pixel.place[e] + shift + (geometry.before - column) * geometry.channels
        total = load(kind, d_weights, place, m)
        store(d_weights, place, m, total + factor * load(kind, full, pixel + column, m))


@inner_backward
def add_thin_line(full, by_pixel, line, k, geometry, d_weights, pixel):
    """Add to d_weights [K K C, F padded] the products of an input line's events with a line of output adjoints.

    `line` is the first pixel of the input line, `pixel` the first of the output line in `full`, k the kernel's row.
    """
    shift = k * geometry.kernel_width * geometry.channels
    for e in range(by_pixel.starts[line], by_pixel.starts[line + geometry.width]):
        m = 0
        while m + WIDE <= full.shape[1]:
            add_event(wide(full), full, m, by_pixel, e, shift, geometry, d_weights, pixel)
            m += WIDE
        if m + HALF <= full.shape[1]:
            add_event(half(full), full, m, by_pixel, e, shift, geometry, d_weights, pixel)
            m += HALF
        if m + NARROW <= full.shape[1]:
            add_event(narrow(full), full, m, by_pixel, e, shift, geometry, d_weights, pixel)


@inner_backward
def add_by_events(full, by_pixel, geometry, d_weights):
    """Add one image's part to the gradient of weights d_weights [K K C, F padded], row after row of the kernel.

    `full` [pixels, F padded] holds the adjoints of the outputs before pooling, `by_pixel` the image's events. A line
    with few events is added event by event, any other output pixel by output pixel; see `convolution.is_thin`.
    """
    rows, columns = geometry.rows * geometry.pool, geometry.columns * geometry.pool
    for k in range(geometry.kernel_height):
        for y in range(rows):
            under = y * geometry.stride - geometry.above + k
            column = 0 if 0 <= under < geometry.height else columns  # nothing to add for a line of padding
            line = under * geometry.width
            if column < columns and is_thin(by_pixel, line, geometry):
                add_thin_line(full, by_pixel, line, k, geometry, d_weights, y * columns)
                column = columns
            while column < columns:
                first, last, shift, following = events_under(by_pixel, line, column, geometry)
                if first < last:
                    events = (by_pixel, first, last, shift + k * geometry.kernel_width * geometry.channels)
                    m, pixel = 0, y * columns + column
                    while m + WIDE <= full.shape[1]:
                        add_pixel(wide(full), full, pixel, m, *events, d_weights)
                        m += WIDE
                    if m + HALF <= full.shape[1]:
                        add_pixel(half(full), full, pixel, m, *events, d_weights)
                        m += HALF
                    if m + NARROW <= full.shape[1]:
                        add_pixel(narrow(full), full, pixel, m, *events, d_weights)
                column = following


@inner_backward
def fill_lines(by_pixel, geometry, lines):
    """Write an image's events into the dense image `lines`, whose other entries are set to 0.

    `lines` is flat [H', W', C], with H' and W' the image's height and width with its padding. `by_pixel` is a
    `Sorted`, the image's events ordered by pixel; `geometry` is a `Geometry`.
    """
    line = geometry.padded_width * geometry.channels
    lines[:] = 0
    for y in range(geometry.height):
        begin = (y + geometry.above) * line + geometry.before * geometry.channels
        for e in range(by_pixel.starts[y * geometry.width], by_pixel.starts[(y + 1) * geometry.width]):
            value = by_pixel.value[e] if by_pixel.value.size else lines.dtype.type(1)
            lines[begin + by_pixel.place[e]] = value


@row_backward
def add_kernel_row(kind, gradient, r, f, places, geometry, lines, shift, m, w, d_rows):
    """Add to d_rows[w, m:], a kernel row of filter f, its gradient from image r, one vector wide.

    This gradient is the sum, over all windows, of the window's adjoint times the inputs under the kernel row.
    `lines` is the padded image, and `shift` the offset of the kernel's row in it. places[f, o] is the offset of
    window o's largest pixel. `gradient` [R, F P] is the adjoint of the pooled outputs.
    """
    total, windows, o = load(kind, d_rows, w, m), geometry.rows * geometry.columns, 0
    line = geometry.padded_width * geometry.channels * geometry.stride
    across, pool = geometry.channels * geometry.stride, geometry.pool
    for y in range(geometry.rows):
        for x in range(geometry.columns):
            corner = y * pool * line + x * pool * across + shift + m
            corner += places[f, o]
            value = gradient[r, f * windows + o]
            total = total + spread(kind, value) * load_line(kind, lines, corner)
            o += 1
    store(d_rows, w, m, total)


@inner_backward
def add_by_windows(gradient, r, places, geometry, lines, offsets, d_rows):
    """Add image r's part to the gradient of weights d_rows [K F, K C padded], window by window.

    `lines` is the padded image, `gradient` [R, F P] that of the pooled outputs; `places` as in `pull_back`.
    `offsets` [F, P] is scratch memory for the distance in `lines` from a window's first pixel to its largest.
    """
    windows, wide_row = geometry.rows * geometry.columns, geometry.columns * geometry.pool
    line = geometry.padded_width * geometry.channels
    across = geometry.channels * geometry.stride
    for f in range(geometry.filters):
        for o in range(windows):
            offsets[f, o] = 0
            if places.size:
                place, down = np.int64(places[r, f * windows + o]), np.int64(0)
                for a in range(1, geometry.pool):  # lines between the two pixels, without a division
                    down += place >= a * wide_row
                offsets[f, o] = down * (line * geometry.stride - wide_row * across) + place * across
    for k in range(geometry.kernel_height):
        for f in range(geometry.filters):
            image = (gradient, r, f, offsets, geometry, lines, k * line)
            w, m = k * geometry.filters + f, 0
            while m + WIDE <= d_rows.shape[1]:
                add_kernel_row(wide(d_rows), *image, m, w, d_rows)
                m += WIDE
            if m + HALF <= d_rows.shape[1]:
                add_kernel_row(half(d_rows), *image, m, w, d_rows)
                m += HALF
            if m + NARROW <= d_rows.shape[1]:
                add_kernel_row(narrow(d_rows), *image, m, w, d_rows)


@row
def prefers_windows(by_pixel, geometry, row_size):
    """Return whether an image has so many events that summing over its windows takes fewer products.

    `row_size` is the padded length of a kernel row.
    """
    count = by_pixel.starts[geometry.height * geometry.width]
    products = geometry.rows * geometry.columns * row_size * geometry.stride * geometry.stride
    return row_size > 0 and count * geometry.kernel_width > products


@inner_backward
def list_nonzero(full, filters, nonzero):
    """Write the non-zero entries of full [pixels, F padded] into `nonzero`, a `NonzeroAdjoints`."""
    count = 0
    for pixel in range(full.shape[0]):
        nonzero.starts[pixel] = count
        for f in range(filters):
            nonzero.filter[count], nonzero.value[count] = f, full[pixel, f]
            count += full[pixel, f] != 0  # no branch: a zero is overwritten by the next entry
    nonzero.starts[full.shape[0]] = count


@row_backward
def add_back_rows(kind, nonzero, first, last, back, w, m, lines, place):
    """Add to lines[place:] the sum of adjoint times kernel row over a pixel's non-zero adjoints [first, last).

    The kernel row of filter f is back[w + f, m:]; `kind` is a vector of the width to work with.
    """
    total = load_line(kind, lines, place)
    for e in range(first, last):
        weight = load(kind, back, w + nonzero.filter[e], m)
        total = total + spread(kind, nonzero.value[e]) * weight
    store_line(lines, place, total)


@inner_backward
def pull_input(nonzero, back, geometry, lines):
    """Compute the gradient of one input image into `lines`, padded and flat [H', W', C].

    `nonzero` are the non-zero adjoints of its outputs, `back` the weights [K F, K C padded].
    """
    rows, columns = geometry.rows * geometry.pool, geometry.columns * geometry.pool
    line = geometry.padded_width
    lines[:] = 0
    for k in range(geometry.kernel_height):
        for column in range(columns):
            for y in range(rows):  # down the lines: a sum into a place that overlaps the last would wait for it
                pixel = y * columns + column
                adjoints = (nonzero, nonzero.starts[pixel], nonzero.starts[pixel + 1], back, k * geometry.filters)
                place = ((y * geometry.stride + k) * line + column * geometry.stride) * geometry.channels
                m = 0
                while m + WIDE <= back.shape[1]:
                    add_back_rows(wide(back), *adjoints, m, lines, place + m)
                    m += WIDE
                if m + HALF <= back.shape[1]:
                    add_back_rows(half(back), *adjoints, m, lines, place + m)
                    m += HALF
                if m + NARROW <= back.shape[1]:
                    add_back_rows(narrow(back), *adjoints, m, lines, place + m)


@row
def unpad(lines, geometry, out, r):
    """Copy the padded gradient `lines`, flat [H', W', C], without its padding to row r of out [R, C H W]."""
    line = geometry.padded_width
    for c in range(geometry.channels):
        for y in range(geometry.height):
            for x in range(geometry.width):
                place = ((y + geometry.above) * line + x + geometry.before) * geometry.channels + c
                out[r, (c * geometry.height + y) * geometry.width + x] = lines[place]


@entry_backward
def pull_back(images, back, geometry, gradient, places, d_weights, d_rows, d_begin, d_images, low, high):
    """Add the gradients of weights and bias over images [low, high) to their sums, and write those of the images.

    `images`: `Images`, all R of them. `back`: weights [K F, K C padded]. `geometry`: `Geometry`. `gradient`: of the
    outputs [R, F P]. `places`: pixels from the corner of each window to its largest [R, F P]; empty without pooling.
    `d_weights` [K K C, F padded] and `d_rows` [K F, K C padded]: gradient of weights, from images with few and with
    many events. `d_begin`: gradient of the bias [F padded]. `d_images`: gradient of the images [R, C H W]; empty
    where it is not wanted.
    """
    by_pixel = room_to_sort(images, geometry)
    windows = geometry.rows * geometry.columns
    pixels = windows * geometry.pool * geometry.pool
    adjoint = (np.zeros((windows, d_begin.size), d_begin.dtype), np.zeros((windows, d_begin.size), d_begin.dtype))
    full = np.empty((pixels, d_begin.size), d_begin.dtype)
    offsets = np.empty((geometry.filters, windows), np.int64)
    room = pixels * geometry.filters + 1
    nonzero = NonzeroAdjoints(np.empty(pixels + 1, np.int64), np.empty(room, np.int32), np.empty(room, full.dtype))
    padded = geometry.padded_height * geometry.padded_width
    lines = np.empty(padded * geometry.channels + back.shape[1], d_begin.dtype)
    for r in range(low, high):
        sort_image(images, r, geometry, by_pixel)
        unpool(gradient, places, r, geometry, adjoint, full, d_begin)
        if prefers_windows(by_pixel, geometry, back.shape[1]):
            fill_lines(by_pixel, geometry, lines)
            add_by_windows(gradient, r, places, geometry, lines, offsets, d_rows)
        else:
            add_by_events(full, by_pixel, geometry, d_weights)
        if d_images.size:
            list_nonzero(full, geometry.filters, nonzero)
            pull_input(nonzero, back, geometry, lines)
            unpad(lines, geometry, d_images, r)
