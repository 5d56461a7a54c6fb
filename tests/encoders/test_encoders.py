"""Encoders against closed forms, binomial bounds and their contract.

Legend: T steps, B batch, N channels; x values in [0, 1].
"""

import functools
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import sgbench
from fastspiking.signals.spikes import SparseSpikes, SpikeTrains, dense
from fastspiking.signals.streams import generator
from sgbench.composition import catalogue
from sgbench.datasets.base import Samples
from sgbench.datasets.batches import Batches, SpikingData
from sgbench.encoders.base import Encoder, Values
from sgbench.encoders.direct import Direct
from sgbench.encoders.latency import Latency
from sgbench.encoders.rate import Rate
from sgbench.errors import InputError
from tests.entries import made
from tests.messages import raises_naming

NAMES = list(catalogue.entries("encoder"))
DTYPES = [torch.float32, torch.float64]
every_encoder = pytest.mark.parametrize("name", NAMES)
few = settings(max_examples=50)


@functools.cache
def make(name: str) -> Encoder:
    """An entry with its YAML's values; an encoder has no state."""
    return made("encoder", name)


def latency(**changes: float) -> Latency:
    return Latency(**{"steps": 25, "dt_s": 0.001, "tau_eff_s": 0.01, "threshold": 0.2, **changes})


def encode(encoder: Encoder, values: Values, seed: int = 0) -> Tensor:
    """The code in its dense form, whether it comes packed or not."""
    return dense(encoder.encode(values, torch.Generator().manual_seed(seed)))


# --- contract, for every entry of the catalogue


