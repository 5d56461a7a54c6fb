"""The picture of a run: learning curves, and spikes and membrane potentials of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from sgbench.plots.style import BLUE, COLOURS, GREEN, SOFT, VERMILION

Array = NDArray[Any]


@dataclass(frozen=True)
class Curves:
    """Holds what each epoch came to, an array entry an epoch."""

    epoch: Array
    train_loss: Array
    validation_loss: Array
    validation_accuracy: Array | None  # None where there are no classes
    best_epoch: int | None


@dataclass(frozen=True)
class LayerRates:
    """Holds spikes of a layer's neurons in a step, at the weights of which they are known."""

    name: str
    by_epoch: Array | None  # on validation, an entry an epoch; None where the record does not say
    where: tuple[str, ...]  # what else is known, in words
    rate: tuple[float, ...]


@dataclass(frozen=True)
class ShownSample:
    """Holds what one sample of the validation split makes of the network, by layer."""

    title: str
    spikes: dict[str, Array]  # of layers that fire [T, N]
    potentials: dict[str, Array]  # minus threshold, of a few neurons of each layer [T, few]


@dataclass(frozen=True)
class RunPicture:
    """Holds what the picture of a run shows."""

    title: str
    curves: Curves
    rates: tuple[LayerRates, ...]
    no_epochs: str  # why there are no rates by epoch; empty where there are
    samples: tuple[ShownSample, ...]


def run_figure(picture: RunPicture) -> Figure:
    """Draw curves and rates above, and below a row of spikes and potentials for each sample."""
    rows = 1 + len(picture.samples)
    figure = Figure(figsize=(14.5, 3.9 * rows), layout="constrained")
    parts = figure.subfigures(rows, 1, squeeze=False)[:, 0]
    top = parts[0].subplots(1, 3)
    _draw_losses(top[0], picture.curves)
    _draw_accuracy(top[1], picture.curves)
    _draw_rates(top[2], picture)
    parts[0].suptitle(picture.title, fontsize=13)
    for part, sample in zip(parts[1:], picture.samples, strict=True):
        panels = part.subplots(1, 2)
        _draw_spikes(panels[0], sample)
        _draw_potentials(panels[1], sample)
        part.suptitle(sample.title, fontsize=12)
    return figure


def _draw_losses(panel: Axes, curves: Curves) -> None:
    panel.plot(curves.epoch, curves.train_loss, color=BLUE, marker="o", markersize=3, label="training")
    panel.plot(
        curves.epoch, curves.validation_loss, color=VERMILION, marker="o", markersize=3, label="validation"
    )
    _mark_best(panel, curves)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set(xlabel="epoch", ylabel="loss")
    panel.legend(frameon=False, fontsize=9)


def _draw_accuracy(panel: Axes, curves: Curves) -> None:
    panel.set(xlabel="epoch", ylabel="validation accuracy, %")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    if curves.validation_accuracy is None:
        panel.text(0.5, 0.5, "no classes", ha="center", transform=panel.transAxes, color=SOFT)
        return
    panel.plot(curves.epoch, 100 * curves.validation_accuracy, color=VERMILION, marker="o", markersize=3)
    _mark_best(panel, curves)


def _mark_best(panel: Axes, curves: Curves) -> None:
    if curves.best_epoch is not None:
        panel.axvline(curves.best_epoch, color=GREEN, linewidth=0.9, linestyle=":")


def _draw_rates(panel: Axes, picture: RunPicture) -> None:
    """Draw rates by epoch, or at the few weights of which they are known, with the reason."""
    highest = 0.0
    for place, layer in enumerate(picture.rates):
        look: dict[str, Any] = {"color": COLOURS[place % len(COLOURS)], "label": layer.name}
        if layer.by_epoch is None:
            panel.plot(range(len(layer.rate)), layer.rate, marker="o", **look)
            panel.set_xticks(range(len(layer.rate)), layer.where)
            panel.margins(x=0.15)
            highest = max(highest, *layer.rate)
        else:
            panel.plot(picture.curves.epoch, layer.by_epoch, marker="o", markersize=3, **look)
            _mark_test(panel, picture.curves, layer, look["color"])
            highest = max(highest, *layer.by_epoch)
    panel.set(ylabel="spikes a neuron and step", ylim=(0, 1.25 * highest or None))  # room for the legend
    if any(layer.by_epoch is not None and "test" in layer.where for layer in picture.rates):
        panel.plot(
            [], [], linestyle="", marker="D", fillstyle="none", color=SOFT, label="test, selected weights"
        )
    if picture.rates:
        panel.legend(frameon=False, fontsize=9)
    if picture.no_epochs:
        panel.set_xlabel(picture.no_epochs, color=SOFT, fontsize=10)
    else:
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        _mark_best(panel, picture.curves)


def _mark_test(panel: Axes, curves: Curves, layer: LayerRates, color: str) -> None:
    """Mark what the selected weights do on the test split."""
    if curves.best_epoch is not None and "test" in layer.where:
        rate = layer.rate[layer.where.index("test")]
        panel.plot(curves.best_epoch, rate, marker="D", fillstyle="none", color=color)


def _draw_spikes(panel: Axes, sample: ShownSample) -> None:
    """Draw the spikes of layers above each other, the first layer at the bottom."""
    below, ticks = 0, []
    steps = 1
    for place, (name, spikes) in enumerate(sample.spikes.items()):
        step, neuron = np.nonzero(spikes)
        panel.scatter(step, below + neuron, s=14, marker="|", color=COLOURS[place % len(COLOURS)])
        ticks.append((below + spikes.shape[1] / 2, name))
        below += spikes.shape[1]
        steps = len(spikes)
        panel.axhline(below, color=SOFT, linewidth=0.6)
    panel.set_yticks([at for at, _ in ticks], [name for _, name in ticks])
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set(xlabel="time step", ylim=(0, max(1, below)), xlim=(-0.5, steps - 0.5))


def _draw_potentials(panel: Axes, sample: ShownSample) -> None:
    for place, (name, potentials) in enumerate(sample.potentials.items()):
        for number, values in enumerate(potentials.T):
            look: dict[str, Any] = {"color": COLOURS[place % len(COLOURS)], "linewidth": 1.2, "alpha": 0.8}
            panel.plot(range(len(values)), values, label=name if number == 0 else None, **look)
    panel.axhline(0, color=SOFT, linewidth=0.9, linestyle="--")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set(xlabel="time step", ylabel="potential minus threshold")
    panel.legend(frameon=False, fontsize=9)
