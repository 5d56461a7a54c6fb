"""Run a candidate: a map of widths, a search around its best, and reporting seeds until all regimes are decided."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np

from sgbench.composition import catalogue
from sgbench.composition.plan import PointComposer
from sgbench.errors import InputError
from sgbench.leaderboard.score import measure_of
from sgbench.records.calibration import AUTO
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.statistics.pairs import Floats
from sgbench.study_runner.cells import Cell, overrides_of, rounded
from sgbench.study_runner.judge.decide import LOOKS, RegimeVerdict, decide
from sgbench.study_runner.judge.field import RECURRENT, JudgedTask
from sgbench.study_runner.run import HOUR_S, Runner, is_result
from sgbench.study_runner.scores import PERCENT, log_spikes_of, selection
from sgbench.training.build import build
from sgbench.training.calibration import calibrate_specs
from sgbench.training.run_folder import stored_record

TUNING_SEEDS = (100, 101)
FIRST_REPORT = 200  # first of the reporting seeds, which follow each other
FACTORS = {"width_fwhm": (0.5, 1.0, 2.0), "optimizer.lr": (0.25, 1.0, 4.0)}
"""Factors on the best width of the map and on the learning rate, as in the tuning of the stored shapes."""
OWN_BEST, CALIBRATED = "own best", "calibrated width"


@dataclass(frozen=True)
class Candidate:
    """Describes the surrogate that is judged."""

    overrides: tuple[str, ...]  # of Hydra, which choose it, e.g. "surrogate=formula", "surrogate.formula=..."
    has_width: bool  # whether the override `width_fwhm` sets its width

    @staticmethod
    def of(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> Candidate:
        """Read the surrogate to judge from overrides; its name alone may stand first."""
        if not overrides:
            raise InputError("name a surrogate, e.g. sgbench judge atan")
        first = overrides[0] if "=" in overrides[0] else f"surrogate={overrides[0]}"
        if not first.startswith("surrogate="):
            raise InputError(f"{overrides[0]}: the first override names a surrogate, e.g. surrogate=formula")
        name = first.partition("=")[2]
        if re.search(r"[*()+<> ]", name):
            raise InputError(
                f"no surrogate is called {name}; to judge a formula, type: formula \"surrogate.formula='{name}'\""
            )
        entry = catalogue.entry("surrogate", name, list(config_dirs))
        return Candidate((first, *overrides[1:]), "width_fwhm" in entry.parameters)


@dataclass(frozen=True)
class TrialRun:
    """Holds the scores of one run of the candidate."""

    accuracy: float  # on test [points]; that of guessing for a failed run
    validation: float  # accuracy on validation [points]; that of guessing for a failed run
    log_spikes: float | None  # natural logarithm of spikes per inference; None without counts or spikes
    failed: bool
    fit_s: float  # wall time of training and test
    record: RunRecord
    width_fwhm: float | None = None  # [threshold units]; None without a width
    at_chance: bool = False  # by the boards' rule, on test if it was tested, else on validation
    silent: frozenset[str] = frozenset()  # layers without a spike on that split


@dataclass
class TaskTrial:
    """Holds the candidate's runs on one task."""

    task: JudgedTask
    map: dict[float, dict[int, TrialRun]] = field(default_factory=dict)  # by width [thresholds], then by seed
    cell: Cell = field(default_factory=dict)  # width and learning rate chosen by tuning
    # With reporting seeds, by OWN_BEST or CALIBRATED, then by seed.
    report: dict[str, dict[int, TrialRun]] = field(default_factory=dict)
    tuning: list[TrialRun] = field(default_factory=list)  # of the search around the best width

    @property
    def runs(self) -> list[TrialRun]:
        mapped = [run for seeds in self.map.values() for run in seeds.values()]
        return [*mapped, *self.tuning, *(run for seeds in self.report.values() for run in seeds.values())]

    @property
    def at_edge(self) -> bool:
        """Return whether the chosen learning rate is the lowest or the highest tried one."""
        factors = FACTORS["optimizer.lr"]
        ends = [rounded(self.task.rate * factor) for factor in (min(factors), max(factors))]
        return self.cell["optimizer.lr"] in ends

    @property
    def silent(self) -> list[str]:
        """List the layers that were silent in every run that ended at chance; empty if no run did."""
        by_run = [run.silent for run in self.runs if run.at_chance]
        return sorted(frozenset.intersection(*by_run)) if by_run else []

    def differences(self, kind: str) -> Floats:
        """Return the accuracy of the candidate minus that of the best known shape, by common seed [points]."""
        known = dict(zip(self.task.best_known.seeds, self.task.best_known.score, strict=True))
        runs = self.report.get(kind, {})
        return np.array([run.accuracy - known[seed] for seed, run in sorted(runs.items()) if seed in known])


