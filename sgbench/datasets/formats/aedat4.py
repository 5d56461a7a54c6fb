"""Events from AEDAT 4 files: a text line, a FlatBuffers table, then packets, each a compressed FlatBuffers table.

Only what events need is read: packets of stream 0 with the identifier EVTS, whose one vector holds structures of
16 bytes: time int64 [us], x int16, y int16, polarity, three unused bytes. Offsets are checked before they are
followed.

Source: the file format's description, docs.inivation.com, AEDAT 4.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sgbench.datasets.formats.event_bin import Pixels
from sgbench.errors import InputError

MAGIC = b"#!AER-DAT4.0\r\n"
EVENT = np.dtype(
    {
        "names": ["t", "x", "y", "p"],
        "formats": ["<i8", "<i2", "<i2", "u1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)
MOST_BYTES = 1 << 28  # of a packet, unpacked
NOT_COMPRESSED, LZ4, LZ4_HIGH, ZSTD, ZSTD_HIGH = range(5)


def read(path: Path) -> Pixels:
    """Read the events of a file, with times from 0 at the first.

    Raises:
        InputError: not such a file, cut off, or compressed by something that is not installed.
    """
    try:
        data = path.read_bytes()
        parts = [_events(packet) for packet in _packets(data)]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (struct.error, ValueError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a whole AEDAT 4 file ({error}); fetch it again") from error
    table = np.concatenate(parts) if parts else np.empty(0, EVENT)
    x, y, polarity, time_us = (table[name].astype(np.int64) for name in ("x", "y", "p", "t"))
    return Pixels(x, y, polarity, time_us - (time_us.min() if len(time_us) else 0))


def _packets(data: bytes) -> Iterator[bytes]:
    """Yield the event packets of a file, unpacked, one after the other."""
    if not data.startswith(MAGIC):
        raise ValueError("another first line")
    offset = len(MAGIC)
    size = _number("<I", data, offset)
    head = data[offset + 4 : offset + 4 + size]
    if len(head) != size:
        raise ValueError("the header is cut off")
    compression, table_at = _head(head)
    offset += 4 + size
    end = len(data) if table_at < 0 else table_at  # after the packets lies a table of where they are
    if end > len(data):
        raise ValueError("the packets are cut off")
    while offset < end:
        _, size = struct.unpack_from("<iI", data, offset)
        packed = data[offset + 8 : offset + 8 + size]
        if len(packed) != size:
            raise ValueError("a packet is cut off")
        offset += 8 + size
        packet = _unpack(packed, compression)
        if packet[8:12] == b"EVTS":  # frames, motion and triggers of other streams are passed over
            yield packet


def _head(head: bytes) -> tuple[int, int]:
    """Read a file's compression, and where the table of packets begins (-1 without one)."""
    fields = _fields(head, _number("<I", head, 0))
    compression = _number("<b", head, fields[0]) if fields and fields[0] else NOT_COMPRESSED
    table_at = _number("<q", head, fields[1]) if len(fields) > 1 and fields[1] else -1
    return compression, table_at


def _events(packet: bytes) -> np.ndarray:
    """Read the vector of events from a size-prefixed table whose only field it is."""
    (size,) = struct.unpack_from("<I", packet, 0)
    body = packet[4 : 4 + size]
    fields = _fields(body, _number("<I", body, 0))
    if not fields or not fields[0]:
        return np.empty(0, EVENT)
    vector = fields[0] + _number("<I", body, fields[0])
    count = _number("<I", body, vector)
    return np.frombuffer(body, EVENT, count, vector + 4)


def _fields(body: bytes, table: int) -> list[int]:
    """Locate the fields of a FlatBuffers table; 0 stands for those that are missing."""
    described = table - _number("<i", body, table)
    if described < 0:
        raise ValueError("an offset leads out of the file")
    size = _number("<H", body, described)
    offsets = struct.unpack_from(f"<{(size - 4) // 2}H", body, described + 4) if size >= 4 else ()  # noqa: PLR2004
    return [table + offset if offset else 0 for offset in offsets]


def _number(kind: str, data: bytes, offset: int) -> int:
    """Read one number at an offset, which has to lie in the file."""
    if offset < 0:
        raise ValueError("an offset leads out of the file")
    return struct.unpack_from(kind, data, offset)[0]


def _unpack(packed: bytes, compression: int) -> bytes:
    """Unpack a packet, up to a size that no recording exceeds."""
    if compression == NOT_COMPRESSED:
        return packed
    if compression not in (LZ4, LZ4_HIGH, ZSTD, ZSTD_HIGH):
        raise ValueError(f"compression {compression} is not known")
    try:
        if compression in (LZ4, LZ4_HIGH):
            import lz4.frame

            data = lz4.frame.LZ4FrameDecompressor().decompress(packed, max_length=MOST_BYTES + 1)
        else:
            import zstandard

            with zstandard.ZstdDecompressor().stream_reader(packed) as reader:
                data = reader.read(MOST_BYTES + 1)
    except ImportError as error:
        raise InputError(f"AEDAT 4 needs {error.name}; run: pip install 'sgbench[events]'") from error
    except Exception as error:  # each library has errors of its own
        raise ValueError(f"a packet cannot be unpacked: {error}") from error
    if len(data) > MOST_BYTES:
        raise ValueError("a packet is far too large")
    return data