def some_values(dtype: torch.dtype = torch.float64) -> Tensor:
    """[11, 6] with the ends 0 and 1 among them."""
    values = torch.rand(11, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    values[0, :2] = torch.tensor([0.0, 1.0])
    return values.to(dtype)


def some_traces(dtype: torch.dtype = torch.float64) -> Tensor:
    """[11, 25, 6] that wander within [0, 1] and reach both ends."""
    moves = torch.randn(11, 25, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    traces = moves.cumsum(1)
    low, high = traces.amin(1, keepdim=True), traces.amax(1, keepdim=True)
    return ((traces - low) / (high - low)).to(dtype)


def some_trains(dtype: torch.dtype = torch.float64) -> SpikeTrains:
    """66 channels' spikes within 25 ms."""
    time_us = (25_000 * some_values()).long().flatten().clamp(max=24_999)
    sample, channel = torch.arange(66) // 6, torch.arange(66) % 6
    return SpikeTrains.of(sample, channel, time_us, [25_000] * 11, 6).to(dtype)


SOME = {"values": some_values, "traces": some_traces, "spikes": some_trains}
every_form = pytest.mark.parametrize(("name", "form"), [(name, form) for name in NAMES for form in make(name).takes])


@pytest.mark.one_in(4)
@every_form
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_shape_dtype_and_declared_output(name, form, dtype):
    """Expected: the contract; time first, the dtype of the values, zeros and ones where binary is declared."""
    encoder, values = make(name), SOME[form](dtype)
    kept = values.clone() if isinstance(values, Tensor) else None
    x = encode(encoder, values)
    assert x.shape == (encoder.steps, 11, encoder.channels(6))
    assert x.dtype == dtype
    assert x.is_contiguous()
    assert kept is None or torch.equal(values, kept)
    assert torch.isfinite(x).all()
    assert (x.abs().sum((0, 2)) > 0).all()
    assert encoder.lengths(values).tolist() == [25] * 11
    if encoder.output == "binary":
        assert set(x.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.one_in(4)
@every_form
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_spikes_come_packed_and_in_order(name, form, dtype):
    """Expected: the contract of `SparseSpikes`; equal, field by field, to what `nonzero` finds when dense."""
    encoder, values = make(name), SOME[form](dtype)
    signal = encoder.encode(values, torch.Generator().manual_seed(0))
    assert isinstance(signal, SparseSpikes) == (name not in ("direct", "count_only", "time_shuffled_direct"))
    if isinstance(signal, SparseSpikes):
        found = SparseSpikes.of(signal.dense())
        assert torch.equal(signal.indptr, found.indptr)
        assert torch.equal(signal.index, found.index)
        assert (signal.value is None) or torch.equal(signal.value, found.value)
        assert (signal.value is None) == (encoder.output == "binary")
        assert (signal.shape, signal.dtype) == (found.shape, dtype)
        assert (signal.indptr.dtype, signal.index.dtype) == (torch.int64, torch.int32)


def split_in_batches(name: str, form: str, batch_size: int, order: Tensor, seed: int = 0) -> Tensor:
    """The whole split, encoded batch by batch, in the order of visiting."""
    samples = Samples(SOME[form](), torch.zeros(11, dtype=torch.int64), None)
    noise = generator(seed, "encoding", "test")
    batches = Batches(samples, make(name), batch_size=batch_size, order=order, noise=noise, dtype=torch.float64)
    return torch.cat([dense(batch.x) for batch in batches], dim=1)


@pytest.mark.one_in(4)
@every_form
def test_batch_size_does_not_matter(name, form):
    """Expected: equal bits whether the split is encoded one by one, in sevens or at once, and once more."""
    order = torch.arange(11).flip(0)
    whole = split_in_batches(name, form, 11, order)
    for batch_size in (1, 7, 11, 100):
        assert torch.equal(split_in_batches(name, form, batch_size, order), whole)


@pytest.mark.one_in(4)
@every_form
def test_only_random_codes_depend_on_the_seed(name, form):
    """Must differ for random codes, must match for the others: what the seed of the stream changes."""
    order = torch.arange(11)
    first, other = (split_in_batches(name, form, 11, order, seed=seed) for seed in (0, 1))
    assert torch.equal(first, other) == (name not in ("rate", "poisson", "time_shuffled", "time_shuffled_direct"))


@pytest.mark.parametrize("name", [name for name in NAMES if "traces" in make(name).takes])
def test_traces_that_end_early_are_silent_afterwards(name):
    """Expected: a trace of 9 steps fills 9, and what comes then is zero."""
    encoder, traces = make(name), some_traces()[:, :9]
    assert encoder.lengths(traces).tolist() == [9] * 11
    x = encode(encoder, traces)
    assert x.shape[0] == encoder.steps
    assert x[9:].abs().sum() == 0
    assert x[:9].abs().sum() > 0


def test_bytes_are_fractions_of_255():
    """Expected: the code of bytes is that of the bytes divided by 255, in the precision of the run."""
    pixels = torch.arange(256, dtype=torch.uint8).view(4, 64)
    codes = []
    for values in (pixels, pixels.double() / 255):
        samples = Samples(values, torch.zeros(4, dtype=torch.int64), None)
        (batch,) = Batches(
            samples, make("direct"), batch_size=4, order=torch.arange(4), noise=torch.Generator(), dtype=torch.float64
        )
        codes.append(batch.x)
    assert torch.equal(*codes)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("dataset", ["digits", "sequential_digits", "randman"])
def test_a_form_that_does_not_fit_is_refused_with_the_remedy(dataset):
    """Expected: one line before any data are loaded; the entry that it names takes the form."""
    data_set = sgbench.create(f"dataset/{dataset}")
    rest = {"data_dir": Path(), "batch_size": 1, "seed": 0, "dtype": torch.float32}
    for name in NAMES:
        if data_set.form in make(name).takes:
            SpikingData(data_set, make(name), **rest)
            continue
        with pytest.raises(InputError, match=rf"holds {data_set.form}; use encoder=\w+$") as caught:
            SpikingData(data_set, make(name), **rest)
        assert data_set.form in make(str(caught.value).rpartition("=")[2]).takes


REQUIRED = {"steps": [0, -1, 2.5, True, "25"], "dt_s": [0, -1.0, math.nan, math.inf, "fast", True]}


@every_encoder
def test_bad_time_is_refused_by_name(name):
    """Expected: an InputError that begins with the option."""
    encoder = make(name)
    parameters = {each: getattr(encoder, each) for each in catalogue.entry("encoder", name).parameters}
    for key, values in REQUIRED.items():
        for value in values:
            with pytest.raises(InputError, match=rf"^encoder\.{key}={value!r}: a .*number .*is needed$"):
                type(encoder)(**{**parameters, key: value})


# --- latency


def step_by_hand(x: float, encoder: Latency) -> int | None:
    """floor(tau ln(x / (x - threshold)) / dt), or None for silence."""
    if x <= encoder.threshold:
        return None
    step = math.floor(encoder.tau_eff_s * math.log(x / (x - encoder.threshold)) / encoder.dt_s)
    return step if step < encoder.steps else None


def steps_of(spikes: Tensor) -> list[int | None]:
    """The one step in which each channel fires, or None."""
    assert (spikes.sum(0) <= 1).all()
    return [int(channel.argmax()) if channel.any() else None for channel in spikes.flatten(1).unbind(1)]


@pytest.mark.parametrize(
    "changes", [{}, {"threshold": 0.7}, {"steps": 400}, {"tau_eff_s": 0.0013}, {"dt_s": 0.0007, "steps": 3}], ids=str
)
def test_latency_equals_the_closed_form(changes):
    """Expected: t = tau ln(x / (x - threshold)) in Python, on a grid of prime spacing and at the edges.

    The grid keeps clear of step borders (checked), where rounding could decide.
    """
    encoder = latency(**changes)
    threshold = encoder.threshold
    grid = [k / 997 for k in range(998)]
    edges = [0.0, threshold, math.nextafter(threshold, 1), threshold + 1e-12, threshold + 1e-6, 1.0]
    values = [x for x in grid + edges if is_clear_of_borders(x, encoder)]
    assert len(values) > 1000
    found = steps_of(encode(encoder, torch.tensor([values], dtype=torch.float64)))
    assert found == [step_by_hand(x, encoder) for x in values]


def is_clear_of_borders(x: float, encoder: Latency) -> bool:
    """Whether t/dt is further than 1e-9 from a whole number."""
    if x <= encoder.threshold:
        return True
    in_steps = encoder.tau_eff_s * math.log(x / (x - encoder.threshold)) / encoder.dt_s
    return abs(in_steps - round(in_steps)) > 1e-9


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_latency_edges_by_hand(dtype):
    """Expected on paper, tau 10 ms, threshold 0.2, 1 ms steps.

    0 and 0.2 are silent. 0.2001 comes at 10 ln(0.2001/0.0001) = 76.01 ms: silent in 25 steps, step 76 in 100.
    0.25 at 10 ln 5 = 16.09 ms: step 16. 1 at 10 ln 1.25 = 2.23 ms: step 2.
    """
    values = torch.tensor([[0.0, 0.2, 0.2001, 0.25, 1.0]], dtype=dtype)
    assert steps_of(encode(latency(), values)) == [None, None, None, 16, 2]
    assert steps_of(encode(latency(steps=100), values)) == [None, None, 76, 16, 2]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "changes", [{"threshold": 1.0}, {"tau_eff_s": 1e20}, {"tau_eff_s": 1e308, "dt_s": 1e-6}], ids=str
)
def test_latency_without_any_spike(changes, dtype):
    """Expected: silence where no value exceeds the threshold, or every time is beyond the last step."""
    x = encode(latency(**changes), torch.tensor([[0.0, 0.5, 1.0]], dtype=dtype))
    assert x.sum() == 0


@few
@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=20),
    st.floats(0.01, 1),
    st.floats(1e-5, 1),
    st.integers(1, 40),
    st.sampled_from(DTYPES),
)
def test_latency_is_monotone(values, threshold, tau_eff_s, steps, dtype):
    """Expected: mathematics; the time falls with x, so a larger value never fires later, and fires if any does."""
    encoder = latency(threshold=threshold, tau_eff_s=tau_eff_s, steps=steps)
    x = torch.tensor([sorted(values)], dtype=dtype)
    found = [steps if step is None else step for step in steps_of(encode(encoder, x))]
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(("key", "value"), [("tau_eff_s", 0), ("threshold", 0), ("threshold", 1.1)])
def test_latency_refuses_by_name(key, value):
    """Expected: an InputError that begins with the option."""
    with pytest.raises(InputError, match=rf"^encoder\.{key}={value!r}: a number in \("):
        latency(**{key: value})


