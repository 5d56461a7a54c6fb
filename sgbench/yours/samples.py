"""Converts a user's data to the samples of a data set, packed spikes or numbers from 0 to 1, in three splits."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.base import SPLITS, Samples, Split
from sgbench.encoders.base import Form
from sgbench.errors import InputError, shortened
from sgbench.yours.arrays import TRACES_AXES, EventArrays, Part
from sgbench.yours.scratch import SpilledArrays, empty_array

STEP_US = 1000
"""Duration of a time step for arrays [us]; any value would do, since time constants are counted in steps."""
EVENT_STEPS = 100
"""Time steps of the longest sample of events, unless the duration of a step is given."""
LATENCY_STEPS = 25
"""Time steps of features without a time axis."""
NO_SPIKE = "no sample has a spike, so there is nothing to learn from"
PIECE_SIZE = 2**22
"""Number of values or spikes, about, that are processed together."""
VALIDATION_SHARE = 0.2
SPLIT_SEED = 20260101
LONGEST_LABEL, LARGEST_LABEL = 100, 2**53
"""Most characters of a class's name; the largest label for which all smaller integers are exact in float64."""
MOST_LISTED = 3
"""Most names that a message lists."""

Divided = dict[Split, tuple[Part, NDArray[np.int64]]]
"""Maps each split to its samples and their class indices [samples]."""

Parts = dict[Split, Part]
Targets = dict[Split, torch.Tensor]  # class indices [samples] of each split


class Prepared(NamedTuple):
    """Holds samples in three splits, and the facts for their catalogue entry."""

    splits: dict[Split, Samples]  # train, validation and test
    form: Form  # spikes, traces over time or plain values
    n_inputs: int  # channels, traces or features
    steps: int  # time steps of the longest sample, or of the encoder
    dt_s: float  # duration of a step [s]
    labels: list[str]  # name of each class
    notes: list[str]  # lines on how the data were read and divided


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
    parts: Parts = {name: part for name, (part, _) in divided.items()}
    targets: Targets = {name: torch.from_numpy(indices) for name, (_, indices) in divided.items()}
    are_events = {isinstance(part.values, EventArrays) for part in parts.values()}
    if len(are_events) > 1:
        raise InputError("one part holds events and another arrays; give all as the same")
    convert = samples_of_events if True in are_events else samples_of_arrays
    return convert(parts, targets, dt_s, labels, notes)


def samples_of_events(
    parts: dict[Split, Part],
    targets: dict[Split, torch.Tensor],
    dt_s: float | None,
    labels: list[str],
    notes: list[str],
) -> Prepared:
    """Convert events to samples of spikes sorted by time; arguments are those of `samples_of_arrays`."""
    events_by_split: dict[Split, tuple[EventArrays, NDArray[np.int64]]] = {
        name: (part.values, part.order) for name, part in parts.items() if isinstance(part.values, EventArrays)
    }
    last_us, last_channel, silent = 0, 0, 0
    for events, order in events_by_split.values():
        for index in order:
            last_us = max(last_us, int(events.times_us[index].max(initial=0)))
            last_channel = max(last_channel, int(events.channels[index].max(initial=0)))
            if not len(events.times_us[index]):
                silent += 1
    duration_us = last_us + 1
    step_us = math.ceil(duration_us / EVENT_STEPS) if dt_s is None else max(1, round(dt_s * 1e6))
    steps, n_inputs = last_us // step_us + 1, last_channel + 1
    if silent:
        samples = sum(len(order) for _, order in events_by_split.values())
        notes.append(NO_SPIKE if silent == samples else f"{silent} samples have no spike")
    notes.append(f"spikes of {n_inputs} channels in {steps} steps of {step_us * 1e-3:g} ms")
    splits: dict[Split, Samples] = {
        name: Samples(_join_trains(_trains_of_events(events, order, steps * step_us, n_inputs)), targets[name], None)
        for name, (events, order) in events_by_split.items()
    }
    return Prepared(splits, "spikes", n_inputs, steps, step_us * 1e-6, labels, notes)


