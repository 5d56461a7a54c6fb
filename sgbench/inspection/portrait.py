"""Draws catalogue entries: the two curves of a surrogate, the responses of a neuron."""

from collections.abc import Sequence
from pathlib import Path

from sgbench.composition.catalogue import Entry
from sgbench.inspection.neuron_picture import neuron_figure, neuron_picture
from sgbench.inspection.surrogate_picture import surrogate_figure, surrogate_picture
from sgbench.plots import style
from sgbench.training.creation import create


def draw(entry: Entry, path: Path, *, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()) -> None:
    options = {"features": 1} if entry.group == "neuron" else {}
    module = create(f"{entry.group}/{entry.name}", config_dirs=config_dirs, allow_targets=allow_targets, **options)
    if entry.group == "surrogate":
        curves = surrogate_picture(entry.name, module)
        style.save(lambda: surrogate_figure(curves), path)
    else:
        responses = neuron_picture(entry.name, module, formula_of(entry))
        style.save(lambda: neuron_figure(responses), path)


def formula_of(entry: Entry) -> str:
    """Return the formula of an entry as a line of matplotlib's mathematics; empty without one."""
    return str(entry.meta.get("formula", ""))
