"""`sgbench run -m`: all points of a sweep are checked first, run once each, and told apart in the summary."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hydra.core.plugins import Plugins

from sgbench.cli.main import main
from sgbench.errors import InputError
from tests.cli.filled_sweeps import fill
from tests.messages import lines_naming
from tests.run.tiny import WORDS


def test_a_sweep_runs_every_point_and_skips_finished_ones(capfd: pytest.CaptureFixture[str], runs_dir: Path) -> None:
    """Two points; asked for four, the two are already finished."""
    words = ["run", "-m", *WORDS, "protocol.epochs=1", "surrogate=atan,triangle"]
    assert main([*words, "seed=0"]) == 0
    assert len(list(runs_dir.rglob("record.json"))) == 2
    assert "2 runs, 0 already finished" in capfd.readouterr().out
    assert main([*words, "seed=0,1"]) == 0
    assert "4 runs, 2 already finished" in capfd.readouterr().out


def test_the_next_command_has_the_options_that_its_runs_need(
    capfd: pytest.CaptureFixture[str], runs_dir: Path, tmp_path: Path
) -> None:
    """Expected: the folder and class of one's own entries; the command as printed shows the board of the runs."""
    words = ["surrogate=atan,triangle", "seed=0"]
    fill("quickstart", words, runs_dir, [0.9, 0.8])
    folder = tmp_path / "my conf" / "surrogate"
    folder.mkdir(parents=True)
    options = ["--config-dir", str(folder.parent), "--allow-target", "mine.Half"]
    assert main(["run", "-m", "sweep=quickstart", *words, *options]) == 0
    (line,) = lines_naming(capfd.readouterr().out, "2 of 2 runs finished", "next: ")
    _, _, command = line.partition("next: sgbench ")
    assert shlex.split(command) == ["board", "build", "--from", "runs", *options]
    assert main(shlex.split(command)) == 0


@pytest.mark.slow
def test_a_failed_point_does_not_end_a_sweep(
    capfd: pytest.CaptureFixture[str], runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed 0 fails in training; seed 1 finishes; exit code 1 and the summary names seed 0."""
    from sgbench.training.epoch_loop import Training

    train = Training.train

    def fail_once(self: Training, batch, optimizer) -> None:
        if self.data.seed == 0:
            raise ArithmeticError("made to fail")
        train(self, batch, optimizer)

    monkeypatch.setattr(Training, "train", fail_once)
    assert main(["run", "-m", *WORDS, "seed=0,1"]) == 1
    captured = capfd.readouterr()
    assert "1 of 2 runs finished" in captured.out
    assert lines_naming(captured.err, "atan", "seed 0", "epoch 0", "made to fail")
    statuses = sorted(json.loads(path.read_text())["status"] for path in runs_dir.rglob("record.json"))
    assert statuses == ["failed", "finished"]


def test_a_sweep_with_one_bad_point_runs_nothing(capsys: pytest.CaptureFixture[str], runs_dir: Path) -> None:
    """All points are checked before the first one runs."""
    assert main(["run", "-m", *WORDS, "neuron.beta=0.5,1.5"]) == 2
    assert "neuron.beta=1.5" in capsys.readouterr().err
    assert not list(runs_dir.rglob("record.json"))


@pytest.mark.one_in(8)
@pytest.mark.parametrize("words", [[], ["hydra/sweeper=basic", "hydra.sweeper.max_batch_size=1"]])
def test_a_job_of_a_sweep_takes_its_spec_from_the_plan(
    words: list[str], monkeypatch: pytest.MonkeyPatch, runs_dir: Path
) -> None:
    """No job composes, whether points come together or in batches, with words for Hydra among them."""

    def refuse(*_: Any, **__: Any) -> None:
        raise InputError("composed once more")

    monkeypatch.setattr("sgbench.composition.tree.spec_from_config", refuse)
    assert main(["run", "-m", *WORDS, "hydra.job.name=other", *words, "seed=0,1"]) == 0
    assert {path.parts[-2] for path in runs_dir.rglob("record.json")} == {"0", "1"}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("launcher", ["basic", "replicas"])
def test_a_sweeper_with_points_of_its_own(
    launcher: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, runs_dir: Path
) -> None:
    """Its job runs what the sweeper chose, not the planned point of that number; replicas refuse to run it."""

    def sweep(self: Any, arguments: list[str]) -> None:
        others = [word for word in arguments if not word.startswith("seed")]
        self.launcher.launch([[*others, "seed=5"]], initial_job_idx=0)

    loaded = Plugins.instance().class_name_to_class["hydra_plugins.sgbench_replicas.sweeper.PlannedSweeper"]
    monkeypatch.setattr(loaded, "sweep", sweep)
    words = ["run", "-m", *WORDS, f"hydra/launcher={launcher}", "seed=0,1"]
    code = main(words)
    told = capfd.readouterr()
    ran = [path.parts[-2] for path in runs_dir.rglob("record.json")]
    if launcher == "basic":
        assert (code, ran) == (1, ["5"])  # 1, for what was planned was not run
        assert "seed 5: validation " in told.out
        assert ": test" not in told.out
        assert "atan seed 0: no record" in told.err
    else:
        assert (code, ran) == (2, [])
        assert "use hydra/sweeper=planned" in told.err


@pytest.mark.slow
def test_a_sweep_in_other_processes(tmp_path: Path, runs_dir: Path) -> None:
    """The joblib launcher leaves the same records as one run alone, times apart."""
    from sgbench.composition.compose import compose
    from sgbench.records.files import read_model
    from sgbench.records.record import RunRecord
    from sgbench.training.runner import run_spec
    from tests.run.tiny import comparable

    environment = {**os.environ, "SGBENCH_RUNS": str(runs_dir)}
    words = [*WORDS, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1"]
    done = subprocess.run(
        [sys.executable, "-m", "sgbench", "run", "-m", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "2 of 2 runs finished" in done.stdout
    alone = run_spec(compose((*WORDS, "seed=1", f"paths.runs_dir={tmp_path / 'alone'}")))
    (path,) = runs_dir.rglob("1/record.json")
    assert comparable(read_model(path, RunRecord)) == comparable(alone)


@pytest.mark.slow
def test_a_forced_sweep_that_could_not_write_says_so(capfd: pytest.CaptureFixture[str], runs_dir: Path) -> None:
    """One run is held by somebody else: its old record does not count as done."""
    words = ["run", "-m", *WORDS, "seed=0,1"]
    assert main(words) == 0
    (folder,) = (path.parent for path in runs_dir.rglob("1/record.json"))
    with FileLock(folder / ".lock"):
        assert main([*words, "force=true"]) == 1
    captured = capfd.readouterr()
    assert "1 of 2 runs finished" in captured.out
    assert "was not repeated" in captured.err
