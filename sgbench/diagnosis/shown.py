"""A diagnosis that prints as a short table, and is drawn in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sgbench.plots.style import Drawn
from sgbench.records.diagnosis import Diagnosis, LayerDiagnosis
from sgbench.tables import number_text
from sgbench.tables.shown import ShownTable
from sgbench.tables.table import Table, plain_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST_NAME = 24  # letters of a layer's name
HEAD = ("layer", "neurons", "spikes/step", "silent", "saturated", "near", "gradient")
ABOUT_COLUMNS = (
    "near: potentials at which the surrogate's slope is above 1 % of its peak; gradient: norm by the currents"
)


class ShownDiagnosis(Drawn, ShownTable, Diagnosis):
    """Shows its layers, outlook and advice; `plot()` draws gradients by step, shares by layer and agreements."""

    __hash__ = Diagnosis.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Diagnosis) and self.model_dump() == other.model_dump()

    def table(self) -> Table:
        return plain_table("Diagnosis", [HEAD, *map(_row, self.layers)], text_columns=1)

    def table_notes(self) -> tuple[str, ...]:
        outlook = self.outlook or self.reasons["outlook"]
        loss = "not finite" if self.loss is None else f"{self.loss:.4g}"
        measured = f"{self.weights} weights, {self.samples} samples, loss {loss}"
        return (measured, ABOUT_COLUMNS, f"outlook: {outlook}", *(f"- {sentence}" for sentence in self.advice))

    def figure(self) -> Figure:
        from sgbench.plots.diagnosis import diagnosis_figure

        return diagnosis_figure([self])


def _row(layer: LayerDiagnosis) -> list[str]:
    shares = (layer.dead_fraction, layer.saturated_fraction, layer.in_window_fraction)
    return [
        layer.name if len(layer.name) <= LONGEST_NAME else f"...{layer.name[3 - LONGEST_NAME :]}",
        str(layer.neurons),
        number_text(layer.rate_per_step),
        *("-" if share is None else f"{share:.0%}" for share in shares),
        number_text(layer.grad_norm),
    ]
