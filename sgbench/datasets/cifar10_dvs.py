"""CIFAR10-DVS: pictures moved before an event camera."""

import json
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from sgbench.datasets.base import SPLITS, Split
from sgbench.datasets.event_files import EventFiles, FileToFetch, below, camera_recordings
from sgbench.datasets.formats.event_bin import Pixels
from sgbench.datasets.formats.event_store import Recording
from sgbench.errors import InputError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
EACH = 1000  # recordings of a class
NUMBER = re.compile(r"(\d+)\.aedat4")
SPLIT_FILE = Path(__file__).parent / "splits" / "cifar10_dvs.json"


class Cifar10Dvs(EventFiles, entry="cifar10_dvs"):
    """Loads recordings of 10000 CIFAR-10 pictures moved before an event camera of 128x128 pixels, 1000 a class.

    There is no official split, so published accuracies are of different test sets. This split is stored in the
    package: 100 recordings of each class for validation and 100 for the test, chosen by the hash of file names.

    Source: Li, Liu, Ji, Li & Shi 2017, Frontiers in Neuroscience 11:309.
    """

    image: tuple[int, int, int] | None = (2, 128, 128)
    n_inputs: int = 2 * 128 * 128
    source: str = "Li et al. 2017; converted for tonic (figshare file 38023437)"
    name: ClassVar[str] = "cifar10_dvs"
    folder: ClassVar[str] = "CIFAR10DVS"
    downloads: ClassVar[tuple[FileToFetch, ...]] = (
        FileToFetch(
            "https://figshare.com/ndownloader/files/38023437",
            "CIFAR10DVS.zip",
            "ce3a4a0682dc0943703bd8f749a7701c",
            30_000_000_000,
        ),
    )
    by_hand: ClassVar[str] = (
        "figshare turns some programs away: then fetch figshare.com/ndownloader/files/38023437 with a browser and "
        "unpack it, and what is in it, in the folder CIFAR10DVS of the data root"
    )

    def originals(self, root: Path) -> list[str]:
        files: list[str] = []
        for name in CLASSES:
            files += [f"{name}/{file}" for file in below(root / name, "*.aedat4", self.remedy, least=EACH)]
        return files

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Assign recordings to splits by the package's list of held-out recordings' numbers."""
        # Maps class, then split, to numbers in file names.
        held_out_numbers = json.loads(SPLIT_FILE.read_text())
        parts: dict[Split, list[tuple[str, int]]] = {"train": [], "validation": [], "test": []}
        for name in self.originals(root):
            match = NUMBER.search(name)
            if match is None:
                raise InputError(f"{root / name}: its name has no number")
            class_name = name.split("/")[0]
            of_class = held_out_numbers[class_name]
            held_out: list[Split] = [split for split in SPLITS if int(match[1]) in of_class.get(split, [])]
            split: Split = held_out[0] if held_out else "train"
            parts[split].append((name, CLASSES.index(class_name)))
        image = (2, 128, 128)
        return {split: camera_recordings(root, files, read_aedat4, image) for split, files in parts.items()}


MAGIC = b"#!AER-DAT4.0\r\n"
EVENT = np.dtype(
    {"names": ["t", "x", "y", "p"], "formats": ["<i8", "<i2", "<i2", "u1"], "offsets": [0, 8, 10, 12], "itemsize": 16}
)
MOST_BYTES = 1 << 28  # of an unpacked packet
NOT_COMPRESSED, LZ4, LZ4_HIGH, ZSTD, ZSTD_HIGH = range(5)  # the header's codes of compression


def read_aedat4(path: Path) -> Pixels:
    """Read all events of an AEDAT 4 file: a text line, a FlatBuffers table (the header), then packets.

    Each packet is a compressed FlatBuffers table. Only packets with the identifier EVTS are read. Their only field is a
    vector of structures of 16 bytes: time int64 [us], x int16, y int16, polarity, three unused bytes. Offsets are
    checked before they are followed.

    Source: the file format's description, docs.inivation.com, AEDAT 4.0.
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
    """Yield the unpacked event packets in the bytes of a file; raise ValueError where they are damaged."""
    if not data.startswith(MAGIC):
        raise ValueError("another first line")
    offset = len(MAGIC)
    size = _number("<I", data, offset)
    header = data[offset + 4 : offset + 4 + size]
    if len(header) != size:
        raise ValueError("the header is cut off")
    compression, index_offset = _parse_header(header)
    offset += 4 + size
    end = len(data) if index_offset < 0 else index_offset  # an index of the packets follows them
    if end > len(data):
        raise ValueError("the packets are cut off")
    while offset < end:
        _, size = struct.unpack_from("<iI", data, offset)
        packed = data[offset + 8 : offset + 8 + size]
        if len(packed) != size:
            raise ValueError("a packet is cut off")
        offset += 8 + size
        packet = _unpack(packed, compression)
        if packet[8:12] == b"EVTS":  # other packets hold frames, motion and triggers
            yield packet


def _parse_header(header: bytes) -> tuple[int, int]:
    """Return the header's code of compression, and where the index of packets lies; -1 without one."""
    fields = _fields(header, _number("<I", header, 0))
    compression = _number("<b", header, fields[0]) if fields and fields[0] else NOT_COMPRESSED
    index_offset = _number("<q", header, fields[1]) if len(fields) > 1 and fields[1] else -1
    return compression, index_offset


def _events(packet: bytes) -> np.ndarray:
    """Return the events in a packet; its table's first field leads to their vector: a count, then structures."""
    (size,) = struct.unpack_from("<I", packet, 0)
    body = packet[4 : 4 + size]
    fields = _fields(body, _number("<I", body, 0))
    if not fields or not fields[0]:
        return np.empty(0, EVENT)
    vector = fields[0] + _number("<I", body, fields[0])
    count = _number("<I", body, vector)
    return np.frombuffer(body, EVENT, count, vector + 4)


def _fields(body: bytes, table: int) -> list[int]:
    """Return where in `body` each field of a FlatBuffers table lies; 0 for a field that is left out."""
    vtable = table - _number("<i", body, table)  # lists the fields' offsets in the table
    if vtable < 0:
        raise ValueError("an offset leads out of the file")
    size = _number("<H", body, vtable)
    offsets = struct.unpack_from(f"<{(size - 4) // 2}H", body, vtable + 4) if size >= 4 else ()  # noqa: PLR2004
    return [table + offset if offset else 0 for offset in offsets]


def _number(code: str, data: bytes, offset: int) -> int:
    """Read a number at an offset, which must lie within the data."""
    if offset < 0:
        raise ValueError("an offset leads out of the file")
    return struct.unpack_from(code, data, offset)[0]


def _unpack(packed: bytes, compression: int) -> bytes:
    """Unpack a packet of this code of compression; raise ValueError if it is damaged or too large."""
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
