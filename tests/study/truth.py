"""Records of the study of surrogates with a known truth: copies of one valid record with other numbers."""

from __future__ import annotations

import copy
import functools
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.study.cells import Cell, Point, Settled, points, task_reference
from sgbench.study.definition import Loaded, Study, load_study
from sgbench.study.scores import Score, Scores, varied_keys
from sgbench.study.store import Entry

RECORD = (
    Path(__file__).resolve().parents[2]
    / "leaderboards"
    / "randman_v1"
    / "records"
    / "06fb562fb273"
    / "0.json"
)
SAMPLES = 1000
DEFAULTS: Cell = {
    "network.recurrence_gradient": "full",
    "neuron.reset_gradient": "detached",
    "surrogate.normalisation": "peak1",
    "regulariser": "none",
}
"""What the record has where no cell states anything."""
SETTLED: Settled = {
    "A1": {
        task: [
            {
                "optimizer.lr": 0.01,
                "init.gain": 1.5,
                "width_fwhm": 0.3,
                "neuron.beta": 0.9,
                "protocol.epochs": 20,
            }
        ]
        for task in ("T1", "T3", "T4", "T5", "T6", "T7")
    }
}


@dataclass(frozen=True)
class Outcome:
    """What a run comes to: accuracies in points and spikes an inference; failed: neither."""

    accuracy: float = 90.0
    validation: float = 90.0
    spikes: float = 100.0
    failed: bool = False


Truth = Callable[[Point, Cell], Outcome]
"""From a run and its full settings to what it comes to."""


@functools.cache
def study() -> Loaded:
    """The registered study."""
    return load_study("surrogates")


def with_best(settled: Settled, tasks: Iterable[str], block: str = "A3a", **cell: Any) -> Settled:
    """Add a settled cell for each shape and task, all alike."""
    shapes = ("triangle", "gaussian", "sigmoid", "atan", "fast_sigmoid", "log_abs")
    best = {
        task: [{"surrogate": shape, "width_fwhm": 0.5, "optimizer.lr": 0.01, **cell} for shape in shapes]
        for task in tasks
    }
    return {**settled, block: best}


def noise(point: Point, spread: float, what: object = "") -> float:
    """A number that depends on the run alone, normal with this spread."""
    text = json.dumps([point.task, sorted(point.cell.items(), key=str), point.seed, what], default=str)
    return spread * float(np.random.default_rng(list(text.encode())).standard_normal())


def scores(
    truth: Truth, blocks: Iterable[str], settled: Settled = SETTLED, tasks: Iterable[str] = ()
) -> Scores:
    """The scores of whole blocks, made without records."""
    made = [
        _score(study().study, point, settled, truth)
        for point in planned(blocks, settled)
        if not tasks or point.task in tasks
    ]
    return Scores(study().study, settled, made)


def planned(blocks: Iterable[str], settled: Settled) -> list[Point]:
    """All runs of these blocks, each once."""
    seen: dict[tuple[str, int, str], Point] = {}
    for block in blocks:
        for point in points(study().study, block, settled):
            full = _full(study().study, point, settled)
            place = (
                point.task,
                point.seed,
                json.dumps(sorted((key, str(value)) for key, value in full.items())),
            )
            seen.setdefault(place, point)
    return list(seen.values())


def _full(plan: Study, point: Point, settled: Settled) -> Cell:
    """Every setting of a run, with what the record has where none is stated."""
    stated = {**task_reference(plan, point.block, point.task, settled), **point.cell}
    full: Cell = {key: stated.get(key, DEFAULTS.get(key)) for key in varied_keys(plan, point.task)}
    return {**full, "surrogate": stated.get("surrogate", "atan")}


