"""What this machine can do at most, measured in the same run."""

import time
from collections.abc import Callable

import torch

from benchmarks.workloads import Task
from fastspiking import matmul

GEMM_SIZE = 2048
TRIAD_BYTES = 64 * 2**20  # of each of three arrays, larger than any cache
REPEATS = 7


def machine(dtype: torch.dtype) -> dict[str, float | str]:
    """Speed of a large product of matrices [GFLOP/s], by torch.mm and by the library that sgbench multiplies with.

    And of a = b + c * 1.5 [GB/s]; the best of some repeats.
    """
    size = GEMM_SIZE
    left, right, product = (torch.ones(size, size, dtype=dtype) for _ in range(3))
    torch_s = _best_s(lambda: torch.mm(left, right, out=product))
    gemm_s = _best_s(lambda: matmul.multiply(left, right))
    b, c, a = (torch.ones(TRIAD_BYTES // dtype.itemsize, dtype=dtype) for _ in range(3))
    triad_s = _best_s(lambda: torch.add(b, c, alpha=1.5, out=a))
    return {
        "library": matmul.library(dtype),
        "gemm_gflop_per_s": 2 * size**3 / gemm_s / 1e9,
        "torch_mm_gflop_per_s": 2 * size**3 / torch_s / 1e9,
        "triad_gb_per_s": 3 * TRIAD_BYTES / triad_s / 1e9,
    }


def products_of(task: Task) -> Callable[[], None]:
    """The products that a layer of w2 cannot do without: the current, and the gradient of the weights.

    By the faster library where there are two: no share of the limit is won by slowing it down.
    """
    weight = task.stages[0].weight
    x = task.x.flatten(0, 1)

    def run() -> None:
        current = matmul.multiply(x, weight.T)
        matmul.multiply(current.T, x)

    return run


def _best_s(run: Callable[[], object]) -> float:
    """In CPU time on one thread, where a busy machine does not show in it."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times_s = []
    for _ in range(REPEATS):
        began_s = clock()
        run()
        times_s.append(max(clock() - began_s, 1e-9))
    return min(times_s)
