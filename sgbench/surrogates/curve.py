"""Peak, width, support, area and primitive of a slope that a formula gives: found by the program, not declared."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sgbench.errors import InputError
from sgbench.records.formula import Node, formula_text, nodes
from sgbench.surrogates.undefined import nan_where_nan

DECADES = (-9, 9)
"""Powers of ten between which the axis of u is sampled, to either side."""
PER_DECADE = 64
LOWEST_PEAK, HIGHEST_PEAK = 1e-9, 1e9
MOST_PLACES = 512
"""Corners, zeros of parts and jumps that one formula may have."""
MOST_PANELS = 6000
QUADRATURE = 1e-13
"""Relative difference between one panel and its two halves from which it counts as integrated."""
SHRINKS, STAYS = 0.9, 0.999
"""Ratio of neighbouring octaves of a tail's area: below the first it is finite, above the second infinite."""
FAR, GROWS = 1e7, 1.001
"""A slope whose largest value beyond the first is larger by the second factor than within has no peak."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(12)
CORNERS = frozenset({"abs", "min", "max", "lt", "le", "gt", "ge"})
"""Operations whose result may have a corner or jump where the difference of their arguments vanishes."""
COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip
ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv, "neg": operator.neg,
    "pow": operator.pow,
}  # fmt: skip
OF_NUMBERS: dict[str, Callable[..., float]] = ARITHMETIC | {
    "abs": abs, "min": min, "max": max, "where": lambda condition, a, b: a if condition else b,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
}  # fmt: skip


class Curve(NamedTuple):
    """Holds what was measured of a slope; lengths in units of u."""

    peak: float  # its largest value
    top: float  # where that is
    # Full width at half maximum around `top`, or None where it does not fall to a half on both sides.
    fwhm: float | None
    # Its integral over all u, infinity, or None where the tails leave it open within `DECADES`.
    area: float | None
    support: tuple[float, float]  # interval outside which it is exactly 0
    kinks: tuple[float, ...]  # where it may jump or have a corner
    breaks: tuple[float, ...]  # ends of the panels of its quadrature, 0 among them


def substituted(tree: Node, given: dict[str, Node]) -> Node:
    """Replace names by the given nodes, and fold operations whose arguments are all numbers into one number.

    Raises:
        InputError: a folded operation has no finite value.
    """
    operation, arguments, _ = tree
    if operation in given:
        return given[operation]
    done = tuple(substituted(argument, given) for argument in arguments)
    if not done or any(argument.operation != "number" for argument in done):
        return tree._replace(arguments=done)
    values = [argument.value for argument in done]
    try:
        if operation in COMPARED:
            value = float(COMPARED[operation](*values))
        else:
            value = float(OF_NUMBERS.get(operation, getattr(math, operation, None))(*values))  # type: ignore[misc]
    except (ArithmeticError, ValueError, TypeError) as error:
        raise InputError(f"surrogate.formula: {formula_text(tree)} has no value ({error})") from error
    if not math.isfinite(value):
        raise InputError(f"surrogate.formula: {formula_text(tree)} is {value}")
    return Node("number", value=value)


def evaluate(tree: Node, u: Tensor, a: Tensor | float) -> Tensor:
    """Compute a formula at each element of u, in its precision; what compares is undefined where u is.

    Args:
        tree: the formula.
        u: potential minus threshold, of any shape.
        a: its parameter, a number or a tensor without axes.
    """
    value = _value(tree, u, a)
    compares = any(node.operation in COMPARED or node.operation == "where" for node in nodes(tree))
    return nan_where_nan(u, value) if compares else value


def _value(tree: Node, u: Tensor, a: Tensor | float) -> Any:
    operation, arguments, value = tree
    if not arguments:
        return value if operation == "number" else (u if operation == "u" else a)
    return _computed(operation, [_value(argument, u, a) for argument in arguments], u)


def _computed(operation: str, done: Sequence[Any], u: Tensor) -> Any:
    """Compute one operation of tensors, or of tensors and numbers."""
    if operation in ARITHMETIC:
        return ARITHMETIC[operation](*done)
    if operation in COMPARED:
        return COMPARED[operation](*done).to(u.dtype)
    if operation in ("min", "max"):
        return (torch.minimum if operation == "min" else torch.maximum)(*(_tensor(each, u) for each in done))
    if operation == "where":
        condition, first, second = (_tensor(each, u) for each in done)
        return torch.where(condition != 0, first, second)
    return getattr(torch, operation)(*done)


def _tensor(value: Any, u: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else torch.full_like(u, value)


@functools.lru_cache(maxsize=256)
def measure(tree: Node) -> Curve:
    """Measure a slope whose formula has numbers in place of its parameter, in float64.

    It is sampled around 0 and around every point where a part of the formula vanishes, from 1e-9 to 1e9 of u.

    Raises:
        InputError: it is somewhere no number, negative, 0 everywhere, or too large or too small.
    """
    axis = _axis([0.0])
    low, high = _support(tree, axis)
    axis = axis[(axis >= low) & (axis <= high)]
    zeros = _zeros(tree, axis)
    kinks = [point for point in _zeros(tree, axis, corners=True) if low < point < high]
    kinks = sorted({*kinks, *(end for end in (low, high) if math.isfinite(end))})
    beside = [float(np.nextafter(point, end)) for point in kinks for end in (-math.inf, math.inf)]
    axis = _axis([0.0, *zeros])
    axis = np.unique(np.concatenate([axis[(axis >= low) & (axis <= high)], kinks, beside, [0.0]]))
    heights = _check_heights(tree, axis)
    top, peak = _refine_peak(tree, axis, int(heights.argmax()))
    if not LOWEST_PEAK <= peak <= HIGHEST_PEAK:
        what = "0 everywhere" if peak == 0 else f"{peak:.3g} at its largest (u={top:.3g})"
        raise _refusal(tree, f"the slope is {what}; between {LOWEST_PEAK:g} and {HIGHEST_PEAK:g} is needed")
    if peak > GROWS * heights[np.abs(axis) <= FAR].max():
        raise _refusal(tree, f"the slope grows without bound ({peak:.3g} at u={top:.3g})")
    fwhm = _fwhm(tree, axis, heights, top, peak)
    breaks, area = _integrate(tree, (low, high), [*zeros, *kinks], top, fwhm or 1.0)
    return Curve(peak, top, fwhm, area, (low, high), tuple(kinks), breaks)


def at(tree: Node, u: Any) -> np.ndarray:
    """Compute a formula without parameter at numbers, in float64."""
    values = np.atleast_1d(np.asarray(u, dtype=float))
    return _tensor(evaluate(tree, torch.from_numpy(values), 0.0), torch.from_numpy(values)).numpy()


def _refusal(tree: Node, reason: str) -> InputError:
    return InputError(f"surrogate.formula={formula_text(tree)}: {reason}")


def _axis(centres: Sequence[float]) -> np.ndarray:
    """Return points around each centre, spaced in proportion to their distance from it."""
    steps = np.logspace(*DECADES, (DECADES[1] - DECADES[0]) * PER_DECADE + 1)
    around = [centre + sign * steps for centre in centres[:MOST_PLACES] for sign in (-1, 1)]
    return np.unique(np.concatenate([np.asarray(centres, dtype=float), *around]))


def _check_heights(tree: Node, axis: np.ndarray) -> np.ndarray:
    """Return heights on the axis, all of them numbers of 0 or more in double and in single precision."""
    heights = at(tree, axis)
    single = evaluate(tree, torch.from_numpy(axis).float(), 0.0).double().numpy()
    for values in (heights, single):
        wrong = ~np.isfinite(values)
        if wrong.any():
            index = int(np.flatnonzero(wrong)[np.abs(axis[wrong]).argmin()])
            raise _refusal(tree, f"the slope is {values[index]} at u={axis[index]:.3g}; a number is needed")
    lowest = int(heights.argmin())
    if heights[lowest] < -1e-12 * np.abs(heights).max():
        raise _refusal(
            tree, f"the slope is {heights[lowest]:.3g} at u={axis[lowest]:.3g}; it may not be negative"
        )
    return heights


def _flat(tree: Node, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return a formula's values, and where a cut (min, max, where, a comparison) keeps them what they are."""
    operation, arguments, value = tree
    if not arguments:
        values = u if operation == "u" else torch.full_like(u, value)
        return values, torch.full_like(u, operation == "number", dtype=torch.bool)
    done = [_flat(argument, u) for argument in arguments]
    parts, flat = [values for values, _ in done], [is_flat for _, is_flat in done]
    result = _computed(operation, parts, u)
    if operation in COMPARED:
        return result, torch.ones_like(flat[0])
    if operation == "where":
        return result, torch.where(parts[0] != 0, flat[1], flat[2])
    if operation in ("min", "max"):
        return result, torch.where(parts[0] == result, flat[0], flat[1])
    every = functools.reduce(operator.and_, flat)
    if operation == "mul":
        every = every | (flat[0] & (parts[0] == 0)) | (flat[1] & (parts[1] == 0))
    if operation == "div":
        every = every | (flat[0] & (parts[0] == 0))
    return result, every


