"""Files that somebody might hand to `sgbench data add`, by name: careless, damaged and hostile ones."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

X = np.arange(240.0).reshape(10, 8, 3)
Y = np.array([0, 1] * 5)
SAMPLE = np.repeat(np.arange(10), 4)
TIME = np.tile(np.arange(4) * 0.01, 10)
CHANNEL = np.tile(np.arange(4), 10)
Write = Callable[[Path], object]


def npy(array: Any) -> bytes:
    """An array in NumPy's format."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def with_header(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """A member with any header."""
    text = header.encode("latin1")
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + data


def head(shape: str, kind: str = "<f8") -> bytes:
    """A member that says a shape and holds eighty numbers."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n"
    return with_header(text, bytes(640))


def members(compress: int = zipfile.ZIP_STORED, **parts: bytes) -> Write:
    """An archive of raw members, with good labels unless there are others."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", compress) as archive:
            for name, data in {"y": npy(Y), **parts}.items():
                archive.writestr(f"{name}.npy", data)

    return write


def arrays(**parts: Any) -> Write:
    """An archive of numpy's own."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **parts)

    return write


def spikes(**parts: Any) -> Write:
    """An archive of spikes with some arrays replaced."""
    return arrays(**{"sample": SAMPLE, "time": TIME, "channel": CHANNEL, "y": Y, **parts})


def raw(data: bytes) -> Write:
    """A file of these bytes."""
    return lambda path: path.write_bytes(data)


def flipped(path: Path) -> None:
    """One bit of the samples is another, in an archive that holds them as they are."""
    arrays(x=X, y=Y)(path)
    data = bytearray(path.read_bytes())
    place = data.index(X.tobytes()[8:64])
    data[place + 3] ^= 1
    path.write_bytes(bytes(data))


def damaged(path: Path) -> None:
    """Some bytes of a packed array are others."""
    with path.open("wb") as file:
        np.savez_compressed(file, x=X, y=Y)
    data = bytearray(path.read_bytes())
    data[120:130] = bytes(10)
    path.write_bytes(bytes(data))


def without_ending(path: Path) -> None:
    """A member that numpy would call `x`, and is none of its own."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"1")


