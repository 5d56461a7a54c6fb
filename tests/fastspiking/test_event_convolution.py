"""Convolutions by events against torch's `conv2d` and `max_pool2d` under autograd, in float64.

Legend: C channels, H side of the images, F filters, K side of a kernel.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from fastspiking import event_convolution
from fastspiking.event_convolution import Convolution, convolve
from fastspiking.signals.spikes import SparseSpikes
from sgbench.errors import InputError
from tests.messages import raises_naming

STEPS, BATCH = 2, 3
EXACT = 1e-12


class Sizes(NamedTuple):
    """One convolution."""

    channels: int
    side: int
    filters: int
    kernel: int
    stride: int
    padding: int
    pool: int


SIZES = (
    Sizes(2, 9, 3, 5, 1, 0, 2),
    Sizes(3, 8, 17, 3, 2, 1, 1),
    Sizes(3, 9, 33, 3, 1, 1, 2),
    Sizes(20, 7, 70, 1, 2, 0, 1),
    Sizes(5, 11, 16, 5, 3, 2, 1),
    Sizes(4, 13, 5, 5, 2, 2, 3),
    Sizes(1, 6, 4, 1, 2, 2, 1),
    Sizes(2, 5, 3, 2, 1, 4, 2),
)
"""Filters that fill no vector, and 16, 32 and 64 of them; windows and strides that leave a border over; padding
that exceeds the kernel."""


def images(sizes: Sizes, share: float, *, graded: bool = False) -> Tensor:
    """[T, B, C H H], of which a share is not 0."""
    generator = torch.Generator().manual_seed(3)
    shape = (STEPS, BATCH, sizes.channels * sizes.side**2)
    spikes = (torch.rand(shape, generator=generator) < share).double()
    return spikes * torch.randn(shape, generator=generator, dtype=torch.float64) if graded else spikes


def weights(sizes: Sizes) -> tuple[Tensor, Tensor]:
    """Weight [F, C, K, K] and bias [F], which learn."""
    generator = torch.Generator().manual_seed(4)
    shape = (sizes.filters, sizes.channels, sizes.kernel, sizes.kernel)
    weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    bias = torch.randn(sizes.filters, generator=generator, dtype=torch.float64)
    return weight.requires_grad_(), bias.requires_grad_()


def convolution(sizes: Sizes, weight: Tensor, bias: Tensor) -> Convolution:
    """What is asked of `convolve`."""
    image = (sizes.channels, sizes.side, sizes.side)
    return Convolution(image, weight, bias, sizes.stride, sizes.padding, sizes.pool)


def by_torch(x: Tensor, sizes: Sizes, weight: Tensor, bias: Tensor) -> Tensor:
    """The same by torch."""
    folded = x.view(-1, sizes.channels, sizes.side, sizes.side)
    out = conv2d(folded, weight, bias, sizes.stride, sizes.padding)
    return max_pool2d(out, sizes.pool).reshape(*x.shape[:2], -1)


def results(out: Tensor, *learnt: Tensor) -> list[Tensor]:
    """An output, and gradients of a sum with weights that differ."""
    factors = torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view(out.shape)
    return [out.detach(), *torch.autograd.grad((out * factors).sum(), learnt)]


def assert_close(found: list[Tensor], expected: list[Tensor]) -> None:
    """Equal up to the order of sums."""
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=EXACT * float(other.abs().max()))


@pytest.fixture(autouse=True)
def _always_by_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """No image is left to torch."""
    monkeypatch.setattr(event_convolution, "CONVOLUTION_DENSE", 1.0)


@pytest.mark.one_in(5)
@pytest.mark.parametrize("graded", [False, True], ids=["binary", "graded"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_output_and_gradients_are_torchs(sizes: Sizes, share: float, graded: bool) -> None:
    x = images(sizes, share, graded=graded).requires_grad_()
    weight, bias = weights(sizes)
    ours = results(convolve(x, convolution(sizes, weight, bias)), x, weight, bias)
    assert_close(ours, results(by_torch(x, sizes, weight, bias), x, weight, bias))
    packed = SparseSpikes.of(x.detach())
    again = results(convolve(packed, convolution(sizes, weight, bias)), weight, bias)
    assert all(torch.equal(one, other) for one, other in zip(again, [ours[0], *ours[2:]], strict=True))


@pytest.mark.parametrize(
    ("image", "weight", "values"),
    [((2, 4, 4), (3, 5, 3, 3), 32), ((2, 4, 4), (3, 2, 3, 3), 30), ((1, 2, 2), (3, 1, 3, 3), 4)],
    ids=["channels", "values", "kernel"],
)
def test_shapes_that_do_not_fit_are_refused(image: tuple[int, int, int], weight: tuple[int, ...], values: int) -> None:
    with raises_naming(InputError, str(image), str(weight), str(values)):
        convolve(torch.zeros(1, 1, values), Convolution(image, torch.zeros(weight), None))


def test_every_event_counts() -> None:
    """Must differ: with one event of an image left out, its output and the gradient of weights."""
    sizes = SIZES[0]
    weight, bias = weights(sizes)
    x = images(sizes, 0.3)
    whole = results(convolve(x, convolution(sizes, weight, bias)), weight)
    x.view(-1)[int(x.view(-1).nonzero()[7])] = 0
    less = results(convolve(x, convolution(sizes, weight, bias)), weight)
    assert all(float((one - other).abs().max()) > 0.01 for one, other in zip(whole, less, strict=True))


@pytest.mark.parametrize("dense", [False, True], ids=["by events", "by windows"])
def test_both_ways_of_the_gradient_of_weights_are_taken(dense: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Must differ: which of the two sums takes anything; otherwise one way would be compared with itself."""
    sums: list[tuple[bool, bool]] = []
    pull_back = event_convolution.convolution_backward.pull_back

    def noting(*given: object) -> None:
        pull_back(*given)
        sums.append((bool(given[5].any()), bool(given[6].any())))  # type: ignore[attr-defined, union-attr]

    monkeypatch.setattr(event_convolution.convolution_backward, "pull_back", noting)
    weight, bias = weights(SIZES[2])
    x = images(SIZES[2], 0.9 if dense else 0.1)
    results(convolve(x, convolution(SIZES[2], weight, bias)), weight)
    assert set(sums) == {(not dense, dense)}


