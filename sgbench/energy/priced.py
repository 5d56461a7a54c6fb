"""A network's energy on many targets as one table and one picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sgbench.energy.operations import NEEDED
from sgbench.energy.price import EnergyEstimate, price
from sgbench.energy.text import NONE, joules_interval, marked
from sgbench.records.counts import OpCounts
from sgbench.records.energy import EnergyTarget
from sgbench.tables import aligned
from sgbench.tables.shown import ShownTable
from sgbench.tables.table import Cell, Table, number, numbers, texts

if TYPE_CHECKING:
    from sgbench.plots.energy_terms import EnergyBar

HEAD = (
    "target",
    "evidence",
    "dynamic energy an inference",
    "static energy an inference",
    "operations without a price",
)
STAR = "*: a part of the dynamic energy; sgbench energy list TARGET names what else a price list leaves out"

OF_NEURONS = tuple(name for name in NEEDED if name.startswith("neuron_"))


@dataclass(frozen=True, repr=False)
class PricedNetwork(ShownTable):
    """Shows what one inference of a network costs on each of some targets.

    It prints as a table, is one in a notebook, and `plot` draws which operations of which layers cost most. A
    number with a star is a part. Its row names the operations without a price, and targets that price none of the
    network's stand below the table with the reason.
    """

    counts: OpCounts  # operations of the network
    targets: dict[str, EnergyTarget]  # price lists by name, in the order of the rows
    estimates: tuple[EnergyEstimate, ...]
    title: str  # what was priced

    @classmethod
    def of(
        cls, counts: OpCounts, targets: dict[str, EnergyTarget], *, dt_s: float, title: str
    ) -> PricedNetwork:
        """Price a network's operations on each target, a time step lasting `dt_s` seconds."""
        estimates = tuple(price(counts, target=target, dt_s=dt_s) for target in targets.values())
        return cls(counts, targets, estimates, title)

    def __getitem__(self, target: str) -> EnergyEstimate:
        """Return the estimate of one target by its name."""
        return {estimate.target: estimate for estimate in self.estimates}[target]

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Write the table for a terminal, with its notes below it."""
        rows = [list(HEAD), *([cell.text for cell in self._row(one)] for one in self._shown)]
        return [*aligned(rows, text_columns=len(HEAD)), *self.table_notes()]

    def table(self) -> Table:
        """Make the table of the targets that price something, with their energies [nJ]."""
        columns = (*texts(*HEAD[:2]), *numbers(*HEAD[2:4]), *texts(*HEAD[4:]))
        return Table(self.title, columns, tuple(map(self._row, self._shown)))

    def table_notes(self) -> tuple[str, ...]:
        """Explain the star, and why the other targets have no number."""
        without: dict[str, list[str]] = {}
        for one in self.estimates:
            if one.priced_nj is None and one.static_nj is None:
                without.setdefault(_reason_without_price(one), []).append(one.target)
        star = [STAR] if any(one.is_part for one in self._shown) else []
        return (*star, *(f"no energy on {', '.join(names)}: {why}" for why, names in without.items()))

    @property
    def _shown(self) -> list[EnergyEstimate]:
        return [one for one in self.estimates if one.priced_nj is not None or one.static_nj is not None]

    def plot(self, path: Path | str) -> Path:
        """Draw the share of each term and layer on every target, the cheapest target first.

        Raises:
            InputError: no target prices anything, or the file cannot be written.
        """
        from sgbench.plots import style
        from sgbench.plots.energy_terms import terms_figure

        bars = sorted(filter(None, map(_bar, self.estimates)), key=lambda bar: bar.total_nj)
        style.save(lambda: terms_figure(bars, title=self.title), Path(path))
        return Path(path)

    def _row(self, estimate: EnergyEstimate) -> tuple[Cell, ...]:
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
    """Name the operations of a network that a target has no price for, or that were not counted."""
    named = [item.split(":")[0].strip() for item in (*estimate.missing, *estimate.reasons)]
    names = [name for name in dict.fromkeys(named) if name in NEEDED]
    if set(OF_NEURONS) <= set(names):
        names = ["neurons", *(name for name in names if name not in OF_NEURONS)]
    return [name.replace("_", " ") for name in names]


def _reason_without_price(estimate: EnergyEstimate) -> str:
    """Explain why a target prices nothing of a network."""
    names = _without_price(estimate)
    return f"no price of {', '.join(names)}" if names else "; ".join(estimate.reasons)


def _bar(estimate: EnergyEstimate) -> EnergyBar | None:
    """Return the bar of a target's priced terms; None where nothing costs anything."""
    from sgbench.plots.energy_terms import DrawnTerm, EnergyBar

    priced = estimate.priced_nj
    if priced is None or priced.value <= 0:
        return None
    terms = [DrawnTerm(term.operation, term.layer, term.energy_nj.value) for term in estimate.by_layer]
    grade = f"  [{estimate.mark}]" if estimate.mark != "verified" else ""
    return EnergyBar(estimate.target, tuple(terms), _starred(estimate) + grade)
