"""Followed events and dense products are two ways to one number; chunks of time have no borders.

Expected: the engine `reference`, or the same engine with the other way forced.
"""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastspiking import event_product, matmul, plan, scan
from tests.fastspiking.cases import (
    FAST,
    NEURONS,
    WIRINGS,
    Result,
    Wired,
    assert_clear,
    assert_same,
    fires,
    functional,
    gain_of,
    neuron,
    packed,
    result,
    spikes,
)
from tests.thinned import thinned

KINDS = [kind for kind in NEURONS if fires(kind)]


@pytest.fixture(autouse=True)
def _in_chunks_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chain goes in chunks of time; blocks of samples have tests of their own."""
    monkeypatch.setattr("fastspiking.blocks.covers", lambda stages: False)


def network(kind: str = "leaky", wiring: tuple[str, str] = WIRINGS[3], width: int = 9, **changes: object) -> list:
    """Two spiking layers and a readout."""
    return [
        Wired(6, neuron(kind, width, **changes), width, gain=gain_of(kind), wiring=wiring),
        Wired(width, neuron("leaky", 8, **changes), 8, gain=gain_of("leaky"), wiring=wiring, name="hidden1"),
        Wired(8, neuron("leaky_readout", 3), 3, gain=1.0, name="readout"),
    ]


def forced(monkeypatch: pytest.MonkeyPatch, forward: float, weight: float, engine: str, signal: object) -> Result:
    """A run with these limits."""
    monkeypatch.setattr(matmul, "FORWARD_DENSE", forward)
    monkeypatch.setattr(matmul, "SCAN_DENSE", forward)
    monkeypatch.setattr(matmul, "WEIGHT_DENSE", weight)
    return result(engine, network(), signal)


@pytest.mark.one_in(5)
@pytest.mark.parametrize("graded", [False, True], ids=["binary", "graded"])
@pytest.mark.parametrize("share", thinned([0.1, 0.0, 0.3, 0.8, 1.0], 4))
@pytest.mark.parametrize("engine", FAST)
def test_both_ways_give_the_same_numbers(engine, share, graded, monkeypatch):
    """Expected: `reference` to 1e-12 on dense products alone (limit -1), on events alone (limit 2), and mixed."""
    x = spikes(20, 3, 6, share) * (torch.linspace(-1, 2, 360, dtype=torch.float64).view(20, 3, 6) if graded else 1)
    expected = result("reference", network(), x)
    for forward in (-1.0, 2.0):
        for weight in (-1.0, 2.0):
            assert_same(forced(monkeypatch, forward, weight, engine, packed(x)), expected, f"{forward}, {weight}")


def test_limits_decide_the_way(monkeypatch):
    """Must differ: how often spikes are written out as a matrix; otherwise one way is compared with itself.

    Three layers forward; backward the same in each of 20 chunks.
    """
    small_chunks(monkeypatch, 1, 1)
    written = []
    original = event_product.EventProduct._filled_in
    monkeypatch.setattr(
        event_product.EventProduct, "_filled_in", lambda *given: (written.append(1), original(*given))[1]
    )
    x = packed(spikes(20, 3, 6, 0.3))
    for forward, weight, times in ((2.0, 2.0, 0), (-1.0, 2.0, 3), (2.0, -1.0, 60), (-1.0, -1.0, 63)):
        written.clear()
        forced(monkeypatch, forward, weight, "fused", x)
        assert len(written) == times


def test_limits_decide_the_way_of_scan(monkeypatch):
    """Must differ: packed input is summed up by `embedding_bag` where it is sparse, and only there."""
    calls = []
    original = scan.embedding_bag
    monkeypatch.setattr(scan, "embedding_bag", lambda *given, **more: (calls.append(1), original(*given, **more))[1])
    for forward, times in ((-1.0, 0), (2.0, 1)):
        calls.clear()
        forced(monkeypatch, forward, 0.0, "scan", packed(spikes(20, 3, 6, 0.3)))
        assert len(calls) == times


@pytest.mark.one_in(8)
@pytest.mark.parametrize("engine", FAST)
@pytest.mark.parametrize("kind", thinned(KINDS, 3))
def test_density_is_a_matter_of_speed(engine, kind):
    """Expected: `reference` just below and just above each limit, no spike at all, and all inputs firing."""
    for share in (0.0, 0.2, 0.24, 0.33, 0.37, 1.0):
        x = spikes(40, 4, 6, share)
        layers = network(kind, WIRINGS[1])
        assert_same(result(engine, layers, packed(x)), result("reference", layers, x), f"density {share}")


# --- chunks


def small_chunks(monkeypatch: pytest.MonkeyPatch, entries: int, rows: int) -> None:
    """At most so many entries or at least so many rows a chunk."""
    monkeypatch.setattr(plan, "CHUNK_ENTRIES", entries)
    monkeypatch.setattr(plan, "CHUNK_ROWS", rows)


SIZES = (1, 60, 150, 400)
WIRED = [(one, "zero") for one in WIRINGS] + [(WIRINGS[3], "subtract")]
CHUNKED = [
    pytest.param(kind, wiring, reset, entries, marks=[pytest.mark.slow] * ((row + column + place) % 8 != 0))
    for row, kind in enumerate(KINDS)
    for column, (wiring, reset) in enumerate(WIRED)
    for place, entries in enumerate(SIZES)
]
"""A Latin square of them in the default run: every size with every kind of neuron and every wiring."""


@pytest.mark.one_in(8)
@pytest.mark.parametrize(("kind", "wiring", "reset", "entries"), CHUNKED)
def test_chunks_have_no_borders(kind, wiring, reset, entries, monkeypatch):
    """Expected: `reference`; 23 steps in chunks of 1, 2, 5 and 12, all coefficients learnt, nothing detached.

    Each chunk hands state, adjoints, spikes and sums to its neighbours.
    """
    layers = network(kind, wiring, reset=reset, reset_gradient="attached", learn="per_neuron")
    x = spikes(23, 3, 6)
    expected = result("reference", layers, x)
    assert_clear(expected)
    small_chunks(monkeypatch, entries, 1)
    for engine in FAST:
        for signal in (x, packed(x)):
            assert_same(result(engine, layers, signal), expected, f"{engine}, {type(signal).__name__}")


def test_chunks_cover_time_once(monkeypatch):
    """Expected: consecutive ranges from 0 to T whose lengths differ as little as they can, several of them."""
    runs: list[list[tuple[int, int]]] = []
    original = plan.chunks

    def noted(plans: list) -> list[tuple[int, int]]:
        runs.append(original(plans))
        return runs[-1]

    monkeypatch.setattr("fastspiking.recursion.chunks", noted)
    for entries, rows, sizes in ((27 * 7, 1, {6, 5}), (1, 9, {3, 2}), (1, 1, {1}), (10**6, 1, {23})):
        small_chunks(monkeypatch, entries, rows)
        runs.clear()
        result("fused", network(), packed(spikes(23, 3, 6)))
        (ranges,) = runs  # of the backward pass
        assert ranges[0][0] == 0
        assert ranges[-1][1] == 23
        assert all(one[1] == other[0] for one, other in itertools.pairwise(ranges))
        assert {last - first for first, last in ranges} <= sizes


@pytest.mark.slow
@settings(max_examples=40)
@given(
    kind=st.sampled_from(KINDS),
    wiring=st.sampled_from(WIRINGS),
    steps=st.integers(1, 9),
    width=st.sampled_from([1, 9, 64, 65]),
    entries=st.integers(1, 400),
    rows=st.integers(1, 12),
    parts=st.sets(st.sampled_from(["spikes", "u", "state"]), min_size=1),
    engine=st.sampled_from(FAST),
)
def test_any_chunk(kind, wiring, steps, width, entries, rows, parts, engine):
    """Expected: `reference`, for any length of chunk and any part of the loss; numbers make all sums exact."""
    layers = [
        Wired(6, neuron(kind, width, dyadic=True, learn="shared"), width, gain=2.0, wiring=wiring, unit=0.125),
        Wired(width, neuron("leaky", 5, dyadic=True), 5, gain=1.0, wiring=wiring, unit=0.125),
    ]
    x = spikes(steps, 2, 6)

    def loss(runs: list) -> torch.Tensor:
        return functional(runs, sorted(parts))

    expected = result("reference", layers, x, loss=loss)
    with pytest.MonkeyPatch.context() as monkeypatch:
        small_chunks(monkeypatch, entries, rows)
        assert_same(result(engine, layers, packed(x), loss=loss), expected)
