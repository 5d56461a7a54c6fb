"""How far shapes lie apart after tuning, and how far seeds do: an estimate, no comparison with one shape."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sgbench.statistics.pairs import Floats
from study.reporting.pages.shapes import SHAPES
from study.reporting.pages.text import Item, table
from study.reporting.run_table import RunTable
from study.surrogates.analysis.evidence import SurrogateEvidence

HEADER = ("task", "seeds", "SD of shapes", "SD of seeds", "farthest apart", "points", "p of all being equal")


@dataclass(frozen=True)
class ShapeSpread:
    """Holds how far shapes and seeds lie apart on one task, in points."""

    shapes: float  # standard deviation of the shapes' true means: the noise of seeds is subtracted
    seeds: float  # standard deviation over the seeds of a shape, the root of the mean over shapes of the squares
    p: float  # of the hypothesis that all shapes are equal, by the F-test with seeds as blocks


def shape_spread(accuracy: Floats) -> ShapeSpread:
    """Estimate spreads by the analysis of variance with seeds as blocks. `accuracy`: in points [shapes, seeds]."""
    from scipy.stats import f

    shapes, seeds = accuracy.shape
    means, blocks = accuracy.mean(axis=1), accuracy.mean(axis=0)
    left = accuracy - means[:, None] - blocks[None] + accuracy.mean()
    of_shapes = seeds * means.var(ddof=1)
    freedom = (shapes - 1) * (seeds - 1)
    of_error = (left**2).sum() / freedom
    return ShapeSpread(
        shapes=math.sqrt(max(0.0, (of_shapes - of_error) / seeds)),
        seeds=math.sqrt(accuracy.var(axis=1, ddof=1).mean()),
        p=float(f.sf(of_shapes / of_error, shapes - 1, freedom)) if of_error > 0 else float(of_shapes == 0),
    )


def paragraphs(evidence: SurrogateEvidence, tables: Mapping[str, RunTable]) -> list[str]:
    """Write the estimate over tasks with an accuracy, and a line for each of them."""
    tasks = evidence.loaded.study.tasks
    accurate = {task: look for task, look in tables.items() if tasks[task].outcome == "accuracy"}
    if not accurate:
        return []
    rows: list[list[Item]] = []
    spreads = {task: shape_spread(look.accuracy) for task, look in accurate.items()}
    for task, spread in spreads.items():
        means = accurate[task].accuracy.mean(axis=1)
        apart = f"{SHAPES[int(means.argmax())]} above {SHAPES[int(means.argmin())]}"
        numbers = [f"{number:.1f}" for number in (spread.shapes, spread.seeds)]
        largest = f"{means.max() - means.min():.1f}"
        rows.append([evidence.title(task), len(accurate[task].seeds), *numbers, apart, largest, spread.p])
    overall = math.sqrt(np.mean([spread.shapes**2 for spread in spreads.values()]))
    of_shapes = [spread.shapes for spread in spreads.values()]
    of_seeds = [spread.seeds for spread in spreads.values()]
    return [
        f"Found after the runs: the standard deviation between tuned shapes is {overall:.1f} points over "
        f"{len(spreads)} tasks ({min(of_shapes):.1f} to {max(of_shapes):.1f} by task), between seeds "
        f"{min(of_seeds):.1f} to {max(of_seeds):.1f}. No comparison with atan shows a difference, and yet not all "
        "shapes are equal on the tasks whose p is small. It is not corrected for the number of tasks.",
        table(list(HEADER), rows),
    ]
