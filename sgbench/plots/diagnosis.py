"""Pictures of diagnoses: the gradient by layer and step, shares by layer, agreement with references."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgbench.plots.style import COLOURS, SOFT
from sgbench.records.diagnosis import Diagnosis

SHARES = {  # label by field of `LayerDiagnosis`
    "nonzero_parameters": "weights reached",
    "in_window_fraction": "in the window",
    "gradient_dead_fraction": "gradient-dead neurons",
    "dead_fraction": "silent neurons",
}


def diagnosis_figure(diagnoses: Sequence[Diagnosis]) -> Figure:
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
            style: dict[str, Any] = {"color": COLOURS[index % len(COLOURS)], "marker": "o", "markersize": 3}
            panel.plot(range(len(steps)), steps, label=layer, linewidth=1.5, **style)
        panel.set(xlabel="time step", ylabel=label)
        if name == "variation" and any(value for measures in layers.values() for value in measures[name]):
            panel.set_yscale("log")
        panel.legend(frameon=False, fontsize=9)
    return figure


def _draw_norms(panel: Axes, diagnosis: Diagnosis) -> None:
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
    """Draw a row a layer, and in it a dot for the cosine of its gradient with each reference."""
    lines = [line for line in diagnosis.agreements or () if line.cosine is not None]
    layers = [layer.name for layer in diagnosis.layers]
    references = list(dict.fromkeys(line.reference for line in lines))
    for number, reference in enumerate(references):
        of_reference = [line for line in lines if line.reference == reference]
        offset = 0.18 * (number - (len(references) - 1) / 2)
        heights = [layers.index(line.layer) + offset for line in of_reference]
        cosines = np.array([line.cosine for line in of_reference], dtype=float)
        panel.scatter(cosines, heights, color=COLOURS[number], s=60, label=reference.replace("_", " "))
    panel.axvline(0, color=SOFT, linewidth=0.8)
    panel.set(xlim=(-1.05, 1.05), xlabel="cosine with a reference")
    panel.set_yticks(range(len(layers)), layers)
    panel.set_ylim(len(layers) - 0.5, -0.5)
    if lines:
        panel.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    else:
        _write_reason(panel, "no gradient to compare")


def _write_reason(panel: Axes, text: str) -> None:
    panel.text(0.5, 0.5, text, ha="center", va="center", transform=panel.transAxes, color=SOFT)
