"""Spreads over seeds as in pilot runs, in points of accuracy: what simulations of level and coverage assume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SPREADS = {
    "equal": (1.3, 1.3, 1.3, 1.3, 1.3, 1.3),
    "digits, 1 layer": (0.8, 0.8, 0.6, 0.6, 0.4, 0.2),
    "digits, 4 layers": (0.8, 2.6, 0.8, 1.2, 1.8, 0.8),
    "randman, 3 layers": (4.0, 0.7, 1.1, 9.1, 7.4, 3.6),
    "braille, recurrent": (6.0, 9.2, 1.3, 10.7, 3.4, 1.6),
    "dead networks": (0.001, 0.001, 0.8, 2.6, 1.2, 0.8),
}
"""Standard deviations of six methods beside what all share with the seed."""
SOLVED = (0.37, 0.37, 0.37, 0.37, 0.37, 0.37)
"""Chances that a run of six methods solves a task of all or nothing."""


def tables(random: np.random.Generator, spreads: tuple[float, ...], trials: int, seeds: int) -> NDArray[np.float64]:
    """Scores without any true difference [trials, methods, seeds], with a part that a seed gives to all."""
    noise = random.normal(size=(trials, len(spreads), seeds)) * np.array(spreads)[:, None]
    return noise + random.normal(size=(trials, 1, seeds))


def mixtures(random: np.random.Generator, solved: tuple[float, ...], trials: int, seeds: int) -> NDArray[np.float64]:
    """Accuracies of runs that end at chance or solve the task [trials, methods, seeds], in percent."""
    hit = random.random((trials, len(solved), seeds)) < np.array(solved)[:, None]
    return 50.0 + 50.0 * hit + random.normal(0, 0.5, hit.shape)
