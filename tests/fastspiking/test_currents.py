"""On identical currents all engines make the same steps, bit for bit; features of any shape.

Expected: the engine `reference`; elementwise operations in the written order leave no room for another rounding.
"""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastspiking.choose import Engine
from fastspiking.layer import LayerRun
from tests.fastspiking.cases import BY_HAND, FAST, NEURONS, Given, assert_same, functional, neuron, options, result

DTYPES = (torch.float32, torch.float64)


def currents(kind: str, shape: tuple[int, ...], dtype: torch.dtype, seed: int = 2) -> torch.Tensor:
    """Random currents under which neurons of this kind fire now and then."""
    random = torch.Generator().manual_seed(seed)
    gain = 1.0 if kind != "adlif" else 12.0
    return gain * (torch.randn(shape, generator=random, dtype=torch.float64).to(dtype) + 0.3)


def run(engine: str, layer: Given, current: torch.Tensor) -> LayerRun:
    """Without gradient."""
    return Engine(engine).unroll([layer], current, keep_u=True)[0]


@pytest.mark.one_in(8)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", NEURONS)
def test_equal_bits_on_equal_currents(kind, dtype):
    """Expected: equal bits of spikes, potentials and last states, in both precisions and with every option."""
    current = currents(kind, (60, 4, 67), dtype)
    for reset, learn in itertools.product(options(kind)["reset"], options(kind)["learn"]):
        layer = Given(neuron(kind, 67, reset=reset, reset_gradient="detached", learn=learn).to(dtype))
        expected = run("reference", layer, current)
        for engine in FAST if (reset, learn) == ("zero", "none") else BY_HAND:
            found = run(engine, layer, current)
            where = f"{engine}: {kind} {reset} learn={learn}"
            assert torch.equal(found.output, expected.output), f"{where}: spikes"
            assert torch.equal(found.u, expected.u), f"{where}: u - theta"
            for one, other in zip(found.state, expected.state, strict=True):
                assert torch.equal(one, other), f"{where}: last state"
        if expected.output is not expected.u and not torch.equal(expected.output, expected.u):
            assert 0.03 < expected.output.mean() < 0.9, where


@settings(max_examples=40)
@given(
    kind=st.sampled_from(NEURONS),
    steps=st.integers(1, 6),
    batch=st.integers(1, 3),
    size=st.sampled_from([1, 2, 63, 64, 65, 128, 129]),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 1000),
)
def test_equal_bits_whatever_the_shape(kind, steps, batch, size, dtype, seed):
    """Expected: equal bits at single steps, samples and neurons, and around the 64 spikes of a word."""
    current = currents(kind, (steps, batch, size), dtype, seed)
    layer = Given(neuron(kind, size).to(dtype))
    expected = run("reference", layer, current)
    for engine in FAST:
        found = run(engine, layer, current)
        assert torch.equal(found.output, expected.output)
        assert torch.equal(found.u, expected.u)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_spikes_at_threshold_are_silent(dtype):
    """Expected by hand: u = theta does not fire, the next larger number does; a current of 1 and its neighbour."""
    current = torch.ones(1, 1, 2, dtype=dtype)
    current[0, 0, 1] = torch.nextafter(torch.ones((), dtype=dtype), torch.full((), 2, dtype=dtype))
    layer = Given(neuron("leaky", 2, threshold=1.0).to(dtype))
    for engine in ("reference", *FAST):
        assert run(engine, layer, current).output.flatten().tolist() == [0.0, 1.0]


@pytest.mark.parametrize("kind", NEURONS)
def test_what_is_not_finite_stays_and_spreads_to_no_one(kind):
    """Expected: `reference`; the neurons it finds not finite at the end, and equal bits for all others."""
    current = currents(kind, (5, 2, 4), torch.float64)
    current[1, 0, 1], current[1, 1, 2], current[2, 0, 3] = torch.nan, torch.inf, -torch.inf
    layer = Given(neuron(kind, 4))
    expected = run("reference", layer, current)
    bad = ~expected.state.u.isfinite()
    assert bad.sum() == 3
    for engine in FAST:
        found = run(engine, layer, current)
        assert torch.equal(~found.state.u.isfinite(), bad)
        assert torch.equal(found.output[:, ~bad], expected.output[:, ~bad])
        assert torch.equal(found.u[:, ~bad], expected.u[:, ~bad])
        assert not found.output[1, 0, 1] > 0  # NaN is not above threshold


# --- features with more than one dimension


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 5), (3, 1, 1), (2, 6), ()], ids=str)
@pytest.mark.parametrize("engine", FAST)
def test_features_of_any_shape(engine, shape):
    """Expected: `reference`, which is elementwise; outputs, states and the current's gradient in that shape."""
    layer = Given(neuron("alif", shape[-1] if shape else 1, reset="zero", reset_gradient="attached", learn="shared"))
    current = currents("alif", (7, 2, *shape), torch.float64)
    assert_same(result(engine, [layer], current), result("reference", [layer], current))


@pytest.mark.parametrize("engine", ["reference", *FAST])
@pytest.mark.parametrize("kind", ["leaky", "adlif"])
def test_channels_last_equals_contiguous(engine, kind):
    """Expected: equal bits, forward and backward; features are only flattened in another order."""
    shape = (6, 2, 3, 4, 5)
    current = currents(kind, shape, torch.float64)
    as_stored = current.flatten(0, 1).to(memory_format=torch.channels_last).view(shape)
    assert as_stored.stride(2) == 1
    layer = Given(neuron(kind, 5, learn="per_neuron", reset_gradient="attached"))
    found, expected = result(engine, [layer], as_stored), result(engine, [layer], current)
    assert torch.equal(found.output[0], expected.output[0])
    assert torch.equal(found.u[0], expected.u[0])
    assert torch.equal(found.gradients["input"], expected.gradients["input"])
    assert_same(found, expected)


def test_channels_last_stays_so():
    """Expected: the compiled steps hand out the order in memory that they got, so that no copy follows."""
    shape = (6, 2, 3, 4, 5)
    current = currents("leaky", shape, torch.float64).flatten(0, 1).to(memory_format=torch.channels_last).view(shape)
    run_ = run("fused", Given(neuron("leaky", 5)), current)
    assert run_.output.stride() == current.stride()


@pytest.mark.parametrize("engine", FAST)
def test_gradient_of_a_current_with_strides(engine):
    """Expected: `reference`; a current that is a view, and a loss that sees every second step."""
    whole = currents("leaky", (14, 3, 10), torch.float64)
    layer = Given(neuron("leaky", 5, reset_gradient="attached"))

    def loss(runs: list[LayerRun]) -> torch.Tensor:
        return functional([LayerRun(runs[0].output[::2], runs[0].u.transpose(0, 1), runs[0].state)])

    view = whole[::2, :, ::2]
    assert not view.is_contiguous()
    assert_same(result(engine, [layer], view, loss=loss), result("reference", [layer], view, loss=loss))
