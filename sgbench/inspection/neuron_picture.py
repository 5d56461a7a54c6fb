"""The picture of a neuron: its response to a step of current and to a train of spikes, and its rate by current."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from sgbench.inspection.neuron_response import Rates, Response, rates, response, spike_train, step_current
from sgbench.neurons.base import Neuron
from sgbench.neurons.sequence import SequenceNeuron
from sgbench.plots.style import BLUE, GREEN, ORANGE, PURPLE, SKY, SOFT, VERMILION

STATE_COLOURS = (GREEN, PURPLE, SKY, ORANGE)
IN_A_LINE = 120  # characters of a formula
STIMULI = ("a step of current", "a train of spikes")
SENT = {
    "binary": "spikes",
    "signed": "signed spikes",
    "integer": "spike counts",
    "real": "output",
}


@dataclass(frozen=True)
class NeuronPicture:
    """Holds what the picture of a neuron shows."""

    name: str
    formula: str
    potential_label: str
    sent_label: str
    is_binary: bool  # whether it sends one spike or none
    responses: tuple[Response, Response]  # to each of `STIMULI`
    rate: Rates


@torch.no_grad()
def neuron_picture(name: str, neuron: Neuron, formula: str = "") -> NeuronPicture:
    """Collect what the picture of a neuron shows.

    Args:
        name: of the entry.
        neuron: a layer of one.
        formula: a line of mathematics above the picture.
    """
    responses = (
        response(neuron, step_current(neuron)),
        response(neuron, spike_train(neuron)),
    )
    is_sequence = isinstance(neuron, SequenceNeuron)
    return NeuronPicture(
        name=name,
        formula=formula,
        potential_label="potential \u2212 threshold" if is_sequence else "potential u",
        sent_label=SENT[neuron.sends],
        is_binary=neuron.sends == "binary",
        responses=responses,
        rate=rates(neuron),
    )


def neuron_figure(picture: NeuronPicture) -> Figure:
    """Draw responses over time, and what goes out by what comes in."""
    figure = Figure(figsize=(11.5, 6.0), layout="constrained")
    heights = (1, 3, 1, 1.6) if picture.responses[0].others else (1, 3, 1)
    grid = figure.add_gridspec(len(heights), 3, height_ratios=heights, width_ratios=(1.15, 1.15, 0.9))
    labels = ("input", picture.potential_label, picture.sent_label, "state")
    for column, (title, shown) in enumerate(zip(STIMULI, picture.responses, strict=True)):
        panels = [figure.add_subplot(grid[row, column]) for row in range(len(heights))]
        panels[0].set_title(title)
        _draw_response(panels, shown, labels if column == 0 else ())
    _draw_rate(figure.add_subplot(grid[:, 2]), picture)
    formula = textwrap.fill(picture.formula, IN_A_LINE)
    figure.suptitle(f"{picture.name}\n{formula}", fontsize=11)
    return figure


def _draw_response(panels: Sequence[Axes], response: Response, labels: Sequence[str]) -> None:
    """Draw input, potential, output and other states below each other."""
    times = np.arange(len(response.current))
    panels[0].plot(times, response.current, drawstyle="steps-mid", color=SOFT, linewidth=1.5)
    panels[1].plot(times, response.potential, color=BLUE, linewidth=1.8)
    if response.threshold is not None:
        panels[1].plot(times, response.threshold, color=SOFT, linestyle="--", linewidth=1.2)
        panels[1].annotate(
            "threshold", (times[-1], float(response.threshold[-1])), (0, 3), textcoords="offset points",
            ha="right", fontsize=9, color=SOFT,
        )  # fmt: skip
    _draw_sent(panels[2], response.sent)
    if response.others:
        _draw_states(panels[3], response.others)
    for panel in panels:
        panel.set_xlim(0, len(times) - 1)
        panel.tick_params(labelsize=9, labelbottom=panel is panels[-1])
    for panel, label in zip(panels, labels, strict=False):
        panel.set_ylabel(label, fontsize=10)
    panels[-1].set_xlabel("time step", fontsize=10)


def _draw_sent(panel: Axes, output: Tensor) -> None:
    """Draw a layer's output as vertical lines, in one line with gaps."""
    sent = output.numpy()
    (steps,) = np.nonzero(sent)
    gaps = np.full_like(sent[steps], np.nan)
    ends = np.stack([np.zeros_like(gaps), sent[steps], gaps], 1)
    panel.plot(steps.repeat(3), ends.ravel(), color=VERMILION, linewidth=1.8)
    panel.axhline(0, color=SOFT, linewidth=0.6)
    panel.set_yticks([])


def _draw_states(panel: Axes, states: dict[str, Tensor]) -> None:
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
