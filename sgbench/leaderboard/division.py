"""The division of a method, closed or open, by what it changes against the protocol's reference."""

from sgbench.leaderboard.deviation import ProtocolReference
from sgbench.records.base import Value
from sgbench.records.method import NEUTRAL, same
from sgbench.records.spec import GROUPS, Method
from sgbench.records.submission import Division

FREE_GROUPS = ("surrogate", "steepness")
FREE_NUMBERS = ("neuron",)
FREE_PARAMETERS = ("optimizer.lr",)


def division_of(method: Method, reference: ProtocolReference) -> Division:
    """Return `closed` if only surrogate, slope, numbers of the neuron and learning rate differ, else `open`.

    The reference is a method that follows the protocol in everything. Another reset or a learnable decay makes
    another neuron, not another number, so such a method is open.

    >>> from sgbench.leaderboard.deviation import compose_reference
    >>> reference = compose_reference("digits_v1")
    >>> division_of(reference.method, reference)
    'closed'
    """
    ours = reference.method
    if not same(method.clip_norm, ours.clip_norm):
        return "open"
    return "closed" if all(_is_closed_in(group, method, ours) for group in GROUPS) else "open"


def _is_closed_in(group: str, method: Method, ours: Method) -> bool:
    """Whether a method keeps the closed division's rules in one group of settings."""
    if group in FREE_GROUPS:
        return True
    if method.choices[group] != ours.choices[group]:
        return False
    theirs, expected = method.parameters[group], ours.parameters[group]
    return all(_is_closed_number(f"{group}.{key}", theirs, expected) for key in {*theirs, *expected})


def _is_closed_number(name: str, parameters: dict[str, Value], expected: dict[str, Value]) -> bool:
    """Whether a parameter is the reference's, or a number that the closed division leaves free."""
    group, _, key = name.partition(".")
    neutral = NEUTRAL.get(name)
    theirs, usual = parameters.get(key, neutral), expected.get(key, neutral)
    if same(theirs, usual) or name in FREE_PARAMETERS:
        return True
    return group in FREE_NUMBERS and _is_number(theirs) and _is_number(usual)


def _is_number(value: Value) -> bool:
    items = value if isinstance(value, tuple) else (value,)
    return all(isinstance(item, int | float) and not isinstance(item, bool) for item in items)
