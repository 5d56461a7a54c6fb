"""Adjoints of the steps."""

from __future__ import annotations

import numpy as np

from sgbench.engine.kernels.codes import (
    ATAN,
    FAST_SIGMOID,
    ONE_TO_ONE,
    SUBTRACT,
    SUBTRACT_DECAYED,
    ZERO,
    entry_backward,
    loop_backward,
    row_backward,
)


@row_backward
def slope_row(x, r, shape, steepness, height, out):
    """Compute the surrogate derivative of row r, for the surrogates that have a compiled form."""
    size = x.shape[1]
    one = x.dtype.type(1)
    if shape == ATAN:
        for m in range(size):
            z = steepness * x[r, m]
            out[m] = height / (one + z * z)
    elif shape == FAST_SIGMOID:
        for m in range(size):
            z = one + abs(steepness * x[r, m])
            out[m] = height / (z * z)
    else:
        for m in range(size):
            out[m] = height * max(one - abs(steepness * x[r, m]), one - one)


@row_backward
def total_of_spikes(
    gs, x, seconds, r, lu, lw, dnow, b, coefficients, reset, attached, second, wiring, wires, total
):
    """Sum ds of one row: from outside, and from the next step through V, w and the reset."""
    decay, base, _, _, _, _, _, second_spike, slope = coefficients
    size = lu.shape[1]
    for m in range(size):
        total[m] = 0
    if gs.size:
        for m in range(size):
            total[m] = gs[r, m]
    if wiring == ONE_TO_ONE:
        for m in range(size):
            total[m] += wires[0, m] * dnow[b, m]
    if second:
        for m in range(size):
            total[m] += second_spike[m] * lw[b, m]
    if not attached:
        return
    if reset == SUBTRACT:
        for m in range(size):
            total[m] -= base[m] * lu[b, m]
    elif reset == SUBTRACT_DECAYED:
        for m in range(size):
            total[m] -= decay[m] * base[m] * lu[b, m]
    elif reset == ZERO:
        for m in range(size):
            total[m] -= decay[m] * (x[r, m] + base[m]) * lu[b, m]
        if second:
            for m in range(size):
                total[m] -= decay[m] * slope[m] * seconds[r, m] * lu[b, m]


@loop_backward
def adjoint_of_decay(gs, psi, x, lu, decay, shape, steepness, height, dcurrent, p, low, high):
    """Move adjoints as `adjoint` does, for neurons of one variable on which slope and decay act alone."""
    batch, size = lu.shape
    for begin in range(dcurrent.shape[0] - batch, -1, -batch):
        for b in range(low, high):
            r = begin + b
            if shape:
                slope_row(x, r, shape, steepness, height, p)
            elif psi.size:
                for m in range(size):
                    p[m] = psi[r, m]
            for m in range(size):
                lu[b, m] = p[m] * gs[r, m] + decay[m] * lu[b, m]
            for m in range(size):
                dcurrent[r, m] = lu[b, m]


@loop_backward
def adjoint_of_rows(
    gs, gx, gu, gw, psi, x, seconds, lu, lw, dnow, coefficients, reset, attached, second, gained, fires,
    wiring, wires, shape, steepness, height, dcurrent, adjoint_u, adjoint_w, adjoint_x, adjoint_s, total, p, into_x,
    low, high,
):  # fmt: skip
    """Compute what `adjoint` does, with room for three rows."""
    decay, _, gain, coupling, second_decay, second_potential, second_input, _, slope = coefficients
    if fires and gs.size and not (
        second or gained or wiring or attached or reset == ZERO or gx.size or gu.size or gw.size or adjoint_u.size
        or adjoint_s.size
    ):  # fmt: skip
        adjoint_of_decay(gs, psi, x, lu, decay, shape, steepness, height, dcurrent, p, low, high)
        return
    batch, size = lu.shape
    one = lu.dtype.type(1)  # a plain 1 would turn float32 into float64
    zero = one - one
    last = dcurrent.shape[0] - batch
    for begin in range(last, -1, -batch):
        for b in range(low, high):
            r = begin + b
            # 1. What reaches x of this step: through its spikes, and from outside.
            if shape:
                slope_row(x, r, shape, steepness, height, p)
            elif psi.size:
                for m in range(size):
                    p[m] = psi[r, m]
            for m in range(size):
                into_x[m] = 0
            if fires:
                total_of_spikes(
                    gs, x, seconds, r, lu, lw, dnow, b, coefficients, reset, attached, second, wiring, wires, total
                )  # fmt: skip
                for m in range(size):
                    into_x[m] = p[m] * total[m]
                if reset == ZERO:
                    for m in range(size):  # a product, for what is undefined has to stay so
                        lu[b, m] *= zero if x[r, m] > 0 else one
                if adjoint_s.size:
                    for m in range(size):
                        adjoint_s[r, m] = total[m]
            if gx.size:
                for m in range(size):
                    into_x[m] += gx[r, m]
            # 2. The adjoint of u, and of the current where it drives u alone.
            for m in range(size):
                lu[b, m] = into_x[m] + decay[m] * lu[b, m]
            if second:
                for m in range(size):
                    lu[b, m] += second_potential[m] * lw[b, m]
            if gu.size and r >= last:
                for m in range(size):
                    lu[b, m] += gu[b, m]
            for m in range(size):
                dcurrent[r, m] = lu[b, m]
            # 3. The adjoint of w, and of a current that drives both or has a gain.
            if second:
                for m in range(size):
                    lw[b, m] = second_decay[m] * lw[b, m] + coupling[m] * lu[b, m] - slope[m] * into_x[m]
                if gw.size and r >= last:
                    for m in range(size):
                        lw[b, m] += gw[b, m]
                for m in range(size):
                    dcurrent[r, m] = gain[m] * lu[b, m] + second_input[m] * lw[b, m]
            elif gained:
                for m in range(size):
                    dcurrent[r, m] = gain[m] * lu[b, m]
            # 4. What the step before and the gradients of coefficients need.
            if wiring == ONE_TO_ONE:
                for m in range(size):
                    dnow[b, m] = dcurrent[r, m]
            if adjoint_u.size:
                for m in range(size):
                    adjoint_u[r, m] = lu[b, m]
                    adjoint_x[r, m] = into_x[m]
            if adjoint_w.size:
                for m in range(size):
                    adjoint_w[r, m] = lw[b, m]


@entry_backward
def adjoint(
    gs, gx, gu, gw, psi, x, seconds, lu, lw, dnow, coefficients, reset, attached, second, gained, fires,
    wiring, wires, shape, steepness, height, dcurrent, adjoint_u, adjoint_w, adjoint_x, adjoint_s, low, high,
):  # fmt: skip
    """Compute the adjoints of samples [low, high), from the chunk's last step to its first.

    lu, lw and dnow [B, M] hold the adjoints of u, w and the current of the step after the chunk, and then those
    of its first step; gu and gw, gradients of the state after its last step. Rows are those of `advance`; `gs`
    and `dcurrent` may be the same memory. Arrays without a size are not there. Gradients of coefficients need
    adjoint_u to adjoint_s. The steps stand in one loop, for a call in each row would cost as much as a step.
    """
    rows = np.empty((3, lu.shape[1]), lu.dtype)
    adjoint_of_rows(
        gs, gx, gu, gw, psi, x, seconds, lu, lw, dnow, coefficients, reset, attached, second, gained, fires, wiring,
        wires, shape, steepness, height, dcurrent, adjoint_u, adjoint_w, adjoint_x, adjoint_s, rows[0], rows[1],
        rows[2], low, high,
    )  # fmt: skip
