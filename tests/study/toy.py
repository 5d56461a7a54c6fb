"""A study of two tasks that nobody trains: records are made up by a fake runner."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sgbench.records.files import write_atomic
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.study_runner.definition import Loaded, load_study
from sgbench.training.run_folder import folder_of

BOARD = Path(__file__).resolve().parents[2] / "leaderboards" / "digits_v1" / "records"
TREE: dict[str, Any] = {
    "about": "A toy.",
    "registration": "docs/preregistration.md",
    "seeds": {"tuning": {"first": 100, "count": 2}, "report": {"first": 200, "count": 3}},
    "tasks": {
        "A": {
            "title": "digits",
            "words": ["experiment=digits"],
            "reference": {"optimizer.lr": 0.01},
            "outcome": "accuracy",
            "run_s": 1,
        },
        "B": {
            "title": "wider",
            "words": ["experiment=digits", "protocol.batch_size=32"],
            "outcome": "accuracy",
            "run_s": 2,
        },
    },
    "blocks": {
        "first": {
            "about": "random settings",
            "tasks": ["A", "B"],
            "purpose": "tuning",
            "seeds": {"first": 100, "count": 2},
            "settings": {"count": 2, "seed": 1, "ranges": {"optimizer.lr": {"low": 0.001, "high": 0.1}}},
            "grids": [{"values": {"surrogate": ["atan", "triangle"]}}],
            "settles": {"over": ["surrogate"]},
        },
        "second": {
            "about": "around it",
            "tasks": ["A"],
            "purpose": "report",
            "seeds": {"first": 200, "count": 2},
            "reference": "first",
            "grids": [{"values": {"surrogate": ["atan"]}, "factors": {"optimizer.lr": [0.25, 1, 4]}}],
        },
    },
}


def loaded(folder: Path, tree: dict[str, Any] = TREE) -> Loaded:
    """The toy study, written into a folder of entries."""
    path = folder / "study" / "toy.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(tree))
    return load_study("toy", [folder])


def record_of(spec: RunSpec, accuracy: float, *, commit: str = "a" * 40) -> RunRecord:
    """A committed record that claims to be of another run."""
    tree = json.loads(next(BOARD.glob("*/0.json")).read_text())
    tree["method"] = spec.method.model_dump(mode="json")
    tree["protocol"], tree["method_id"], tree["seed"] = (spec.method.protocol.name, method_id(spec.method), spec.seed)
    samples = tree["validation"]["samples"]
    tree["validation"]["accuracy"] = round(accuracy * samples) / samples
    tree["curve"] = tree["curve"][: tree["best_epoch"] + 1]
    tree["curve"][-1]["validation_accuracy"] = tree["validation"]["accuracy"]
    tree["provenance"]["commit"] = commit
    return RunRecord.model_validate_json(json.dumps(tree))


class FakeRunner:
    """Writes a record for each spec; the accuracy is a function of the learning rate."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, specs: Sequence[RunSpec]) -> None:
        """Leave a record in the folder of each run."""
        self.calls.append(len(specs))
        for spec in specs:
            lr = float(spec.method.parameters["optimizer"]["lr"])  # type: ignore[arg-type]
            record = record_of(spec, 1 - min(abs(lr - 0.01), 0.5))
            write_atomic(folder_of(spec) / "record.json", record.model_dump_json().encode())
