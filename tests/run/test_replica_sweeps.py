"""Sweeps on the launcher of replicas: how points are grouped, what is told, and what kills leave."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import pytest

from sgbench.cli import STOPPED
from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.composition.plan import plan
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.replicas.grouping import groups, why_alone
from sgbench.training.run_folder import folder_of
from tests.messages import lines_naming
from tests.run.side_by_side import EXACT, alone, assert_alike, sweep
from tests.run.tiny import WORDS, comparable

# --- groups


def test_points_of_a_seed_stay_together_and_every_worker_has_a_group() -> None:
    """By hand: 3 surrogates x 4 seeds over 2 workers are 6 and 6 points with two seeds each."""
    specs = plan([*WORDS, "surrogate=atan,triangle,zero", "seed=0,1,2,3"], multirun=True).specs
    made = groups(specs, range(12), workers=2)
    assert [len(group.points) for group in made] == [6, 6]
    assert [{specs[place].seed for place in group.points} for group in made] == [{0, 1}, {2, 3}]
    assert sorted(place for group in made for place in group.points) == list(range(12))


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("trainer.threads=2", "trainer.threads=2: a worker has one thread"),
        ("optimizer.amsgrad=true", "optimizer.amsgrad: has no stacked form"),
    ],
)
def test_what_runs_alone_says_why(word: str, reason: str) -> None:
    assert why_alone(compose([*WORDS, word])) == reason
    assert why_alone(compose(WORDS)) is None


# --- the launcher


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_launcher_runs_skips_and_tells(count: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Two points of each seed, one of which runs alone; asked again, nothing is run."""
    seeds = ",".join(map(str, range(count)))
    words = ["run", "-m", *EXACT, "hydra/launcher=replicas", "optimizer.amsgrad=false,true", f"seed={seeds}"]
    words += ["hydra.launcher.workers=1"] * (count == 1)
    points = 2 * count
    assert main(words) == 0
    out = capfd.readouterr().out
    assert lines_naming(out, f"{count} points", "optimizer.amsgrad")
    assert f"[{points}/{points}]" in out
    assert f"{points} of {points} runs finished" in out
    assert main(words) == 0
    again = capfd.readouterr().out
    assert f"{points} runs, {points} already finished" in again
    assert f"[{points}/{points}]" not in again


@pytest.mark.slow
def test_a_bad_number_of_workers_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["run", "-m", *WORDS, "hydra/launcher=replicas", "hydra.launcher.workers=0", "seed=0,1"]
    assert main(words) == 2
    assert lines_naming(capfd.readouterr().err, "hydra.launcher.workers=0", "1")


def command_of(*words: str, root: Path) -> list[str]:
    """The sweep as a user types it."""
    command = [sys.executable, "-m", "sgbench", "run", "-m", *EXACT, *words, "hydra/launcher=replicas"]
    return [*command, f"paths.runs_dir={root}"]


def started(command: list[str]) -> subprocess.Popen[str]:
    """The sweep in a process of its own."""
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def assert_continued(command: list[str], specs: Sequence[RunSpec]) -> None:
    """The same command once more; the records are those of runs alone."""
    time.sleep(1)  # workers that nobody listens to leave at their next word
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
    for spec in specs:
        assert_alike(read_model(folder_of(spec) / "record.json", RunRecord), alone(spec))


@pytest.mark.slow
@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_an_interrupted_sweep_continues(tmp_path: Path) -> None:
    """Ctrl-C in mid-run saves and says so."""
    root = tmp_path / "runs"
    words = ["surrogate=atan,triangle", "protocol.epochs=600", "protocol.patience=null", "seed=0,1"]
    command = command_of(*words, root=root)
    process = started(command)
    deadline_s = time.monotonic() + 300
    while not list(root.rglob(".lock")) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert STOPPED.strip() in said
    assert not list(root.rglob("record.json")), "the sweep was meant to be interrupted"
    assert_continued(command, sweep(*words, root=root)[:2])


def forked(command: list[str]) -> BaseProcess:
    """The sweep in a process that has loaded all it needs."""

    def run() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        os._exit(main(command[3:]))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def ended(process: BaseProcess) -> int | None:
    """Its exit code, once it has ended by itself."""
    process.join(1200)
    return process.exitcode


def records_of(specs: Sequence[RunSpec]) -> list[dict]:
    """Records in all but times and how often the test split was opened, which a kill may repeat."""
    trees = [comparable(read_model(folder_of(spec) / "record.json", RunRecord)) for spec in specs]
    return [{key: value for key, value in tree.items() if key != "test_access"} for tree in trees]


@pytest.mark.slow
def test_a_sweep_survives_fifty_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: the records of an undisturbed sweep. Fifty seeded moments, in parts of the time that one takes.

    A sweep that ends between two kills is compared, and the next one begins in a folder of its own.
    """
    words = ["surrogate=atan,triangle", "protocol.epochs=1200", "protocol.patience=null", "seed=0,1"]
    began_s = time.monotonic()
    assert ended(forked(command_of(*words, root=tmp_path / "calm"))) == 0
    whole_s = time.monotonic() - began_s
    monkeypatch.setattr("sgbench.replicas.group_worker.CHECKPOINT_S", whole_s / 200)
    calm = records_of(sweep(*words, root=tmp_path / "calm"))
    random = Random(4)  # noqa: S311 - moments, not secrets
    kills, resumed = 0, 0
    for number in itertools.count():
        root = tmp_path / str(number)
        specs = sweep(*words, root=root)
        status = None
        while status is None:
            process = forked(command_of(*words, root=root))
            if kills < 50:
                process.join(random.uniform(0, whole_s / 4))
            status = process.exitcode if kills < 50 else ended(process)
            if status is None:
                process.kill()
                process.join()
                kills += 1
                time.sleep(whole_s / 100)  # workers that nobody listens to leave at their next word
        assert status == 0
        assert records_of(specs) == calm
        files = [folder_of(spec) / "record.json" for spec in specs]
        resumed = max(resumed, *(read_model(path, RunRecord).timing.resumed for path in files))
        if kills == 50:
            break
    assert resumed > 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("rule=bptt,feedback_alignment,dfa,local,ottt,forward_gradient", "protocol.epochs=150"),
        ("rule=eprop", "rule.form=unrolled", "rule.feedback=random,adaptive", "protocol.epochs=2000"),
        ("rule=eprop", "loss=per_step", "rule.update=per_step,per_sequence", "protocol.epochs=500"),
    ],
    ids=" ".join,
)
def test_a_killed_sweep_over_rules_continues(words: tuple[str, ...], tmp_path: Path) -> None:
    """Expected: records of runs alone, feedback that learns and what rules draw included.

    It is killed a moment behind its first checkpoint, and once more while it goes on.
    """
    root = tmp_path / "runs"
    command, specs = command_of(*words, root=root), sweep(*words, root=root)
    for _ in range(2):
        process = started(command)
        deadline_s = time.monotonic() + 300
        before = _stamps(root)
        while _stamps(root) <= before and process.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.05)
        time.sleep(0.5)
        assert process.poll() is None, "the sweep was meant to be killed"
        process.kill()
        process.communicate(timeout=300)
        time.sleep(1)
    assert_continued(command, specs)
    resumed = [read_model(folder_of(spec) / "record.json", RunRecord).timing.resumed for spec in specs]
    assert max(resumed) == 2


def _stamps(root: Path) -> float:
    """When the last checkpoint was written; 0 where there is none."""
    return max((path.stat().st_mtime for path in root.rglob("replica.ckpt")), default=0.0)
