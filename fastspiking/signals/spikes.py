"""Spikes on time steps, as sparse input of a layer, and spike trains in microseconds that depend on no time step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class SparseSpikes:
    """Holds the non-zero entries ("events") of input [T, B, N] in compressed sparse rows, without gradients.

    Row t * B + b is step t of sample b; the events of row r are at positions `index[indptr[r]:indptr[r + 1]]`
    along N, with the sizes `value[indptr[r]:indptr[r + 1]]`.

    >>> events = SparseSpikes.of(torch.tensor([[[0.0, 1.0, 0.0]], [[2.0, 0.0, 1.0]]]))
    >>> events.indptr.tolist(), events.index.tolist(), events.value.tolist()
    ([0, 1, 3], [1, 0, 2], [1.0, 2.0, 1.0])
    >>> events.dense().tolist()
    [[[0.0, 1.0, 0.0]], [[2.0, 0.0, 1.0]]]
    """

    indptr: Tensor  # int64 [T * B + 1]
    index: Tensor  # int32 [events], positions along N, ascending within a row
    value: Tensor | None  # sizes [events]; None if all are 1
    shape: tuple[int, int, int]  # (T, B, N)
    dtype: torch.dtype  # of the dense form

    @staticmethod
    def of(dense: Tensor) -> SparseSpikes:
        """Convert dense input [T, B, N], which must not require a gradient."""
        steps, batch, inputs = dense.shape
        flat = dense.reshape(-1)
        position = nonzero_positions(flat)
        row = position // max(1, inputs)
        index, value = position - row * inputs, flat[position]
        return SparseSpikes.from_rows(
            row, index, None if bool((value == 1).all()) else value, (steps, batch, inputs), dense.dtype
        )

    @staticmethod
    def from_rows(
        row: Tensor, index: Tensor, value: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype
    ) -> SparseSpikes:
        """Make sparse spikes from the row t * B + b (ascending) and the position along N of each event.

        `row`: of each event [events]. `index`: position along N of each event, ascending within a row [events].
        `value`: size of each event [events]; None if all are 1. `shape`: (T, B, N). `dtype`: of the dense form.
        """
        counts = torch.bincount(row, minlength=shape[0] * shape[1])
        indptr = torch.zeros(len(counts) + 1, dtype=torch.int64, device=row.device)
        torch.cumsum(counts, 0, out=indptr[1:])
        steps, batch, inputs = shape
        return SparseSpikes(indptr, index.to(torch.int32), value, (steps, batch, inputs), dtype)

    @property
    def device(self) -> torch.device:
        return self.index.device

    @property
    def density(self) -> float:
        return len(self.index) / max(1, self.shape[0] * self.shape[1] * self.shape[2])

    def rows(self) -> Tensor:
        """Return the row t * B + b of each event, int64 [events]."""
        rows = torch.arange(len(self.indptr) - 1, device=self.device)
        return rows.repeat_interleave(self.indptr.diff(), output_size=len(self.index))

    def dense(self) -> Tensor:
        """Return the dense form [T, B, N], with zeros where there is no event."""
        steps, batch, inputs = self.shape
        out = torch.zeros(steps * batch * inputs, dtype=self.dtype, device=self.device)
        out[self.rows() * inputs + self.index] = 1 if self.value is None else self.value
        return out.view(self.shape)

    def window(self, first: int, last: int) -> SparseSpikes:
        """Return the events of the steps `first` to `last` - 1."""
        steps, batch, inputs = self.shape
        last = min(last, steps)
        indptr = self.indptr[first * batch : last * batch + 1]
        start, end = int(indptr[0]), int(indptr[-1])
        return replace(
            self,
            indptr=indptr - start,
            index=self.index[start:end],
            value=None if self.value is None else self.value[start:end],
            shape=(last - first, batch, inputs),
        )

    def to(self, device: torch.device | str, **_: object) -> SparseSpikes:
        """Copy the events to another device; copies to CUDA do not block if the events are in pinned memory."""
        is_cuda = torch.device(device).type == "cuda"
        return self._map_tensors(lambda tensor: tensor.to(device, non_blocking=is_cuda))

    def pin_memory(self, *_: object) -> SparseSpikes:
        """Copy the events to pinned (page-locked) memory, from which a CUDA device can copy without blocking."""
        return self._map_tensors(Tensor.pin_memory)

    def _map_tensors(self, change: Callable[[Tensor], Tensor]) -> SparseSpikes:
        value = None if self.value is None else change(self.value)
        return replace(self, indptr=change(self.indptr), index=change(self.index), value=value)


Signal = Tensor | SparseSpikes
"""Input of a layer: dense values [T, B, ...] or sparse spikes [T, B, N]."""


def nonzero_positions(flat: Tensor) -> Tensor:
    """Return the ascending positions of non-zero entries of a flat tensor; on CPU by NumPy, which is faster."""
    if flat.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero((flat != 0).numpy()))
    return flat.nonzero().squeeze(1)


def dense(signal: Signal) -> Tensor:
    """Return dense or sparse input in its dense form [T, B, N]."""
    return signal.dense() if isinstance(signal, SparseSpikes) else signal


def windows(signal: Signal, steps: int) -> list[Signal]:
    """Split input [T, B, ...] along time into consecutive parts of at most `steps` steps."""
    if isinstance(signal, SparseSpikes):
        return [signal.window(first, first + steps) for first in range(0, signal.shape[0], steps)]
    return list(signal.split(steps))


MICRO = 1e-6
TIME_BITS = 31  # times are below 2^31 us, about 36 minutes
AT_ONCE = 1_000_000  # about the number of spikes read at a time


@dataclass(frozen=True)
class SpikeTrains:
    """Holds the spikes of many samples, at times in whole microseconds.

    Sample s has spikes in the channels `channel[indptr[s]:indptr[s + 1]]` at the times
    `time_us[indptr[s]:indptr[s + 1]]`, sorted by time and, at equal times, by channel.

    >>> trains = SpikeTrains.of([0, 0, 1], [1, 0, 1], [2500, 400, 0], [3000, 1000], 2)
    >>> trains.indptr.tolist(), trains.channel.tolist(), trains.time_us.tolist()
    ([0, 2, 3], [0, 1, 1], [400, 2500, 0])
    >>> trains.steps(dt_s=0.001).tolist()
    [3, 1]
    """

    indptr: Tensor  # int64 [samples + 1]
    channel: Tensor  # int32 [spikes]
    time_us: Tensor  # int32 [spikes], from the start of the sample
    duration_us: Tensor  # int64 [samples]; no spike of a sample is later
    n_channels: int  # number of channels N
    dtype: torch.dtype = torch.float64  # of the input that encoders make of the spikes

    @staticmethod
    def of(sample: object, channel: object, time_us: object, duration_us: object, n_channels: int) -> SpikeTrains:
        """Make spike trains from spikes in any order.

        `sample`: index of each spike's sample, whole numbers from 0 on [spikes]. `channel`: of each spike [spikes].
        `time_us`: of each spike, below 2^31 [spikes] [us]. `duration_us`: of each sample [samples] [us]. `n_channels`:
        number of channels N.
        """
        sample, channel, time = (np.asarray(column, dtype=np.int64) for column in (sample, channel, time_us))
        durations = np.asarray(duration_us, dtype=np.int64)
        indptr = np.zeros(len(durations) + 1, dtype=np.int64)
        np.cumsum(np.bincount(sample, minlength=len(durations)), out=indptr[1:])
        # One number of all three sorts in a tenth of the time that a sort by three keys takes.
        key = np.sort(((sample << TIME_BITS) | time) * n_channels + channel)
        sample_and_time, sorted_channel = np.divmod(key, n_channels)
        return SpikeTrains(
            torch.from_numpy(indptr),
            torch.from_numpy(sorted_channel.astype(np.int32)),
            torch.from_numpy((sample_and_time & ((1 << TIME_BITS) - 1)).astype(np.int32)),
            torch.from_numpy(durations),
            n_channels,
        )

    def __len__(self) -> int:
        return len(self.duration_us)

    def sample(self) -> Tensor:
        """Return the index of each spike's sample, int64 [spikes]."""
        return torch.repeat_interleave(torch.arange(len(self)), self.indptr.diff())

    def to(self, dtype: torch.dtype) -> SpikeTrains:
        """Return the same spikes, from which encoders make input of another type."""
        return replace(self, dtype=dtype)

    def __getitem__(self, position: Tensor) -> SpikeTrains:
        """Return the samples at these positions [B], in their order."""
        counts = self.indptr.diff()[position]
        indptr = torch.zeros(len(position) + 1, dtype=torch.int64)
        torch.cumsum(counts, 0, out=indptr[1:])
        first = self.indptr[position].tolist()
        pieces = [slice(start, start + count) for start, count in zip(first, counts.tolist(), strict=True)]
        return replace(
            self,
            indptr=indptr,
            channel=_join_pieces(self.channel, pieces),
            time_us=_join_pieces(self.time_us, pieces),
            duration_us=self.duration_us[position],
        )

    def one_by_one(self) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]] | None:
        """Return an iterator over each sample's channels and times, for trains on disk; None if they are in memory.

        The iterator reuses its memory: the next sample overwrites the arrays.
        """
        return None

    def step_of(self, dt_s: float) -> Tensor:
        """Compute the time step floor(t / dt) of each spike, int64 [spikes]."""
        return (self.time_us.double() / in_microseconds(dt_s)).floor().long()

    def steps(self, dt_s: float) -> Tensor:
        """Return ceil(duration / dt) of each sample, at least 1, int64 [samples]."""
        return (self.duration_us.double() / in_microseconds(dt_s)).ceil().long().clamp(min=1)

    def by_channel(self) -> tuple[Tensor, Tensor]:
        """Return channels and times [us] of all spikes, sorted by sample, channel and time, both [spikes]."""
        order = np.lexsort((self.time_us.numpy(), self.channel.numpy(), self.sample().numpy()))
        return self.channel[order], self.time_us[order]

    def places(self) -> tuple[Tensor, ...]:
        """Split the indices of all samples into consecutive parts of about a million spikes each."""
        return torch.arange(len(self)).split(max(1, AT_ONCE * len(self) // max(1, len(self.channel))))

    def problem(self) -> str | None:
        """Return the first inconsistency of the arrays, worded to follow a name, or None; reads parts in turn."""
        if len(self.channel) != int(self.indptr[-1]) or len(self.time_us) != len(self.channel):
            return "has another number of spikes than it declares"
        counts = self.indptr.diff()
        if int(self.indptr[0]) != 0 or bool((counts < 0).any()):
            return "has a sample whose spikes are nowhere"
        for part in self.places():
            problem = self[part]._spike_problem()
            if problem is not None:
                return problem
        return None

    def _spike_problem(self) -> str | None:
        """Return the first spike's problem among these samples, worded to follow a name, or None."""
        if len(self.channel) == 0:
            return None
        if self.channel.min() < 0 or self.channel.max() >= self.n_channels:
            return f"has a spike outside channels 0..{self.n_channels - 1}"
        has_spikes = self.indptr.diff() > 0
        first, last = self.indptr[:-1][has_spikes], self.indptr[1:][has_spikes] - 1  # spikes of each sample
        goes_back = self.time_us[1:] < self.time_us[:-1]
        goes_back[first[1:] - 1] = False  # from a sample's last spike to the next one's first
        if goes_back.any():
            return "has spikes that are not in the order of time"
        if self.time_us[first].min() < 0 or (self.time_us[last] > self.duration_us[has_spikes]).any():
            return "has a spike outside its sample's duration"
        return None


def concatenated(parts: Sequence[SpikeTrains]) -> SpikeTrains:
    """Join the samples of several spike trains with equally many channels, in order.

    >>> one = SpikeTrains.of([0], [1], [400], [1000], 2)
    >>> both = concatenated([one, one])
    >>> both.indptr.tolist(), both.channel.tolist()
    ([0, 1, 2], [1, 1])
    """
    offsets = np.cumsum([0, *(int(part.indptr[-1]) for part in parts)])
    starts = [part.indptr[:-1] + int(offset) for part, offset in zip(parts, offsets[:-1], strict=True)]
    return SpikeTrains(
        torch.cat([*starts, torch.tensor([int(offsets[-1])])]),
        torch.cat([part.channel for part in parts]),
        torch.cat([part.time_us for part in parts]),
        torch.cat([part.duration_us for part in parts]),
        parts[0].n_channels,
        parts[0].dtype,
    )


def _join_pieces(numbers: Tensor, pieces: list[slice]) -> Tensor:
    """Join slices of a tensor; ten times as fast as indexing by positions."""
    array = numbers.numpy()
    return torch.from_numpy(np.concatenate([array[piece] for piece in pieces] or [array[:0]]))


def in_microseconds(dt_s: float) -> float:
    """Convert a time step dt_s from seconds to microseconds; a result within rounding of a whole number is rounded.

    >>> in_microseconds(0.0003), in_microseconds(1 / 3)
    (300.0, 333333.3333333333)
    """
    exact = dt_s / MICRO
    return float(round(exact)) if math.isclose(exact, round(exact), rel_tol=1e-12) else exact
