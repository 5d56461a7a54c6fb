"""How many synapses of a convolution an event reaches: fewer at the border of an image than inside."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import grad
from torch.nn.functional import conv2d

from sgbench.energy.event_rows import Rows, events_per_row, one_step_later
from sgbench.energy.per_sample import PerSample
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.pool import Image
from sgbench.spikes import Events, Signal

SMALL = 100  # places of an image up to which a product with all places is faster than a convolution
EXACT_FLOAT32 = 1 << 24  # below it every whole number is one of float32


class Fan:
    """The synapses of one convolution, as its weights, stride and padding wire them.

    Args:
        weight: [rows, channels, side, side].
        image: channels, height and width of its input.
        stride: of the convolution.
        currents: that a neuron takes; so many rows belong to one channel of neurons.

    >>> fan = Fan(torch.zeros(2, 1, 3, 3), (1, 3, 3), stride=1, currents=1)
    >>> fan.out.int().tolist()  # 2 channels, of 4 neurons from a corner, 6 from an edge, 9 from the middle
    [8, 12, 8, 12, 18, 12, 8, 12, 8]
    """

    def __init__(self, weight: Tensor, image: Image, *, stride: int, currents: int) -> None:
        self.image, self.stride, self.side = image, stride, weight.shape[-1]
        self.padding = self.side // 2
        self.channels = weight.shape[0] // currents
        shape = (1, *image)
        ones = torch.ones_like(weight, dtype=torch.float64).detach()
        sent = conv2d(ones.new_ones(shape), ones, stride=stride, padding=self.padding)
        self.out = grad.conv2d_input(
            shape, ones, torch.ones_like(sent), stride=stride, padding=self.padding
        ).flatten()
        self.total = int(self.out.sum())  # synapses
        # What an event reaches, in the smallest numbers that hold the sum over all inputs exactly.
        self.reach = self.out.float() if self.total < EXACT_FLOAT32 else self.out
        self.landing = self._landing(weight) if image[1] * image[2] <= SMALL else None

    def _landing(self, weight: Tensor) -> Tensor:
        """Which places [places out] hear of which [places in], as 0 and 1."""
        _, height, width = self.image
        each = torch.eye(height * width, device=weight.device).view(-1, 1, height, width)
        kernel = each.new_ones(1, 1, self.side, self.side)
        return conv2d(each, kernel, stride=self.stride, padding=self.padding).flatten(1)

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

    def operations(self, signal: Signal, *, ones: bool = False) -> Rows:
        """Synapses that the events of each row of a signal [T, B, N] reach, [T, B].

        Args:
            signal: packed or dense.
            ones: whether every entry is known to be 0 or 1.
        """
        if isinstance(signal, Events):
            steps, batch, _ = signal.shape
            each = self.out.to(signal.device)[signal.index].cpu().numpy()
            reached = np.concatenate([[0], np.cumsum(each)])
            return np.diff(reached[signal.indptr.cpu().numpy()]).astype(np.int64).reshape(steps, batch)
        return (
            (_active(signal, self.reach, ones=ones) @ self.reach.to(signal.device))
            .cpu()
            .numpy()
            .astype(np.int64)
        )

    def reached(self, signal: Signal, *, ones: bool = False) -> Tensor:
        """Whether an event reaches each place [T, B, places], the same in all channels of neurons."""
        planes = self._planes(signal, ones=ones)
        rows = len(planes)
        if self.landing is not None:
            landed = planes.view(rows, -1) @ self.landing.to(planes.device)
        else:
            # As many channels of one row each: several times faster than as many images of one channel.
            kernel = planes.new_ones(1, 1, self.side, self.side).expand(rows, -1, -1, -1)
            landed = conv2d(planes[None], kernel, stride=self.stride, padding=self.padding, groups=rows)
        steps, batch = signal.shape[:2]
        return (landed > 0).reshape(steps, batch, -1)

    def _planes(self, signal: Signal, *, ones: bool) -> Tensor:
        """How many channels have an event at each place of each row, [T B, height, width]."""
        channels, height, width = self.image
        rows = signal.shape[0] * signal.shape[1]
        if isinstance(signal, Events):
            # numpy repeats rows twenty times faster than torch.
            row = np.repeat(np.arange(rows), np.diff(signal.indptr.cpu().numpy()))
            planes = np.zeros((rows, height * width), np.float32)
            planes[row, signal.index.cpu().numpy() % (height * width)] = 1
            return torch.from_numpy(planes).view(rows, height, width).to(signal.device)
        active = _active(signal, self.reach.float(), ones=ones)
        return active.reshape(rows, channels, height, width).sum(1)


def _active(signal: Tensor, like: Tensor, *, ones: bool) -> Tensor:
    """Where there is an event, as numbers of another tensor's kind."""
    return (signal if ones else signal.bool()).to(like.dtype)


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
    ones: bool  # whether its entries are known to be 0 or 1
    sent: Tensor | None  # spikes of the layer itself
    valid: NDArray[np.bool_] | None  # [T, B], None: all


def count_convolution(
    layer: ConvLayer, fans: Fans, arriving: Arriving, total: Counter[str], each: PerSample
) -> None:
    """Add what one batch makes a layer do: an event reaches the neurons around it, fewer at a border."""
    signal, ones, sent, valid = arriving
    came = fans.into.operations(signal, ones=ones)
    each.add(total, "arriving", came if valid is None else came * valid)
    reached = fans.into.reached(signal, ones=ones)
    if layer.pool_out is not None:
        reached = layer.pool_out.reached(reached)
    alike = fans.into.channels  # neurons at one place that are reached together
    if sent is not None and layer.recurrence != "none":
        potentials = layer.neuron.feeds_back == "potential"  # which are hardly ever 0
        active = torch.ones_like(sent) if potentials else sent
        binary = potentials or layer.neuron.sends == "binary"
        if fans.among is None:
            back = events_per_row(active, ones=binary) * layer.neuron.currents
            landed = active != 0
            reached, alike = reached.repeat(1, 1, alike), 1
        else:
            back = fans.among.operations(active, ones=binary)
            landed = fans.among.reached(active, ones=binary)
        each.add(total, "returning", one_step_later(back, valid))
        reached[1:] |= landed[:-1]
    if valid is not None:
        reached &= torch.from_numpy(valid).to(reached.device)[..., None]
    total["reached"] += int(torch.count_nonzero(reached)) * alike
