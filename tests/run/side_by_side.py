"""Runs side by side and the same runs alone, and what of their records has to be equal."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sgbench.composition.plan import plan
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.replicas.crew import Crew
from sgbench.replicas.messages import WorkerMessage
from sgbench.training.run_folder import folder_of
from tests.run.tiny import WORDS, comparable

EXACT = (*WORDS, "protocol.precision=float64")


def sweep(*words: str, root: Path) -> tuple[RunSpec, ...]:
    """Points of a sweep that writes into a folder of its own."""
    return plan([*EXACT, *words, f"paths.runs_dir={root}"], multirun=True).specs


def together(specs: tuple[RunSpec, ...], **limits: int) -> dict[int, RunRecord]:
    """Records by place, made side by side."""
    told: list[WorkerMessage] = []
    Crew(list(enumerate(specs)), told.append, lambda: False, **limits).run()
    assert not [each.line for each in told if each.kind == "refused"]
    return {each.place: each.record for each in told if each.kind == "ended" and each.record is not None}


def alone(spec: RunSpec) -> RunRecord:
    """The record of the same run by itself, in another folder."""
    from sgbench.training.runner import run_spec

    return run_spec(elsewhere(spec))


def elsewhere(spec: RunSpec) -> RunSpec:
    """The same in another folder."""
    return spec.model_copy(
        update={"paths": spec.paths.model_copy(update={"runs_dir": spec.paths.runs_dir + "_"})}
    )


def assert_weights_alike(spec: RunSpec) -> None:
    """Selected weights of a run among others and of the run alone, to 1e-9."""
    ours, theirs = (load_file(folder_of(each) / "weights.safetensors") for each in (spec, elsewhere(spec)))
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        torch.testing.assert_close(weight, theirs[name], rtol=1e-9, atol=1e-12, msg=name)


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
