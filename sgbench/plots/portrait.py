"""Pictures of catalogue entries: the two curves of a surrogate, the responses of a neuron."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from sgbench.composition.catalogue import Entry
from sgbench.errors import StorageError
from sgbench.plots.neuron import neuron_figure
from sgbench.plots.surrogate import surrogate_figure
from sgbench.training.creation import create

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
        one = {"features": 1} if entry.group == "neuron" else {}
        made = create(
            f"{entry.group}/{entry.name}", config_dirs=config_dirs, allow_targets=allow_targets, **one
        )
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
