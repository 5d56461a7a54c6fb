"""Pictures of catalogue entries: the two curves of a surrogate, the response of a neuron."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

from sgbench.catalogue import Entry
from sgbench.cli.surrogate_portrait import BLUE, GREY, ORANGE, surrogate_figure
from sgbench.creation import create
from sgbench.errors import StorageError
from sgbench.neurons.base import Neuron

STYLE: Any = {
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 13,
    "svg.hashsalt": "sgbench",
}


def draw(
    entry: Entry, path: Path, *, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()
) -> None:
    """Write the picture of a surrogate or a neuron.

    Args:
        entry: of the catalogue or of one's own.
        path: of the file.
        config_dirs: folders with entries of one's own.
        allow_targets: exact names of classes outside the catalogue that may be imported.

    Raises:
        StorageError: the file cannot be written.
    """
    with mpl.rc_context(STYLE):
        made = create(f"{entry.group}/{entry.name}", config_dirs=config_dirs, allow_targets=allow_targets)
        figure = surrogate_figure(entry, made) if entry.group == "surrogate" else neuron_figure(entry, made)
        save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a picture: the same bytes for the same picture.

    Raises:
        StorageError: the file cannot be written.
    """
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    try:
        figure.savefig(path, dpi=120, metadata=undated)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error


def neuron_figure(entry: Entry, neuron: Neuron) -> Figure:
    """Response to a step of current that would charge the membrane to 1.6 thresholds."""
    current = torch.zeros(70, 1, 1)
    current[10:45] = 1.6 / _gain(neuron)
    potential, spikes = _respond(neuron, current)
    times = list(range(len(potential)))
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(1, 3))
    top.step(times, current[:, 0, 0], where="mid", color=GREY, linewidth=2)
    top.set(ylabel="current", ylim=(0, None))
    figure.suptitle(f"{entry.name}: {entry.meta.get('formula', '')}", fontsize=13)
    bottom.plot(times, potential, color=BLUE, linewidth=2, label="membrane potential")
    if neuron.output == "binary":
        bottom.axhline(1.0, color=GREY, linestyle="--", linewidth=1.2, label="threshold")
        fired = [time for time, spike in zip(times, spikes, strict=True) if spike]
        height = 1.08 * max(*potential, 1.0)
        bottom.scatter(fired, [height] * len(fired), marker="|", s=160, color=ORANGE, label="spikes")
    bottom.set(xlabel="time step", ylabel="potential")
    figure.legend(*bottom.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=3)
    return figure


def _gain(neuron: Neuron) -> float:
    """Potential per unit of constant current, measured far below threshold."""
    small = 1e-4
    return _respond(neuron, torch.full((300, 1, 1), small))[0][-1] / small


def _respond(neuron: Neuron, current: torch.Tensor) -> tuple[list[float], list[bool]]:
    state: Any = neuron.initial_state(current[0])
    potential, spikes = [], []
    with torch.no_grad():
        for now in current:
            output, state = neuron.step(now, state)
            potential.append(state.u.item())
            spikes.append(neuron.output == "binary" and output.item() > 0)
    return potential, spikes
