"""Builds the search space of a method: intervals of the numbers that its protocol lets be searched."""

from collections.abc import Mapping
from typing import NamedTuple

from sgbench.errors import InputError
from sgbench.records.spec import Method, Protocol, SearchRange

SIGNIFICANT_DIGITS = 3
"""Significant digits of a searched number, so that overrides stay short."""
Setting = dict[str, float]  # maps keys of searched numbers, such as optimizer.lr, to values


class Interval(NamedTuple):
    """Defines the interval in which a number is searched, on a linear or a logarithmic scale."""

    low: float
    high: float
    is_log: bool

    def at(self, share: float) -> float:
        """Return the number at a share (0..1) of the interval, with three significant digits.

        >>> Interval(0.01, 1.0, True).at(0.5), Interval(0.0, 3.0, False).at(0.5)
        (0.1, 1.5)
        """
        if self.is_log:
            return self.rounded(self.low * (self.high / self.low) ** share)
        return self.rounded(self.low + share * (self.high - self.low))

    def rounded(self, value: float) -> float:
        """Round a number to three significant digits and clip it to the interval.

        >>> Interval(0.0504, 5.0, True).rounded(0.05041)
        0.0504
        """
        return min(max(float(f"{value:.{SIGNIFICANT_DIGITS}g}"), self.low), self.high)


def search_space(method: Method, protocol: Protocol) -> dict[str, Interval]:
    """Map the keys that a protocol lets be searched, and that a method has, to their intervals.

    Protocols state widths and slopes in units of the neuron's threshold; the intervals are in units of overrides.
    """
    if protocol.search_space is None or protocol.tuning_trials is None:
        raise InputError(
            f"{protocol.name} has no search_space with a budget of tuning_trials; "
            f"tune under one that has: experiment=digits_tuned_v3"
        )
    space = {
        key: _interval(key, limits, method)
        for key, limits in protocol.search_space.items()
        if _value(method, key) is not NOT_A_PARAMETER
    }
    if not space:
        raise InputError(
            f"{method.label}: has none of the numbers that {protocol.name} lets be searched: "
            f"{', '.join(protocol.search_space)}"
        )
    return space


NOT_A_PARAMETER = object()


def _value(method: Method, key: str) -> object:
    """Return the value of a method's parameter, e.g. "optimizer.lr"; `NOT_A_PARAMETER` if it has none of that key."""
    group, _, name = key.partition(".")
    return method.parameters.get(group, {}).get(name, NOT_A_PARAMETER)


def _interval(key: str, allowed: SearchRange, method: Method) -> Interval:
    """Convert a protocol's range for a key from its unit, a number or (1 over) the threshold, to that of overrides."""
    factor = 1.0
    if allowed.unit != "number":
        threshold = _value(method, "neuron.threshold")
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not threshold > 0:
            raise InputError(f"{key}: is searched in units of the threshold, and this neuron has no positive one")
        factor = threshold if allowed.unit == "threshold" else 1 / threshold
    return Interval(allowed.low * factor, allowed.high * factor, allowed.scale == "log")


def setting_overrides(setting: Mapping[str, float]) -> tuple[str, ...]:
    """Write a setting as Hydra overrides.

    >>> setting_overrides({"optimizer.lr": 0.003})
    ('optimizer.lr=0.003',)
    """
    return tuple(f"{key}={value:.12g}" for key, value in setting.items())


def setting_at(space: Mapping[str, Interval], point: Mapping[str, float]) -> Setting:
    """Convert a point of the unit cube to a setting; coordinates of keys that `space` lacks are ignored.

    >>> space = {"optimizer.lr": Interval(0.01, 1.0, True)}
    >>> setting_at(space, {"optimizer.lr": 0.5, "surrogate.width_fwhm": 0.1})
    {'optimizer.lr': 0.1}
    """
    return {key: interval.at(point[key]) for key, interval in space.items()}
