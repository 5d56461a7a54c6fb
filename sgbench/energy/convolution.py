"""How many synapses of a convolution an event reaches: fewer at the border of an image than inside."""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sgbench.energy.per_sample import PerSample, Rows, count_events, one_step_later
from sgbench.engine.kernels import codes, counting
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.pool import Image
from sgbench.signals.spikes import Signal, SparseSpikes


class Fan:
    r"""Holds the synapses of one convolution, as its stride and padding wire them.

    An event at row y reaches the rows :math:`v` with :math:`|v \cdot stride - y| \le padding`, columns likewise.

    Args:
        weight: [rows, channels, side, side].
        image: channels, height and width of its input.
        stride: of the convolution.
        currents: that a neuron takes; so many rows belong to one channel of neurons.

    >>> fan = Fan(torch.zeros(2, 1, 3, 3), (1, 3, 3), stride=1, currents=1)
    >>> fan.total  # 2 channels, of 4 neurons from a corner, 6 from an edge, 9 from the middle
    98
    >>> operations, reached = fan.spread(torch.tensor([[[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]]))
    >>> operations.tolist(), reached.counts.tolist(), reached.positions().int().tolist()
    ([[8]], [[4]], [[[1, 1, 0, 1, 1, 0, 0, 0, 0]]])
    """

    def __init__(self, weight: Tensor, image: Image, *, stride: int, currents: int) -> None:
        rows, padding = weight.shape[0], weight.shape[-1] // 2
        self.channels = rows // currents
        self.image = image
        tall, wide = (_reached_along(side, padding, stride) for side in image[1:])
        reached = (tall[:, None, :, None] & wide[None, :, None, :]).reshape(math.prod(image[1:]), -1)
        self.out = reached.shape[1]
        self.synapses = rows * reached.sum(1)  # synapses that an event at each position reaches
        self.total = image[0] * int(self.synapses.sum())  # synapses
        self.masks = _as_bits(reached)
        used = self.masks != 0
        # Words of a mask outside of these are 0.
        self.first, self.last = used.argmax(1), used.shape[1] - used[:, ::-1].argmax(1)

    @staticmethod
    def into(layer: ConvLayer) -> Fan:
        """Return the fan of the convolution into a layer."""
        return Fan(layer.weight, layer.image_in, stride=layer.stride, currents=layer.neuron.currents)

    @staticmethod
    def among(layer: ConvLayer) -> Fan | None:
        """Return the fan of the convolution among a layer's neurons, where there is one."""
        if layer.recurrent is None or layer.recurrence != "convolution":
            return None
        return Fan(layer.recurrent, layer.image_out, stride=1, currents=layer.neuron.currents)

    def spread(self, signal: Signal) -> tuple[Rows, Reached]:
        """Return the synapses that the events of each row of a signal [T, B, N] reach.

        Returns:
            Synapses [T, B], and the positions reached, the same in all channels of neurons.
        """
        steps, batch, _ = signal.shape
        operations, counts = (np.empty(steps * batch, np.int64) for _ in range(2))
        words = np.zeros((steps * batch, self.masks.shape[1]), np.uint64)
        into = (operations, words, counts)
        if isinstance(signal, SparseSpikes):
            events = (signal.indptr.cpu().numpy(), signal.index.cpu().numpy())
            counting.spread_events(*events, self.synapses, self.masks, self.first, self.last, *into)
        else:
            images = signal.detach().cpu().contiguous().view(steps * batch, self.image[0], -1).numpy()
            if words.shape[1] == 1:
                counting.spread_small(images, self.synapses, self.masks, *into)
            else:
                counting.spread_dense(images, self.synapses, self.masks, self.first, self.last, *into)
        reached = Reached(counts.reshape(steps, batch), words, self.out)
        return operations.reshape(steps, batch), reached


class Reached(NamedTuple):
    """Holds the positions of a layer that events reach, in each row (step and sample)."""

    counts: Rows
    words: NDArray[np.uint64]  # [T B, blocks], a bit for each position
    out: int  # positions

    def positions(self) -> Tensor:
        """Return the positions reached as truth values [T, B, positions]."""
        bits = np.unpackbits(self.words.view(np.uint8), axis=1, count=self.out, bitorder="little")
        return torch.from_numpy(bits.view(np.bool_)).view(*self.counts.shape, -1)


def _reached_along(side: int, padding: int, stride: int) -> NDArray[np.bool_]:
    """Return which positions along an axis of a layer an event at each of `side` positions reaches.

    >>> _reached_along(3, 1, 2).astype(int).tolist()
    [[1, 0], [1, 1], [0, 1]]
    """
    out = np.arange((side - 1) // stride + 1)
    return abs(out * stride - np.arange(side)[:, None]) <= padding


def _as_bits(positions: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Pack truth values [rows, positions] into the bits of words [rows, blocks]."""
    blocks = -(-positions.shape[1] // codes.WORD)
    padded = np.zeros((len(positions), blocks * codes.WORD), np.bool_)
    padded[:, : positions.shape[1]] = positions
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint64)


class Fans(NamedTuple):
    """Holds the convolution into a layer and the one among its neurons."""

    into: Fan
    among: Fan | None

    @staticmethod
    def of(layer: ConvLayer) -> Fans:
        """Build the fans of a convolutional layer: of the weights into it and among its neurons."""
        return Fans(Fan.into(layer), Fan.among(layer))


class Arriving(NamedTuple):
    """Holds what one batch brings to a layer, and what the layer sends."""

    signal: Signal  # [T, B, N]
    sent: Tensor | None  # spikes of the layer itself
    valid: NDArray[np.bool_] | None  # [T, B], None: all


def count_convolution(
    layer: ConvLayer, fans: Fans, arriving: Arriving, total: Counter[str], per_sample: PerSample
) -> None:
    """Add what one batch makes a layer do: an event reaches the neurons around it, fewer at a border."""
    signal, sent, valid = arriving
    # What the layer before sends: operations, and positions that it reaches.
    came, landed = fans.into.spread(signal)
    per_sample.add(total, "arriving", (came if valid is None else came * valid).sum(0))
    returns = sent is not None and layer.recurrence != "none"
    if layer.pool_out is None and not returns:
        alone = landed.counts if valid is None else landed.counts * valid
        total["reached"] += int(alone.sum()) * fans.into.channels
        return
    reached = landed.positions()
    if layer.pool_out is not None:
        reached = layer.pool_out.reached(reached)
    together = fans.into.channels  # neurons at one position that are reached together
    # What the layer sends itself arrives one step later.
    if sent is not None and returns:
        potentials = layer.neuron.feeds_back == "potential"  # which are hardly ever 0
        active = torch.ones_like(sent) if potentials else sent
        if fans.among is None:
            all_of_it = torch.full((active.shape[1],), active.shape[0])
            back = count_events(active, all_of_it).rows * layer.neuron.currents
            again = active.cpu() != 0
            reached, together = reached.repeat(1, 1, together), 1
        else:
            back, returned = fans.among.spread(active)
            again = returned.positions()
        per_sample.add(total, "returning", one_step_later(back, valid).sum(0))
        reached[1:] |= again[:-1]
    # Steps after a sample's end reach nothing.
    if valid is not None:
        reached &= torch.from_numpy(valid)[..., None]
    total["reached"] += int(torch.count_nonzero(reached)) * together
