"""Draws a run: learning curves and rates of its record, spikes and potentials of samples."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from sgbench.plots.style import BLUE, COLOURS, GREEN, SOFT, VERMILION
from sgbench.records.record import RunRecord

Array = NDArray[Any]


@dataclass(frozen=True)
class LayerRates:
    """Holds the rates of a layer [spikes per neuron and step]."""

    name: str
    by_epoch: Array | None  # on validation, one for each epoch; None if the record has none
    where: tuple[str, ...]  # labels of the other known rates, such as "test"
    rate: tuple[float, ...]  # the other known rates


@dataclass(frozen=True)
class ShownSample:
    """Holds the network's response to one validation sample."""

    title: str
    spikes: dict[str, Array]  # maps layers that fire to their spikes [T, N]
    potentials: dict[str, Array]  # maps layers to potential minus threshold of a few neurons [T, few]


@dataclass(frozen=True)
class RunPicture:
    """Holds the record, rates and samples in the picture of a run."""

    record: RunRecord
    rates: tuple[LayerRates, ...]
    samples: tuple[ShownSample, ...]


def layer_rates(record: RunRecord) -> tuple[LayerRates, ...]:
    """Collect for each layer its rates: by epoch, and in diagnoses during training, on validation and on test."""
    known: dict[str, list[tuple[str, float]]] = {}
    for diagnosis in record.diagnosis or ():
        for layer in diagnosis.layers:
            if layer.rate_per_step is not None and diagnosis.weights != "selected":
                known.setdefault(layer.name, []).append((diagnosis.weights, layer.rate_per_step))
    for split, scores in (("validation", record.validation), ("test", record.test)):
        for line in () if scores is None else scores.activity:
            known.setdefault(line.name, []).append((split, line.rate_per_step))
    by_epoch = {layer.name: np.array(layer.rate_per_step) for layer in record.validation_rates or ()}
    return tuple(
        LayerRates(
            name,
            by_epoch.get(name),
            where=tuple(where for where, _ in known.get(name, ())),
            rate=tuple(rate for _, rate in known.get(name, ())),
        )
        for name in by_epoch or known
    )


def why_no_rates(record: RunRecord) -> str:
    """Write why a record has no rates by epoch; empty if it has some."""
    if record.validation_rates is not None:
        return ""
    if record.validation is not None and not record.validation.activity:
        return "no layer fires"
    return "no rates by epoch: the record is from before they were kept"


def run_figure(picture: RunPicture) -> Figure:
    """Draw losses, accuracy and rates in the first row, and spikes and potentials of a sample in each further one."""
    rows = 1 + len(picture.samples)
    figure = Figure(figsize=(11.0, 3.7 * rows), layout="constrained")
    parts = figure.subfigures(rows, 1, squeeze=False)[:, 0]
    top = parts[0].subplots(1, 3)
    _draw_losses(top[0], picture.record)
    _draw_accuracy(top[1], picture.record)
    _draw_rates(top[2], picture)
    record = picture.record
    parts[0].suptitle(f"{record.protocol}, {record.method.label}, seed {record.seed}", fontsize=13)
    for part, sample in zip(parts[1:], picture.samples, strict=True):
        panels = part.subplots(1, 2)
        _draw_spikes(panels[0], sample)
        _draw_potentials(panels[1], sample)
        part.suptitle(sample.title, fontsize=12)
    return figure


def _draw_losses(panel: Axes, record: RunRecord) -> None:
    """Draw the losses on training and validation data over epochs."""
    epochs = [line.epoch for line in record.curve]
    curves = (
        ("training", BLUE, [line.train_loss for line in record.curve]),
        ("validation", VERMILION, [line.validation_loss for line in record.curve]),
    )
    for label, colour, losses in curves:
        panel.plot(epochs, losses, color=colour, label=label, marker="o", markersize=3)
    _mark_best(panel, record)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set(xlabel="epoch", ylabel="loss")
    panel.legend(frameon=False, fontsize=9)


