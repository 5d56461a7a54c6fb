"""Tiny protocols without one class a sample, a series and labelled steps, and runs of both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from sgbench.composition.compose import compose
from sgbench.datasets.base import sizes
from sgbench.datasets.checks import check
from sgbench.datasets.qtdb import Qtdb
from sgbench.records.record import RunRecord
from sgbench.training.runner import run_spec
from tests.datasets.fakes import fake_qtdb

FREE = ["surrogate", "neuron", "readout", "rule", "regulariser", "init", "optimizer", "clip_norm"]
FREE += ["network.recurrence", "network.recurrence_gradient", "network.bias", "network", "firing", "loss"]
SEEDS = (0, 1)
SPLIT = {"train": 4, "validation": 62, "test": 5}


@dataclass(frozen=True)
class Task:
    """A protocol of a user's own."""

    protocol: str
    config_dir: Path
    words: tuple[str, ...]

    def run(self, surrogate: str, root: Path) -> RunRecord:
        """All seeds of one method; returns the last record."""
        for seed in SEEDS:
            words = [*self.words, f"surrogate={surrogate}", f"seed={seed}", f"paths.runs_dir={root}"]
            record = run_spec(compose(words, config_dirs=(self.config_dir,)))
            assert record.status == "finished", record.failure
        return record


def series(folder: Path) -> Task:
    """Mackey-Glass in one epoch."""
    fixed = {"dataset": "mackey_glass", "encoder": "direct", "network": "mlp", "loss": "mean_squared_error"}
    _write(folder, "series_v1", fixed, steps=100, dt_s=0.001, meta={"guess_loss": 0.06297})
    return _task(folder, "series_v1", "mackey_glass")


def steps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """A fake of labelled electrocardiograms in one epoch."""
    data = folder / "data" / "QTDB"
    data.mkdir(parents=True)
    fake_qtdb(data, train=66, test=5, seed=2)
    monkeypatch.setattr(Qtdb, "sizes", sizes(*SPLIT.values()))
    monkeypatch.setattr(Qtdb, "published", {})
    monkeypatch.setattr(Qtdb, "published_sha256", lambda _: None)
    monkeypatch.setenv("SGBENCH_DATA", str(data.parent))
    made = Qtdb(unlabelled="unscored")
    found = check(made, made.load(data.parent))
    monkeypatch.setattr(Qtdb, "published_sha256", lambda _: found)
    meta = {
        "line": "A fake.",
        "licence": "none",
        "sources": ["a test"],
        "origin": "files",
        "target": "class_per_step",
        "classes": 6,
        "sizes": SPLIT,
        "sha256": found,
    }
    entry = {"_target_": "sgbench.datasets.qtdb.Qtdb", "unlabelled": "unscored", "meta": meta}
    (folder / "dataset").mkdir()
    (folder / "dataset" / "beats.yaml").write_text(yaml.safe_dump(entry))
    fixed = {"dataset": "beats", "encoder": "binned", "network": "mlp", "loss": "label_per_step"}
    _write(folder, "steps_v1", fixed, steps=1300, dt_s=0.004, meta={})
    return _task(folder, "steps_v1", "qtdb", "dataset=beats")


def digits(folder: Path, *words: str) -> Task:
    """Digits as constant currents in one epoch, by these words; network and firing are free."""
    _write(folder, "digits_v9", {"dataset": "digits", "encoder": "direct"}, steps=8, dt_s=0.001, meta={})
    return _task(folder, "digits_v9", "digits", "encoder=direct", *words)


def _task(folder: Path, protocol: str, experiment: str, *words: str) -> Task:
    more = ("trainer.progress=false", "engine=reference")
    return Task(protocol, folder, (f"experiment={experiment}", f"protocol={protocol}", *more, *words))


def _write(folder: Path, name: str, fixed: dict[str, str], *, steps: int, dt_s: float, meta: object) -> None:
    tree = {
        "name": name,
        "about": "For tests.",
        "dt_s": dt_s,
        "steps": steps,
        "hidden": [5],
        "epochs": 1,
        "batch_size": 32,
        "patience": None,
        "monitor": "validation_loss",
        "precision": "float32",
        "data_order": "seed_epoch",
        "seeds": list(SEEDS),
        "fixed": fixed,
        "free": FREE,
        "superseded_by": None,
        "meta": meta,
    }
    (folder / "protocol").mkdir(exist_ok=True)
    (folder / "protocol" / f"{name}.yaml").write_text(json.dumps(tree))  # JSON is YAML
