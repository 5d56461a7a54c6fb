"""Small files in the exact formats of published recordings, written here byte by byte.

Nothing of the product writes them, so that a reader cannot agree with itself.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""x, y, polarity and time [us]."""


def some_events(random: np.random.Generator, count: int, width: int, height: int, last_us: int) -> Columns:
    """Events in the order of time."""
    return (
        random.integers(0, width, count),
        random.integers(0, height, count),
        random.integers(0, 2, count),
        np.sort(random.integers(0, last_us, count)),
    )


def heidelberg(path: Path, *, speakers: Sequence[int], classes: int, seed: int) -> None:
    """SHD's and SSC's HDF5: one sample of each class in turn, times in half precision [s]."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (len(speakers),), dtype=h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (len(speakers),), dtype=h5py.vlen_dtype(np.uint16))
        for row in range(len(speakers)):
            count = int(random.integers(0, 60))
            times[row] = np.sort(random.uniform(0, 1.2, count)).astype(np.float16)
            units[row] = random.integers(0, 700, count).astype(np.uint16)
        file["labels"] = (np.arange(len(speakers)) % classes).astype(np.uint16)
        file["extra/speaker"] = np.asarray(speakers, np.uint16)
        file["extra/keys"] = np.array([f"word {number}".encode() for number in range(classes)])
        file["extra/meta_info/gender"] = np.array([b"male"] * len(speakers))


def atis_bytes(columns: Columns) -> bytes:
    """40 bits an event, big-endian: x, y, polarity, 23 bits of time; row 240 tells that the clock ran over."""
    x, y, polarity, time_us = (np.asarray(column, np.int64) for column in columns)
    table = np.stack([x, y, polarity << 7 | time_us >> 16 & 127, time_us >> 8 & 255, time_us & 255], axis=1)
    return table.astype(np.uint8).tobytes()


def gesture(path: Path, columns: Columns) -> None:
    """An array of rows x, y, polarity, time in milliseconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y, polarity, time_us = columns
    np.save(path, np.stack([x, y, polarity, time_us // 1000], axis=1).astype(np.int64))


def aedat4(path: Path, packets: Sequence[Columns], *, compression: int, pack=bytes) -> None:
    """A line, a header in FlatBuffers with the streams' description, packets, and a table behind them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bodies = []
    for columns in packets:
        packed = pack(_event_table(columns))
        bodies.append(struct.pack("<iI", 0, len(packed)) + packed)
    lead = b"#!AER-DAT4.0\r\n"
    head = _header(compression, -1)
    data_at = len(lead) + 4 + len(head)
    head = _header(compression, data_at + sum(len(body) for body in bodies))
    table = pack(struct.pack("<I", 4) + b"\0" * 4)
    path.write_bytes(lead + struct.pack("<I", len(head)) + head + b"".join(bodies) + table)


INFO = (
    '<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/">'
    '<node name="0" path="/mainloop/Recorder/outInfo/0/"><attr key="compression" type="string">NONE</attr>'
    '<attr key="originalModuleName" type="string">camera</attr>'
    '<attr key="originalOutputName" type="string">events</attr>'
    '<attr key="typeDescription" type="string">Array of events (polarity ON/OFF).</attr>'
    '<attr key="typeIdentifier" type="string">EVTS</attr>'
    '<node name="info" path="/mainloop/Recorder/outInfo/0/info/">'
    '<attr key="sizeX" type="int">128</attr><attr key="sizeY" type="int">128</attr>'
    '<attr key="source" type="string">DVS128</attr></node></node></node></dv>'
)


def _header(compression: int, table_at: int) -> bytes:
    """Root offset, identifier, then a table of compression int32, place of the table int64, description."""
    text = INFO.encode()
    # vtable: its size, the table's size, offsets of three fields
    vtable = struct.pack("<HHHHH", 10, 24, 8, 16, 4)
    start = 8 + len(vtable) + 2  # where the table begins, a multiple of four
    string_at = start + 24
    body = struct.pack("<i", start - 8)  # back to the vtable
    body += struct.pack("<I", string_at - (start + 4))  # field 2, the description
    body += struct.pack("<i", compression) + b"\0" * 4  # field 0
    body += struct.pack("<q", table_at)  # field 1
    string = struct.pack("<I", len(text)) + text + b"\0"
    string += b"\0" * (-len(string) % 4)
    return struct.pack("<I", start) + b"IOHE" + vtable + b"\0\0" + body + string


def _event_table(columns: Columns) -> bytes:
    """Size, root offset, identifier, then a table whose one field is a vector of events of 16 bytes."""
    x, y, polarity, time_us = columns
    events = b"".join(
        struct.pack("<qhhB3x", t, a, b, p)
        for a, b, p, t in zip(x.tolist(), y.tolist(), polarity.tolist(), time_us.tolist(), strict=True)
    )
    vtable = struct.pack("<HHH", 6, 8, 4) + b"\0\0"
    start = 8 + len(vtable)
    vector_at = start + 8 + 4  # its count lies four before its events, which begin at a multiple of eight
    table = struct.pack("<i", start - 8) + struct.pack("<I", vector_at - (start + 4)) + b"\0" * 4
    vector = struct.pack("<I", len(x)) + events
    body = struct.pack("<I", start) + b"EVTS" + vtable + table + vector
    return struct.pack("<I", len(body)) + body


def letter(path: Path, columns: Columns) -> None:
    """MATLAB columns ts, x, y, pol; rows are counted from the bottom of 180."""
    from scipy.io import savemat

    path.parent.mkdir(parents=True, exist_ok=True)
    x, y, polarity, time_us = (column.reshape(-1, 1).astype(np.int32) for column in columns)
    savemat(path, {"ts": time_us, "x": x, "y": 179 - y, "pol": polarity})
