"""Rounds of asking, composing, running and reading records, until every study has its settings."""

from __future__ import annotations

import contextlib
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from filelock import FileLock

from sgbench.errors import InputError, StorageError
from sgbench.paths import RECORD
from sgbench.records.files import read_model, to_json, write_atomic
from sgbench.records.method import identity, method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.records.tuning import JOURNAL_VERSION, JOURNALS, Asked, Journal, readable
from sgbench.replicas.messages import PruningThresholds
from sgbench.sweeps.awaited import POLL_S
from sgbench.training.build import build
from sgbench.training.run_folder import folder_of, is_held, stored_record
from sgbench.training.runner import run_spec
from sgbench.tuning.asking import asker_of
from sgbench.tuning.outcomes import Outcome, best_of, outcome_of, stored_pruned
from sgbench.tuning.request import Task

WARM_UP = 3
"""One in so many epochs passes before a run may be stopped."""
FEWEST = 2
"""Finished runs from which a median is taken."""


def pruning_thresholds(records: Sequence[RunRecord], *, monitor: str, epochs: int) -> PruningThresholds:
    """Return the threshold of each epoch; minus infinity where there is none.

    A run whose best validation score so far lies below it is stopped, as by Optuna's median pruner. Scores are
    signed so that the larger is the better.
    """
    none = (-math.inf,) * epochs
    curves = [_best_so_far(record, monitor) for record in records]
    if len(curves) < FEWEST:
        return none
    first = epochs // WARM_UP
    medians = [
        statistics.median(curve[min(epoch, len(curve) - 1)] for curve in curves)
        for epoch in range(first, epochs - 1)  # after the last epoch nothing is saved
    ]
    return (*none[:first], *medians, -math.inf)


def _best_so_far(record: RunRecord, monitor: str) -> list[float]:
    if monitor == "validation_accuracy" and record.classes is not None:
        scores = [line.validation_accuracy or 0.0 for line in record.curve]
    else:
        scores = [-line.validation_loss for line in record.curve]
    return list(itertools.accumulate(scores, max))


Runner = Callable[[Sequence[RunSpec], Mapping[int, PruningThresholds]], None]
"""Runs specs side by side and leaves their records; some are stopped where they stay below a threshold."""


