"""How far a ranking by energy depends on whose prices are right."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgbench.energy.interval import BoundedValue, total
from sgbench.energy.price import EnergyEstimate

Parts = dict[str, BoundedValue]
"""Energy of one inference [nJ], by operation."""

MOST_DOUBTS = 12
"""Prices that are varied one against the other; the rest, which matter least, move with the last of them."""
ROUNDING = 1e-12  # relative, below which two sums are the same


@dataclass(frozen=True)
class Duel:
    """Says how often method a costs less than b: on each target, over the corners of its prices' intervals."""

    a: str
    b: str
    share: dict[str, float]  # of corners, by target
    tied: tuple[str, ...]  # targets on which both cost the same whatever the prices, so neither is cheaper

    @property
    def mean(self) -> float:
        """Average the shares over the targets on which the two differ; a half where there is none."""
        return math.fsum(self.share.values()) / len(self.share) if self.share else 0.5

    @property
    def certain(self) -> bool:
        """Return whether every corner of every target's prices gives the same order."""
        return len(set(self.share.values())) == 1 and self.mean in (0.0, 1.0)


def parts(estimates: Sequence[EnergyEstimate]) -> Parts | None:
    """Average the energy over seeds by operation; None where a seed has no total."""
    if not estimates or any(estimate.dynamic_nj is None for estimate in estimates):
        return None
    by_operation: dict[str, list[BoundedValue]] = {}
    for estimate in estimates:
        for term in estimate.terms:
            by_operation.setdefault(term.operation, []).append(term.energy_nj)
        if estimate.static_nj is not None:
            by_operation.setdefault("static", []).append(estimate.static_nj)
    return {name: total(group).over(len(estimates)) for name, group in by_operation.items()}


def duels(methods: Mapping[str, Mapping[str, Parts | None]]) -> tuple[Duel, ...]:
    """Compare every pair of methods on every target on which both have a total.

    A price is one unknown number, so a corner sets it to the same end for both methods: what they share cancels.

    Args:
        methods: of each method, what `parts` gives on each target.

    >>> cheap, dear = {"accumulate": BoundedValue(1, 1, 2)}, {"accumulate": BoundedValue(3, 3, 6)}
    >>> duels({"a": {"chip": cheap}, "b": {"chip": dear}})[0].certain
    True
    >>> other = {"accumulate": BoundedValue(0.5, 0.5, 1), "neuron_update": BoundedValue(1, 0.1, 2)}
    >>> duels({"a": {"chip": cheap}, "b": {"chip": other}})[0].share
    {'chip': 0.5}
    """
    results = []
    for (a, of_a), (b, of_b) in itertools.combinations(methods.items(), 2):
        share: dict[str, float] = {}
        tied = []
        for target, parts_a in of_a.items():
            parts_b = of_b.get(target)
            if parts_a is not None and parts_b is not None:
                cheaper = cheaper_share(parts_a, parts_b)
                if cheaper is None:
                    tied.append(target)
                else:
                    share[target] = cheaper
        if share or tied:
            results.append(Duel(a, b, share, tuple(tied)))
    return tuple(results)


def cheaper_share(a: Parts, b: Parts) -> float | None:
    """Compute the share of corners in which a costs less than b, a tie counting half; None where all are ties."""
    zero = BoundedValue(0, 0, 0)
    names = sorted({*a, *b})
    spans = [(a.get(name, zero), b.get(name, zero)) for name in names]
    lows = [x.low - y.low for x, y in spans]
    swings = [(x.high - y.high) - low for (x, y), low in zip(spans, lows, strict=True)]
    doubts = sorted((swing for swing in swings if swing), key=abs, reverse=True)
    last = doubts[MOST_DOUBTS - 1 :]
    doubts = [*doubts[: MOST_DOUBTS - 1], *([math.fsum(last)] if last else [])]
    base = math.fsum(lows)
    scale = math.fsum(abs(x.high) + abs(y.high) for x, y in spans)
    signs = []
    for corner in itertools.product((0, 1), repeat=len(doubts)):
        difference = base + math.fsum(on * doubt for on, doubt in zip(corner, doubts, strict=True))
        signs.append(0 if abs(difference) <= ROUNDING * scale else math.copysign(1, difference))
    if not any(signs):
        return None
    return math.fsum((1 - sign) / 2 for sign in signs) / len(signs)
