"""Find the settings in which the methods of a board differ, and those that they share."""

import json
import re
from collections.abc import Mapping, Sequence

from sgbench.records.base import Value
from sgbench.records.method import NEUTRAL, canonical, same
from sgbench.records.spec import GROUPS, NEUTRAL_CHOICES, Method
from sgbench.tables import inert

_MAX_LABEL_CHARS = 120
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./-]+")


def parameter_text(value: Value) -> str:
    r"""Write a parameter's value; text is quoted and escaped for Markdown unless it is one plain word.

    >>> parameter_text(1.0), parameter_text((0.9, 0.999)), parameter_text("subtract")
    ('1', '[0.9,0.999]', 'subtract')
    >>> parameter_text("a|b<i>")
    '"a\\u007cb\\u003ci\\u003e"'
    """
    if isinstance(value, tuple | list):
        return "[" + ",".join(parameter_text(item) for item in value) + "]"
    if isinstance(value, str):
        return value if _PLAIN_WORD.fullmatch(value) else inert(json.dumps(value))
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return f"{value:.6g}"


def call(name: str, parameters: Mapping[str, Value]) -> str:
    """Write an entry with its parameters, without those that are null or false, in at most 120 characters.

    >>> call("atan", {"alpha": None, "width_fwhm": 1.0})
    'atan(width_fwhm=1)'
    """
    shown = [
        f"{key}={parameter_text(value)}"
        for key, value in parameters.items()
        if value is not None and value is not False
    ]
    text = f"{name}({', '.join(shown)})" if shown else name
    return text if len(text) <= _MAX_LABEL_CHARS else text[: _MAX_LABEL_CHARS - 3] + "..."


def surrogate_call(name: str, parameters: Mapping[str, Value]) -> str:
    """Write a surrogate with its parameters, without a normalisation of `peak1` and a scale of 1.

    >>> surrogate_call("atan", {"alpha": 2.0, "normalisation": "peak1", "scale": 1.0})
    'atan(alpha=2)'
    """
    return call(name, _unusual(parameters))


def short_names(name: str, parameters: Mapping[str, Value]) -> frozenset[str]:
    """Name a surrogate by each number that its call shows.

    >>> sorted(short_names("atan", {"alpha": None, "width_fwhm": 0.5, "normalisation": "peak1", "scale": 1.0}))
    ['atan:0.5']
    """
    numbers = [value for value in _unusual(parameters).values() if type(value) in (int, float)]
    return frozenset(f"{name}:{parameter_text(value)}" for value in numbers)


def _unusual(parameters: Mapping[str, Value]) -> dict[str, Value]:
    usual = {"normalisation": "peak1", "scale": 1}
    return {key: value for key, value in parameters.items() if key not in usual or value != usual[key]}


ALWAYS_NAMED = ("sees",)
"""Parameters of a baseline that are always part of its name."""
Varying = dict[str, dict[str, set[str]]]
"""Maps each config group in which methods differ to a map from its entries to the parameters that differ."""


def varying_parameters(methods: Sequence[Method]) -> Varying:
    """Find the config groups in which methods differ, and for each entry the parameters in which they differ.

    A clip_norm that differs is listed as a group without entries.
    """
    varying: Varying = {}
    for group in GROUPS:
        entries = sorted({method.choices[group] for method in methods})
        by_entry = {
            entry: _differing([method for method in methods if method.choices[group] == entry], group)
            for entry in entries
        }
        if len(by_entry) > 1 or any(by_entry.values()):
            varying[group] = by_entry
    if len({canonical(method.clip_norm) for method in methods}) > 1:
        varying["clip_norm"] = {}
    return varying


def _differing(methods: Sequence[Method], group: str) -> set[str]:
    keys = {key for method in methods for key in method.parameters[group]}
    return {key for key in keys if _varies(methods, group, key)}


def _varies(methods: Sequence[Method], group: str, key: str) -> bool:
    neutral = NEUTRAL.get(f"{group}.{key}")
    first_value, *other_values = (method.parameters[group].get(key, neutral) for method in methods)
    return any(not same(value, first_value) for value in other_values)


def labels(method: Method, varying: Varying) -> dict[str, str]:
    """Map each group that varies, without the surrogate, to the method's entry with the parameters that vary."""
    texts = {}
    for group, by_entry in varying.items():
        if group == "clip_norm":
            texts[group] = _clip_text(method)
        elif group != "surrogate":
            entry, parameters = method.choices[group], method.parameters[group]
            texts[group] = call(entry, {key: parameters[key] for key in parameters if key in by_entry[entry]})
    return texts


def name_of(method: Method, varying: Varying) -> tuple[str, dict[str, str]]:
    """Return a method's name, its surrogate or baseline with parameters, and its setting by group that varies."""
    texts = labels(method, varying)
    if not method.is_baseline:
        return surrogate_call(method.label, method.parameters["surrogate"]), texts
    texts.pop("network", None)
    own, differing = method.parameters["network"], varying.get("network", {}).get(method.label, set())
    return call(method.label, {key: own[key] for key in own if key in (*ALWAYS_NAMED, *differing)}), texts


def names_apart(methods: Mapping[str, Method]) -> dict[str, str]:
    """Map the ids of methods to their names on a board; where names are equal, the beginning of the id follows."""
    varying = varying_parameters([*methods.values()])
    named = {key: name_of(method, varying) for key, method in methods.items()}
    texts = {key: ", ".join([name, *settings.values()]) for key, (name, settings) in named.items()}
    repeated = {text for text in texts.values() if [*texts.values()].count(text) > 1}
    return {key: f"{text} {key[:6]}" if text in repeated else text for key, text in texts.items()}


def common(methods: Sequence[Method], varying: Varying) -> dict[str, str]:
    """Map each config group to the setting that methods share, as text.

    If methods have several entries of a group, these are joined by "or", each with what its methods share.
    """
    values_by_group: dict[str, list[str]] = {}
    for group in GROUPS:
        if group == "surrogate" or all(method.choices[group] == NEUTRAL_CHOICES.get(group) for method in methods):
            continue
        one_of_each_entry = {method.choices[group]: method for method in reversed(methods)}
        for entry, method in one_of_each_entry.items():
            parameters = method.parameters[group]
            differing = varying.get(group, {}).get(entry, set())
            shared_parameters = {
                key: value
                for key, value in parameters.items()
                if key not in differing and not _is_neutral(f"{group}.{key}", value)
            }
            text = call(entry, shared_parameters)
            if text not in values_by_group.setdefault(group, []):
                values_by_group[group].append(text)
    shared = {group: " or ".join(sorted(texts)) for group, texts in values_by_group.items()}
    if methods and "clip_norm" not in varying:
        shared["clip_norm"] = _clip_text(methods[0])
    return shared


def _is_neutral(name: str, value: Value) -> bool:
    return name in NEUTRAL and same(NEUTRAL[name], value)


def _clip_text(method: Method) -> str:
    return "none" if method.clip_norm is None else f"{method.clip_norm:.6g}"
