"""Disturbances of a network's input: spikes jittered, deleted, inserted, reversed in time, or in longer steps.

Each function takes a severity and a generator, and returns a function that disturbs one batch after another.
Random numbers are drawn spike by spike in the order of samples, so that the batch size does not matter. Steps after
a sample's end stay empty.

Legend: T steps, B samples, N channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sgbench.encoders.base import drawn
from sgbench.errors import InputError
from sgbench.signals.spikes import Signal, SparseSpikes, dense
from sgbench.signals.trajectory import Batch, valid_steps

Change = Callable[[Batch], Batch]


class Entries(NamedTuple):
    """Holds the non-zero entries of an input, sorted by sample and then by step."""

    step: Tensor  # int64 [entries]
    sample: Tensor  # int64 [entries]
    channel: Tensor  # int64 [entries]
    value: Tensor | None  # [entries], or None if all are 1


def jittered(severity: float, generator: torch.Generator, dt_s: float) -> Change:
    """Move each spike by a Gaussian time, reflected at both ends of its sample.

    Args:
        severity: standard deviation [s]; a shift below half a step is none.
        generator: two uniform numbers are drawn for each spike (Box and Muller 1958).
        dt_s: duration of a step [s].
    """

    def change(batch: Batch) -> Batch:
        events = entries_of(batch.x)
        first, second = torch.rand(len(events.step), 2, generator=generator, dtype=torch.float64).unbind(1)
        normal = (-2 * torch.log1p(-first)).sqrt() * torch.cos(2 * math.pi * second)
        last = (batch.lengths.cpu() - 1)[events.sample]
        moved = (events.step + severity / dt_s * normal).round().abs()
        moved = (last - (last - moved).abs()).clamp(min=0).minimum(last).long()
        return batch._replace(x=rebuilt(batch.x, events._replace(step=moved)))

    return change


def deleted(severity: float, generator: torch.Generator, dt_s: float) -> Change:
    """Delete each spike with the probability `severity`; higher severities delete the same spikes and more."""

    def change(batch: Batch) -> Batch:
        events = entries_of(batch.x)
        chance = torch.rand(len(events.step), generator=generator, dtype=torch.float64)
        return batch._replace(x=rebuilt(batch.x, some(events, chance >= severity)))

    return change


def inserted(severity: float, generator: torch.Generator, dt_s: float) -> Change:
    """Add spikes uniformly over steps and channels, `severity` times as many as the sample has.

    Two spikes of a channel in one step become one.
    """

    def change(batch: Batch) -> Batch:
        events = entries_of(batch.x)
        steps, samples, channels = batch.x.shape
        lengths = batch.lengths.cpu()
        own = torch.bincount(events.sample, minlength=samples)
        chance = severity * own / (lengths * channels)
        added = entries_of(drawn(chance[:, None].expand(-1, channels), steps, generator))
        added = some(added, added.step < lengths[added.sample])
        step, sample, channel = (torch.cat(pair) for pair in zip(events[:3], added[:3], strict=True))
        together = Entries(step, sample, channel, events.value)
        if events.value is not None:
            ones = torch.ones(len(added.step), dtype=events.value.dtype)
            together = together._replace(value=torch.cat([events.value, ones]))
        return batch._replace(x=rebuilt(batch.x, together))

    return change


def silenced(severity: float, generator: torch.Generator, dt_s: float) -> Change:
    """Silence a share of the channels, the same in all samples; higher severities silence these and more."""
    seed = int(torch.randint(2**62, (1,), generator=generator))

    def change(batch: Batch) -> Batch:
        channels = batch.x.shape[2]
        order = torch.randperm(channels, generator=torch.Generator().manual_seed(seed))
        alive = torch.ones(channels, dtype=torch.bool)
        alive[order[: round(severity * channels)]] = False
        events = entries_of(batch.x)
        return batch._replace(x=rebuilt(batch.x, some(events, alive[events.channel])))

    return change


def turned_round(severity: float, generator: torch.Generator, dt_s: float) -> Change:
    """Play each sample backwards in time."""

    def change(batch: Batch) -> Batch:
        require_class(batch)
        events = entries_of(batch.x)
        last = (batch.lengths.cpu() - 1)[events.sample]
        inside = some(events._replace(step=last - events.step), events.step <= last)
        return batch._replace(x=rebuilt(batch.x, inside))

    return change


def coarsened(severity: float, generator: torch.Generator, dt_s: float) -> Change:
    """Sum the input over `severity` steps into one longer step with the same charge."""
    factor = int(severity)

    def change(batch: Batch) -> Batch:
        require_class(batch)
        x = dense(batch.x)
        x = x * valid_steps(batch.lengths, len(x)).view(*x.shape[:2], *(1 for _ in x.shape[2:]))
        missing = -len(x) % factor
        x = torch.cat([x, torch.zeros_like(x[:1]).expand(missing, *x.shape[1:])]) if missing else x
        x = x.unflatten(0, (-1, factor)).sum(1)
        lengths = torch.div(batch.lengths + factor - 1, factor, rounding_mode="floor")
        return batch._replace(
            x=SparseSpikes.of(x) if isinstance(batch.x, SparseSpikes) else x, lengths=lengths
        )

    return change


def require_class(batch: Batch) -> None:
    """Refuse targets for each step, which do not fit steps in another order or number."""
    if batch.target.ndim != 1:
        raise InputError("each step has a target of its own, which fits no other step")


def entries_of(x: Signal) -> Entries:
    """List the non-zero entries of an input [T, B, N], on the CPU and in the order of samples."""
    events = (x if isinstance(x, SparseSpikes) else SparseSpikes.of(x)).to("cpu")
    rows, samples = events.rows(), events.shape[1]
    step, sample = torch.div(rows, samples, rounding_mode="floor"), rows % samples
    order = torch.argsort(sample, stable=True)
    value = None if events.value is None else events.value[order]
    return Entries(step[order], sample[order], events.index.long()[order], value)


def some(events: Entries, keep: Tensor) -> Entries:
    """Select the entries where `keep` is true [entries]."""
    value = None if events.value is None else events.value[keep]
    return Entries(events.step[keep], events.sample[keep], events.channel[keep], value)


def rebuilt(like: Signal, events: Entries) -> Signal:
    """Build an input like another from entries; coinciding values add up, coinciding spikes are one."""
    _, samples, channels = like.shape
    position = (events.step * samples + events.sample) * channels + events.channel
    used, inverse = torch.unique(position, return_inverse=True)
    value = None
    if events.value is not None:
        value = torch.zeros(len(used), dtype=events.value.dtype).index_add_(0, inverse, events.value)
    row = torch.div(used, channels, rounding_mode="floor")
    shape = (like.shape[0], samples, channels)
    rebuilt = SparseSpikes.from_rows(row, used % channels, value, shape, like.dtype).to(like.device)
    return rebuilt if isinstance(like, SparseSpikes) else rebuilt.dense()
