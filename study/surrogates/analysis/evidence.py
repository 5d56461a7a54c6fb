"""What pages on surrogates are written from: a study's evidence, verdicts, and what was measured elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sgbench.recommendation.summary import StudySummary
from study.reporting.evidence import StudyEvidence
from study.reporting.verdicts import HypothesisResult
from study.surrogates.analysis.comparisons import Rules
from study.surrogates.analysis.elsewhere import Elsewhere
from study.surrogates.analysis.initial import InitialStates


@dataclass(frozen=True)
class SurrogateEvidence(StudyEvidence):
    """Holds the scores and verdicts that the report on surrogates tells.

    Args:
        results: of its hypotheses.
        rules: by which they were decided.
        summary: what recommendations are fitted to.
        elsewhere: what other parts of the product have measured.
        initial: gradients and potentials before training; None where nobody has measured them.
    """

    results: Sequence[HypothesisResult] = ()
    rules: Rules = field(default_factory=Rules)
    summary: StudySummary | None = None
    elsewhere: Elsewhere = field(default_factory=Elsewhere)
    initial: InitialStates | None = None
