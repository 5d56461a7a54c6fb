"""A table as a plain value: the text, sort key and link of each cell."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from sgbench.tables.text import NONE

KEY_DIGITS = 6  # significant digits of a sort key
PLAIN_NUMBER = re.compile(r"-?[\d,]+(?:\.\d+)?")
"""A text that the site's script for sorting reads as a number."""
ONE_LINE, MANY_LINES = 20, 45  # most characters of a short cell, and of one that is not long


class Note(NamedTuple):
    """Holds a note below a table: our text, then untrusted text of a record, which Markdown shows as code."""

    text: str
    quoted: str = ""

    def __str__(self) -> str:
        return f"{self.text} {self.quoted}".strip()


@dataclass(frozen=True)
class Cell:
    """Describes one cell; renderers escape its text and number its notes."""

    text: str
    order: float | None = None  # sort key in a column of numbers; None comes last
    link: str | None = None  # target, relative to the top of the site or to the page of the table
    notes: tuple[Note, ...] = ()
    is_code: bool = False
    shade: float | None = None  # of a heat map, from 0 to 1

    @property
    def key(self) -> str | None:
        """Return the sort key of the cell as text, or None if the cell's text already sorts right.

        >>> Cell("2,454", 2454.0).key, Cell("2,454", 2454.2).key, Cell("1 to 7", 1.0).key, Cell("-").key
        (None, '2454.2', '1', None)
        """
        if self.order is None:
            return None
        rounded = f"{self.order:.{KEY_DIGITS}g}"
        return None if PLAIN_NUMBER.fullmatch(self.text) and self.text.replace(",", "") == rounded else rounded

    @property
    def is_plain(self) -> bool:
        return self.link is None and not self.notes and not self.is_code

    @property
    def tint(self) -> int | None:
        """Return the shade as one of ten steps; None without one.

        >>> Cell("94.2", shade=0.942).tint, Cell("100", shade=1.0).tint, Cell("-").tint
        (9, 9, None)
        """
        return None if self.shade is None else min(9, max(0, int(10 * self.shade)))

    @property
    def is_short(self) -> bool:
        return len(self.text) <= ONE_LINE

    @property
    def is_long(self) -> bool:
        """Return whether the cell needs a minimum width, or a narrow window would break it at every word."""
        return len(self.text) > MANY_LINES


@dataclass(frozen=True)
class Column:
    """Holds the title of a column and how its cells are shown."""

    title: str
    is_number: bool = False
    notes: tuple[Note, ...] = ()
    group: str = ""  # columns that a reader shows or hides together; without a group always shown


@dataclass(frozen=True)
class Table:
    """Holds a table with its caption, made once and written by any of the renderers in this folder.

    >>> from sgbench.tables.markdown import as_markdown
    >>> rows = ((Cell("atan(width_fwhm=1)", is_code=True), number(93.21, "93.2")),)
    >>> print(as_markdown(Table("scores", (*texts("method"), *numbers("accuracy, %")), rows)))
    | method | accuracy, % |
    | :-- | --: |
    | `atan(width_fwhm=1)` | 93.2 |
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    head: int = 0  # index of the column whose cells name their rows
    notes: tuple[Note, ...] = ()  # of the whole table
    is_filtered: bool = False  # whether a page offers to filter its rows

    @cached_property
    def all_notes(self) -> list[Note]:
        """List each note once, as they are numbered: those of the head, of the rows, and of the whole table.

        >>> rows = ((Cell("93", notes=(Note("one seed"), Note("a part"))),),)
        >>> table = Table("t", (Column("energy", notes=(Note("a part"),)),), rows)
        >>> [note.text for note in table.all_notes], table.numbers(rows[0][0].notes)
        (['a part', 'one seed'], [2, 1])
        """
        parts = (*self.columns, *chain.from_iterable(self.rows), self)
        return list(dict.fromkeys(note for part in parts for note in part.notes))

    def numbers(self, notes: Iterable[Note]) -> list[int]:
        return [self.all_notes.index(note) + 1 for note in notes]


def plain_table(caption: str, rows: Sequence[Sequence[str]], *, text_columns: int) -> Table:
    """Make a table from texts.

    `caption`: title of the table. `text_columns`: count of leading columns of text; the others hold numbers.
    """
    head, *lines = rows
    columns = (*texts(*head[:text_columns]), *numbers(*head[text_columns:]))
    return Table(caption, columns, tuple(tuple(map(Cell, line)) for line in lines))


def texts(*titles: str, group: str = "") -> tuple[Column, ...]:
    return tuple(Column(title, group=group) for title in titles)


def numbers(*titles: str, group: str = "") -> tuple[Column, ...]:
    return tuple(Column(title, is_number=True, group=group) for title in titles)


def number(value: float | None, text: str) -> Cell:
    """Make a cell that shows `text` and is sorted by `value`; a dash if the value is None."""
    return Cell(NONE if value is None else text, value)
