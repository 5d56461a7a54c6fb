"""From parts of a user's data to checked samples in three splits, and what was decided on the way."""

from __future__ import annotations

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
    """Samples as a data set holds them, and the facts that an entry states."""

    splits: dict[Split, Samples]  # train, validation and test
    form: Form
    n_inputs: int  # channels, traces or features
    labels: list[str]  # of the classes, in their order
    steps: int  # of the longest sample, or as many as a code takes
    dt_s: float  # duration of a step [s]
    notes: list[str] = field(default_factory=list)  # lines on what was decided


def prepare(
    train: Part,
    test: Part | None,
    validation: Part | None = None,
    *,
    groups: NDArray[Any] | None = None,
    dt_s: float | None = None,
) -> Prepared:
    """Check and scale samples, number classes, and split off a validation part where none is given.

    Args:
        train: what is learnt from.
        test: what is reported, or None.
        validation: what selects, or None.
        groups: of the training samples, such as who was recorded; a group is not divided.
        dt_s: duration of a step of events [s]; None takes a hundredth of the longest sample.

    Raises:
        InputError: the data cannot be used; one line that says which part, and the remedy.
    """
    notes: list[str] = []
    divided, labels = divide(train, test, validation, groups=groups, notes=notes)
    parts: dict[Split, Part] = {name: part for name, (part, _) in divided.items()}
    targets: dict[Split, torch.Tensor] = {name: torch.from_numpy(own) for name, (_, own) in divided.items()}
    are_events = {isinstance(part.values, EventArrays) for part in parts.values()}
    if len(are_events) > 1:
        raise InputError("one part holds events and another arrays; give all as the same")
    samples = (samples_of_events if are_events == {True} else samples_of_arrays)(parts, targets, dt_s, notes)
    return Prepared(
        samples.splits, samples.form, samples.n_inputs, labels, samples.steps, samples.dt_s, notes
    )
