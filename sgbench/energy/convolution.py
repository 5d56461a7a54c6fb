"""Operation counts of convolutions: at the border of an image, an event reaches fewer synapses than inside."""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastspiking.arrays import FLOATS, rows_of
from fastspiking.kernels import codes, events
from fastspiking.signals.spikes import Signal, SparseSpikes
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.pool import Image
from sgbench.records.base import MAX_WHOLE
from sgbench.records.counts import Count, Spread


class Fan:
    r"""Holds which positions, and how many synapses, of one convolution an event at each input position reaches.

    An event in row y of the input reaches the rows :math:`v` of the output with
    :math:`|v \cdot stride - y| \le padding`; columns likewise.

    `weight`: of the convolution [output channels * currents, input channels, side, side]; `image`: channels, height and
    width of the input.

    >>> fan = Fan(torch.zeros(2, 1, 3, 3), (1, 3, 3), stride=1, currents=1)
    >>> fan.total  # 2 channels, of 4 neurons from a corner, 6 from an edge, 9 from the middle
    98
    >>> operations, reached = fan.spread(torch.tensor([[[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]]))
    >>> operations.tolist(), reached.counts.tolist(), reached.positions().int().tolist()
    ([[8]], [[4]], [[[1, 1, 0, 1, 1, 0, 0, 0, 0]]])
    """

    def __init__(self, weight: Tensor, image: Image, *, stride: int, currents: int) -> None:
        weight_rows, padding = weight.shape[0], weight.shape[-1] // 2
        self.channels = weight_rows // currents  # of neurons
        self.image = image
        rows, columns = (_reached_along(side, padding, stride) for side in image[1:])
        reached = (rows[:, None, :, None] & columns[None, :, None, :]).reshape(math.prod(image[1:]), -1)
        self.out = reached.shape[1]  # output positions
        self.synapses = weight_rows * reached.sum(1)  # number that an event at each input position reaches
        self.total = image[0] * int(self.synapses.sum())  # number of synapses
        self.masks = _as_bits(reached)  # output positions reached from each input position, as bits
        used = self.masks != 0
        # Range of words that are not 0 in each mask.
        self.first, self.last = used.argmax(1), used.shape[1] - used[:, ::-1].argmax(1)

    @staticmethod
    def into(layer: ConvLayer) -> Fan:
        return Fan(layer.weight, layer.image_in, stride=layer.stride, currents=layer.neuron.currents)

    @staticmethod
    def among(layer: ConvLayer) -> Fan | None:
        """Return the fan of a layer's recurrent convolution; None if it has no such recurrence."""
        if layer.recurrent is None or layer.recurrence != "convolution":
            return None
        return Fan(layer.recurrent, layer.image_out, stride=1, currents=layer.neuron.currents)

    def spread(self, signal: Signal) -> tuple[Rows, Reached]:
        """Count the synapses that the events of a signal [T, B, N] reach in each step and sample.

        Returns number of synapses reached [T, B], and the output positions reached (in all channels alike).
        """
        steps, batch, _ = signal.shape
        operations, counts = (np.empty(steps * batch, np.int64) for _ in range(2))
        words = np.zeros((steps * batch, self.masks.shape[1]), np.uint64)
        results = (operations, words, counts)  # filled by the kernels
        if isinstance(signal, SparseSpikes):
            given = (signal.indptr.cpu().numpy(), signal.index.cpu().numpy())
            events.spread_events(*given, self.synapses, self.masks, self.first, self.last, *results)
        else:
            images = signal.detach().cpu().contiguous().view(steps * batch, self.image[0], -1).numpy()
            if words.shape[1] == 1:
                events.spread_small(images, self.synapses, self.masks, *results)
            else:
                events.spread_dense(images, self.synapses, self.masks, self.first, self.last, *results)
        reached = Reached(counts.reshape(steps, batch), words, self.out)
        return operations.reshape(steps, batch), reached