@dataclass(frozen=True)
class JudgedCandidate:
    """Holds the runs of a candidate on all tasks, and computes the verdicts."""

    candidate: Candidate
    tasks: tuple[TaskTrial, ...]
    handed_in: tuple[str, ...] = ()  # for each task, the folder of its submission or why there is none

    def verdicts(self, kind: str = OWN_BEST) -> dict[str, RegimeVerdict]:
        """Decide for each kind of network, from differences paired by seed; a kind without seeds is left out."""
        differences: dict[str, Floats] = {}
        for regime in dict.fromkeys(trial.task.regime for trial in self.tasks):
            by_task = [trial.differences(kind) for trial in self.tasks if trial.task.regime == regime]
            seeds = min(map(len, by_task))
            if seeds:
                differences[regime] = np.array([of_task[:seeds] for of_task in by_task])
        return decide(differences)

    def unlearnt(self, regime: str, kind: str = OWN_BEST) -> bool:
        trials = [trial.report.get(kind, {}) for trial in self.tasks if trial.task.regime == regime]
        runs = [run for report in trials for run in report.values()]
        return bool(runs) and all(run.failed or run.at_chance for run in runs)

    @property
    def runs(self) -> list[TrialRun]:
        return [run for trial in self.tasks for run in trial.runs]


@dataclass(frozen=True)
class TrialFolders:
    """Names the folders of a trial, and the classes that its runs may import."""

    runs_dir: Path  # of its records
    data_dir: Path | None = None  # of files of data sets; None: the default
    config_dirs: tuple[Path, ...] = ()  # folders with the user's own entries
    allow_targets: tuple[str, ...] = ()  # classes outside the catalogue that may be imported


class Court:
    """Runs a candidate on tasks, stage by stage; runs with a record are not repeated.

    `say` is called with one line for each stage that trains. `map_seeds` is the count of seeds of the map of
    widths, and `most_seeds` the largest count of reporting seeds.
    """

    def __init__(
        self,
        candidate: Candidate,
        tasks: Sequence[JudgedTask],
        folders: TrialFolders,
        *,
        runner: Runner,
        say: Callable[[str], None],
        map_seeds: int,
        most_seeds: int = LOOKS[-1][0],
    ) -> None:
        self.candidate, self.folders = candidate, folders
        self.trials = tuple(TaskTrial(task) for task in tasks)
        self.runner, self.say = runner, say
        self.map_seeds, self.most_seeds = map_seeds, most_seeds
        self.composer = PointComposer(folders.config_dirs, folders.allow_targets)
        self.began_s, self.stated_s = time.monotonic(), 0.0

    def judge(self, *, calibrated: bool) -> JudgedCandidate:
        """Train every run that a verdict needs, and return the runs of all tasks.

        `calibrated`: whether to run recurrent tasks also at the width chosen by passing steps, if it has a width.
        """
        for trial in self.trials:
            self._tune(trial)
        result = JudgedCandidate(self.candidate, self.trials)
        self._report(result, OWN_BEST, {trial.task.name: trial.cell for trial in self.trials})
        if calibrated and self.candidate.has_width:
            self._report(result, CALIBRATED, self._calibrated_cells())
        return result

    def require_possible(self, *, calibrated: bool) -> None:
        """Build each task's run once, so that a wrong candidate is refused before hours are spent."""
        cells = self._calibrated_cells() if calibrated else {}
        if calibrated and not self.candidate.has_width:
            raise InputError(
                f"--calibrated: {self.candidate.overrides[0]} has no width that passing steps could choose"
            )
        if calibrated and not cells:
            raise InputError(
                "--calibrated: no task is recurrent, and only recurrent networks are calibrated; use --tasks whole"
            )
        for trial in self.trials:
            task = trial.task
            build(self.spec(task, {"optimizer.lr": task.rate}, FIRST_REPORT)).data.setup()
            if task.name in cells:
                calibrate_specs([self.spec(task, cells[task.name], FIRST_REPORT)])

    def _calibrated_cells(self) -> dict[str, Cell]:
        return {
            trial.task.name: {"width_fwhm": AUTO, "optimizer.lr": trial.task.rate}
            for trial in self.trials
            if trial.task.regime == RECURRENT
        }

    def _tune(self, trial: TaskTrial) -> None:
        """Choose the candidate's width and learning rate on one task, in the same way as for the stored shapes.

        The width with the best mean validation accuracy in a map, and the reference learning rate, are each
        combined with nearby values. The cell with the best mean over the tuning seeds is chosen, the first of
        equal ones.
        """
        task = trial.task
        widths: list[float | None] = [None]
        if self.candidate.has_width:
            seeds = task.map_seeds[: self.map_seeds]
            pairs = [(width, seed) for seed in seeds for width in task.widths]
            points: list[tuple[Cell, int]] = [
                ({"width_fwhm": width, "optimizer.lr": task.rate}, seed) for width, seed in pairs
            ]
            for (width, seed), run in zip(pairs, self.runs_of(task, "map", points), strict=True):
                trial.map.setdefault(width, {})[seed] = run
            best_width = max(trial.map, key=lambda width: _mean_validation(trial.map[width].values()))
            widths = [rounded(best_width * factor) for factor in FACTORS["width_fwhm"]]
        nearby: list[Cell] = [
            {"optimizer.lr": rounded(task.rate * factor), **({} if width is None else {"width_fwhm": width})}
            for width in widths
            for factor in FACTORS["optimizer.lr"]
        ]
        trial.tuning = self.runs_of(task, "search", [(cell, seed) for cell in nearby for seed in TUNING_SEEDS])
        size = len(TUNING_SEEDS)
        means = [_mean_validation(trial.tuning[first : first + size]) for first in range(0, len(trial.tuning), size)]
        trial.cell = dict(nearby[means.index(max(means))])

    def _report(self, result: JudgedCandidate, kind: str, cells: Mapping[str, Cell]) -> None:
        """Run reporting seeds of the undecided regimes, one interim analysis after another.

        The runs are stored as a `kind`, `OWN_BEST` or `CALIBRATED`. `cells` maps the names of tasks to the cell
        that runs; other tasks are left out.
        """
        done = 0
        for seeds, _ in LOOKS:
            verdicts = result.verdicts(kind)
            for trial in self.trials:
                if trial.task.name not in cells:
                    continue
                verdict = verdicts.get(trial.task.regime)
                stored = len(trial.task.best_known.seeds)
                if (verdict is not None and verdict.word != "open") or min(stored, self.most_seeds) < seeds:
                    continue
                new_seeds = range(FIRST_REPORT + done, FIRST_REPORT + seeds)
                points = [(cells[trial.task.name], seed) for seed in new_seeds]
                runs = self.runs_of(trial.task, f"{kind}, {seeds} seeds", points)
                trial.report.setdefault(kind, {}).update(zip(new_seeds, runs, strict=True))
            done = seeds

    def runs_of(self, task: JudgedTask, stage: str, points: Sequence[tuple[Cell, int]]) -> list[TrialRun]:
        """Return the candidate's runs of some cells and seeds in order; those without a record are trained first.

        `stage` names the stage in messages.
        """
        specs = calibrate_specs([self.spec(task, cell, seed) for cell, seed in points])
        missing = [spec for spec in specs if (record := stored_record(spec)) is None or not is_result(record)]
        if missing:
            stated_s = task.run_s * len(missing)
            elapsed_s = time.monotonic() - self.began_s
            slowness = elapsed_s / self.stated_s if self.stated_s else 1.0
            self.say(f"{task.title}: {stage}, {len(missing)} runs, about {stated_s * slowness / 60:.1f} minutes")
            self.runner(missing)
            self.stated_s += stated_s
        return [self._run(spec) for spec in specs]

    def spec(self, task: JudgedTask, cell: Cell, seed: int) -> RunSpec:
        """Compose the candidate's run on a task, with these settings and this seed."""
        settings = overrides_of({**task.reference, **cell})
        overrides = [*task.overrides, *self.candidate.overrides, *settings, f"seed={seed}"]
        spec = self.composer.spec([*overrides, "trainer.progress=false"])
        folders = {"runs_dir": str(self.folders.runs_dir)}
        folders |= {} if self.folders.data_dir is None else {"data_dir": str(self.folders.data_dir)}
        return spec.model_copy(update={"paths": spec.paths.model_copy(update=folders)})

    def _run(self, spec: RunSpec) -> TrialRun:
        """Read the result of a run that has been made."""
        record = stored_record(spec)
        if record is None or not is_result(record):
            raise InputError(
                f"{self.folders.runs_dir}: a run has no result; see its folder, and repeat the same command"
            )
        return run_of(record)


