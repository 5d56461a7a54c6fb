"""A picture of some samples of a data set: rasters, traces, images or points, with their classes."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from sgbench.datasets.base import DataSet, Samples, Split
from sgbench.plots.portrait import STYLE, save
from sgbench.plots.surrogate import BLUE, ORANGE
from sgbench.signals.spike_trains import SpikeTrains
from sgbench.signals.trajectory import UNLABELLED

COLUMNS = 3
IMAGE_FROM = 16  # pixels from which a square number of values is drawn as an image
POINTS = 2000
COLOURS = (
    "#1f6feb",
    "#e36209",
    "#2da44e",
    "#8250df",
    "#bf3989",
    "#57606a",
    "#9a6700",
    "#0a7ea4",
    "#cf222e",
    "#000000",
)


def draw(name: str, made: DataSet, part: Samples, split: Split, path: Path, *, count: int) -> None:
    """Write the picture.

    Args:
        name: of the entry.
        made: the data set.
        part: a split of it.
        split: its name.
        path: of the file.
        count: samples to draw, one class after another.

    Raises:
        StorageError: the file cannot be written.
    """
    with mpl.rc_context(STYLE):
        values = part.values
        if isinstance(values, Tensor) and values.ndim == 2 and not _is_image(values):  # noqa: PLR2004
            figure = _points(part, made)
        else:
            figure = _samples(part, made, count)
        asked = f"of {made.n_classes} classes" if "class" in made.target else f"and their {made.target}"
        asked += ", one a step" if made.target == "class_per_step" else ""
        figure.suptitle(f"{name}, {split}: {len(part.target)} samples {asked}", fontsize=13)
        save(figure, path)


def chosen(target: Tensor, count: int) -> list[int]:
    """Positions of samples, the first of each class in turn, then the second, and so on.

    >>> chosen(torch.tensor([1, 1, 0, 1, 0]), 3)
    [2, 0, 4]
    """
    places = [(target == label).nonzero().flatten().tolist() for label in target.unique().tolist()]
    ranked = sorted(
        (rank, label, place) for label, each in enumerate(places) for rank, place in enumerate(each)
    )
    return [place for *_, place in ranked[:count]]


def _is_image(values: Tensor) -> bool:
    side = math.isqrt(values.shape[1])
    return values.shape[1] >= IMAGE_FROM and side * side == values.shape[1]


def _samples(part: Samples, made: DataSet, count: int) -> Figure:
    is_class = made.target == "class"
    places = chosen(part.target, count) if is_class else list(range(min(count, len(part.target))))
    columns = min(COLUMNS, len(places))
    rows = math.ceil(len(places) / columns)
    figure = Figure(figsize=(max(6.4, 3.6 * columns), 2.7 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for place, panel in zip(places, axes.flat, strict=False):
        label = f": class {int(part.target[place])}" if is_class else ""
        panel.set_title(
            f"sample {place}{label}", fontsize=11, pad=18 if made.target == "class_per_step" else 6
        )
        _one(panel, part, made, place)
        if made.target == "class_per_step":
            _strip(panel, part.target[place], made)
        elif not is_class:
            _wanted(panel, part.target[place], made)
    for panel in axes.flat[len(places) :]:
        panel.axis("off")
    if made.target == "class_per_step":
        patches = [Patch(color=COLOURS[label], label=f"class {label}") for label in range(made.n_classes)]
        figure.legend(handles=patches, frameon=False, loc="outside lower center", ncols=made.n_classes)
    return figure


def _strip(panel: Axes, labels: Tensor, made: DataSet) -> None:
    """Above a sample the class of each step, nothing where there is none."""
    strip = panel.inset_axes((0, 1.02, 1, 0.08))
    colours = ListedColormap(COLOURS[: made.n_classes])
    known = np.ma.masked_equal(labels.numpy(), UNLABELLED)[None]
    strip.imshow(known, aspect="auto", cmap=colours, vmin=0, vmax=made.n_classes - 1, interpolation="nearest")
    strip.set(xticks=[], yticks=[])


def _one(panel: Axes, part: Samples, made: DataSet, place: int) -> None:
    """One sample in the form that it has."""
    values = part.values
    if isinstance(values, SpikeTrains) and made.image is not None:
        _camera(panel, values[torch.tensor([place])], made.image)
    elif isinstance(values, SpikeTrains):
        own = values[torch.tensor([place])]
        size = max(2.0, min(300.0, 1200 / own.n_channels))
        panel.scatter(own.time_us / 1000, own.channel, s=size, marker="|", color=BLUE, linewidths=1.2)
        panel.set(xlim=(0, own.duration_us.item() / 1000), ylim=(-0.5, own.n_channels - 0.5))
        panel.set(xlabel="time, ms", ylabel="channel")
    elif values.ndim == 2:  # noqa: PLR2004 - an image
        side = math.isqrt(values.shape[1])
        panel.imshow(values[place].view(side, side).numpy(), cmap="gray_r", interpolation="nearest")
        panel.set(xticks=[], yticks=[])
    else:
        scale = 1 if values.is_floating_point() else 255
        for channel in range(made.n_inputs):
            panel.step(range(values.shape[1]), values[place, :, channel] / scale, where="mid", linewidth=1.2)
        panel.set(xlabel="step", ylabel="value", ylim=(-0.05, 1.05))


def _camera(panel: Axes, own: SpikeTrains, image: tuple[int, int, int]) -> None:
    """What a camera saw in the first third of a sample: brighter less darker events of each pixel."""
    until_us = int(own.duration_us.item()) // 3
    early = own.channel[own.time_us < until_us].long()
    counts = torch.bincount(early, minlength=own.n_channels).view(image)
    seen = (counts[-1] - counts[0] if len(counts) > 1 else counts[0]).numpy()
    most = max(1, int(np.abs(seen).max()))
    panel.imshow(seen, cmap="RdBu", vmin=-most, vmax=most, interpolation="nearest")
    panel.set(xticks=[], yticks=[], xlabel=f"first {until_us / 1000:.0f} ms: blue brighter, red darker")


def _wanted(panel: Axes, target: Tensor, made: DataSet) -> None:
    """What the outputs of a sample should be, in orange on an axis of its own."""
    beside = panel.twinx()
    if made.target == "spikes":
        step, output = target.nonzero(as_tuple=True)
        beside.scatter(step + 0.5, output, s=60, marker="|", color=ORANGE, linewidths=1.8)
        beside.set(ylabel="output", ylim=(-0.5, target.shape[1] - 0.5), yticks=range(target.shape[1]))
        return
    for output in range(target.shape[1]):
        beside.plot(range(len(target)), target[:, output], color=ORANGE, linewidth=1.4)
    beside.set(ylabel="target", ylim=(-0.05, 1.05) if target.min() >= 0 else (-1.05, 1.05))


def _points(part: Samples, made: DataSet) -> Figure:
    """The first two values of each sample, coloured by class."""
    if not isinstance(part.values, Tensor):
        raise TypeError("points have values")
    figure = Figure(figsize=(6.2, 5.6), layout="constrained")
    panel = figure.subplots()
    for label in range(made.n_classes):
        own = part.values[:POINTS][part.target[:POINTS] == label]
        colour = COLOURS[label % len(COLOURS)]
        panel.scatter(own[:, 0], own[:, min(1, made.n_inputs - 1)], s=9, color=colour, label=f"class {label}")
    panel.set(xlabel="value 0", ylabel="value 1", aspect="equal")
    figure.legend(frameon=False, loc="outside lower center", ncols=min(5, made.n_classes))
    return figure
