"""Check whether a network without spikes follows a protocol and can be a baseline of its board."""

from collections.abc import Iterator

from sgbench.composition.catalogue import Entry
from sgbench.records.method import canonical, same
from sgbench.records.spec import NEUTRAL_CHOICES, NOTHING, SPIKING_CHOICES, Method, Protocol

WITHOUT = {
    **{group: name for group, name in NEUTRAL_CHOICES.items() if group not in ("augmentation", "schedule")},
    **dict.fromkeys(SPIKING_CHOICES, NOTHING),
    "regulariser": "none",
}
"""Maps each config group that concerns only spiking neurons to its entry in a network without spikes."""


def is_baseline(entry: Entry | None) -> bool:
    """Return whether an entry of the catalogue is a network without spikes; false for None."""
    return entry is not None and entry.meta.get("spikes") is False


def baseline_deviations(method: Method, protocol: Protocol, entry: Entry | None) -> Iterator[str]:
    """Yield where a method deviates from a network without spikes: its entries, or the size of the network."""
    if not is_baseline(entry):
        yield f"network {method.choices['network']} is no baseline of the catalogue, and has no neurons"
    for group, name in WITHOUT.items():
        if method.choices[group] != name or (method.parameters[group] and name == NOTHING):
            yield f"{group} is {method.choices[group]}, a network without spikes has {name}"
    stated = method.parameters["network"]
    size, band = stated.get("parameters"), protocol.parameters
    expected = {"parameters": None, "match_hidden": protocol.hidden, "steps": protocol.steps}
    if isinstance(size, int) and "network" in protocol.free:  # a choice, within the bounds of the methods
        expected = {"match_hidden": None, "steps": protocol.steps}
        if band is not None and not band[0] <= size <= band[1]:
            yield f"network.parameters is {size:,}, {protocol.name} allows {band[0]:,} to {band[1]:,}"
    for key, value in expected.items():
        if key in stated and not same(stated[key], value):
            yield f"network.{key} is {canonical(stated[key])[:60]}, a baseline has {canonical(value)[:60]}"
