"""Disturbances of a network's input: spikes moved, lost, added, turned round or put into longer steps.

Each is made once for a whole split, by its severity and a generator, and then changes batch after batch.
Numbers are drawn spike by spike in the order of samples, so that the size of a batch does not matter. Nothing
happens behind a sample's end.

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


class Given(NamedTuple):
    """Holds the entries of an input that are not 0, sample by sample and in each of them step by step."""

    step: Tensor  # int64 [entries]
    sample: Tensor  # int64 [entries]
    channel: Tensor  # int64 [entries]
    value: Tensor | None  # [entries], or None where all are 1


def jittered(severity: float, generator: torch.Generator, dt_s: float) -> Change:
    """Move each spike by a normal time, reflected at both ends of its sample.

    Args:
        severity: standard deviation [s]; what moves by less than half a step stays.
        generator: two even numbers a spike are drawn (Box and Muller 1958).
        dt_s: duration of a step [s].
    """

    def change(batch: Batch) -> Batch:
        events = given(batch.x)
        first, second = torch.rand(len(events.step), 2, generator=generator, dtype=torch.float64).unbind(1)
        normal = (-2 * torch.log1p(-first)).sqrt() * torch.cos(2 * math.pi * second)
        last = (batch.lengths.cpu() - 1)[events.sample]
        moved = (events.step + severity / dt_s * normal).round().abs()
        moved = (last - (last - moved).abs()).clamp(min=0).minimum(last).long()
        return batch._replace(x=put_back(batch.x, events._replace(step=moved)))

    return change


def deleted(severity: float, generator: torch.Generator, dt_s: float) -> Change:
    """Delete each spike with a probability, the severity; a spike deleted at one is deleted at all higher ones."""

    def change(batch: Batch) -> Batch:
        events = given(batch.x)
        chance = torch.rand(len(events.step), generator=generator, dtype=torch.float64)
        return batch._replace(x=put_back(batch.x, some(events, chance >= severity)))

    return change


def inserted(severity: float, generator: torch.Generator, dt_s: float) -> Change:
    """Add spikes evenly over steps and channels, so many times the sample's own as the severity says.

    Two spikes of a channel in one step are one.
    """

    def change(batch: Batch) -> Batch:
        events = given(batch.x)
        steps, samples, channels = batch.x.shape
        lengths = batch.lengths.cpu()
        own = torch.bincount(events.sample, minlength=samples)
        chance = severity * own / (lengths * channels)
        added = given(drawn(chance[:, None].expand(-1, channels), steps, generator))
        added = some(added, added.step < lengths[added.sample])
        step, sample, channel = (torch.cat(pair) for pair in zip(events[:3], added[:3], strict=True))
        together = Given(step, sample, channel, events.value)
        if events.value is not None:
            ones = torch.ones(len(added.step), dtype=events.value.dtype)
            together = together._replace(value=torch.cat([events.value, ones]))
        return batch._replace(x=put_back(batch.x, together))

    return change


def silenced(severity: float, generator: torch.Generator, dt_s: float) -> Change:
    """Silence a share of all channels, the same ones in all samples and, among others, at each higher severity."""
    seed = int(torch.randint(2**62, (1,), generator=generator))

    def change(batch: Batch) -> Batch:
        channels = batch.x.shape[2]
        order = torch.randperm(channels, generator=torch.Generator().manual_seed(seed))
        alive = torch.ones(channels, dtype=torch.bool)
        alive[order[: round(severity * channels)]] = False
        events = given(batch.x)
        return batch._replace(x=put_back(batch.x, some(events, alive[events.channel])))

    return change


def turned_round(severity: float, generator: torch.Generator, dt_s: float) -> Change:
    """Play each sample from its end to its beginning."""

    def change(batch: Batch) -> Batch:
        require_class(batch)
        events = given(batch.x)
        last = (batch.lengths.cpu() - 1)[events.sample]
        inside = some(events._replace(step=last - events.step), events.step <= last)
        return batch._replace(x=put_back(batch.x, inside))

    return change


def coarsened(severity: float, generator: torch.Generator, dt_s: float) -> Change:
    """Add up the input of so many steps as the severity says, so that each longer step brings the same charge."""
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
    """Refuse targets of single steps, which would not fit disturbed steps."""
    if batch.target.ndim != 1:
        raise InputError("each step has a target of its own, which fits no other step")


def given(x: Signal) -> Given:
    """List the entries other than 0 of an input [T, B, N], on the processor and in the order of samples."""
    events = (x if isinstance(x, SparseSpikes) else SparseSpikes.of(x)).to("cpu")
    rows, samples = events.rows(), events.shape[1]
    step, sample = torch.div(rows, samples, rounding_mode="floor"), rows % samples
    order = torch.argsort(sample, stable=True)
    value = None if events.value is None else events.value[order]
    return Given(step[order], sample[order], events.index.long()[order], value)


def some(events: Given, keep: Tensor) -> Given:
    """Select the entries that are marked to stay."""
    value = None if events.value is None else events.value[keep]
    return Given(events.step[keep], events.sample[keep], events.channel[keep], value)


def put_back(like: Signal, events: Given) -> Signal:
    """Build an input of the same kind from entries; values in one place add up, and of spikes two are one."""
    _, samples, channels = like.shape
    place = (events.step * samples + events.sample) * channels + events.channel
    used_places, inverse = torch.unique(place, return_inverse=True)
    value = None
    if events.value is not None:
        value = torch.zeros(len(used_places), dtype=events.value.dtype).index_add_(0, inverse, events.value)
    row = torch.div(used_places, channels, rounding_mode="floor")
    shape = (like.shape[0], samples, channels)
    rebuilt = SparseSpikes.from_rows(row, used_places % channels, value, shape, like.dtype).to(like.device)
    return rebuilt if isinstance(like, SparseSpikes) else rebuilt.dense()
