"""Runs of the study of surrogates with a known truth: scores, or copies of one valid record with other numbers."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.study_runner.cells import Cell, Settled, StudyPoint, points, task_reference
from sgbench.study_runner.definition import Loaded, Study, load_study
from sgbench.study_runner.scores import PERCENT, Score, StudyScores, canonical, varied_keys
from sgbench.study_runner.store import StoreEntry
from study.reporting.run_table import SHAPES

RECORDS = Path(__file__).resolve().parents[2] / "leaderboards" / "randman_v1" / "records"
RECORD = RECORDS / "06fb562fb273" / "0.json"
GUESS = 10.0
DEFAULTS: Cell = {
    "network.recurrence_gradient": "full",
    "neuron.reset_gradient": "detached",
    "surrogate.normalisation": "peak1",
    "regulariser": "none",
    "init.recurrent_gain": 1.0,
    "steepness": "fixed",
    "loss": "last_step",
    "neuron": "leaky",
    "neuron.reset": "subtract",
    "neuron.input_gain": "one",
    "rule": "bptt",
    "rule.window": None,
}
"""What a run has where no cell states anything."""
REFERENCE: Cell = {"optimizer.lr": 0.01, "init.gain": 1.5, "width_fwhm": 0.3, "neuron.beta": 0.9, "protocol.epochs": 50}
SETTLED: Settled = {"A1": {task: [REFERENCE] for task in ("T1", "T3", "T4", "T5", "T6", "T7")}}


@dataclass(frozen=True)
class Outcome:
    """What a run comes to: accuracies in points and spikes an inference; failed: neither."""

    accuracy: float = 90.0
    validation: float = 90.0
    spikes: float = 100.0
    failed: bool = False


Truth = Callable[[StudyPoint, Cell], Outcome]
"""From a run and its full settings to what it comes to."""


@functools.cache
def study() -> Loaded:
    """The registered study."""
    return load_study("surrogates")


def more_seeds(count: int) -> Study:
    """The registered study with so many reporting seeds."""
    plan = study().study
    block = plan.blocks["A3b"]
    seeds = block.seeds.model_copy(update={"count": count})
    return plan.model_copy(update={"blocks": {**plan.blocks, "A3b": block.model_copy(update={"seeds": seeds})}})


def with_best(settled: Settled = SETTLED, block: str = "A3a", **cell: Any) -> Settled:
    """Add a settled cell for each shape on every task of the block that is compared, all alike."""
    best = [{"surrogate": shape, "width_fwhm": 0.5, "optimizer.lr": 0.01, **cell} for shape in SHAPES]
    return {**settled, block: dict.fromkeys(study().study.blocks["A3b"].tasks, best)}


def noise(point: StudyPoint, spread: float, what: object = "") -> float:
    """A number that depends on the run alone, normal with this spread."""
    text = json.dumps([point.task, sorted(point.cell.items(), key=str), point.seed, what], default=str)
    drawn = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])
    return spread * NormalDist().inv_cdf((drawn + 0.5) / 2**56)


def scores(
    truth: Truth,
    blocks: Iterable[str],
    *,
    tasks: Iterable[str] = (),
    settled: Settled = SETTLED,
    plan: Study | None = None,
) -> StudyScores:
    """The scores of whole blocks, made without records.

    Args:
        truth: what each run comes to.
        blocks: in the order in which they were stored.
        tasks: these alone; all by default.
        settled: what blocks have settled on.
        plan: the registered study by default.
    """
    plan = plan or study().study
    runs = [_score(plan, point, settled, truth) for point in planned(plan, blocks, settled, tasks)]
    return StudyScores(plan, settled, runs)


def planned(plan: Study, blocks: Iterable[str], settled: Settled, tasks: Iterable[str] = ()) -> list[StudyPoint]:
    """All runs of these blocks, each once: what two blocks share is the first one's."""
    wanted = set(tasks)
    runs: dict[tuple[str, int, str], StudyPoint] = {}
    for block in blocks:
        for point in points(plan, block, settled):
            if not wanted or point.task in wanted:
                settings = {key: canonical(value) for key, value in full(plan, point, settled).items()}
                runs.setdefault((point.task, point.seed, json.dumps(settings, sort_keys=True)), point)
    return list(runs.values())


def full(plan: Study, point: StudyPoint, settled: Settled) -> Cell:
    """Every setting of a run, with what it has where none is stated."""
    stated = {**task_reference(plan, point.block, point.task, settled), **point.cell}
    return {key: stated.get(key, DEFAULTS.get(key)) for key in _keys(point.task)}


