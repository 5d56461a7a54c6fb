"""What would decide the open claims of the second study: runs that are missing, then the second look."""

from collections.abc import Iterator

import numpy as np

from sgbench.study_runner.status import states_of
from study.passing_steps.analysis.cells import CHOOSING, FIRST_LOOK, LOOKS, PURPOSE
from study.passing_steps.analysis.claims import StudyClaim, decide
from study.reporting.plan import PlanLine, planned
from study.reporting.report import ReportInput

SEED = 29


def plan(report_input: ReportInput) -> Iterator[PlanLine]:
    """Plan for every claim that is open: the first look where runs are missing, else the second."""
    scores = report_input.evidence.scores
    random = np.random.Generator(np.random.PCG64(SEED))
    for decision in decide(scores):
        if decision.verdict in ("confirmed", "refuted") or decision.why.startswith("it is decided only"):
            continue
        if not decision.looks:
            yield _first_look(report_input, decision.claim)
            continue

        def decided(table: object, name: str = decision.claim.name) -> bool:
            found = {one.claim.name: one for one in decide(table)}  # type: ignore[arg-type]
            return found[name].verdict in ("confirmed", "refuted")

        yield planned(
            scores, decision.claim.name, decided, purpose=PURPOSE, seeds=(*CHOOSING, *LOOKS[-1]), random=random
        )


def _first_look(report_input: ReportInput, claim: StudyClaim) -> PlanLine:
    """Say how many runs and hours the first look at a claim still needs."""
    loaded = report_input.evidence.loaded
    names = [name for name in FIRST_LOOK if name in loaded.study.blocks]
    states = states_of(report_input.evidence.scores, names)
    return PlanLine(
        claim.name,
        f"blocks {', '.join(names)}, the first look",
        sum(state.runs - state.stored for state in states),
        sum(state.left_h for state in states),
        None,
        "power is in the registration",
    )
