"""All that the pages of a report are written from: scores, verdicts, facts of the runs, and the registration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sgbench.recommendation.summary import StudySummary
from sgbench.records.record import RunRecord
from sgbench.study.comparisons import Rules
from sgbench.study.definition import Loaded
from sgbench.study.elsewhere import Elsewhere
from sgbench.study.initial import InitialStates
from sgbench.study.registration import Registration
from sgbench.study.scores import StudyScores
from sgbench.study.store import Manifest, StoreEntry
from sgbench.study.verdicts import HypothesisResult


@dataclass(frozen=True)
class RunFacts:
    """Holds what one run took, and by what it was made."""

    block: str
    task: str
    total_s: float
    failure: str | None
    commit: str
    epoch: int
    versions: Mapping[str, str]
    python: str
    processor: str

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
        )


@dataclass(frozen=True)
class Findings:
    """Holds the scores and verdicts that a study's report tells.

    Args:
        loaded: the study.
        scores: of its runs.
        results: of its hypotheses.
        rules: by which they were decided.
        facts: of each run.
        manifest: of the store; None where nothing is stored.
        registration: None where it was not verified.
        deviations: one sentence each.
        summary: what recommendations are fitted to.
        elsewhere: what other parts of the product have measured.
        initial: gradients and potentials before training; None where nobody has measured them.
    """

    loaded: Loaded
    scores: StudyScores
    results: Sequence[HypothesisResult]
    rules: Rules
    facts: Sequence[RunFacts]
    manifest: Manifest | None
    registration: Registration | None
    deviations: Sequence[str]
    summary: StudySummary | None = None
    elsewhere: Elsewhere = field(default_factory=Elsewhere)
    initial: InitialStates | None = None

    def stored(self, *blocks: str) -> bool:
        """Say whether every one of these blocks has runs."""
        return all(self.scores.block(block) for block in blocks)

    def not_stored(self, *blocks: str) -> str:
        """Describe which of these blocks have no runs in the store."""
        lacking = [block for block in blocks if not self.scores.block(block)]
        return f"Not known yet: block {' and '.join(lacking)} is not stored."

    def tasks_like(self, *names: str) -> list[str]:
        """Return the study's tasks of these names, and those declared to be like one of them."""
        tasks = self.loaded.study.tasks
        return [
            name for name, task in tasks.items() if task.scale == "small" and {name, task.like} & set(names)
        ]

    def title(self, task: str) -> str:
        """Return the title of a task."""
        return self.loaded.study.tasks[task].title
