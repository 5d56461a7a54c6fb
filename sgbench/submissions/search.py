"""Were the settings tried within the space that the protocol opens, in its units?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sgbench.records.spec import Protocol, SearchRange
from sgbench.records.submission import TuningTrial

THRESHOLD = "neuron.threshold"


def outside_space(
    ours: Mapping[str, str], trials: Sequence[TuningTrial], protocol: Protocol
) -> Iterator[str]:
    """Yield the first number searched though the protocol keeps it, and the first beyond its range.

    Args:
        ours: identity of the method handed in; its own numbers have to lie within too.
        trials: every run that took part in the choice.
        protocol: the catalogue's own.
    """
    space = protocol.search_space
    if space is None:
        return
    searched = sorted({key for trial in trials for key in trial.settings} - set(space))
    if searched:
        yield (
            f"{searched[0]} differs among the settings tried, but {protocol.name} lets {', '.join(space)} alone be "
            f"searched; hand in runs that share it"
        )
    settings: list[dict[str, str | None]] = [dict(ours), *({**ours, **trial.settings} for trial in trials)]
    complaints = (line for setting in settings for line in _beyond(setting, space, protocol.name))
    first = next(complaints, None)
    if first is not None:
        yield first


def _beyond(settings: Mapping[str, str | None], space: Mapping[str, SearchRange], name: str) -> Iterator[str]:
    for key, allowed in space.items():
        value = _number(settings.get(key))
        if value is None:
            continue  # this method has no such number, or leaves it to another
        threshold = 1.0 if allowed.unit == "number" else _number(settings.get(THRESHOLD))
        if threshold is None or threshold <= 0:
            yield f"{key}: {name} asks for it {allowed.text}, but the neuron has no one positive threshold"
        elif not allowed.holds(value, threshold=threshold):
            at = "" if allowed.unit == "number" else f" at {THRESHOLD} {threshold:g}"
            yield f"{key} is {value:g}{at}, {name} allows {allowed.text}; leave such settings out of the search"


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
