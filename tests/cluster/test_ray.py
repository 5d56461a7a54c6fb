"""Sweeps on Ray: a cluster of this machine for one sweep, one that runs already, a worker that is killed.

Expected throughout: the records of the same sweep on this machine, in all but times and how often one was taken up.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import sweeping
from tests.cluster.conftest import wait_until
from tests.cluster.sweeping import LONGER

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("ray_here")]
RAY = ("hydra.launcher.on=ray",)
CLUSTER = """
import ray, sys
ray.init(num_cpus=2, include_dashboard=False)
print('up', flush=True)
sys.stdin.read()  # until it is closed
ray.shutdown()
"""


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Records of the sweep on this machine."""
    root = tmp_path_factory.mktemp("here")
    sweeping.done(root)
    return sweeping.records(root)


@pytest.fixture
def running() -> Iterator[str]:
    """The address of a cluster that another process started, and ends; never by `ray stop`."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", CLUSTER], stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdout is not None
    assert process.stdout.readline().strip().endswith(b"up")
    yield "auto"
    process.communicate(timeout=sweeping.LONGEST_S)


def test_a_sweep_on_ray_is_the_sweep_on_this_machine(tmp_path: Path, calm: dict) -> None:
    """Expected: its records; nothing is left of its jobs."""
    assert "4 of 4 runs finished" in sweeping.done(tmp_path, *RAY)
    assert sweeping.records(tmp_path) == calm
    assert list((tmp_path / ".jobs").iterdir()) == []


def test_a_cluster_that_runs_is_joined_and_left(tmp_path: Path, calm: dict, running: str) -> None:
    """Must differ: it is there afterwards, for a second sweep."""
    for name in ("first", "second"):
        sweeping.done(tmp_path / name, *RAY, f"hydra.launcher.address={running}")
        assert sweeping.records(tmp_path / name) == calm


def test_no_cluster_at_an_address_is_one_line(tmp_path: Path) -> None:
    """Expected: exit code 2 and the address."""
    process = sweeping.started(tmp_path, *RAY, "hydra.launcher.address=auto")
    said, _ = process.communicate(timeout=sweeping.LONGEST_S)
    assert process.returncode == 2, said
    assert "hydra.launcher.on=ray address=auto" in said
    assert "Traceback" not in said


def worker_ids() -> list[int]:
    """Ray's processes that run a group, by what they call themselves."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            title = path.read_bytes().split(b"\0")[0]
        except OSError:
            continue
        if re.match(rb"ray::_call", title):
            found.append(int(path.parent.name))
    return found


def test_a_killed_worker_costs_no_point(tmp_path: Path) -> None:
    """Its open points are handed in once more, and go on from their checkpoints."""
    process = sweeping.started(tmp_path, *RAY, *LONGER)
    wait_until(lambda: sweeping.epochs(tmp_path) >= 8 or process.poll() is not None, "no task gets on", 200)
    workers = worker_ids()
    assert workers, process.poll()
    os.kill(workers[0], signal.SIGKILL)
    said, _ = process.communicate(timeout=sweeping.LONGEST_S)
    assert process.returncode == 0, said
    sweeping.done(tmp_path / "here", *LONGER)
    here = sweeping.records(tmp_path / "here")
    there = {name: tree for name, tree in sweeping.records(tmp_path).items() if not name.startswith("here")}
    assert there == here
