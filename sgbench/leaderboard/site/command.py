"""The command that makes a method again: names of entries, and the numbers that are not the entries' own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from sgbench.composition import catalogue
from sgbench.composition.words import seed_word
from sgbench.leaderboard.deviation import VERSION, ProtocolReference
from sgbench.records.base import Value
from sgbench.records.method import same
from sgbench.records.spec import GROUPS, SPIKING_CHOICES, Method, choice_words, entry_group

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
RESERVED = ("null", "true", "false", "none", "nan", "inf")


def method_words(method: Method, reference: ProtocolReference, experiments: Iterable[str]) -> list[str]:
    """List the words that compose a method on the command line.

    A number is left out where the entry's file has it as it stands. Where the file has a reference instead, or the
    protocol's experiment another number, it is named, so that nothing has to be composed to find the words.

    Args:
        method: what to make.
        reference: the protocol's own method and the catalogue's entries.
        experiments: names of those that the catalogue has.
    """
    known, name = tuple(experiments), method.protocol.name
    experiment = next((candidate for candidate in (name, VERSION.sub("", name)) if candidate in known), None)
    words = [] if experiment is None else [f"experiment={experiment}"]
    words.append(f"protocol={name}")
    ours = reference.method
    differing = {pick: method.choices[pick] for pick in GROUPS if method.choices[pick] != ours.choices[pick]}
    words += choice_words(differing)
    if not same(method.clip_norm, ours.clip_norm):
        words.append(f"clip_norm={word(method.clip_norm)}")
    for group in GROUPS:
        words += _numbers(group, method, reference)
    return words


def _numbers(group: str, method: Method, reference: ProtocolReference) -> Iterator[str]:
    pick, ours = method.choices[group], reference.method
    entry = reference.entries[entry_group(group)].get(pick)
    if entry is None or (method.is_baseline and group in SPIKING_CHOICES):
        return
    expected = ours.parameters[group] if pick == ours.choices[group] else entry.parameters
    for key, value in method.parameters[group].items():
        default = expected.get(key, "absent")
        referred = isinstance(default, str) and "${" in default
        if referred or not same(value, tuple(default) if isinstance(default, list) else default):
            yield f"{group}.{key}={word(value)}"


def word(value: Value) -> str:
    """Write a value as Hydra reads it.

    >>> word(None), word(True), word(0.5), word((1, 2)), word("subtract"), word("a b")
    ('null', 'true', '0.5', '[1,2]', 'subtract', '"a b"')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return f"[{','.join(map(word, value))}]"
    if isinstance(value, str) and not (PLAIN.fullmatch(value) and value.lower() not in RESERVED):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


def run_line(words: Iterable[str], seeds: Iterable[int]) -> str:
    """Write the command that runs these words with each of these seeds.

    >>> run_line(["surrogate=atan"], [0, 1])
    'sgbench run -m surrogate=atan seed=0,1'
    """
    listed = [*seeds]
    many = "-m " if len(listed) > 1 else ""
    return f"sgbench run {many}{' '.join([shlex.join(words), seed_word(listed)]).lstrip()}"


def experiments(config_dirs: Iterable[Path]) -> tuple[str, ...]:
    """List the names of the catalogue's experiments."""
    return tuple(catalogue.paths("experiment", config_dirs))
