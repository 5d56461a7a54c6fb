"""What pages on surrogates are written from: a study's evidence, verdicts, and what was measured elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sgbench.recommendation.summary import StudySummary
from study.reporting.evidence import StudyEvidence
from study.reporting.verdicts import HypothesisResult
from study.surrogates.analysis.comparisons import Rules
from study.surrogates.analysis.elsewhere import Elsewhere
from study.surrogates.analysis.starting import InitialStates


@dataclass(frozen=True)
class SurrogateEvidence(StudyEvidence):
    """Holds the scores and verdicts that the report on surrogates tells."""

    results: Sequence[HypothesisResult] = ()  # of its hypotheses
    rules: Rules = field(default_factory=Rules)  # by which they were decided
    summary: StudySummary | None = None  # what recommendations are fitted to
    elsewhere: Elsewhere = field(default_factory=Elsewhere)  # what other parts of the product have measured
    # gradients and potentials before training; None where nobody has measured them
    initial: InitialStates | None = None
