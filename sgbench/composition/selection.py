"""Filters the entries that `sgbench list` shows, by the facts that their YAML files declare."""

import argparse
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from sgbench.composition import catalogue
from sgbench.composition.catalogue import Entry
from sgbench.errors import InputError, suggest


class Flag(NamedTuple):
    """Defines a yes-or-no filter of `sgbench list`."""

    key: str  # key of an entry's `meta` that holds the property
    default: bool  # value if an entry's file leaves the key out
    groups: tuple[str, ...]  # groups whose entries can have the property
    text: str  # help text of the option


FLAGS = {
    "compact_support": Flag(
        "compact_support", False, ("surrogate",), "surrogates that are exactly 0 far from threshold"
    ),
    "learnable": Flag(
        "primitive", True, ("surrogate",), "surrogates with a primitive, so that steepness=learned works"
    ),
    "linear": Flag("linear", False, ("neuron",), "neurons that the fast engines run, by their defaults"),
    "stochastic": Flag("stochastic", False, ("surrogate", "neuron"), "surrogates or neurons that draw random numbers"),
}


def add_filters(listing: argparse.ArgumentParser) -> None:
    for option, flag in FLAGS.items():
        listing.add_argument(f"--{option.replace('_', '-')}", action="store_true", help=flag.text)
    listing.add_argument("--family", metavar="NAME", help="entries of one family, e.g. bell")
    listing.add_argument("--library", metavar="NAME", help="presets as one library has them, e.g. snntorch")


def filters_in_use(args: argparse.Namespace) -> list[str]:
    """List the filters in use, as they are typed on the command line."""
    options = [f"--{option.replace('_', '-')}" for option in FLAGS if getattr(args, option)]
    return options + [f"--{key} {getattr(args, key)}" for key in ("family", "library") if getattr(args, key)]


def select(group: str, known: Mapping[str, Entry], args: argparse.Namespace) -> dict[str, Entry]:
    """Select from a group's entries, `known` by name, those that pass every filter in `args`.

    Presets are selected if `--library` is given, and otherwise left out.
    """
    matching = _matching_entries(group, known, args).items()
    return {name: entry for name, entry in matching if is_preset(entry) == bool(args.library)}


def preset_counts(group: str, known: Mapping[str, Entry], args: argparse.Namespace) -> dict[str, int]:
    """Count the presets that pass the filters; maps each library to its number."""
    matching = _matching_entries(group, known, args).values()
    return dict(Counter(library_of(entry) for entry in matching if is_preset(entry)))


def is_preset(entry: Entry) -> bool:
    return "library" in entry.meta


def library_of(entry: Entry) -> str:
    """Return a preset's library: its folder, as `snntorch` in `snntorch/atan`, else `meta.library`."""
    folder, _, _ = entry.name.rpartition("/")
    return folder or str(entry.meta["library"])


def canonical_name(entry: Entry) -> str:
    """Return the name of the canonical entry whose formula a preset has; for other entries, their own name."""
    return str(entry.meta.get("canonical") or entry.name).removeprefix(f"{entry.group}/")


def _declared_fact(entry: Entry, known: Mapping[str, Entry], key: str, default: Any = None) -> Any:
    """Return a value of an entry's `meta`; a preset inherits it from its canonical entry in `known`.

    If neither states the key, return `default`.
    """
    canonical = known.get(canonical_name(entry))
    inherited = default if canonical is None else canonical.meta.get(key, default)
    return entry.meta.get(key, inherited)


def _matching_entries(group: str, known: Mapping[str, Entry], args: argparse.Namespace) -> dict[str, Entry]:
    """Return the entries, presets included, that pass all filters in `args`; see `select` for errors."""
    wanted: dict[str, Any] = {}
    for option, flag in FLAGS.items():
        if getattr(args, option):
            if group not in flag.groups:
                typed, with_key = option.replace("_", "-"), "' and '".join(flag.groups)
                raise InputError(f"list {group} --{typed}: only entries of group '{with_key}' have this property")
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
    """Return the value of an entry by which a filter selects: a flag, the family or the library."""
    if option == "library":
        return library_of(entry) if is_preset(entry) else None
    flag = FLAGS.get(option)
    if flag is None:
        return _declared_fact(entry, known, option)
    return bool(_declared_fact(entry, known, flag.key, flag.default))


def _known_value(group: str, known: Mapping[str, Entry], key: str, typed: str) -> str:
    """Return the family or library (`key`) that the user typed, in the catalogue's spelling.

    A library is found by its folder's name or its own name, in capital or small letters. If no entry in `known`, a
    group's entries by name, has it, an InputError is raised.
    """
    with_key = [entry for entry in known.values() if key in entry.meta]
    if not with_key:
        entries_by_group = {other: catalogue.entries(other).values() for other in catalogue.groups()}
        others = [other for other, entries in entries_by_group.items() if any(key in entry.meta for entry in entries)]
        where = f"groups that have one: {', '.join(others)}" if others else "no group has one"
        raise InputError(f"list {group} --{key} {typed}: no entry of this group has a {key}; {where}")
    if key == "family":
        spellings = {str(entry.meta[key]): str(entry.meta[key]) for entry in with_key}
    else:
        spellings = {str(entry.meta[key]).casefold(): library_of(entry) for entry in with_key}
        spellings |= {library_of(entry).casefold(): library_of(entry) for entry in with_key}
    spelling = spellings.get(typed if key == "family" else typed.casefold())
    if spelling is None:
        raise InputError(f"list {group} --{key} {typed}: there is none; {suggest(typed, set(spellings.values()))}")
    return spelling
