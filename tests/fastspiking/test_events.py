"""Packed spikes: what is packed is what is unpacked, in windows too."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fastspiking.numba_events import sparse_form
from fastspiking.signals.spikes import SparseSpikes, dense, windows

few = settings(max_examples=60)


@st.composite
def inputs(draw: st.DrawFn) -> Tensor:
    """[T, B, N] of either precision with any density, ones alone or any values."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 4), st.sampled_from([1, 2, 63, 64, 65])))
    random = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    density = draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
    x = (torch.rand(shape, generator=random) < density).to(draw(st.sampled_from([torch.float32, torch.float64])))
    return x if draw(st.booleans()) else x * torch.randn(shape, generator=random)


def assert_canonical(events: SparseSpikes) -> None:
    """The contract that every reader relies on."""
    steps, batch, count = events.shape
    assert (events.indptr.dtype, events.index.dtype) == (torch.int64, torch.int32)
    assert len(events.indptr) == steps * batch + 1
    assert events.indptr[0] == 0
    assert events.indptr[-1] == len(events.index)
    assert events.value is None or len(events.value) == len(events.index)
    for first, last in zip(events.indptr[:-1].tolist(), events.indptr[1:].tolist(), strict=True):
        row = events.index[first:last].tolist()
        assert row == sorted(set(row)), "ascending, each position once"
        assert all(0 <= position < count for position in row)


def test_by_hand():
    """Expected on paper: two steps, two samples, three channels; row t * B + b."""
    x = torch.tensor([[[0, 1, 1], [0, 0, 0]], [[1, 0, 0], [0, 0, 1]]], dtype=torch.float64)
    events = SparseSpikes.of(x)
    assert events.indptr.tolist() == [0, 2, 2, 3, 4]
    assert events.index.tolist() == [1, 2, 0, 2]
    assert events.value is None
    assert events.rows().tolist() == [0, 0, 2, 3]
    assert events.density == pytest.approx(4 / 12)
    second = events.window(1, 2)
    assert (second.indptr.tolist(), second.index.tolist(), second.shape) == ([0, 1, 2], [0, 2], (1, 2, 3))
    graded = SparseSpikes.of(2 * x)
    assert graded.value.tolist() == [2.0] * 4
    assert graded.window(1, 9).value.tolist() == [2.0] * 2


@few
@given(inputs())
def test_round_trip(x):
    """Expected: the same tensor, dtype included; values only where one of them is not 1."""
    events = SparseSpikes.of(x)
    assert_canonical(events)
    assert torch.equal(events.dense(), x)
    assert events.dense().dtype == events.dtype == x.dtype
    assert (events.value is None) == bool(((x == 0) | (x == 1)).all())
    assert len(events.index) == int((x != 0).sum())
    assert dense(events).shape == x.shape
    assert dense(x) is x


@few
@given(inputs(), st.integers(1, 8))
def test_windows_are_those_of_the_dense_form(x, steps):
    """Expected: `Tensor.split`; put together again they are the whole."""
    parts = windows(SparseSpikes.of(x), steps)
    expected = windows(x, steps)
    assert len(parts) == len(expected)
    for part, wanted in zip(parts, expected, strict=True):
        assert_canonical(part)
        assert torch.equal(part.dense(), wanted)
    assert torch.equal(torch.cat([part.dense() for part in parts]), x)


@few
@given(inputs(), st.data())
def test_any_window(x, data):
    """Expected: the slice; an end beyond the last step is the last step."""
    first = data.draw(st.integers(0, len(x) - 1))
    last = data.draw(st.integers(first + 1, len(x) + 2))
    part = SparseSpikes.of(x).window(first, last)
    assert_canonical(part)
    assert torch.equal(part.dense(), x[first:last])


def test_packing_looks_at_values_not_at_signs():
    """Expected: -0.0 is no event, NaN and infinity are, and come back."""
    x = torch.tensor([[[0.0, -0.0, torch.nan, torch.inf, -1.0]]])
    events = SparseSpikes.of(x)
    assert events.index.tolist() == [2, 3, 4]
    assert torch.equal(events.dense().nan_to_num(nan=5.0), x.nan_to_num(nan=5.0))


def test_moving_keeps_everything():
    """Expected: equal fields on the same device."""
    events = SparseSpikes.of(torch.tensor([[[0.0, 2.0]]]))
    moved = events.to("cpu")
    assert moved.device == events.device == torch.device("cpu")
    assert torch.equal(moved.dense(), events.dense())


@few
@given(inputs())
def test_loops_find_the_events_that_torch_finds(x):
    """Must match: `SparseSpikes.of`, also of memory in another order. Must differ: more events than asked for."""
    for given_x in (x, x.transpose(0, 1)):
        found, expected = sparse_form(given_x, 1.0), SparseSpikes.of(given_x)
        assert_canonical(found)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        assert torch.equal(found.indptr, expected.indptr)
        assert torch.equal(found.dense(), given_x)
        assert (found.value is None) == (expected.value is None)
    fewer = (x.count_nonzero().item() - 0.5) / x.numel()
    assert sparse_form(x, fewer) is x or not x.any()
    assert sparse_form(x.clone().requires_grad_(), 1.0).requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("inputs", [1, 16, 63, 64, 65, 80, 145, 700])
def test_loops_find_the_events_of_wide_rows(inputs, dtype):
    """Must match: NumPy's positions, of whole words and of their rest; -0.0 is no event, NaN and 2 are."""
    x = torch.bernoulli(torch.full((3, 4, inputs), 0.3, dtype=dtype), generator=torch.Generator().manual_seed(inputs))
    ones = sparse_form(x, 1.0)
    assert ones.value is None
    x[0, 0, -1], x[1, 2, 0], x[2, 3, inputs // 2] = torch.nan, -0.0, 2.0
    found = sparse_form(x, 1.0)
    rows, places = np.nonzero(x.numpy().reshape(12, inputs))
    assert found.index.tolist() == places.tolist()
    assert found.rows().tolist() == rows.tolist()
    assert torch.equal(found.dense().nan_to_num(nan=5.0), x.nan_to_num(nan=5.0))
