"""Convolutional layers in a chain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

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
)
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.pool import POOLINGS, Image, Pool, image_of

PLACES = ("currents", "spikes")


class Conv(Chain):
    """Wires a chain of convolutional layers, each with or without pooling, and a dense readout.

    Pooling of currents comes between a convolution and its neurons, of which there is then one for each window;
    pooling of spikes comes behind the neurons. The largest of spikes is a spike again, their mean is not: the layer
    behind multiplies its weights by it.

    Args:
        n_inputs: pixels times channels.
        n_outputs: classes.
        make_neuron: a new layer of spiking neurons of a given size.
        make_readout: a new readout of a given size.
        init: how weights are drawn.
        generator: of the initialisation's stream.
        engine: how a layer is unrolled.
        data_image: channels, height and width that the data set states, or None.
        image: channels, height and width of the input; None is what the data set states, or one square channel.
        channels: of each hidden layer.
        kernel_size: an odd number of pixels.
        stride: of every convolution into a layer.
        pooling: "none", "max" or "average", in every hidden layer.
        pooling_of: "currents" (before the neurons) or "spikes" (behind them).
        pool_size: side of a window [pixels].
        recurrence: of hidden layers, "none", "one_to_one" or "all_to_all" (a convolution).
        recurrence_gradient: "full" or "cut".
        bias: whether layers have biases.

    Raises:
        InputError: an empty chain, an image of another size than the input, or a value out of range.

    Source: Shi et al. 2015, NeurIPS, arXiv:1506.04214, for neurons with gates; with neuron=slstm a hidden layer is
    snnTorch 1.0's `SConv2dLSTM` (tested). Pooling of currents as in snnTorch's tutorial 6, of spikes as in
    SpikingJelly's `CSNN`.
    """

    def __init__(  # noqa: PLR0913 - eight are given by the builder
        self,
        n_inputs: int,
        n_outputs: int,
        make_neuron: MakeNeuron,
        make_readout: MakeNeuron,
        init: Init,
        generator: torch.Generator,
        engine: Engine,
        data_image: Image | None = None,
        *,
        image: Sequence[int] | None,
        channels: Sequence[int],
        kernel_size: int,
        stride: int,
        pooling: str,
        pooling_of: str,
        pool_size: int,
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
            "pool_size": pool_size,
        }
        _check(channels, pooling=pooling, pooling_of=pooling_of, **options)  # type: ignore[arg-type]
        currents = pooling if pooling_of == "currents" else "none"
        shape = image_of(image, n_inputs, data_image)
        layers: list[ConvLayer | DenseLayer] = []
        pool: Pool | None = None
        for position, count in enumerate(channels):
            require_count("network.channels", count)
            new_layer = ConvLayer(f"hidden{position}", shape, count, make_neuron, pooling=currents, **options)  # type: ignore[arg-type]
            new_layer.pool_in = pool
            shape = new_layer.image_out
            if pooling_of == "spikes" and pooling != "none":
                pool = Pool(pooling, shape, pool_size, pool_size)
                shape = pool.image_out
            layers.append(new_layer)
        layers.append(DenseLayer("readout", math.prod(shape), n_outputs, make_readout(n_outputs), bias=bias))
        layers[-1].pool_in = pool
        for layer in layers:
            layer.reset_weights(init, generator)
        self.layers = nn.ModuleList(layers)
        self.engine = engine


def _check(  # noqa: PLR0913 - one for each option
    channels: object,
    *,
    kernel_size: int,
    stride: int,
    pooling: str,
    pooling_of: str,
    pool_size: int,
    recurrence: str,
    recurrence_gradient: str,
    bias: bool,
) -> None:
    """Refuse sizes, kinds of pooling and recurrence, and a bias that are out of range."""
    require_choice("network.recurrence", recurrence, RECURRENCES)
    require_choice("network.recurrence_gradient", recurrence_gradient, RECURRENCE_GRADIENTS)
    require_choice("network.pooling", pooling, POOLINGS)
    require_choice("network.pooling_of", pooling_of, PLACES)
    require_bias(bias)
    require_count("network.stride", stride)
    require_count("network.pool_size", pool_size, low=2)
    if require_count("network.kernel_size", kernel_size) % 2 == 0:
        raise InputError(f"network.kernel_size={kernel_size}: an odd number of pixels is needed")
    if isinstance(channels, str) or not isinstance(channels, Sequence) or not channels:
        raise InputError(f"network.channels={channels!r}: a list such as [8, 16] is needed")
