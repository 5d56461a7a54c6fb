"""Samples of a data set as the numbers of their picture."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from sgbench.datasets.base import DataSet, Samples, Split
from sgbench.plots import samples as views
from sgbench.plots import style
from sgbench.signals.spike_trains import SpikeTrains
from sgbench.signals.trajectory import UNLABELLED

IMAGE_FROM = 16  # pixels from which a square number of values is drawn as an image
POINTS = 2000
BYTE = 255
US_PER_MS = 1000


def draw(name: str, dataset: DataSet, part: Samples, split: Split, path: Path, *, count: int) -> None:
    """Draw some samples of a data set to a file.

    Args:
        name: of the entry.
        dataset: the data set.
        part: a split of it.
        split: its name.
        path: of the file.
        count: samples to draw, one class after another.

    Raises:
        InputError: the path is no picture's.
        StorageError: the file cannot be written.
    """
    asked = f"of {dataset.n_classes} classes" if "class" in dataset.target else f"and their {dataset.target}"
    asked += ", one a step" if dataset.target == "class_per_step" else ""
    title = f"{name}, {split}: {len(part.target)} samples {asked}"
    values = part.values
    if isinstance(values, Tensor) and values.ndim == 2 and not _is_image(values):  # noqa: PLR2004
        points = points_of(values, part.target)
        style.save(lambda: views.points_figure(title, points, dataset.n_classes), path)
        return
    samples = samples_of(part, dataset, count)
    style.save(lambda: views.samples_figure(title, samples, dataset.n_classes), path)


def chosen(target: Tensor, count: int) -> list[int]:
    """Choose positions of samples: the first of each class in turn, then the second, and so on.

    >>> chosen(torch.tensor([1, 1, 0, 1, 0]), 3)
    [2, 0, 4]
    """
    places = [(target == label).nonzero().flatten().tolist() for label in target.unique().tolist()]
    ranked = sorted(
        (rank, label, place) for label, of_label in enumerate(places) for rank, place in enumerate(of_label)
    )
    return [place for *_, place in ranked[:count]]


def points_of(values: Tensor, target: Tensor) -> views.Points:
    """Select the first two values of each sample [samples, inputs]; a single value is repeated."""
    second = min(1, values.shape[1] - 1)
    shown = values[:POINTS].numpy()
    return views.Points(shown[:, 0], shown[:, second], target[:POINTS].numpy())


def samples_of(part: Samples, dataset: DataSet, count: int) -> list[views.Sample]:
    """Convert samples to the form in which their picture shows them, with their targets."""
    is_class = dataset.target == "class"
    places = chosen(part.target, count) if is_class else list(range(min(count, len(part.target))))
    samples = []
    for place in places:
        target = part.target[place]
        samples.append(
            views.Sample(
                title=f"sample {place}" + (f": class {int(target)}" if is_class else ""),
                view=_view(part, dataset, place),
                classes=_classes(target) if dataset.target == "class_per_step" else None,
                wanted=None if is_class or dataset.target == "class_per_step" else _wanted(target, dataset),
            )
        )
    return samples


def _is_image(values: Tensor) -> bool:
    side = math.isqrt(values.shape[1])
    return values.shape[1] >= IMAGE_FROM and side * side == values.shape[1]


def _view(
    part: Samples, dataset: DataSet, place: int
) -> views.Raster | views.Image | views.CameraEvents | views.Traces:
    values = part.values
    if isinstance(values, SpikeTrains):
        own = values[torch.tensor([place])]
        return _raster(own) if dataset.image is None else _camera(own, dataset.image)
    if values.ndim == 2:  # noqa: PLR2004 - an image
        side = math.isqrt(values.shape[1])
        return views.Image(values[place].view(side, side).numpy())
    scale = 1 if values.is_floating_point() else BYTE
    return views.Traces((values[place] / scale).numpy())


def _raster(own: SpikeTrains) -> views.Raster:
    return views.Raster(
        time_ms=(own.time_us / US_PER_MS).numpy(),
        channel=own.channel.numpy(),
        until_ms=own.duration_us.item() / US_PER_MS,
        channels=own.n_channels,
    )


def _camera(own: SpikeTrains, image: tuple[int, int, int]) -> views.CameraEvents:
    """Subtract a camera's darker from its brighter events in the first third of a sample, pixel by pixel."""
    until_us = int(own.duration_us.item()) // 3
    early = own.channel[own.time_us < until_us].long()
    counts = torch.bincount(early, minlength=own.n_channels).view(image)
    seen = counts[-1] - counts[0] if len(counts) > 1 else counts[0]
    return views.CameraEvents(seen.numpy(), until_us / US_PER_MS)


def _classes(target: Tensor) -> views.Array:
    return torch.where(target == UNLABELLED, -1, target).numpy()


def _wanted(target: Tensor, dataset: DataSet) -> views.WantedSpikes | views.WantedTraces:
    if dataset.target == "spikes":
        step, output = target.nonzero(as_tuple=True)
        return views.WantedSpikes(step.numpy(), output.numpy(), target.shape[1])
    return views.WantedTraces(target.numpy())
