"""Dense products, by the faster of the two libraries that torch brings along.

torch multiplies float32 matrices on a CPU with MKL, which uses vectors of 256 bits on AMD's processors. oneDNN,
which multiplies for torch elsewhere, uses those of 512 bits where there are some, and is twice as fast (ADR 12).
The choice follows from the processor alone and is never measured at run time.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

PIECE_ENTRIES = 256 * 1024  # of a result that is copied: it then lies in the cache of a core


def multiply(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute a b + bias, [n, k] times [k, m], without gradient."""
    if _by_onednn(a.dtype):
        return _onednn(a, b, bias)
    return torch.mm(a, b) if bias is None else torch.addmm(bias, a, b)


def multiply_into(out: Tensor, a: Tensor, b: Tensor, bias: Tensor | None = None) -> None:
    """Compute a b + bias into existing memory, without gradient."""
    if _by_onednn(a.dtype):
        rows = max(1, PIECE_ENTRIES // max(1, out.shape[1]))
        for room, piece in zip(out.split(rows), a.split(rows), strict=True):
            room.copy_(_onednn(piece, b, bias))
    elif bias is None:
        torch.mm(a, b, out=out)
    else:
        torch.addmm(bias, a, b, out=out)


def add_product(out: Tensor, a: Tensor, b: Tensor) -> None:
    """Add the product a b to `out` in place."""
    if _by_onednn(a.dtype):
        out += _onednn(a, b, None)
    else:
        out.addmm_(a, b)


def library(dtype: torch.dtype) -> str:
    """Name the library that multiplies matrices of this type here."""
    return "oneDNN" if _by_onednn(dtype) else "torch.mm"


@functools.cache
def prefers_onednn() -> bool:
    """Return whether this processor is one on which MKL leaves half of the machine idle."""
    from llvmlite import binding

    return (
        binding.get_host_cpu_name().startswith("znver")
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _by_onednn(dtype: torch.dtype) -> bool:
    """Return whether oneDNN makes a product of this precision."""
    return dtype == torch.float32 and prefers_onednn()


def _onednn(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply by oneDNN."""
    # The op behind torch's compiled linear layers; it takes weights [m, k] in any order of memory.
    return torch.ops.mkldnn._linear_pointwise(a, b.T, bias, "none", [], "")  # type: ignore[no-any-return]
