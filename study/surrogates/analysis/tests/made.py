"""Findings without records, verdicts or a registration: what one page at a time is tested on."""

from __future__ import annotations

from typing import Any

from sgbench.study.definition import Loaded
from sgbench.study.scores import StudyScores
from study.surrogates.analysis.findings import SurrogateFindings
from tests.study.truth import study


def findings(table: StudyScores, *, loaded: Loaded | None = None, **more: Any) -> SurrogateFindings:
    """What pages are written from.

    Args:
        table: scores.
        loaded: the registered study by default.
        more: fields that only findings on surrogates have.
    """
    return SurrogateFindings(
        loaded=loaded or study(),
        scores=table,
        facts=[],
        manifest=None,
        registration=None,
        deviations=[],
        **more,
    )
