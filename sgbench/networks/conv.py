"""Convolutional layers in a chain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from sgbench.engine.choose import Engine
from sgbench.errors import InputError, require_choice, require_count
from sgbench.inits.base import Init
from sgbench.networks.base import (
    RECURRENCE_GRADIENTS,
    RECURRENCES,
    Chain,
    DenseLayer,
    MakeNeuron,
    require_bias,
    why_all_steps,
)
from sgbench.neurons.base import Neuron

Image = tuple[int, int, int]  # channels, height, width
SIDES = 3


class ConvLayer(nn.Module):
    """One layer of neurons with convolutions as weights into it and among its neurons.

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

    Raises:
        InputError: neurons that split their inputs, or recurrence among neurons that take all steps at once.
    """

    taps: int = 0

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
    ) -> None:
        super().__init__()
        self.name = name
        self.image_in = image
        self.kernel_size, self.stride = kernel_size, stride
        height, width = ((side - 1) // stride + 1 for side in image[1:])
        self.image_out: Image = (channels, height, width)
        self.neurons = math.prod(self.image_out)
        self.neuron: Neuron = make_neuron(self.neurons)
        if self.neuron.splits_inputs:
            raise InputError(
                "neuron.inputs=split: the weights of a convolution are shared; use neuron.inputs=all"
            )
        self.needs_all_steps = why_all_steps(name, self.neuron, recurrence)
        self.recurrence = "convolution" if recurrence == "all_to_all" else recurrence
        self.cut = recurrence_gradient == "cut"
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

    def reset_weights(self, init: Init, generator: torch.Generator) -> None:
        """Draw all weights anew; biases start at 0."""
        init.fill(self.weight, self.weight[0].numel(), generator, recurrent=False, layer=self)
        if self.recurrent is not None:
            init.fill(self.recurrent, self.recurrent[0].numel(), generator, recurrent=True, layer=self)

    def synapses(self) -> None:
        """None: the product is no matrix."""

    def current(self, x: Tensor) -> Tensor:
        """Feed-forward current of any number of leading dimensions."""
        return _flat_convolution(x, self.image_in, self.weight, self.bias, self.stride)

    def feedback(self, s: Tensor) -> Tensor:
        """Recurrent current [B, currents N] from what came of the last step [B, N]."""
        if self.recurrent is None:
            return torch.zeros_like(s)
        s = s.detach() if self.cut else s
        if self.recurrence == "one_to_one":
            return s.repeat(1, self.neuron.currents) * self.recurrent
        return _flat_convolution(s, self.image_out, self.recurrent, None, 1)


class Conv(Chain):
    """A chain of convolutional layers, and a dense readout.

    Args:
        n_inputs: pixels times channels.
        n_outputs: classes.
        make_neuron: a new layer of spiking neurons of a given size.
        make_readout: a new readout of a given size.
        init: how weights are drawn.
        generator: of the initialisation's stream.
        engine: how a layer is unrolled.
        image: channels, height and width of the input; None is one square channel.
        channels: of each hidden layer.
        kernel_size: an odd number of pixels.
        stride: of every convolution into a layer.
        recurrence: of hidden layers, "none", "one_to_one" or "all_to_all" (a convolution).
        recurrence_gradient: "full" or "cut".
        bias: whether layers have biases.

    Raises:
        InputError: an empty chain, an image of another size than the input, or a value out of range.

    Source: Shi et al. 2015, NeurIPS, arXiv:1506.04214, for neurons with gates; with neuron=slstm a hidden layer is
    snnTorch 1.0's `SConv2dLSTM` (tested).
    """

    def __init__(  # noqa: PLR0913 - seven are given by the builder
        self,
        n_inputs: int,
        n_outputs: int,
        make_neuron: MakeNeuron,
        make_readout: MakeNeuron,
        init: Init,
        generator: torch.Generator,
        engine: Engine,
        *,
        image: Sequence[int] | None,
        channels: Sequence[int],
        kernel_size: int,
        stride: int,
        recurrence: str,
        recurrence_gradient: str,
        bias: bool,
    ) -> None:
        super().__init__()
        options = {
            "kernel_size": kernel_size,
            "stride": stride,
            "recurrence": recurrence,
            "recurrence_gradient": recurrence_gradient,
            "bias": bias,
        }
        _check(channels, **options)  # type: ignore[arg-type]
        shape = _image(image, n_inputs)
        layers: list[ConvLayer | DenseLayer] = []
        for position, count in enumerate(channels):
            require_count("network.channels", count)
            made = ConvLayer(f"hidden{position}", shape, count, make_neuron, **options)  # type: ignore[arg-type]
            shape = made.image_out
            layers.append(made)
        layers.append(DenseLayer("readout", math.prod(shape), n_outputs, make_readout(n_outputs), bias=bias))
        for layer in layers:
            layer.reset_weights(init, generator)
        self.layers = nn.ModuleList(layers)
        self.engine = engine


def _check(
    channels: object, *, kernel_size: int, stride: int, recurrence: str, recurrence_gradient: str, bias: bool
) -> None:
    """Refuse what is out of range."""
    require_choice("network.recurrence", recurrence, RECURRENCES)
    require_choice("network.recurrence_gradient", recurrence_gradient, RECURRENCE_GRADIENTS)
    require_bias(bias)
    require_count("network.stride", stride)
    if require_count("network.kernel_size", kernel_size) % 2 == 0:
        raise InputError(f"network.kernel_size={kernel_size}: an odd number of pixels is needed")
    if isinstance(channels, str) or not isinstance(channels, Sequence) or not channels:
        raise InputError(f"network.channels={channels!r}: a list such as [8, 16] is needed")


def _flat_convolution(x: Tensor, image: Image, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Flat images [..., C H W] to flat images, of any number of leading dimensions."""
    folded = x.reshape(-1, *image)
    out = conv2d(folded, weight, bias, stride=stride, padding=weight.shape[-1] // 2)
    return out.reshape(*x.shape[:-1], -1)


def _image(image: object, n_inputs: int) -> Image:
    """Channels, height and width of the input."""
    if image is None:
        side = math.isqrt(n_inputs)
        if side * side != n_inputs:
            raise InputError(
                f"network.image=null: {n_inputs} inputs are no square; give [channels, height, width]"
            )
        return 1, side, side
    whole = isinstance(image, Sequence) and not isinstance(image, str) and len(image) == SIDES
    if not whole or math.prod(require_count("network.image", side) for side in image) != n_inputs:  # type: ignore[union-attr]
        raise InputError(
            f"network.image={image!r}: [channels, height, width] that multiply to {n_inputs} inputs is needed"
        )
    return tuple(image)  # type: ignore[return-value, arg-type]
