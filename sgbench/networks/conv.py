"""Convolutional layers in a chain."""

import math
from collections.abc import Sequence

from sgbench.errors import InputError, require_choice, require_count, require_counts, require_flag
from sgbench.networks.base import Chain, DenseLayer, Provided, readout_layer, require_recurrence
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.pool import POOLINGS, Pool, image_of

PLACES = ("currents", "spikes")


class Conv(Chain):
    """Wires a chain of convolutional layers, each with or without pooling, and a dense readout.

    Pooling of currents lies between a convolution and its neurons, so that there is one neuron per window; pooling
    of spikes lies after the neurons. The maximum of spikes is a spike again; their mean is a real number, which
    multiplies the weights of the next layer.

    Args:
        provided: parts of the run to build from.
        image: channels, height and width of the input; None for those of the data set, or one square channel.
        channels: number of channels of each hidden layer.
        kernel_size: side of the kernels, an odd number [pixels].
        stride: stride of the convolutions between layers [pixels].
        pooling: "none", "max" or "average".
        pooling_of: "currents" (before the neurons) or "spikes" (after them).
        pool_size: side of a pooling window [pixels].
        recurrence: recurrence of hidden layers, "none", "one_to_one" or "all_to_all" (a convolution).
        recurrence_gradient: "full" or "cut" (no gradient through recurrent spikes).
        bias: whether layers have biases.
        pooled_layers: numbers of the hidden layers that are pooled, from 1; None for all.

    Raises:
        InputError: an empty chain, an image of another size than the input, or a value out of range.

    Source: Shi et al. 2015, NeurIPS, arXiv:1506.04214, for neurons with gates; with neuron=slstm a hidden layer is
    snnTorch 1.0's `SConv2dLSTM` (tested). Pooling of currents as in snnTorch's tutorial 6, of spikes as in
    SpikingJelly's `CSNN`; pairs of layers with pooling after each pair as in VGG (Simonyan & Zisserman 2015,
    ICLR, arXiv:1409.1556).
    """

    def __init__(  # noqa: PLR0913 - a convolution has so many
        self,
        provided: Provided,
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
        pooled_layers: Sequence[int] | None = None,
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
        _check(pooling=pooling, pooling_of=pooling_of, **options)  # type: ignore[arg-type]
        counts = require_counts("network.channels", channels, "a list such as [8, 16]")
        pooled = _is_pooled(pooled_layers, len(counts), pooling)
        shape = image_of(image, provided.n_inputs, provided.data_image)
        layers: list[ConvLayer | DenseLayer] = []
        pool: Pool | None = None
        for position, count in enumerate(counts):
            new_layer = ConvLayer(
                f"hidden{position}",
                shape,
                count,
                provided.make_neuron,
                pooling=pooling if pooled[position] and pooling_of == "currents" else "none",
                **options,  # type: ignore[arg-type]
            )
            new_layer.pool_in = pool
            shape = new_layer.image_out
            pool = None
            if pooled[position] and pooling_of == "spikes":
                pool = Pool(pooling, shape, pool_size, pool_size)
                shape = pool.image_out
            layers.append(new_layer)
        layers.append(readout_layer(math.prod(shape), provided, bias=bias))
        layers[-1].pool_in = pool
        self.set_up(layers, provided)


def _is_pooled(layers: Sequence[int] | None, count: int, pooling: str) -> list[bool]:
    """Return whether each of `count` hidden layers is pooled; `layers` numbers them from 1, None stands for all."""
    if layers is None:
        return [pooling != "none"] * count
    chosen = require_counts("network.pooled_layers", layers, "a list such as [2, 4]")
    if pooling == "none" or max(chosen) > count:
        remedy = "use network.pooling=average" if pooling == "none" else f"there are {count} hidden layers"
        raise InputError(f"network.pooled_layers={list(chosen)}: {remedy}")
    return [position + 1 in chosen for position in range(count)]


def _check(
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
    """Raise an `InputError` for a value out of range; the arguments are those of `Conv`."""
    require_recurrence(recurrence, recurrence_gradient)
    require_choice("network.pooling", pooling, POOLINGS)
    require_choice("network.pooling_of", pooling_of, PLACES)
    require_flag("network.bias", bias)
    require_count("network.stride", stride)
    require_count("network.pool_size", pool_size, low=2)
    if require_count("network.kernel_size", kernel_size) % 2 == 0:
        raise InputError(f"network.kernel_size={kernel_size}: an odd number of pixels is needed")
