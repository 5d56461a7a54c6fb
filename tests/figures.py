"""The numbers of a sentence, for tests that ask what it says and not how."""

from __future__ import annotations

import re

NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?(?![\w])")


def figures(text: str) -> list[float]:
    """All numbers of a text in their order; digits within names and ids are none.

    >>> figures("2 of 8 rows, 1,200 runs, -4.5 points (p 3e-05); T2d4 and 2c79c5b1e6a0 are names.")
    [2.0, 8.0, 1200.0, -4.5, 3e-05]
    """
    return [float(found.replace(",", "")) for found in NUMBER.findall(text)]
