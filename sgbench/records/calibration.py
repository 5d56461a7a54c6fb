"""The calibration of a surrogate's width: it is chosen such that the measured "passing steps" meet a target.

Passing steps are the sum of the surrogate's slopes over a sample's steps, through which recurrent gradients pass.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from sgbench.records.base import Amount, Natural, Positive, Strict, Text
from sgbench.tables import number_text
from sgbench.tables.shown import ShownTable, screen_lines
from sgbench.tables.table import Table, plain_table

AUTO = "auto"
"""Value of a width that asks for calibration."""
Reset = Literal["attached", "detached"]


def is_auto(surrogate: Mapping[str, object]) -> bool:
    """Return whether a surrogate's parameters ask for a calibrated width.

    >>> is_auto({"width_fwhm": "auto"}), is_auto({"width_fwhm": 0.2})
    (True, False)
    """
    return surrogate.get("width_fwhm") == AUTO


class LayerSteps(Strict):
    """Holds the passing steps of one recurrent layer."""

    name: Text = Field(max_length=100)
    passing_steps: Amount


class Calibration(ShownTable, Strict):
    """Holds a width and its passing steps before training, with weights of a seed that reports nothing."""

    width_fwhm: Amount = Field(gt=0)
    """Full width at half maximum, two significant digits, the same for all layers [threshold units]."""
    target: Amount = Field(gt=0)
    reset_gradient: Reset
    seed: Natural | None
    """Of weights and samples; None: a module of the user's own, with the weights that it had."""
    samples: Positive
    layers: tuple[LayerSteps, ...] = Field(min_length=1, max_length=1000)

    @property
    def word(self) -> str:
        return f"width_fwhm={self.width_fwhm:g}"

    @property
    def about(self) -> str:
        """Say in one clause how many passing steps the width gives, and what that was measured on."""
        largest = max(self.layers, key=lambda layer: layer.passing_steps)
        mean = sum(layer.passing_steps for layer in self.layers) / len(self.layers)
        most = f", at most {largest.passing_steps:.2g} ({largest.name})" if len(self.layers) > 1 else ""
        seed = "given weights" if self.seed is None else f"weights of seed {self.seed}"
        return (
            f"this gives {mean:.2g} passing steps{most}, where {self.target:g} is the target with the reset "
            f"{self.reset_gradient}; measured on {self.samples} samples, {seed}"
        )

    def __str__(self) -> str:
        return f"{self.word}\n{self.about}"

    def __repr__(self) -> str:
        return "\n".join(screen_lines(str(self).split("\n")))

    def table(self) -> Table:
        rows = [(layer.name, number_text(layer.passing_steps)) for layer in self.layers]
        return plain_table("Calibration", [("layer", "passing steps"), *rows], text_columns=1)

    def table_notes(self) -> list[str]:
        return str(self).split("\n")
