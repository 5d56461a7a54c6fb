"""What each code means: its closed form, its inverse and its edges.

Legend: T steps, B batch, N values or traces; x values in [0, 1], theta threshold.
"""

import math

import numpy as np
import pytest
import snntorch.spikegen
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fastspiking.signals.spikes import dense
from sgbench.encoders.base import Encoder
from sgbench.encoders.burst import Burst
from sgbench.encoders.delta import Delta
from sgbench.encoders.level_crossing import LevelCrossing
from sgbench.encoders.linear_latency import LinearLatency
from sgbench.encoders.phase import Phase
from sgbench.encoders.poisson import Poisson
from sgbench.encoders.population import Population
from sgbench.encoders.rate import Rate
from sgbench.encoders.spike_time import SpikeTime
from sgbench.encoders.step_forward import StepForward
from sgbench.errors import InputError
from tests.messages import raises_naming

few = settings(max_examples=40)
some_numbers = st.lists(st.floats(0, 1), min_size=2, max_size=20)
GRID = torch.arange(998, dtype=torch.float64)[None] / 997


def encode(encoder: Encoder, values: Tensor, seed: int = 0) -> Tensor:
    return dense(encoder.encode(values, torch.Generator().manual_seed(seed)))


def first_steps(spikes: Tensor) -> list[int | None]:
    """The one step in which each channel of the only sample fires, or None."""
    assert (spikes.sum(0) <= 1).all()
    return [int(each.argmax()) if each.any() else None for each in spikes[:, 0].unbind(1)]


# --- linear latency and spike time


def test_linear_latency_equals_the_closed_form():
    """Expected: floor(last (1 - x) / dt) in Python, silent at and below the threshold."""
    encoder = LinearLatency(steps=20, dt_s=0.0007, last_s=0.01, threshold=0.25)
    found = first_steps(encode(encoder, GRID))
    for x, step in zip(GRID[0].tolist(), found, strict=True):
        time = 0.01 * (1 - x) / 0.0007
        if abs(time - round(time)) > 1e-9:
            assert step == (math.floor(time) if x > 0.25 else None), x


def test_linear_latency_equals_snntorch():
    """Expected: snnTorch's linear, normalised latency code; it rounds to the nearest step, ours floors, so half a
    step is added to ours. Values keep clear of the borders.
    """
    steps = 11
    values = (torch.arange(10, dtype=torch.float64)[None] + 0.6) / 10.1
    theirs = snntorch.spikegen.latency(
        values, num_steps=steps, tau=1, threshold=0.01, linear=True, normalize=True, clip=False
    )
    encoder = LinearLatency(steps=steps, dt_s=0.001, last_s=0.010, threshold=0.001)
    shifted = values - 0.05  # half a step of 1 ms in 10 ms
    assert first_steps(encode(encoder, shifted)) == first_steps(theirs.double())


@pytest.mark.one_in(4)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_on_the_grid_fall_into_their_own_step(dtype):
    """Expected in whole numbers: 1 - k/n fires in step k of n, k/n sends k of n spikes, n + 1 - k steps apart."""
    for most in range(1, 101):
        k = torch.arange(most + 1)
        values = (k.double() / most).to(dtype)[None]
        latency = LinearLatency(steps=most + 1, dt_s=0.001, last_s=0.001 * most, threshold=0.0)
        steps = first_steps(latency.encode((1 - k.double() / most).to(dtype)[None], torch.Generator()).dense())
        assert steps[:most] == k.tolist()[:most]
        burst = Burst(steps=most, dt_s=0.001, most=most, shortest_s=0.001, longest_s=0.001)
        assert burst.encode(values, torch.Generator()).dense().sum(0)[0].tolist() == k.tolist()
        apart = Burst(steps=most + 2, dt_s=0.001, most=2, shortest_s=0.001, longest_s=0.001 * (most + 1))
        second = apart.encode(values, torch.Generator()).dense()[1:, 0].int().argmax(0) + 1
        double = 2 * k > most  # two spikes are sent above a half
        assert torch.equal(second[double], (most + 1 - k)[double])


@few
@given(some_numbers, st.floats(0, 1), st.floats(0, 0.1), st.integers(1, 40))
def test_linear_latency_is_monotone(values, threshold, last_s, steps):
    """Expected: a larger value never fires later, and fires if a smaller one does."""
    encoder = LinearLatency(steps=steps, dt_s=0.001, last_s=last_s, threshold=threshold)
    x = torch.tensor([sorted(values)], dtype=torch.float64)
    found = [steps if step is None else step for step in first_steps(encode(encoder, x))]
    assert found == sorted(found, reverse=True)


