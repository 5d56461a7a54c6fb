"""The catalogue's pages about neurons: one each, and an index."""

import importlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf

from fastspiking import scan, snntorch
from registry.site.entries import default_text
from sgbench.composition.catalogue import Entry
from sgbench.composition.compose import compose
from sgbench.errors import InputError, SgbenchError, one_printable_line
from sgbench.networks.base import DenseLayer
from sgbench.neurons.base import Neuron
from sgbench.surrogates.base import Surrogate
from sgbench.training.build import construct
from tools.catalogue_pages.docstrings import Described, described
from tools.catalogue_pages.page_text import OUTPUTS, closing, opening, table

MARK = "<!-- Written by each build of the site from conf/neuron and the classes; edit those instead. -->"


class Subject(NamedTuple):
    """What a page is about."""

    entry: Entry
    neuron: Neuron
    described: Described
    engines: str


def subjects(known: Mapping[str, Entry]) -> list[Subject]:
    """Each entry with what a run would get of it."""
    spec = compose([])
    protocol = {"dt_s": spec.method.protocol.dt_s, "steps": spec.method.protocol.steps}
    found = []
    for entry in known.values():
        surrogate = construct("surrogate", spec.targets["surrogate"], spec.method.parameters["surrogate"])
        found.append(_subject(entry, protocol, surrogate))
    return found


def _subject(entry: Entry, protocol: dict[str, Any], surrogate: Surrogate) -> Subject:
    tree = OmegaConf.create({"protocol": protocol, "neuron": entry.parameters})
    values: Any = OmegaConf.to_container(tree, resolve=True)
    target = str(entry.target)
    drawn = torch.Generator().manual_seed(0)
    try:
        neuron = construct("neuron", target, values["neuron"], surrogate=surrogate, features=1, generator=drawn).float()
    except SgbenchError as error:
        raise InputError(f"{entry.path}: {one_printable_line(error)}") from error
    module, _, name = target.rpartition(".")
    return Subject(entry, neuron, described(getattr(importlib.import_module(module), name)), _engines(neuron))


def _engines(neuron: Neuron) -> str:
    layer, cpu = DenseLayer("hidden", 1, 1, neuron), torch.device("cpu")
    why = scan.refusal(layer, cpu)
    if why is not None:
        return f"reference; not fused or scan, because {why}"
    theirs = snntorch.refusal(layer, cpu)
    return "fused, scan, reference" + (", snntorch" if theirs is None else f"; not snntorch: {theirs}")


def neuron_page(subject: Subject) -> str:
    entry = subject.entry
    parts = [
        *opening(entry, MARK, "[All neurons](../neurons.md)"),
        f"![responses of {entry.name}]({entry.name}.svg)",
        "Left and middle: a current and what it does to one neuron at the defaults, at the least height under "
        "which it fires four times (once, where it cannot more often). Right: what it sends per step under "
        "constant currents.",
        "## Parameters",
        _parameter_table(subject),
        "dt is the protocol's time step. A decay, threshold or other number that may be learnt may also be a pair, "
        "spread from the layer's first neuron to its last.",
        "## Properties at these defaults",
        _property_table(subject),
        *closing(entry, subject.described),
    ]
    return "\n\n".join(parts) + "\n"


def _parameter_table(subject: Subject) -> str:
    rows = [
        (f"`{name}`", f"`{default_text(value)}`", subject.described.parameters.get(name, ""))
        for name, value in subject.entry.parameters.items()
    ]
    return table(("parameter", "default", "meaning"), rows)


def _property_table(subject: Subject) -> str:
    neuron, operations = subject.neuron, subject.neuron.operations
    state = neuron.initial_state(torch.zeros(1, neuron.currents))
    learns = sorted({name.partition(".")[0] for name, _ in neuron.named_parameters()})
    rows = [
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
    return table(("property", "value"), rows)


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
    parts = [MARK, "# Neurons", text]
    for family in sorted(families):
        rows = [
            (
                f"[{one.entry.name}](neuron/{one.entry.name}.md)",
                str(one.entry.line),
                f"`{one.entry.meta.get('formula', '')}`",
                OUTPUTS[one.neuron.sends],
                "yes" if one.engines.startswith("fused") else "no",
            )
            for one in families[family]
        ]
        parts += [f"## {family.replace('_', ' ').capitalize()}", table(head, rows)]
    return "\n\n".join(parts) + "\n"