def cut(path: Path) -> None:
    """The end is missing."""
    arrays(x=X, y=Y)(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def bomb(path: Path) -> None:
    """Eight gigabytes of zeros in eight megabytes."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': (10, {800_000_000}), }}\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("y.npy", npy(Y))
        with archive.open("x.npy", "w", force_zip64=True) as stream:
            stream.write(with_header(text))
            for _ in range(8):
                stream.write(bytes(1_000_000))
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"x.npy") - 46
    assert data[entry : entry + 4] == b"PK\x01\x02"
    data[entry + 24 : entry + 28] = struct.pack("<I", 4_000_000_000)  # what the directory says it unpacks to
    path.write_bytes(bytes(data))


def encrypted(path: Path) -> None:
    """The directory says that a password is needed."""
    arrays(x=X, y=Y)(path)
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        start = 0
        while (found := data.find(mark, start)) >= 0:
            data[found + place] |= 1
            start = found + 4
    path.write_bytes(bytes(data))


def unknown_method(path: Path) -> None:
    """Packed in a way that Python does not know."""
    arrays(x=X, y=Y)(path)
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        start = 0
        while (found := data.find(mark, start)) >= 0:
            data[found + place] = 99
            start = found + 4
    path.write_bytes(bytes(data))


ODD: dict[str, tuple[Write, str]] = {
    # no archive at all
    "an empty file": (raw(b""), "not a .npz file"),
    "a text": (raw(b"a,b\n1,2\n"), "not a .npz file"),
    "a page": (raw(b"<!DOCTYPE html><html></html>"), "not a .npz file"),
    "one array": (raw(npy(X)), "holds one array"),
    "a pickle": (raw(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00."), "not a .npz file"),
    "a folder": (Path.mkdir, "no file"),
    "a pipe": (os.mkfifo, "no file"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "no such file"),
    "a broken link": (lambda path: path.symlink_to("nowhere"), "no such file"),
    "half of an archive": (cut, "not a .npz file"),
    "an archive without a member": (raw(b"PK\x05\x06" + bytes(18)), "needs x and y"),
    # members that are none
    "a member without its ending": (without_ending, "needs x and y"),
    "a member of text": (members(x=b"1,2,3"), "array 'x'"),
    "an empty member": (members(x=b""), "array 'x'"),
    "a header that is cut": (members(x=npy(X)[:12]), "array 'x'"),
    "a header that is no mapping": (members(x=with_header("[1, 2]\n")), "array 'x'"),
    "a header that calls": (members(x=with_header("__import__('os').system('touch PWNED')\n")), "array 'x'"),
    "a header of brackets": (members(x=with_header("(" * 9000 + ")" * 9000)), "array 'x'"),
    "a header of a megabyte": (members(x=with_header(" " * 2**20, version=(2, 0))), "array 'x'"),
    "a version of the future": (members(x=with_header("{}", version=(9, 0))), "array 'x'"),
    "a negative shape": (members(x=head("(-2, 5)")), "array 'x'"),
    "a shape of words": (members(x=head("('a', 5)")), "array 'x'"),
    "a shape that is none": (members(x=head("3")), "array 'x'"),
    "a shape of 89 gigabytes": (members(x=head("(10, 1200000000)")), "array 'x'"),
    "a shape beyond all numbers": (members(x=head("(10, 10000000000000000000000)")), "array 'x'"),
    "a shape of nothing times much": (members(x=head("(0, 10000000000000000000000)")), "array 'x'"),
    "a shape smaller than the data": (members(x=head("(2, 5)")), "array 'x'"),
    "a shape of true": (members(x=head("(True, 80)")), "array 'x'"),
    "a type that is none": (members(x=head("(10, 8)", "nothing")), "array 'x'"),
    "objects": (arrays(x=np.array([1, "a", None] * 10, dtype=object), y=Y), "nothing is unpickled"),
    "an object that runs": (
        members(
            x=with_header(
                "{'descr': '|O', 'fortran_order': False, 'shape': (10,), }\n", b"cos\nsystem\n(S'touch PWNED'\ntR."
            )
        ),
        "nothing is unpickled",
    ),
    "records": (arrays(x=np.zeros(10, [("t", "<f8"), ("x", "<i4")]), y=Y), "array 'x'"),
    "times": (arrays(x=np.zeros((10, 3), "datetime64[s]"), y=Y), "array 'x'"),
    "complex numbers": (arrays(x=np.zeros((10, 3), complex), y=Y), "array 'x'"),
    "packed data that are damaged": (damaged, "not a .npz file"),
    "a flipped bit": (flipped, "Bad CRC-32"),
    "a password": (encrypted, "not a .npz file"),
    "an unknown method": (unknown_method, "not a .npz file"),
    "a bomb": (bomb, "numpy.savez"),
    # arrays that are not samples
    "no labels": (arrays(x=X), "it needs x and y"),
    "no samples": (arrays(y=Y), "it needs x and y"),
    "a number": (arrays(x=np.float64(3), y=Y), "train"),
    "a line of numbers": (arrays(x=np.zeros(10), y=Y), "train"),
    "five axes": (arrays(x=np.zeros((10, 2, 2, 2, 2)), y=Y), ""),
    "no steps": (arrays(x=np.zeros((10, 0, 3)), y=Y), "at least one"),
    "no channels": (arrays(x=np.zeros((10, 4, 0)), y=Y), "at least one"),
    "no features": (arrays(x=np.zeros((10, 0)), y=Y), "at least one"),
    "nothing at all": (arrays(x=np.zeros((0, 3)), y=np.zeros(0)), "has no samples"),
    "fewer labels": (arrays(x=X, y=Y[:4]), "10 samples but 4 labels"),
    "labels one hot": (arrays(x=X, y=np.eye(10)), "10 samples but 100 labels"),
    "one class": (arrays(x=X, y=np.zeros(10)), "two classes"),
    "labels with nan": (arrays(x=X, y=np.array([np.nan, 1] * 5)), "is not a number"),
    "labels between": (arrays(x=X, y=np.arange(10) / 2), "is no class"),
    "labels beyond whole numbers": (arrays(x=X, y=np.array([1e300, 1] * 5)), "is no class"),
    "labels that a terminal obeys": (arrays(x=X, y=np.array(["a\x1b[31m", "b"] * 5)), "label"),
    "labels of a megabyte": (arrays(x=X, y=np.array(["a" * 10**5, "b"] * 5)), "label"),
    "samples with nan": (arrays(x=np.where(X == 3, np.nan, X), y=Y), "NaN or infinity"),
    "samples with infinity": (arrays(x=np.where(X == 3, np.inf, X), y=Y), "NaN or infinity"),
    "samples at the end of numbers": (
        arrays(x=np.where(X == 3, 1.7e308, np.where(X == 6, -1.7e308, X)), y=Y),
        "too far apart",
    ),
    "words as samples": (arrays(x=np.full((10, 3), "a"), y=Y), "numbers are needed"),
    "groups of another number": (arrays(x=X, y=Y, groups=np.zeros(3)), "groups"),
    "groups of objects": (arrays(x=X, y=Y, groups=np.array([None] * 10)), "nothing is unpickled"),
    # spikes
    "spikes of unlike numbers": (spikes(time=TIME[:5]), "40, 5 and 40 numbers"),
    "times of two axes": (spikes(time=TIME.reshape(20, 2), sample=SAMPLE[:20], channel=CHANNEL[:20]), "one axis"),
    "channels of two axes": (spikes(channel=CHANNEL.reshape(20, 2), time=TIME[:20], sample=SAMPLE[:20]), "one axis"),
    "a single time": (spikes(time=np.float64(1)), "one axis"),
    "times of words": (spikes(time=np.full(40, "a")), "numbers are needed"),
    "samples between": (spikes(sample=SAMPLE + 0.5), "whole number"),
    "samples of nan": (spikes(sample=np.where(SAMPLE == 3, np.nan, SAMPLE)), "whole number"),
    "samples below zero": (spikes(sample=SAMPLE - 1), "sample goes from -1"),
    "samples beyond the labels": (spikes(sample=SAMPLE + 1), "there are 10 labels"),
    "times below zero": (spikes(time=TIME - 1), "negative or not a number"),
    "times of nan": (spikes(time=np.where(TIME > 0.02, np.nan, TIME)), "negative or not a number"),
    "times since 1970": (spikes(time=TIME + 1.7e18), "at most 35 min"),
    "times of an hour": (spikes(time=TIME + 3600), "at most 35 min"),
    "times at the end of numbers": (spikes(time=TIME + 1e300), "at most 35 min"),
    "channels of nan": (spikes(channel=np.where(CHANNEL > 2, np.nan, CHANNEL)), "no whole number"),
    "channels of infinity": (spikes(channel=np.where(CHANNEL > 2, np.inf, CHANNEL)), "no whole number"),
    "channels between": (spikes(channel=CHANNEL + 0.5), "no whole number"),
    "channels below zero": (spikes(channel=CHANNEL - 1), "no whole number"),
    "a channel of 2^31": (spikes(channel=CHANNEL + 2**31), "at most"),
    "a channel of 2^40": (spikes(channel=CHANNEL + 2**40), "at most"),
    "a channel of 2^63": (spikes(channel=CHANNEL.astype(np.uint64) + np.uint64(2**63)), "at most"),
    "a channel at the end of numbers": (spikes(channel=np.where(CHANNEL > 2, 1e300, CHANNEL)), "at most"),
    "no spike at all": (spikes(sample=SAMPLE[:0], time=TIME[:0], channel=CHANNEL[:0]), "no sample has a spike"),
    "zeros alone": (arrays(x=np.zeros((10, 5, 3)), y=Y), "no sample has a spike"),
}
"""How each is written, and what the line about it has; an empty text says that it may be taken as well."""