def _is_cut(tree: Node, u: Any) -> np.ndarray:
    """Mark where the slope is 0 by a cut of the formula, not by rounding."""
    values, flat = _flat(tree, torch.from_numpy(np.atleast_1d(np.asarray(u, dtype=float))))
    return (flat & (values == 0)).numpy()


def _support(tree: Node, axis: np.ndarray) -> tuple[float, float]:
    """Find the interval outside which the slope is cut to 0, to the last bit of its ends."""
    cut = _is_cut(tree, axis)
    if cut.all():
        raise _refusal(tree, "the slope is 0 everywhere")
    ends = []
    for sign in (-1, 1):
        points, is_cut = (axis, cut) if sign > 0 else (axis[::-1], cut[::-1])
        if not is_cut[-1]:
            ends.append(sign * math.inf)
            continue
        last = int(np.flatnonzero(~is_cut)[-1])
        inside, outside = float(points[last]), float(points[last + 1])
        while (middle := (inside + outside) / 2) not in (inside, outside):
            inside, outside = (inside, middle) if _is_cut(tree, middle)[0] else (middle, outside)
        ends.append(outside)
    return ends[0], ends[1]


def _zeros(tree: Node, axis: np.ndarray, *, corners: bool = False) -> list[float]:
    """Find where the parts of a formula change sign, or those alone that may make corners and jumps."""
    found: set[float] = set()
    for node in set(nodes(tree)):
        if node.operation in CORNERS:
            first, *rest = node.arguments
            parts = Node("sub", (first, *rest)) if rest else first
        elif corners or not node.arguments:
            continue
        else:
            parts = node
        if not any(each.operation == "u" for each in nodes(parts)):
            continue
        with np.errstate(all="ignore"):
            values = at(parts, axis)
        for index in np.flatnonzero(np.sign(values[1:]) * np.sign(values[:-1]) < 0):
            found.add(_bisect(parts, float(axis[index]), float(axis[index + 1])))
        found |= {float(u) for u in axis[values == 0][:2]} if (values == 0).sum() <= 2 else set()  # noqa: PLR2004
        if len(found) > MOST_PLACES:
            raise _refusal(tree, f"more than {MOST_PLACES} corners or zeros; cut it to an interval")
    return sorted(found)


