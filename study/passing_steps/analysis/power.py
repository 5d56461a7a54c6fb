"""Error and power of the study's two looks, by simulation with the first study's spreads.

    python study/passing_steps/analysis/power.py

A task's loss is drawn from a population of tasks. What is measured of it has the noise of its seeds: the spread of
a pair of cells at equal seeds, as amendment 2 of docs/preregistration.md states it, and both shapes are averaged. A
look decides where the one-sided t-limit over tasks lies on one side of the margin. Without a decision the second
look, at more seeds of the same tasks, has the same level.
"""

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

PAIR_SPREADS = (2.45, 0.93, 3.70, 2.32)
"""Standard deviation of the difference of two cells at equal seeds, in points: the first study's T1, T3, T4, T5."""
SHAPES, TASKS = 2, 10
MARGIN = 3.0
LEVELS = (0.05, 0.04, 0.03, 0.025, 0.02, 0.015, 0.01)
TABLES = 40_000
Numbers = NDArray[np.float64]
Draw = Callable[[np.random.Generator, float, tuple[int, int]], Numbers]


class Looks(NamedTuple):
    """Says with how many seeds each look compares, a look a number."""

    seeds: tuple[int, ...] = (5, 15)


def normal(spread: float) -> Draw:
    """Draw tasks' losses around a mean with a standard deviation."""
    return lambda random, mean, shape: random.normal(mean, spread, shape)


def exponential(random: np.random.Generator, mean: float, shape: tuple[int, int]) -> Numbers:
    """Draw losses that are small on most tasks and large on a few, of a mean above 0."""
    return random.exponential(mean, shape) if mean > 0 else random.normal(mean, 1.0, shape)


POPULATIONS: dict[str, Draw] = {
    "normal, spread 1": normal(1.0),
    "normal, spread 2": normal(2.0),
    "normal, spread 4": normal(4.0),
    "exponential": exponential,
}


def decisions(draw: Draw, mean: float, level: float, looks: Looks, *, tables: int, seed: int) -> Numbers:
    """Return the shares of studies that confirm (loss below the margin), refute, and stay open."""
    random = np.random.default_rng(seed)
    truth = draw(random, mean, (tables, TASKS))
    spread = random.choice(PAIR_SPREADS, (tables, TASKS)) / np.sqrt(SHAPES)
    total, seen = np.zeros_like(truth), 0
    decided = np.zeros(tables, dtype=int)
    for seeds in looks.seeds:
        more = seeds - seen
        total += more * truth + random.normal(0, 1, truth.shape) * spread * np.sqrt(more)
        seen = seeds
        measured = total / seen
        half = t.ppf(1 - level, TASKS - 1) * measured.std(1, ddof=1) / np.sqrt(TASKS)
        undecided = decided == 0
        decided[undecided & (measured.mean(1) + half < MARGIN)] = 1
        decided[undecided & (measured.mean(1) - half > MARGIN)] = 2
    return np.array([(decided == kind).mean() for kind in (1, 2, 0)])


def main() -> int:
    """Print the error at the margin by level, and the power at the level that holds 5 % everywhere."""
    looks = Looks()
    sys.stdout.write("share of wrong decisions where the mean loss is the margin: confirmed / refuted\n")
    for level in LEVELS:
        found = [decisions(draw, MARGIN, level, looks, tables=TABLES, seed=1) for draw in POPULATIONS.values()]
        cells = "  ".join(f"{share[0]:.3f} / {share[1]:.3f}" for share in found)
        sys.stdout.write(f"level {level:<6g} {cells}\n")
    sys.stdout.write(f"populations: {'; '.join(POPULATIONS)}\n\n")
    for level in LEVELS[2:6]:
        sys.stdout.write(f"confirmed / refuted / open at level {level:g}, by true mean loss\n")
        for mean in (-1.0, 0.0, 1.0, 2.0, 5.0, 8.0):
            found = [decisions(draw, mean, level, looks, tables=TABLES, seed=2) for draw in POPULATIONS.values()]
            cells = "  ".join(" / ".join(f"{part:.2f}" for part in share) for share in found)
            sys.stdout.write(f"  {mean:>4g}  {cells}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
