"""Sweeps on a real SLURM: jobs that are preempted, killed or left alone by their sweep.

Expected throughout: the records of the same sweep on this machine, undisturbed, in all but times and how often a
run was taken up.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from random import Random

import pytest

from sgbench.paths import RECORD
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.training.run_folder import folder_of
from tests.cluster import sweeping
from tests.cluster.conftest import wait_until
from tests.cluster.sweeping import LONGER, SLURM

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("slurm")]
ENOUGH = 8  # epochs of all points, after which a sweep is disturbed
LONG_S = 2400  # of runs that outlast a time limit, on a machine that has other things to do


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Records of the longer sweep, undisturbed on this machine."""
    root = tmp_path_factory.mktemp("calm")
    sweeping.done(root, *LONGER)
    return sweeping.records(root)


def jobs() -> list[str]:
    """Those of SLURM's queue."""
    shown = subprocess.run(
        ["squeue", "--noheader", "--array", "--format=%i"], capture_output=True, text=True, check=True
    )
    return shown.stdout.split()


def under_way(root: Path, *words: str) -> subprocess.Popen[str]:
    """The longer sweep on SLURM, which has come some way."""
    process = sweeping.started(root, *SLURM, *LONGER, *words)
    wait_until(lambda: sweeping.epochs(root) >= ENOUGH or process.poll() is not None, "no job gets on", 120)
    assert process.poll() is None, process.communicate()[0]
    return process


def test_a_sweep_on_slurm_is_the_sweep_on_this_machine(tmp_path: Path) -> None:
    """Must differ: the folder of jobs, of which nothing is left."""
    said = sweeping.done(tmp_path / "there", *SLURM)
    assert "4 of 4 runs finished" in said
    sweeping.done(tmp_path / "here")
    assert sweeping.records(tmp_path / "there") == sweeping.records(tmp_path / "here")
    assert len(sweeping.records(tmp_path / "here")) == 4
    assert list((tmp_path / "there/.jobs").iterdir()) == []
    assert "4 already finished" in sweeping.done(tmp_path / "there", *SLURM)


@pytest.mark.parametrize("name", ["USR2", "TERM", "KILL"])
def test_a_disturbed_sweep_ends_as_an_undisturbed_one(tmp_path: Path, calm: dict, name: str) -> None:
    """Preempted, it is queued again by the job; ended or killed, its sweep hands the rest in again."""
    process = under_way(tmp_path)
    subprocess.run(["scancel", f"--signal={name}", *jobs()], check=True)
    said, _ = process.communicate(timeout=sweeping.LONGEST_S)
    assert process.returncode == 0, said
    assert sweeping.records(tmp_path) == calm
    assert max(sweeping.resumed(tmp_path, *LONGER)) >= 1


def test_an_interrupt_saves_and_leaves_no_job(tmp_path: Path, calm: dict) -> None:
    """Expected: exit code 130, an empty queue, checkpoints; the same words go on from there."""
    process = under_way(tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=sweeping.LONGEST_S)
    assert process.returncode == 130, said
    assert jobs() == []
    assert len(list(tmp_path.rglob("replica.ckpt"))) == 4
    sweeping.done(tmp_path, *SLURM, *LONGER)
    assert sweeping.records(tmp_path) == calm
    assert min(sweeping.resumed(tmp_path, *LONGER)) >= 1


def test_a_killed_head_loses_nothing(tmp_path: Path, calm: dict) -> None:
    """Its jobs go on; the same words wait for them, and no point is done twice: each record is written once."""
    process = under_way(tmp_path)
    process.kill()
    process.communicate()
    said = sweeping.done(tmp_path, *SLURM, *LONGER)
    assert "4 of 4 runs finished" in said
    assert sweeping.records(tmp_path) == calm
    assert max(sweeping.resumed(tmp_path, *LONGER)) == 0


def test_two_sweeps_on_one_folder_do_each_point_once(tmp_path: Path, calm: dict) -> None:
    """Expected: both end well, and no record is written a second time."""
    first = under_way(tmp_path)
    second = sweeping.started(tmp_path, *SLURM, *LONGER)
    said, _ = first.communicate(timeout=sweeping.LONGEST_S)
    assert first.returncode == 0, said
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob(RECORD)}
    said, _ = second.communicate(timeout=sweeping.LONGEST_S)
    assert second.returncode == 0, said
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob(RECORD)} == stamps
    assert sweeping.records(tmp_path) == calm


def test_a_refused_partition_is_one_line(tmp_path: Path) -> None:
    """Expected: SLURM's own words, exit code 2, nothing run."""
    process = sweeping.started(tmp_path, "hydra.launcher.on=slurm", "hydra.launcher.partition=nowhere")
    said, _ = process.communicate(timeout=sweeping.LONGEST_S)
    assert process.returncode == 2
    assert "hydra.launcher.on=slurm" in said
    assert "partition" in said
    assert "Traceback" not in said


def outlasting(root: Path, wanted_s: float) -> int:
    """How many epochs keep a job of two points busy for so long, by those of the longer sweep in a folder."""
    points = sweeping.specs(root, *LONGER)
    lines = [read_model(folder_of(spec) / RECORD, RunRecord) for spec in points]
    epoch_s = 2 * sum(line.timing.fit_s for line in lines) / sum(len(line.curve) for line in lines)
    return round(wanted_s / epoch_s)


@pytest.mark.slow
def test_a_time_limit_is_no_end(tmp_path: Path) -> None:
    """Jobs of two minutes, told 75 s before the end: runs that take longer are queued again until they end.

    Must differ: no job is lost, so none is handed in a second time.
    """
    sweeping.done(tmp_path / "short", *LONGER)
    longer = (f"protocol.epochs={outlasting(tmp_path / 'short', 100)}", "protocol.patience=null")
    limits = ("hydra.launcher.timeout_min=2", "hydra.launcher.slurm={signal_delay_s: 75}")
    said = sweeping.done(tmp_path / "there", *SLURM, *limits, *longer, longest_s=LONG_S)
    sweeping.done(tmp_path / "here", *longer, longest_s=LONG_S)
    assert sweeping.records(tmp_path / "there") == sweeping.records(tmp_path / "here")
    assert max(sweeping.resumed(tmp_path / "there", *longer)) >= 1
    assert "2 jobs took" in said


@pytest.mark.slow
def test_twenty_kills_end_as_no_kill(tmp_path: Path, calm: dict) -> None:
    """At seeded moments all jobs are killed, or told to leave, or their sweep is; then the same words once more."""
    random = Random(7)  # noqa: S311 - moments, not secrets
    process = sweeping.started(tmp_path, *SLURM, *LONGER)
    for _ in range(20):
        if process.poll() is not None:
            process = sweeping.started(tmp_path, *SLURM, *LONGER)
        time.sleep(random.uniform(2, 8))
        kind = random.choice(("KILL", "USR2", "sweep"))
        if kind == "sweep":
            process.kill()
            process.communicate()
        elif jobs():
            subprocess.run(["scancel", f"--signal={kind}", *jobs()], check=False)
    if process.poll() is None:
        process.communicate(timeout=sweeping.LONGEST_S)
    sweeping.done(tmp_path, *SLURM, *LONGER)
    assert sweeping.records(tmp_path) == calm