def _bisect(tree: Node, low: float, high: float) -> float:
    """Find the last number at which a part has the sign that it has at `low`."""
    sign = math.copysign(1.0, at(tree, low)[0])
    while (middle := (low + high) / 2) not in (low, high):
        value = at(tree, middle)[0]
        if value == 0:
            return middle
        low, high = (middle, high) if math.copysign(1.0, value) == sign else (low, middle)
    return low if abs(at(tree, low)[0]) <= abs(at(tree, high)[0]) else high


def _refine_peak(tree: Node, axis: np.ndarray, best: int) -> tuple[float, float]:
    """Find the largest value near the best of some points, and where it is."""
    low, high = axis[max(best - 1, 0)], axis[min(best + 1, len(axis) - 1)]
    top, peak = float(axis[best]), float(at(tree, axis[best])[0])
    for _ in range(14):
        inner = np.linspace(low, high, 17)
        heights = at(tree, inner)
        index = int(heights.argmax())
        if heights[index] > peak:
            top, peak = float(inner[index]), float(heights[index])
        low, high = inner[max(index - 1, 0)], inner[min(index + 1, 16)]
    return top, peak


def _fwhm(tree: Node, axis: np.ndarray, heights: np.ndarray, top: float, peak: float) -> float | None:
    """Find the distance between the points nearest to the top where the slope falls to half of its peak."""
    half = Node("sub", (tree, Node("number", value=peak / 2)))
    ends = []
    for side in (axis < top, axis > top):
        points, below = axis[side], heights[side] < peak / 2
        order = np.argsort(np.abs(points - top))
        first = np.flatnonzero(below[order])
        if not first.size:
            return None
        outside = float(points[order][first[0]])
        inside = top if first[0] == 0 else float(points[order][first[0] - 1])
        ends.append(_bisect(half, inside, outside))
    return abs(ends[1] - ends[0])


