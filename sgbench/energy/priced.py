"""A network's energy on several targets as one table and one picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sgbench.energy.operations import NEEDED
from sgbench.energy.price import EnergyEstimate, price
from sgbench.energy.text import NONE, joules_interval, marked
from sgbench.plots.style import Drawn
from sgbench.records.counts import OpCounts
from sgbench.records.energy import EnergyTarget
from sgbench.tables.shown import ShownTable
from sgbench.tables.table import Cell, Table, number, numbers, texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sgbench.plots.energy_terms import EnergyBar

HEAD = ("target", "evidence", "dynamic energy an inference", "static energy an inference", "operations without a price")
STAR = "*: a part of the dynamic energy; sgbench energy list TARGET names what else a price list leaves out"

OF_NEURONS = tuple(name for name in NEEDED if name.startswith("neuron_"))


@dataclass(frozen=True, repr=False)
class PricedNetwork(Drawn, ShownTable):
    """Shows the energy of one inference of a network on several targets.

    It prints as a table, is shown as one in a notebook, and `plot` draws the energy of operations and layers. A
    star marks a number that leaves out operations without a price; its row names them. Targets without any price
    for the network's operations are listed below the table.
    """

    counts: OpCounts  # operations of the network
    targets: dict[str, EnergyTarget]  # maps names to targets, in the order of rows
    estimates: tuple[EnergyEstimate, ...]  # one for each target
    title: str  # names the network
    left_out: tuple[str, ...] = ()  # layers and functions that are in no sum

    @classmethod
    def of(
        cls,
        counts: OpCounts,
        targets: dict[str, EnergyTarget],
        *,
        dt_s: float,
        title: str,
        left_out: tuple[str, ...] = (),
    ) -> PricedNetwork:
        """Estimate the energy of a network on each target.

        `counts`: its operations. `targets`: map names to targets. `dt_s`: duration of a time step [s]. `title`: names
        the network. `left_out`: layers and functions that were not counted, so that no dynamic energy is whole.
        """
        estimates = [price(counts, target=target, dt_s=dt_s) for target in targets.values()]
        if left_out:
            why = f"not counted: {', '.join(left_out)}"
            estimates = [replace(estimate, dynamic_nj=None, reasons=(*estimate.reasons, why)) for estimate in estimates]
        return cls(counts, targets, tuple(estimates), title, left_out)

    def __getitem__(self, target: str) -> EnergyEstimate:
        return {estimate.target: estimate for estimate in self.estimates}[target]

    def table(self) -> Table:
        columns = (*texts(*HEAD[:2]), *numbers(*HEAD[2:4]), *texts(*HEAD[4:]))
        return Table(self.title, columns, tuple(map(self._row, self._shown)))

    def table_notes(self) -> tuple[str, ...]:
        """Return the lines below the table: what a star means, what was left out, and why a target has no energy."""
        by_reason: dict[str, list[str]] = {}
        for estimate in self.estimates:
            if estimate.priced_nj is None and estimate.static_nj is None:
                by_reason.setdefault(_reason_without_price(estimate), []).append(estimate.target)
        star = [STAR] if any(estimate.is_part for estimate in self._shown) else []
        star += [f"left out of every sum: {', '.join(self.left_out)}"] if self.left_out else []
        return (*star, *(f"no energy on {', '.join(names)}: {why}" for why, names in by_reason.items()))

    @property
    def _shown(self) -> list[EnergyEstimate]:
        return [each for each in self.estimates if each.priced_nj is not None or each.static_nj is not None]

    def figure(self) -> Figure:
        from sgbench.plots.energy_terms import terms_figure

        bars = sorted(filter(None, map(_bar, self.estimates)), key=lambda bar: bar.total_nj)
        return terms_figure(bars, title=self.title)

    def _row(self, estimate: EnergyEstimate) -> tuple[Cell, ...]:
        """Return the table's cells of one target: name, grade, dynamic and static energy, and what has no price."""
        static, priced = estimate.static_nj, estimate.priced_nj
        mark = estimate.mark or (NONE if static is None else marked(self.targets[estimate.target]))
        return (
            Cell(estimate.target, is_code=True),
            Cell(mark),
            number(None if priced is None else priced.value, _starred(estimate)),
            number(None if static is None else static.value, joules_interval(static)),
            Cell(", ".join(_without_price(estimate)) or NONE),
        )


def _starred(estimate: EnergyEstimate) -> str:
    return joules_interval(estimate.priced_nj) + (" *" if estimate.is_part else "")


def _without_price(estimate: EnergyEstimate) -> list[str]:
    """Name the operations that have no price; those of neurons are summed up if all of them lack one."""
    noted = [item.split(":")[0].strip() for item in (*estimate.missing, *estimate.reasons)]
    names = [name for name in dict.fromkeys(noted) if name in NEEDED]
    if set(OF_NEURONS) <= set(names):
        names = ["neurons", *(name for name in names if name not in OF_NEURONS)]
    return [name.replace("_", " ") for name in names]


def _reason_without_price(estimate: EnergyEstimate) -> str:
    names = _without_price(estimate)
    return f"no price of {', '.join(names)}" if names else "; ".join(estimate.reasons)


def _bar(estimate: EnergyEstimate) -> EnergyBar | None:
    """Return the bar of a target in the picture of energies; None without a positive energy."""
    from sgbench.plots.energy_terms import DrawnTerm, EnergyBar

    priced = estimate.priced_nj
    if priced is None or priced.value <= 0:
        return None
    terms = [DrawnTerm(term.operation, term.layer, term.energy_nj.value) for term in estimate.by_layer]
    grade = f"  [{estimate.mark}]" if estimate.mark != "verified" else ""
    return EnergyBar(estimate.target, tuple(terms), _starred(estimate) + grade)
