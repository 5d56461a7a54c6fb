"""What the first study's recurrent tasks say of widths: accuracies of stored cells, and their passing steps.

python -m study.passing_steps.analysis.evidence DATA measures the steps anew
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sgbench.composition.compose import compose
from sgbench.diagnosis.passing import RecurrentLayer, mean_passing_steps
from sgbench.leaderboard.score import measure_of
from sgbench.records.base import Amount, Strict, Text
from sgbench.records.calibration import Reset
from sgbench.records.files import read_model, to_json, write_atomic
from sgbench.records.record import RunRecord
from sgbench.study_runner.cells import task_reference
from sgbench.study_runner.definition import Study, load_study
from sgbench.study_runner.scores import read_settled, selection
from sgbench.study_runner.store import Store, StoreEntry
from sgbench.training.calibration import measure_first_pass
from sgbench.training.creation import create
from study.reporting.run_table import SHAPES as ALL_SHAPES

FIRST = "surrogates"
TASKS = ("T4", "T5", "T6", "T8", "K1")
"""Recurrent tasks of the first study that are learnt."""
BLOCKS = ("A2", "B2", "H", "H2", "K")
SHAPES = ("triangle", "atan")
WIDTHS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
PILOTS, STEPS = "pilots", "steps.json"
"""Folder and file beside the study's records."""
DIGITS = 4
PERCENT = 100.0
NEUTRAL = {"surrogate.normalisation": "peak1", "network.recurrence_gradient": "full", "clip_norm": None}
"""Settings of a cell that the study's question holds fixed."""


class StepsFile(Strict):
    """Holds passing steps before training, by task, shape and width."""

    tasks: dict[Text, dict[Text, dict[Text, Amount]]]


@dataclass(frozen=True)
class TaskEvidence:
    """Holds the cells of one task at one reset.

    `accuracy`: validation accuracy in points by shape and width, the mean over seeds; `steps`: passing steps by shape
    and width; `guess`: accuracy of guessing in points.
    """

    accuracy: Mapping[tuple[str, float], float]
    steps: Mapping[tuple[str, float], float]
    guess: float = 0.0

    @property
    def best(self) -> float:
        return max(self.accuracy.values())

    def loss(self, shape: str, width: float) -> float | None:
        """Return the points that a cell loses to the best one; None where it was not run."""
        accuracy = self.accuracy.get((shape, width))
        return None if accuracy is None else self.best - accuracy

    def loss_at(self, target: float) -> float:
        """Average over shapes the points lost at a target, interpolated over the logarithm of passing steps."""
        losses = []
        for shape in SHAPES:
            widths = sorted(width for name, width in self.accuracy if name == shape)
            steps = np.log([self.steps[shape, width] for width in widths])
            accuracies = [self.accuracy[shape, width] for width in widths]
            losses.append(self.best - float(np.interp(np.log(target), steps, accuracies)))
        return sum(losses) / len(losses)


@dataclass(frozen=True)
class RunPoints:
    """Holds the points of one run, those of guessing where it failed, and what guessing would have."""

    validation: float
    test: float
    guess: float = 0.0


RunsOfCells = Mapping[tuple[Reset, str, str, float], Mapping[int, RunPoints]]
"""By reset, task, shape and width, the runs by seed."""


def points_of_run(record: RunRecord) -> RunPoints:
    measure = measure_of(record.classes, None)
    points = (selection(record)[0], measure.of(record.test), measure.guess)
    return RunPoints(*(PERCENT * score for score in points))


def first_entries(root: Path) -> list[StoreEntry]:
    return list(Store(root / "study" / FIRST, FIRST).entries(BLOCKS))


def read_runs(root: Path, study: Study, stored: Iterable[StoreEntry], shapes: Sequence[str] = SHAPES) -> RunsOfCells:
    """Collect the runs of `shapes` from the first study's entries, `stored`, and from the second study's pilots."""
    pilots = Store(root / "study" / "passing_steps" / PILOTS, "passing_steps").entries(["S"])
    runs: dict[tuple[Reset, str, str, float], dict[int, RunPoints]] = {}
    for entry in (*stored, *pilots):
        key = _reset_task_shape_width(entry, study)
        if key is not None and key[2] in shapes:
            runs.setdefault(key, {})[entry.record.seed] = points_of_run(entry.record)
    return runs


