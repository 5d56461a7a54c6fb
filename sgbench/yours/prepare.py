"""From parts of a user's data to checked samples in three splits, and what was decided on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sgbench.datasets.base import SPLITS, Samples, Split
from sgbench.encoders.base import Form
from sgbench.errors import InputError
from sgbench.signals.spike_trains import SpikeTrains
from sgbench.yours.arrays import TRACES_AXES, Events, Part

STEP_US = 1000
"""Duration of a step of arrays that come in steps; any would do, since time constants are counted in steps."""
EVENT_STEPS = 100
"""Steps into which events are put unless a step is given."""
LATENCY_STEPS = 25
"""Steps of features that do not go over time."""
VALIDATION_SHARE = 0.2
SPLIT_SEED = 20260101
LARGEST_TIME_US = 2**31 - 1
SHOWN = 3
"""Names that a line spells out."""


@dataclass
class Prepared:
    """Samples as a data set holds them, and the facts that an entry states.

    Args:
        splits: train, validation and test.
        form: of the samples.
        n_inputs: channels, traces or features.
        labels: of the classes, in their order.
        steps: of the longest sample, or as many as a code takes.
        dt_s: duration of a step [s].
        notes: lines on what was decided.
    """

    splits: dict[Split, Samples]
    form: Form
    n_inputs: int
    labels: list[str]
    steps: int
    dt_s: float
    notes: list[str] = field(default_factory=list)


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
    given: dict[Split, Part | None] = {"train": train, "validation": validation, "test": test}
    parts: dict[Split, Part] = {name: part for name, part in given.items() if part is not None}
    labels, numbers = _numbered(parts)
    owner = None if groups is None else np.asarray(groups).reshape(-1)
    if owner is not None and len(owner) != len(train):
        raise InputError(f"groups: {len(owner)} for {len(train)} training samples; one a sample is needed")
    for name in ("test", "validation"):
        if name in parts:
            continue
        kept, held = _split(numbers["train"], owner, name, notes)
        parts |= {name: _taken(parts["train"], held), "train": _taken(parts["train"], kept)}
        numbers |= {name: numbers["train"][held], "train": numbers["train"][kept]}
        owner = None if owner is None else owner[kept]
    notes += _lacking(labels, numbers)
    ordered: dict[Split, Part] = {name: parts[name] for name in SPLITS}
    targets: dict[Split, torch.Tensor] = {name: torch.from_numpy(numbers[name]) for name in ordered}
    if all(isinstance(part.values, Events) for part in ordered.values()):
        made = _of_events(ordered, targets, dt_s, notes)
    elif any(isinstance(part.values, Events) for part in ordered.values()):
        raise InputError("one part holds events and another arrays; give all as the same")
    else:
        made = _of_arrays(ordered, targets, dt_s, notes)
    splits, form, n_inputs, steps, step_s = made
    return Prepared(splits, form, n_inputs, labels, steps, step_s, notes)


def _numbered(parts: dict[Split, Part]) -> tuple[list[str], dict[Split, NDArray[np.int64]]]:
    """Number the labels of all parts in sorted order."""
    kinds = {part.labels.dtype.kind in "buif" for part in parts.values()}
    if len(kinds) > 1:
        raise InputError("labels are numbers in one part and words in another; give all as the same")
    together = np.unique(np.concatenate([part.labels for part in parts.values()]))
    if len(together) < 2:  # noqa: PLR2004 - classes
        raise InputError(f"all labels are {together[0]!s}; two classes at least are needed")
    whole = together.dtype.kind != "f" or (together == np.floor(together)).all()
    if not whole:
        raise InputError(
            f"label {together[together != np.floor(together)][0]} is no class; give whole numbers or words"
        )
    numbers: dict[Split, NDArray[np.int64]] = {
        name: np.searchsorted(together, part.labels).astype(np.int64) for name, part in parts.items()
    }
    named = [str(int(each)) if together.dtype.kind in "buif" else str(each) for each in together]
    return named, numbers


def _lacking(labels: list[str], numbers: dict[Split, NDArray[np.int64]]) -> Iterator[str]:
    """A line for each part without samples of some classes."""
    for name, found in numbers.items():
        lacks = sorted(set(range(len(labels))) - set(found.tolist()))
        if lacks:
            called = ", ".join(labels[each] for each in lacks[:SHOWN])
            yield f"{name} has no sample of {len(lacks)} of {len(labels)} classes: {called}"


def _split(
    target: NDArray[np.int64], groups: NDArray[Any] | None, name: str, notes: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of training and of another part: a fifth of each class, or whole groups."""
    random = np.random.Generator(np.random.PCG64(SPLIT_SEED))
    if groups is not None:
        return _by_group(target, groups, name, random, notes)
    held = []
    for label in np.unique(target):
        members = random.permutation(np.flatnonzero(target == label))
        count = 0 if len(members) < 2 else max(1, round(VALIDATION_SHARE * len(members)))  # noqa: PLR2004 - one stays
        held.append(members[:count])
    chosen = np.sort(np.concatenate(held))
    if not len(chosen):
        raise InputError(
            f"train: {len(target)} samples, no class with two of them, so none can be put aside for {name}; "
            f"give {name}=(x, y)"
        )
    notes.append(f"{name} is {len(chosen)} of {len(target)} training samples, a fifth of each class")
    return np.setdiff1d(np.arange(len(target)), chosen), chosen


