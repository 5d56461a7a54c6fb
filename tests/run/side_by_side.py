"""Points of a sweep, the same runs alone, and what of two records has to be equal."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgbench.composition.plan import plan
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from tests.run.tiny import WORDS, comparable

EXACT = (*WORDS, "protocol.precision=float64")


def sweep(*words: str, root: Path) -> tuple[RunSpec, ...]:
    """Points of a sweep that writes into a folder of its own."""
    return plan([*EXACT, *words, f"paths.runs_dir={root}"], multirun=True).specs


def alone(spec: RunSpec) -> RunRecord:
    """The record of the same run by itself, in another folder."""
    from sgbench.training.runner import run_spec

    return run_spec(elsewhere(spec))


def elsewhere(spec: RunSpec) -> RunSpec:
    """The same in another folder."""
    return spec.model_copy(update={"paths": spec.paths.model_copy(update={"runs_dir": spec.paths.runs_dir + "_"})})


def assert_alike(found: RunRecord, expected: RunRecord) -> None:
    """Equal in every field; scores that sum in another order to 1e-9."""
    ours, theirs = comparable(found), comparable(expected)
    for tree in (ours, theirs):
        tree.pop("weights_sha256")
        tree.pop("predictions_sha256")
    for key in ours:
        if key in ("curve", "validation", "test"):
            assert _numbers(ours[key]) == pytest.approx(_numbers(theirs[key]), rel=1e-9, abs=1e-12), key
        else:
            assert ours[key] == theirs[key], key


def _numbers(tree: object) -> list[float]:
    if isinstance(tree, dict):
        return [number for value in tree.values() for number in _numbers(value)]
    if isinstance(tree, list):
        return [number for value in tree for number in _numbers(value)]
    return [float(tree)] if isinstance(tree, int | float) else []
