"""What a picture of a board says of itself: from which table it was drawn."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path

from sgbench.errors import InputError
from sgbench.records.files import read_bytes

KEYWORD = "Description"
"""Of the text that carries the digest; one of those that the PNG standard knows."""


def digest(table_csv: str) -> str:
    """Hash a board's table; its picture carries this digest to name the table that it was drawn from."""
    return hashlib.sha256(table_csv.encode()).hexdigest()


def read_digest(path: Path) -> str | None:
    """Return the digest inside a picture, or None if it carries none or is no picture.

    Only what stands in front of the pixels is read: no pixel of a stranger's file is decoded.

    Raises:
        InputError: the file is missing, a link, or too large.
    """
    from PIL import Image

    data = io.BytesIO(read_bytes(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(data, formats=("PNG",)) as picture:
                text = picture.info.get(KEYWORD)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None  # whatever it is, it was not drawn from the table
    return text if isinstance(text, str) else None


def stale(path: Path, *, table_csv: str) -> str | None:
    """Explain why a picture is not that of a table, or return None if it is."""
    try:
        drawn_from = read_digest(path)
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    return None if drawn_from == digest(table_csv) else "drawn from another table"
