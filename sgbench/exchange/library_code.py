"""Writes a network as a file of Python for another library, with its weights in a file beside it."""

import textwrap
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sgbench.exchange.whole_numbers import LayerNumbers, numbers_of
from sgbench.networks.base import Network
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.pool import Image, Pool


class CodeTensors:
    """Collects the tensors that are stored beside the code, and writes expressions of them.

    `dtype`: dtype of the network.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.tensors: dict[str, Tensor] = {}

    def tensor(self, name: str, values: Tensor) -> str:
        """Write the values of a layer's neurons [N] as an expression: one number, or the stored tensor `name`."""
        if bool((values == values[0]).all()):
            dtype = "" if self.dtype == torch.float32 else f", dtype={self.dtype}"
            number = "torch.inf" if values[0].isinf() else repr(float(values[0]))
            return f"torch.tensor({number}{dtype})"
        self.tensors[name] = values.to(self.dtype)
        return f'given.pop("{name}")'


class Library(NamedTuple):
    """Describes how networks are written for a library."""

    name: str  # as its authors write it
    imports: str  # lines of Python
    layer: str  # code of the class `Layer`, which runs weights, neurons and recurrent weights over all steps
    # Maps a layer's numbers to those with which the library computes the same, and the code of its neurons.
    neurons: Callable[[LayerNumbers, CodeTensors], tuple[LayerNumbers, str]]


class LibraryCode(NamedTuple):
    """Holds a file of Python and the tensors that it reads."""

    code: str
    tensors: dict[str, Tensor]


IMPORTS = "from collections import OrderedDict\nfrom pathlib import Path\n\n"
IMAGES = '''
class Images(nn.Sequential):
    """Passes images [C, H, W] that lie flat in the last axis through modules, and flattens what comes out."""

    def __init__(self, shape, *modules):
        super().__init__(*modules)
        self.shape = shape

    def forward(self, x):
        return super().forward(x.reshape(-1, *self.shape)).reshape(*x.shape[:-1], -1)
'''
SCALE = '''
class Scale(nn.Module):
    """Multiplies each value by a weight of its own: each neuron is joined with itself."""

    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))

    def forward(self, x):
        return x * self.weight
'''
BUILD = '''
def network(path=Path(__file__).with_suffix(".pt")):
    """Build the network with its weights."""
    given = torch.load(path, weights_only=True)
    net = nn.Sequential(
        OrderedDict(
{layers}
        )
    ).to({dtype})
    unknown = net.load_state_dict(given, strict=False).unexpected_keys
    if unknown:
        raise ValueError(f"{{path}}: not the weights of this network, for it has {{unknown}}")
    return net.eval()
'''


def write(network: Network, library: Library, about: Sequence[str] = ()) -> LibraryCode:
    """Write a network as Python code for another library's neurons.

    The file's `network()` returns a module from inputs x [T, B, N] to the spikes or potentials of the last layer
    [T, B, C]; each of its parts is one layer. Readout, resets, thresholds, synapses and recurrence are those of the
    network. Surrogates are not written, so further training uses the library's.
    """
    store = CodeTensors(next(network.parameters()).dtype)
    layers = []
    for plain in numbers_of(network, library.name):
        numbers, neurons = library.neurons(plain, store)
        parts = [_weights(numbers, store), neurons]
        if numbers.recurrent is not None:
            parts.append(f"among={_recurrent_weights(numbers, store)}")
        if numbers.threshold is None:
            parts.append("fires=False")
        arguments = textwrap.indent(",\n".join([*parts, ""]), "    ")
        note = f"# {numbers.note}\n" if numbers.note else ""
        layers.append(f"{note}{numbers.name}=Layer(\n{arguments}),")
    text = "\n".join(layers)
    helpers = [code for name, code in (("Images(", IMAGES), ("Scale(", SCALE)) if name in text]
    build = BUILD.format(layers=textwrap.indent(text, " " * 12), dtype=store.dtype)
    head = f'"""{_docstring(library, about)}\n"""\n'
    return LibraryCode("\n".join([head, IMPORTS + library.imports, *helpers, library.layer, build]), store.tensors)


def _docstring(library: Library, about: Sequence[str]) -> str:
    """Write the module's docstring; quotes and backslashes are replaced, so that they cannot end it."""
    lines = [
        *about,
        f"Written by sgbench for {library.name}; the weights lie beside this file.",
        "network() takes x [T, B, N], all time steps, to what the last layer sends [T, B, C].",
    ]
    return "\n".join(lines).replace("\\", "/").replace('"', "'")


def _weights(numbers: LayerNumbers, store: CodeTensors) -> str:
    """Write the expression of a layer's weights, with its pooling, and put their numbers into `store`."""
    key, layer, (rows, inputs) = f"{numbers.name}.weights", numbers.layer, numbers.weight.shape[:2]
    bias = "" if numbers.bias is not None else ", bias=False"
    if not isinstance(layer, ConvLayer):
        pool = layer.pool_in
        _store(store, f"{key}.1" if pool is not None else key, numbers)
        linear = f"nn.Linear({inputs}, {rows}{bias})"
        return linear if pool is None else f"nn.Sequential({_images(pool.image_in, _pool(pool))}, {linear})"
    before = [_pool(pool) for pool in (layer.pool_in,) if pool is not None]
    after = [_pool(pool) for pool in (layer.pool_out,) if pool is not None]
    _store(store, f"{key}.{len(before)}", numbers)
    side, stride = layer.kernel_size, layer.stride
    convolution = f"nn.Conv2d({inputs}, {rows}, {side}, stride={stride}, padding={side // 2}{bias})"
    first = layer.image_in if layer.pool_in is None else layer.pool_in.image_in
    return _images(first, *before, convolution, *after)


def _recurrent_weights(numbers: LayerNumbers, store: CodeTensors) -> str:
    """Write the expression of a layer's recurrent weights, and put their numbers into `store`."""
    weights, layer = numbers.recurrent, numbers.layer
    if weights is None:
        raise AssertionError("called only for layers with recurrent weights")
    key = f"{numbers.name}.among"
    if weights.dim() == 1:
        store.tensors[f"{key}.weight"] = weights
        return f"Scale({len(weights)})"
    if not isinstance(layer, ConvLayer):
        store.tensors[f"{key}.weight"] = weights
        return f"nn.Linear({weights.shape[1]}, {weights.shape[0]}, bias=False)"
    store.tensors[f"{key}.0.weight"] = weights
    side, channels = weights.shape[-1], len(weights)
    convolution = f"nn.Conv2d({channels}, {channels}, {side}, padding={side // 2}, bias=False)"
    return _images(layer.image_out, convolution)


def _store(store: CodeTensors, key: str, numbers: LayerNumbers) -> None:
    store.tensors[f"{key}.weight"] = numbers.weight
    if numbers.bias is not None:
        store.tensors[f"{key}.bias"] = numbers.bias


def _images(shape: Image, *modules: str) -> str:
    return f"Images({tuple(shape)}, {', '.join(modules)})"


def _pool(pool: Pool) -> str:
    return f"nn.{'Max' if pool.kind == 'max' else 'Avg'}Pool2d({pool.window})"
