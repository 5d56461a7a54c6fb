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
from sgbench.study_runner.settle import read_settled, selection
from sgbench.study_runner.store import Store, StoreEntry
from sgbench.training.calibration import measure_first_pass
from sgbench.training.creation import create
from study.reporting.pages.shapes import SHAPES as ALL_SHAPES

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
        found = self.accuracy.get((shape, width))
        return None if found is None else self.best - found

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
    return RunPoints(*(PERCENT * one for one in points))


def first_entries(root: Path) -> list[StoreEntry]:
    return list(Store(root / "study" / FIRST, FIRST).entries(BLOCKS))


def read_runs(root: Path, study: Study, stored: Iterable[StoreEntry], shapes: Sequence[str] = SHAPES) -> RunsOfCells:
    tried = Store(root / "study" / "passing_steps" / PILOTS, "passing_steps").entries(["S"])
    runs: dict[tuple[Reset, str, str, float], dict[int, RunPoints]] = {}
    for entry in (*stored, *tried):
        place = _place(entry, study)
        if place is not None and place[2] in shapes:
            runs.setdefault(place, {})[entry.record.seed] = points_of_run(entry.record)
    return runs


def read_evidence(root: Path, runs: RunsOfCells) -> dict[Reset, dict[str, TaskEvidence]]:
    """Collect by reset and task the mean validation accuracy of cells, and their measured steps."""
    steps = read_model(root / "study" / "passing_steps" / STEPS, StepsFile).tasks
    return {
        reset: {
            task: TaskEvidence(
                {
                    (shape, width): sum(run.validation for run in found.values()) / len(found)
                    for (of, name, shape, width), found in runs.items()
                    if (of, name) == (reset, task)
                },
                {
                    (shape, float(width)): number
                    for shape, numbers in steps[task].items()
                    for width, number in numbers.items()
                },
                max((run.guess for place, found in runs.items() if place[1] == task for run in found.values())),
            )
            for task in TASKS
        }
        for reset in ("detached", "attached")
    }


def _place(entry: StoreEntry, study: Study) -> tuple[Reset, str, str, float] | None:
    """Return reset, task, shape and width of a run, or None where it varies something else or another task."""
    cell = dict(entry.cell)
    shape, width = str(cell.pop("surrogate", "")), cell.pop("width_fwhm", None)
    if entry.task not in TASKS or not isinstance(width, int | float):
        return None
    reset: Reset = "attached" if cell.pop("neuron.reset_gradient", "detached") == "attached" else "detached"
    rate = cell.pop("optimizer.lr", None)
    if rate not in (None, study.tasks[entry.task].reference["optimizer.lr"]):
        return None
    same = all(NEUTRAL.get(key, key) == value for key, value in cell.items())
    return (reset, entry.task, shape, float(width)) if same else None


def _measure_steps(study: Study, folder: Path, words: Iterable[str] = ()) -> StepsFile:
    tasks = {}
    for task in TASKS:
        given = reference_words(study, folder, task)
        seen = measure_first_pass(compose([*study.tasks[task].words, *given, *words]))
        tasks[task] = {shape: _by_width(seen.layers, shape) for shape in ALL_SHAPES}
    return StepsFile(tasks=tasks)


def reference_words(study: Study, folder: Path, task: str) -> list[str]:
    block = "A2" if task in study.blocks["A2"].tasks else "H" if task == "T8" else "K"
    reference = task_reference(study, block, task, read_settled(folder))
    return sorted(f"{key}={value}" for key, value in reference.items() if key != "width_fwhm")


def _by_width(layers: Sequence[RecurrentLayer], shape: str) -> dict[str, float]:
    surrogate = create(f"surrogate/{shape}", width_fwhm=1.0)
    steps = {width: mean_passing_steps(layers, surrogate, width) for width in WIDTHS}
    return {f"{width:g}": float(f"{number:.{DIGITS}g}") for width, number in steps.items()}


def main() -> int:
    """Measure the steps with files of data sets in the folder that is named, and write them beside the records."""
    root = Path(__file__).resolve().parents[3]
    found = _measure_steps(load_study(FIRST).study, root / "study" / FIRST, [f"paths.data_dir={sys.argv[1]}"])
    write_atomic(root / "study" / "passing_steps" / STEPS, to_json(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
