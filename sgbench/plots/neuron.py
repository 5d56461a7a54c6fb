"""The picture of a neuron: its response to a step of current and to a train of spikes, and its rate by current."""

from __future__ import annotations

import textwrap
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgbench.composition.catalogue import Entry
from sgbench.inspection.neuron_response import Response, rates, response, spike_train, step_current
from sgbench.neurons.base import Neuron
from sgbench.neurons.sequence import SequenceNeuron
from sgbench.plots.surrogate import BLUE, GREY, ORANGE

COLOURS = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00")
SENT = {
    "binary": "spikes",
    "signed": "signed spikes",
    "integer": "spike counts",
    "real": "output",
}


def neuron_figure(entry: Entry, neuron: Neuron) -> Figure:
    """Two responses over time, and what goes out by what comes in."""
    figure = Figure(figsize=(11.5, 6.0), layout="constrained")
    with torch.no_grad():
        responses = [
            ("a step of current", response(neuron, step_current(neuron))),
            ("a train of spikes", response(neuron, spike_train(neuron))),
        ]
    heights = (1, 3, 1, 1.6) if responses[0][1].others else (1, 3, 1)
    grid = figure.add_gridspec(len(heights), 3, height_ratios=heights, width_ratios=(1.15, 1.15, 0.9))
    for column, (title, found) in enumerate(responses):
        axes = [figure.add_subplot(grid[row, column]) for row in range(len(heights))]
        axes[0].set_title(title)
        _draw_response(axes, neuron, found, first=column == 0)
    _draw_rates(figure.add_subplot(grid[:, 2]), neuron)
    formula = textwrap.fill(str(entry.meta.get("formula", "")), 120)
    figure.suptitle(f"{entry.name}\n{formula}", fontsize=11)
    return figure


def _draw_response(axes: list[Axes], neuron: Neuron, found: Response, *, first: bool) -> None:
    times = torch.arange(len(found.current))
    labels = ["input", _potential_label(neuron), SENT[neuron.sends], "state"]
    axes[0].plot(times, found.current, drawstyle="steps-mid", color=GREY, linewidth=1.5)
    axes[1].plot(times, found.potential, color=BLUE, linewidth=1.8)
    if found.threshold is not None:
        axes[1].plot(times, found.threshold, color=GREY, linestyle="--", linewidth=1.2)
        axes[1].annotate(
            "threshold", (times[-1], found.threshold[-1]), (0, 3), textcoords="offset points",
            ha="right", fontsize=9, color=GREY,
        )  # fmt: skip
    sending = (found.sent != 0).nonzero().flatten()
    gap = torch.full_like(found.sent[sending], torch.nan)
    ends = torch.stack([torch.zeros_like(gap), found.sent[sending], gap], 1)  # one line with gaps
    axes[2].plot(times[sending].repeat_interleave(3), ends.flatten(), color=ORANGE, linewidth=1.8)
    axes[2].axhline(0, color=GREY, linewidth=0.6)
    axes[2].set_yticks([])
    if found.others:
        for (name, values), colour in zip(found.others.items(), COLOURS, strict=False):
            axes[3].plot(times, values, color=colour, linewidth=1.5, label=name)
        low, high = axes[3].get_ylim()
        axes[3].set_ylim(low, high + 0.5 * (high - low))  # room for the names
        axes[3].legend(frameon=False, fontsize=9, loc="upper left", ncols=4, borderaxespad=0)
    for each, label in zip(axes, labels, strict=False):
        each.set_xlim(0, len(times) - 1)
        each.tick_params(labelsize=9, labelbottom=each is axes[-1])
        if first:
            each.set_ylabel(label, fontsize=10)
    axes[-1].set_xlabel("time step", fontsize=10)


def _potential_label(neuron: Neuron) -> str:
    return "potential \u2212 threshold" if isinstance(neuron, SequenceNeuron) else "potential u"


def _draw_rates(axes: Axes, neuron: Neuron) -> None:
    found = rates(neuron)
    style: Any = {"color": ORANGE, "linewidth": 2}
    axes.plot(found.current, found.sent, **style)
    axes.set_title("rate by constant current")
    axes.set_xlabel("current", fontsize=10)
    axes.set_ylabel(f"{SENT[neuron.sends]} per step, in the mean", fontsize=10)
    axes.tick_params(labelsize=9)
    axes.set_xlim(0, float(found.current[-1]))
    axes.locator_params(axis="x", nbins=5)
    if neuron.sends == "binary":
        axes.set_ylim(0, max(0.05, 1.08 * float(found.sent.max())))
