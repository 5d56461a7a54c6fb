"""Codes and decorators of the fused engine's loops, which numba compiles for float32 and float64.

The equations are in `fastspiking.spec` and `fastspiking.recursion`. Each loop works on a range of samples or
rows that it alone writes, so any number of threads gives the same bits. Sums run in a fixed order. Forward no
operation is contracted or reordered, so rounding is torch's. An innermost loop holds no branch, so that LLVM
vectorises it. Rows are passed by number: views of them would be reference-counted and cost as much as a step.
"""

from typing import Any

import numba

from fastspiking.kernels.disk_cache import keep_by_text

keep_by_text()  # before the first loop is declared

WORD = 64  # spikes per word of packed bits
SUBTRACT, SUBTRACT_DECAYED, ZERO, NONE = range(4)  # how a spike resets the potential
UNWIRED, ONE_TO_ONE, ALL_TO_ALL = range(3)  # kinds of recurrent connections
# Where a surrogate derivative comes from: computed beforehand by the surrogate itself, or in the loop by its shape.
GIVEN, ATAN, FAST_SIGMOID, TRIANGLE = range(4)

_COMMON: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_BACK: dict[str, Any] = {**_COMMON, "fastmath": {"contract", "nsz"}}  # rounding need not be torch's
_UNCOUNTED: dict[str, Any] = {"_nrt": False}  # no references to arrays, whose counting costs more than a short row

# Python cannot call it: what Python calls by takes as long to compile as a short loop.
_INSIDE: dict[str, Any] = {**_UNCOUNTED, "no_cpython_wrapper": True}

# An entry may create arrays; a loop and a row may not. An inner loop is called by compiled code alone. A row is
# inlined into its callers, which are compiled too, except those of a row that written loops name.
entry = numba.njit(**_COMMON)
loop = numba.njit(**_COMMON, **_UNCOUNTED)
inner = numba.njit(**_COMMON, **_INSIDE)
row = numba.njit(**_COMMON, **_INSIDE, forceinline=True)
row_of_written = numba.njit(**_COMMON, **_UNCOUNTED, forceinline=True)
entry_backward = numba.njit(**_BACK)
loop_backward = numba.njit(**_BACK, **_UNCOUNTED)
inner_backward = numba.njit(**_BACK, **_INSIDE)
row_backward = numba.njit(**_BACK, **_INSIDE, forceinline=True)
