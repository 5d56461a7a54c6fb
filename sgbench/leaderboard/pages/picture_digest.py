"""Stores inside a board's picture the digests of the table that it was drawn from and of its pixels."""

import hashlib
import struct
import zlib
from pathlib import Path

from sgbench.errors import InputError
from sgbench.records.files import read_bytes

KEYWORD, PIXELS = "Description", "Comment"
"""Keywords of the PNG's texts that hold the digest of the table and that of the pixels."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_PIXEL_BYTES = 2**27
Chunks = list[tuple[bytes, bytes]]
"""Kind and content of each chunk of a PNG."""


def digest(table_csv: str) -> str:
    """Hash a board's table; its picture contains this digest, to show from which table it was drawn."""
    return hashlib.sha256(table_csv.encode()).hexdigest()


def with_pixel_digest(data: bytes) -> bytes:
    """Insert the digest of its pixels into a PNG, before them."""
    chunks = _chunks(data)
    text = (b"tEXt", f"{PIXELS}\0{_pixels_digest(chunks)}".encode())
    index = [kind for kind, _ in chunks].index(b"IDAT")
    return SIGNATURE + b"".join(_encode_chunk(*chunk) for chunk in [*chunks[:index], text, *chunks[index:]])


def read_digest(path: Path) -> str | None:
    """Return the digest of the table inside a picture, or None if it carries none or is no picture."""
    return _text(_chunks(read_bytes(path)), KEYWORD)


def stale(path: Path, *, table_csv: str) -> str | None:
    """Explain why a picture was not drawn from the table `table_csv`, or return None if it was."""
    try:
        chunks = _chunks(read_bytes(path))
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    if _text(chunks, KEYWORD) != digest(table_csv):
        return "drawn from another table"
    pixels = _pixels_digest(chunks)
    return None if pixels is not None and _text(chunks, PIXELS) == pixels else "changed after it was drawn"


def _chunks(data: bytes) -> Chunks:
    """Read the chunks of a PNG, kind and content; none where it is no whole PNG, or a checksum is wrong."""
    if not data.startswith(SIGNATURE):
        return []
    found: Chunks = []
    offset = len(SIGNATURE)
    while offset + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, offset)
        kind, content = data[offset + 4 : offset + 8], data[offset + 8 : offset + 8 + length]
        offset += 12 + length
        if offset > len(data) or data[offset - 4 : offset] != struct.pack(">I", zlib.crc32(kind + content)):
            return []
        found.append((kind, content))
    is_whole = offset == len(data) and found and found[0][0] == b"IHDR" and found[-1][0] == b"IEND"
    return found if is_whole else []


def _encode_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _text(chunks: Chunks, keyword: str) -> str | None:
    start = f"{keyword}\0".encode()
    texts = [content for kind, content in chunks if kind == b"tEXt" and content.startswith(start)]
    return texts[0].removeprefix(start).decode("latin1") if len(texts) == 1 else None


def _pixels_digest(chunks: Chunks) -> str | None:
    """Hash header, palette and unpacked pixels of a PNG; None if they are damaged, or larger than any board's."""
    unpacking = zlib.decompressobj()
    try:
        packed = b"".join(content for kind, content in chunks if kind == b"IDAT")
        rows = unpacking.decompress(packed, MOST_PIXEL_BYTES)
    except zlib.error:
        return None
    palette = b"".join(content for kind, content in chunks if kind == b"PLTE")
    return hashlib.sha256(chunks[0][1] + palette + rows).hexdigest() if unpacking.eof else None
