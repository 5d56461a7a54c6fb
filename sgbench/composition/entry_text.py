"""Describes an entry of the catalogue: as text for people, and as a dictionary for JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sgbench.composition import catalogue, selection
from sgbench.tables import aligned

PRESET_KEYS = ("library", "version", "calls", "canonical", "conversion", "bug", "legacy")
REFERENCE_PROTOCOL = "digits_v1"
"""The protocol whose time step and sizes fill the references in an entry's defaults."""


def as_dict(entry: catalogue.Entry) -> dict[str, Any]:
    """Convert a catalogue entry to a dictionary for JSON, with the same keys for every entry."""
    return {key: getattr(entry, key) for key in ("group", "name", "target", "parameters", "meta")}


def list_row(name: str, entry: catalogue.Entry) -> tuple[str, ...]:
    """Return the cells of an entry in a list: its name and line; of a preset also the call of its library."""
    if not selection.is_preset(entry):
        return name, entry.line
    marks = [f"[{mark}]" for key, mark in (("bug", "known bug"), ("legacy", "legacy")) if entry.meta.get(key)]
    canonical = f"{selection.canonical_name(entry)}: {_one_line(entry.meta.get('conversion') or entry.line)}"
    return name, _one_line(entry.meta.get("calls")), " ".join([canonical, *marks])


def entry_text(entry: catalogue.Entry, config_dirs: Sequence[Path] = ()) -> str:
    """Write all that an entry's file declares: its line, class, facts, libraries and sources, then its parameters."""
    lines = [f"{entry.group}/{entry.name}", entry.line, ""]
    rows = [("class", entry.target)] if entry.target else []
    is_preset = selection.is_preset(entry)
    rows += _preset_rows(entry) if is_preset else []
    shown_apart = ("line", "sources", *(PRESET_KEYS if is_preset else ()))
    rows += [(key, _value_text(value)) for key, value in entry.meta.items() if key not in shown_apart and value != []]
    rows += [("library", name) for name in _presets_of(entry, config_dirs)]
    rows += [("source", str(source)) for source in entry.meta.get("sources") or []]
    lines.append(columns([(str(key), str(value)) for key, value in rows]))
    if entry.parameters:
        lines.append("parameters and their defaults")
        lines.append(columns([(f"  {key}", value) for key, value in parameter_rows(entry, config_dirs)]))
    return "\n".join(lines)


def parameter_rows(entry: catalogue.Entry, config_dirs: Sequence[Path] = ()) -> list[tuple[str, str]]:
    """List (name, default) of each parameter; a default that refers to others is resolved where that is possible."""
    resolved = _resolved_defaults(entry, config_dirs)
    return [(key, _value_text(resolved.get(key, value))) for key, value in {**entry.own, **entry.parameters}.items()]


def _resolved_defaults(entry: catalogue.Entry, config_dirs: Sequence[Path] = ()) -> dict[str, Any]:
    """Map each parameter of an entry to its default, with references resolved under the protocol `digits_v1`.

    Defaults that refer to another choice are left out. The result is empty if no default has a reference, or if
    one reads an environment variable.
    """
    if "${" not in str(entry.parameters) or "oc.env" in str(entry.parameters):
        return {}
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from sgbench.composition.compose import register_resolvers

    register_resolvers()
    protocol = catalogue.entry("protocol", REFERENCE_PROTOCOL, config_dirs).parameters
    tree = OmegaConf.create({"width_fwhm": None, "protocol": protocol, "entry": {**entry.own, **entry.parameters}})
    values = {}
    for key in entry.parameters:
        try:
            value: Any = OmegaConf.select(tree, f"entry.{key}")
        except OmegaConfBaseException:
            continue
        values[key] = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return values


def _preset_rows(entry: catalogue.Entry) -> list[tuple[str, str]]:
    """List (label, text) of each fact that a preset of a library states about itself."""
    meta = entry.meta
    rows = [
        ("library", f"{meta['library']} {meta.get('version', '')}".strip()),
        ("its call", meta.get("calls")),
        ("canonical", f"{entry.group}/{selection.canonical_name(entry)}"),
        ("conversion", meta.get("conversion")),
        ("known bug", meta.get("bug")),
        ("legacy", "yes, kept for older code" if meta.get("legacy") else None),
    ]
    return [(name, _one_line(text)) for name, text in rows if text]


def _one_line(text: Any) -> str:
    return " ".join(str(text or "").split())


def _presets_of(entry: catalogue.Entry, config_dirs: Sequence[Path]) -> list[str]:
    """List the presets of libraries that have the formula of a canonical entry; none for a preset."""
    if selection.is_preset(entry):
        return []
    return [
        f"{other.meta['library']} {_one_line(other.meta.get('calls'))} is {other.group}={other.name}"
        for other in catalogue.entries(entry.group, config_dirs).values()
        if selection.is_preset(other) and selection.canonical_name(other) == entry.name
    ]


def _value_text(value: Any) -> str:
    """Write a value of a YAML file for people: null, lists with commas, floats with six digits."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return ", ".join(_value_text(item) if not isinstance(item, dict) else json.dumps(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={_value_text(item)}" for key, item in value.items())
    if isinstance(value, float):
        return str(value) if value.is_integer() else f"{value:.6g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def columns(rows: Sequence[tuple[str, ...]], width: int | None = None) -> str:
    """Write rows of cells as aligned lines of at most `width` characters; empty cells fill rows with fewer."""
    longest = max(map(len, rows), default=0)
    filled = [[*row, *[""] * (longest - len(row))] for row in rows]
    return "".join(f"{line}\n" for line in aligned(filled, text_columns=longest, width=width))