def _draw_accuracy(panel: Axes, record: RunRecord) -> None:
    """Draw the accuracy on validation data over epochs, or a note that there are no classes."""
    panel.set(xlabel="epoch", ylabel="validation accuracy, %")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    shares = [(line.epoch, line.validation_accuracy) for line in record.curve]
    known = [(epoch, 100 * share) for epoch, share in shares if share is not None]
    if len(known) < len(shares):
        panel.text(0.5, 0.5, "no classes", ha="center", transform=panel.transAxes, color=SOFT)
        return
    panel.plot(*zip(*known, strict=True), color=VERMILION, marker="o", markersize=3)
    _mark_best(panel, record)


def _mark_best(panel: Axes, record: RunRecord) -> None:
    if record.best_epoch is not None:
        panel.axvline(record.best_epoch, color=GREEN, linewidth=0.9, linestyle=":")


def _draw_rates(panel: Axes, picture: RunPicture) -> None:
    """Draw each layer's rate over epochs, with that of the test; for old records only the few rates that are known."""
    record, highest = picture.record, 0.0
    for index, layer in enumerate(picture.rates):
        style_of_line: dict[str, Any] = {"color": COLOURS[index % len(COLOURS)], "label": layer.name}
        if layer.by_epoch is None:
            panel.plot(range(len(layer.rate)), layer.rate, marker="o", **style_of_line)
            panel.set_xticks(range(len(layer.rate)), layer.where)
            panel.margins(x=0.15)
            highest = max(highest, *layer.rate)
        else:
            panel.plot([line.epoch for line in record.curve], layer.by_epoch, marker="o", markersize=3, **style_of_line)
            if record.best_epoch is not None and "test" in layer.where:
                rate = layer.rate[layer.where.index("test")]
                panel.plot(record.best_epoch, rate, marker="D", fillstyle="none", color=style_of_line["color"])
            highest = max(highest, *layer.by_epoch)
    panel.set(ylabel="spikes a neuron and step", ylim=(0, 1.25 * highest or None))  # room for the legend
    if any(layer.by_epoch is not None and "test" in layer.where for layer in picture.rates):
        panel.plot([], [], linestyle="", marker="D", fillstyle="none", color=SOFT, label="test, selected weights")
    if picture.rates:
        panel.legend(frameon=False, fontsize=9)
    if why := why_no_rates(record):
        panel.set_xlabel(why, color=SOFT, fontsize=10)
    else:
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        _mark_best(panel, record)


def _draw_spikes(panel: Axes, sample: ShownSample) -> None:
    """Draw the spikes of all layers, the first layer at the bottom."""
    offset, ticks = 0, []  # neurons of the layers below; middle and name of each layer
    steps = 1
    for index, (name, spikes) in enumerate(sample.spikes.items()):
        step, neuron = np.nonzero(spikes)
        panel.scatter(step, offset + neuron, s=14, marker="|", color=COLOURS[index % len(COLOURS)])
        ticks.append((offset + spikes.shape[1] / 2, name))
        offset += spikes.shape[1]
        steps = len(spikes)
        panel.axhline(offset, color=SOFT, linewidth=0.6)
    panel.set_yticks([middle for middle, _ in ticks], [name for _, name in ticks])
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set(xlabel="time step", ylim=(0, max(1, offset)), xlim=(-0.5, steps - 0.5))


def _draw_potentials(panel: Axes, sample: ShownSample) -> None:
    """Draw the potentials of a few neurons of each layer over time steps; a layer has one colour."""
    for index, (name, potentials) in enumerate(sample.potentials.items()):
        for number, values in enumerate(potentials.T):
            label = name if number == 0 else None  # once in the legend
            colour = COLOURS[index % len(COLOURS)]
            panel.plot(range(len(values)), values, label=label, color=colour, linewidth=1.2, alpha=0.8)
    panel.axhline(0, color=SOFT, linewidth=0.9, linestyle="--")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set(xlabel="time step", ylabel="potential minus threshold")
    panel.legend(frameon=False, fontsize=9)
