"""Two sweeps over the same points: one waits for what the other runs, and runs what the other gave up."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from sgbench.cli.main import main
from sgbench.composition.plan import plan
from sgbench.sweeps import shared_points
from sgbench.training.run_folder import folder_of
from sgbench.training.runner import run_spec
from tests.messages import lines_naming
from tests.run.tiny import WORDS


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> dict[str, FileLock]:
    """A process that holds seed 1 and lets go of it while it is waited for; its lock, and by `ends` how."""
    (_, spec) = plan([*WORDS, "seed=0,1"], multirun=True).specs
    folder_of(spec).mkdir(parents=True)
    lock = FileLock(folder_of(spec) / ".lock")
    held = {"lock": lock}

    def pause(_: float) -> None:
        lock.release()
        if held.get("finishes"):
            run_spec(spec)

    monkeypatch.setattr(shared_points.wait_for_others, "__defaults__", (pause,))
    lock.acquire()
    return held


@pytest.mark.one_in(4)
@pytest.mark.parametrize("finishes", [True, False], ids=["it finishes", "it is killed"])
@pytest.mark.parametrize("launcher", ["basic", pytest.param("replicas", marks=pytest.mark.slow)])
def test_a_point_that_another_process_runs_is_waited_for(
    launcher: str, finishes: bool, other: dict, capfd: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    """Exit code 0 and all records are there, whoever made them; the wait is told once, nothing as a failure."""
    other["finishes"] = finishes
    assert main(["run", "-m", *WORDS, f"hydra/launcher={launcher}", "seed=0,1"]) == 0
    told = capfd.readouterr()
    assert len(lines_naming(told.out, "waiting for 1 point", "Ctrl-C")) == 1
    assert "2 of 2 runs finished" in told.out
    assert "failed" not in told.err
    assert {path.parts[-2] for path in runs_dir.rglob("record.json")} == {"0", "1"}


@pytest.mark.slow
def test_nothing_is_waited_for_where_nobody_runs_it(capfd: pytest.CaptureFixture[str]) -> None:
    """A sweep alone says nothing of others."""
    assert main(["run", "-m", *WORDS, "seed=0,1"]) == 0
    assert "waiting" not in capfd.readouterr().out
