"""Complete tables of scores by method and seed, the input of the tests that pair or pool over seeds."""

import numpy as np
from numpy.typing import ArrayLike

from sgbench.errors import InputError
from sgbench.statistics.pairs import MIN_SEEDS, Floats

MIN_INTERVAL_SEEDS = 5
"""Fewest seeds for which an interval is computed; with fewer its coverage is far from nominal."""
MIN_METHODS = 2
AXES = 2


def score_table(
    scores: ArrayLike, *, name: str = "scores", methods: int = MIN_METHODS, seeds: int = MIN_SEEDS
) -> Floats:
    """Convert scores to an array of finite numbers [methods, seeds].

    `scores`: scores in any unit [methods, seeds]; a failed run has the score of chance. `name`: name of the table, for
    messages. `methods`: fewest methods of a valid table. `seeds`: fewest seeds of a valid table.

    >>> score_table([[1, 2], [3, 4]])
    array([[1., 2.],
           [3., 4.]])
    """
    table = number_array(scores, name=name)
    if table.ndim != AXES or table.shape[0] < methods or table.shape[1] < seeds:
        raise InputError(
            f"{name}: a table of at least {methods} methods and {seeds} seeds is needed, not one of shape {table.shape}"
        )
    return table


def number_array(values: ArrayLike, *, name: str) -> Floats:
    """Convert values to an array of finite numbers.

    >>> number_array([1, 2], name="widths")
    array([1., 2.])
    """
    try:
        array = np.array(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{name}: numbers in rows of equal length are needed") from None
    missing = np.argwhere(~np.isfinite(array))
    if len(missing):
        first = ", ".join(str(index) for index in missing[0])
        raise InputError(
            f"{name}: {len(missing)} of {array.size} values are missing or not finite, the first at [{first}]; "
            "count a failed run at chance, or leave its seed out for all methods"
        )
    return array