@few
@given(some_numbers, st.integers(2, 60))
def test_spike_times_are_monotone_and_never_silent(values, steps):
    """Expected: exactly one spike a channel, never earlier for a larger value; the ends by hand."""
    last_s = 0.001 * (steps - 1)
    encoder = SpikeTime(steps=steps, dt_s=0.001, first_s=0.0, last_s=last_s, bias_s=None)
    x = torch.tensor([[0.0, *sorted(values), 1.0]], dtype=torch.float64)
    spikes = encode(encoder, x)
    assert (spikes.sum(0) == 1).all()
    found = first_steps(spikes)
    assert found == sorted(found)
    assert found[0] == 0
    assert found[-1] >= steps - 2  # the last bit of 0.001 (steps - 1) / 0.001 may be lost


def test_spike_time_reads_back_within_a_step():
    """Expected: mathematics; |t - t(x)| < dt, so x is read back to dt / (last - first)."""
    encoder = SpikeTime(steps=50, dt_s=0.001, first_s=0.005, last_s=0.045, bias_s=0.002)
    spikes = encode(encoder, GRID)
    steps = torch.tensor(first_steps(spikes))
    assert steps[-1] == 2  # the bias, whatever the values
    back = (steps[:-1].double() + 0.5 - 5) / 40
    assert (back - GRID[0]).abs().max() <= 0.5 / 40 + 1e-9


@pytest.mark.parametrize(("key", "value"), [("last_s", 0.02), ("bias_s", 0.03)])
def test_spike_time_stays_within_the_steps(key, value):
    """Expected: an InputError that names the option; a time just inside is fine."""
    numbers = {"first_s": 0.0, "last_s": 0.0199, "bias_s": None}
    SpikeTime(steps=20, dt_s=0.001, **numbers)
    with raises_naming(InputError, f"encoder.{key}=", "20 steps", "0.001 s"):
        SpikeTime(steps=20, dt_s=0.001, **{**numbers, key: value})


# --- rate and Poisson


def test_poisson_converges_to_the_chance_of_an_event():
    """Expected: binomial with p = 1 - exp(-x r dt), within 5 deviations, however high the rate."""
    encoder = Poisson(steps=200, dt_s=0.001, max_rate_hz=2000.0)
    values = torch.tensor([0.0, 0.1, 0.5, 1.0]).expand(300, 4)
    found = encode(encoder, values).mean((0, 1)).tolist()
    for x, share in zip((0.0, 0.1, 0.5, 1.0), found, strict=True):
        p = 1 - math.exp(-2 * x)
        assert abs(share - p) <= 5 * math.sqrt(p * (1 - p) / 60_000)


def test_poisson_has_the_same_silence_in_finer_steps():
    """Expected: mathematics, e^-rT whatever the step; must differ for `rate`, whose (1 - r dt)^n depends on it."""
    values = torch.ones(20_000, 1)
    silence = {}
    for code in (Poisson, Rate):
        for steps in (1, 10):
            encoder = code(steps=steps, dt_s=0.01 / steps, max_rate_hz=70.0)
            silence[code, steps] = (encode(encoder, values).sum(0) == 0).double().mean().item()
    deviation = 5 * math.sqrt(0.25 / 20_000)
    assert abs(silence[Poisson, 1] - math.exp(-0.7)) < deviation
    assert abs(silence[Poisson, 10] - math.exp(-0.7)) < deviation
    assert abs(silence[Rate, 1] - 0.3) < deviation
    assert abs(silence[Rate, 10] - 0.93**10) < deviation


@pytest.mark.parametrize("code", [Rate, Poisson])
def test_rate_follows_a_trace(code):
    """Expected: spikes only where the trace is not 0, at the rate of each step."""
    trace = torch.zeros(500, 12, 1)
    trace[:, 4:8] = 0.5
    x = encode(code(steps=12, dt_s=0.001, max_rate_hz=1000.0), trace)
    assert x[:4].sum() == x[8:].sum() == 0
    p = 0.5 if code is Rate else 1 - math.exp(-0.5)
    assert abs(x[4:8].mean().item() - p) < 5 * math.sqrt(p * (1 - p) / 2000)


# --- population


