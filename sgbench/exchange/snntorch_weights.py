"""Builds a network from the `state_dict` of a snnTorch network."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sgbench.errors import InputError, require_count
from sgbench.exchange.libraries import MakeSurrogate, make_chain, make_leaky, make_synaptic
from sgbench.networks.base import Chain, DenseLayer
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.pool import Image
from sgbench.neurons.base import Neuron

RESETS = {0: "subtract", 1: "zero", 2: "none"}  # meanings of `reset_mechanism_val`
NEURON_KEYS = ("beta", "alpha", "threshold", "graded_spikes_factor", "reset_mechanism_val", "V")
MATRIX_DIMS, FILTER_DIMS = 2, 4  # dimensions of the weights of a dense and of a convolutional layer
IMAGE = 3


class _Module(NamedTuple):
    """Holds the name of a snnTorch module and its tensors by key."""

    name: str
    tensors: dict[str, Tensor]


def from_snntorch(
    state_dict: Mapping[str, Tensor],
    *,
    make_surrogate: MakeSurrogate,
    image: Sequence[int] | None = None,
    stride: int = 1,
    reset_delay: bool = True,
) -> Chain:
    """Build the counterpart of a snnTorch network that alternates Linear or Conv2d with spiking neurons.

    Leaky, Synaptic, RLeaky and RSynaptic are recognised by their tensors, which must be in the order in which
    signals pass the modules. Decays, clipped to [0, 1] as snnTorch does, and thresholds stay fixed; weights can be
    trained. A state dictionary states neither sizes of images, strides and `reset_delay`, which are arguments, nor
    padding and pooling: half of the kernel and none are assumed.

    `state_dict`: the network's, e.g. read by `torch.load(path, weights_only=True)`. `make_surrogate`: returns a
    surrogate for each layer. `image`: channels, height and width of the input, if the first weights are a convolution.
    `stride`: stride of all convolutions. `reset_delay`: the argument with which the network's neurons were made.

    Raises:
        InputError: there is no layer that does the same as a module; names it and the reason.

    Source: snnTorch 1.0; outputs are equal to its own (tested).
    """
    modules = _modules(state_dict)
    if not modules or len(modules) % 2:
        raise InputError("weights and neurons in turn are needed, neurons last")
    shape = None if image is None else _image(image)
    layers: list[nn.Module] = []
    for weights, neurons in zip(modules[::2], modules[1::2], strict=True):
        name = "readout" if len(layers) == len(modules) // 2 - 1 else f"hidden{len(layers)}"
        layer = _layer(name, weights, neurons, make_surrogate, shape, stride, reset_delay=reset_delay)
        shape = layer.image_out if isinstance(layer, ConvLayer) else None
        layers.append(layer)
    return make_chain(layers, layers[0].weight.dtype)  # type: ignore[arg-type]


def _modules(state_dict: Mapping[str, Tensor]) -> list[_Module]:
    """Group a state dict's tensors by the module that owns them; a recurrent child belongs to its neurons."""
    by_prefix: dict[str, dict[str, Tensor]] = {}
    for key, value in state_dict.items():
        if not isinstance(value, Tensor):
            raise InputError(f"'{key}': a tensor is needed")
        prefix, _, last = key.rpartition(".")
        if prefix.endswith(".recurrent") or prefix == "recurrent":
            prefix, last = prefix[: -len("recurrent")].rstrip("."), f"recurrent.{last}"
        by_prefix.setdefault(prefix, {})[last] = value.detach()
    return [_Module(name, tensors) for name, tensors in by_prefix.items()]


def _layer(
    name: str,
    weights: _Module,
    neurons: _Module,
    make_surrogate: MakeSurrogate,
    image: Image | None,
    stride: int,
    *,
    reset_delay: bool,
) -> DenseLayer | ConvLayer:
    """Make a layer of snnTorch's weights and the neurons behind them; `image` is the input's shape, if any."""
    weight = _weight(weights)
    recurrent, recurrent_bias = _recurrence(neurons)
    wiring = "none" if recurrent is None else "one_to_one" if recurrent.dim() < MATRIX_DIMS else "all_to_all"
    biases = [bias for bias in (weights.tensors.get("bias"), recurrent_bias) if bias is not None]

    def make(count: int, shape: tuple[int, ...]) -> Neuron:
        return _neurons(neurons, make_surrogate, count, shape, wiring, reset_delay=reset_delay)

    options = {"recurrence": wiring, "bias": bool(biases)}
    if weight.dim() == MATRIX_DIMS:
        rows, inputs = weight.shape
        if image is not None and math.prod(image) != inputs:
            raise InputError(
                f"module '{weights.name}': {inputs} inputs behind images of {image}; pooling, or padding by "
                f"other than half of the kernel, has no layer here"
            )
        layer: DenseLayer | ConvLayer = DenseLayer(name, inputs, rows, make(rows, (rows,)), **options)  # type: ignore[arg-type]
    else:
        layer = _convolution(name, weights, image, stride, make, options)
    layer.weight = nn.Parameter(weight.clone())
    layer.bias = nn.Parameter(sum(biases[1:], biases[0]).clone()) if biases else None
    if recurrent is not None:
        layer.recurrent = nn.Parameter(_recurrent_weights(neurons, recurrent, layer))
    return layer


