"""The picture of energies: what share each term of each layer has, on every target."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sgbench.cli.compare import check_picture_path
from sgbench.energy.price import EnergyEstimate
from sgbench.energy.text import joules_interval
from sgbench.errors import InputError
from sgbench.plots.board import INK, SOFT
from sgbench.plots.sweep import STYLE, UNDATED
from sgbench.records.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAMILIES = {
    "synapses": ("accumulate", "multiply_accumulate", "dense_operation"),
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
    "states in memory": ("state_read", "state_write"),
}
"""Terms that a reader wants to tell apart, in the order of the bar."""
COLOURS = ("#0072B2", "#E69F00", "#8a8a8a", "#CC79A7", "#009E73", "#56B4E9")
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++")
"""Of the layers, in order; a seventh begins anew."""
ROW_INCHES, HEAD_INCHES = 0.36, 1.9
SMALL = 1e-3  # of a bar: nothing to see


def draw(estimates: Sequence[EnergyEstimate], path: Path, *, title: str) -> None:
    """Write the picture: one bar a target, split into terms by colour and into layers by hatching.

    Raises:
        InputError: no target has a total, or the path is no picture's.
        StorageError: the file cannot be written.
    """
    check_picture_path(path)
    shown = [each for each in estimates if each.dynamic_nj is not None and each.dynamic_nj.value > 0]
    if not shown:
        raise InputError("no target has a total to draw; sgbench energy price names the reasons")
    shown.sort(key=lambda each: each.dynamic_nj.value if each.dynamic_nj is not None else 0.0)
    out = io.BytesIO()
    kind = path.suffix.lower()
    with style.context(["default", STYLE]):
        figure = _figure(shown, title)
        figure.savefig(out, format=kind[1:], metadata=UNDATED[kind])
    write_atomic(path, out.getvalue())


def _figure(shown: Sequence[EnergyEstimate], title: str) -> Figure:
    height = HEAD_INCHES + ROW_INCHES * len(shown)
    figure = Figure(figsize=(12, height), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.2, 0.75 / height, 0.5, 1 - HEAD_INCHES / height))
    layers = list(dict.fromkeys(term.layer for each in shown for term in each.by_layer))
    families = [name for row, each in enumerate(shown) for name in _bar(axes, row, each, layers)]
    axes.set_xlim(0, 100)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_yticks(range(len(shown)), [each.target for each in shown])
    axes.set_xlabel("share of the dynamic energy of one inference, %", color=INK)
    axes.tick_params(length=0, axis="y")
    for row, each in enumerate(shown):
        grade = f"  [{each.mark}]" if each.mark != "verified" else ""
        axes.text(102, row, joules_interval(each.dynamic_nj) + grade, va="center", fontsize=11, color=INK)
    figure.text(
        0.01, 1 - 0.28 / height, f"Where the energy goes: {title}", fontsize=15, color=INK, va="center"
    )
    used = [name for name in FAMILIES if name in families]
    patches = [Patch(facecolor=COLOURS[list(FAMILIES).index(name)], label=name) for name in used]
    patches += [
        Patch(facecolor="white", edgecolor=SOFT, hatch=HATCHES[index % len(HATCHES)], label=f"layer {name}")
        for index, name in enumerate(layers)
    ]
    figure.legend(
        handles=patches,
        loc="upper left",
        bbox_to_anchor=(0.005, 1 - 0.45 / height),
        ncols=max(3, len(patches)) if len(patches) <= 6 else (len(patches) + 1) // 2,  # noqa: PLR2004
        frameon=False,
        fontsize=11,
    )
    return figure


def _bar(axes: Axes, row: int, estimate: EnergyEstimate, layers: list[str | None]) -> list[str]:
    """Draw one target's bar; returns the families that it shows."""
    whole = sum(term.energy_nj.value for term in estimate.by_layer)
    left, seen = 0.0, []
    for index, (family, operations) in enumerate(FAMILIES.items()):
        for layer in layers:
            part = sum(
                term.energy_nj.value
                for term in estimate.by_layer
                if term.layer == layer and term.operation in operations
            )
            share = 100 * part / whole
            if share > 100 * SMALL:
                axes.barh(
                    row,
                    share,
                    left=left,
                    height=0.72,
                    color=COLOURS[index],
                    edgecolor="white",
                    linewidth=0.6,
                    hatch=HATCHES[layers.index(layer) % len(HATCHES)],
                )
                seen.append(family)
            left += share
    return seen