def test_the_first_of_equal_values_of_a_window_gets_the_gradient() -> None:
    """Windows without events hold the bias four times; torch's rule, by hand, and not the last of them.

    An event two pixels right of the first pixel of a window sees it by its last tap alone.
    """
    weight = torch.zeros(1, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    x = torch.zeros(1, 1, 16, dtype=torch.float64)
    x.view(4, 4)[0, 2] = 1
    of = Convolution((1, 4, 4), weight, None, pool=2)
    (gradient,) = torch.autograd.grad(convolve(x, of).sum(), weight)
    assert gradient[0, 0, 0].tolist() == [0, 0, 1]
    assert gradient[0, 0, 1:].eq(0).all()


def test_what_is_not_a_number_stays_so() -> None:
    """Expected: torch, whose maximum is not a number where any value of a window is not."""
    sizes = SIZES[0]
    weight, bias = weights(sizes)
    with torch.no_grad():
        weight[1, 1, 2, 2] = torch.nan
    x = images(sizes, 0.05)
    expected = by_torch(x, sizes, weight, bias)
    found = convolve(x, convolution(sizes, weight, bias))
    seen = convolve(x.roll(0), convolution(sizes, weight.detach().nan_to_num(0.0), bias))
    assert found.isnan().any()
    assert not seen.isnan().any()
    assert not (found.isnan() & ~expected.isnan()).any()


def test_bits_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Must match: one thread and two. The arrays are called large, so that a second thread is taken at all."""
    monkeypatch.setattr("fastspiking.arrays.MIN_WORK", 0)
    sizes, before = SIZES[2], torch.get_num_threads()
    weight, bias = weights(sizes)
    x = images(sizes, 0.2).requires_grad_()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(results(convolve(x, convolution(sizes, weight, bias)), x, weight, bias))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_full_images_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Must match: values and gradients. Must differ: whether events are followed."""
    sizes = SIZES[1]
    weight, bias = weights(sizes)
    x = images(sizes, 0.9).requires_grad_()
    events = results(convolve(x, convolution(sizes, weight, bias)), x, weight, bias)
    monkeypatch.setattr(event_convolution, "CONVOLUTION_DENSE", 0.5)
    monkeypatch.setattr(event_convolution.convolution, "convolve", None)
    assert_close(results(convolve(x, convolution(sizes, weight, bias)), x, weight, bias), events)


def test_spikes_moved_before_the_way_back_are_refused() -> None:
    """The way back reads what was convolved; torch tells by its version that it moved."""
    weight, bias = weights(SIZES[0])
    x = images(SIZES[0], 0.2).requires_grad_()
    out = convolve(x, convolution(SIZES[0], weight, bias))
    with torch.no_grad():
        x.mul_(2)
    with pytest.raises(RuntimeError, match="inplace"):
        out.sum().backward()
