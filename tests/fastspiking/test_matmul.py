"""Dense products by both libraries, against numpy in float64."""

import numpy as np
import pytest
import torch

from fastspiking import matmul
from fastspiking.matmul import add_product, multiply, multiply_into

SHAPES = [(1, 1, 1), (1, 7, 3), (129, 64, 20), (300, 5, 257), (2000, 33, 256)]
ONEDNN = pytest.param(
    True,
    id="onednn",
    marks=pytest.mark.skipif(
        not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="this torch was built without oneDNN"
    ),
)


@pytest.fixture(params=[pytest.param(False, id="mkl"), ONEDNN], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Either library, whatever this processor prefers."""
    monkeypatch.setattr(matmul, "prefers_onednn", lambda: request.param)
    assert matmul.library(torch.float64) == "torch.mm"
    return matmul.library(torch.float32)


def arrays(n: int, k: int, m: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """a, b, bias and something to add to."""
    random = torch.Generator().manual_seed(n + k + m)
    return tuple(torch.randn(*size, generator=random, dtype=dtype) for size in ((n, k), (k, m), (m,), (n, m)))


def close(found: torch.Tensor, expected: np.ndarray) -> None:
    """To the rounding of a sum of few terms."""
    limit = 1e-4 if found.dtype == torch.float32 else 1e-11
    assert found.shape == expected.shape
    assert np.abs(found.numpy() - expected).max() < limit


@pytest.mark.one_in(10)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("turned", ["", "a", "b", "ab"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products(shape, turned, dtype):
    """Expected: numpy's; for every order in which the matrices may lie in memory."""
    a, b, bias, total = arrays(*shape, dtype)
    a = a.T.contiguous().T if "a" in turned else a
    b = b.T.contiguous().T if "b" in turned else b
    product = a.double().numpy() @ b.double().numpy()
    close(multiply(a, b), product)
    close(multiply(a, b, bias), product + bias.double().numpy())
    for given in (None, bias):
        out = torch.full_like(total, float("nan"))
        multiply_into(out, a, b, given)
        close(out, product + (0 if given is None else given.double().numpy()))
    expected = total.double().numpy() + product
    add_product(total, a, b)
    close(total, expected)


def test_a_result_is_copied_in_pieces(monkeypatch):
    """Expected: numpy's, where the last piece is a shorter one."""
    monkeypatch.setattr(matmul, "PIECE_ENTRIES", 60)
    a, b, bias, out = arrays(23, 6, 20, torch.float32)
    multiply_into(out, a, b, bias)
    close(out, a.double().numpy() @ b.double().numpy() + bias.double().numpy())


@pytest.mark.one_in(4)
@pytest.mark.parametrize("shape", [(640, 512, 512), (512, 2000, 512), (12800, 256, 20)], ids=str)
def test_threads_do_not_change_a_bit(shape):
    """Expected: what one thread computes."""
    a, b, _, _ = arrays(*shape, torch.float32)
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(multiply(a, b))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


def test_libraries_differ(library):
    """Must differ: single precision rounds in another order, or the choice would not be one."""
    a, b, _, _ = arrays(300, 700, 256, torch.float32)
    assert torch.equal(multiply(a, b), torch.mm(a, b)) is (library == "torch.mm")
