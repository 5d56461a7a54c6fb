"""What events reach, counted row by row; inner loops without branches, so that they are done by vectors."""

from __future__ import annotations

import numpy as np

from sgbench.engine.kernels.codes import loop, row


@loop
def count_rows(signal, counts):
    """counts[r] = entries of signal[r] that are not 0."""
    for r in range(signal.shape[0]):
        count = np.int32(0)
        for n in range(signal.shape[1]):
            count += np.int32(signal[r, n] != 0)
        counts[r] = count


@row
def spread_row(plane, tall, wide, rows):
    """Synapses that the events plane[height, width] of one image reach; an event of row y has tall[y] rows."""
    total = 0
    for y in range(plane.shape[0]):
        along = 0
        for x in range(plane.shape[1]):
            along += plane[y, x] * wide[x]
        total += along * tall[y]
    return total * rows


@row
def land_row(plane, strip, stride, padding, landed, r):
    """landed[r] = whether an event is within `padding` of each place, first along columns, then along rows."""
    height, width = plane.shape
    tall, wide = landed.shape[1:]
    for v in range(tall):
        for x in range(width):
            strip[padding + x] = 0
        for y in range(max(0, v * stride - padding), min(height, v * stride + padding + 1)):
            for x in range(width):
                strip[padding + x] |= plane[y, x]
        for h in range(wide):
            landed[r, v, h] = False
        for shift in range(2 * padding + 1):
            for h in range(wide):
                landed[r, v, h] |= strip[h * stride + shift] != 0


@loop
def spread_dense(signal, tall, wide, stride, padding, rows, plane, strip, operations, landed):
    """Operations and reached places of images signal[R, channels, height, width]."""
    for r in range(signal.shape[0]):
        plane[:] = 0
        for c in range(signal.shape[1]):
            for y in range(plane.shape[0]):
                for x in range(plane.shape[1]):
                    plane[y, x] += np.int32(signal[r, c, y, x] != 0)
        operations[r] = spread_row(plane, tall, wide, rows)
        land_row(plane, strip, stride, padding, landed, r)


@loop
def spread_events(
    indptr, index, y_of, x_of, tall, wide, stride, padding, rows, plane, strip, operations, landed
):
    """The same of packed events, where y_of and x_of are the place of each input."""
    for r in range(operations.size):
        plane[:] = 0
        for e in range(indptr[r], indptr[r + 1]):
            plane[y_of[index[e]], x_of[index[e]]] += 1
        operations[r] = spread_row(plane, tall, wide, rows)
        land_row(plane, strip, stride, padding, landed, r)
