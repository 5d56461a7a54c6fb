"""The numbers that a protocol lets one method search, as intervals in the units of their overrides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sgbench.errors import InputError
from sgbench.records.spec import Method, Protocol, SearchRange

DIGITS = 3
"""Significant digits of a number that is asked for, so that words stay short."""
Setting = dict[str, float]


class Interval(NamedTuple):
    """Says from where to where a number is searched, and how evenly."""

    low: float
    high: float
    is_log: bool

    def at(self, share: float) -> float:
        """Return the number at a share of the interval, with three significant digits.

        >>> Interval(0.01, 1.0, True).at(0.5), Interval(0.0, 3.0, False).at(0.5)
        (0.1, 1.5)
        """
        if self.is_log:
            return self.rounded(self.low * (self.high / self.low) ** share)
        return self.rounded(self.low + share * (self.high - self.low))

    def rounded(self, value: float) -> float:
        """Return a number with three significant digits that lies within.

        >>> Interval(0.0504, 5.0, True).rounded(0.05041)
        0.0504
        """
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)


def space_of(method: Method, protocol: Protocol) -> dict[str, Interval]:
    """Return the intervals of a protocol's search space that a method has, by the key of their number.

    Widths and slopes are searched in units of the neuron's threshold, so that neurons of other thresholds search
    the same shapes.

    Raises:
        InputError: the protocol opens no space, the method has none of its numbers, or its neuron has no threshold
            in whose units one could be given.
    """
    if protocol.search_space is None or protocol.tuning_trials is None:
        raise InputError(
            f"{protocol.name}: opens no search_space with a budget of tuning_trials; "
            f"tune under one that does: experiment=digits_tuned_v3"
        )
    space = {
        key: _interval(key, limits, method)
        for key, limits in protocol.search_space.items()
        if _value(method, key) is not MISSING
    }
    if not space:
        raise InputError(
            f"{method.label}: has none of the numbers that {protocol.name} lets be searched: "
            f"{', '.join(protocol.search_space)}"
        )
    return space


MISSING = object()


def _value(method: Method, key: str) -> object:
    group, _, name = key.partition(".")
    return method.parameters.get(group, {}).get(name, MISSING)


def _interval(key: str, allowed: SearchRange, method: Method) -> Interval:
    factor = 1.0
    if allowed.unit != "number":
        threshold = _value(method, "neuron.threshold")
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not threshold > 0:
            raise InputError(
                f"{key}: is searched in units of the threshold, and this neuron has no positive one"
            )
        factor = threshold if allowed.unit == "threshold" else 1 / threshold
    return Interval(allowed.low * factor, allowed.high * factor, allowed.scale == "log")


def words_of(setting: Mapping[str, float]) -> tuple[str, ...]:
    """Write a setting as overrides.

    >>> words_of({"optimizer.lr": 0.003})
    ('optimizer.lr=0.003',)
    """
    return tuple(f"{key}={value:.12g}" for key, value in setting.items())


def setting_at(space: Mapping[str, Interval], shares: Mapping[str, float]) -> Setting:
    """Return the setting at a point of the unit cube, of which a method may lack dimensions.

    >>> space = {"optimizer.lr": Interval(0.01, 1.0, True)}
    >>> setting_at(space, {"optimizer.lr": 0.5, "surrogate.width_fwhm": 0.1})
    {'optimizer.lr': 0.1}
    """
    return {key: interval.at(shares[key]) for key, interval in space.items()}
