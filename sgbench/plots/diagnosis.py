"""Pictures of diagnoses, and of the loss along lines, around loops and over planes of weights.

A diagnosis has the gradient by layer and step, shares by layer, and the agreement with reference gradients.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgbench.plots.style import BLUE, COLOURS, GREEN, INK, SOFT, VERMILION
from sgbench.records.diagnosis import Diagnosis, LinePoint

SHARES = {  # label by field of `LayerDiagnosis`
    "nonzero_parameters": "weights reached",
    "in_window_fraction": "in the window",
    "gradient_dead_fraction": "gradient-dead neurons",
    "dead_fraction": "silent neurons",
}


def diagnosis_figure(diagnoses: Sequence[Diagnosis]) -> Figure:
    """Draw a row of three panels for each diagnosis: norms of gradients, shares, and cosines with references."""
    figure = Figure(figsize=(14.5, 4.4 * len(diagnoses)), layout="constrained")
    rows = figure.subplots(len(diagnoses), 3, squeeze=False)
    for panels, diagnosis in zip(rows, diagnoses, strict=True):
        _draw_norms(panels[0], diagnosis)
        _draw_shares(panels[1], diagnosis)
        _draw_cosines(panels[2], diagnosis)
        outlook = "" if diagnosis.outlook is None else f", outlook: {diagnosis.outlook}"
        panels[0].set_title(f"{diagnosis.weights} weights{outlook}", loc="left")
    return figure


WIDTHS = {  # label by field of `WidthMeasures`
    "spread": "spread of potentials, thresholds",
    "in_window": "share in the window",
    "variation": "variation of gradients",
    "consistency": "consistency with the next step",
}


def widths_figure(layers: Mapping[str, Mapping[str, Sequence[float | None]]]) -> Figure:
    """Draw the statistics for adaptive widths over time steps: a panel for each measure, a line for each layer.

    `layers`: map the name of a layer and of a measure to its values by step; None: undefined.
    """
    figure = Figure(figsize=(11.0, 6.8), layout="constrained")
    for panel, (name, label) in zip(figure.subplots(2, 2).flat, WIDTHS.items(), strict=True):
        for index, (layer, measures) in enumerate(layers.items()):
            steps = np.asarray(measures[name], dtype=float)
            colour = COLOURS[index % len(COLOURS)]
            panel.plot(range(len(steps)), steps, label=layer, linewidth=1.5, color=colour, marker="o", markersize=3)
        panel.set(xlabel="time step", ylabel=label)
        if name == "variation" and any(value for measures in layers.values() for value in measures[name]):
            panel.set_yscale("log")
        panel.legend(frameon=False, fontsize=9)
    return figure


def _draw_norms(panel: Axes, diagnosis: Diagnosis) -> None:
    """Draw the norm of each layer's gradient over time steps; where it is 0 the line has a gap."""
    has_norms = False
    for index, layer in enumerate(diagnosis.layers):
        norms = np.asarray(layer.grad_norm_by_step or (), dtype=float)
        if norms.size and (norms > 0).any():
            has_norms = True
            norms = np.where(norms > 0, norms, np.nan)
            style: dict[str, Any] = {"color": COLOURS[index % len(COLOURS)], "marker": "o", "markersize": 3}
            panel.plot(range(len(norms)), norms, label=layer.name, linewidth=1.5, **style)
    panel.set(xlabel="time step", ylabel="norm of dL/dI")
    if has_norms:
        panel.set_yscale("log")
        panel.legend(frameon=False, fontsize=9)
    else:
        _write_reason(panel, "no gradient in any layer")


def _draw_shares(panel: Axes, diagnosis: Diagnosis) -> None:
    """Draw the measured shares of `SHARES` as bars, grouped by layer."""
    positions = np.arange(len(diagnosis.layers))
    names = [name for name in SHARES if any(getattr(layer, name) is not None for layer in diagnosis.layers)]
    height = 0.8 / max(1, len(names))
    for number, name in enumerate(names):
        values = [getattr(layer, name) for layer in diagnosis.layers]
        known = [math.nan if value is None else value for value in values]
        offset = (number - (len(names) - 1) / 2) * height
        panel.barh(positions + offset, known, height * 0.9, color=COLOURS[number], label=SHARES[name])
    panel.set(xlim=(0, 1.0), xlabel="share")
    panel.set_yticks(positions, [layer.name for layer in diagnosis.layers])
    panel.invert_yaxis()
    if names:
        panel.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    else:
        _write_reason(panel, "no shares were asked for")


def _draw_cosines(panel: Axes, diagnosis: Diagnosis) -> None:
    """Draw one row for each layer, with a dot for the cosine of its gradient with each reference."""
    agreements = [agreement for agreement in diagnosis.agreements or () if agreement.cosine is not None]
    layers = [layer.name for layer in diagnosis.layers]
    references = list(dict.fromkeys(agreement.reference for agreement in agreements))
    for number, reference in enumerate(references):
        own = [agreement for agreement in agreements if agreement.reference == reference]
        offset = 0.18 * (number - (len(references) - 1) / 2)
        heights = [layers.index(agreement.layer) + offset for agreement in own]
        cosines = np.array([agreement.cosine for agreement in own], dtype=float)
        panel.scatter(cosines, heights, color=COLOURS[number], s=60, label=reference.replace("_", " "))
    panel.axvline(0, color=SOFT, linewidth=0.8)
    panel.set(xlim=(-1.05, 1.05), xlabel="cosine with a reference")
    panel.set_yticks(range(len(layers)), layers)
    panel.set_ylim(len(layers) - 0.5, -0.5)
    if agreements:
        panel.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    else:
        _write_reason(panel, "no gradient to compare")


