"""Layers of neurons whose weights are convolutions."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d
from torch.nn.grad import conv2d_weight

from fastspiking.signals.spikes import Signal, dense
from sgbench.errors import InputError
from sgbench.inits.base import Init
from sgbench.networks.base import MakeNeuron
from sgbench.networks.layers import Layer
from sgbench.networks.pool import Image, Pool


class ConvLayer(Layer):
    """Holds one layer of neurons, with convolutions as feed-forward and recurrent weights.

    Signals are flat: an image [C, H, W] is a vector in the order of its indices. Where a neuron takes several
    currents, those of its first gate come first for all neurons, then those of the next gate.

    `image`: channels, height and width of the input. `channels`: number of channels of the neurons. `make_neuron`:
    makes a new layer of neurons of a given size. `kernel_size`: side of the kernels, an odd number [pixels]; borders
    are padded with zeros by half of it. `stride`: stride of the convolution into the layer [pixels]. `recurrence`:
    "none", "one_to_one" (a weight per neuron) or "all_to_all" (a convolution). `bias`: whether a bias per channel is
    added to the current. `pooling`: pooling of currents before the neurons, "none", "max" or "average". `pool_size`:
    side of a pooling window [pixels].
    """

    def __init__(  # noqa: PLR0913 - a convolution has so many
        self,
        name: str,
        image: Image,
        channels: int,
        make_neuron: MakeNeuron,
        *,
        kernel_size: int,
        stride: int,
        recurrence: str,
        recurrence_gradient: str,
        bias: bool,
        pooling: str = "none",
        pool_size: int = 2,
    ) -> None:
        height, width = ((side - 1) // stride + 1 for side in image[1:])
        summed: Image = (channels, height, width)
        pool = None if pooling == "none" else Pool(pooling, summed, pool_size, pool_size)
        image_out = summed if pool is None else pool.image_out
        neurons = math.prod(image_out)
        super().__init__(
            name,
            neurons,
            make_neuron(neurons),
            recurrence="convolution" if recurrence == "all_to_all" else recurrence,
            recurrence_gradient=recurrence_gradient,
        )
        if self.neuron.splits_inputs:
            raise InputError("neuron.inputs=split: the weights of a convolution are shared; use neuron.inputs=all")
        self.pool_out = pool
        self.image_in, self.image_summed, self.image_out = image, summed, image_out
        self.kernel_size, self.stride = kernel_size, stride
        rows, sides = self.neuron.currents * channels, (kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.empty(rows, image[0], *sides, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(rows, dtype=torch.float64)) if bias else None
        self.recurrent: nn.Parameter | None = None
        if recurrence == "one_to_one":
            self.recurrent = nn.Parameter(torch.empty(self.neuron.currents * self.neurons, dtype=torch.float64))
        elif recurrence == "all_to_all":
            self.recurrent = nn.Parameter(torch.empty(rows, channels, *sides, dtype=torch.float64))

    @property
    def sums(self) -> int:
        """Return the number of currents that the convolution computes in each step, before any pooling."""
        return self.neuron.currents * math.prod(self.image_summed)

    def reset_weights(self, init: Init, generator: torch.Generator) -> None:
        init.fill(self.weight, self.weight[0].numel(), generator, recurrent=False, layer=self)
        if self.recurrent is not None:
            init.fill(self.recurrent, self.recurrent[0].numel(), generator, recurrent=True, layer=self)

    def weighted(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve flat images x [..., inputs] with these weights, and add the bias, if any: [..., currents]."""
        return flat_convolution(x, self.image_in, weight, bias, self.stride)

    def current_of_events(self, signal: Signal) -> Tensor:
        """Compute the current of all steps from the input [T, B, inputs] on a CPU, event by event.

        Maximum pooling of the currents, if any, is done in the same loop.
        """
        from fastspiking.event_convolution import Convolution, convolve

        if self.feedback_weight is not None:
            return self.current(dense(signal))
        if self.pool_in is not None or self.dropout is not None:
            signal = self.arriving(dense(signal))
        pool = self.pool_out
        at_once = pool is not None and pool.kind == "max" and not self.normalises
        side = pool.window[0] if at_once and pool is not None else 1
        weight, bias = self.weights_in_use()
        convolution = Convolution(self.image_in, weight, bias, self.stride, self.kernel_size // 2, side)
        current = self.normalised(convolve(signal, convolution))
        return current if at_once or pool is None else pool(current)

    def weight_gradients(self, arriving: Tensor, ones: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the gradients of the weights and of the bias; not defined for maximum pooling of currents.

        `arriving`: flat input images [M, inputs]; `ones`: factor of the bias, which may be filtered [M, 1]; `slopes`:
        derivatives of the loss by each neuron's current [M, N].
        """
        if self.pool_out is not None:
            with torch.enable_grad():
                sums = slopes.new_zeros(len(slopes), self.sums, requires_grad=True)
                (slopes,) = torch.autograd.grad(self.pool_out(sums), sums, slopes)
        images, slopes = arriving.reshape(-1, *self.image_in), slopes.reshape(-1, *self.image_summed)
        padding = self.kernel_size // 2
        weight = conv2d_weight(images, list(self.weight.shape), slopes, stride=self.stride, padding=padding)
        return weight, (slopes.sum((2, 3)) * ones).sum(0)

    def recurrent_gradient(self, s: Tensor, slopes: Tensor) -> Tensor:
        """Compute the gradient of the recurrent convolution.

        `s`: spikes that the neurons sent [M, N]; `slopes`: derivatives of the loss by each neuron's current [M, N].
        """
        shape = list(self.recurrent.shape)  # type: ignore[union-attr]
        spikes, gradient = (values.reshape(-1, *self.image_out) for values in (s, slopes))
        return conv2d_weight(spikes, shape, gradient, padding=self.kernel_size // 2)

    def rewired(self, s: Tensor, wires: Tensor) -> Tensor:
        """Return the recurrent current of spikes s through the weights `wires`."""
        if self.recurrence == "one_to_one":
            return s.repeat(1, self.neuron.currents) * wires
        return flat_convolution(s, self.image_out, wires, None, 1)


def flat_convolution(x: Tensor, image: Image, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Convolve flat images [..., C H W] of the size `image`, and return flat images."""
    folded = x.reshape(-1, *image)
    out = conv2d(folded, weight, bias, stride=stride, padding=weight.shape[-1] // 2)
    return out.reshape(*x.shape[:-1], -1)
