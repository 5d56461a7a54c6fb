"""Draws some samples of a data set: rasters, traces, images or points, with their classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from fastspiking.signals.spikes import SpikeTrains
from fastspiking.signals.trajectory import UNLABELLED
from sgbench.datasets.base import DataSet, Samples, Split
from sgbench.plots import style
from sgbench.plots.style import BLUE, COLOURS, MARKERS, VERMILION

Array = NDArray[Any]
COLUMNS, LEGEND_COLUMNS = 3, 5  # samples, and classes of a legend, side by side
LEAST_PIXELS, MOST_POINTS = 16, 2000  # a square number of values is drawn as an image from so many pixels on
BYTE, US_PER_MS = 255, 1000


@dataclass(frozen=True)
class Raster:
    """Holds the spikes of a sample."""

    time_ms: Array  # time of each spike
    channel: Array  # channel of each spike
    until_ms: float  # duration of the sample
    channels: int  # number of channels


@dataclass(frozen=True)
class Image:
    """Holds grey values [height, width]; larger is darker."""

    values: Array


@dataclass(frozen=True)
class CameraEvents:
    """Holds the number of ON minus OFF events of each pixel of an event camera, in the first part of a sample."""

    values: Array  # [height, width]
    until_ms: float  # end of that part


@dataclass(frozen=True)
class Traces:
    """Holds values over steps [T, channels]."""

    values: Array


@dataclass(frozen=True)
class WantedSpikes:
    """Holds the target spikes of the outputs."""

    step: Array  # time step of each spike
    output: Array  # index of the output of each spike
    outputs: int  # number of outputs


@dataclass(frozen=True)
class Sample:
    """Holds one sample and its target for a picture."""

    title: str
    view: Raster | Image | CameraEvents | Traces  # the sample
    classes: Array | None = None  # class of each step [T], negative without one
    wanted: WantedSpikes | Traces | None = None  # target outputs of a regression


def draw(name: str, dataset: DataSet, part: Samples, split: Split, path: Path, *, count: int) -> None:
    """Draw samples of a split to a file: `count` of them side by side, or points of a plane.

    Points are drawn of samples that are short vectors, neither images nor over time: one for each of the first
    2000 samples, whatever `count` is.
    """
    targets = f"of {dataset.n_classes} classes" if "class" in dataset.target else f"and their {dataset.target}"
    if dataset.target == "class_per_step":
        targets += ", one a step"
    title = f"{name}, {split}: {len(part.target)} samples {targets}"
    values = part.values
    if isinstance(values, Tensor) and values.ndim == 2 and not _is_image(values):  # noqa: PLR2004
        shown, target = values[:MOST_POINTS].numpy(), part.target[:MOST_POINTS].numpy()
        style.save(lambda: points_figure(title, shown, target, dataset.n_classes), path)
        return
    samples = samples_of(part, dataset, count)
    style.save(lambda: samples_figure(title, samples, dataset.n_classes), path)


def choose_samples(target: Tensor, count: int) -> list[int]:
    """Choose indices of samples: the first of each class in turn, then the second, and so on.

    >>> choose_samples(torch.tensor([1, 1, 0, 1, 0]), 3)
    [2, 0, 4]
    """
    chosen = []  # (which sample of its class, class, index), so that sorting takes the classes in turn
    for label in target.unique().tolist():
        indices = (target == label).nonzero().flatten().tolist()
        chosen += [(number, label, index) for number, index in enumerate(indices)]
    return [index for *_, index in sorted(chosen)[:count]]


def samples_of(part: Samples, dataset: DataSet, count: int) -> list[Sample]:
    """Convert `count` samples of a split and their targets to the form that pictures show."""
    is_class = dataset.target == "class"
    indices = choose_samples(part.target, count) if is_class else list(range(min(count, len(part.target))))
    samples = []
    for index in indices:
        target = part.target[index]
        title, view, classes, wanted = f"sample {index}", _view(part, dataset, index), None, None
        if is_class:
            title += f": class {int(target)}"
        elif dataset.target == "class_per_step":
            classes = torch.where(target == UNLABELLED, -1, target).numpy()
        else:
            wanted = _target_outputs(target, dataset)
        samples.append(Sample(title, view, classes, wanted))
    return samples


def _is_image(values: Tensor) -> bool:
    """Return whether samples [samples, values] have a square number of values, at least LEAST_PIXELS."""
    side = math.isqrt(values.shape[1])
    return values.shape[1] >= LEAST_PIXELS and side * side == values.shape[1]


def _view(part: Samples, dataset: DataSet, index: int) -> Raster | Image | CameraEvents | Traces:
    """Convert one sample to the form in which it is drawn."""
    values = part.values
    if isinstance(values, SpikeTrains):
        train = values[torch.tensor([index])]
        return _raster(train) if dataset.image is None else _count_camera_events(train, dataset.image)
    if values.ndim == 2:  # noqa: PLR2004 - an image
        side = math.isqrt(values.shape[1])
        return Image(values[index].view(side, side).numpy())
    scale = 1 if values.is_floating_point() else BYTE
    return Traces((values[index] / scale).numpy())


def _raster(train: SpikeTrains) -> Raster:
    """Convert the spikes of one sample to dots of a time [ms] and a channel."""
    return Raster(
        time_ms=(train.time_us / US_PER_MS).numpy(),
        channel=train.channel.numpy(),
        until_ms=train.duration_us.item() / US_PER_MS,
        channels=train.n_channels,
    )


def _count_camera_events(train: SpikeTrains, image: tuple[int, int, int]) -> CameraEvents:
    """Count ON minus OFF events of each pixel in the first third; `image`: (polarities, height, width)."""
    until_us = int(train.duration_us.item()) // 3
    early_channels = train.channel[train.time_us < until_us].long()
    counts = torch.bincount(early_channels, minlength=train.n_channels).view(image)
    difference = counts[-1] - counts[0] if len(counts) > 1 else counts[0]  # one polarity: its count
    return CameraEvents(difference.numpy(), until_us / US_PER_MS)


def _target_outputs(target: Tensor, dataset: DataSet) -> WantedSpikes | Traces:
    """Convert the target [T, outputs] of a regression to the form in which it is drawn."""
    if dataset.target == "spikes":
        step, output = target.nonzero(as_tuple=True)
        return WantedSpikes(step.numpy(), output.numpy(), target.shape[1])
    return Traces(target.numpy())


def samples_figure(title: str, samples: Sequence[Sample], classes: int) -> Figure:
    """Draw samples of a data set side by side with their targets; `classes` is the number of classes."""
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


def points_figure(title: str, values: Array, target: Array, classes: int) -> Figure:
    """Draw the first two values of each sample [samples, inputs] as a point, coloured by class [samples].

    `classes` is the number of classes. Samples of one value lie on the diagonal.
    """
    figure = Figure(figsize=(6.2, 5.6), layout="constrained")
    panel = figure.subplots()
    for label in range(classes):
        points = values[target == label]
        marker = MARKERS[label // len(COLOURS) % len(MARKERS)]
        x, y = points[:, 0], points[:, min(1, points.shape[1] - 1)]
        panel.scatter(x, y, s=9, color=_colour(label), marker=marker, label=f"class {label}")
    panel.set(xlabel="value 0", ylabel="value 1", aspect="equal")
    figure.legend(frameon=False, loc="outside lower center", ncols=min(LEGEND_COLUMNS, classes))
    figure.suptitle(title, fontsize=13)
    return figure


def _colour(label: int) -> str:
    """Return the colour of a class or channel; colours repeat."""
    return COLOURS[label % len(COLOURS)]


def _draw_view(panel: Axes, view: Raster | Image | CameraEvents | Traces) -> None:
    """Draw one sample, by its form."""
    if isinstance(view, Raster):
        size = max(2.0, min(300.0, 1200 / view.channels))
        panel.scatter(view.time_ms, view.channel, s=size, marker="|", color=BLUE, linewidths=1.2)
        panel.set(xlim=(0, view.until_ms), ylim=(-0.5, view.channels - 0.5), xlabel="time, ms", ylabel="channel")
    elif isinstance(view, Image):
        panel.imshow(view.values, cmap="gray_r", interpolation="nearest")
        panel.set(xticks=[], yticks=[])
    elif isinstance(view, CameraEvents):
        most = max(1, int(np.abs(view.values).max()))
        panel.imshow(view.values, cmap="RdBu", vmin=-most, vmax=most, interpolation="nearest")
        panel.set(xticks=[], yticks=[], xlabel=f"first {view.until_ms:.0f} ms: blue brighter, red darker")
    else:
        for number, values in enumerate(view.values.T):
            panel.step(range(len(values)), values, where="mid", linewidth=1.2, color=_colour(number))
        panel.set(xlabel="step", ylabel="value", ylim=(-0.05, 1.05))


def _draw_strip(panel: Axes, labels: Array, classes: int) -> None:
    """Draw the class of each step as a coloured strip above a sample; steps with a negative label stay blank."""
    strip = panel.inset_axes((0, 1.02, 1, 0.08))
    colours = ListedColormap([_colour(label) for label in range(classes)])
    known = np.ma.masked_less(labels, 0)[None]
    strip.imshow(known, aspect="auto", cmap=colours, vmin=0, vmax=classes - 1, interpolation="nearest")
    strip.set(xticks=[], yticks=[])


def _draw_wanted(panel: Axes, wanted: WantedSpikes | Traces) -> None:
    """Draw the target outputs of a sample on a second y axis."""
    twin = panel.twinx()
    if isinstance(wanted, WantedSpikes):
        twin.scatter(wanted.step + 0.5, wanted.output, s=60, marker="|", color=VERMILION, linewidths=1.8)
        twin.set(ylabel="output", ylim=(-0.5, wanted.outputs - 0.5), yticks=range(wanted.outputs))
        return
    for values in wanted.values.T:
        twin.plot(range(len(values)), values, color=VERMILION, linewidth=1.4)
    twin.set(ylabel="target", ylim=(-0.05, 1.05) if wanted.values.min() >= 0 else (-1.05, 1.05))