@pytest.mark.parametrize("neurons", [3, 4, 8])
def test_population_equals_the_formula(neurons):
    """Expected: Bohte's centres (2 i - 3) / (2 (K - 2)), i from 1, and width, in NumPy; silent below the cutoff."""
    encoder = Population(steps=30, dt_s=0.001, neurons=neurons, beta=1.5, last_s=0.02, cutoff=0.1)
    found = first_steps(encode(encoder, GRID))
    assert len(found) == encoder.channels(998) == 998 * neurons
    for n, x in enumerate(GRID[0].tolist()):
        for k in range(neurons):
            centre = (2 * (k + 1) - 3) / (2 * (neurons - 2))
            g = math.exp(-((x - centre) ** 2) / (2 * (1 / (1.5 * (neurons - 2))) ** 2))
            time = 20 * (1 - g)
            if abs(time - round(time)) > 1e-9 and abs(g - 0.1) > 1e-9:
                assert found[n * neurons + k] == (math.floor(time) if g >= 0.1 else None)


def test_population_tells_values_apart():
    """Expected: at least one of the neurons fires for every value, and the nearest centre fires first."""
    encoder = Population(steps=200, dt_s=0.0001, neurons=8, beta=1.5, last_s=0.02, cutoff=0.1)
    found = np.array(first_steps(encode(encoder, GRID)), dtype=object).reshape(998, 8)
    centres = (np.arange(8) - 0.5) / 6
    for x, row in zip(GRID[0].tolist(), found, strict=True):
        steps = [999 if step is None else step for step in row]
        assert min(steps) < 999
        assert steps[int(np.abs(centres - x).argmin())] == min(steps)


# --- phase and burst


@few
@given(some_numbers, st.integers(1, 24))
def test_phase_adds_up_to_the_value(values, phases):
    """Expected: the weights of a period sum to x within 2^-K, never above; every period is the same."""
    x = torch.tensor([values], dtype=torch.float64)
    spikes = encode(Phase(steps=3 * phases, dt_s=0.001, phases=phases), x)
    periods = spikes.view(3, phases, -1)
    assert torch.equal(periods[0], periods[2])
    error = x[0] - periods[0].sum(0)
    assert (error >= 0).all()
    assert (error[x[0] < 1] < 2.0**-phases).all()
    assert (error <= 2.0**-phases).all()


def test_phase_digits_by_hand():
    """Expected: 0.8125 = 0.1101 in base 2; 0 is silent, 1 is all ones."""
    spikes = encode(Phase(steps=4, dt_s=0.001, phases=4), torch.tensor([[0.8125, 0.0, 1.0]]))
    assert spikes[:, 0].T.tolist() == [[0.5, 0.25, 0, 0.0625], [0, 0, 0, 0], [0.5, 0.25, 0.125, 0.0625]]


def test_phase_refuses_more_digits_than_a_float_has():
    """Expected: an InputError that names the option."""
    with pytest.raises(InputError, match=r"^encoder\.phases="):
        Phase(steps=4, dt_s=0.001, phases=25)


def test_burst_equals_the_formula():
    """Expected: ceil(n x) spikes, ceil(d_max - (d_max - d_min) x) steps apart, in Python."""
    encoder = Burst(steps=80, dt_s=0.001, most=5, shortest_s=0.002, longest_s=0.009)
    spikes = encode(encoder, GRID)[:, 0]
    for x, channel in zip(GRID[0].tolist(), spikes.unbind(1), strict=True):
        count, exact = math.ceil(5 * x), 9 - 7 * x
        if abs(exact - round(exact)) < 1e-4:
            continue
        expected = [k * math.ceil(exact) for k in range(count)]
        assert channel.nonzero().flatten().tolist() == expected


@few
@given(some_numbers)
def test_burst_grows_with_the_value(values):
    """Expected: a larger value has no fewer spikes, and no later last one of the same number."""
    encoder = Burst(steps=60, dt_s=0.001, most=5, shortest_s=0.001, longest_s=0.01)
    spikes = encode(encoder, torch.tensor([sorted(values)], dtype=torch.float64))[:, 0]
    counts = spikes.sum(0).tolist()
    assert counts == sorted(counts)
    lasts = [int(each.nonzero().max()) if each.any() else -1 for each in spikes.unbind(1)]
    for (one, last), (two, then) in zip(
        zip(counts, lasts, strict=True), zip(counts[1:], lasts[1:], strict=True), strict=False
    ):
        assert one != two or then <= last


