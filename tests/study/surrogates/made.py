"""StudyEvidence without records, verdicts or a registration: what one page at a time is tested on."""

from typing import Any

from sgbench.study_runner.definition import Loaded
from sgbench.study_runner.scores import StudyScores
from study.surrogates.analysis.evidence import SurrogateEvidence
from tests.study.truth import study


def evidence(table: StudyScores, *, loaded: Loaded | None = None, **more: Any) -> SurrogateEvidence:
    """What pages are written from.

    Args:
        table: scores.
        loaded: the registered study by default.
        more: fields that only evidence on surrogates have.
    """
    return SurrogateEvidence(
        loaded=loaded or study(), scores=table, facts=[], manifest=None, registration=None, deviations=[], **more
    )
