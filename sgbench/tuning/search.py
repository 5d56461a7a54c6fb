"""Runs a search of settings in rounds: choose settings, run them, read their records."""

import contextlib
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from filelock import FileLock

from sgbench.errors import InputError, StorageError
from sgbench.paths import RECORD
from sgbench.records.files import JOURNAL_VERSION, JOURNALS, Asked, Journal, read_model, readable, to_json, write_atomic
from sgbench.records.method import identity, method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.replicas.messages import PruningThresholds
from sgbench.sweeps.shared_points import POLL_S
from sgbench.training.build import build
from sgbench.training.run_folder import folder_of, is_held, stored_record
from sgbench.training.runner import run_spec
from sgbench.tuning.outcomes import Outcome, read_outcome, select_best, stored_pruned
from sgbench.tuning.request import Task
from sgbench.tuning.strategies import make_strategy

WARM_UP_SHARE = 3
"""The first epochs // WARM_UP_SHARE epochs pass before a run may be stopped."""
FEWEST_RUNS = 2
"""Least number of finished runs of which a median is taken."""


def pruning_thresholds(records: Sequence[RunRecord], *, monitor: str, epochs: int) -> PruningThresholds:
    """Return for each epoch the score below which a run is stopped; minus infinity stops none.

    The threshold is the median over finished runs of their best validation score up to that epoch, as in Optuna's
    median pruner.
    """
    curves = [_best_so_far(record, monitor) for record in records]
    if len(curves) < FEWEST_RUNS:
        return (-math.inf,) * epochs
    warm_up = epochs // WARM_UP_SHARE
    medians = [
        statistics.median(curve[min(epoch, len(curve) - 1)] for curve in curves)  # a run may have ended early
        for epoch in range(warm_up, epochs - 1)  # after the last epoch nothing is saved
    ]
    return (*[-math.inf] * warm_up, *medians, -math.inf)


def _best_so_far(record: RunRecord, monitor: str) -> list[float]:
    """Return for each epoch the best validation score up to it, larger is better."""
    if monitor == "validation_accuracy" and record.classes is not None:
        scores = [line.validation_accuracy or 0.0 for line in record.curve]
    else:
        scores = [-line.validation_loss for line in record.curve]
    return list(itertools.accumulate(scores, max))


Runner = Callable[[Sequence[RunSpec], Mapping[int, PruningThresholds]], None]
"""Runs specs side by side and stores their records.

The second argument maps indices of specs to thresholds of each epoch, below which the run is stopped early.
"""


