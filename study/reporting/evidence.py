"""Data of a report's pages: scores, facts of the runs, and the registration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.study_runner.definition import Loaded
from sgbench.study_runner.scores import Score, StudyScores
from sgbench.study_runner.store import Manifest, StoreEntry
from sgbench.tables import counted
from study.reporting.registration import Departure, Registration

LEARNT = 20.0
"""Points above guessing that the best setting of a network that learns reaches."""


class TriedSettings:
    """Compares the runs of several settings on one network with those of its best one; its classes hold both."""

    runs: Mapping[Any, Mapping[int, Score]]
    best: Any

    def mean(self, setting: Any) -> float:
        """Average the test accuracy of a setting over seeds [points]."""
        return fmean(run.accuracy for run in self.runs[setting].values())

    def mean_kept(self, *tried: Any) -> float:
        """Average the test accuracy of the better of some settings by validation, chosen for each seed [points]."""
        return fmean(
            max((self.runs[one][seed] for one in tried), key=lambda run: run.validation).accuracy
            for seed in self.runs[tried[0]]
        )

    @property
    def learns(self) -> bool:
        """Return whether the best setting lies clearly above guessing, so that a loss says something."""
        return self.mean(self.best) - next(iter(self.runs[self.best].values())).guess >= LEARNT


@dataclass(frozen=True)
class RunFacts:
    """Holds the time of one run, its failure, and its commit and machine."""

    block: str
    task: str
    total_s: float
    failure: str | None
    commit: str
    epoch: int
    versions: Mapping[str, str]
    python: str
    processor: str
    network: str = ""  # its kind

    @staticmethod
    def of(entry: StoreEntry) -> RunFacts:
        """Extract time, failure and origin of a stored run."""
        record: RunRecord = entry.record
        provenance = record.provenance
        return RunFacts(
            entry.block,
            entry.task,
            record.timing.total_s,
            None if record.failure is None else record.failure.kind,
            provenance.commit or "none",
            entry.epoch,
            provenance.versions,
            provenance.python,
            provenance.processor,
            network_kind(record.method),
        )


def network_kind(method: Method) -> str:
    """Name the kind of a method's network: recurrent, or by its count of hidden layers."""
    if method.parameters["network"].get("recurrence", "none") != "none":
        return "recurrent"
    return counted(len(method.protocol.hidden or ()), "hidden layer")


@dataclass(frozen=True)
class StudyEvidence:
    """Holds the contents of a study's store and registration, before any analysis."""

    loaded: Loaded  # the study
    scores: StudyScores
    facts: Sequence[RunFacts]
    manifest: Manifest | None  # of the store; None where nothing is stored
    registration: Registration | None  # None where it was not verified
    deviations: Sequence[Departure]

    def stored(self, *blocks: str) -> bool:
        return all(self.scores.block(block) for block in blocks)

    def not_stored(self, *blocks: str) -> str:
        lacking = [block for block in blocks if not self.scores.block(block)]
        return f"Not known yet: block {' and '.join(lacking)} is not stored."

    def tasks_like(self, *names: str) -> list[str]:
        tasks = self.loaded.study.tasks
        return [name for name, task in tasks.items() if task.scale == "small" and {name, task.like} & set(names)]

    def title(self, task: str) -> str:
        return self.loaded.study.tasks[task].title

    @property
    def block_names(self) -> str:
        return ", ".join(name for name in self.loaded.study.blocks if self.scores.block(name)) or "none"
