"""Binning of spike trains into time steps, as packed events: spikes are neither sorted nor made dense."""

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastspiking.arrays import FLOATS
from fastspiking.errors import InputError, StorageError
from fastspiking.signals.spikes import SparseSpikes, SpikeTrains, in_microseconds

NO_FOLD: NDArray[np.int32] = np.empty(0, np.int32)  # of `bin_spikes`: each channel is an input of its own
NARROW = 1 << 16  # number of inputs up to which two bytes can number them
AT_ONCE = 256  # samples that are read together


def bin_spikes(
    trains: SpikeTrains,
    steps: int,
    dt_s: float,
    *,
    fold: NDArray[np.int32] = NO_FOLD,
    inputs: int | None = None,
    counts: bool = False,
) -> SparseSpikes:
    r"""Bin the spikes into steps, :math:`\lfloor t / dt \rfloor < T`, as events [T, B, M].

    `trains`: spike trains of a batch [B]. `steps`: T; later spikes are left out. `dt_s`: duration of a step [s].
    `fold`: input of each channel [N]; empty if channels are inputs. `inputs`: M; None means the number of channels.
    `counts`: whether an input that spikes twice in a step gives 2 rather than 1.

    >>> trains = SpikeTrains.of([0, 0, 0], [1, 1, 0], [2500, 2700, 400], [3000], 2)
    >>> bin_spikes(trains, 3, 0.001, counts=True).dense()[:, 0].tolist()
    [[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]]
    """
    width = trains.n_channels if inputs is None else inputs
    loops = _loops()
    if loops is None:
        return _bin_by_sorting(trains, steps, dt_s, fold, width, counts=counts)
    indptr = np.empty(steps * len(trains) + 1, np.int64)
    index = np.empty(int(trains.indptr[-1]) + loops.TOGETHER, np.int32)  # the loops write so many entries at a time
    words = np.zeros((2, -(-width // loops.WORD)), np.uint64)
    edge_us, value = edges_us(steps, dt_s), None
    one_by_one = None if counts else trains.one_by_one()
    if one_by_one is not None:
        narrow = np.empty(len(index), np.uint16 if width <= NARROW else np.int32)
        _fill_by_sample(one_by_one, trains.n_channels, edge_us, fold, words, indptr, narrow, index)
    else:
        first = np.empty((steps + 1, len(trains)), np.int64)
        channel = trains.channel.numpy()
        if channel.size and not 0 <= channel.min() <= channel.max() < trains.n_channels:
            raise InputError(f"spike trains: a spike outside channels 0..{trains.n_channels - 1}")
        loops.find_steps(trains.time_us.numpy(), trains.indptr.numpy(), edge_us, first)
        if counts:
            number = np.empty(len(channel), FLOATS[trains.dtype])
            zeros = np.zeros(width, np.int64)
            loops.fill_counts(channel, first, fold, words[0], zeros, indptr, index, number)
            value = torch.from_numpy(number)[: indptr[-1]]
        else:
            loops.fill_binary(channel, first, fold, words, indptr, index)
    shape = (steps, len(trains), width)
    return SparseSpikes(torch.from_numpy(indptr), torch.from_numpy(index)[: indptr[-1]], value, shape, trains.dtype)


@functools.cache
def _loops() -> Any:
    """Return the compiled binning loops, or None where numba cannot be imported or has no cache folder."""
    try:
        from fastspiking.kernels import bins  # compiling takes seconds once, loading a tenth of one
    except (ImportError, RuntimeError):
        return None
    return bins


def _bin_by_sorting(
    trains: SpikeTrains, steps: int, dt_s: float, fold: NDArray[np.int32], width: int, *, counts: bool
) -> SparseSpikes:
    """Compute what `bin_spikes` does, for M = `width` inputs, without compiled loops."""
    step, channel = trains.step_of(dt_s).numpy(), trains.channel.numpy()
    batch, inside = len(trains), step < steps
    folded = fold[channel[inside]] if fold.size else channel[inside]
    key = (step[inside] * batch + trains.sample().numpy()[inside]) * width + folded  # row and input in one number
    places, number = np.unique(key, return_counts=True)
    row, index = (torch.from_numpy(part) for part in np.divmod(places, width))
    value = torch.from_numpy(number).to(trains.dtype) if counts else None
    return SparseSpikes.from_rows(row, index, value, (steps, batch, width), trains.dtype)


def _fill_by_sample(
    samples: Iterable[tuple[NDArray[np.int32], NDArray[np.int32]]],
    channels: int,
    edge_us: NDArray[np.int64],
    fold: NDArray[np.int32],
    words: NDArray[np.uint64],
    indptr: NDArray[np.int64],
    room: NDArray[Any],
    index: NDArray[np.int32],
) -> None:
    """Fill `indptr` and `index` with the events of all rows t * B + b, reading each sample once.

    `samples` yields channels and times [us] of each sample. Its events go to the scratch memory `room` first, and
    are then sorted by time step. `fold` and `words` are those of `kernels.bins.fill_row`.
    """
    from fastspiking.kernels import bins

    steps = len(edge_us) - 1
    counts = np.empty((steps, (len(indptr) - 1) // steps), np.int64)
    place = 0
    for b, (channel, time_us) in enumerate(samples):
        place = bins.fill_sample(channel, time_us, edge_us, fold, words, room, place, counts, b, channels)
        if place < 0:
            raise outside_error(channels)
    of_samples = counts.sum(0)
    bins.by_steps(room, counts, np.cumsum(of_samples) - of_samples, indptr, index)


def by_steps(
    entries: NDArray[Any],
    counts: NDArray[Any],
    begin: NDArray[np.int64],
    indptr: NDArray[np.int64],
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """Sort entries that are stored sample after sample, e.g. channels of spikes, by rows r = t * B + b.

    `entries`: entries of all samples, each sample's by step; padded by `kernels.bins.TOGETHER` unused ones. `counts`:
    number of entries in each step of each sample [T, B]. `begin`: index in `entries` of each sample's first entry [B].
    `indptr`: overwritten with each row's first index in the result, and last the result's length [T * B + 1]. `dtype`:
    of the result.
    """
    loops, total = _loops(), int(counts.sum())
    if loops is not None:
        out = np.empty(total + loops.TOGETHER, dtype)
        loops.by_steps(entries, counts, begin.copy(), indptr, out)
        return out[:total]
    indptr[0] = 0
    np.cumsum(counts.reshape(-1), out=indptr[1:])
    first = (begin + np.cumsum(counts, 0) - counts).reshape(-1)  # index in `entries` of each row's first one
    source = np.repeat(first - indptr[:-1], counts.reshape(-1)) + np.arange(total)
    return entries[source].astype(dtype)


def packed_steps(step: Tensor, fires: Tensor, steps: int, dtype: torch.dtype) -> SparseSpikes | None:
    """Pack at most one spike of each channel as events [T, B, M].

    Returns None without compiled loops, or for tensors on another device than the CPU.

    `step`: in which each channel spikes [B, M]; a channel with a step outside of 0..steps - 1 is silent. `fires`:
    whether a channel spikes at all, bool [B, M]. `steps`: T. `dtype`: of the events' dense form.
    """
    loops = _loops()
    if loops is None or step.device.type != "cpu":
        return None
    batch, channels = step.shape
    places, indptr = np.zeros(steps * batch, np.int64), np.empty(steps * batch + 1, np.int64)
    index = np.empty(step.numel(), np.int32)
    count = loops.pack_steps(step.contiguous().numpy(), fires.contiguous().numpy(), places, indptr, index)
    events = torch.from_numpy(index[:count].copy())
    return SparseSpikes(torch.from_numpy(indptr), events, None, (steps, batch, channels), dtype)


def outside_error(channels: int) -> StorageError:
    return StorageError(
        f"a prepared data set was written to while it was read: a spike outside channels 0..{channels - 1}; "
        f"run again, and it is prepared anew"
    )


def count_late_spikes(trains: SpikeTrains, steps: int, dt_s: float) -> int:
    """Count the spikes at or after the end of the last of `steps` steps, which last `dt_s` seconds each.

    Samples that end before are not read, since no spike lies after its sample's duration.

    >>> count_late_spikes(SpikeTrains.of([0, 0, 1], [0, 0, 0], [999, 1000, 2500], [3000, 3000], 1), 1, 0.001)
    2
    """
    end_us = int(edges_us(steps, dt_s)[-1])
    reaching_end = (trains.duration_us >= end_us).nonzero().squeeze(1)
    return sum(int((trains[indices].time_us >= end_us).sum()) for indices in reaching_end.split(AT_ONCE))


@functools.lru_cache(maxsize=8)
def edges_us(steps: int, dt_s: float) -> NDArray[np.int64]:
    """Return the first whole microsecond of each step 0..T, [T + 1], so that it agrees with `SpikeTrains.step_of`.

    >>> edges_us(3, 1 / 3000).tolist()
    [0, 334, 667, 1000]
    """
    dt_us, step = in_microseconds(dt_s), np.arange(steps + 1)[:, None]
    # A product rounds differently from the quotient in `step_of`, so neighbouring microseconds are tried.
    near = np.maximum(np.floor(step * dt_us).astype(np.int64) + np.arange(-1, 3), 0)
    reached = np.floor(near / dt_us) >= step
    edges = np.take_along_axis(near, reached.argmax(1)[:, None], 1)[:, 0]
    edges.flags.writeable = False  # all callers share the cached array
    return edges
