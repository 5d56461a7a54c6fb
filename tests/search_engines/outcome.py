"""What came of one case of the search."""

from typing import NamedTuple


class Outcome(NamedTuple):
    """Holds how many comparisons were made, and what differed or why none was possible."""

    compared: int = 0
    finding: str | None = None
    refusal: str | None = None
