"""A diagnosis that prints as a short table, and is drawn in a notebook."""

import textwrap
from typing import Any

from sgbench.records.diagnosis import Diagnosis, LayerDiagnosis
from sgbench.tables import aligned, number_text
from sgbench.tables.shown import ShownTable
from sgbench.tables.table import Table, plain_table

WIDTH = 80  # letters in a line
LONGEST_NAME = 24  # letters of a layer's name
HEAD = ("layer", "neurons", "spikes/step", "silent", "saturated", "near", "gradient")
ABOUT_COLUMNS = (
    "near: potentials at which the surrogate's slope is above 1 % of its peak; gradient: norm by the currents"
)


class ShownDiagnosis(ShownTable, Diagnosis):
    """Prints its layers, outlook and advice, in lines of 80 letters; `plot()` draws it."""

    def __repr__(self) -> str:
        loss = "not finite" if self.loss is None else f"{self.loss:.4g}"
        lines = [f"{self.weights} weights, {self.samples} samples, loss {loss}"]
        lines += aligned(self._cells(), text_columns=1)
        return "\n".join([*lines, *(part for note in self.table_notes() for part in _wrapped(note))])

    __str__ = __repr__
    __hash__ = Diagnosis.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Diagnosis) and self.model_dump() == other.model_dump()

    def table(self) -> Table:
        return plain_table("Diagnosis", self._cells(), text_columns=1)

    def table_notes(self) -> tuple[str, ...]:
        outlook = self.outlook or self.reasons["outlook"]
        return (ABOUT_COLUMNS, f"outlook: {outlook}", *(f"- {sentence}" for sentence in self.advice))

    def plot(self) -> Any:
        """Draw gradients by step, shares by layer and agreements; return the matplotlib figure."""
        from sgbench.plots.diagnosis import diagnosis_figure

        return diagnosis_figure([self])

    def _cells(self) -> list[list[str]]:
        return [list(HEAD), *map(_row, self.layers)]


def _row(layer: LayerDiagnosis) -> list[str]:
    shares = (layer.dead_fraction, layer.saturated_fraction, layer.in_window_fraction)
    return [
        layer.name if len(layer.name) <= LONGEST_NAME else f"...{layer.name[3 - LONGEST_NAME :]}",
        str(layer.neurons),
        number_text(layer.rate_per_step),
        *("-" if share is None else f"{share:.0%}" for share in shares),
        number_text(layer.grad_norm),
    ]


def _wrapped(note: str) -> list[str]:
    return textwrap.wrap(note, WIDTH, subsequent_indent="  " if note.startswith("- ") else "")
