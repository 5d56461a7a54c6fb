"""Layers whose weights are convolutions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d
from torch.nn.grad import conv2d_weight

from sgbench.errors import InputError
from sgbench.inits.base import Init
from sgbench.networks.base import MakeNeuron
from sgbench.networks.layers import Layer
from sgbench.networks.pool import Image, Pool
from sgbench.signals.spikes import Signal, dense


class ConvLayer(Layer):
    """Holds one layer of neurons with convolutions as weights into it and among its neurons.

    Signals stay flat: an image [C, H, W] lies in the order of its indices, the currents of one kind side by side.

    Args:
        name: as records and messages call it.
        image: channels, height and width of the input.
        channels: of the neurons.
        make_neuron: a new layer of neurons of a given size.
        kernel_size: an odd number of pixels; borders are padded with zeros by half of it.
        stride: of the convolution into the layer.
        recurrence: "none", "one_to_one" (a weight per neuron) or "all_to_all" (a convolution among the channels).
        recurrence_gradient: "full", or "cut": no gradient through the recurrent spikes.
        bias: whether a bias per channel joins the current in each step.
        pooling: of the currents before the neurons, "none", "max" or "average".
        pool_size: side of a window [pixels].

    Raises:
        InputError: neurons that split their inputs, recurrence among neurons that take all steps at once, or
            windows larger than what is pooled.
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
            raise InputError(
                "neuron.inputs=split: the weights of a convolution are shared; use neuron.inputs=all"
            )
        self.pool_out = pool
        self.image_in, self.image_summed, self.image_out = image, summed, image_out
        self.kernel_size, self.stride = kernel_size, stride
        rows, sides = self.neuron.currents * channels, (kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.empty(rows, image[0], *sides, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(rows, dtype=torch.float64)) if bias else None
        self.recurrent: nn.Parameter | None = None
        if recurrence == "one_to_one":
            self.recurrent = nn.Parameter(
                torch.empty(self.neuron.currents * self.neurons, dtype=torch.float64)
            )
        elif recurrence == "all_to_all":
            self.recurrent = nn.Parameter(torch.empty(rows, channels, *sides, dtype=torch.float64))

    @property
    def sums(self) -> int:
        """Count the currents that the convolution makes in each step, before any pooling."""
        return self.neuron.currents * math.prod(self.image_summed)

    def reset_weights(self, init: Init, generator: torch.Generator) -> None:
        """Draw all weights anew; biases start at 0."""
        init.fill(self.weight, self.weight[0].numel(), generator, recurrent=False, layer=self)
        if self.recurrent is not None:
            init.fill(self.recurrent, self.recurrent[0].numel(), generator, recurrent=True, layer=self)

    def weighted(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve what arrives, of any number of leading dimensions, and add the bias."""
        return flat_convolution(x, self.image_in, weight, bias, self.stride)

    def current_of_events(self, signal: Signal) -> Tensor:
        """Compute the current of all steps [T, B, inputs] by events, the largest of each window with it."""
        from sgbench.engine.event_convolution import Convolution, convolve

        if self.feedback_weight is not None:
            return self.current(dense(signal))
        if self.pool_in is not None or self.dropout is not None:
            signal = self.arriving(dense(signal))
        pool = self.pool_out
        at_once = pool is not None and pool.kind == "max" and not self.normalises
        side = pool.window[0] if at_once and pool is not None else 1
        weight, bias = self.acting()
        given = Convolution(self.image_in, weight, bias, self.stride, self.kernel_size // 2, side)
        current = self.normalised(convolve(signal, given))
        return current if at_once or pool is None else pool(current)

    def weight_gradients(self, arriving: Tensor, ones: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the gradients of weights and bias from the slopes by currents; a largest current has none.

        Args:
            arriving: flat images that arrive [M, inputs].
            ones: the bias's input [M, 1].
            slopes: of each neuron's current [M, N].
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
        """Compute the gradient of a convolution among the channels from spikes and slopes [M, N]."""
        wires: Tensor = self.recurrent  # type: ignore[assignment]
        sent, heard = (each.reshape(-1, *self.image_out) for each in (s, slopes))
        return conv2d_weight(sent, list(wires.shape), heard, padding=self.kernel_size // 2)

    def rewired(self, s: Tensor, wires: Tensor) -> Tensor:
        """Compute the recurrent current, element by element or by a convolution among the channels."""
        if self.recurrence == "one_to_one":
            return s.repeat(1, self.neuron.currents) * wires
        return flat_convolution(s, self.image_out, wires, None, 1)


def flat_convolution(x: Tensor, image: Image, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Convolve flat images [..., C H W] to flat images, of any number of leading dimensions."""
    folded = x.reshape(-1, *image)
    out = conv2d(folded, weight, bias, stride=stride, padding=weight.shape[-1] // 2)
    return out.reshape(*x.shape[:-1], -1)