def run_of(record: RunRecord) -> TrialRun:
    """Reduce a record to what the verdict needs, in percent."""
    width = record.method.parameters["surrogate"].get("width_fwhm")
    measure = measure_of(record.classes, None)
    validation_accuracy, _ = selection(record)
    split = record.test or record.validation  # tuning runs are not tested
    layers = () if split is None else split.activity
    return TrialRun(
        accuracy=PERCENT * measure.of(record.test),
        validation=PERCENT * validation_accuracy,
        log_spikes=log_spikes_of(record),
        failed=record.status == "failed",
        fit_s=record.timing.total_s,
        record=record,
        width_fwhm=float(width) if isinstance(width, float | int) else None,
        at_chance=measure.is_at_chance(split),
        silent=frozenset(layer.name for layer in layers if layer.dead_fraction == 1),
    )


def _mean_validation(runs: Iterable[TrialRun]) -> float:
    return fmean(run.validation for run in runs)


def hours_of(result: JudgedCandidate, verdict: RegimeVerdict) -> float | None:
    """Estimate the wall time [h] of the seeds that would decide a verdict; None if too many are needed.

    A seed takes the mean time of the candidate's runs, summed over the tasks of the regime.
    """
    if verdict.seeds_needed is None:
        return None
    per_seed_s = sum(
        fmean(run.fit_s for run in trial.runs) for trial in result.tasks if trial.task.regime == verdict.regime
    )
    return verdict.seeds_needed * per_seed_s / HOUR_S