def _score(plan: Study, point: Point, settled: Settled, truth: Truth) -> Score:
    full = _full(plan, point, settled)
    outcome = truth(point, full)
    guess = 10.0
    threshold = plan.tasks[point.task].solved_from
    accuracy = guess if outcome.failed else outcome.accuracy
    return Score(
        block=point.block,
        task=point.task,
        purpose=plan.blocks[point.block].purpose,
        seed=point.seed,
        cell=point.cell,
        settings={key: full[key] for key in varied_keys(plan, point.task)},
        accuracy=accuracy,
        validation=guess if outcome.failed else outcome.validation,
        log_spikes=None if outcome.failed or not outcome.spikes else math.log(outcome.spikes),
        failed=outcome.failed,
        solved=None if threshold is None else accuracy >= 100 * threshold,
        guess=guess,
    )


def entries(
    truth: Truth,
    blocks: Iterable[str],
    settled: Settled = SETTLED,
    *,
    commit: str = "a" * 40,
    tasks: Iterable[str] = (),
) -> list[Entry]:
    """Stored runs of whole blocks."""
    return [
        Entry(point.block, point.task, point.cell, record_of(point, settled, truth, commit=commit))
        for point in planned(blocks, settled)
        if not tasks or point.task in tasks
    ]


@functools.cache
def _template() -> dict[str, Any]:
    return json.loads(RECORD.read_text())


def record_of(point: Point, settled: Settled, truth: Truth, *, commit: str = "a" * 40) -> RunRecord:
    """A record whose method has the settings of a run, and whose numbers are consistent with an outcome."""
    full = _full(study().study, point, settled)
    outcome = truth(point, full)
    tree = copy.deepcopy(_template())
    method = tree["method"]
    for key, value in full.items():
        _set(method, key, value)
    method["protocol"]["name"] = f"truth_{point.task.lower()}_v1"
    parsed = Method.model_validate_json(json.dumps(method))
    tree.update(
        method=parsed.model_dump(mode="json"), protocol=f"truth_{point.task.lower()}_v1", seed=point.seed
    )
    tree["method_id"] = method_id(parsed)
    tree["provenance"].update(commit=commit, clean=True)
    if outcome.failed:
        _fail(tree)
    else:
        _finish(tree, outcome)
    return RunRecord.model_validate_json(json.dumps(tree))


def _set(method: dict[str, Any], key: str, value: Any) -> None:
    """Write one setting where a record has it."""
    if key == "width_fwhm":
        method["parameters"]["surrogate"]["width_fwhm"] = value
    elif key == "clip_norm":
        method["clip_norm"] = None if value is None else float(value)
    elif key == "protocol.hidden" or value is None:
        return  # the layers of the record stay
    elif key.startswith("protocol."):
        method["protocol"][key.removeprefix("protocol.")] = value
    elif "." in key:
        group, name = key.split(".", 1)
        method["parameters"].setdefault(group, {})[name] = value
    else:
        method["choices"][key] = value


def _fail(tree: dict[str, Any]) -> None:
    tree["status"] = "failed"
    tree["failure"] = {"kind": "NonFiniteError", "message": "the gradient is not finite"}
    for name in ("validation", "test", "test_selected", "counts", "predictions_sha256", "weights_sha256"):
        tree.pop(name, None) if name == "test_selected" else tree.update({name: None})


def _finish(tree: dict[str, Any], outcome: Outcome) -> None:
    """Write accuracies and spikes, and what a record derives from them."""
    for name in ("validation", "test"):
        samples = tree[name]["samples"]
        points_of = outcome.validation if name == "validation" else outcome.accuracy
        tree[name]["accuracy"] = round(points_of / 100 * samples) / samples
    counts = tree["counts"]
    spikes = round(outcome.spikes * counts["samples"])
    hidden, readout = counts["layers"]
    counts.pop("spread", None)
    hidden["spikes_sent"]["total"] = spikes
    readout["synapses"][0]["effective"]["total"] = spikes * readout["neurons"]
    activity = tree["test"]["activity"][0]
    activity["rate_per_step"] = spikes / (hidden["neurons"] * counts["steps"])
    activity["rate_hz"] = activity["rate_per_step"] / tree["method"]["protocol"]["dt_s"]
