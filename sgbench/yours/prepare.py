"""Converts parts of a user's data to checked samples in three splits, with notes on every decision."""

from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray

from sgbench.datasets.base import Samples, Split
from sgbench.encoders.base import Form
from sgbench.errors import InputError
from sgbench.yours.arrays import EventArrays, Part
from sgbench.yours.division import divide
from sgbench.yours.samples import samples_of_arrays, samples_of_events


@dataclass
class Prepared:
    """Holds samples in three splits, and the facts for their catalogue entry."""

    splits: dict[Split, Samples]  # train, validation and test
    form: Form  # spikes, traces over time or plain values
    n_inputs: int  # channels, traces or features
    labels: list[str]  # name of each class
    steps: int  # time steps of the longest sample, or of the encoder
    dt_s: float  # duration of a step [s]
    notes: list[str] = field(default_factory=list)  # lines on how the data were read and divided


def prepare(
    train: Part,
    test: Part | None,
    validation: Part | None = None,
    *,
    groups: NDArray[Any] | None = None,
    dt_s: float | None = None,
) -> Prepared:
    """Check and scale samples, index classes, and split off parts that are not given.

    `test`: samples of the reported score, or None. `validation`: samples that select the epoch, or None. `dt_s`:
    duration of a step of events [s]; None takes a hundredth of the longest sample.
    """
    notes: list[str] = []
    divided, labels = divide(train, test, validation, groups=groups, notes=notes)
    parts: dict[Split, Part] = {name: part for name, (part, _) in divided.items()}
    targets: dict[Split, torch.Tensor] = {
        name: torch.from_numpy(class_indices) for name, (_, class_indices) in divided.items()
    }
    are_events = {isinstance(part.values, EventArrays) for part in parts.values()}
    if len(are_events) > 1:
        raise InputError("one part holds events and another arrays; give all as the same")
    samples = (samples_of_events if are_events == {True} else samples_of_arrays)(parts, targets, dt_s, notes)
    return Prepared(samples.splits, samples.form, samples.n_inputs, labels, samples.steps, samples.dt_s, notes)
