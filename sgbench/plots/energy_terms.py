"""The picture of energies: what share each term of each layer has, on every target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sgbench.errors import InputError
from sgbench.plots.style import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, SOFT

FAMILIES = {
    "synapses": ("accumulate", "multiply_accumulate", "dense_operation", "event_address"),
    "neurons": (
        "neuron_update",
        "neuron_update_with_input",
        "neuron_update_idle",
        "neuron_multiplication",
        "neuron_addition",
        "neuron_comparison",
        "function_evaluation",
    ),
    "biases and other layers": (
        "bias_addition",
        "normalisation_operation",
        "pooling_operation",
        "residual_addition",
        "delay_operation",
        "step",
    ),
    "transport": ("spike_sent", "spike_message", "hop_east_west", "hop_north_south"),
    "reading weights": ("weight_read",),
    "states in memory": ("state_read", "state_write", "event_state_read", "event_state_write"),
}
"""Terms that a reader wants to tell apart, in the order of the bar."""
FAMILY_COLOURS = (BLUE, ORANGE, SOFT, PURPLE, GREEN, SKY)
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++")
"""Of the layers, in order; a seventh begins anew."""
ROW_INCHES, HEAD_INCHES = 0.36, 1.9
SMALL = 1e-3  # of a bar: nothing to see


FEW_IN_LEGEND = 6


class DrawnTerm(NamedTuple):
    """Holds energy of one operation in one layer."""

    operation: str  # one of those in `FAMILIES`
    layer: str | None
    energy_nj: float


@dataclass(frozen=True)
class EnergyBar:
    """Holds one target's bar: the energies of operations, stacked."""

    target: str
    terms: tuple[DrawnTerm, ...]
    note: str  # to the right of the bar: the total, and how well it is known

    @property
    def total_nj(self) -> float:
        """Sum the energy of the whole bar."""
        return sum(term.energy_nj for term in self.terms)


def terms_figure(bars: Sequence[EnergyBar], *, title: str) -> Figure:
    """Draw one bar a target, split into terms by colour and into layers by hatching.

    Args:
        bars: from the top.
        title: what was priced.

    Raises:
        InputError: there is no bar.
    """
    if not bars:
        raise InputError("no target has a total to draw; sgbench energy price names the reasons")
    height = HEAD_INCHES + ROW_INCHES * len(bars)
    figure = Figure(figsize=(12, height))
    axes = figure.add_axes((0.2, 0.75 / height, 0.5, 1 - HEAD_INCHES / height))
    layers = list(dict.fromkeys(term.layer for bar in bars for term in bar.terms))
    drawn = {family for row, bar in enumerate(bars) for family in _draw_bar(axes, row, bar, layers)}
    axes.set_xlim(0, 100)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_yticks(range(len(bars)), [bar.target for bar in bars])
    axes.set_xlabel("share of the priced dynamic energy of one inference, %", color=INK)
    axes.tick_params(length=0, axis="y")
    for row, bar in enumerate(bars):
        axes.text(102, row, bar.note, va="center", fontsize=11, color=INK)
    figure.text(
        0.01, 1 - 0.28 / height, f"Where the energy goes: {title}", fontsize=15, color=INK, va="center"
    )
    patches = _legend(drawn, layers)
    figure.legend(
        handles=patches,
        loc="upper left",
        bbox_to_anchor=(0.005, 1 - 0.45 / height),
        ncols=max(3, len(patches)) if len(patches) <= FEW_IN_LEGEND else math.ceil(len(patches) / 2),
        frameon=False,
        fontsize=11,
    )
    return figure


def _legend(drawn: set[str], layers: Sequence[str | None]) -> list[Patch]:
    """Build the legend: a patch for each family that is drawn and for each layer."""
    colours = dict(zip(FAMILIES, FAMILY_COLOURS, strict=True))
    patches = [Patch(facecolor=colours[name], label=name) for name in FAMILIES if name in drawn]
    for index, layer in enumerate(layers):
        hatch = HATCHES[index % len(HATCHES)]
        patches.append(Patch(facecolor="white", edgecolor=SOFT, hatch=hatch, label=f"layer {layer}"))
    return patches


def _draw_bar(axes: Axes, row: int, bar: EnergyBar, layers: list[str | None]) -> list[str]:
    """Draw one target's bar and return the families that it shows."""
    left, drawn = 0.0, []
    for (family, operations), colour in zip(FAMILIES.items(), FAMILY_COLOURS, strict=True):
        for layer, hatch in zip(layers, (HATCHES * len(layers))[: len(layers)], strict=True):
            part_nj = sum(
                term.energy_nj for term in bar.terms if term.layer == layer and term.operation in operations
            )
            share = 100 * part_nj / bar.total_nj
            if share > 100 * SMALL:
                axes.barh(
                    row,
                    share,
                    left=left,
                    height=0.72,
                    color=colour,
                    edgecolor="white",
                    linewidth=0.6,
                    hatch=hatch,
                )
                drawn.append(family)
            left += share
    return drawn
