"""Writes text in columns, for terminals and notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def aligned(rows: Sequence[Sequence[str]], *, words: int) -> list[str]:
    """Pad columns: so many of words to the left, then numbers to the right.

    >>> aligned([["name", "peak"], ["atan", "1"]], words=1)
    ['name  peak', 'atan     1']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            f"{cell:<{wide}}" if position < words else f"{cell:>{wide}}"
            for position, (cell, wide) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def few(lines: Sequence[str], all_named: str, *, most: int = 10) -> list[str]:
    """Return the first lines, and say how many more there are.

    Args:
        lines: all of them.
        all_named: where they can be read.
        most: how many are shown, the last one about the others.

    >>> few(["a", "b", "c", "d"], "--json names all", most=3)
    ['a', 'b', '2 more; --json names all']
    """
    if len(lines) <= most:
        return list(lines)
    return [*lines[: most - 1], f"{len(lines) - most + 1} more; {all_named}"]


def html_table(rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> str:
    """Write a table whose first row is its head, followed by lines of notes.

    >>> html_table([["a"], ["<1>"]])
    '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;1&gt;</td></tr></tbody></table>'
    """
    head, *body = rows
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in body)
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    inside = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{inside}</tbody></table>{below}"
