"""Text of the catalogue's pages: one per surrogate, an index, and one by library."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sgbench.composition.catalogue import Entry
from sgbench.composition.selection import canonical_name, library_of
from sgbench.inspection.surrogate_facts import facts, interval, listed_or_none
from sgbench.surrogates.base import Surrogate
from sgbench.tables import number_text
from tools.catalogue_pages.docstrings import Described

MARK = "<!-- Written by each build of the site from conf/surrogate and the classes; edit those instead. -->"
OUTPUTS = {"binary": "0 or 1", "signed": "-1, 0 or 1", "integer": "whole numbers", "real": "real numbers"}


class Subject(NamedTuple):
    """What a page is about."""

    entry: Entry
    surrogate: Surrogate
    defaults: Mapping[str, Any]
    described: Described
    engines: str
    presets: Sequence[Entry]


def opening(entry: Entry, mark: str, links: str) -> list[str]:
    """What the page of any entry begins with."""
    aliases = ", ".join(map(str, entry.meta.get("aliases") or []))
    return [
        mark,
        f"# {entry.name}",
        str(entry.line),
        f"`{entry.group}={entry.name}`, family {entry.meta.get('family', 'none')}"
        + (f"; also called {aliases}" if aliases else "")
        + f". {links}",
        f"```text\n{entry.meta.get('formula', '')}\n```",
    ]


def closing(entry: Entry, described: Described) -> list[str]:
    """What it ends with."""
    return [
        "## Definition",
        described.prose or "See the class.",
        f"Class: `{entry.target}`",
        "## Sources",
        "\n".join(f"- {source}" for source in entry.meta.get("sources") or ["none"]),
    ]


def surrogate_page(subject: Subject) -> str:
    entry = subject.entry
    parts = [
        *opening(entry, MARK, "[All surrogates](../surrogates.md), [by library](../libraries.md)"),
        f"![slope and primitive of {entry.name}]({entry.name}.svg)",
        "## Parameters",
        _parameter_table(subject),
        "## Properties at these defaults",
        _property_table(subject),
        "## In other libraries",
        preset_table(subject.presets) if subject.presets else "None of those that were read has it.",
        *closing(entry, subject.described),
    ]
    return "\n\n".join(parts) + "\n"


def _parameter_table(subject: Subject) -> str:
    meanings = {
        "normalisation": "what has the value 1 before scaling: the peak (peak1), the area (area1) or nothing (raw)",
        "scale": "factor on the slope [1]",
        "width_fwhm": "full width at half maximum [threshold units], in place of the native parameter",
    }
    rows = []
    for name, value in subject.defaults.items():
        own = subject.described.parameters.get(name, "")
        meaning = own.replace("see `Surrogate`", meanings[name]) if name in meanings and own else own
        rows.append((f"`{name}`", f"`{_word(value)}`", meaning or meanings.get(name, "")))
    return table(("parameter", "default", "meaning"), rows)


def _property_table(subject: Subject) -> str:
    surrogate = subject.surrogate
    found = facts(surrogate)
    rows = [
        ("peak", number_text(found["peak"], 4)),
        ("area", number_text(found["area"], 4)),
        ("width (full, at half maximum)", number_text(found["width"], 4)),
        ("width at a tenth of the peak", number_text(found["width_10"], 4)),
        ("support", interval(surrogate.support)),
        ("corners and jumps at u =", listed_or_none(found["kinks"], 4)),
        ("primitive", "yes, so a steepness can learn" if found["primitive"] else "none, so no steepness can learn"),
        ("random", "yes" if surrogate.stochastic else "no"),
        ("elementwise", "yes" if surrogate.elementwise else "no"),
        ("spikes", OUTPUTS[surrogate.output]),
        ("engines", subject.engines),
    ]
    return table(("property", "value"), rows) + "\n\nu, widths and supports in threshold units."


def preset_table(presets: Iterable[Entry]) -> str:
    rows = [
        (f"{one.meta['library']} {one.meta.get('version', '')}", f"`{_text(one, 'calls')}`", said(one), *_notes(one))
        for one in presets
    ]
    return table(("library", "its call", "here", "conversion", "known bug"), rows)


def said(entry: Entry) -> str:
    return f"`surrogate={entry.name}`"


def _notes(entry: Entry) -> tuple[str, str]:
    bug = _text(entry, "bug")
    legacy = "kept there for older code" if entry.meta.get("legacy") else ""
    return _text(entry, "conversion"), "; ".join(filter(None, (bug, legacy)))


def index_page(subjects: Iterable[Subject]) -> str:
    rows = [
        (
            f"[{one.entry.name}](surrogate/{one.entry.name}.md)",
            one.entry.line,
            f"`{_text(one.entry, 'formula')}`",
            interval(one.surrogate.support),
            ", ".join(f"`{preset.name}`" for preset in one.presets),
        )
        for one in subjects
    ]
    head = ("surrogate", "what it is", "formula", "support", "presets of libraries")
    text = (
        "u = membrane potential minus threshold. A formula is the slope before normalisation; each page has its "
        "picture, numbers and sources. [By library](libraries.md). In the terminal: `sgbench list surrogate`, "
        "`sgbench show surrogate/atan --plot atan.png`, `sgbench compare surrogate/atan surrogate/triangle`."
    )
    return "\n\n".join([MARK, "# Surrogates", text, table(head, rows)]) + "\n"


def library_page(known: Mapping[str, Entry], presets: Iterable[Entry]) -> str:
    by_library: dict[str, list[Entry]] = {}
    for preset in presets:
        by_library.setdefault(library_of(preset), []).append(preset)
    text = (
        "What other libraries call a surrogate, at their defaults, and the word that gives the same slope here: "
        "`sgbench run surrogate=snntorch/atan`. A preset with names of its own takes them, and ours follow by its "
        "library's formulas: `sgbench run surrogate=stork/SuperSpike surrogate.beta=10`. [All "
        "surrogates](surrogates.md)"
    )
    parts = [MARK, "# Surrogates by library", text]
    for folder in sorted(by_library, key=str.casefold):
        found = by_library[folder]
        versions = sorted({f"{one.meta['library']} {one.meta.get('version', '')}".strip() for one in found})
        head = ("its call", "here", "its own names", "formula of", "conversion", "known bug")
        rows = [
            (f"`{_text(one, 'calls')}`", said(one), ", ".join(one.own), _link(one, known), *_notes(one))
            for one in found
        ]
        parts += [f"## {', '.join(versions)}", table(head, rows)]
    return "\n\n".join(parts) + "\n"


def _link(preset: Entry, known: Mapping[str, Entry]) -> str:
    name = canonical_name(preset)
    return f"[{name}](surrogate/{name}.md)" if name in known else name


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|") if text != "``" else ""


def _text(entry: Entry, key: str) -> str:
    return " ".join(str(entry.meta.get(key) or "").split())


def _word(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
