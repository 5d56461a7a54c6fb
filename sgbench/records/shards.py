"""A reader of a study's shards, untrusted xz files with one record a line."""

import lzma
from pathlib import Path
from typing import Any

from sgbench.errors import InputError
from sgbench.records.base import Strict, Text
from sgbench.records.files import read_bytes
from sgbench.records.record import RunRecord

MAX_SHARD_BYTES = 64 * 1024**2
MAX_PLAIN_BYTES = 512 * 1024**2
"""Largest unpacked size of a shard."""
MEMORY_BYTES = 256 * 1024**2  # that unpacking may take beside the result


class ShardLine(Strict):
    """Describes one line of a shard: a run's block, task and cell beside its record."""

    block: Text
    task: Text
    cell: dict[str, Any]
    record: RunRecord


def read_shard(path: Path) -> bytes:
    return read_bytes(path, limit=MAX_SHARD_BYTES)


def shard_lines(path: Path, data: bytes) -> list[bytes]:
    """Unpack the packed bytes of a shard and split them into lines; errors are those of `unpacked`."""
    return unpacked(path, data).splitlines()


def unpacked(path: Path, data: bytes) -> bytes:
    try:
        unpacker = lzma.LZMADecompressor(memlimit=MEMORY_BYTES)
        plain = unpacker.decompress(data, max_length=MAX_PLAIN_BYTES)
    except lzma.LZMAError as error:
        raise InputError(f"{path}: not a readable xz file: {error}") from error
    if not unpacker.eof:
        raise InputError(f"{path}: is cut off, or unpacks to more than {MAX_PLAIN_BYTES // 1024**2} MiB")
    if unpacker.unused_data:
        raise InputError(f"{path}: holds bytes behind its end; take it from the repository again")
    return plain