class Search:
    """Runs one worker of a search; any number of them may share a folder of runs.

    What was asked for stands in a journal, what came of it in records. Whoever finds a setting that was asked for
    and that nobody runs takes it up, so a killed worker loses nothing. A journal that is lost is asked for anew:
    the same questions have the same answers, and what has a record is not run again.
    """

    def __init__(self, task: Task, runner: Runner, say: Callable[[str], None]) -> None:
        self.task = task
        self.runner = runner
        self.say = say
        self.begun: set[str] = set()  # settings that this worker has run once; a second try is each run's own
        request = task.request
        keys = tuple(task.protocol.search_space or ())
        self.asker = asker_of(request.strategy, task.space, keys, task.protocol.name)
        self.path = task.folder / JOURNALS / f"{request.strategy}-{task.base_id}.json"
        self.ahead = self.asker.ahead and not request.prune

    def run(self) -> list[Outcome]:
        """Ask and run until every study has its settings and has confirmed its best; return their results.

        Each setting is tried with the first tuning seeds. The best of a study by its mean is then run with all of
        them, and so is what becomes the best by that, until the best has them all: of few seeds the best setting is
        often the luckiest one.

        Raises:
            InputError: a setting cannot be composed or built, or more were tried than the protocol allows.
            StorageError: the journal cannot be written.
        """
        while True:
            with self._journal() as journal:
                outcomes = self._outcomes(journal)
                left = [outcome for outcome in outcomes if self._is_left(outcome)]
                new = self._ask(outcomes)
                self._check_budget([*outcomes, *new])
                for outcome in new:
                    build(outcome.specs[0])
                self._write(journal, new)
            if not left and not new:
                break
            self._round([*left, *(outcome for outcome in new if outcome.state == "open")], outcomes)
        for outcome in outcomes:
            if outcome.state == "open":
                wait_for(outcome.specs)
        for study in range(self.task.request.studies):
            self._confirm([outcome.asked for outcome in outcomes if outcome.asked.study == study])
        return [self._ended(outcome.asked) for outcome in outcomes]

    def _confirm(self, study: Sequence[Asked]) -> None:
        """Run the best setting of a study with all tuning seeds, until the best by its mean has run with all."""
        while True:
            best = best_of([self._ended(asked) for asked in study])
            specs = () if best is None else self._specs(best.asked)
            left = list(filter(_is_open, specs))
            if best is None or not left:
                return
            self.say(f"study {best.asked.study}: {len(left)} more tuning seeds for {best.asked.method_id}")
            self.runner(left, {})
            wait_for(specs)

    def _specs(self, asked: Asked) -> tuple[RunSpec, ...]:
        """Compose the runs of a setting with all tuning seeds."""
        return self.task.specs(dict(asked.setting), self.task.protocol.trial_seeds)

    def _ended(self, asked: Asked) -> Outcome:
        """Look up a setting with every tuning seed that it has run with."""
        first = len(self.task.first_seeds)
        specs = self._specs(asked)
        return outcome_of(asked, [*specs[:first], *(spec for spec in specs[first:] if not _is_open(spec))])

    def _is_left(self, outcome: Outcome) -> bool:
        """Return whether a setting was asked for and nobody runs it."""
        return outcome.state == "open" and outcome.asked.method_id not in self.begun and not _is_run(outcome)

    @contextlib.contextmanager
    def _journal(self) -> Iterator[Journal]:
        """Yield the journal while no other worker may write it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_suffix(".lock")):
                yield readable(self.path) or self._empty()
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError(
                f"{self.path.parent} cannot be written: {error.strerror or error}; choose another folder with "
                f"paths.runs_dir=DIR"
            ) from error

    def _empty(self) -> Journal:
        return Journal(
            schema_version=JOURNAL_VERSION,
            protocol=self.task.protocol.name,
            strategy=self.task.request.strategy,
            base_id=self.task.base_id,
            asked=(),
        )

    def _write(self, journal: Journal, new: Sequence[Outcome]) -> None:
        if new:
            asked = (*journal.asked, *(outcome.asked for outcome in new))
            write_atomic(self.path, to_json(journal.model_copy(update={"asked": asked})))

    def _outcomes(self, journal: Journal) -> list[Outcome]:
        """Return the settings of this request's studies, study by study."""
        request = self.task.request
        return [
            self._outcome(asked)
            for study in range(request.studies)
            for asked in journal.of_study(study)[: request.trials]
        ]

    def _outcome(self, asked: Asked) -> Outcome:
        return outcome_of(asked, self.task.specs(dict(asked.setting), self.task.first_seeds))

    def _ask(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Ask for the next setting of each study, or for all where none depends on results."""
        asked = []
        for study in range(self.task.request.studies):
            known = [outcome for outcome in outcomes if outcome.asked.study == study]
            for _ in range(self.task.request.trials - len(known) if self.ahead else 1):
                if len(known) < self.task.request.trials:
                    known.append(self._asked(study, known))
                    asked.append(known[-1])
        return asked

    def _asked(self, study: int, known: Sequence[Outcome]) -> Outcome:
        setting = self.asker.ask(study, [outcome.tried for outcome in known])
        specs = self.task.specs(setting, self.task.first_seeds)
        asked = Asked(study=study, number=len(known), method_id=method_id(specs[0].method), setting=setting)
        return outcome_of(asked, specs)

    def _check_budget(self, outcomes: Sequence[Outcome]) -> None:
        """Refuse to ask for more settings than a submission may have tried, those tried elsewhere included."""
        protocol = self.task.protocol
        ours = {outcome.asked.method_id for outcome in outcomes}
        others = tried_in(self.task) - ours
        if len(ours) + len(others) > (protocol.tuning_trials or 0):
            raise InputError(
                f"{self.task.folder}: {len(others)} other settings of this method were tried there, e.g. "
                f"{min(others)}; with {len(ours)} of this search {protocol.name} allows {protocol.tuning_trials}; "
                f"ask for fewer with --studies or --trials, or name another folder with paths.runs_dir=DIR"
            )

    def _round(self, outcomes: Sequence[Outcome], known: Sequence[Outcome]) -> None:
        specs: list[RunSpec] = []
        thresholds: dict[int, PruningThresholds] = {}
        for outcome in outcomes:
            self.begun.add(outcome.asked.method_id)
            threshold = self._thresholds(outcome.asked.study, known) if self.task.request.prune else None
            for spec in filter(_is_open, outcome.specs):
                if threshold is not None:
                    thresholds[len(specs)] = threshold
                specs.append(spec)
        best = best_of(known)
        so_far = "" if best is None else f"; best so far {abs(best.score or 0.0):.4g} {best.asked.method_id}"
        if specs:
            self.say(f"round of {len(outcomes)} settings, {len(specs)} runs{so_far}")
            self.runner(specs, thresholds)

    def _thresholds(self, study: int, known: Sequence[Outcome]) -> PruningThresholds:
        earlier = [
            outcome for outcome in known if outcome.asked.study == study and outcome.state == "finished"
        ]
        results = [stored_record(spec) for outcome in earlier for spec in outcome.specs]
        protocol = self.task.base.method.protocol
        records = [record for record in results if isinstance(record, RunRecord)]
        return pruning_thresholds(records, monitor=protocol.monitor, epochs=protocol.epochs)


def _is_run(outcome: Outcome) -> bool:
    """Return whether some process runs one of its open runs now."""
    folders = [folder_of(spec) for spec in filter(_is_open, outcome.specs)]
    return any(folder.is_dir() and is_held(folder) for folder in folders)


def wait_for(specs: Sequence[RunSpec], pause: Callable[[float], None] = time.sleep) -> None:
    """Wait for runs of another worker, and run what it gave up."""
    for spec in specs:
        while is_held(folder_of(spec)):
            pause(POLL_S)
        if _is_open(spec):
            run_spec(spec)


def _is_open(spec: RunSpec) -> bool:
    """Return whether a run has no record and was not stopped early."""
    return stored_record(spec) is None and stored_pruned(spec) is None


def tried_in(task: Task) -> set[str]:
    """Return the ids of methods with records in a folder that differ from this one in searched numbers alone."""

    def fixed(choices: Mapping[str, str]) -> dict[str, str]:
        return {key: value for key, value in choices.items() if key not in task.space}

    wanted, tried = fixed(identity(task.base.method)), set()
    for folder in task.folder.glob("[0-9a-f]*"):
        for seed in task.protocol.trial_seeds:
            with contextlib.suppress(InputError):
                record = read_model(folder / str(seed) / RECORD, RunRecord)
                if fixed(identity(record.method)) == wanted:
                    tried.add(record.method_id)
                break
    return tried