class Reached(NamedTuple):
    """Holds which positions of a layer's image events reach, in each step and sample."""

    counts: Rows  # number of positions reached [T, B]
    words: NDArray[np.uint64]  # a bit for each position [T * B, words]
    out: int  # number of positions

    def positions(self) -> Tensor:
        bits = np.unpackbits(self.words.view(np.uint8), axis=1, count=self.out, bitorder="little")
        return torch.from_numpy(bits.view(np.bool_)).view(*self.counts.shape, -1)


def _reached_along(side: int, padding: int, stride: int) -> NDArray[np.bool_]:
    """Return which output positions an input event reaches along one axis of a convolution, bool [side, outputs].

    >>> _reached_along(3, 1, 2).astype(int).tolist()
    [[1, 0], [1, 1], [0, 1]]
    """
    out = np.arange((side - 1) // stride + 1)
    return abs(out * stride - np.arange(side)[:, None]) <= padding


def _as_bits(positions: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Pack bool [rows, positions] into the bits of 64-bit words [rows, words]."""
    blocks = -(-positions.shape[1] // codes.WORD)
    padded = np.zeros((len(positions), blocks * codes.WORD), np.bool_)
    padded[:, : positions.shape[1]] = positions
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint64)


class Fans(NamedTuple):
    """Holds the fans of a layer's feed-forward convolution and of its recurrent one."""

    into: Fan
    among: Fan | None  # None if the layer has no recurrent convolution

    @staticmethod
    def of(layer: ConvLayer) -> Fans:
        return Fans(Fan.into(layer), Fan.among(layer))


class Arriving(NamedTuple):
    """Holds the input of a layer and its own output in one batch."""

    signal: Signal  # input [T, B, N]
    sent: Tensor | None  # the layer's own spikes [T, B, neurons]; None if it does not spike
    valid: NDArray[np.bool_] | None  # steps within each sample [T, B]; None if all are


def count_convolution(
    layer: ConvLayer, fans: Fans, arriving: Arriving, total: Counter[str], per_sample: PerSample
) -> None:
    """Add the operations of a convolutional layer in one batch to its totals and to those of each sample.

    Totals "arriving" and "returning" are synaptic operations of feed-forward and recurrent connections; "reached"
    counts updates of neurons that some event reaches.
    """
    signal, sent, valid = arriving
    # Events of the previous layer.
    operations, landed = fans.into.spread(signal)
    per_sample.add(total, "arriving", (operations if valid is None else operations * valid).sum(0))
    is_recurrent = sent is not None and layer.recurrence != "none"
    if layer.pool_out is None and not is_recurrent:
        positions = landed.counts if valid is None else landed.counts * valid
        total["reached"] += int(positions.sum()) * fans.into.channels
        return
    reached = landed.positions()
    if layer.pool_out is not None:
        reached = layer.pool_out.reached(reached)
    neurons_per_entry = fans.into.channels  # neurons that an entry of `reached` stands for
    # The layer's own events arrive one step later.
    if sent is not None and is_recurrent:
        # A potential that is fed back is hardly ever 0, so it counts as an event in each step.
        feeds_potential = layer.neuron.feeds_back == "potential"
        events = torch.ones_like(sent) if feeds_potential else sent
        if fans.among is None:
            all_steps = torch.full((events.shape[1],), events.shape[0])
            returning = count_events(events, all_steps).rows * layer.neuron.currents
            reached_again = events.cpu() != 0
            reached, neurons_per_entry = reached.repeat(1, 1, neurons_per_entry), 1
        else:
            returning, returned = fans.among.spread(events)
            reached_again = returned.positions()
        per_sample.add(total, "returning", one_step_later(returning, valid).sum(0))
        reached[1:] |= reached_again[:-1]
    if valid is not None:  # steps after a sample's end do not count
        reached &= torch.from_numpy(valid)[..., None]
    total["reached"] += int(torch.count_nonzero(reached)) * neurons_per_entry


class PerSample:
    """Holds the synaptic operations and spikes of each sample of one batch, summed over all layers.

    `samples`: batch size B.

    >>> per_sample, squares = PerSample(2), Counter()
    >>> per_sample.synaptic_operations += np.array([3, 4])
    >>> per_sample.add_squares(squares)
    >>> spread(squares).synaptic_operations_squared.total
    25
    """

    def __init__(self, samples: int) -> None:
        self.synaptic_operations: NDArray[np.int64] = np.zeros(samples, np.int64)
        self.spikes_sent: NDArray[np.int64] = np.zeros(samples, np.int64)

    def add(self, total: Counter[str], name: str, of_samples: NDArray[np.int64]) -> None:
        """Add synaptic operations of each sample [B] to those held, and their sum to `total[name]`."""
        self.synaptic_operations += of_samples
        total[name] += int(of_samples.sum())

    def add_squares(self, squares: Counter[str]) -> None:
        """Add the squares of each sample's counts, from which their spread follows; without overflow."""
        for name in ("synaptic_operations", "spikes_sent"):
            numbers: NDArray[np.int64] = getattr(self, name)
            fits = len(numbers) == 0 or len(numbers) * int(numbers.max()) ** 2 <= MAX_WHOLE  # 64 bits
            squares[name] += int(numbers @ numbers) if fits else sum(n * n for n in numbers.tolist())


def spread(squares: Counter[str]) -> Spread:
    """Return the sums of squares as counts."""
    return Spread(
        synaptic_operations_squared=_count(squares["synaptic_operations"]),
        spikes_sent_squared=_count(squares["spikes_sent"]),
    )


def _count(total: int) -> Count:
    """Return a total as a record's count, or the reason why it is too large for one."""
    return Count(total=total) if total <= MAX_WHOLE else Count(reason="beyond 2^63, the largest stored")


Rows = NDArray[np.int64]
"""A whole number for each step and sample [T, B]."""


class Came(NamedTuple):
    """Holds numbers of events of a signal in the valid steps of samples."""

    rows: Rows  # in each step and sample [T, B]
    of_samples: Rows  # in each sample [B]
    total: int
    steps: int  # number of steps, of all samples, with an event


def count_events(signal: Signal, lengths: Tensor) -> Came:
    """Count the entries other than 0 of a signal [T, B, N] in the valid steps of each sample.

    `signal`: sparse or dense; `lengths`: valid steps of each sample [B].

    >>> signal = torch.tensor([[[0.0, 0.5], [1.0, 1.0]], [[-1.0, 2.0], [1.0, 0.0]]])
    >>> came = count_events(signal, torch.tensor([2, 1]))
    >>> came.rows.tolist(), came.of_samples.tolist(), came.total, came.steps
    ([[1, 2], [2, 0]], [3, 2], 5, 3)
    """
    steps, batch, width = signal.shape
    rows, of_samples = np.empty((steps, batch), np.int64), np.zeros(batch, np.int64)
    ends_and_results = (lengths.cpu().numpy(), rows, of_samples)  # the kernels fill the last two
    if not isinstance(signal, SparseSpikes) and signal.device.type == "cpu" and signal.dtype in FLOATS:
        entries = rows_of(signal.detach().contiguous(), width)
        total, steps_with_events = events.count_rows(entries, *ends_and_results)
    else:
        total, steps_with_events = events.count_packed(_indptr(signal), *ends_and_results)
    return Came(rows, of_samples, int(total), int(steps_with_events))


def _indptr(signal: Signal) -> NDArray[np.int64]:
    """Return the running number of events before each row (step and sample) of a signal [T * B + 1].

    A dense signal on an accelerator is counted there.
    """
    if isinstance(signal, SparseSpikes):
        return signal.indptr.cpu().numpy()
    counts = torch.sum(signal.detach().bool(), 2, dtype=torch.int64).cpu().numpy()
    return np.append(0, counts.cumsum())


def within(lengths: Tensor, steps: int) -> NDArray[np.bool_] | None:
    """Return a mask [T, B] of the steps within each sample (lengths: valid steps [B]); None if all are."""
    ends = lengths.cpu().numpy()
    return None if len(ends) == 0 or ends.min() >= steps else np.arange(steps)[:, None] < ends


def one_step_later(rows: Rows, valid: NDArray[np.bool_] | None) -> Rows:
    """Shift numbers [T, B] by one step and set steps outside `valid` to 0; those of the last step are lost."""
    shifted = np.zeros_like(rows)
    shifted[1:] = rows[:-1]
    return shifted if valid is None else shifted * valid