def read_evidence(root: Path, runs: RunsOfCells) -> dict[Reset, dict[str, TaskEvidence]]:
    """Collect by reset and task the mean validation accuracy of cells, and their measured steps."""
    steps = read_model(root / "study" / "passing_steps" / STEPS, StepsFile).tasks
    resets: tuple[Reset, ...] = ("detached", "attached")
    return {reset: {task: _task_evidence(runs, reset, task, steps[task]) for task in TASKS} for reset in resets}


def _task_evidence(
    runs: RunsOfCells, reset: Reset, task: str, steps: Mapping[str, Mapping[str, float]]
) -> TaskEvidence:
    """Collect the cells of one task and reset; `steps` maps shapes to widths (as text) to passing steps."""
    accuracy = {
        (shape, width): sum(run.validation for run in by_seed.values()) / len(by_seed)
        for (run_reset, run_task, shape, width), by_seed in runs.items()
        if (run_reset, run_task) == (reset, task)
    }
    measured = {
        (shape, float(width)): number for shape, by_width in steps.items() for width, number in by_width.items()
    }
    guesses = [
        run.guess for (_, run_task, _, _), by_seed in runs.items() if run_task == task for run in by_seed.values()
    ]
    return TaskEvidence(accuracy, measured, max(guesses))


def _reset_task_shape_width(entry: StoreEntry, study: Study) -> tuple[Reset, str, str, float] | None:
    """Return reset, task, shape and width of a run, or None where it varies something else or another task."""
    cell = dict(entry.cell)
    shape, width = str(cell.pop("surrogate", "")), cell.pop("width_fwhm", None)
    if entry.task not in TASKS or not isinstance(width, int | float):
        return None
    reset: Reset = "attached" if cell.pop("neuron.reset_gradient", "detached") == "attached" else "detached"
    learning_rate = cell.pop("optimizer.lr", None)
    if learning_rate not in (None, study.tasks[entry.task].reference["optimizer.lr"]):
        return None
    is_neutral = all(key in NEUTRAL and NEUTRAL[key] == value for key, value in cell.items())
    return (reset, entry.task, shape, float(width)) if is_neutral else None


def _measure_steps(study: Study, folder: Path, words: Iterable[str] = ()) -> StepsFile:
    """Measure passing steps at each task's reference settings, which `folder` settled; `words` come last."""
    tasks = {}
    for task in TASKS:
        reference = reference_words(study, folder, task)
        first_pass = measure_first_pass(compose([*study.tasks[task].words, *reference, *words]))
        tasks[task] = {shape: _by_width(first_pass.layers, shape) for shape in ALL_SHAPES}
    return StepsFile(tasks=tasks)


def reference_words(study: Study, folder: Path, task: str) -> list[str]:
    """Return the settled settings of a task of the first study, as overrides without the width."""
    block = "A2" if task in study.blocks["A2"].tasks else "H" if task == "T8" else "K"
    reference = task_reference(study, block, task, read_settled(folder))
    return sorted(f"{key}={value}" for key, value in reference.items() if key != "width_fwhm")


def _by_width(layers: Sequence[RecurrentLayer], shape: str) -> dict[str, float]:
    """Map each width to the mean passing steps of the layers, rounded to what is stored."""
    surrogate = create(f"surrogate/{shape}", width_fwhm=1.0)
    steps = {width: mean_passing_steps(layers, surrogate, width) for width in WIDTHS}
    return {f"{width:g}": float(f"{number:.{DIGITS}g}") for width, number in steps.items()}


def main() -> int:
    """Measure the steps with files of data sets in the folder that is named, and write them beside the records."""
    root = Path(__file__).resolve().parents[3]
    steps = _measure_steps(load_study(FIRST).study, root / "study" / FIRST, [f"paths.data_dir={sys.argv[1]}"])
    write_atomic(root / "study" / "passing_steps" / STEPS, to_json(steps))
    return 0


if __name__ == "__main__":
    sys.exit(main())
