"""Hash the numbers behind a picture, equally on every machine."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

NOUGHT = 1e-12  # numbers below this are written as 0, since a difference of equal means is rounding


def numbers_digest(numbers: object) -> str:
    """Hash the numbers behind a picture, each rounded to nine significant digits.

    Further digits vary between processors. Of a dataclass, fields with `compare=False` are left out.

    >>> numbers_digest([0.1 + 0.2]) == numbers_digest([0.3])
    True
    """
    return hashlib.sha256(numbers_text(numbers).encode()).hexdigest()


def numbers_text(numbers: Any) -> str:
    """Write dataclasses, mappings, lists and arrays as text, numbers with nine significant digits.

    >>> numbers_text([("a", 0.1 + 0.2), None, 0.3 - 0.1 - 0.2])
    '[[a 0.3] None 0]'
    """
    if hasattr(numbers, "tolist"):
        return numbers_text(numbers.tolist())
    if is_dataclass(numbers):
        return numbers_text([getattr(numbers, field.name) for field in fields(numbers) if field.compare])
    if isinstance(numbers, Mapping):
        return numbers_text([*numbers.items()])
    if isinstance(numbers, Sequence) and not isinstance(numbers, str):
        return f"[{' '.join(map(numbers_text, numbers))}]"
    if isinstance(numbers, float):
        return f"{0.0 if abs(numbers) < NOUGHT else numbers:.9g}"
    return str(numbers)
