"""Tasks that hypotheses look at, the width of a run, and numbers for the bootstrap."""

from collections.abc import Callable

import numpy as np

from sgbench.study_runner.cells import Cell, StudyPoint

ONE_LAYER, RECURRENT = ("T1", "T2d1", "T3"), ("T4", "T5")
Bonus = Callable[[StudyPoint, Cell], float]


def generator(seed: int = 0) -> np.random.Generator:
    """Numbers for the bootstrap."""
    return np.random.Generator(np.random.PCG64(seed))


def width(settings: Cell) -> float:
    """The width of a run."""
    return float(str(settings["width_fwhm"]))