class Search:
    """Runs one worker of a search; any number of workers may share a folder of runs.

    A journal stores the settings that were chosen, records store their results. A worker also runs settings of the
    journal that no other worker runs, so a killed worker loses nothing. If the journal is lost, the same settings
    are chosen again, and runs with records are not repeated. `say` prints a line of progress.
    """

    def __init__(self, task: Task, runner: Runner, say: Callable[[str], None]) -> None:
        self.task, self.runner, self.say = task, runner, say
        self.begun: set[str] = set()  # method ids of settings that this worker has run; it runs each once
        request = task.request
        keys = tuple(task.protocol.search_space or ())
        self.strategy = make_strategy(request.strategy, task.space, keys, task.protocol.name)
        self.path = task.folder / JOURNALS / f"{request.strategy}-{task.base_id}.json"
        self.asks_all_at_once = self.strategy.ignores_results and not request.prune

    def run(self) -> list[Outcome]:
        """Choose and run settings until every study is complete; return the results of all settings.

        Each setting is run with the first tuning seeds. Then the best setting of a study by its mean is run with
        all of them, until the best has run with all: the best of few seeds is often the luckiest.
        """
        while True:
            with self._journal() as journal:
                outcomes = self._read_outcomes(journal)
                abandoned = [outcome for outcome in outcomes if self._is_abandoned(outcome)]
                new = self._ask(outcomes)
                self._check_budget([*outcomes, *new])
                for outcome in new:
                    build(outcome.specs[0])
                self._write(journal, new)
            if not abandoned and not new:
                break
            self._run_round([*abandoned, *(outcome for outcome in new if outcome.state == "open")], outcomes)
        for outcome in outcomes:
            if outcome.state == "open":
                wait_for(outcome.specs)
        for study in range(self.task.request.studies):
            self._confirm([outcome.asked for outcome in outcomes if outcome.asked.study == study])
        return [self._read_all_seeds(outcome.asked) for outcome in outcomes]

    def _confirm(self, study: Sequence[Asked]) -> None:
        """Run the best setting of a study with all tuning seeds, until the setting that is then best has run so."""
        while True:
            best = select_best([self._read_all_seeds(asked) for asked in study])
            specs = () if best is None else self._specs(best.asked)
            missing = list(filter(_is_open, specs))
            if best is None or not missing:
                return
            self.say(f"study {best.asked.study}: {len(missing)} more tuning seeds for {best.asked.method_id}")
            self.runner(missing, {})
            wait_for(specs)

    def _specs(self, asked: Asked) -> tuple[RunSpec, ...]:
        return self.task.specs(dict(asked.setting), self.task.protocol.trial_seeds)

    def _read_all_seeds(self, asked: Asked) -> Outcome:
        """Read a setting's results with the first tuning seeds, and with those further ones that have results."""
        first_seeds = self.task.first_seeds
        specs = [spec for spec in self._specs(asked) if spec.seed in first_seeds or not _is_open(spec)]
        return read_outcome(asked, specs)

    def _is_abandoned(self, outcome: Outcome) -> bool:
        return outcome.state == "open" and outcome.asked.method_id not in self.begun and not _is_running(outcome)

    @contextlib.contextmanager
    def _journal(self) -> Iterator[Journal]:
        """Hold the journal against other workers during the body; yields its content, empty for a new search."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_suffix(".lock")):
                yield readable(self.path) or Journal(
                    schema_version=JOURNAL_VERSION,
                    protocol=self.task.protocol.name,
                    strategy=self.task.request.strategy,
                    base_id=self.task.base_id,
                    asked=(),
                )
        except StorageError:  # an OSError too, of the body
            raise
        except OSError as error:
            raise StorageError(
                f"{self.path.parent} cannot be written: {error.strerror or error}; choose another folder with "
                f"paths.runs_dir=DIR"
            ) from error

    def _write(self, journal: Journal, new: Sequence[Outcome]) -> None:
        if new:
            asked = (*journal.asked, *(outcome.asked for outcome in new))
            write_atomic(self.path, to_json(journal.model_copy(update={"asked": asked})))

    def _read_outcomes(self, journal: Journal) -> list[Outcome]:
        """Read the results of the journal's settings; those of an earlier, larger request are left out."""
        request = self.task.request
        return [
            self._outcome(asked)
            for study in range(request.studies)
            for asked in journal.of_study(study)[: request.trials]
        ]

    def _outcome(self, asked: Asked) -> Outcome:
        return read_outcome(asked, self.task.specs(dict(asked.setting), self.task.first_seeds))

    def _ask(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Choose the next setting of each study, or all settings if none depends on results."""
        chosen = []
        for study in range(self.task.request.studies):
            known = [outcome for outcome in outcomes if outcome.asked.study == study]
            for _ in range(self.task.request.trials - len(known) if self.asks_all_at_once else 1):
                if len(known) < self.task.request.trials:
                    known.append(self._ask_next(study, known))
                    chosen.append(known[-1])
        return chosen

    def _ask_next(self, study: int, known: Sequence[Outcome]) -> Outcome:
        """Choose one more setting of a study by the results of its others; read its results if it has some."""
        setting = self.strategy.ask(study, [outcome.tried for outcome in known])
        specs = self.task.specs(setting, self.task.first_seeds)
        asked = Asked(study=study, number=len(known), method_id=method_id(specs[0].method), setting=setting)
        return read_outcome(asked, specs)

    def _check_budget(self, outcomes: Sequence[Outcome]) -> None:
        """Raise an InputError if these settings, with those that other searches tried, exceed the protocol's budget."""
        protocol = self.task.protocol
        ours = {outcome.asked.method_id for outcome in outcomes}
        others = read_tried_methods(self.task) - ours
        if len(ours) + len(others) > (protocol.tuning_trials or 0):
            raise InputError(
                f"{self.task.folder}: {len(others)} other settings of this method were tried there, e.g. "
                f"{min(others)}; with {len(ours)} of this search {protocol.name} allows {protocol.tuning_trials}; "
                f"ask for fewer with --studies or --trials, or name another folder with paths.runs_dir=DIR"
            )

    def _run_round(self, outcomes: Sequence[Outcome], known: Sequence[Outcome]) -> None:
        """Run the open runs of `outcomes` side by side; results in `known` give thresholds for pruning."""
        specs: list[RunSpec] = []
        thresholds: dict[int, PruningThresholds] = {}  # by index in `specs`; empty without pruning
        for outcome in outcomes:
            self.begun.add(outcome.asked.method_id)
            added = list(filter(_is_open, outcome.specs))
            if self.task.request.prune:
                indices = range(len(specs), len(specs) + len(added))
                thresholds |= dict.fromkeys(indices, self._thresholds(outcome.asked.study, known))
            specs += added
        best = select_best(known)
        so_far = "" if best is None else f"; best so far {abs(best.score or 0.0):.4g} {best.asked.method_id}"
        if specs:
            self.say(f"round of {len(outcomes)} settings, {len(specs)} runs{so_far}")
            self.runner(specs, thresholds)

    def _thresholds(self, study: int, known: Sequence[Outcome]) -> PruningThresholds:
        """Return the pruning thresholds that the finished settings of a study give."""
        earlier = [outcome for outcome in known if outcome.asked.study == study and outcome.state == "finished"]
        results = [stored_record(spec) for outcome in earlier for spec in outcome.specs]
        protocol = self.task.base.method.protocol
        records = [record for record in results if isinstance(record, RunRecord)]
        return pruning_thresholds(records, monitor=protocol.monitor, epochs=protocol.epochs)


def _is_running(outcome: Outcome) -> bool:
    """Return whether a process holds the folder of one of the setting's open runs."""
    folders = [folder_of(spec) for spec in filter(_is_open, outcome.specs)]
    return any(folder.is_dir() and is_held(folder) for folder in folders)


def wait_for(specs: Sequence[RunSpec], pause: Callable[[float], None] = time.sleep) -> None:
    """Wait until no other worker runs these specs, and run those that it left without a result."""
    for spec in specs:
        while is_held(folder_of(spec)):
            pause(POLL_S)
        if _is_open(spec):
            run_spec(spec)


def _is_open(spec: RunSpec) -> bool:
    """Return whether a run has no result yet: neither a record nor a note that it was stopped early."""
    return stored_record(spec) is None and stored_pruned(spec) is None


def read_tried_methods(task: Task) -> set[str]:
    """Return the ids of stored methods that differ from the task's method in searched numbers alone."""

    def without_searched(settings: Mapping[str, str]) -> dict[str, str]:
        return {key: value for key, value in settings.items() if key not in task.space}

    wanted, tried = without_searched(identity(task.base.method)), set()
    for folder in task.folder.glob("[0-9a-f]*"):
        for seed in task.protocol.trial_seeds:
            with contextlib.suppress(InputError):  # this seed has no readable record: try the next one
                record = read_model(folder / str(seed) / RECORD, RunRecord)
                if without_searched(identity(record.method)) == wanted:
                    tried.add(record.method_id)
                break  # all seeds in the folder are of one method
    return tried