# --- rate


def test_rate_converges_to_the_value():
    """Expected: a binomial count of n = T B draws with p = x max_rate dt, within 5 standard deviations.

    5 deviations of 4 channels at random would fail once in 4 x 10^5 seeds; the seed is fixed. At p = 0 and p = 1
    the count is exact.
    """
    steps, samples = 200, 400
    encoder = Rate(steps=steps, dt_s=0.001, max_rate_hz=400.0)
    values = torch.tensor([0.0, 0.1, 0.5, 1.0]).expand(samples, 4)
    counts = encode(encoder, values).sum((0, 1)).tolist()
    draws = steps * samples
    for x, count in zip((0.0, 0.1, 0.5, 1.0), counts, strict=True):
        p = 0.4 * x
        assert abs(count - draws * p) <= 5 * math.sqrt(draws * p * (1 - p))
    certain = Rate(steps=steps, dt_s=0.001, max_rate_hz=1000.0)
    assert encode(certain, torch.ones(2, 3)).all()


def test_rate_is_independent_over_steps_samples_and_channels():
    """Expected: pairs of neighbours fire together with p^2 = 1/4 of all draws, within 5 standard deviations."""
    x = encode(Rate(steps=100, dt_s=0.001, max_rate_hz=500.0), torch.ones(60, 50))
    for axis in range(3):
        first, second = x.narrow(axis, 0, x.shape[axis] - 1), x.narrow(axis, 1, x.shape[axis] - 1)
        together = (first * second).mean().item()
        # Neighbouring pairs share a draw: the variance of their mean is below (p^2 (1 - p^2) + 2 p^3 (1 - p)) / n.
        deviation = math.sqrt((3 / 16 + 2 / 16) / first.numel())
        assert abs(together - 0.25) < 5 * deviation


