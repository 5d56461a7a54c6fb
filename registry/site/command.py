"""Writes the command that runs a method again: its entries, and the parameters that differ from their defaults."""

import re
import shlex
from collections.abc import Iterable, Iterator

from sgbench.composition.overrides import seed_override
from sgbench.leaderboard.deviation import VERSION, ProtocolReference
from sgbench.records.base import Value
from sgbench.records.method import same
from sgbench.records.spec import GROUPS, SPIKING_CHOICES, Method, choice_overrides, entry_group

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
RESERVED = ("null", "true", "false", "none", "nan", "inf")


def method_overrides(method: Method, reference: ProtocolReference, experiments: Iterable[str]) -> list[str]:
    """List the Hydra overrides that compose a method.

    A parameter is left out if its default is the same literal value. One whose default is an interpolation is
    always included, so that finding the overrides needs no composition.
    """
    known, name = tuple(experiments), method.protocol.name
    experiment = next((candidate for candidate in (name, VERSION.sub("", name)) if candidate in known), None)
    overrides = [] if experiment is None else [f"experiment={experiment}"]
    overrides.append(f"protocol={name}")
    ours = reference.method
    differing = {group: method.choices[group] for group in GROUPS if method.choices[group] != ours.choices[group]}
    overrides += choice_overrides(differing)
    if not same(method.clip_norm, ours.clip_norm):
        overrides.append(f"clip_norm={_hydra_value(method.clip_norm)}")
    for group in GROUPS:
        overrides += _parameter_overrides(group, method, reference)
    return overrides


def _parameter_overrides(group: str, method: Method, reference: ProtocolReference) -> Iterator[str]:
    """Yield the overrides of a method's parameters in one group that differ from their defaults.

    Defaults are those of the protocol's reference if it has the same entry, else those of the entry's file.
    """
    choice, ours = method.choices[group], reference.method
    entry = reference.entries[entry_group(group)].get(choice)
    if entry is None or (method.is_baseline and group in SPIKING_CHOICES):
        return
    expected = ours.parameters[group] if choice == ours.choices[group] else entry.parameters
    for key, value in method.parameters[group].items():
        default = expected.get(key, "absent")
        is_interpolation = isinstance(default, str) and "${" in default
        is_default = same(value, tuple(default) if isinstance(default, list) else default)
        # What the experiment sets for the reference's entry is set for another one too.
        if is_interpolation or not is_default or not same(value, ours.parameters[group].get(key, value)):
            yield f"{group}.{key}={_hydra_value(value)}"


def _hydra_value(value: Value) -> str:
    """Write a value as Hydra reads it.

    >>> [_hydra_value(value) for value in (None, True, 0.5, (1, 2), "subtract", "a b")]
    ['null', 'true', '0.5', '[1,2]', 'subtract', '"a b"']
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return f"[{','.join(map(_hydra_value, value))}]"
    if isinstance(value, str) and not (PLAIN.fullmatch(value) and value.lower() not in RESERVED):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


def run_line(overrides: Iterable[str], seeds: Iterable[int]) -> str:
    """Write the command that runs the method of these overrides with each of these seeds.

    >>> run_line(["surrogate=atan"], [0, 1])
    'sgbench run -m surrogate=atan seed=0,1'
    """
    all_seeds = [*seeds]
    multirun = "-m " if len(all_seeds) > 1 else ""
    return f"sgbench run {multirun}{' '.join([shlex.join(overrides), seed_override(all_seeds)]).lstrip()}"
