"""In what the methods of a board differ, and what they share."""

from __future__ import annotations

from collections.abc import Sequence

from sgbench.leaderboard.labels import call
from sgbench.records.base import Value
from sgbench.records.method import NEUTRAL, canonical
from sgbench.records.spec import GROUPS, NEUTRAL_CHOICES, Method

Varying = dict[str, dict[str, set[str]]]
"""By group and choice, the parameters in which methods of that choice differ."""


def varying_parameters(methods: Sequence[Method]) -> Varying:
    """By group and choice, the parameters in which methods of that choice differ; groups that all share are out."""
    found: Varying = {}
    for group in GROUPS:
        picks = sorted({method.choices[group] for method in methods})
        by_pick = {
            pick: _differing([method for method in methods if method.choices[group] == pick], group)
            for pick in picks
        }
        if len(by_pick) > 1 or any(by_pick.values()):
            found[group] = by_pick
    if len({canonical(method.clip_norm) for method in methods}) > 1:
        found["clip_norm"] = {}
    return found


def _differing(methods: Sequence[Method], group: str) -> set[str]:
    keys = {key for method in methods for key in method.parameters[group]}
    return {key for key in keys if _varies(methods, group, key)}


def _varies(methods: Sequence[Method], group: str, key: str) -> bool:
    first = _text(methods[0], group, key)
    return any(_text(method, group, key) != first for method in methods[1:])


def _text(method: Method, group: str, key: str) -> str:
    return canonical(method.parameters[group].get(key, NEUTRAL.get(f"{group}.{key}")))


def labels(method: Method, varying: Varying) -> dict[str, str]:
    """What tells a method apart, by group: its choice, and what differs among methods of that choice."""
    found = {}
    for group, by_pick in varying.items():
        if group == "clip_norm":
            found[group] = _clip_text(method)
        elif group != "surrogate":
            pick, parameters = method.choices[group], method.parameters[group]
            found[group] = call(pick, {key: parameters[key] for key in parameters if key in by_pick[pick]})
    return found


def common(methods: Sequence[Method], varying: Varying) -> dict[str, str]:
    """What methods share, by group; where choices differ, what those of one choice share."""
    found: dict[str, list[str]] = {}
    for group in GROUPS:
        plain = all(method.choices[group] == NEUTRAL_CHOICES.get(group) for method in methods)
        for method in () if plain or group == "surrogate" else methods:
            pick, parameters = method.choices[group], method.parameters[group]
            differing = varying.get(group, {}).get(pick, set())
            told = {
                key: value
                for key, value in parameters.items()
                if key not in differing and not _is_neutral(f"{group}.{key}", value)
            }
            text = call(pick, told)
            if text not in found.setdefault(group, []):
                found[group].append(text)
    shared = {group: " or ".join(sorted(texts)) for group, texts in found.items()}
    if methods and "clip_norm" not in varying:
        shared["clip_norm"] = _clip_text(methods[0])
    return shared


def _is_neutral(name: str, value: Value) -> bool:
    """Whether an older record without this parameter means the same."""
    return name in NEUTRAL and canonical(NEUTRAL[name]) == canonical(value)


def _clip_text(method: Method) -> str:
    return "none" if method.clip_norm is None else f"{method.clip_norm:.6g}"