def _integrate(
    tree: Node, support: tuple[float, float], points: Sequence[float], top: float, unit: float
) -> tuple[tuple[float, ...], float | None]:
    """Cut the axis into panels that a quadrature of 12 nodes integrates; return their ends and the area."""
    octaves = unit * 2.0 ** np.arange(-8, 46)
    ends = {0.0, *points, *(top + sign * step for step in octaves for sign in (-1, 1)), top}
    ends |= {sign * step for step in octaves for sign in (-1, 1)}
    low = max(support[0], min(ends))
    high = min(support[1], max(ends))
    waiting = list(itertools.pairwise(sorted({low, high, *(end for end in ends if low < end < high)})))
    total = sum(_panel(tree, *panel) for panel in waiting)
    done: list[tuple[float, float]] = []
    area = 0.0
    while waiting:
        left, right = waiting.pop()
        middle = (left + right) / 2
        whole, halves = _panel(tree, left, right), (_panel(tree, left, middle), _panel(tree, middle, right))
        settled = abs(whole - sum(halves)) <= QUADRATURE * abs(total)
        if settled or len(done) + len(waiting) > MOST_PANELS or middle in (left, right):
            done.append((left, right))
            area += sum(halves)
        else:
            waiting += [(left, middle), (middle, right)]
    tails = [
        _tail(tree, top, unit, sign)
        for sign, end in zip((-1, 1), support, strict=True)
        if not math.isfinite(end)
    ]
    breaks = tuple(sorted({end for panel in done for end in panel} | {min(max(0.0, low), high)}))
    if any(tail is None for tail in tails):
        return breaks, None
    return breaks, area + sum(tail or 0.0 for tail in tails)


def _panel(tree: Node, left: float, right: float) -> float:
    """Integrate over one panel by Gauss and Legendre."""
    half = (right - left) / 2
    return float(half * (WEIGHTS * at(tree, left + half + half * NODES)).sum())


def _tail(tree: Node, top: float, unit: float, sign: int) -> float | None:
    """Return the area behind the last panel on one side: by the ratio of its last octaves, or infinity, or None."""
    far = [top + sign * unit * 2.0**power for power in (43, 44, 45)]
    parts = [abs(_panel(tree, *sorted(pair))) for pair in itertools.pairwise(far)]
    if parts[1] == 0:
        return 0.0
    ratio = parts[1] / parts[0]
    if ratio >= STAYS:
        return math.inf
    return parts[1] * ratio / (1 - ratio) if ratio <= SHRINKS else None


def primitive(tree: Node, breaks: Sequence[float], u: Tensor, a: Tensor | float) -> Tensor:
    """Integrate a formula from 0 to each element of u; gradient reaches a, and u by the formula itself.

    Args:
        tree: the formula.
        breaks: ends of panels that 12 nodes integrate; beyond the last the integral stays as it is.
        u: any shape; the sum is made in float64.
        a: its parameter.
    """
    ends = torch.tensor(breaks, dtype=torch.float64, device=u.device)
    half = ends.diff() / 2
    inner = (ends[:-1] + half)[:, None] + half[:, None] * torch.from_numpy(NODES).to(u.device)
    wide_a = a.double() if isinstance(a, Tensor) else a
    panels = half * (
        _tensor(evaluate(tree, inner, wide_a), inner) * torch.from_numpy(WEIGHTS).to(u.device)
    ).sum(-1)
    before = torch.cat([panels.new_zeros(1), panels.cumsum(0)])
    before = before - before[int(torch.searchsorted(ends, 0.0))] if breaks[0] <= 0 <= breaks[-1] else before
    x = u.double().clamp(breaks[0], breaks[-1])
    panel = (torch.searchsorted(ends, x.detach().contiguous(), right=True) - 1).clamp(0, len(breaks) - 2)
    span = (x - ends[panel]) / 2
    total = before[panel]
    for node, weight in zip(NODES.tolist(), WEIGHTS.tolist(), strict=True):
        total = total + weight * span * evaluate(tree, ends[panel] + span * (1 + node), wide_a)
    return torch.where(u.isnan(), u, total.to(u.dtype))
