"""What a claim of the literature is, and the steps that several of their rules share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sgbench.statistics.pairs import holm
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.status import block_cost
from study.reporting.pages.text import interval
from study.reporting.run_table import RunTable
from study.reporting.verdicts import HypothesisResult, VerdictWord
from study.surrogates.analysis.comparisons import REFERENCE, Compared, compared_tasks, own_best
from study.surrogates.analysis.evidence import SurrogateEvidence

OUTSIDE = "docs/reproductions/figures.json is not at hand: the report was written outside of a checkout that has it"


@dataclass(frozen=True)
class Decided:
    """Holds a verdict on a claim, with the numbers that decide it or the reason why none do."""

    verdict: VerdictWord
    number: str


@dataclass(frozen=True)
class LiteratureClaim:
    """Describes a claim of claims.yaml, with its rule as a function of what the study has found."""

    name: str
    says: str
    source: str
    rule: str
    decide: Callable[[SurrogateEvidence], Decided]
    again: str


@dataclass(frozen=True)
class UndecidableClaim:
    """Describes a claim for which no block of the study has runs."""

    says: str
    source: str
    why: str


def missing(evidence: SurrogateEvidence, *blocks: str) -> Decided:
    """Leave a claim open because runs of these blocks are missing, and say how many."""
    said = []
    for block in blocks:
        planned = block_cost(evidence.loaded.study, block)[0]
        left = planned - len(evidence.scores.block(block))
        said.append(f"{max(left, 1):,} runs of block {block} are missing")
    return Decided("open", " and ".join(said))


def incomplete(block: str, tables: Iterable[RunTable]) -> Decided | None:
    """Leave a claim open where cells of a block lack runs; None where all have theirs."""
    left = sum(table.missing for table in tables)
    return Decided("open", f"{left:,} runs of block {block} that it needs are missing") if left else None


def decided(confirmed: float, refuted: float, level: float, number: str) -> Decided:
    """Choose the verdict by two p-values, of the claim and of what would refute it."""
    if min(confirmed, refuted) > level:
        return Decided("open", number)
    return Decided("confirmed" if confirmed <= refuted else "refuted", number)


def all_of(parts: Mapping[str, VerdictWord], number: str = "") -> Decided:
    """Decide a claim of several parts: confirmed where all of them are, refuted where one is.

    >>> all_of({"C7": "confirmed", "C8": "open"})
    Decided(verdict='open', number='C7 confirmed, C8 open')
    """
    said = number or ", ".join(f"{name} {word}" for name, word in parts.items())
    words = set(parts.values())
    if "refuted" in words:
        return Decided("refuted", said)
    return Decided("confirmed" if words == {"confirmed"} else "open", said)


def smallest(p_values: Sequence[float]) -> float:
    """Return the smallest of several p-values after Holm's correction; 1 of none."""
    return float(holm(np.array(p_values)).min()) if p_values else 1.0


def hypothesis(evidence: SurrogateEvidence, name: str) -> HypothesisResult | None:
    """Find the result of a registered hypothesis; None where the report decides none."""
    return next((result for result in evidence.results if result.name == name), None)


def hypotheses(evidence: SurrogateEvidence, *names: str) -> list[HypothesisResult]:
    return [result for name in names if (result := hypothesis(evidence, name)) is not None]


def hypothesis_text(result: HypothesisResult) -> str:
    """Write a hypothesis's verdict with the numbers behind it.

    >>> hypothesis_text(HypothesisResult("H1", "", "", "none", why="nothing runs"))
    'H1 open: nothing runs'
    """
    return f"{result.name} {result.verdict}: {result.why or result.seeds.removeprefix('none; ')}"


def is_worse(one: Compared) -> float:
    """Return the p-value that a method lies below the reference by more than the margin."""
    return one.verdict.p_beyond if one.verdict.difference < 0 else 1.0


def is_no_worse(one: Compared) -> float:
    """Return the p-value that a method equals the reference within the margin or is better."""
    verdict = one.verdict
    return min(verdict.p_equal, verdict.p_differs) if verdict.difference > 0 else verdict.p_equal


def is_no_better(one: Compared) -> float:
    """Return the p-value that a method equals the reference within the margin or is worse."""
    verdict = one.verdict
    return min(verdict.p_equal, verdict.p_differs) if verdict.difference < 0 else verdict.p_equal


def compared_text(one: Compared) -> str:
    verdict = one.verdict
    of_runs = verdict.margin < 1
    said = interval(verdict.difference, verdict.low, verdict.high, 2 if of_runs else 1)
    return f"{said} {'of the runs solved' if of_runs else 'points'} on {one.task}, {one.seeds} seeds"


def least_far(compared: Sequence[Compared]) -> Compared:
    """Find the comparison in which a method is least far below the reference, in margins."""
    return max(compared, key=lambda one: one.verdict.difference / one.verdict.margin)


def against_own_best(evidence: SurrogateEvidence, cell: Cell) -> tuple[list[Compared], list[str]]:
    """Compare a cell of block A3b with the reference shape at its own best, and name tasks without a look."""

    def cells_of(task: str) -> list[Cell]:
        best = own_best(evidence.scores, task).get(REFERENCE)
        return [] if best is None else [best, cell]

    methods, tasks = [REFERENCE, str(cell["surrogate"])], evidence.loaded.study.blocks["A3b"].tasks
    compared, _, lacking = compared_tasks(evidence.scores, tasks, cells_of, methods, REFERENCE, evidence.rules)
    return compared, lacking


def learnt(table: RunTable, above: float) -> list[int]:
    """Count for each cell the runs whose test accuracy lies above a bar."""
    return (table.accuracy > above).sum(axis=1).astype(int).tolist()