def _weight(module: _Module) -> Tensor:
    weight = module.tensors.get("weight")
    if weight is None or set(module.tensors) - {"weight", "bias"} or weight.dim() not in (MATRIX_DIMS, FILTER_DIMS):
        names = ", ".join(module.tensors)
        raise InputError(f"module '{module.name}' ({names}): a Linear or Conv2d is expected in this place")
    return weight


def _recurrence(module: _Module) -> tuple[Tensor | None, Tensor | None]:
    """Return the recurrent weights and bias of neurons; None for what they have not."""
    tensors = module.tensors
    one_to_one = tensors.get("recurrent.V", tensors.get("V"))
    weights = tensors.get("recurrent.weight") if one_to_one is None else one_to_one
    return weights, tensors.get("recurrent.bias")


def _neurons(
    module: _Module,
    make_surrogate: MakeSurrogate,
    count: int,
    shape: tuple[int, ...],
    wiring: str,
    *,
    reset_delay: bool,
) -> Neuron:
    """Make `count` neurons of `shape` with a snnTorch module's decays, threshold and reset."""
    tensors, reset = module.tensors, _reset(module, wiring, reset_delay=reset_delay)

    def parameter(key: str) -> Tensor:
        value = tensors[key]
        value = value if key == "threshold" else value.clamp(0, 1)
        try:
            return value if value.numel() == 1 else value.expand(shape).reshape(count)
        except RuntimeError:
            raise InputError(
                f"module '{module.name}': {key} of shape {tuple(value.shape)} for neurons of shape {shape}"
            ) from None

    beta, threshold = parameter("beta"), parameter("threshold")
    if "alpha" in tensors:
        alpha = parameter("alpha")
        return make_synaptic(make_surrogate(), count, alpha=alpha, beta=beta, threshold=threshold, reset=reset)
    return make_leaky(make_surrogate(), count, beta=beta, threshold=threshold, reset=reset)


def _reset(module: _Module, wiring: str, *, reset_delay: bool) -> str:
    """Read the reset of a module; an InputError for what snnTorch computes otherwise than neurons here."""
    tensors = module.tensors
    unknown = [key for key in tensors if key not in NEURON_KEYS and not key.startswith("recurrent.")]
    if unknown or not {"beta", "threshold", "reset_mechanism_val"} <= tensors.keys():
        raise InputError(
            f"module '{module.name}' ({', '.join(tensors)}): a Leaky, Synaptic, RLeaky or RSynaptic is expected"
        )
    reset = RESETS.get(int(tensors["reset_mechanism_val"]), "unknown")
    if bool((tensors.get("graded_spikes_factor", torch.ones(1)) != 1).any()):
        raise InputError(f"module '{module.name}': graded spikes; neurons here send ones")
    if reset == "zero" and ("alpha" in tensors or wiring != "none"):
        raise InputError(
            f"module '{module.name}': with reset_mechanism='zero' snnTorch drops the current of the step after a "
            f"spike of such neurons, and neurons here keep it"
        )
    if reset == "subtract" and not reset_delay:
        raise InputError(
            f"module '{module.name}': reset_delay=False subtracts within the step, but once only while a potential "
            f"stays above threshold, as no reset here does"
        )
    return reset


def _convolution(
    name: str, weights: _Module, image: Image | None, stride: int, make: object, options: dict[str, object]
) -> ConvLayer:
    """Make an empty convolution with the shape of the weights; `make` makes its neurons from their count and shape."""
    rows, channels, height, width = weights.tensors["weight"].shape
    if image is None:
        raise InputError(f"module '{weights.name}': a convolution needs image=[channels, height, width]")
    if channels != image[0] or height != width or height % 2 == 0:
        raise InputError(
            f"module '{weights.name}': a square kernel of odd size over {image[0]} channels is needed, not "
            f"{channels} x {height} x {width}"
        )
    sides = [(side - 1) // require_count("stride", stride) + 1 for side in image[1:]]
    shape = (rows, *sides)
    return ConvLayer(
        name,
        image,
        rows,
        lambda count: make(count, shape),  # type: ignore[operator]
        kernel_size=height,
        stride=stride,
        recurrence_gradient="full",
        **options,  # type: ignore[arg-type]
    )


def _recurrent_weights(module: _Module, weights: Tensor, layer: DenseLayer | ConvLayer) -> Tensor:
    """Return recurrent weights in the layer's shape; a single number is the same for all neurons."""
    if layer.recurrence == "one_to_one":
        if weights.numel() not in (1, layer.neurons):
            raise InputError(f"module '{module.name}': {weights.numel()} weights among {layer.neurons} neurons")
        return weights.flatten().expand(layer.neurons).clone()
    dimensions = FILTER_DIMS if isinstance(layer, ConvLayer) else MATRIX_DIMS
    if weights.dim() != dimensions or weights.shape[:2] != (layer.weight.shape[0],) * 2:
        raise InputError(f"module '{module.name}': weights among neurons of shape {tuple(weights.shape)} do not fit")
    return weights.clone()


def _image(image: Sequence[int]) -> Image:
    """Return channels, height and width; raise an `InputError` for anything else."""
    if isinstance(image, str) or len(image) != IMAGE:
        raise InputError(f"image={image!r}: [channels, height, width] is needed")
    channels, height, width = (require_count("image", side) for side in image)
    return channels, height, width
