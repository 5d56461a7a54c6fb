"""How far a ranking of methods by energy depends on the uncertain prices of operations."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgbench.energy.interval import BoundedValue, total
from sgbench.energy.price import EnergyEstimate

Parts = dict[str, BoundedValue]
"""Maps operations to their energy in one inference [nJ]."""

MOST_VARIED = 12
"""Number of prices that vary independently; all others, which matter least, vary together with the last of them."""
ROUNDING = 1e-12  # relative difference up to which two sums are equal


@dataclass(frozen=True)
class Duel:
    """Compares the energy of two methods over all combinations of low and high prices ("corners")."""

    a: str  # name of the first method
    b: str  # name of the second method
    share: dict[str, float]  # maps targets to the fraction of corners in which a needs less energy than b
    tied: tuple[str, ...]  # targets on which both need equal energy in every corner; they are not in `share`

    @property
    def mean(self) -> float:
        """Return the mean of the shares over targets; 0.5 if there are none."""
        return math.fsum(self.share.values()) / len(self.share) if self.share else 0.5

    @property
    def certain(self) -> bool:
        """Return whether the same method needs less energy in every corner on every target."""
        return len(set(self.share.values())) == 1 and self.mean in (0.0, 1.0)


def parts(estimates: Sequence[EnergyEstimate]) -> Parts | None:
    """Map operations to their mean energy over the seeds' estimates; None if one has no total."""
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
    """Compare the energy of every pair of methods on all targets on which both have a total.

    A corner sets each price of a target to its low or high bound, for both methods alike, so operations that both
    do equally often cancel. `Duel.share` is the fraction of corners in which the first method needs less energy.

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
    """Return the fraction of price combinations in which a needs less energy than b.

    Each price is at the low or the high end of its interval, in all combinations; `MOST_VARIED` prices vary at most,
    the smallest of them together. Ties count half; None if all are ties.
    """
    zero = BoundedValue(0, 0, 0)
    pairs = [(a.get(name, zero), b.get(name, zero)) for name in sorted({*a, *b})]
    lows = [of_a.low - of_b.low for of_a, of_b in pairs]  # difference of a and b at low prices
    # Change of the difference if one price goes from low to high.
    swings = [(of_a.high - of_b.high) - low for (of_a, of_b), low in zip(pairs, lows, strict=True)]
    varied = sorted((swing for swing in swings if swing), key=abs, reverse=True)
    last = varied[MOST_VARIED - 1 :]
    varied = [*varied[: MOST_VARIED - 1], *([math.fsum(last)] if last else [])]
    base = math.fsum(lows)
    scale = math.fsum(abs(of_a.high) + abs(of_b.high) for of_a, of_b in pairs)
    signs = []
    for corner in itertools.product((0, 1), repeat=len(varied)):
        difference = base + math.fsum(high * swing for high, swing in zip(corner, varied, strict=True))
        signs.append(0 if abs(difference) <= ROUNDING * scale else math.copysign(1, difference))
    if not any(signs):
        return None
    return math.fsum((1 - sign) / 2 for sign in signs) / len(signs)
