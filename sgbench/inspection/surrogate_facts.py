"""Collects facts about a surrogate (peak, area, widths), and writes them as text and for JSON."""

import math
from typing import Any

from sgbench.inspection.surrogate_curves import corners, extent_width
from sgbench.surrogates.base import Surrogate
from sgbench.tables import number_text

TENTH = 0.1
MOST_LISTED = 5


def interval(ends: tuple[float, float]) -> str:
    """Write the interval in which a slope is not 0.

    >>> interval((-1.0, 1.0)), interval((-math.inf, math.inf)), interval((0.0, math.inf))
    ('[-1, 1]', 'unbounded', 'from 0 on')
    """
    low, high = ends
    if low >= high:
        return "nowhere"
    if math.isinf(low) and math.isinf(high):
        return "unbounded"
    if math.isinf(high):
        return f"from {number_text(low)} on"
    return f"up to {number_text(high)}" if math.isinf(low) else f"[{number_text(low)}, {number_text(high)}]"


def listed_or_none(values: list[float], digits: int = 3) -> str:
    """Write numbers with commas; if they are more than five, the first three and the count of the others.

    >>> listed_or_none([0.0, 0.5]), listed_or_none([]), listed_or_none([0.0, 0.5, 1.0, 1.5, 2.0, 2.5])
    ('0, 0.5', 'none', '0, 0.5, 1 and 3 more')
    """
    shown = values if len(values) <= MOST_LISTED else values[:3]
    more = f" and {len(values) - 3} more" if len(values) > MOST_LISTED else ""
    return ", ".join(number_text(value, digits) for value in shown) + more if values else "none"


def facts(surrogate: Surrogate) -> dict[str, Any]:
    """Map the names of facts (peak, area, widths [threshold units], support, ...), the keys of JSON, to values."""
    return {
        "peak": surrogate.peak,
        "area": surrogate.area,
        "width": surrogate.fwhm,
        "width_10": extent_width(surrogate, TENTH),
        "support": list(surrogate.support),
        "kinks": corners(surrogate),
        "primitive": surrogate.has_primitive,
        "stochastic": surrogate.stochastic,
        "elementwise": surrogate.elementwise,
        "output": surrogate.output,
    }


def without_infinities(tree: Any) -> Any:
    """Replace infinities in a tree by the texts "inf" and "-inf", since strict JSON has no infinity."""
    if isinstance(tree, dict):
        return {key: without_infinities(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [without_infinities(value) for value in tree]
    if isinstance(tree, float) and not math.isfinite(tree):
        return str(tree)
    return tree


def facts_line(surrogate: Surrogate) -> str:
    width = "no width" if surrogate.fwhm is None else f"width {number_text(surrogate.fwhm)}"
    area = "area undefined" if surrogate.area is None else f"area {number_text(surrogate.area)}"
    peak = "peak undefined" if surrogate.peak is None else f"peak {number_text(surrogate.peak)}"
    return f"{peak}, {area}, {width}, support {interval(surrogate.support)}"
