"""A picture of some samples of a data set: rasters, traces, images or points, with their classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sgbench.plots.style import BLUE, COLOURS, MARKERS, VERMILION

Array = NDArray[Any]
COLUMNS = 3
IN_A_ROW = 5  # classes of a legend


@dataclass(frozen=True)
class Raster:
    """Holds spikes of a sample, one array entry each."""

    time_ms: Array
    channel: Array
    until_ms: float
    channels: int


@dataclass(frozen=True)
class Image:
    """Holds grey values [height, width], the larger the darker."""

    values: Array


@dataclass(frozen=True)
class CameraEvents:
    """Holds brighter less darker events of each pixel of a camera [height, width]."""

    values: Array
    until_ms: float


@dataclass(frozen=True)
class Traces:
    """Holds values from 0 to 1 over steps [T, channels]."""

    values: Array


@dataclass(frozen=True)
class WantedSpikes:
    """Holds what outputs should send, one array entry a spike."""

    step: Array
    output: Array
    outputs: int


@dataclass(frozen=True)
class WantedTraces:
    """Holds what outputs should be over steps [T, outputs]."""

    values: Array


@dataclass(frozen=True)
class Sample:
    """Describes one sample in the form that it has."""

    title: str
    view: Raster | Image | CameraEvents | Traces
    classes: Array | None = None  # of each step [T], below 0 where there is none
    wanted: WantedSpikes | WantedTraces | None = None


@dataclass(frozen=True)
class Points:
    """Holds samples of two values each, an array entry a sample."""

    x: Array
    y: Array
    label: Array


def samples_figure(title: str, samples: Sequence[Sample], classes: int) -> Figure:
    """Draw samples of a data set beside each other.

    Args:
        title: above them.
        samples: in order.
        classes: of the data set, where steps have some.
    """
    columns = min(COLUMNS, len(samples))
    rows = math.ceil(len(samples) / columns)
    figure = Figure(figsize=(max(6.4, 3.6 * columns), 2.7 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for sample, panel in zip(samples, axes.flat, strict=False):
        panel.set_title(sample.title, fontsize=11, pad=6 if sample.classes is None else 18)
        _draw_view(panel, sample.view)
        if sample.classes is not None:
            _draw_strip(panel, sample.classes, classes)
        if sample.wanted is not None:
            _draw_wanted(panel, sample.wanted)
    for panel in axes.flat[len(samples) :]:
        panel.axis("off")
    if any(sample.classes is not None for sample in samples):
        patches = [Patch(color=_colour(label), label=f"class {label}") for label in range(classes)]
        figure.legend(handles=patches, frameon=False, loc="outside lower center", ncols=classes)
    figure.suptitle(title, fontsize=13)
    return figure


def points_figure(title: str, points: Points, classes: int) -> Figure:
    """Draw samples of two values as points, coloured by class."""
    figure = Figure(figsize=(6.2, 5.6), layout="constrained")
    panel = figure.subplots()
    for label in range(classes):
        own = points.label == label
        marker = MARKERS[label // len(COLOURS) % len(MARKERS)]
        look: dict[str, Any] = {"s": 9, "color": _colour(label), "marker": marker, "label": f"class {label}"}
        panel.scatter(points.x[own], points.y[own], **look)
    panel.set(xlabel="value 0", ylabel="value 1", aspect="equal")
    figure.legend(frameon=False, loc="outside lower center", ncols=min(IN_A_ROW, classes))
    figure.suptitle(title, fontsize=13)
    return figure


def _colour(label: int) -> str:
    return COLOURS[label % len(COLOURS)]


def _draw_view(panel: Axes, view: Raster | Image | CameraEvents | Traces) -> None:
    if isinstance(view, Raster):
        size = max(2.0, min(300.0, 1200 / view.channels))
        panel.scatter(view.time_ms, view.channel, s=size, marker="|", color=BLUE, linewidths=1.2)
        panel.set(xlim=(0, view.until_ms), ylim=(-0.5, view.channels - 0.5))
        panel.set(xlabel="time, ms", ylabel="channel")
    elif isinstance(view, Image):
        panel.imshow(view.values, cmap="gray_r", interpolation="nearest")
        panel.set(xticks=[], yticks=[])
    elif isinstance(view, CameraEvents):
        most = max(1, int(np.abs(view.values).max()))
        panel.imshow(view.values, cmap="RdBu", vmin=-most, vmax=most, interpolation="nearest")
        words = f"first {view.until_ms:.0f} ms: blue brighter, red darker"
        panel.set(xticks=[], yticks=[], xlabel=words)
    else:
        for number, values in enumerate(view.values.T):
            panel.step(range(len(values)), values, where="mid", linewidth=1.2, color=_colour(number))
        panel.set(xlabel="step", ylabel="value", ylim=(-0.05, 1.05))


def _draw_strip(panel: Axes, labels: Array, classes: int) -> None:
    """Draw above a sample the class of each step, nothing where there is none."""
    strip = panel.inset_axes((0, 1.02, 1, 0.08))
    colours = ListedColormap([_colour(label) for label in range(classes)])
    known = np.ma.masked_less(labels, 0)[None]
    strip.imshow(known, aspect="auto", cmap=colours, vmin=0, vmax=classes - 1, interpolation="nearest")
    strip.set(xticks=[], yticks=[])


def _draw_wanted(panel: Axes, wanted: WantedSpikes | WantedTraces) -> None:
    """Draw what the outputs of a sample should be on an axis of its own."""
    beside = panel.twinx()
    if isinstance(wanted, WantedSpikes):
        beside.scatter(wanted.step + 0.5, wanted.output, s=60, marker="|", color=VERMILION, linewidths=1.8)
        beside.set(ylabel="output", ylim=(-0.5, wanted.outputs - 0.5), yticks=range(wanted.outputs))
        return
    for values in wanted.values.T:
        beside.plot(range(len(values)), values, color=VERMILION, linewidth=1.4)
    beside.set(ylabel="target", ylim=(-0.05, 1.05) if wanted.values.min() >= 0 else (-1.05, 1.05))
