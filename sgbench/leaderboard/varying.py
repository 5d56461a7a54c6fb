"""Find the settings in which the methods of a board differ, and those that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sgbench.leaderboard.labels import call, surrogate_call
from sgbench.records.base import Value
from sgbench.records.method import NEUTRAL, canonical, same
from sgbench.records.spec import GROUPS, NEUTRAL_CHOICES, Method

ALWAYS_NAMED = ("sees",)
"""Parameters of a baseline that are always part of its name."""
Varying = dict[str, dict[str, set[str]]]
"""By group and entry, the parameters in which methods with that entry differ."""


def varying_parameters(methods: Sequence[Method]) -> Varying:
    """Find by group and entry the parameters in which methods differ, without groups in which all are equal."""
    varying: Varying = {}
    for group in GROUPS:
        picks = sorted({method.choices[group] for method in methods})
        by_pick = {
            pick: _differing([method for method in methods if method.choices[group] == pick], group)
            for pick in picks
        }
        if len(by_pick) > 1 or any(by_pick.values()):
            varying[group] = by_pick
    if len({canonical(method.clip_norm) for method in methods}) > 1:
        varying["clip_norm"] = {}
    return varying


def _differing(methods: Sequence[Method], group: str) -> set[str]:
    keys = {key for method in methods for key in method.parameters[group]}
    return {key for key in keys if _varies(methods, group, key)}


def _varies(methods: Sequence[Method], group: str, key: str) -> bool:
    neutral = NEUTRAL.get(f"{group}.{key}")
    first, *others = (method.parameters[group].get(key, neutral) for method in methods)
    return any(not same(value, first) for value in others)


def labels(method: Method, varying: Varying) -> dict[str, str]:
    """Write by group a method's entry, with the parameters in which methods with that entry differ."""
    texts = {}
    for group, by_pick in varying.items():
        if group == "clip_norm":
            texts[group] = _clip_text(method)
        elif group != "surrogate":
            pick, parameters = method.choices[group], method.parameters[group]
            texts[group] = call(pick, {key: parameters[key] for key in parameters if key in by_pick[pick]})
    return texts


def name_of(method: Method, varying: Varying) -> tuple[str, dict[str, str]]:
    """Name a method by its surrogate, or a baseline by its network; return this name, and other labels by group."""
    texts = labels(method, varying)
    if not method.is_baseline:
        return surrogate_call(method.label, method.parameters["surrogate"]), texts
    texts.pop("network", None)
    own, differing = method.parameters["network"], varying.get("network", {}).get(method.label, set())
    return call(method.label, {key: own[key] for key in own if key in (*ALWAYS_NAMED, *differing)}), texts


def names_apart(methods: Mapping[str, Method]) -> dict[str, str]:
    """Name methods, by their ids, as a board does; equal names are followed by the beginning of the id."""
    varying = varying_parameters([*methods.values()])
    named = {key: name_of(method, varying) for key, method in methods.items()}
    texts = {key: ", ".join([name, *rest.values()]) for key, (name, rest) in named.items()}
    repeated = {text for text in texts.values() if [*texts.values()].count(text) > 1}
    return {key: f"{text} {key[:6]}" if text in repeated else text for key, text in texts.items()}


def common(methods: Sequence[Method], varying: Varying) -> dict[str, str]:
    """Write by group the settings that methods share, or for several entries those shared within each."""
    values_by_group: dict[str, list[str]] = {}
    for group in GROUPS:
        plain = all(method.choices[group] == NEUTRAL_CHOICES.get(group) for method in methods)
        one_each = {method.choices[group]: method for method in reversed(methods)}
        for method in () if plain or group == "surrogate" else one_each.values():
            pick, parameters = method.choices[group], method.parameters[group]
            differing = varying.get(group, {}).get(pick, set())
            common_texts = {
                key: value
                for key, value in parameters.items()
                if key not in differing and not _is_neutral(f"{group}.{key}", value)
            }
            text = call(pick, common_texts)
            if text not in values_by_group.setdefault(group, []):
                values_by_group[group].append(text)
    shared = {group: " or ".join(sorted(texts)) for group, texts in values_by_group.items()}
    if methods and "clip_norm" not in varying:
        shared["clip_norm"] = _clip_text(methods[0])
    return shared


def _is_neutral(name: str, value: Value) -> bool:
    """Return whether a value is neutral: an older record without this parameter means the same."""
    return name in NEUTRAL and same(NEUTRAL[name], value)


def _clip_text(method: Method) -> str:
    return "none" if method.clip_norm is None else f"{method.clip_norm:.6g}"