def test_rate_refuses_more_than_one_spike_a_step():
    """Expected: one line with the largest rate that is allowed; exactly that one is accepted."""
    with raises_naming(InputError, "encoder.max_rate_hz=501", "500 Hz"):
        Rate(steps=5, dt_s=0.002, max_rate_hz=501.0)
    Rate(steps=5, dt_s=0.002, max_rate_hz=500.0)


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, "high"], ids=repr)
def test_rate_refuses_by_name(value):
    """Expected: an InputError that begins with the option."""
    with raises_naming(InputError, f"encoder.max_rate_hz={value!r}", "(0, inf"):
        Rate(steps=5, dt_s=0.001, max_rate_hz=value)


# --- direct


@pytest.mark.parametrize("gain", [1.0, -0.37, 0.0])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_direct_is_the_value_in_every_step(gain, dtype):
    """Expected: gain times x, bit for bit, T times."""
    values = some_values(dtype)
    x = encode(Direct(steps=3, dt_s=0.001, gain=gain), values)
    assert all(torch.equal(step, gain * values) for step in x)


@pytest.mark.parametrize("value", [math.nan, math.inf, "loud", None], ids=repr)
def test_direct_refuses_by_name(value):
    """Expected: an InputError that begins with the option."""
    with pytest.raises(InputError, match=r"^encoder\.gain="):
        Direct(steps=3, dt_s=0.001, gain=value)
