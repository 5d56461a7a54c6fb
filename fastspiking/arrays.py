"""Views of tensors as NumPy arrays for compiled loops, and calls of loops on several threads."""

import functools
import itertools
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

MIN_WORK = 2**15  # entries of an array below which a second thread costs more than it saves
FLOATS = {torch.float32: np.float32, torch.float64: np.float64}
ALIGNED = 64  # bytes: where a tensor's memory begins, of a vector or of a line of the cache
# By type: an empty array in place of an argument that a loop does not need, since numba wants one of the right type.
NOTHING = {kind: np.empty((0, 0), kind) for kind in (np.float32, np.float64, np.uint64)}


def in_parts(kernel: Callable[..., object], count: int, entries: int, *arguments: object) -> None:
    """Call `kernel(*arguments, low, high)` for consecutive parts of range(count), one for each thread.

    Each part is written by one thread alone, so the bits do not depend on their number.

    `kernel`: compiled function. `count`: number of samples or rows. `entries`: of the result; below `MIN_WORK` one
    thread computes all. `arguments`: of the kernel, before the bounds.
    """
    threads = min(torch.get_num_threads(), count)
    if threads <= 1 or entries < MIN_WORK:
        kernel(*arguments, 0, count)
        return
    borders = np.linspace(0, count, threads + 1).astype(int).tolist()
    in_threads(functools.partial(kernel, *arguments), list(itertools.pairwise(borders)), entries)


def in_threads(call: Callable[[int, int], object], ranges: Sequence[tuple[int, int]], entries: int) -> None:
    """Call a function for each of some independent ranges, on as many threads as torch uses.

    These are Python threads, not OpenMP's: kernels release the interpreter's lock, and a busy processor delays a
    pool less than a barrier.

    `call`: function of the bounds of a range, `call(low, high)`. `ranges`: in any order; neighbours go to one thread.
    `entries`: of all results together; below `MIN_WORK` one thread computes all.
    """
    threads = min(torch.get_num_threads(), len(ranges))

    def call_all(first: int, last: int) -> None:
        for bounds in ranges[first:last]:
            call(*bounds)

    if threads <= 1 or entries < MIN_WORK:
        call_all(0, len(ranges))
        return
    borders = np.linspace(0, len(ranges), threads + 1).astype(int).tolist()
    pool = _pool(threads - 1, os.getpid())
    rest = [pool.submit(call_all, low, high) for low, high in itertools.pairwise(borders[1:])]
    call_all(0, borders[1])
    for part in rest:
        part.result()


@functools.cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Return the thread pool of a process id, cached since starting a thread takes as long as some loops."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"sgbench-{process}")


def vacant(like: Tensor, shape: Sequence[int]) -> Tensor:
    """Create an uninitialised tensor of the type of `like`, for a large buffer that every pass allocates anew.

    torch allocates aligned memory, for which glibc needs a gap a little larger than the tensor. The gap that a
    freed tensor leaves is then too small for the next of equal size, and the process grows. NumPy allocates plain
    memory, which fits that gap; its beginning is aligned here.
    """
    if like.device.type != "cpu":
        return like.new_empty(shape)
    size = math.prod(shape) * like.element_size()
    room = np.empty(size + ALIGNED, np.uint8)
    begin = -room.ctypes.data % ALIGNED
    return torch.from_numpy(room[begin : begin + size]).view(like.dtype).view(*shape)


def rows_of(tensor: Tensor, width: int) -> np.ndarray:
    """Return a tensor as a NumPy array [rows, width] without a copy; an empty tensor becomes an array of size 0."""
    array = tensor.numpy()
    return array.reshape(-1, width) if array.size else NOTHING[array.dtype.type]


def bits_of(words: Tensor) -> np.ndarray:
    """Return packed spikes int64 [..., blocks] as uint64 [rows, blocks] without a copy."""
    if words.numel() == 0:
        return NOTHING[np.uint64]
    return words.numpy().reshape(-1, words.shape[-1]).view(np.uint64)
