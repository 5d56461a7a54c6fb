"""Words of the pictures of sweeps: axes with their units, curves by what tells them apart."""

from __future__ import annotations

from collections.abc import Sequence

from sgbench.sweeps.points import LEARNING_RATE, SLOPES, WIDTHS
from sgbench.sweeps.results import Results, Row

ACCURACY = "validation accuracy, %"
LABELS = {
    **dict.fromkeys(WIDTHS, "full width at half maximum, threshold units"),
    **{key: f"{key.partition('.')[2]} of the surrogate, 1 / threshold unit" for key in SLOPES},
    LEARNING_RATE: "learning rate",
}


def axis_label(key: str) -> str:
    """What an axis shows and its unit.

    >>> axis_label("surrogate.slope")
    'slope of the surrogate, 1 / threshold unit'
    """
    return LABELS.get(key, key)


def other_keys(results: Results, taken: Sequence[str]) -> list[str]:
    """The axes that are not drawn along an axis."""
    return [axis.key for axis in results.axes if axis.key not in taken]


def curves_of(results: Results, taken: Sequence[str]) -> dict[str, list[Row]]:
    """Rows by what tells them apart besides the axes taken; the surrogate where nothing does."""
    keys = other_keys(results, taken)
    found: dict[str, list[Row]] = {}
    for row in results.rows:
        name = ", ".join(row.settings[key] for key in keys) or row.surrogate
        found.setdefault(name, []).append(row)
    return found


def short(key: str) -> str:
    """The last word of a key.

    >>> short("neuron.reset_gradient")
    'reset_gradient'
    """
    return key.rpartition(".")[2]
