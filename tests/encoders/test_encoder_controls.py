"""Controls without time: what they keep and what they lose, against the binned code of the same spikes."""

import pytest
import torch
from torch import Tensor

from fastspiking.signals.spikes import SpikeTrains, dense
from sgbench.encoders.binned import Binned
from sgbench.encoders.count_only import CountOnly
from sgbench.encoders.time_shuffled import TimeShuffled
from sgbench.encoders.time_shuffled_direct import TimeShuffledDirect
from sgbench.errors import InputError

STEPS, CHANNELS, SAMPLES = 30, 7, 12
OPTIONS = {"steps": STEPS, "dt_s": 0.001, "crop": False}
LAST_MS = torch.arange(SAMPLES) + 15  # samples last 15 to 26 ms


def trains(*, late: bool = False) -> SpikeTrains:
    """Forty spikes a sample, several in some steps, one at the very end; or all in the second half."""
    random = torch.Generator().manual_seed(3)
    sample = torch.arange(SAMPLES).repeat_interleave(40)
    channel = torch.randint(CHANNELS, (len(sample),), generator=random)
    share = torch.rand(len(sample), generator=random, dtype=torch.float64)
    last_us = 1000 * LAST_MS[sample]
    time_us = ((0.5 + 0.5 * share if late else share) * last_us).long()
    time_us[::40] = last_us[::40]
    return SpikeTrains.of(sample, channel, time_us, 1000 * LAST_MS, CHANNELS)


def encoded(encoder: Binned | CountOnly | TimeShuffled, values: SpikeTrains, seed: int = 0) -> Tensor:
    """Dense [T, B, N], up to each sample's length: a spike at the very end is in no step of it."""
    x = dense(encoder.encode(values, torch.Generator().manual_seed(seed)))
    return x * (torch.arange(STEPS)[:, None] < encoder.lengths(values))[..., None]


@pytest.mark.parametrize("encoder", [CountOnly(**OPTIONS, gain=1.0), TimeShuffled(**OPTIONS, channels="apart")])
def test_controls_keep_each_channels_count_and_each_length(encoder):
    """Expected: the sums over time of the binned code; its lengths; nothing beyond them."""
    binned = Binned(**OPTIONS)
    torch.testing.assert_close(encoded(encoder, trains()).sum(0), encoded(binned, trains()).sum(0))
    assert torch.equal(encoder.lengths(trains()), binned.lengths(trains()))
    x = dense(encoder.encode(trains(), torch.Generator()))
    assert all((x[length:, sample] == 0).all() for sample, length in enumerate(LAST_MS.tolist()))


def test_count_only_does_not_see_when():
    """Expected: the same input from the same spikes at other times, the mean in each step; binned differs."""
    values = trains()
    moved = SpikeTrains.of(values.sample(), values.channel, _other_steps(values), 1000 * LAST_MS, CHANNELS)
    counts = CountOnly(**OPTIONS, gain=2.0)
    torch.testing.assert_close(encoded(counts, moved), encoded(counts, values))
    assert not torch.equal(encoded(Binned(**OPTIONS), moved), encoded(Binned(**OPTIONS), values))
    mean = 2 * encoded(Binned(**OPTIONS), values).sum(0) / LAST_MS[:, None]
    torch.testing.assert_close(encoded(counts, values)[0], mean)
    torch.testing.assert_close(encoded(counts, values)[14], mean)


def _other_steps(values: SpikeTrains) -> Tensor:
    """Each sample's steps in reverse order; the spike at the very end stays."""
    last_us = 1000 * LAST_MS[values.sample()]
    return torch.where(values.time_us < last_us, last_us - 1 - values.time_us, last_us)


def test_count_only_of_a_trace_is_its_mean():
    """Expected: the mean over the trace's steps in each of them, 0 after it."""
    trace = torch.rand(3, 20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = CountOnly(**OPTIONS, gain=1.0).encode(trace, torch.Generator())
    torch.testing.assert_close(x[:20], trace.mean(1).expand(20, 3, 4))
    assert (x[20:] == 0).all()


def test_a_shuffled_trace_keeps_its_steps_and_forgets_their_order():
    """Expected: the same steps, whole across channels; each step of 4000 traces anywhere, by the mean of a uniform.

    The mean place of the first step, 9.5, is within 5 of its standard errors, 5.77/sqrt(4000).
    """
    trace = torch.rand(5, 20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    encoder = TimeShuffledDirect(steps=STEPS, dt_s=0.001, gain=1.0)
    x = encoder.encode(trace, torch.Generator().manual_seed(1)).transpose(0, 1)
    assert sorted(x[0, :20].tolist()) == sorted(trace[0].tolist())
    assert not torch.equal(x[:, :20], trace)
    assert (x[:, 20:] == 0).all()
    marked = torch.zeros(4000, 20, 1)
    marked[:, 0] = 1
    place = encoder.encode(marked, torch.Generator().manual_seed(2)).squeeze(-1).argmax(0).double()
    assert abs(place.mean().item() - 9.5) < 5 * 5.77 / 4000**0.5


@pytest.mark.parametrize("channels", ["apart", "together"])
def test_shuffled_steps_are_uniform_whatever_the_times_were(channels):
    """Expected: spikes of the second half of a sample fall into its first half as often, within 5 deviations."""
    encoder = TimeShuffled(**OPTIONS, channels=channels)
    first = total = 0.0
    for seed in range(30):
        x = encoded(encoder, trains(late=True), seed)
        for sample, length in enumerate(LAST_MS.tolist()):
            if length % 2 == 0:
                first += x[: length // 2, sample].sum().item()
                total += x[:, sample].sum().item()
    # Of `together`, spikes of one step move as one; a step holds some three of them.
    assert abs(first / total - 0.5) < 5 * 0.5 / (total / 4) ** 0.5
    binned = encoded(Binned(**OPTIONS), trains(late=True))
    assert all(binned[: length // 2, sample].sum() == 0 for sample, length in enumerate(LAST_MS.tolist()))


def test_only_together_keeps_what_fires_in_one_step():
    """Expected: each sample's steps are those of the binned code in another order; with an order each, not."""
    binned = encoded(Binned(**OPTIONS), trains())
    for channels in ("together", "apart"):
        x = encoded(TimeShuffled(**OPTIONS, channels=channels), trains())
        alike = [
            sorted(x[:length, sample].tolist()) == sorted(binned[:length, sample].tolist())
            for sample, length in enumerate(LAST_MS.tolist())
        ]
        assert all(alike) == any(alike) == (channels == "together")
        assert not torch.equal(x, binned)


def test_what_is_beyond_the_last_step_is_dropped_before_the_order_is_drawn():
    """Expected with crop: the counts of the first ten steps; lengths of ten."""
    options = {"steps": 10, "dt_s": 0.001, "crop": True}
    inside = dense(Binned(**options).encode(trains(), torch.Generator())).sum(0)
    for encoder in (CountOnly(**options, gain=1.0), TimeShuffled(**options, channels="apart")):
        torch.testing.assert_close(dense(encoder.encode(trains(), torch.Generator())).sum(0), inside)
        assert (encoder.lengths(trains()) == 10).all()


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: TimeShuffled(**OPTIONS, channels="none"), r"^encoder\.channels='none'"),
        (lambda: TimeShuffled(**{**OPTIONS, "crop": 1}, channels="apart"), r"^encoder\.crop=1"),
        (lambda: CountOnly(**OPTIONS, gain=float("nan")), r"^encoder\.gain=nan"),
    ],
)
def test_values_out_of_range_are_refused(make, line):
    """Expected: one line that names the option."""
    with pytest.raises(InputError, match=line):
        make()
