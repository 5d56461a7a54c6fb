"""What a picture of a board says of itself: from which table it was drawn."""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

from sgbench.errors import InputError
from sgbench.records.files import read_bytes

PNG_START = b"\x89PNG\r\n\x1a\n"
KEYWORD = b"Description"
CHUNK_BYTES = 12
"""Of a chunk of a PNG beside its content: length, kind and check."""


def digest(table_csv: str) -> str:
    """What a picture carries to name the table that it was drawn from."""
    return hashlib.sha256(table_csv.encode()).hexdigest()


def stamped(png: bytes, *, table_csv: str) -> bytes:
    """A picture with the digest of a table, in a chunk of text behind its head."""
    head = len(PNG_START) + CHUNK_BYTES + struct.unpack_from(">I", png, len(PNG_START))[0]
    chunk = b"tEXt" + KEYWORD + b"\x00" + digest(table_csv).encode()
    length, check = struct.pack(">I", len(chunk) - 4), struct.pack(">I", zlib.crc32(chunk))
    return png[:head] + length + chunk + check + png[head:]


def read_digest(path: Path) -> str | None:
    """The digest inside a picture, or None if it carries none.

    Raises:
        InputError: the file is missing, a link, or too large.
    """
    data = read_bytes(path)
    position = len(PNG_START)
    while data.startswith(PNG_START) and position + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        keyword, _, text = data[position + 8 : position + 8 + length].partition(b"\x00")
        if kind == b"tEXt" and keyword == KEYWORD:
            return text.decode("latin-1")
        position += CHUNK_BYTES + length
    return None


def stale(path: Path, *, table_csv: str) -> str | None:
    """Why a picture is not that of a table, or None if it is."""
    try:
        found = read_digest(path)
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    return None if found == digest(table_csv) else "drawn from another table"
