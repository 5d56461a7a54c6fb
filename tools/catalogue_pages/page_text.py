"""Text of the catalogue's pages: one per surrogate and neuron, an index of each, and one by library."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from registry.site.entries import default_text
from sgbench.composition.catalogue import Entry
from sgbench.composition.selection import canonical_name, library_of
from sgbench.inspection.surrogate_facts import facts, interval, listed_or_none
from sgbench.neurons.base import Neuron
from sgbench.surrogates.base import Surrogate
from sgbench.tables import number_text
from tools.catalogue_pages.docstrings import Described

MARK = "<!-- Written by each build of the site from conf/{} and the classes; edit those instead. -->"
LINKS = {
    "surrogate": "[All surrogates](../surrogates.md), [by library](../libraries.md)",
    "neuron": "[All neurons](../neurons.md)",
}
PICTURED = (
    "Left and middle: a current and what it does to one neuron at the defaults, at the least height under "
    "which it fires four times (once, where it cannot more often). Right: what it sends per step under "
    "constant currents."
)
DECAYS = (
    "dt is the protocol's time step. A decay, threshold or other number that may be learnt may also be a pair, "
    "spread from the layer's first neuron to its last."
)
OUTPUTS = {"binary": "0 or 1", "signed": "-1, 0 or 1", "integer": "whole numbers", "real": "real numbers"}


class Subject(NamedTuple):
    """What a page is about."""

    entry: Entry
    made: Surrogate | Neuron
    defaults: Mapping[str, Any]
    described: Described
    engines: str
    presets: Sequence[Entry] = ()


def entry_page(subject: Subject) -> str:
    entry, made, group = subject.entry, subject.made, subject.entry.group
    aliases = ", ".join(map(str, entry.meta.get("aliases") or []))
    parts = [
        MARK.format(group),
        f"# {entry.name}",
        str(entry.line),
        f"`{group}={entry.name}`, family {entry.meta.get('family', 'none')}"
        + (f"; also called {aliases}" if aliases else "")
        + f". {LINKS[group]}",
        f"```text\n{entry.meta.get('formula', '')}\n```",
        f"![{'responses' if isinstance(made, Neuron) else 'slope and primitive'} of {entry.name}]({entry.name}.svg)",
        *([PICTURED] if isinstance(made, Neuron) else []),
        "## Parameters",
        table(("parameter", "default", "meaning"), _parameters(subject)),
        *([DECAYS] if isinstance(made, Neuron) else []),
        "## Properties at these defaults",
    ]
    if isinstance(made, Neuron):
        parts.append(table(("property", "value"), _neuron_properties(subject, made)))
    else:
        rows = _surrogate_properties(subject, made)
        parts += [
            table(("property", "value"), rows) + "\n\nu, widths and supports in threshold units.",
            "## In other libraries",
            preset_table(subject.presets) if subject.presets else "None of those that were read has it.",
        ]
    parts += [
        "## Definition",
        subject.described.prose or "See the class.",
        f"Class: `{entry.target}`",
        "## Sources",
        "\n".join(f"- {source}" for source in entry.meta.get("sources") or ["none"]),
    ]
    return "\n\n".join(parts) + "\n"


def _parameters(subject: Subject) -> Iterable[Sequence[str]]:
    meanings = {
        "normalisation": "what has the value 1 before scaling: the peak (peak1), the area (area1) or nothing (raw)",
        "scale": "factor on the slope [1]",
        "width_fwhm": "full width at half maximum [threshold units], in place of the native parameter",
    }
    for name, value in subject.defaults.items():
        own = subject.described.parameters.get(name, "")
        if isinstance(subject.made, Surrogate):
            own = own.replace("see `Surrogate`", meanings.get(name, "see `Surrogate`")) or meanings.get(name, "")
        text = str(value).lower() if isinstance(value, bool) else default_text(value)
        yield f"`{name}`", f"`{text}`", own


def _surrogate_properties(subject: Subject, surrogate: Surrogate) -> list[tuple[str, str]]:
    found = facts(surrogate)
    return [
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


def _neuron_properties(subject: Subject, neuron: Neuron) -> list[tuple[str, str]]:
    operations = neuron.operations
    state = neuron.initial_state(torch.zeros(1, neuron.currents))
    learns = sorted({name.partition(".")[0] for name, _ in neuron.named_parameters()})
    return [
        ("sends", OUTPUTS[neuron.sends]),
        ("state", ", ".join(state._fields)),
        ("currents into a neuron", str(neuron.currents)),
        ("learns at these defaults", ", ".join(learns) or "nothing"),
        ("random", "yes" if subject.entry.meta.get("stochastic") else "no"),
        ("engines", subject.engines),
        (
            "arithmetic of a neuron in a step",
            f"products {operations.multiplications}, sums {operations.additions}, comparisons "
            f"{operations.comparisons}, functions {operations.functions}; words of state {operations.state_words}",
        ),
    ]


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


def surrogates_page(subjects: Iterable[Subject]) -> str:
    rows = [
        (
            f"[{one.entry.name}](surrogate/{one.entry.name}.md)",
            one.entry.line,
            f"`{_text(one.entry, 'formula')}`",
            interval(one.made.support),
            ", ".join(f"`{preset.name}`" for preset in one.presets),
        )
        for one in subjects
        if isinstance(one.made, Surrogate)
    ]
    head = ("surrogate", "what it is", "formula", "support", "presets of libraries")
    text = (
        "u = membrane potential minus threshold. A formula is the slope before normalisation; each page has its "
        "picture, numbers and sources. [By library](libraries.md). In the terminal: `sgbench list surrogate`, "
        "`sgbench show surrogate/atan --plot atan.png`, `sgbench compare surrogate/atan surrogate/triangle`."
    )
    return "\n\n".join([MARK.format("surrogate"), "# Surrogates", text, table(head, rows)]) + "\n"


def neurons_page(found: Iterable[Subject]) -> str:
    families: dict[str, list[Subject]] = {}
    for one in found:
        families.setdefault(str(one.entry.meta.get("family", "none")), []).append(one)
    head = ("neuron", "what it is", "formula", "sends", "fast engines")
    text = (
        "I = current, u = membrane potential before its reset, s = what it sends. Each page has its picture, "
        "parameters, definition and sources. Recurrence is the network's: `network.recurrence=all_to_all`. In the "
        "terminal: `sgbench list neuron`, `--family adaptive`, `--linear` for those that the fast engines run, "
        "`sgbench show neuron/adlif --plot adlif.png`."
    )
    parts = [MARK.format("neuron"), "# Neurons", text]
    for family in sorted(families):
        rows = [
            (
                f"[{one.entry.name}](neuron/{one.entry.name}.md)",
                str(one.entry.line),
                f"`{one.entry.meta.get('formula', '')}`",
                OUTPUTS[one.made.sends],
                "yes" if one.engines.startswith("fused") else "no",
            )
            for one in families[family]
            if isinstance(one.made, Neuron)
        ]
        parts += [f"## {family.replace('_', ' ').capitalize()}", table(head, rows)]
    return "\n\n".join(parts) + "\n"


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
    parts = [MARK.format("surrogate"), "# Surrogates by library", text]
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
