"""Gradients and potentials of a study's cells before training, as they are stored beside its records."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from sgbench.records.base import Amount, Fraction, Natural, Strict, Text
from sgbench.records.files import read_model

INITIAL = "initial.json"
"""Beside the stored records of a study."""


class InitialCell(Strict):
    """Describes one shape and width at the weights that training begins with, a number a hidden layer."""

    surrogate: Text
    width_fwhm: Amount
    gradients: Annotated[tuple[Amount | None, ...], Field(min_length=1, max_length=100)]
    """Norm of the loss's gradient of the layer's weights; None where it is not finite."""
    in_window: Annotated[tuple[Fraction, ...], Field(min_length=1, max_length=100)]
    """Share of potentials, over samples, steps and neurons, within half the width of the threshold."""


class InitialStates(Strict):
    """Holds the cells of each task, all of one seed and one batch a task."""

    seed: Natural
    tasks: dict[Text, tuple[InitialCell, ...]]


def read_initial(folder: Path) -> InitialStates | None:
    """Read what was measured of a study's networks before training; None where nothing was."""
    path = folder / INITIAL
    return read_model(path, InitialStates) if path.exists() else None
