"""Tasks whose target is a trace or spikes, and runs on them.

Legend: T steps, C outputs; x the Mackey-Glass series.
"""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from sgbench.composition.compose import compose
from sgbench.datasets.base import SPLITS, Samples
from sgbench.datasets.batches import SpikingData
from sgbench.datasets.mackey_glass import MackeyGlass, series
from sgbench.datasets.pattern_generation import PatternGeneration
from sgbench.datasets.spike_patterns import SpikePatterns
from sgbench.encoders.direct import Direct
from sgbench.errors import InputError
from sgbench.records.files import parse_model, to_json
from sgbench.records.record import RunRecord
from sgbench.sweeps.outcome import headline, result_line
from sgbench.training.build import build
from sgbench.training.runner import run_spec

NOWHERE = Path("no-such-folder")


# --- Mackey-Glass


def test_series_equals_the_exact_solution_before_the_delay():
    """Expected: mathematics; while x(t - tau) is the constant 1.2, x relaxes to its source exponentially."""
    source = 0.2 * 1.2 / (1 + 1.2**10)
    found = series(17, 18)
    exact = [10 * source + (1.2 - 10 * source) * math.exp(-0.1 * t) for t in range(18)]
    np.testing.assert_allclose(found, exact, rtol=1e-8)


def test_series_equals_scipy_interval_by_interval():
    """Expected: the method of steps with SciPy's integrator of eighth order, over three delays."""

    def before(t: float) -> float:
        return 1.2

    found = series(17, 52)
    for interval in range(3):
        start = 17.0 * interval
        done = solve_ivp(
            lambda t, x, history=before: 0.2 * history(t - 17) / (1 + history(t - 17) ** 10) - 0.1 * x,
            (start, start + 17),
            [found[17 * interval]],
            method="DOP853",
            dense_output=True,
            rtol=1e-10,
            atol=1e-12,
        )
        times = np.arange(start, start + 17)
        np.testing.assert_allclose(found[17 * interval : 17 * (interval + 1)], done.sol(times)[0], rtol=1e-7)
        before = lambda t, done=done: float(done.sol(t)[0])  # noqa: E731 - the next interval's history


def test_fixed_point_stays():
    """Expected: mathematics; a delay of 1 is not chaotic, x relaxes to 1, where 0.2 / 2 = 0.1."""
    assert series(1, 400)[-1] == pytest.approx(1.0, abs=1e-6)


def test_windows_follow_each_other_and_targets_lie_ahead():
    """Expected: the stretched series itself; a split begins a horizon after the end of the one before."""
    task = MackeyGlass(tau=17, horizon=3, window=10, samples=[4, 2, 2], seed=7)
    x = np.array(series(17, 300 + 7 + 80 + 9)[307:])
    x = (x - x.min()) / (x.max() - x.min())
    splits, start = task.load(NOWHERE), 0
    for name in SPLITS:
        size = 10 * task.sizes[name]
        assert splits[name].values.flatten().tolist() == x[start : start + size].tolist()
        assert splits[name].target.flatten().tolist() == x[start + 3 : start + 3 + size].tolist()
        start += size + 3


# --- patterns


def test_curves_are_sums_of_sines():
    """Expected: Fourier; a curve of periods that divide the duration has those frequencies and no other."""
    task = PatternGeneration(channels=3, outputs=2, duration_ms=1000, rate_hz=50.0, periods_ms=[1000, 500, 200], seed=1)
    target = task.load(NOWHERE)["train"].target[0].numpy()
    assert target.shape == (1000, 2)
    assert np.abs(target).max(0) == pytest.approx([1, 1])
    power = np.abs(np.fft.rfft(target, axis=0))
    assert (power[[1, 2, 5]] > 10).all()
    others = np.delete(power, [1, 2, 5], axis=0)
    assert others.max() < 1e-9
    weights = power[[1, 2, 5]] / power[[1, 2, 5]].max(0)
    assert weights.min() >= 0.25  # amplitudes are between 0.5 and 2


def test_spike_targets_have_the_rate_asked_for():
    """Expected: 50 x 4 trains of 1 s at 20 Hz are 4000 spikes within 5 deviations; zeros and ones."""
    task = SpikePatterns(
        patterns=50, channels=2, outputs=4, duration_ms=1000, rate_hz=10.0, output_rate_hz=20.0, seed=1
    )
    target = task.load(NOWHERE)["train"].target
    assert target.shape == (50, 1000, 4)
    assert set(target.unique().tolist()) == {0.0, 1.0}
    assert abs(target.sum().item() - 4000) < 5 * math.sqrt(4000)


