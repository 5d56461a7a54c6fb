"""Text of the catalogue's pages: one per surrogate and neuron, an index of each, and one by library."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch

from registry.site.entry_facts import CURVES, SYMBOLS, EntryFacts, library_version, preset_cells
from sgbench.composition.catalogue import Entry
from sgbench.composition.selection import canonical_name, is_preset, library_of
from sgbench.neurons.base import Neuron
from sgbench.plots.entries.surrogate_curves import facts, interval, listed_or_none
from sgbench.surrogates.base import Surrogate
from sgbench.tables import NONE, number_text
from sgbench.tables.table import Cell, Table, texts
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
    """Holds what the page of a surrogate or a neuron shows."""

    entry: Entry
    facts: EntryFacts
    made: Surrogate | Neuron
    described: Described
    engines: str
    presets: Sequence[Entry] = ()


def entry_page(subject: Subject) -> str:
    """Write the page of one surrogate or neuron in Markdown."""
    facts, entry, made = subject.facts, subject.entry, subject.made
    parts = [
        MARK.format(entry.group),
        f"# {entry.name}",
        entry.line,
        f"`{entry.group}={entry.name}`, family {facts.family}"
        + (f"; also called {', '.join(facts.aliases)}" if facts.aliases else "")
        + f". {LINKS[entry.group]}",
        f"```text\n{facts.formula}\n```",
        f"![{CURVES[entry.group]} of {entry.name}]({entry.name}.svg)",
        *([PICTURED] if isinstance(made, Neuron) else []),
        "## Parameters",
        markdown_of(Table("", texts("parameter", "default", "meaning"), _parameter_rows(subject))),
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
            markdown_of(facts.presets) if facts.presets else "None of those that were read has it.",
        ]
    parts += [
        "## Definition",
        subject.described.prose or "See the class.",
        f"Class: `{entry.target}`",
        "## Sources",
        "\n".join(f"- {source}" for source in facts.sources or ["none"]),
    ]
    return "\n\n".join(parts) + "\n"


def _parameter_rows(subject: Subject) -> tuple[tuple[Cell, ...], ...]:
    """Return name, default and meaning of each parameter; those of every surrogate are explained in one place."""
    shared = {
        "normalisation": "what has the value 1 before scaling: the peak (peak1), the area (area1) or nothing (raw)",
        "scale": "factor on the slope [1]",
        "width_fwhm": "full width at half maximum [threshold units], in place of the native parameter",
    }
    rows = []
    for name, default in subject.facts.parameters:
        meaning = subject.described.parameters.get(name.text, "")
        if isinstance(subject.made, Surrogate) and name.text in shared:
            meaning = meaning.replace("see `Surrogate`", shared[name.text]) or shared[name.text]
        rows.append((name, default, Cell(meaning)))
    return tuple(rows)


def _surrogate_properties(subject: Subject, surrogate: Surrogate) -> list[tuple[str, str]]:
    """List pairs of a property and its value, as text."""
    values = facts(surrogate)
    return [
        ("peak", number_text(values["peak"], 4)),
        ("area", number_text(values["area"], 4)),
        ("width (full, at half maximum)", number_text(values["width"], 4)),
        ("width at a tenth of the peak", number_text(values["width_10"], 4)),
        ("support", interval(surrogate.support)),
        ("corners and jumps at u =", listed_or_none(values["kinks"], 4)),
        ("primitive", "yes, so a steepness can learn" if values["primitive"] else "none, so no steepness can learn"),
        ("random", "yes" if surrogate.stochastic else "no"),
        ("elementwise", "yes" if surrogate.elementwise else "no"),
        ("spikes", OUTPUTS[surrogate.output]),
        ("engines", subject.engines),
    ]


def _neuron_properties(subject: Subject, neuron: Neuron) -> list[tuple[str, str]]:
    """List pairs of a property and its value, as text."""
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


def surrogates_page(subjects: Iterable[Subject]) -> str:
    """Write the list of all surrogates."""
    rows = [
        (
            *subject.facts.cells(f"surrogate/{subject.entry.name}.md"),
            Cell(interval(subject.made.support)),
            Cell(", ".join(f"`{preset.name}`" for preset in subject.presets)),
        )
        for subject in subjects
        if isinstance(subject.made, Surrogate)
    ]
    columns = texts("surrogate", "what it is", "formula", "support", "presets of libraries")
    text = (
        f"{SYMBOLS['surrogate']} Each page has its "
        "picture, numbers and sources. [By library](libraries.md). In the terminal: `sgbench list surrogate`, "
        "`sgbench show surrogate/atan --plot atan.png`, `sgbench compare surrogate/atan surrogate/triangle`."
    )
    return (
        "\n\n".join([MARK.format("surrogate"), "# Surrogates", text, markdown_of(Table("", columns, tuple(rows)))])
        + "\n"
    )


def neurons_page(subjects: Iterable[Subject]) -> str:
    """Write the list of all neurons, a table for each family."""
    text = (
        f"{SYMBOLS['neuron']} Each page has its picture, "
        "parameters, definition and sources. Recurrence is the network's: `network.recurrence=all_to_all`. In the "
        "terminal: `sgbench list neuron`, `--family adaptive`, `--linear` for those that the fast engines run, "
        "`sgbench show neuron/adlif --plot adlif.png`."
    )
    families: dict[str, list[tuple[Cell, ...]]] = {}
    for subject in subjects:
        if isinstance(subject.made, Neuron):
            is_fast = subject.engines.startswith("fused")
            cells = subject.facts.cells(f"neuron/{subject.entry.name}.md")
            row = (*cells, Cell(OUTPUTS[subject.made.sends]), Cell("yes" if is_fast else "no"))
            families.setdefault(subject.facts.family, []).append(row)
    columns = texts("neuron", "what it is", "formula", "sends", "fast engines")
    parts = [MARK.format("neuron"), "# Neurons", text]
    for family, rows in sorted(families.items()):
        parts += [f"## {family.capitalize()}", markdown_of(Table(family, columns, tuple(rows)))]
    return "\n\n".join(parts) + "\n"


def library_page(known: Mapping[str, Entry]) -> str:
    """Write the list of the presets of each library, with the surrogate that each is."""
    by_library: dict[str, list[Entry]] = {}
    for preset in filter(is_preset, known.values()):
        by_library.setdefault(library_of(preset), []).append(preset)
    text = (
        "What other libraries call a surrogate, at their defaults, and the word that gives the same slope here: "
        "`sgbench run surrogate=snntorch/atan`. A preset with names of its own takes them, and ours follow by its "
        "library's formulas: `sgbench run surrogate=stork/SuperSpike surrogate.beta=10`. [All "
        "surrogates](surrogates.md)"
    )
    columns = texts("its call", "here", "its own names", "formula of", "conversion", "known bug")
    parts = [MARK.format("surrogate"), "# Surrogates by library", text]
    for library in sorted(by_library, key=str.casefold):
        rows = []
        for preset in by_library[library]:
            call, word, *remarks = preset_cells(preset)
            name = canonical_name(preset)
            formula = Cell(name, link=f"surrogate/{name}.md" if name in known else None)
            rows.append((call, word, Cell(", ".join(preset.own)), formula, *remarks))
        versions = sorted({library_version(preset) for preset in by_library[library]})
        parts += [f"## {', '.join(versions)}", markdown_of(Table(library, columns, tuple(rows)))]
    return "\n\n".join(parts) + "\n"


def markdown_of(content: Table) -> str:
    """Write a table of our own texts, which unlike those of records may be Markdown themselves."""
    rows = ([_linked(cell) for cell in row] for row in content.rows)
    return table([column.title for column in content.columns], rows)


def _linked(cell: Cell) -> str:
    text = f"`{cell.text}`" if cell.is_code and cell.text != NONE else cell.text
    return text if cell.link is None else f"[{text}]({cell.link})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table; a bar inside a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