@functools.cache
def _keys(task: str) -> tuple[str, ...]:
    return varied_keys(study().study, task)


def _score(plan: Study, point: StudyPoint, settled: Settled, truth: Truth) -> Score:
    settings = full(plan, point, settled)
    outcome = truth(point, settings)
    threshold = plan.tasks[point.task].solved_from
    accuracy = GUESS if outcome.failed else outcome.accuracy
    return Score(
        block=point.block,
        task=point.task,
        purpose=plan.blocks[point.block].purpose,
        seed=point.seed,
        cell=point.cell,
        settings=settings,
        accuracy=accuracy,
        validation=GUESS if outcome.failed else outcome.validation,
        log_spikes=None if outcome.failed or not outcome.spikes else math.log(outcome.spikes),
        failed=outcome.failed,
        solved=None if threshold is None else accuracy >= PERCENT * threshold,
        guess=GUESS,
    )


def entries(runs: Iterable[StudyPoint], truth: Truth, settled: Settled = SETTLED, **made: Any) -> list[StoreEntry]:
    """Stored runs, as records.

    Args:
        runs: of the registered study.
        truth: what each comes to.
        settled: what blocks have settled on.
        made: see `record_of`.
    """
    return [StoreEntry(point.block, point.task, point.cell, record_of(point, truth, settled, **made)) for point in runs]


@functools.cache
def _template() -> str:
    return RECORD.read_text()


def record_of(
    point: StudyPoint, truth: Truth, settled: Settled = SETTLED, *, commit: str | None = "a" * 40, clean: bool = True
) -> RunRecord:
    """A record whose method has the settings of a run, and whose numbers are consistent with an outcome."""
    settings = full(study().study, point, settled)
    outcome = truth(point, settings)
    tree = copy.deepcopy(json.loads(_template()))
    for key, value in settings.items():
        _set(tree["method"], key, value)
    name = f"truth_{point.task.lower()}_v1"
    tree["method"]["protocol"]["name"] = name
    method = Method.model_validate_json(json.dumps(tree["method"]))
    tree.update(method=method.model_dump(mode="json"), protocol=name, seed=point.seed, method_id=method_id(method))
    tree["provenance"].update(commit=commit, clean=clean)
    tree["curve"] = tree["curve"][: method.protocol.epochs]
    tree["best_epoch"] = len(tree["curve"]) - 1
    if outcome.failed:
        _fail(tree)
    else:
        _finish(tree, outcome)
    return RunRecord.model_validate_json(json.dumps(tree))


def _set(method: dict[str, Any], key: str, value: Any) -> None:
    """Write one setting where a record has it; what is not stated stays, and so do the layers."""
    if key == "width_fwhm":
        method["parameters"]["surrogate"]["width_fwhm"] = value
    elif value is None or key == "protocol.hidden":
        return
    elif key == "clip_norm":
        method["clip_norm"] = float(value)
    elif key.startswith("protocol."):
        method["protocol"][key.removeprefix("protocol.")] = value
    elif "." in key:
        group, name = key.split(".", 1)
        method["parameters"].setdefault(group, {})[name] = value
    else:
        method["choices"][key] = value


def _fail(tree: dict[str, Any]) -> None:
    """Leave of a record what a failed run has."""
    tree["status"] = "failed"
    tree["failure"] = {"kind": "NonFiniteError", "message": "the gradient is not finite"}
    tree.update(dict.fromkeys(("validation", "test", "counts", "predictions_sha256", "weights_sha256")))


def _finish(tree: dict[str, Any], outcome: Outcome) -> None:
    """Write accuracies and spikes, and what a record derives from them."""
    for name, accuracy in (("validation", outcome.validation), ("test", outcome.accuracy)):
        samples = tree[name]["samples"]
        tree[name]["accuracy"] = round(accuracy / PERCENT * samples) / samples
    tree["curve"][-1].update({f"validation_{key}": tree["validation"][key] for key in ("loss", "accuracy")})
    counts = tree["counts"]
    counts.pop("spread", None)
    hidden, readout = counts["layers"]
    spikes = round(outcome.spikes * counts["samples"])
    hidden["spikes_sent"]["total"] = spikes
    readout["synapses"][0]["effective"]["total"] = spikes * readout["neurons"]
    activity = tree["test"]["activity"][0]
    activity["rate_per_step"] = spikes / (hidden["neurons"] * counts["steps"])
    activity["rate_hz"] = activity["rate_per_step"] / tree["method"]["protocol"]["dt_s"]
