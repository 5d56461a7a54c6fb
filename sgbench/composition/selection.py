"""Which entries `sgbench list` shows: filters on what the YAML files declare, and presets of libraries."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from sgbench.composition import catalogue
from sgbench.composition.catalogue import Entry
from sgbench.errors import InputError, suggest


class Flag(NamedTuple):
    """Holds a property that entries of some groups have or lack."""

    key: str  # of `meta`
    default: bool  # where a file says nothing
    groups: tuple[str, ...]
    text: str


FLAGS = {
    "compact_support": Flag(
        "compact_support", False, ("surrogate",), "surrogates that are exactly 0 far from threshold"
    ),
    "learnable": Flag(
        "primitive", True, ("surrogate",), "surrogates with a primitive, so that steepness=learned works"
    ),
    "linear": Flag("linear", False, ("neuron",), "neurons that the fast engines run, by their defaults"),
    "stochastic": Flag(
        "stochastic", False, ("surrogate", "neuron"), "surrogates or neurons that draw random numbers"
    ),
}


def add_filters(listing: argparse.ArgumentParser) -> None:
    """Add the filters of `sgbench list` to its parser."""
    for option, flag in FLAGS.items():
        listing.add_argument(f"--{option.replace('_', '-')}", action="store_true", help=flag.text)
    listing.add_argument("--family", metavar="NAME", help="entries of one family, e.g. bell")
    listing.add_argument("--library", metavar="NAME", help="presets as one library has them, e.g. snntorch")


def chosen_words(args: argparse.Namespace) -> list[str]:
    """List the filters in use, as typed."""
    options = [f"--{option.replace('_', '-')}" for option in FLAGS if getattr(args, option)]
    return options + [f"--{key} {getattr(args, key)}" for key in ("family", "library") if getattr(args, key)]


def select(group: str, known: Mapping[str, Entry], args: argparse.Namespace) -> dict[str, Entry]:
    """Select the entries that pass every filter; presets only where a library is named.

    Raises:
        InputError: the group lacks the property, or no entry has this family or library.
    """
    passed = _matching(group, known, args)
    return {name: entry for name, entry in passed.items() if is_preset(entry) == bool(args.library)}


def preset_counts(group: str, known: Mapping[str, Entry], args: argparse.Namespace) -> dict[str, int]:
    """Count the presets of each library that pass the filters."""
    passed = _matching(group, known, args)
    return dict(Counter(library_of(entry) for entry in passed.values() if is_preset(entry)))


def is_preset(entry: Entry) -> bool:
    """Return whether an entry is a preset: a canonical one with the numbers of a library."""
    return "library" in entry.meta


def library_of(entry: Entry) -> str:
    """Return a preset's library: its folder, `snntorch` of `snntorch/atan`, or else what its file says."""
    folder, _, _ = entry.name.rpartition("/")
    return folder or str(entry.meta["library"])


def canonical_name(entry: Entry) -> str:
    """Name the canonical entry whose formula a preset has; a name that is no preset is returned as it is."""
    return str(entry.meta.get("canonical") or entry.name).removeprefix(f"{entry.group}/")


def declared(entry: Entry, known: Mapping[str, Entry], key: str, default: Any = None) -> Any:
    """Return the declarations of an entry's file, or for a preset those of its canonical entry."""
    canonical = known.get(canonical_name(entry))
    inherited = default if canonical is None else canonical.meta.get(key, default)
    return entry.meta.get(key, inherited)


def _matching(group: str, known: Mapping[str, Entry], args: argparse.Namespace) -> dict[str, Entry]:
    """Return the entries that have all properties asked for."""
    wanted: dict[str, Any] = {}
    for option, flag in FLAGS.items():
        if getattr(args, option):
            if group not in flag.groups:
                asked, having = option.replace("_", "-"), "' and '".join(flag.groups)
                raise InputError(
                    f"list {group} --{asked}: only entries of group '{having}' have this property"
                )
            wanted[option] = True
    for key in ("family", "library"):
        if getattr(args, key):
            wanted[key] = _known_value(group, known, key, getattr(args, key))
    return {
        name: entry
        for name, entry in known.items()
        if all(_property(entry, known, option) == value for option, value in wanted.items())
    }


def _property(entry: Entry, known: Mapping[str, Entry], option: str) -> Any:
    """Return one property of an entry."""
    if option == "library":
        return library_of(entry) if is_preset(entry) else None
    flag = FLAGS.get(option)
    if flag is None:
        return declared(entry, known, option)
    return bool(declared(entry, known, flag.key, flag.default))


def _known_value(group: str, known: Mapping[str, Entry], key: str, typed: str) -> str:
    """Find the family or library that is meant: a library by its folder's name or by its own spelling."""
    having = [entry for entry in known.values() if key in entry.meta]
    if not having:
        every = {other: catalogue.entries(other).values() for other in catalogue.groups()}
        others = [other for other, entries in every.items() if any(key in entry.meta for entry in entries)]
        where = f"groups that have one: {', '.join(others)}" if others else "no group has one"
        raise InputError(f"list {group} --{key} {typed}: no entry of this group has a {key}; {where}")
    if key == "family":
        spellings = {str(entry.meta[key]): str(entry.meta[key]) for entry in having}
    else:
        spellings = {str(entry.meta[key]).casefold(): library_of(entry) for entry in having}
        spellings |= {library_of(entry).casefold(): library_of(entry) for entry in having}
    meant = spellings.get(typed if key == "family" else typed.casefold())
    if meant is None:
        raise InputError(
            f"list {group} --{key} {typed}: there is none; {suggest(typed, set(spellings.values()))}"
        )
    return meant
