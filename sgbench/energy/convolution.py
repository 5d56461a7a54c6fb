"""How many synapses of a convolution an event reaches: fewer at the border of an image than inside."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sgbench.energy.event_rows import Rows, events_per_row, one_step_later
from sgbench.energy.per_sample import PerSample
from sgbench.engine.kernels import counting
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.pool import Image
from sgbench.spikes import Events, Signal


class Fan:
    r"""The synapses of one convolution, as its stride and padding wire them.

    An event at row y reaches the rows :math:`v` with :math:`|v \cdot stride - y| \le padding`, columns alike.

    Args:
        weight: [rows, channels, side, side].
        image: channels, height and width of its input.
        stride: of the convolution.
        currents: that a neuron takes; so many rows belong to one channel of neurons.

    >>> fan = Fan(torch.zeros(2, 1, 3, 3), (1, 3, 3), stride=1, currents=1)
    >>> fan.total  # 2 channels, of 4 neurons from a corner, 6 from an edge, 9 from the middle
    98
    >>> operations, reached = fan.spread(torch.tensor([[[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]]))
    >>> operations.tolist(), reached.int().tolist()
    ([[8]], [[[1, 1, 0, 1, 1, 0, 0, 0, 0]]])
    """

    def __init__(self, weight: Tensor, image: Image, *, stride: int, currents: int) -> None:
        self.rows = weight.shape[0]
        self.channels = self.rows // currents
        self.image = image
        self.stride, self.padding = stride, weight.shape[-1] // 2
        # How many rows and columns of the layer an event of each row and column reaches.
        self.tall, self.wide = (_reached_along(side, self.padding, stride) for side in image[1:])
        self.total = self.rows * image[0] * int(self.tall.sum() * self.wide.sum())  # synapses
        self.y_of, self.x_of = np.indices(image, dtype=np.int32).reshape(3, -1)[1:]

    @staticmethod
    def into(layer: ConvLayer) -> Fan:
        """Of the convolution into a layer."""
        return Fan(layer.weight, layer.image_in, stride=layer.stride, currents=layer.neuron.currents)

    @staticmethod
    def among(layer: ConvLayer) -> Fan | None:
        """Of the convolution among a layer's neurons, where there is one."""
        if layer.recurrent is None or layer.recurrence != "convolution":
            return None
        return Fan(layer.recurrent, layer.image_out, stride=1, currents=layer.neuron.currents)

    def spread(self, signal: Signal) -> tuple[Rows, Tensor]:
        """What the events of each row of a signal [T, B, N] reach.

        Returns:
            Synapses [T, B], and whether each place [T, B, places] is reached, the same in all channels of neurons.
        """
        steps, batch, _ = signal.shape
        height, width = self.image[1:]
        operations = np.empty(steps * batch, np.int64)
        sides = ((side - 1) // self.stride + 1 for side in (height, width))
        landed = np.empty((steps * batch, *sides), np.bool_)
        strip = np.zeros(width + 2 * self.padding, np.int32)
        into = (
            *(self.tall, self.wide, self.stride, self.padding, self.rows),
            *(np.empty((height, width), np.int32), strip, operations, landed),
        )
        if isinstance(signal, Events):
            events = (signal.indptr.cpu().numpy(), signal.index.cpu().numpy())
            counting.spread_events(*events, self.y_of, self.x_of, *into)
        else:
            images = signal.detach().cpu().contiguous().view(-1, *self.image)
            counting.spread_dense(images.numpy(), *into)
        return operations.reshape(steps, batch), torch.from_numpy(landed).view(steps, batch, -1)


def _reached_along(side: int, padding: int, stride: int) -> NDArray[np.int64]:
    """How many places along an axis an event at each of `side` places reaches.

    >>> _reached_along(4, 1, 2).tolist(), _reached_along(3, 1, 1).tolist()
    ([1, 2, 1, 1], [2, 3, 2])
    """
    at = np.arange(side)
    first = np.maximum(-((padding - at) // stride), 0)
    return np.minimum((at + padding) // stride, (side - 1) // stride) + 1 - first


class Fans(NamedTuple):
    """The convolution into a layer and the one among its neurons."""

    into: Fan
    among: Fan | None

    @staticmethod
    def of(layer: ConvLayer) -> Fans:
        """Both of a layer."""
        return Fans(Fan.into(layer), Fan.among(layer))


class Arriving(NamedTuple):
    """What one batch brings to a layer, and what the layer sends."""

    signal: Signal  # [T, B, N]
    sent: Tensor | None  # spikes of the layer itself
    valid: NDArray[np.bool_] | None  # [T, B], None: all


def count_convolution(
    layer: ConvLayer, fans: Fans, arriving: Arriving, total: Counter[str], each: PerSample
) -> None:
    """Add what one batch makes a layer do: an event reaches the neurons around it, fewer at a border."""
    signal, sent, valid = arriving
    came, reached = fans.into.spread(signal)
    each.add(total, "arriving", came if valid is None else came * valid)
    if layer.pool_out is not None:
        reached = layer.pool_out.reached(reached)
    alike = fans.into.channels  # neurons at one place that are reached together
    if sent is not None and layer.recurrence != "none":
        potentials = layer.neuron.feeds_back == "potential"  # which are hardly ever 0
        active = torch.ones_like(sent) if potentials else sent
        if fans.among is None:
            back = events_per_row(active) * layer.neuron.currents
            landed = active.cpu() != 0
            reached, alike = reached.repeat(1, 1, alike), 1
        else:
            back, landed = fans.among.spread(active)
        each.add(total, "returning", one_step_later(back, valid))
        reached[1:] |= landed[:-1]
    if valid is not None:
        reached &= torch.from_numpy(valid)[..., None]
    total["reached"] += int(torch.count_nonzero(reached)) * alike
