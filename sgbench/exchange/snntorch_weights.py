"""A network from the `state_dict` of one in snnTorch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sgbench.errors import InputError, require_count
from sgbench.exchange import constructors
from sgbench.exchange.constructors import MakeSurrogate
from sgbench.networks.base import Chain, DenseLayer
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.pool import Image
from sgbench.neurons.base import Neuron

RESETS = {0: "subtract", 1: "zero", 2: "none"}
OF_NEURONS = ("beta", "alpha", "threshold", "graded_spikes_factor", "reset_mechanism_val", "V")
MATRIX, FILTERS = 2, 4  # dimensions of the weights of a dense and of a convolutional layer
IMAGE = 3


class _Module(NamedTuple):
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

    Leaky, Synaptic, RLeaky and RSynaptic are told by their tensors, which have to lie in the order in which signals
    pass them. Decays and thresholds stay fixed, decays clipped to [0, 1] as snnTorch clips them; weights can be
    trained. A state dictionary says nothing of sizes of images, strides, padding, pooling or `reset_delay`, so
    these are arguments, or assumed: padding by half the kernel, no pooling.

    Args:
        state_dict: of the network, e.g. read by `torch.load(path, weights_only=True)`.
        make_surrogate: a surrogate for each layer.
        image: channels, height and width of the input, where the first weights are a convolution.
        stride: of all convolutions.
        reset_delay: what the network was made with.

    Raises:
        InputError: a module that there is no layer for, with its name and the reason.

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
    return constructors.chain(layers, layers[0].weight.dtype)  # type: ignore[arg-type]


def neurons_of_snntorch(
    name: str, tensors: Mapping[str, Tensor], make_surrogate: MakeSurrogate, features: Sequence[int] | None
) -> Neuron:
    """Make neurons of one module of snnTorch.

    Args:
        name: of the module, for messages.
        tensors: its state dictionary.
        make_surrogate: of the neurons.
        features: shape of one step of one sample; None: that of the module's numbers.

    Raises:
        InputError: there are no such neurons, with the reason.
    """
    (module,) = _modules({f"{name}.{key}": value for key, value in tensors.items()}) or [_Module(name, {})]
    shape = tuple(module.tensors.get("beta", torch.ones(1)).shape) if features is None else tuple(features)
    back, _ = _recurrence(module)
    wiring = "none" if back is None else "one_to_one" if back.dim() < MATRIX else "all_to_all"
    return _neurons(module, make_surrogate, max(1, math.prod(shape)), shape, wiring, reset_delay=True)


def _modules(state_dict: Mapping[str, Tensor]) -> list[_Module]:
    """Group the tensors by module, in their order; recurrent weights belong to their neurons."""
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
    """Build a layer of one pair of modules, weights and neurons."""
    weight = _weight(weights)
    back, bias_back = _recurrence(neurons)
    wiring = "none" if back is None else "one_to_one" if back.dim() < MATRIX else "all_to_all"
    biases = [bias for bias in (weights.tensors.get("bias"), bias_back) if bias is not None]

    def make(count: int, shape: tuple[int, ...]) -> Neuron:
        return _neurons(neurons, make_surrogate, count, shape, wiring, reset_delay=reset_delay)

    options = {"recurrence": wiring, "bias": bool(biases)}
    if weight.dim() == MATRIX:
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
    if back is not None:
        layer.recurrent = nn.Parameter(_fitting(neurons, back, layer))
    return layer


def _weight(module: _Module) -> Tensor:
    """Return the weights of a Linear or Conv2d, or refuse another module."""
    weight = module.tensors.get("weight")
    if weight is None or set(module.tensors) - {"weight", "bias"} or weight.dim() not in (MATRIX, FILTERS):
        names = ", ".join(module.tensors)
        raise InputError(f"module '{module.name}' ({names}): a Linear or Conv2d is expected in this place")
    return weight


def _recurrence(module: _Module) -> tuple[Tensor | None, Tensor | None]:
    """Return recurrent weights and their bias, which snnTorch adds in every step; None without."""
    tensors = module.tensors
    one_to_one = tensors.get("recurrent.V", tensors.get("V"))
    return (tensors.get("recurrent.weight") if one_to_one is None else one_to_one), tensors.get(
        "recurrent.bias"
    )


def _neurons(
    module: _Module,
    make_surrogate: MakeSurrogate,
    count: int,
    shape: tuple[int, ...],
    wiring: str,
    *,
    reset_delay: bool,
) -> Neuron:
    """Make leaky or synaptic neurons with the module's parameters."""
    tensors, reset = module.tensors, _reset(module, wiring, reset_delay=reset_delay)

    def number(key: str) -> Tensor:
        value = tensors[key]
        value = value if key == "threshold" else value.clamp(0, 1)
        try:
            return value if value.numel() == 1 else value.expand(shape).reshape(count)
        except RuntimeError:
            raise InputError(
                f"module '{module.name}': {key} of shape {tuple(value.shape)} for neurons of shape {shape}"
            ) from None

    given = {"beta": number("beta"), "threshold": number("threshold"), "reset": reset}
    if "alpha" in tensors:
        return constructors.synaptic(make_surrogate(), count, alpha=number("alpha"), **given)  # type: ignore[arg-type]
    return constructors.leaky(make_surrogate(), count, **given)  # type: ignore[arg-type]


def _reset(module: _Module, wiring: str, *, reset_delay: bool) -> str:
    """Return the reset of these neurons, or refuse those that have no counterpart here."""
    tensors = module.tensors
    unknown = [key for key in tensors if key not in OF_NEURONS and not key.startswith("recurrent.")]
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
    """Build a convolutional layer without weights."""
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


def _fitting(module: _Module, back: Tensor, layer: DenseLayer | ConvLayer) -> Tensor:
    """Reshape recurrent weights to the layer's own shape."""
    if layer.recurrence == "one_to_one":
        if back.numel() not in (1, layer.neurons):
            raise InputError(f"module '{module.name}': {back.numel()} weights among {layer.neurons} neurons")
        return back.flatten().expand(layer.neurons).clone()
    square = isinstance(layer, ConvLayer) or back.dim() == MATRIX
    if (
        not square
        or back.shape[:2] != (layer.weight.shape[0],) * 2
        or (back.dim() == FILTERS) != isinstance(layer, ConvLayer)
    ):
        raise InputError(
            f"module '{module.name}': weights among neurons of shape {tuple(back.shape)} do not fit"
        )
    return back.clone()


def _image(image: Sequence[int]) -> Image:
    """Require channels, height and width."""
    if isinstance(image, str) or len(image) != IMAGE:
        raise InputError(f"image={image!r}: [channels, height, width] is needed")
    channels, height, width = (require_count("image", side) for side in image)
    return channels, height, width
