"""A sweep of four small runs, as a command on some place and as records to compare."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sgbench.composition.plan import plan
from sgbench.paths import RECORD
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.training.run_folder import folder_of
from tests.run.tiny import WORDS, comparable

POINTS = (*WORDS, "protocol.precision=float64", "surrogate=atan,triangle", "seed=0,1")
LONGER = ("protocol.epochs=150", "protocol.patience=null")
LONGEST_S = 600
SLURM = ("hydra.launcher.on=slurm", "hydra.launcher.partition=main")


def command(root: Path, *words: str) -> list[str]:
    """The words of the sweep into a folder."""
    launcher = ("hydra/launcher=replicas", "hydra.launcher.workers=2")
    return [sys.executable, "-m", "sgbench", "run", "-m", *launcher, *POINTS, f"paths.runs_dir={root}", *words]


def started(root: Path, *words: str) -> subprocess.Popen[str]:
    """The sweep in a process of its own."""
    return subprocess.Popen(
        command(root, *words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def done(root: Path, *words: str, longest_s: float = LONGEST_S) -> str:
    """What the whole sweep prints, once it has ended well."""
    process = started(root, *words)
    said, _ = process.communicate(timeout=longest_s)
    assert process.returncode == 0, said
    return said


def specs(root: Path, *words: str) -> Sequence[RunSpec]:
    """Its points."""
    return plan([*POINTS, *words, f"paths.runs_dir={root}"], multirun=True).specs


def records(root: Path) -> dict[str, dict[str, Any]]:
    """Its records by folder, without times and without how often a run was taken up."""
    found = {}
    for path in root.rglob(RECORD):
        tree = comparable(read_model(path, RunRecord))
        tree.pop("test_access")
        found[str(path.parent.relative_to(root))] = tree
    return found


def resumed(root: Path, *words: str) -> list[int]:
    """How often each point was taken up."""
    return [read_model(folder_of(spec) / RECORD, RunRecord).timing.resumed for spec in specs(root, *words)]


def epochs(root: Path) -> int:
    """The epochs that jobs have told of so far, over all points."""
    total = 0
    for path in root.glob(".jobs/*/*.json"):
        total += sum(point["epochs"] for point in json.loads(path.read_text())["points"].values())
    return total
