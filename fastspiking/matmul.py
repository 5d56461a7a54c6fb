"""Dense matrix products by the faster of torch's two libraries, and up to what density events are faster still.

torch multiplies float32 matrices on a CPU with MKL, which uses vectors of 256 bits on AMD's processors. oneDNN uses
those of 512 bits if the processor has them, and is twice as fast there (ADR 12). The choice follows from the
processor alone.

Densities, the shares of inputs that spike: gradients of weights that follow each event were as fast as dense products
at 50 % in the input of 256 neurons, on a processor with fast dense products (226 GFLOP/s a core in float32). Forward
the crossings were 24 % there before rows were summed in registers, and 50 % on one with slow products (97 GFLOP/s).
Nothing is measured at run time, so that a result does not depend on the machine's load.
"""

import functools

import torch
from torch import Tensor

FORWARD_DENSE = 0.35
WEIGHT_DENSE = 0.4
SCAN_DENSE = 0.10
"""Of `scan`, whose sums over events are torch's and slower: crossings at 5 % and 16 %."""
CONVOLUTION_DENSE = 0.5
"""Of convolutions, behind which a maximum over windows is taken or not: torch is slower at 28 % and 46 %."""
DELAY_DENSE = 0.35
"""Of synapses that spread an event over several steps."""


PIECE_ENTRIES = 256 * 1024  # entries of a result that are copied at a time, from the cache of a core


def multiply(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the product a b + bias [n, m] of a [n, k] and b [k, m], without gradient."""
    if _by_onednn(a.dtype):
        return _onednn(a, b, bias)
    return torch.mm(a, b) if bias is None else torch.addmm(bias, a, b)


def multiply_into(out: Tensor, a: Tensor, b: Tensor, bias: Tensor | None = None) -> None:
    """Write the product a b + bias to `out` [n, m], without gradient; see `multiply`."""
    if _by_onednn(a.dtype):
        rows = max(1, PIECE_ENTRIES // max(1, out.shape[1]))
        for room, piece in zip(out.split(rows), a.split(rows), strict=True):
            room.copy_(_onednn(piece, b, bias))
    elif bias is None:
        torch.mm(a, b, out=out)
    else:
        torch.addmm(bias, a, b, out=out)


def add_product(out: Tensor, a: Tensor, b: Tensor) -> None:
    """Add the product a b to `out` in place, by the faster library for its type."""
    if _by_onednn(a.dtype):
        out += _onednn(a, b, None)
    else:
        out.addmm_(a, b)


def library(dtype: torch.dtype) -> str:
    """Return the name of the library that multiplies matrices of this type on this processor."""
    return "oneDNN" if _by_onednn(dtype) else "torch.mm"


@functools.cache
def prefers_onednn() -> bool:
    """Return whether MKL uses half of this processor's vector width: on AMD's Zen with AVX-512."""
    from llvmlite import binding

    return (
        binding.get_host_cpu_name().startswith("znver")
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _by_onednn(dtype: torch.dtype) -> bool:
    return dtype == torch.float32 and prefers_onednn()


def _onednn(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    # The operation of torch's compiled linear layers; it takes weights [m, k] in any memory order.
    return torch.ops.mkldnn._linear_pointwise(a, b.T, bias, "none", [], "")  # type: ignore[no-any-return]
