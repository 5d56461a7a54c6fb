"""Failure rates of runs, e.g. by a gradient that is not finite: shares with intervals, and comparisons."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgbench.errors import InputError
from sgbench.statistics.solved import Share, wilson

CELL_AXES = 2


def share_of_failures(failed: ArrayLike, *, confidence: float = 0.95) -> Share:
    r"""Return the share of runs that fail over the cells of a grid, with Wilson's interval.

    .. math:: n_\mathrm{eff} = \min\left(C n, \frac{\hat p (1 - \hat p)}{\hat V / n}\right), \quad
        \hat V = \frac1n \sum_j (\bar f_{.j} - \hat p)^2

    Cells are fixed and seeds are drawn, so runs of one seed in several cells count as fewer runs where they fail
    together (the effective number of a cluster sample). Of one cell it is Wilson's interval of its runs. `failed`:
    whether each run failed [seeds], or [cells C, seeds n]. Returns the share, with the effective number of runs as
    `runs` and as many times the share as `count`.

    Source: Wilson 1927, JASA 22(158); Kish 1965, Survey Sampling, section 8.2; Korn & Graubard 1998, Survey
    Methodology 24(2), for the effective number in an interval of a share.

    >>> share = share_of_failures([True, False, False, False, True])
    >>> share.share, round(share.low, 3), round(share.high, 3), share.runs
    (0.4, 0.118, 0.769, 5.0)
    >>> share_of_failures([[True, False, False, False, True]] * 3).runs
    5.0
    """
    table = _truths(failed)
    seeds = table.shape[1]
    share = float(table.mean())
    by_seed = table.mean(axis=0)
    variance = float(((by_seed - share) ** 2).mean()) / seeds
    runs = float(table.size)
    if variance > 0:
        runs = min(runs, round(share * (1 - share) / variance, 9))
    return wilson(share * runs, runs, confidence=confidence)


def _truths(failed: ArrayLike) -> NDArray[np.bool_]:
    """Convert to truth values [cells, seeds]; one axis stands for one cell."""
    table = np.asarray(failed)
    if table.dtype != bool or not table.size or table.ndim > CELL_AXES:
        raise InputError(f"failed: true or false by seed, or by cell and seed, is needed, not shape {table.shape}")
    return np.atleast_2d(table)
