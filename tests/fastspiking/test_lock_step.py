"""Two epochs of training and validation on every engine, moved by the run's own optimiser: the reference's numbers.

Expected: losses, weights, logits, rates and scores of the reference after every batch and every pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from fastspiking import generated
from fastspiking.codegen.snapshot import Snapshot
from fastspiking.codegen.source import LoopSource
from sgbench.composition import catalogue
from sgbench.records.spec import RunSpec
from tests.entries import spec_with
from tests.messages import lines_naming
from tests.search_engines.lock_step import alone, compare, side_by_side
from tests.search_engines.runs import engines_of, member, on

SMALL = {
    "dataset.classes": 3,
    "dataset.channels": 7,
    "dataset.alpha": 2,
    "dataset.samples": [4, 3, 2],
    "dataset.tau_s": 0.01,
    "dataset.duration_s": 0.012,
    "protocol.name": "lock_step_v1",
    "protocol.steps": 12,
    "protocol.batch_size": 7,
    "protocol.epochs": 2,
    "protocol.hidden": [4],
    "protocol.precision": "float64",
    "init.gain": 4.0,
}
"""Two batches an epoch, the last one smaller."""
RATES = {"adam": 0.1, "sgd": 0.3, "adamax": 0.1, "adamw": 0.1}
FIRING = {name: one for name, one in catalogue.entries("neuron").items() if one.meta["family"] != "readout"}
MOVED = (("adam", "none"), ("adam", "one_to_one"), ("sgd", "all_to_all"), ("adamax", "one_to_one"))
TOGETHER = (("adam", "one_to_one"), ("sgd", "none"), ("adamw", "all_to_all"))


def run(kind: str, optimizer: str, recurrence: str, folder: Path) -> RunSpec:
    """A run in which all numbers of its neurons learn that can."""
    given = FIRING[kind].parameters
    learnt = {f"neuron.{name}": "per_neuron" for name in given if name.startswith("learn_")}
    if given.get("beta") in (0.0, 1.0):  # which no parameter can reach
        learnt.pop("neuron.learn_beta", None)
    if FIRING[kind].meta["family"] == "parallel":
        recurrence = "none"  # all steps are seen at once
    choices = {"dataset": "randman_small", "encoder": "binned", "neuron": kind, "optimizer": optimizer}
    values = {**SMALL, **learnt, "optimizer.lr": RATES[optimizer], "network.recurrence": recurrence}
    return spec_with({**choices, "loss": "sum_over_time"}, {**values, "paths.runs_dir": str(folder)})


def differences(spec: RunSpec) -> dict[str, str]:
    """What is found on each engine that covers a run."""
    found = {one: compare([alone(on(spec, "reference"))], alone(on(spec, one))) for one in engines_of(spec)}
    return {engine: difference for engine, difference in found.items() if difference is not None}


def differences_together(spec: RunSpec) -> str | None:
    """What is found of replicas with seeds and learning rates of their own."""
    specs = [member(spec, place) for place in range(2)]
    return compare([alone(on(each, "reference")) for each in specs], side_by_side(specs))


def cases(moved: Iterable[tuple[str, str]], *thin: tuple[str, str, str]) -> list[Any]:
    """Every neuron; all but a few are slow."""
    every = [(kind, *how) for kind in FIRING for how in moved]
    return [pytest.param(*one, marks=[] if one in thin else [pytest.mark.slow]) for one in every]


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("kind", "optimizer", "recurrence"), cases(MOVED, ("klif", "adam", "none"), ("dh_lif", "adam", "one_to_one"))
)
def test_every_engine_keeps_step_with_the_reference(kind: str, optimizer: str, recurrence: str, tmp_path: Path) -> None:
    """Must match: each engine that covers the run."""
    assert differences(run(kind, optimizer, recurrence, tmp_path)) == {}


@pytest.mark.parametrize(("kind", "optimizer", "recurrence"), cases(TOGETHER, ("klif", "sgd", "none")))
def test_replicas_keep_step_with_the_reference(kind: str, optimizer: str, recurrence: str, tmp_path: Path) -> None:
    """Must match: two seeds in one process, each with the same run alone."""
    assert differences_together(run(kind, optimizer, recurrence, tmp_path)) is None


# --- what these tests would find


def by_identity(neuron: nn.Module, key: tuple[Any, ...], write: Callable[[Snapshot], LoopSource]) -> LoopSource:
    """Recall what was written by where parameters lie and by torch's version of them, as was once done."""
    places = tuple((id(number), number._version) for number in neuron.parameters())
    kept = neuron.__dict__.setdefault("written", {})
    if (key, places) in kept:
        return kept[key, places]
    source = write(Snapshot(nn.Module()))
    if not source.program.learnt:
        kept[key, places] = source
    return source


def test_numbers_that_are_recalled_by_identity_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Must differ: the second validation under fused Adam, which moves no version, while training is right."""
    monkeypatch.setattr(generated, "stored_source", by_identity)
    found = differences(run("klif", "adam", "none", tmp_path))
    assert found["auto"].split(": ")[0] == "run 0, epoch 1, validation"


@pytest.mark.slow
def test_numbers_that_replicas_recall_by_identity_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Must differ: the same of replicas, whose numbers are rows of a matrix."""
    monkeypatch.setattr(generated, "stored_source", by_identity)
    found = differences_together(run("klif", "adamw", "none", tmp_path))
    assert lines_naming(str(found), "epoch 1", "validation", "logits")
