"""What the site and the documentation both tell of a surrogate or neuron: facts from its file, and tables of them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sgbench.composition.catalogue import Entry
from sgbench.composition.selection import canonical_name, is_preset
from sgbench.tables import NONE
from sgbench.tables.table import Cell, Table, texts

REFERENCES: dict[str, Callable[[re.Match[str]], str]] = {
    r"\$\{width_fwhm\}": lambda _: "null",
    r"\$\{unless:\$\{\.(\w+)\},(.*)\}": lambda match: f"{match[2]}, unless {match[1]} is given",
    r"\$\{decay:([\d.]+),\$\{protocol\.dt_s\}\}": lambda match: f"exp(-dt / {1000 * float(match[1]):g} ms)",
    r"\$\{protocol\.dt_s\}": lambda _: "dt",
    r"\$\{protocol\.steps\}": lambda _: "steps",
}
"""Maps patterns of interpolations in an entry's file to functions that write them as text."""
SYMBOLS = {
    "surrogate": "u is the membrane potential minus the threshold; a formula is the slope before normalisation.",
    "neuron": "I is the current, u the membrane potential before its reset, s what the neuron sends.",
}
CURVES = {"surrogate": "slope and primitive", "neuron": "responses to currents"}
"""Maps each group to the curves in the pictures of its entries."""


@dataclass(frozen=True)
class EntryFacts:
    """Holds the facts of a surrogate or neuron, as its file states them, and its presets of other libraries."""

    entry: Entry
    family: str
    aliases: tuple[str, ...]
    formula: str  # empty if the file states none
    sources: tuple[str, ...]
    parameters: tuple[tuple[Cell, Cell], ...]  # name and default of each
    presets: Table | None

    def cells(self, link: str) -> tuple[Cell, Cell, Cell]:
        """Return the first cells of its row in a list of entries: its name with a link, what it is, its formula."""
        formula = Cell(self.formula or NONE, is_code=True)
        return Cell(self.entry.name, link=link, is_code=True), Cell(self.entry.line), formula


def facts_of(entry: Entry, presets: Sequence[Entry] = ()) -> EntryFacts:
    """Collect what the page of an entry shows: family, formula, sources, parameters and presets."""
    meta = entry.meta
    return EntryFacts(
        entry=entry,
        family=str(meta.get("family") or NONE).replace("_", " "),
        aliases=tuple(map(str, meta.get("aliases") or [])),
        formula=str(meta.get("formula") or ""),
        sources=tuple(map(str, meta.get("sources") or [])),
        parameters=tuple(
            (Cell(name, is_code=True), Cell(_default_text(value), is_code=True))
            for name, value in entry.parameters.items()
        ),
        presets=_presets_table(presets) if presets else None,
    )


def presets_by_entry(known: Mapping[str, Entry]) -> dict[str, list[Entry]]:
    """Map the name of each entry with presets, which give it the parameters of another library, to these presets."""
    presets: dict[str, list[Entry]] = {}
    for preset in filter(is_preset, known.values()):
        presets.setdefault(canonical_name(preset), []).append(preset)
    return presets


def preset_cells(preset: Entry) -> tuple[Cell, Cell, Cell, Cell]:
    """Return the library's call of a preset, the word that chooses it here, its conversion, and known bugs."""
    legacy = "kept there for older code" if preset.meta.get("legacy") else ""
    remarks = "; ".join(filter(None, (str(preset.meta.get("bug") or ""), legacy)))
    return (
        Cell(str(preset.meta.get("calls") or NONE), is_code=True),
        Cell(f"{preset.group}={preset.name}", is_code=True),
        Cell(str(preset.meta.get("conversion") or NONE)),
        Cell(remarks or NONE),
    )


def _presets_table(presets: Iterable[Entry]) -> Table:
    rows = tuple((Cell(library_version(preset)), *preset_cells(preset)) for preset in presets)
    columns = texts("library", "its call", "here", "conversion", "known bug")
    return Table("The same slope in other libraries", columns, rows)


def library_version(preset: Entry) -> str:
    return f"{preset.meta['library']} {preset.meta.get('version', '')}".strip()


def _default_text(value: object) -> str:
    """Write a default of an entry's file as in YAML, with known interpolations spelled out.

    >>> [_default_text(value) for value in (None, True, "${width_fwhm}", "${decay:0.010,${protocol.dt_s}}")]
    ['null', 'true', 'null', 'exp(-dt / 10 ms)']
    >>> _default_text("${unless:${.width_fwhm},2.0}"), _default_text("${protocol.dt_s}")
    ('2.0, unless width_fwhm is given', 'dt')
    """
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    for pattern, write in REFERENCES.items():
        match = re.fullmatch(pattern, text)
        if match is not None:
            return write(match)
    return text
