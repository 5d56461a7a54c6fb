"""Presets: surrogates of other libraries as settings of our own, written into `conf/` from one table.

`python -m tools.presets` reads `presets.yaml` beside this module and writes a file of
`conf/surrogate/<library>/` for each of its rows; a test compares the files with the table. A file says what the
library calls the shape, how its parameters became ours, and what is known to be wrong with it.
"""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from sgbench.composition import catalogue
from sgbench.composition.compose import formula_reference
from sgbench.errors import InputError, suggest
from sgbench.paths import conf_dir

GROUP = "surrogate"
TABLE = Path(__file__).with_suffix(".yaml")
SHARED = ("title", "version", "source", "forward")  # by the presets of one library
HEADER = "# Written by `make presets` from tools/presets.yaml; edit that table instead.\n"


class Preset(NamedTuple):
    """Names the surrogate of another library at its default parameters."""

    library: str
    name: str
    title: str  # the library as its authors write it
    version: str
    source: str
    forward: str  # where it spikes
    calls: str  # as written in that library, defaults included
    canonical: str  # our entry
    scale: float  # makes the slope of `raw` the library's
    formula: str
    conversion: str
    parameters: dict[str, float] = {}  # noqa: RUF012 - never changed; a NamedTuple's default
    own: dict[str, float] = {}  # noqa: RUF012 - the library's parameters of other names, at their defaults
    by: dict[str, str] = {}  # noqa: RUF012 - ours as formulas of them
    bug: str | None = None
    legacy: bool = False  # kept to reproduce what a mistake computes
    line: str | None = None
    meta: dict[str, Any] = {}  # noqa: RUF012 - what differs from the canonical entry's meta

    @property
    def entry(self) -> str:
        return f"{self.library}/{self.name}"

    @property
    def path(self) -> Path:
        return conf_dir() / GROUP / self.library / f"{self.name}.yaml"


def read_libraries() -> dict[str, Any]:
    """Read for each library what its presets share, its presets, and what is left out and why."""
    loaded: dict[str, Any] = yaml.load(TABLE.read_text(encoding="utf-8"), Loader=catalogue.SafeLoader)  # noqa: S506
    return loaded


def read_presets() -> list[Preset]:
    return [
        Preset(**{"library": library, "name": name, **shared, **row})
        for library, node in read_libraries().items()
        for shared in [{key: node[key] for key in SHARED if key in node}]
        for name, row in node["presets"].items()
    ]


def yaml_tree(preset: Preset, canonical: catalogue.Entry) -> dict[str, Any]:
    """Return the YAML tree of a preset: our surrogate's parameters, by values or formulas of the library's."""
    shared = {"normalisation": "raw", "scale": preset.scale}
    if "width_fwhm" in canonical.parameters:
        shared["width_fwhm"] = "${width_fwhm}"
    if preset.parameters.keys() != canonical.parameters.keys() - shared.keys():
        raise InputError(
            f"preset {preset.entry}: parameters {sorted(preset.parameters)} are given, "
            f"{sorted(canonical.parameters.keys() - shared.keys())} are those of {preset.canonical}"
        )
    unknown = preset.by.keys() - canonical.parameters.keys()
    if unknown or preset.own.keys() & canonical.parameters.keys():
        raise InputError(f"preset {preset.entry}: {sorted(unknown)} of `by` are not ours, or a name of `own` is")
    values = {**preset.parameters, **shared}
    values |= {key: formula_reference(text, preset.own) for key, text in preset.by.items()}
    # A parameter that our surrogate leaves to a given width is left to it here, too.
    parameters = {
        key: f"${{unless:${{.width_fwhm}},{values[key]}}}" if "${unless:" in str(default) else values[key]
        for key, default in canonical.parameters.items()
    }
    return {"_target_": canonical.target, **preset.own, **parameters, "meta": meta(preset, canonical)}


def meta(preset: Preset, canonical: catalogue.Entry) -> dict[str, Any]:
    """Write the description of a preset: that of our surrogate, and how the library's differs from it."""
    conversion = preset.conversion
    if preset.forward != "u > 0":
        conversion += f"; spikes there: {preset.forward}"
        conversion += "" if "output" in canonical.meta else ", here: u > 0"
    described = {
        **canonical.meta,
        "line": preset.line or f"As {preset.title} {preset.version} computes {preset.calls}.",
        "formula": preset.formula,
        "aliases": [],
        "sources": [preset.source],
        **preset.meta,
        "library": preset.title,
        "version": preset.version,
        "calls": preset.calls,
        "canonical": preset.canonical,
        "conversion": conversion,
    }
    if preset.own:
        described["own"] = list(preset.own)
    if preset.bug:
        described["bug"] = preset.bug
    if preset.legacy:
        described["legacy"] = True
    return described


def texts() -> dict[Path, str]:
    """Map the path of each preset's file to its content."""
    folder = conf_dir() / GROUP
    canonical = {path.stem: catalogue.read_entry(GROUP, path.stem, path) for path in folder.glob("*.yaml")}
    by_path = {}
    for preset in read_presets():
        if preset.canonical not in canonical:
            raise InputError(f"preset {preset.entry}: {suggest(preset.canonical, canonical)}")
        content = yaml_tree(preset, canonical[preset.canonical])
        by_path[preset.path] = HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)
    return by_path


def preset_files() -> list[Path]:
    """List the files of presets that are in conf/."""
    return sorted((conf_dir() / GROUP).glob("*/*.yaml"))


def write() -> None:
    """Write all presets' files, and remove those of presets that are gone."""
    contents = texts()
    for path in set(preset_files()) - contents.keys():
        path.unlink()
    for path, content in contents.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write()
