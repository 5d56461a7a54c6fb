"""Draws catalogue entries: the two curves of a surrogate, the responses of a neuron."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from sgbench.composition.catalogue import Entry
from sgbench.errors import InputError
from sgbench.inspection.neuron_picture import neuron_figure, neuron_picture
from sgbench.inspection.surrogate_picture import surrogate_figure, surrogate_picture
from sgbench.training.creation import create

PLOTTED = ("surrogate", "neuron")
"""Groups of entries that have a picture."""


def portrait(entry: Entry, *, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()) -> Figure:
    if entry.group not in PLOTTED:
        raise InputError(f"{entry.group}/{entry.name}: no picture; there are some of {' and '.join(PLOTTED)}")
    options = {"features": 1} if entry.group == "neuron" else {}
    module = create(f"{entry.group}/{entry.name}", config_dirs=config_dirs, allow_targets=allow_targets, **options)
    if entry.group == "surrogate":
        return surrogate_figure(surrogate_picture(entry.name, module))
    return neuron_figure(neuron_picture(entry.name, module, formula_of(entry)))


def formula_of(entry: Entry) -> str:
    """Return the formula of an entry as a line of matplotlib's mathematics; empty without one."""
    return str(entry.meta.get("formula", ""))
