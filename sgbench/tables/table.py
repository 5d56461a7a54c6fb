"""A table as a plain value, and as files for computing: comma-separated values and JSON."""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from sgbench.tables.text import NONE, inert

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
        """Return the sort key of the cell as text, or None if a page's script finds it in the cell's own text.

        >>> Cell("2,454", 2454.0).key, Cell("2,454", 2454.2).key, Cell("1 to 7", 1.0).key, Cell("-").key
        (None, '2454.2', '1', None)
        """
        if self.order is None:
            return None
        rounded = f"{self.order:.{KEY_DIGITS}g}"
        is_in_text = PLAIN_NUMBER.fullmatch(self.text) and self.text.replace(",", "") == rounded
        return None if is_in_text else rounded

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

    >>> from sgbench.tables.markup import as_markdown
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
        """Return the numbers, from 1, under which notes stand below the table."""
        return [self.all_notes.index(note) + 1 for note in notes]


def plain_table(caption: str, rows: Sequence[Sequence[str]], *, text_columns: int) -> Table:
    """Make a table from texts.

    `caption`: title of the table. `text_columns`: count of leading columns of text; the others hold numbers.
    """
    head, *lines = rows
    columns = (*texts(*head[:text_columns]), *numbers(*head[text_columns:]))
    return Table(caption, columns, tuple(tuple(map(Cell, line)) for line in lines))


def texts(*titles: str, group: str = "") -> tuple[Column, ...]:
    """Make columns of texts with these titles."""
    return tuple(Column(title, group=group) for title in titles)


def numbers(*titles: str, group: str = "") -> tuple[Column, ...]:
    """Make columns of numbers with these titles."""
    return tuple(Column(title, is_number=True, group=group) for title in titles)


def number(value: float | None, text: str) -> Cell:
    """Make a cell that shows `text` and is sorted by `value`; a dash if the value is None."""
    return Cell(NONE if value is None else text, value)


DIGITS = 9
"""Significant digits of a number in a file: as many as agree between versions of the libraries."""
RUN = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Characters that begin a formula in a spreadsheet, also of full width; texts that begin with one are quoted."""


def as_csv(table: Table) -> bytes:
    r"""Return a table as comma-separated values, numbers with nine significant digits.

    >>> from sgbench.tables.table import numbers, texts
    >>> rows = ((Cell("a, b"), Cell("1.5", 1.4996)), (Cell("b"), Cell("-")))
    >>> as_csv(Table("t", (*texts("name"), *numbers("size")), rows))
    b'name,size\n"a, b",1.4996\nb,\n'
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.title for column in table.columns])
    for row in table.rows:
        # A text that a spreadsheet would run as a formula gets quotes.
        writer.writerow(
            inert(json.dumps(raw)) if isinstance(raw, str) and raw.startswith(RUN) else raw for raw in map(value, row)
        )
    return out.getvalue().encode()


def as_json(table: Table) -> bytes:
    r"""Return a table as a list of objects, one for each row; a missing value is null.

    >>> from sgbench.tables.table import texts
    >>> as_json(Table("t", texts("name"), ((Cell("-"),),)))
    b'[\n {\n  "name": null\n }\n]\n'
    """
    titles = [column.title for column in table.columns]
    rows = [dict(zip(titles, map(value, row), strict=True)) for row in table.rows]
    return (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode()


def value(cell: Cell) -> str | float | None:
    """Return the value of a cell: the unrounded number if its text is a number, None for a dash, else the text.

    >>> value(Cell("2,454", 2454.2)), value(Cell("1 to 7", 1.0)), value(Cell("-"))
    (2454.2, '1 to 7', None)
    """
    if cell.text == NONE:
        return None
    if cell.order is not None and _is_number(cell.text):
        rounded = float(f"{cell.order:.{DIGITS}g}")
        return int(rounded) if rounded.is_integer() else rounded
    return cell.text


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True
