"""The encoded samples of a whole split, kept in memory from epoch to epoch if encoding is not random."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fastspiking.bins import AT_ONCE, NARROW, by_steps
from fastspiking.signals.spikes import SparseSpikes
from sgbench.encoders.base import Encoder, Values

MOST_BYTES = 128 << 20  # of encoded samples; larger splits are encoded anew in every epoch


class Kept:
    """Holds the encoded spikes of all samples of a split, from which batches are copied.

    `parts`: encoded spikes [T, B, M] of consecutive samples, at least one part; `lengths`: valid steps of each sample
    [samples], as the encoder counts them.

    >>> one = SparseSpikes.of(torch.tensor([[[0.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]]))
    >>> kept = Kept([one], torch.tensor([2, 2]))
    >>> kept.batch(torch.tensor([1]))[0].dense().tolist()
    [[[1.0, 0.0]], [[1.0, 1.0]]]
    """

    def __init__(self, parts: Sequence[SparseSpikes], lengths: Tensor) -> None:
        self.lengths = lengths
        self.steps, _, self.width = parts[0].shape
        self.dtype = parts[0].dtype
        counts, index, value = [], [], []
        for part in parts:
            steps, samples, width = part.shape
            counts.append(part.indptr.diff().view(steps, samples).T.numpy())
            # Sample of each event, which is below AT_ONCE, so it fits 16 bits.
            sample = (part.rows() % samples).numpy().astype(np.int16)
            order = np.argsort(sample, kind="stable")
            index.append(part.index.numpy()[order].astype(np.uint16 if width <= NARROW else np.int32))
            if part.value is not None:
                value.append(part.value.numpy()[order])
        self.counts = np.concatenate(counts).astype(np.int32)  # events [samples, steps]
        ends = np.cumsum(self.counts.sum(1, dtype=np.int64))
        self.begin = np.concatenate([[0], ends])  # of each sample's events
        self.index = _join_padded(index)
        self.value = _join_padded(value) if value else None

    def batch(self, position: Tensor) -> tuple[SparseSpikes, Tensor]:
        """Copy the events [T, B, M] of the samples at these positions [B], with their valid steps [B]."""
        chosen = position.numpy()
        counts, begin = np.ascontiguousarray(self.counts[chosen].T), self.begin[chosen]
        indptr = np.empty(counts.size + 1, np.int64)
        index = torch.from_numpy(by_steps(self.index, counts, begin, indptr, np.dtype(np.int32)))
        value = None
        if self.value is not None:
            value = torch.from_numpy(by_steps(self.value, counts, begin, indptr, self.value.dtype))
        shape = (self.steps, len(chosen), self.width)
        events = SparseSpikes(torch.from_numpy(indptr), index, value, shape, self.dtype)
        return events, self.lengths[position]


def keep(values: Values, encoder: Encoder, noise: torch.Generator, dtype: torch.dtype) -> Kept | None:
    """Encode all samples of a split, to be used in every epoch.

    Returns the encoded samples, or None if they must be encoded anew in each epoch: the encoder draws random numbers or
    gives no sparse spikes, the code of a sample depends on the other samples of its batch, or the spikes of the split
    take more than 128 MiB.
    """
    parts: list[SparseSpikes] = []
    lengths: list[Tensor] = []
    size_bytes = count = 0
    for positions in torch.arange(len(values)).split(AT_ONCE):
        converted = numbers(values[positions], dtype)
        part = _encode_without_noise(encoder, converted, noise)
        if part is None or (parts and not _same_layout(parts[0], part)):
            return None
        parts.append(part)
        lengths.append(encoder.lengths(converted))
        count += len(positions)
        arrays = (part.index, part.indptr, part.value)
        size_bytes += sum(array.nbytes for array in arrays if array is not None)
        if size_bytes / count * len(values) > MOST_BYTES:
            return None
    if not parts:
        return None
    kept = Kept(parts, torch.cat(lengths))
    mixed = torch.arange(len(values) - 1, -1, -2)[:AT_ONCE]  # a batch of other samples than any part
    again = _encode_without_noise(encoder, numbers(values[mixed], dtype), noise)
    return kept if again is not None and _equal_events(again, kept.batch(mixed)[0]) else None


def _same_layout(one: SparseSpikes, other: SparseSpikes) -> bool:
    """Return whether two batches of spikes have equal steps and channels, and both or neither have event values."""
    same_shape = (one.shape[0], one.shape[2]) == (other.shape[0], other.shape[2])
    return same_shape and (one.value is None) == (other.value is None)


def _encode_without_noise(encoder: Encoder, values: Values, noise: torch.Generator) -> SparseSpikes | None:
    """Encode samples; None if that draws random numbers or gives no sparse spikes, so that it cannot be kept."""
    noise_before, torch_before = noise.get_state(), torch.get_rng_state()
    x = encoder.encode(values, noise)
    is_random = not (torch.equal(noise_before, noise.get_state()) and torch.equal(torch_before, torch.get_rng_state()))
    return x if isinstance(x, SparseSpikes) and x.device.type == "cpu" and not is_random else None


def _equal_events(one: SparseSpikes, other: SparseSpikes) -> bool:
    pairs = [(one.indptr, other.indptr), (one.index, other.index), (one.value, other.value)]
    return all((a is None and b is None) or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


def numbers(values: Values, dtype: torch.dtype) -> Values:
    """Convert samples to the floating-point type of the run; bytes become value / 255, spikes stay spike trains."""
    if isinstance(values, Tensor) and values.dtype == torch.uint8:
        return values.to(dtype).div_(255)
    return values.to(dtype)


def _join_padded(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Join arrays and append `AT_ONCE` zeros, as copies in vector registers read beyond the end."""
    return np.concatenate([*arrays, np.zeros(AT_ONCE, arrays[0].dtype)])
