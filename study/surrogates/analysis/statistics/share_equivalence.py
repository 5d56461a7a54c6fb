"""Is equality of two shares of runs shown: verdicts by Newcombe's interval and Boschloo's test."""

import math
from collections.abc import Callable

from sgbench.errors import require_number
from sgbench.statistics.equivalence import Verdict, Word
from sgbench.statistics.solved import ShareDifference, compare_shares, wilson

STEPS = 60
SMALLEST = 1e-12  # p-value, below which the interval is not widened further


def share_verdict(
    solved_a: int,
    runs_a: int,
    solved_b: int,
    runs_b: int,
    *,
    margin: float,
    level: float = 0.05,
    p_differs: float | None = None,
) -> Verdict:
    r"""Return `equal` where two shares are shown equal within the margin, else a shown difference, else `open`.

    .. math:: p_\text{equal} = \min\{\alpha : -\Delta < L_{1 - 2\alpha}, \, U_{1 - 2\alpha} < \Delta\}, \quad
        p_\text{beyond} = \min\{\alpha : L_{1 - 2\alpha} > \Delta \text{ or } U_{1 - 2\alpha} < -\Delta\}

    L and U are the ends of Newcombe's interval of the difference, which does not collapse where all runs agree: ten
    of ten against ten of ten does not show equality within 0.2, eleven of eleven does.

    Source: Newcombe 1998, Statistics in Medicine 17(8), method 10; Schuirmann 1987, Journal of Pharmacokinetics and
    Biopharmaceutics 15(6), for the two one-sided tests.

    >>> share_verdict(10, 10, 10, 10, margin=0.2).word, share_verdict(11, 11, 11, 11, margin=0.2).word
    ('open', 'equal')
    >>> share_verdict(1, 10, 10, 10, margin=0.2).word
    'worse'
    """
    require_number("margin", margin, low=0, high=1, open_low=True)
    apart = compare_shares(solved_a, runs_a, solved_b, runs_b, confidence=1 - 2 * level)
    differs = apart.p if p_differs is None else p_differs
    p_equal = _smallest_level(apart, lambda low, high: -margin < low and high < margin)
    p_beyond = _smallest_level(apart, lambda low, high: low > margin or high < -margin)
    word: Word = "open"
    if p_equal <= level:
        word = "equal"
    elif differs <= level:
        word = "better" if apart.difference > 0 else "worse"
    return Verdict(word, apart.difference, apart.low, apart.high, margin, differs, p_equal, p_beyond, None)


def _smallest_level(apart: ShareDifference, holds: Callable[[float, float], bool]) -> float:
    low, high = SMALLEST, 0.5 - SMALLEST
    if not holds(*_ends(apart, high)):
        return 1.0
    # The interval widens as the level falls, so what holds at a level holds at all higher ones.
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(*_ends(apart, middle)) else (middle, high)
    return high


def _ends(apart: ShareDifference, level: float) -> tuple[float, float]:
    a, b = (wilson(share.count, share.runs, confidence=1 - 2 * level) for share in (apart.a, apart.b))
    difference = a.share - b.share
    return (
        difference - math.hypot(a.share - a.low, b.high - b.share),
        difference + math.hypot(a.high - a.share, b.share - b.low),
    )