# --- traces


def trace(steps: int, seed: int, size: float) -> Tensor:
    """A wandering trace [1, steps, 3] whose steps are at most `size`."""
    random = torch.Generator().manual_seed(seed)
    moves = size * (2 * torch.rand(1, steps, 3, generator=random, dtype=torch.float64) - 1)
    return 1 - ((0.5 + moves.cumsum(1)) % 2 - 1).abs()  # folded back at 0 and 1


def rebuilt(spikes: Tensor, start: Tensor, threshold: float) -> Tensor:
    """The reference [T, N] that rises and falls by the threshold times the spikes."""
    up, down = spikes[:, 0].chunk(2, dim=1)
    return start + threshold * (up - down).cumsum(0)


@few
@given(st.integers(0, 1000), st.floats(0.01, 0.5), st.floats(0.01, 0.6))
def test_level_crossing_rebuilds_the_trace_within_its_threshold(seed, threshold, size):
    """Expected: |x - r| < theta in every step, however fast the trace."""
    x = trace(40, seed, size)
    spikes = encode(LevelCrossing(steps=40, dt_s=0.001, threshold=threshold), x)
    error = (x[0] - rebuilt(spikes, x[0, 0], threshold)).abs()
    assert error.max() < threshold * (1 + 1e-9)


@few
@given(st.integers(0, 1000), st.floats(0.05, 0.5))
def test_step_forward_rebuilds_slow_traces_within_its_threshold(seed, threshold):
    """Expected: mathematics; a trace that moves by less than theta a step never leaves the band of its baseline."""
    x = trace(40, seed, threshold * 0.99)
    spikes = encode(StepForward(steps=40, dt_s=0.001, threshold=threshold), x)
    error = (x[0] - rebuilt(spikes, x[0, 0], threshold)).abs()
    assert error.max() <= threshold * (1 + 1e-9)
    assert spikes.max() <= 1


def test_step_forward_catches_up_with_a_jump():
    """Expected by hand: a jump by 4.5 thresholds takes 4 spikes in 4 steps; level crossing has 4 at once."""
    x = torch.zeros(1, 10, 1, dtype=torch.float64)
    x[:, 2:] = 0.9
    forward, crossing = (
        encode(code(steps=10, dt_s=0.001, threshold=0.2), x)[:, 0, 0].tolist() for code in (StepForward, LevelCrossing)
    )
    assert forward == [0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    assert crossing == [0, 0, 4, 0, 0, 0, 0, 0, 0, 0]


def test_delta_equals_snntorch():
    """Expected: snnTorch's delta with off spikes; it compares the first step with 0, we with itself."""
    x = trace(60, 3, 0.3)
    theirs = snntorch.spikegen.delta(x.transpose(0, 1), threshold=0.1, padding=True, off_spike=True).double()
    ours = encode(Delta(steps=60, dt_s=0.001, threshold=0.1), x)
    up, down = ours.chunk(2, dim=2)
    assert up.sum() > 20 < down.sum()
    assert torch.equal((up - down)[1:], theirs[1:])
    assert ours[0].sum() == 0


def test_delta_does_not_see_a_drift_that_the_others_follow():
    """Must differ: a ramp of half a threshold a step."""
    x = (0.05 * torch.arange(15, dtype=torch.float64))[None, :, None]
    spikes = {
        code: encode(code(steps=15, dt_s=0.001, threshold=0.1), x).sum().item()
        for code in (Delta, StepForward, LevelCrossing)
    }
    assert spikes[Delta] == 0
    assert spikes[StepForward] >= 6
    assert spikes[LevelCrossing] >= 6


@pytest.mark.parametrize("code", [Delta, StepForward, LevelCrossing])
def test_a_falling_trace_mirrors_a_rising_one(code):
    """Expected: mathematics; 1 - x swaps the two channels of each trace."""
    x = trace(50, 9, 0.3)
    encoder = code(steps=50, dt_s=0.001, threshold=0.13)
    rising, falling = encode(encoder, x), encode(encoder, 1 - x)
    assert torch.equal(rising.roll(3, 2), falling)


@pytest.mark.parametrize("code", [Delta, StepForward, LevelCrossing])
def test_thresholds_are_positive(code):
    """Expected: an InputError that names the option."""
    with raises_naming(InputError, "encoder.threshold=0", "(0, inf"):
        code(steps=5, dt_s=0.001, threshold=0)