def _write_reason(panel: Axes, text: str) -> None:
    panel.text(0.5, 0.5, text, ha="center", va="center", transform=panel.transAxes, color=SOFT)


LEVELS = 12


def line_figure(line: Sequence[LinePoint]) -> Figure:
    """Draw the loss along a line of weights, and its slope by differences and by the surrogate gradient.

    `line`: points in the order of alpha, 0 at the initial weights and 1 at the selected ones.
    """
    figure = Figure(figsize=(7.5, 6.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    alphas = [point.alpha for point in line]
    above.plot(alphas, _as_floats([point.loss for point in line]), color=BLUE, marker="o", markersize=3)
    above.set_ylabel("loss")
    slopes = (
        ("macroscopic", [point.macroscopic_slope for point in line], BLUE, "-"),
        ("surrogate gradient", [point.surrogate_slope for point in line], VERMILION, "--"),
    )
    for name, values, colour, dashes in slopes:
        below.plot(alphas, _as_floats(values), color=colour, linestyle=dashes, linewidth=1.8, label=name)
    below.axhline(0, color=SOFT, linewidth=0.8)
    below.set(xlabel="alpha", ylabel="slope of the loss")
    below.legend(frameon=False, fontsize=10)
    for panel in (above, below):
        for alpha in (0.0, 1.0):
            if alphas[0] <= alpha <= alphas[-1]:
                panel.axvline(alpha, color=GREEN, linewidth=0.8, linestyle=":")
    above.set_title("0: initial weights, 1: selected weights", fontsize=11)
    return figure


def _as_floats(values: Sequence[float | None]) -> list[float]:
    """Replace each None by NaN, which leaves a gap in a line."""
    return [math.nan if value is None else value for value in values]


def loops_figure(loops: Sequence[Sequence[float]]) -> Figure:
    """Draw the cumulative integral of a gradient around closed loops; that of a true gradient returns to 0.

    `loops`: for each loop, what each of its points adds to the integral: g . dr. Integrals are divided by the sum of
    the absolute values of these, so that loops of different lengths are comparable.
    """
    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    panel = figure.subplots()
    for index, increments in enumerate(loops):
        scale = sum(map(abs, increments)) or 1.0
        integral = np.concatenate([[0.0], np.cumsum(increments)]) / scale
        degrees = np.linspace(0, 360, len(integral))
        style: dict[str, Any] = {"color": COLOURS[index % len(COLOURS)], "linewidth": 1.5}
        panel.plot(degrees, integral, **style)
        label = f"plane {index}: {integral[-1]:+.2g}"
        panel.plot(degrees[-1:], integral[-1:], marker="o", label=label, **style)
    panel.axhline(0, color=SOFT, linewidth=0.8)
    panel.set(xlabel="way around the loop [degrees]", ylabel="collected, by the path of the loop")
    panel.set(xlim=(0, 360), xticks=range(0, 361, 90))
    panel.set_title("a gradient of any function would come back to 0", fontsize=11)
    figure.legend(frameon=False, fontsize=9, loc="outside right upper")
    return figure


def plane_figure(
    first: Sequence[float],
    second: Sequence[float],
    losses: Sequence[Sequence[float | None]],
    *,
    labels: tuple[str, str],
    marks: Sequence[tuple[float, float, str]],
) -> Figure:
    """Draw the loss over a plane of weights as a map with contours; losses that are not finite stay white.

    `first`, `second`: coordinates along the horizontal and the vertical axis. `losses`: [second, first]. `labels`: of
    both axes. `marks`: points to draw, as first and second coordinate and label.
    """
    figure = Figure(figsize=(7.2, 5.8), layout="constrained")
    panel = figure.subplots()
    values = np.array([_as_floats(row) for row in losses], dtype=float)
    drawn = panel.pcolormesh(first, second, values, cmap="viridis", shading="nearest")
    if np.isfinite(values).all() and values.min() < values.max():
        lines = panel.contour(first, second, values, levels=LEVELS, colors="white", linewidths=0.7)
        panel.clabel(lines, fontsize=8, fmt="%.3g")
    for x, y, label in marks:
        panel.plot([x], [y], marker="o", color=VERMILION, markeredgecolor="white", markersize=9)
        box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        panel.annotate(label, (x, y), (8, 8), textcoords="offset points", color=INK, fontsize=10, bbox=box)
    panel.set(xlabel=labels[0], ylabel=labels[1])
    figure.colorbar(drawn, ax=panel, label="loss")
    return figure


def exact_figure(cosines: Sequence[float], norm_ratios: Sequence[float], *, title: str) -> Figure:
    """Draw the sorted cosines and ratios of norms between surrogate and exact gradients of tiny networks."""
    figure = Figure(figsize=(9.0, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for panel, values in ((left, cosines), (right, norm_ratios)):
        ordered = sorted(values)
        panel.plot(range(1, len(ordered) + 1), ordered, color=BLUE, marker="o", linestyle="none")
        middle = ordered[(len(ordered) - 1) // 2]
        panel.axhline(middle, color=VERMILION, linewidth=1.2, label=f"median {middle:.3g}")
        panel.axhline(1.0, color=GREEN, linewidth=1.0, linestyle=":", label="exact")
        panel.set_xlabel("tiny network, in order")
    left.set_ylabel("cosine with the exact gradient")
    left.set_ylim(min(0.0, *cosines) - 0.05, 1.05)
    right.set(ylabel="norm by that of the exact gradient", yscale="log")
    for panel, corner in ((left, "lower right"), (right, "best")):
        panel.legend(frameon=False, fontsize=9, loc=corner)
    figure.suptitle(title, fontsize=11)
    return figure