def _by_group(
    target: NDArray[np.int64], groups: NDArray[Any], name: str, random: np.random.Generator, notes: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    names = random.permutation(np.unique(groups))
    if len(names) < 2:  # noqa: PLR2004 - one to learn from, one to validate on
        raise InputError(
            f"groups: all training samples are of one group; leave groups out, or give {name}=(x, y)"
        )
    chosen: list[Any] = []
    while (len(chosen) < len(names) - 1) and np.isin(groups, chosen).sum() < VALIDATION_SHARE * len(target):
        chosen.append(names[len(chosen)])
    held = np.isin(groups, chosen)
    told = ", ".join(str(each) for each in chosen[:SHOWN]) + (" ..." if len(chosen) > SHOWN else "")
    notes.append(f"{name} is {int(held.sum())} of {len(target)} training samples, the groups {told}")
    return np.flatnonzero(~held), np.flatnonzero(held)


def _taken(part: Part, places: NDArray[np.int64]) -> Part:
    values = part.values
    if isinstance(values, Events):
        values = Events([values.times_us[k] for k in places], [values.channels[k] for k in places])
    else:
        values = [values[k] for k in places] if isinstance(values, list) else values[places]
    return Part(values, part.labels[places])


Made = tuple[dict[Split, Samples], Form, int, int, float]


def _of_events(
    parts: dict[Split, Part], targets: dict[Split, torch.Tensor], dt_s: float | None, notes: list[str]
) -> Made:
    found: dict[Split, Events] = {
        name: part.values for name, part in parts.items() if isinstance(part.values, Events)
    }
    every = [times for events in found.values() for times in events.times_us]
    last_us = max((int(times.max()) for times in every if len(times)), default=0)
    if last_us > LARGEST_TIME_US:
        raise InputError(
            f"a spike comes {last_us * 1e-6:g} s after the start; times are from a sample's start, at most 35 min"
        )
    step_us = -(-(last_us + 1) // EVENT_STEPS) if dt_s is None else max(1, round(dt_s * 1e6))
    steps = last_us // step_us + 1
    n_inputs = 1 + max(
        (int(c.max()) for events in found.values() for c in events.channels if len(c)), default=0
    )
    silent = sum(not len(times) for times in every)
    if silent:
        notes.append(f"{silent} samples have no spike")
    notes.append(f"spikes of {n_inputs} channels in {steps} steps of {step_us * 1e-3:g} ms")
    duration_us = steps * step_us
    splits: dict[Split, Samples] = {}
    for name, events in found.items():
        owner = np.repeat(np.arange(len(events.times_us)), [len(times) for times in events.times_us])
        channel, time_us = (
            np.concatenate([*each, np.zeros(0, np.int64)]) for each in (events.channels, events.times_us)
        )
        lasts_us = np.full(len(events.times_us), duration_us)
        trains = SpikeTrains.of(owner, channel, time_us, lasts_us, n_inputs)
        splits[name] = Samples(trains, targets[name], None)
    return splits, "spikes", n_inputs, steps, step_us * 1e-6


def _of_arrays(
    parts: dict[Split, Part], targets: dict[Split, torch.Tensor], dt_s: float | None, notes: list[str]
) -> Made:
    padded: dict[Split, tuple[NDArray[Any], NDArray[np.int64] | None]] = {
        name: _padded(part) for name, part in parts.items()
    }
    shapes = {(values.ndim, values.shape[-1]) for values, _ in padded.values()}
    if len(shapes) > 1:
        raise InputError(
            f"parts have unlike shapes: {', '.join(str(v.shape) for v, _ in padded.values())}; give all alike"
        )
    ((axes, n_inputs),) = shapes
    for name, (values, _) in padded.items():
        bad = _first_bad(values)
        if bad is not None:
            raise InputError(f"{name}: sample {bad} holds NaN or infinity; leave it out or fill it in")
    is_spikes = axes == TRACES_AXES and all(_is_binary(values) for values, _ in padded.values())
    longest = max(values.shape[1] for values, _ in padded.values()) if axes == TRACES_AXES else LATENCY_STEPS
    step_us = STEP_US if dt_s is None else max(1, round(dt_s * 1e6))
    if is_spikes:
        notes.append(f"zeros and ones are spikes: {n_inputs} channels, {longest} steps")
        spiking: dict[Split, Samples] = {
            name: Samples(_trains(values, lengths, step_us), targets[name], None)
            for name, (values, lengths) in padded.items()
        }
        return spiking, "spikes", n_inputs, longest, step_us * 1e-6
    low, high = _range(padded["train"][0])
    if low.min() < 0 or high.max() > 1:
        notes.append(
            "each channel is scaled so that its training values go from 0 to 1; what lies beyond is cut"
        )
    else:
        low, high = np.zeros_like(low), np.ones_like(high)
    splits: dict[Split, Samples] = {}
    for name, (values, lengths) in padded.items():
        scaled = _scaled(values, low, high)
        known = lengths if axes == TRACES_AXES else None
        splits[name] = Samples(
            torch.from_numpy(scaled), targets[name], None if known is None else torch.from_numpy(known)
        )
    return splits, "traces" if axes == TRACES_AXES else "values", n_inputs, longest, step_us * 1e-6


def _padded(part: Part) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
    """An array, and the steps of each sample where they go over time."""
    values = part.values
    if isinstance(values, Events):
        raise TypeError("events have no array")
    if not isinstance(values, list):
        steps = np.full(len(values), values.shape[1], np.int64) if values.ndim == TRACES_AXES else None
        return values, steps
    steps = np.array([len(each) for each in values], np.int64)
    array = np.zeros((len(values), int(steps.max()), values[0].shape[1]), values[0].dtype)
    for place, each in enumerate(values):
        array[place, : len(each)] = each
    return array, steps


AT_ONCE = 2**22
"""Numbers that are looked at together."""


def _chunks(values: NDArray[Any]) -> list[slice]:
    """Samples that are looked at together, so that a mapped file is never in memory as a whole."""
    many = max(1, AT_ONCE // max(1, int(np.prod(values.shape[1:]))))
    return [slice(start, start + many) for start in range(0, len(values), many)]


def _first_bad(values: NDArray[Any]) -> int | None:
    if values.dtype.kind != "f":
        return None
    for chunk in _chunks(values):
        good = np.isfinite(values[chunk]).reshape(len(values[chunk]), -1).all(1)
        if not good.all():
            return chunk.start + int(np.argmin(good))
    return None


def _is_binary(values: NDArray[Any]) -> bool:
    return all(bool(((values[chunk] == 0) | (values[chunk] == 1)).all()) for chunk in _chunks(values))


def _range(values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest training value of each channel."""
    axes = tuple(range(values.ndim - 1))
    each = [(values[chunk].min(axes), values[chunk].max(axes)) for chunk in _chunks(values)]
    low, high = (np.array(side, dtype=np.float64) for side in zip(*each, strict=True))
    return low.min(0), high.max(0)


def _scaled(values: NDArray[Any], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float32]:
    made = np.empty(values.shape, np.float32)
    span = np.where(high > low, high - low, 1.0)
    for chunk in _chunks(values):
        made[chunk] = np.clip((values[chunk] - low) / span, 0, 1)
    return made


def _trains(values: NDArray[Any], steps: NDArray[np.int64] | None, step_us: int) -> SpikeTrains:
    sample, step, channel = np.nonzero(values)
    lasts = (steps if steps is not None else np.full(len(values), values.shape[1])) * step_us
    return SpikeTrains.of(sample, channel, step * step_us + step_us // 2, lasts, values.shape[2])
