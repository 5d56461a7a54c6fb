"""The picture of a neuron: its response to a step of current and to a train of spikes, and its rate by current."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sgbench.plots.style import BLUE, GREEN, ORANGE, PURPLE, SKY, SOFT, VERMILION

Floats = NDArray[np.floating]
STATE_COLOURS = (GREEN, PURPLE, SKY, ORANGE)
IN_A_LINE = 120  # characters of a formula


@dataclass(frozen=True)
class ResponseCurves:
    """Describes one neuron over time, an array of [T] each."""

    title: str
    current: Floats
    sent: Floats
    potential: Floats
    threshold: Floats | None  # in force; None where there is none to draw
    states: dict[str, Floats]  # by name


@dataclass(frozen=True)
class ResponseCurve:
    """Holds what goes out per step, in the mean, by the constant current that comes in: an array of [B] each."""

    current: Floats
    sent: Floats


@dataclass(frozen=True)
class NeuronPicture:
    """Holds what the picture of a neuron shows."""

    name: str
    formula: str
    potential_label: str
    sent_label: str
    is_binary: bool  # whether it sends one spike or none
    responses: tuple[ResponseCurves, ...]
    rate: ResponseCurve


def neuron_figure(picture: NeuronPicture) -> Figure:
    """Draw responses over time, and what goes out by what comes in."""
    figure = Figure(figsize=(11.5, 6.0), layout="constrained")
    heights = (1, 3, 1, 1.6) if picture.responses[0].states else (1, 3, 1)
    grid = figure.add_gridspec(len(heights), 3, height_ratios=heights, width_ratios=(1.15, 1.15, 0.9))
    labels = ("input", picture.potential_label, picture.sent_label, "state")
    for column, response in enumerate(picture.responses):
        panels = [figure.add_subplot(grid[row, column]) for row in range(len(heights))]
        panels[0].set_title(response.title)
        _draw_response(panels, response, labels if column == 0 else ())
    _draw_rate(figure.add_subplot(grid[:, 2]), picture)
    formula = textwrap.fill(picture.formula, IN_A_LINE)
    figure.suptitle(f"{picture.name}\n{formula}", fontsize=11)
    return figure


def _draw_response(panels: Sequence[Axes], response: ResponseCurves, labels: Sequence[str]) -> None:
    """Draw input, potential, output and other states below each other."""
    times = np.arange(len(response.current))
    panels[0].plot(times, response.current, drawstyle="steps-mid", color=SOFT, linewidth=1.5)
    panels[1].plot(times, response.potential, color=BLUE, linewidth=1.8)
    if response.threshold is not None:
        panels[1].plot(times, response.threshold, color=SOFT, linestyle="--", linewidth=1.2)
        panels[1].annotate(
            "threshold", (times[-1], response.threshold[-1]), (0, 3), textcoords="offset points",
            ha="right", fontsize=9, color=SOFT,
        )  # fmt: skip
    _draw_sent(panels[2], response.sent)
    if response.states:
        _draw_states(panels[3], response.states)
    for panel in panels:
        panel.set_xlim(0, len(times) - 1)
        panel.tick_params(labelsize=9, labelbottom=panel is panels[-1])
    for panel, label in zip(panels, labels, strict=False):
        panel.set_ylabel(label, fontsize=10)
    panels[-1].set_xlabel("time step", fontsize=10)


def _draw_sent(panel: Axes, sent: Floats) -> None:
    """Draw a layer's output as vertical lines, in one line with gaps."""
    (steps,) = np.nonzero(sent)
    gaps = np.full_like(sent[steps], np.nan)
    ends = np.stack([np.zeros_like(gaps), sent[steps], gaps], 1)
    panel.plot(steps.repeat(3), ends.ravel(), color=VERMILION, linewidth=1.8)
    panel.axhline(0, color=SOFT, linewidth=0.6)
    panel.set_yticks([])


def _draw_states(panel: Axes, states: dict[str, Floats]) -> None:
    for (name, values), colour in zip(states.items(), STATE_COLOURS, strict=False):
        panel.plot(np.arange(len(values)), values, color=colour, linewidth=1.5, label=name)
    low, high = panel.get_ylim()
    panel.set_ylim(low, high + 0.5 * (high - low))  # room for the names
    panel.legend(frameon=False, fontsize=9, loc="upper left", ncols=4, borderaxespad=0)


def _draw_rate(axes: Axes, picture: NeuronPicture) -> None:
    style: Any = {"color": VERMILION, "linewidth": 2}
    axes.plot(picture.rate.current, picture.rate.sent, **style)
    axes.set_title("rate by constant current")
    axes.set_xlabel("current", fontsize=10)
    axes.set_ylabel(f"{picture.sent_label} per step, in the mean", fontsize=10)
    axes.tick_params(labelsize=9)
    axes.set_xlim(0, float(picture.rate.current[-1]))
    axes.locator_params(axis="x", nbins=5)
    if picture.is_binary:
        axes.set_ylim(0, max(0.05, 1.08 * float(picture.rate.sent.max())))