# --- runs

TINY = ("protocol.epochs=2", "protocol.hidden=[6]", "trainer.progress=false")


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    "name", ["mackey_glass", pytest.param("pattern_generation", marks=pytest.mark.slow), "spike_patterns"]
)
def test_a_run_is_scored_by_its_loss(name, runs_dir):
    """Expected: no accuracy and no classes; the test loss is the mean over the predictions that are kept.

    The record survives being written and read. What is printed says loss, and no percentage.
    """
    spec = compose([f"experiment={name}", *TINY])
    record = run_spec(spec)
    assert record.status == "finished", record.failure
    assert record.classes is None
    assert record.test.accuracy is record.validation.accuracy is record.curve[0].validation_accuracy is None
    assert parse_model(to_json(record), RunRecord, "it") == record
    assert f"validation loss {record.validation.loss:.4g}, test loss {record.test.loss:.4g}" in result_line(record)
    assert f"validation loss {record.validation.loss:.4g} (" in headline(record)
    assert "%" not in result_line(record)
    assert record.curve[record.best_epoch].validation_loss == min(line.validation_loss for line in record.curve)
    (path,) = runs_dir.rglob("predictions.csv")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    outputs = build(spec).data.data_set.outputs()
    assert len(rows) == record.test.samples * spec.method.protocol.steps
    error = np.array([[float(row[f"output_{k}"]) - float(row[f"target_{k}"]) for k in range(outputs)] for row in rows])
    if name != "spike_patterns":
        assert (error**2).mean() == pytest.approx(record.test.loss, rel=1e-4)
    else:
        assert {abs(value) for value in error.flatten().tolist()} <= {0.0, 1.0}


def test_online_rule_learns_traces():
    """Expected: e-prop takes the loss, whose shares exist, and ends with a finite record."""
    words = [
        "experiment=mackey_glass",
        *TINY,
        "rule=eprop",
        "network.recurrence_gradient=cut",
        "protocol.batch_size=64",
    ]
    record = run_spec(compose(words))
    assert record.status == "finished", record.failure
    assert math.isfinite(record.test.loss)


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["experiment=mackey_glass", "loss=max_over_time"], r"dataset=mackey_glass has trace; use loss=mean_squ"),
        (["experiment=spike_patterns", "loss=mean_squared_error"], r"has spikes; use loss=van_rossum$"),
        (["loss=mean_squared_error"], r"dataset=digits has class; use loss=max_over_time$"),
        (
            ["experiment=mackey_glass", "protocol.monitor=validation_accuracy"],
            r"has no classes; use protocol\.monitor=validation_loss$",
        ),
        (["experiment=spike_patterns", "neuron@readout=leaky_readout"], r"needs a spiking readout"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(words, complaint):
    """Expected: one line at build."""
    with pytest.raises(InputError, match=complaint) as caught:
        build(compose(words))
    assert "\n" not in str(caught.value)


class Broken(MackeyGlass):
    """Its targets may be spoilt."""

    def __init__(self, **changes: torch.Tensor) -> None:
        super().__init__(tau=17, horizon=3, window=10, samples=[2, 2, 2], seed=0)
        self.changes = changes

    def load(self, data_dir: Path) -> dict[str, Samples]:
        return {name: part._replace(**self.changes) for name, part in super().load(data_dir).items()}


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        (torch.zeros(2, 10), "has targets of shape (2, 10), not [samples, steps, 1]"),
        (torch.zeros(2, 10, 3), "has targets of shape (2, 10, 3), not [samples, steps, 1]"),
        (torch.full((2, 10, 1), math.nan), "has a target that is not finite"),
        (torch.zeros(2, 9, 1), "has targets of 9 steps, the protocol 10; set protocol.steps=9"),
        (torch.zeros(3, 10, 1), "has shape (2, 10, 1) and 3 targets, not the declared (2, 1)"),
    ],
)
def test_spoilt_targets_are_refused(target, complaint):
    """Expected: one line with the data set, the split and what is wrong."""
    data = SpikingData(
        Broken(target=target.double()),
        Direct(steps=10, dt_s=0.001, gain=1.0),
        data_dir=NOWHERE,
        batch_size=2,
        seed=0,
        dtype=torch.float32,
    )
    with pytest.raises(InputError) as caught:
        data.setup()
    assert str(caught.value).partition(" split train ") == ("data set Broken:", " split train ", complaint)
