"""Checks weights in the safetensors format without loading them: header, shapes, finite numbers."""

import json
import math
import re
import struct
from dataclasses import dataclass

import numpy as np

from sgbench.errors import InputError
from sgbench.records.files import parse_tree
from sgbench.records.record import RunRecord

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 1024 * 1024
MAX_TENSORS = 10_000
MAX_DIMENSIONS = 8
MATRIX = 2
MASK = "BOOL"  # mask of the inputs of each current of a neuron
KINDS = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), MASK: np.dtype("u1")}
PRECISIONS = {"float32": "F32", "float64": "F64", "bfloat16": "F32"}  # of a protocol, and its kind of weights
_LAYER = re.compile(r"layers\.(\d{1,4})\.(?:weight|parametrizations\.weight\.original)")


@dataclass(frozen=True)
class StoredTensor:
    """Describes one tensor of a file."""

    kind: str  # safetensors' name of its dtype
    shape: tuple[int, ...]
    begin: int  # offset of its bytes after the header
    end: int


def parse_weights(data: bytes, name: str) -> dict[str, StoredTensor]:
    """Return the tensors of a file by name; the header has to be consistent, and all numbers finite."""
    header, body = _split(data, name)
    tensors: dict[str, StoredTensor] = {}
    for key, value in header.items():
        if key == "__metadata__":
            raise InputError(f"{name}: holds metadata, which no weights need; save the tensors alone")
        tensors[key] = _tensor(key, value, name)
    if len(tensors) > MAX_TENSORS:
        raise InputError(f"{name}: more than {MAX_TENSORS:,} tensors")
    offset = 0
    for key, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != offset:
            raise InputError(f"{name}: the bytes of {_short(key)} overlap others or leave a gap")
        offset = tensor.end
    if offset != len(body):
        raise InputError(f"{name}: {len(body) - offset} bytes belong to no tensor")
    _require_numbers(tensors, body, name)
    return tensors


def _require_numbers(tensors: dict[str, StoredTensor], body: bytes, name: str) -> None:
    """Raise an `InputError` for numbers that are not finite, masks with values above 1, or zeros alone."""
    zeros = []
    for key, tensor in tensors.items():
        numbers = (tensor.end - tensor.begin) // KINDS[tensor.kind].itemsize
        values = np.frombuffer(body, KINDS[tensor.kind], numbers, tensor.begin)
        if not np.isfinite(values).all():
            raise InputError(f"{name}: {_short(key)} holds NaN or infinity")
        if tensor.kind != MASK:
            zeros.append(not values.any())
        elif (values > 1).any():
            raise InputError(f"{name}: {_short(key)} holds more than 0 and 1, which no mask does")
    if zeros and all(zeros):
        raise InputError(f"{name}: holds nothing but zeros, which no training gives; hand in the run's own")


def _split(data: bytes, name: str) -> tuple[dict[str, object], bytes]:
    """Split a safetensors file into its header (8 bytes of length, then JSON) and the bytes of its tensors."""
    if len(data) < LENGTH_BYTES:
        raise InputError(f"{name}: too short for a safetensors file")
    (length,) = struct.unpack("<Q", data[:LENGTH_BYTES])
    if length > min(MAX_HEADER_BYTES, len(data) - LENGTH_BYTES):
        raise InputError(f"{name}: no safetensors file: a header of {length} bytes does not fit")
    header = parse_tree(data[LENGTH_BYTES : LENGTH_BYTES + length], name)
    if not isinstance(header, dict) or not header:
        raise InputError(f"{name}: no safetensors file: the header names no tensor")
    return header, data[LENGTH_BYTES + length :]


def _tensor(key: str, value: object, name: str) -> StoredTensor:
    """Check one entry of the header: type, shape and offsets must agree."""
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise InputError(f"{name}: {_short(key)} needs dtype, shape and data_offsets alone")
    kind, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"{name}: {_short(key)} is of dtype {_short(kind)}; F32, F64 or BOOL is needed")
    if not (_naturals(shape) and len(shape) <= MAX_DIMENSIONS):
        raise InputError(f"{name}: the shape of {_short(key)} is no list of sizes")
    if not (_naturals(offsets) and len(offsets) == 2):  # noqa: PLR2004 - begin and end
        raise InputError(f"{name}: data_offsets of {_short(key)} are no pair of offsets")
    begin, end = offsets
    if end - begin != math.prod(shape) * KINDS[kind].itemsize:
        raise InputError(f"{name}: {_short(key)} has another number of bytes than its shape")
    return StoredTensor(kind, tuple(shape), begin, end)


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 2**48 for size in value)


def _short(value: object) -> str:
    return json.dumps(value)[:60]


def require_fit(tensors: dict[str, StoredTensor], record: RunRecord, name: str) -> None:
    """Require that tensors have the precision, the count of parameters and the layers of a record."""
    precision = record.method.protocol.precision
    for key, tensor in tensors.items():
        if tensor.kind not in (PRECISIONS[precision], MASK):
            raise InputError(f"{name}: {_short(key)} is {tensor.kind}, the protocol computes in {precision}")
    numbers = sum(math.prod(tensor.shape) for tensor in tensors.values() if tensor.kind != MASK)
    if record.parameters is not None and numbers < record.parameters:
        raise InputError(f"{name}: holds {numbers:,} numbers, the record has {record.parameters:,} parameters")
    if record.counts is None:
        return
    for key, tensor in tensors.items():
        match = _LAYER.fullmatch(key)
        if match is None:
            continue
        index = int(match.group(1))
        if index >= len(record.counts.layers):
            raise InputError(f"{name}: {key} is of a layer that the record has not")
        neurons = record.counts.layers[index].neurons
        shared = len(tensor.shape) > MATRIX  # weights of a convolution, shared by the pixels of an image
        if not shared and (not tensor.shape or tensor.shape[0] % neurons):  # several currents a neuron
            raise InputError(f"{name}: {key} has shape {list(tensor.shape)}, its layer {neurons} neurons")
