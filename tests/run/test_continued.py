"""Runs that were interrupted, continued or begun anew leave the records of undisturbed ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import sgbench
from sgbench.composition.compose import compose
from sgbench.training.base_run import BaseRun
from sgbench.training.epoch_loop import Training
from sgbench.training.run_folder import folder_of
from sgbench.training.runner import run_spec
from sgbench.training.single_run import checkpoint_is_due
from tests.messages import lines_naming
from tests.run.hooks import before_validation, stop_after
from tests.run.tiny import WORDS, comparable


@pytest.mark.slow
def test_killed_in_mid_run_then_continued(runs_dir: Path) -> None:
    """SIGKILL after the first checkpoint; the continued record equals an undisturbed one, times apart."""
    words = (*WORDS, "protocol.epochs=200", "seed=5", "encoder=rate")
    spec = compose(words)
    folder = folder_of(spec)
    process = subprocess.Popen(
        [sys.executable, "-m", "sgbench", "run", *words], stdout=subprocess.DEVNULL, env=dict(os.environ)
    )
    deadline = time.monotonic() + 300
    while not (folder / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / "last.ckpt").exists()
    assert not (folder / "record.json").exists(), "the run was meant to be interrupted"
    continued = run_spec(spec)
    undisturbed = sgbench.run(*words, f"paths.runs_dir={runs_dir / 'other'}")
    assert continued.timing.resumed == 1
    assert undisturbed.timing.resumed == 0
    assert comparable(continued) == comparable(undisturbed)


@pytest.mark.slow
def test_ctrl_c_stops_with_130_and_keeps_the_checkpoint() -> None:
    """SIGINT in mid-run: exit code 130, one line that says how to go on, no record."""
    words = (*WORDS, "protocol.epochs=2000", "seed=8")
    folder = folder_of(compose(words))
    process = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
         f"import sys; from sgbench.cli.main import main; sys.exit(main(['run', *{words!r}]))"],
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not (folder / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert "the same command continues" in said
    assert (folder / "last.ckpt").exists()
    assert not (folder / "record.json").exists()


def test_a_damaged_checkpoint_starts_anew(caplog: pytest.LogCaptureFixture) -> None:
    """Half a checkpoint is said and dropped; the result is that of a run from the start."""
    spec = compose((*WORDS, "seed=4"))
    folder = folder_of(spec)
    folder.mkdir(parents=True)
    (folder / "last.ckpt").write_bytes(b"PK\x03\x04 half a file")
    record = run_spec(spec)
    assert record.status == "finished"
    assert record.timing.resumed == 0
    assert "damaged" in caplog.text


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owners here")
@pytest.mark.parametrize("mode", [0o644, 0o664, 0o666])
def test_a_checkpoint_that_others_can_write_is_not_continued(
    mode: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left as it is and said; one that its owner alone can write is read."""
    path = tmp_path / "last.ckpt"
    torch.save({"sgbench": {"made_by": {}}}, path)
    path.chmod(mode)
    attempt: Any = SimpleNamespace(folder=tmp_path, training=SimpleNamespace(made_by={}))
    assert (BaseRun.load_checkpoint(attempt, "last.ckpt") is not None) == (mode == 0o644)
    assert bool(lines_naming(caplog.text, "last.ckpt", "others")) == (mode != 0o644)
    assert path.exists()


@pytest.mark.parametrize(
    "recipe",
    [
        ("schedule=plateau", "schedule.wait_epochs=0", "protocol.accumulated_batches=2"),
        pytest.param(("optimizer=sam", "normalisation=batch_norm", "loss.label_smoothing=0.1"), marks=pytest.mark.slow),
        pytest.param(("trainer.checkpoint_every=3", "encoder=poisson"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_a_continued_run_remembers_its_best_epoch(recipe: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every epoch from the third on is made bad, so the best lies before the fourth; the rate falls."""

    def spoil(self: Training) -> None:
        if self.epoch >= 2:
            with torch.no_grad():
                self.network.layers[1].weight.zero_()

    monkeypatch.setattr(Training, "begin_scoring", before_validation(spoil))
    words = (*WORDS, "protocol.epochs=6", *recipe)
    undisturbed = sgbench.run(*words, "force=true")
    with monkeypatch.context() as patch:
        stop_after(4, patch)
        with pytest.raises(KeyboardInterrupt):
            sgbench.run(*words, "force=true")
    (folder_of(compose(words)) / "record.json").unlink()
    continued = sgbench.run(*words)
    assert continued.timing.resumed == 1
    assert continued.best_epoch == undisturbed.best_epoch == 1
    assert comparable(continued) == comparable(undisturbed)


def test_checkpoints_are_as_far_apart_as_asked_for() -> None:
    """Expected by hand: five epochs, ended by patience, keep the third and the last; or each."""
    due = [[e for e in range(1, 6) if checkpoint_is_due(e, every, ended=e == 5)] for every in (3, 1)]
    assert due == [[3, 5], [1, 2, 3, 4, 5]]


@pytest.mark.slow
def test_a_run_whose_patience_is_out_trains_no_further_when_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted after the very epoch that ended training: the continued curve is the undisturbed one."""
    words = (*WORDS, "optimizer.lr=0.5", "protocol.epochs=20", "protocol.patience=2")
    undisturbed = sgbench.run(*words)
    (folder_of(compose(words)) / "record.json").unlink()
    with monkeypatch.context() as patch:
        stop_after(len(undisturbed.curve), patch)
        with pytest.raises(KeyboardInterrupt):
            sgbench.run(*words)
    continued = sgbench.run(*words)
    assert continued.timing.resumed == 1
    assert comparable(continued) == comparable(undisturbed)


@pytest.mark.slow
def test_force_starts_from_the_first_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that lies there is dropped, not continued."""
    with monkeypatch.context() as patch:
        stop_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            sgbench.run(*WORDS)
    assert (folder_of(compose(WORDS)) / "last.ckpt").exists()
    assert sgbench.run(*WORDS, "force=true").timing.resumed == 0


def test_a_checkpoint_of_other_versions_is_not_continued(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One run is made by one set of versions, which its record states."""
    with monkeypatch.context() as patch:
        stop_after(1, patch)
        patch.setattr("sgbench.training.provenance.Code.made_by", lambda *_: {"torch": "0.0"})
        with pytest.raises(KeyboardInterrupt):
            sgbench.run(*WORDS)
    assert sgbench.run(*WORDS).timing.resumed == 0
    assert "other versions" in caplog.text
