"""Numbers, tables and pictures as the pages of a report write them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sgbench.study.cells import Cell
from sgbench.study.verdicts import Item

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALLEST_P = 0.0001
NONE = "-"
SHORT_KEYS = {
    "optimizer.lr": "learning rate",
    "init.gain": "gain",
    "init.recurrent_gain": "recurrent gain",
    "neuron.beta": "beta",
    "protocol.epochs": "epochs",
    "width_fwhm": "width",
}


@dataclass(frozen=True)
class StudyPicture:
    """One picture of a page.

    Args:
        name: of its file.
        says: what is seen, for readers who cannot see it.
        numbers: what it is drawn from; its text decides whether a committed picture is stale.
        draw: makes the figure.
    """

    name: str
    says: str
    numbers: object
    draw: Callable[[], Figure]

    @property
    def digest(self) -> str:
        """The hash of its numbers, which the file carries."""
        return hashlib.sha256(repr(self.numbers).encode()).hexdigest()

    @property
    def markdown(self) -> str:
        """The line that shows it."""
        return f"![{self.says}]({self.name})"


@dataclass(frozen=True)
class StudyPage:
    """One page: its file, what the front page calls it, its parts of Markdown, and its pictures."""

    name: str
    title: str
    parts: tuple[str, ...]
    pictures: tuple[StudyPicture, ...] = ()

    def text(self, banner: str = "") -> str:
        """Write the file's text."""
        parts = [f"# {self.title}", banner, *self.parts]
        return "\n\n".join(part for part in parts if part) + "\n"


def number(value: Item, digits: int | None = None) -> str:
    """Write a number for people: three significant digits, or so many decimals.

    >>> number(93.2345), number(0.01234), number(12345.6), number(-2.0, 1), number(None)
    ('93.2', '0.0123', '12,346', '-2.0', '-')
    """
    if value is None or isinstance(value, str):
        return NONE if value is None else value
    if isinstance(value, int):
        return f"{value:,}"
    if math.isnan(value):
        return NONE
    if digits is not None:
        return f"{value:,.{digits}f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - from here on with commas


def p_text(value: Item) -> str:
    """Write a p-value.

    >>> p_text(0.0321), p_text(0.00001), p_text(1.0), p_text(None)
    ('.032', '<.0001', '1', '-')
    """
    if not isinstance(value, float):
        return number(value)
    if value < SMALLEST_P:
        return "<.0001"
    return f"{value:.2g}".removeprefix("0") if value < 1 else "1"


def interval(value: float, low: float | None, high: float | None, digits: int = 1) -> str:
    """Write an estimate with its interval, or without one where there is none.

    >>> interval(1.234, 0.5, 2.0), interval(1.234, None, None)
    ('1.2 (0.5 to 2.0)', '1.2')
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return number(value, digits)
    return f"{number(value, digits)} ({number(low, digits)} to {number(high, digits)})"


def table(header: Sequence[str], rows: Sequence[Sequence[Item]]) -> str:
    """Write a Markdown table; numbers to the right, columns whose head begins with p as p-values.

    >>> print(table(["shape", "p"], [["atan", 0.04]]))
    | shape | p |
    | --- | --: |
    | atan | .04 |
    """
    numeric = [
        all(not isinstance(row[place], str) or row[place] == NONE for row in rows)
        for place in range(len(header))
    ]
    lines = [list(header), ["--:" if right else "---" for right in numeric]]
    for row in rows:
        lines.append(
            [
                p_text(item)
                if head.startswith("p") and len(head.split()[0].rstrip(",")) == 1
                else number(item)
                for head, item in zip(header, row, strict=True)
            ]
        )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def details(summary: str, body: str) -> str:
    """Fold a long table away."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def cell_text(cell: Mapping[str, object] | Cell, *, without: Sequence[str] = ()) -> str:
    """Write the settings of a cell in words.

    >>> cell_text({"surrogate": "atan", "optimizer.lr": 0.01}, without=["surrogate"])
    'learning rate 0.01'
    """
    words = []
    for key, value in sorted(cell.items()):
        if key not in without:
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            words.append(f"{SHORT_KEYS.get(key, key)} {shown}")
    return ", ".join(words)


def few(runs: int, of: int) -> str:
    """Write a count of runs.

    >>> few(3, 10)
    '3 of 10'
    """
    return f"{runs:,} of {of:,}"
