"""The benchmark of sweeps: what is counted, what is compared, and which runs stand for all."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gate, sweep, sweep_basic, sweep_long, sweep_runs
from benchmarks.__main__ import main
from sgbench.composition.plan import plan
from tests.messages import lines_naming
from tests.run.tiny import WORDS as TINY_RUN


@pytest.mark.slow
def test_what_a_process_needs_counts_though_its_parent_ended() -> None:
    """A child leaves a grandchild behind that works for half a second: all of it is counted, and no more.

    Expected: at least the grandchild's work, at most what the system counts for the whole.
    """
    work = "import time; [None for _ in iter(lambda: time.process_time() < 0.5, False)]"
    leave = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {work!r}])"
    script = (
        "import subprocess, sys\nfrom benchmarks.sweep_runs import Clock, adopt_grandchildren\n"
        f"adopt_grandchildren()\nwith Clock() as clock:\n    subprocess.run([sys.executable, '-c', {leave!r}])\n"
        "print(clock.cpu_s)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert 0.5 <= float(done.stdout) <= whole_s


def test_a_sweep_that_trains_something_else_is_not_told() -> None:
    """Must pass: a difference within rounding. Must not: another loss, or a run that is not there."""
    points = [("atan", seed) for seed in range(4)]
    base = {point: [3.0] for point in points}
    near, other = {**base, points[0]: [3.001]}, {**base, points[1]: [3.1]}
    sweep._gate({sweep_runs.LIGHT: base, sweep_runs.REPLICAS: near})
    for wrong in (other, {point: [3.0] for point in points[1:]}, {point: [3.006] for point in points}):
        with pytest.raises(gate.GateError, match="replicas"):
            sweep._gate({sweep_runs.LIGHT: base, sweep_runs.REPLICAS: wrong})


def test_a_long_sweep_is_held_against_the_runs_that_stand_for_it() -> None:
    """Of 100 points the first, the last and two between; the first epoch is compared, and no later one."""
    settings = sweep_long.LongSettings()
    assert settings.sampled == [(0.001, 0.5, 0), (0.001, 4.0, 3), (0.002, 1.0, 6), (0.002, 8.0, 9)]
    ours = {point: [3.0] * 30 for point in settings.points}
    theirs = {point: [3.0] + [2.0] * 29 for point in settings.sampled}
    sweep_long.gate(settings, ours, theirs)
    with pytest.raises(gate.GateError, match=r"alpha 4.0, seed 3"):
        sweep_long.gate(settings, {**ours, settings.sampled[1]: [3.1] * 30}, theirs)
    with pytest.raises(gate.GateError, match="99 of 100"):
        sweep_long.gate(settings, {point: ours[point] for point in settings.points[1:]}, theirs)


@pytest.mark.slow
def test_a_long_sweep_trains_as_snntorch_does_in_float64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred steps of a point on both sides agree to 1e-9; with another slope they do not."""
    settings = sweep_long.LongSettings(hidden=16, processes=1)
    sweep_long.gate_in_double(settings, tmp_path)
    alone = sweep_long.train_alone
    steeper = lambda settings, point, *rest: alone(settings, (point[0], 2 * point[1], point[2]), *rest)  # noqa: E731
    monkeypatch.setattr(sweep_long, "train_alone", steeper)
    with pytest.raises(gate.GateError, match=r"lr 0.001, alpha 0.5, seed 0"):
        sweep_long.gate_in_double(settings, tmp_path)


@pytest.mark.slow
def test_lightning_and_replicas_train_alike(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten points, each on both sides: a loss that differs would be refused, and a run that is not there."""
    words = ["--seeds", "2", "--basic-seeds", "1", "--hidden", "8", "--batch", "640"]
    assert main(["basic_sweep", *words]) == 0
    assert "20 runs of 1 epochs" in (told := capsys.readouterr().out)
    assert lines_naming(told, "20 runs", "10 of them")


def test_points_that_stand_for_all_are_counted_beyond_their_start() -> None:
    """By hand: 2 s of start and 10 points in 12 s are 102 s for 100. Must differ: what was run whole."""
    taken, start = sweep_runs.Taken(12.0, 24.0, {}), sweep_runs.Taken(2.0, 4.0, {})
    some = sweep_basic.BasicSettings(seeds=10, basic_seeds=1)
    assert sweep_basic._of_all(taken, start, some) == sweep_runs.Taken(102.0, 204.0, {})
    assert sweep_basic._of_all(taken, start, sweep_basic.BasicSettings()) == taken


@pytest.mark.slow
def test_a_replica_s_step_is_the_bare_engine_s(tmp_path: Path) -> None:
    """Both are timed on the same batches of the same two runs."""
    specs = plan([*TINY_RUN, "surrogate=atan,triangle", f"paths.runs_dir={tmp_path}"], multirun=True).specs
    found = sweep.overhead(specs, rounds=2)
    bare, among = found["step_ms"].values()
    assert found["overhead_ms"] == among - bare
    assert {len(each) for each in found["rounds"].values()} == {2}
