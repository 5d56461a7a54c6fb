"""Draw the terms of an energy by operation and layer, one bar for each target."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sgbench.errors import InputError
from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Estimate, Series, value_text
from sgbench.plots.style import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, SOFT, wrapped

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
"""Families of operations with their own colour, in the order of a bar."""
FAMILY_COLOURS = (BLUE, ORANGE, SOFT, PURPLE, GREEN, SKY)
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "oo", "----", "||||", "**")
"""Hatches of the layers in order, repeated from the eleventh on."""
WIDTH_INCHES, ROW_INCHES, HEAD_INCHES = 12.0, 0.36, 1.42
LEGEND_ROW_INCHES, PATCH_INCHES, LETTER_INCHES = 0.24, 0.75, 0.09
LONGEST_LABEL = 40
SMALL = 1e-3  # share of a bar below which a term is invisible


class DrawnTerm(NamedTuple):
    """Holds the energy of one operation in one layer."""

    operation: str  # one of those in `FAMILIES`
    layer: str | None
    energy_nj: float


@dataclass(frozen=True)
class EnergyBar:
    """Holds one target's bar: the energies of operations, stacked."""

    target: str
    terms: tuple[DrawnTerm, ...]
    note: str  # to the right of the bar: the total and its uncertainty

    @property
    def total_nj(self) -> float:
        return sum(term.energy_nj for term in self.terms)


def terms_figure(bars: Sequence[EnergyBar], *, title: str) -> Figure:
    """Draw a bar for each target, whose parts are the shares of families of operations (colour) in layers (hatch)."""
    if not bars:
        raise InputError("no target has a total to draw; sgbench energy price names the reasons")
    layers = list(dict.fromkeys(term.layer for bar in bars for term in bar.terms))
    patches = _legend({family for bar in bars for family in _visible_families(bar)}, layers)
    longest = max(len(str(patch.get_label())) for patch in patches)
    columns = max(1, int(WIDTH_INCHES / (PATCH_INCHES + LETTER_INCHES * longest)))
    head = HEAD_INCHES + LEGEND_ROW_INCHES * math.ceil(len(patches) / columns)
    height = head + ROW_INCHES * len(bars)
    figure = Figure(figsize=(WIDTH_INCHES, height))
    axes = figure.add_axes((0.2, 0.75 / height, 0.5, 1 - head / height))
    for row, bar in enumerate(bars):
        _draw_bar(axes, row, bar, layers)
    axes.set_xlim(0, 100)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_yticks(range(len(bars)), [bar.target for bar in bars])
    axes.set_xlabel("share of the priced dynamic energy of one inference, %", color=INK)
    axes.tick_params(length=0, axis="y")
    for row, bar in enumerate(bars):
        axes.text(102, row, bar.note, va="center", fontsize=11, color=INK)
    head_text = f"Where the energy goes: {title}"
    figure.text(0.01, 1 - 0.28 / height, head_text, fontsize=15, color=INK, va="center")
    corner = (0.005, 1 - 0.45 / height)
    figure.legend(handles=patches, ncols=columns, frameon=False, fontsize=11, loc="upper left", bbox_to_anchor=corner)
    return figure


def _visible_families(bar: EnergyBar) -> list[str]:
    return [
        family
        for family, operations in FAMILIES.items()
        if sum(term.energy_nj for term in bar.terms if term.operation in operations) > SMALL * bar.total_nj
    ]


def _legend(drawn: set[str], layers: Sequence[str | None]) -> list[Patch]:
    """Make a patch for each drawn family of operations, by colour, and for each layer, by hatch."""
    colours = dict(zip(FAMILIES, FAMILY_COLOURS, strict=True))
    patches = [Patch(facecolor=colours[name], label=name) for name in FAMILIES if name in drawn]
    for index, layer in enumerate(layers):
        hatch = HATCHES[index % len(HATCHES)]
        label = wrapped(f"layer {layer}", LONGEST_LABEL)
        patches.append(Patch(facecolor="white", edgecolor=SOFT, hatch=hatch, label=label))
    return patches


def _draw_bar(axes: Axes, row: int, bar: EnergyBar, layers: Sequence[str | None]) -> None:
    """Draw one target's bar in shares of its total energy [%]; shares too small to be seen leave their space empty."""
    left = 0.0
    style: Any = {"height": 0.72, "edgecolor": "white", "linewidth": 0.6}
    for operations, colour in zip(FAMILIES.values(), FAMILY_COLOURS, strict=True):
        for layer, hatch in zip(layers, itertools.cycle(HATCHES), strict=False):
            part_nj = sum(term.energy_nj for term in bar.terms if term.layer == layer and term.operation in operations)
            percent = 100 * part_nj / bar.total_nj
            if percent > 100 * SMALL:
                axes.barh(row, percent, left=left, color=colour, hatch=hatch, **style)
            left += percent


LEAST, MOST = 1e-3, 10.0  # ends of the axis of ratios; ratios beyond are drawn as arrows at its ends


@dataclass(frozen=True)
class Prediction:
    """Holds one predicted and the measured energy, in the same unit."""

    target: str
    label: str  # of the measured network
    predicted: Estimate
    measured: Estimate
    holds: bool  # whether the two intervals overlap

    @property
    def ratio(self) -> Estimate:
        return Estimate(*(end / self.measured.value for end in self.predicted))


def measured_charts(predictions: Sequence[Prediction], caption: str) -> Charts:
    """Build the chart of predictions relative to measurements, one row for each, grouped by target."""
    if not predictions:
        raise InputError("no published measurement to draw")
    ordered = sorted(predictions, key=lambda prediction: prediction.target)
    points: dict[bool, list[ChartPoint]] = {True: [], False: []}
    for row, prediction in enumerate(ordered):
        value, low, high = prediction.ratio
        ratio_text = value_text(value, (low, high))
        tooltip = f"{prediction.target}, {prediction.label}: predicted {ratio_text} times what was measured"
        points[prediction.holds].append(ChartPoint(value, row, tooltip, x_ends=(low, high)))
    measured = []
    for row, (energy, low, high) in enumerate(prediction.measured for prediction in ordered):
        measured.append(ChartPoint(1.0, row, "measured", x_ends=(low / energy, high / energy)))
    series = (
        Series("measured", tuple(measured), tone="soft"),
        Series("the prediction holds", tuple(points[True]), tone="good"),
        Series("it does not", tuple(points[False]), tone="bad"),
    )
    rows = ChartAxis(names=tuple(f"{each.label} ({each.target})" for each in ordered))
    ratio = ChartAxis("predicted over measured", is_log=True, ends=(LEAST, MOST))
    return Charts(caption, (Chart("Predicted over measured", ratio, rows, series, x_lines=(1.0,)),))
