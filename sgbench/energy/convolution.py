"""How many synapses of a convolution an event reaches: fewer at the border of an image than inside."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torch.nn.grad import conv2d_input

from sgbench.energy.event_rows import Rows
from sgbench.networks.conv import ConvLayer, Image
from sgbench.spikes import Signal, dense


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
        self.image, self.stride = image, stride
        self.padding = weight.shape[-1] // 2
        self.ones = torch.ones_like(weight, dtype=torch.float64).detach()
        self.channels = weight.shape[0] // currents
        shape = (1, *image)
        sent = conv2d(self.ones.new_ones(shape), self.ones, stride=stride, padding=self.padding)
        self.out = conv2d_input(
            shape, self.ones, torch.ones_like(sent), stride=stride, padding=self.padding
        ).flatten()

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

    @property
    def total(self) -> int:
        """Synapses."""
        return int(self.out.sum())

    def operations(self, signal: Signal) -> Rows:
        """Synapses that the events of each row of a signal [T, B, N] reach, [T, B]."""
        active = (dense(signal) != 0).to(self.out)
        return (active @ self.out.to(active.device)).cpu().numpy().astype("int64")

    def reached(self, signal: Signal) -> Tensor:
        """Whether an event reaches each neuron [T, B, N]."""
        active = (dense(signal) != 0).to(self.out)
        steps, batch, _ = active.shape
        one_channel = self.ones[:1].to(active.device)
        landed = conv2d(
            active.reshape(-1, *self.image), one_channel, stride=self.stride, padding=self.padding
        )
        return (landed > 0).expand(-1, self.channels, -1, -1).reshape(steps, batch, -1)
