"""What would decide the open hypotheses of the study of surrogates: more seeds of the cells that they look at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from sgbench.study_runner.scores import StudyScores
from study.reporting.plan import PlanLine, planned
from study.reporting.report import ReportInput
from study.reporting.verdicts import HypothesisResult
from study.surrogates.analysis.comparisons import BLOCKS, DRAWS, MAP, REGISTERED, SECOND_LOOK, Rules
from study.surrogates.analysis.hypotheses import all_hypotheses, h1, h2, h3, h6, h7, h8
from study.surrogates.analysis.hypotheses_recurrent import h4, h5
from study.surrogates.analysis.hypotheses_rules import h9

SEED = 23
BOOTSTRAP_SEED = 19
ALONE = "before the correction for all hypotheses"


@dataclass(frozen=True)
class MoreSeeds:
    """Says how a hypothesis is decided, and of which seeds it may get how many."""

    decide: Callable[[StudyScores], HypothesisResult]
    purpose: str
    count: int
    blocks: tuple[str, ...] = ()


def plan(report_input: ReportInput) -> Iterator[PlanLine]:
    """Yield for each open hypothesis what would decide it: runs, cost and chance."""
    scores, rules = report_input.evidence.scores, Rules()
    random = np.random.Generator(np.random.PCG64(SEED))
    bootstrap = np.random.Generator(np.random.PCG64(BOOTSTRAP_SEED))
    ways = {
        "H1": MoreSeeds(lambda scores: h1(scores, rules), SECOND_LOOK, 15, (BLOCKS["H1"],)),
        "H2": MoreSeeds(lambda scores: h2(scores, rules), "map", 20),
        "H3": MoreSeeds(lambda scores: h3(scores, rules), SECOND_LOOK, 30, (BLOCKS["H3"],)),
        "H4": MoreSeeds(lambda scores: h4(scores, rules, generator=bootstrap), SECOND_LOOK, 30, (BLOCKS["H4"],)),
        "H5": MoreSeeds(lambda scores: h5(scores, rules), "map", 20),
        "H6": MoreSeeds(lambda scores: h6(scores, rules), "report", 40),
        "H7": MoreSeeds(lambda scores: h7(scores, rules), "map", 20, (MAP,)),
        "H8": MoreSeeds(lambda scores: h8(scores, rules), "report", 40),
        "H9": MoreSeeds(lambda scores: h9(scores, rules), "report", 20),
    }
    for result in all_hypotheses(scores, rules, generator=bootstrap):
        if result.verdict == "open":
            yield _line(scores, result.name, ways[result.name], random)


def _line(scores: StudyScores, name: str, way: MoreSeeds, random: np.random.Generator) -> PlanLine:
    """Plan the seeds of one hypothesis; its chance is that of its verdict alone."""
    first = scores.study.seeds[way.purpose].first  # type: ignore[index]
    line = planned(
        scores,
        name,
        lambda scores: way.decide(scores).alone != "open",
        purpose=way.purpose,
        seeds=range(first, first + way.count),
        blocks=way.blocks,
        random=random,
    )
    if name in REGISTERED:
        told = f"decided in {REGISTERED[name]} of {DRAWS} draws, after the correction, as registered"
        return replace(line, chance=REGISTERED[name] / DRAWS, note=told)
    return replace(line, note=f"{line.note}, {ALONE}")