def _trains_of_events(
    events: EventArrays, order: NDArray[np.int64], duration_us: int, n_inputs: int
) -> Iterator[SpikeTrains]:
    """Yield the samples `order` as spike trains, about `PIECE_SIZE` spikes at a time."""
    spikes_so_far = np.cumsum([len(events.times_us[index]) for index in order])
    ends = np.flatnonzero(np.diff(spikes_so_far // PIECE_SIZE)) + 1  # where a multiple of PIECE_SIZE is passed
    for chosen in np.split(order, ends):
        times_us, channels = (
            np.concatenate([np.zeros(0, np.int64), *(times[index] for index in chosen)])
            for times in (events.times_us, events.channels)
        )
        sample = np.repeat(np.arange(len(chosen)), [len(events.times_us[index]) for index in chosen])
        yield SpikeTrains.of(sample, channels, times_us, np.full(len(chosen), duration_us), n_inputs)


def _join_trains(pieces: Iterator[SpikeTrains]) -> SpikeTrains:
    """Join the samples of all pieces into one object, in memory or, if large, in files."""
    channel, time_us, counts, duration_us = SpilledArrays(), SpilledArrays(), [np.zeros(1, np.int64)], []
    n_channels = 0
    for piece in pieces:
        channel.add(piece.channel.numpy())
        time_us.add(piece.time_us.numpy())
        counts.append(piece.indptr.diff().numpy())
        duration_us.append(piece.duration_us)
        n_channels = piece.n_channels
    return SpikeTrains(
        torch.from_numpy(np.cumsum(np.concatenate(counts))),
        torch.from_numpy(channel.joined(np.int32)),
        torch.from_numpy(time_us.joined(np.int32)),
        torch.cat(duration_us),
        n_channels,
    )


class _ArrayPart:
    """Reads the samples of a part in pieces of an array [samples, features] or [samples, steps, channels].

    Samples shorter than the longest are padded with zeros.
    """

    def __init__(self, part: Part) -> None:
        if isinstance(part.values, EventArrays):
            raise TypeError("events have no array")
        self.order, self.values = part.order, part.values
        first = part.values[0]
        self.lengths: NDArray[np.int64] | None = None
        if isinstance(part.values, list):
            self.lengths = np.array([len(part.values[index]) for index in self.order], np.int64)
            self.sample_shape: tuple[int, ...] = (int(self.lengths.max()), first.shape[1])
        else:
            self.sample_shape = first.shape
            if len(self.sample_shape) == TRACES_AXES - 1:
                self.lengths = np.full(len(self.order), self.sample_shape[0], np.int64)
        self.dtype = np.asarray(first).dtype

    def pieces(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield pieces of the samples with the position of their first; shorter samples are filled with zeros."""
        samples_per_piece = max(1, PIECE_SIZE // max(1, int(np.prod(self.sample_shape))))
        for start in range(0, len(self.order), samples_per_piece):
            chosen = self.order[start : start + samples_per_piece]
            if not isinstance(self.values, list):
                yield start, self.values[chosen]
                continue
            piece = np.zeros((len(chosen), *self.sample_shape), self.dtype)
            for row, index in zip(piece, chosen, strict=True):
                row[: len(self.values[index])] = self.values[index]
            yield start, piece


def samples_of_arrays(
    parts: dict[Split, Part],
    targets: dict[Split, torch.Tensor],
    dt_s: float | None,
    labels: list[str],
    notes: list[str],
) -> Prepared:
    """Convert arrays to samples: 0/1 arrays with a time axis become spikes, all others numbers from 0 to 1.

    If training numbers leave 0 to 1, each channel is scaled by its range in the training split, and numbers beyond
    that range are clipped.

    `targets`: class indices [samples] of each split; `dt_s`: duration of a time step [s], None for a default; `notes`:
    receives a line on how the arrays were read.
    """
    array_parts: dict[Split, _ArrayPart] = {name: _ArrayPart(part) for name, part in parts.items()}
    shapes = {(len(part.sample_shape) + 1, part.sample_shape[-1]) for part in array_parts.values()}
    if len(shapes) > 1:
        shapes_text = ", ".join(str((len(part.order), *part.sample_shape)) for part in array_parts.values())
        raise InputError(f"parts have unlike shapes: {shapes_text}; give all the same shape")
    ((axes, n_inputs),) = shapes
    for name, part in array_parts.items():
        index = _first_not_finite(part)
        if index is not None:
            raise InputError(f"{name}: sample {index} holds NaN or infinity; leave it out or fill it in")
    over_time = axes == TRACES_AXES
    longest = max(part.sample_shape[0] for part in array_parts.values()) if over_time else LATENCY_STEPS
    step_us = STEP_US if dt_s is None else max(1, round(dt_s * 1e6))
    pieces = (piece for part in array_parts.values() for _, piece in part.pieces())
    if over_time and all(((piece == 0) | (piece == 1)).all() for piece in pieces):
        notes.append(f"zeros and ones are spikes: {n_inputs} channels, {longest} steps")
        if not any(piece.any() for part in array_parts.values() for _, piece in part.pieces()):
            notes.append(NO_SPIKE)
        form: Form = "spikes"
        splits: dict[Split, Samples] = {
            name: Samples(_join_trains(_trains(part, step_us)), targets[name], None)
            for name, part in array_parts.items()
        }
    else:
        form = "traces" if over_time else "values"
        splits = _value_samples(array_parts, targets, notes)
    return Prepared(splits, form, n_inputs, longest, step_us * 1e-6, labels, notes)


def _value_samples(
    array_parts: dict[Split, _ArrayPart], targets: dict[Split, torch.Tensor], notes: list[str]
) -> dict[Split, Samples]:
    """Convert arrays to numbers from 0 to 1, each channel scaled by its training range if numbers leave 0 to 1."""
    axes = tuple(range(len(array_parts["train"].sample_shape)))  # all but the last, which is that of channels
    extremes = [(piece.min(axes), piece.max(axes)) for _, piece in array_parts["train"].pieces()]
    minima, maxima = (np.array(sides, dtype=np.float64) for sides in zip(*extremes, strict=True))
    least, largest = minima.min(0), maxima.max(0)  # over pieces, of each channel
    # Halves, since the difference itself may overflow.
    if (largest / 2 - least / 2 > np.finfo(np.float64).max / 2).any():
        raise InputError("train: smallest and largest number are too far apart; scale the samples")
    if least.min() < 0 or largest.max() > 1:
        notes.append("each channel is scaled so that its training values go from 0 to 1; what lies beyond is cut")
    else:
        least, largest = np.zeros_like(least), np.ones_like(largest)
    splits: dict[Split, Samples] = {}
    for name, part in array_parts.items():
        lengths = None if part.lengths is None else torch.from_numpy(part.lengths)
        splits[name] = Samples(torch.from_numpy(_scale(part, least, largest)), targets[name], lengths)
    return splits


def _first_not_finite(part: _ArrayPart) -> int | None:
    """Return the user's index of the first sample with NaN or infinity; None if there is none."""
    if part.dtype.kind != "f":  # whole numbers and booleans are finite
        return None
    for start, piece in part.pieces():
        is_finite = np.isfinite(piece).reshape(len(piece), -1).all(1)  # [samples]
        if not is_finite.all():
            return int(part.order[start + int(np.argmin(is_finite))])
    return None


def _scale(part: _ArrayPart, least: NDArray[np.float64], largest: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scale each channel from its least and largest value [channels] to 0..1; values beyond are clipped."""
    scaled = empty_array((len(part.order), *part.sample_shape), np.float32)
    span = np.where(largest > least, largest - least, 1.0)
    for start, piece in part.pieces():
        scaled[start : start + len(piece)] = np.clip((piece - least) / span, 0, 1)
    return scaled


def _trains(part: _ArrayPart, step_us: int) -> Iterator[SpikeTrains]:
    """Convert pieces of 0/1 arrays to spikes, each in the middle of its time step."""
    for start, piece in part.pieces():
        n_samples, n_steps, n_channels = piece.shape
        sample, step, channel = np.nonzero(piece)
        lengths = np.full(n_samples, n_steps) if part.lengths is None else part.lengths[start : start + n_samples]
        yield SpikeTrains.of(sample, channel, step * step_us + step_us // 2, lengths * step_us, n_channels)


def divide(
    train: Part, test: Part | None, validation: Part | None, *, groups: Any | None, notes: list[str]
) -> tuple[Divided, list[str]]:
    """Index the classes of all parts, and split validation and test off `train` if they are not given.

    Returns the three splits, and a list with the name of each class.
    """
    given: dict[Split, Part | None] = {"train": train, "validation": validation, "test": test}
    parts: dict[Split, Part] = {name: part for name, part in given.items() if part is not None}
    labels, class_indices = _index_classes(parts)
    group_of = None if groups is None else np.asarray(groups).reshape(-1)
    if group_of is not None and len(group_of) != len(train):
        raise InputError(f"groups: {len(group_of)} for {len(train)} training samples; one a sample is needed")
    for name in ("test", "validation"):
        if name in parts:
            continue
        remaining, held_out = _hold_out(class_indices["train"], group_of, name, notes)
        parts |= {name: parts["train"].select(held_out), "train": parts["train"].select(remaining)}
        class_indices |= {name: class_indices["train"][held_out], "train": class_indices["train"][remaining]}
        group_of = None if group_of is None else group_of[remaining]
    notes += _notes_on_missing_classes(labels, class_indices)
    return {name: (parts[name], class_indices[name]) for name in SPLITS}, labels


def commonest_share(class_indices: NDArray[np.int64]) -> float:
    """Compute the share of the commonest class: the accuracy of always predicting it.

    >>> commonest_share(np.array([0, 2, 2]))
    0.6666666666666666
    """
    return int(np.bincount(class_indices).max()) / len(class_indices)


def _index_classes(parts: dict[Split, Part]) -> tuple[list[str], dict[Split, NDArray[np.int64]]]:
    """Return the name of each class, in the order of its label, and the class index of each sample by split."""
    are_numbers = {part.labels.dtype.kind in "buif" for part in parts.values()}
    if len(are_numbers) > 1:
        raise InputError("labels are numbers in one part and words in another; give all as the same")
    all_labels = np.unique(np.concatenate([part.labels for part in parts.values()]))
    if len(all_labels) < 2:  # noqa: PLR2004 - classes
        raise InputError(f"all labels are {all_labels[0]!s}; two classes at least are needed")
    if all_labels.dtype.kind == "f":
        wrong = all_labels[(all_labels != np.floor(all_labels)) | (np.abs(all_labels) > LARGEST_LABEL)]
        if len(wrong):
            raise InputError(f"label {wrong[0]} is no class; give whole numbers or words")
    elif all_labels.dtype.kind not in "biu":
        wrong = [word for word in map(str, all_labels) if len(word) > LONGEST_LABEL or not word.isprintable()]
        if wrong:
            raise InputError(
                f"label {shortened(wrong[0], LONGEST_LABEL)!r} is no name of a class; give at most "
                f"{LONGEST_LABEL} characters that can be printed"
            )
    names = [str(int(label)) if all_labels.dtype.kind in "buif" else str(label) for label in all_labels]
    return names, {split: np.searchsorted(all_labels, part.labels).astype(np.int64) for split, part in parts.items()}


def _notes_on_missing_classes(labels: list[str], class_indices: dict[Split, NDArray[np.int64]]) -> Iterator[str]:
    for name, present in class_indices.items():
        missing = sorted(set(range(len(labels))) - set(present.tolist()))
        if missing:
            names = ", ".join(labels[class_index] for class_index in missing[:MOST_LISTED])
            yield f"{name} has no sample of {len(missing)} of {len(labels)} classes: {names}"


def _hold_out(
    target: NDArray[np.int64], groups: NDArray[Any] | None, name: str, notes: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw a fifth of the training samples for the split `name`: of each class, or as whole groups if these are given.

    `target`, `groups`: class and group of each sample [samples]. Returns the sorted indices of the samples that stay,
    and of those held out; `notes` receives a line on them.
    """
    random = np.random.Generator(np.random.PCG64(SPLIT_SEED))
    if groups is not None:
        return _hold_out_groups(target, groups, name, random, notes)
    held_out_by_class = []
    for label in np.unique(target):
        members = random.permutation(np.flatnonzero(target == label))
        count = 0 if len(members) < 2 else max(1, round(VALIDATION_SHARE * len(members)))  # noqa: PLR2004 - one stays
        held_out_by_class.append(members[:count])
    held_out = np.sort(np.concatenate(held_out_by_class))
    if not len(held_out):
        raise InputError(
            f"train: {len(target)} samples, no class with two of them, so none can be put aside for {name}; "
            f"give {name}=(x, y)"
        )
    notes.append(f"{name} is {len(held_out)} of {len(target)} training samples, a fifth of each class")
    return np.setdiff1d(np.arange(len(target)), held_out), held_out


def _hold_out_groups(
    target: NDArray[np.int64], groups: NDArray[Any], name: str, random: np.random.Generator, notes: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hold out groups in random order until they have a fifth of the samples, at least one group remaining."""
    names = random.permutation(np.unique(groups))
    if len(names) < 2:  # noqa: PLR2004 - one to learn from, one to validate on
        raise InputError(f"groups: all training samples are of one group; leave groups out, or give {name}=(x, y)")
    chosen: list[Any] = []
    while (len(chosen) < len(names) - 1) and np.isin(groups, chosen).sum() < VALIDATION_SHARE * len(target):
        chosen.append(names[len(chosen)])
    held_out = np.isin(groups, chosen)
    more = " ..." if len(chosen) > MOST_LISTED else ""
    groups_text = ", ".join(map(str, chosen[:MOST_LISTED])) + more
    notes.append(f"{name} is {int(held_out.sum())} of {len(target)} training samples, the groups {groups_text}")
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
