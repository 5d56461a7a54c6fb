"""A table as Markdown, with code spans, links and numbered notes below it."""

from collections.abc import Iterable, Sequence

from sgbench.tables.table import Cell, Column, Table
from sgbench.tables.text import NONE, code, prose


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int]) -> str:
    """Write a Markdown table of cells that are Markdown; `numbers` are the indices of columns aligned right.

    >>> print(markdown(["name", "peak"], [["atan", "1"]], numbers=[1]))
    | name | peak |
    | :-- | --: |
    | atan | 1 |
    """
    right = set(numbers)
    rule = ["--:" if index in right else ":--" for index in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def as_markdown(table: Table) -> str:
    """Write a table without its caption, and its notes as a numbered list below it.

    >>> from sgbench.tables.table import Note, texts
    >>> print(as_markdown(Table("t", texts("a|b"), ((Cell("x", link="x/", notes=(Note("why"),)),),))))
    | a&#124;b |
    | :-- |
    | [x](x/) [1] |
    <BLANKLINE>
    1. why
    """

    def marks(noted: Cell | Column) -> str:
        return "".join(f" [{number}]" for number in table.numbers(noted.notes))

    head = [f"{prose(column.title)}{marks(column)}" for column in table.columns]
    right = [index for index, column in enumerate(table.columns) if column.is_number]
    rows = ([f"{_cell(cell)}{marks(cell)}" for cell in row] for row in table.rows)
    lines = markdown(head, rows, numbers=right)
    texts = (f"{prose(text)} {code(quoted) if quoted else ''}".strip() for text, quoted in table.all_notes)
    notes = "\n".join(f"{number}. {text}" for number, text in enumerate(texts, start=1))
    return f"{lines}\n\n{notes}" if notes else lines


def _cell(cell: Cell) -> str:
    text = code(cell.text) if cell.is_code and cell.text != NONE else prose(cell.text)
    return text if cell.link is None else f"[{text}]({cell.link})"
