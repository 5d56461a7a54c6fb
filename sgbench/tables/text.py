"""Numbers as text, tables as aligned columns, and untrusted text made harmless."""

import math
import re
from collections.abc import Iterable, Sequence
from itertools import groupby, zip_longest

NONE = "-"
"""Text of a missing value."""

WHOLE_FROM, POWERS_FROM = 1000, 1e15
"""From the first on numbers are whole, since three digits would hide units; from the second on with an exponent."""
ACTIVE = re.compile(r"[`|<>&]")
"""Characters that could end a code span, a cell of a table or a tag."""
SMALLEST_P = 0.001
GAP, LEAST_FOLDED = "  ", 8  # between columns; fewest characters of one whose cells continue on further lines
BREAKS = re.compile(r"[^ ,]*[ ,]+|[^ ,]+")
"""Words of a cell, each with the spaces and commas behind which a line may end."""


def number_text(value: float | None, digits: int = 3) -> str:
    """Write a number with `digits` significant digits, and from 1,000 on as a whole number.

    >>> [number_text(value) for value in (0.012345, 12.345, 12345.6, 7, float("inf"), None)]
    ['0.0123', '12.3', '12,346', '7', 'infinite', '-']
    """
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    if isinstance(value, int) or WHOLE_FROM <= abs(value) < POWERS_FROM:
        return f"{value:,.0f}"
    return f"{value + 0.0:.{digits}g}"


def decimal_text(value: float | None, decimals: int) -> str:
    """Write a number with a fixed count of decimals.

    >>> decimal_text(-2.0, 1), decimal_text(12345.678, 2), decimal_text(None, 1)
    ('-2.0', '12,345.68', '-')
    """
    return NONE if value is None or math.isnan(value) else f"{value:,.{decimals}f}"


def p_text(p: float | None) -> str:
    """Write a p-value with two significant digits.

    >>> p_text(0.0312), p_text(0.00001), p_text(1.0), p_text(None)
    ('0.031', '< 0.001', '1', '-')
    """
    if p is None:
        return NONE
    return f"< {SMALLEST_P:g}" if p < SMALLEST_P else f"{p:.2g}"


def counted(amount: int, noun: str) -> str:
    """Write a count and its noun, in the plural unless the count is 1.

    >>> counted(1, "method"), counted(0, "record"), counted(1200, "record")
    ('1 method', '0 records', '1,200 records')
    """
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def ranges(numbers: Iterable[int]) -> str:
    """Write whole numbers in order; three or more in a row become "first to last".

    >>> ranges(range(200, 240)), ranges([0, 1]), ranges([7, 100, 101, 102, 3])
    ('200 to 239', '0, 1', '3, 7, 100 to 102')
    """
    parts: list[str] = []
    # Of numbers in a row, the difference from their index is the same.
    for _, group in groupby(enumerate(sorted(set(numbers))), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        parts += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run)  # noqa: PLR2004 - two are no range
    return ", ".join(parts)


def aligned(
    rows: Sequence[Sequence[str]], *, text_columns: int, width: int | None = None, least: int = 2, rest: str = "--wide"
) -> list[str]:
    """Pad the cells of a table's columns: the first `text_columns` are aligned left, the others right.

    If the lines are wider than a screen, columns of numbers are left out from the right, and a last line names them.
    If they still are, cells of the widest columns continue on further lines, those of the first column last.

    `text_columns`: how many columns hold text. `width`: of the screen [characters]; None: no limit. `least`: how many
    columns are never left out. `rest`: how to see those that are, for the last line.

    >>> aligned([["name", "peak"], ["atan", "1"]], text_columns=1)
    ['name  peak', 'atan     1']
    >>> aligned([["name", "peak", "area"], ["atan", "1", "2"]], text_columns=1, width=12)
    ['name  peak', 'atan     1', '(area: --wide)']
    """
    columns = [*zip(*rows, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    left_out: list[str] = []  # titles of columns
    if width is not None:
        shown = len(widths)  # count of columns
        while sum(widths[:shown]) + len(GAP) * (shown - 1) > width and shown > max(text_columns, least):
            shown -= 1
        left_out, widths = list(rows[0][shown:]), widths[:shown]
        longest_words = [
            max(len(word.rstrip()) for word in BREAKS.findall(" ".join(column)) or [""]) for column in columns[:shown]
        ]
        widths = _folded_widths(widths, longest_words, width - len(GAP) * (shown - 1))
    lines = []
    for row in rows:
        folded = [folded_cell(cell, wide) for cell, wide in zip(row, widths, strict=False)]
        for cells in zip_longest(*folded, fillvalue=""):  # the cells of each line of the row
            padded = [
                cell.ljust(wide) if column < text_columns else cell.rjust(wide)
                for column, (cell, wide) in enumerate(zip(cells, widths, strict=True))
            ]
            lines.append(GAP.join(padded).rstrip())
    if left_out:
        lines.append(f"({', '.join(title for title in left_out if title)}: {rest})")
    return lines


def _folded_widths(widths: list[int], longest_words: list[int], total: int) -> list[int]:
    """Make columns narrower until their widths sum to at most `total`, the widest first and the first column last.

    They become as narrow as their longest words, and narrower, breaking words, only if that is not enough.
    """
    widths = list(widths)
    order = [*sorted(range(1, len(widths)), key=lambda column: -widths[column]), 0]
    for least_widths in (longest_words, [0] * len(widths)):
        for column in order:
            excess = sum(widths) - total
            if excess > 0:
                widths[column] = min(widths[column], max(LEAST_FOLDED, least_widths[column], widths[column] - excess))
    return widths


def folded_cell(text: str, width: int) -> list[str]:
    """Break a cell into lines of at most `width` characters, behind spaces and commas if there are any.

    >>> folded_cell("exponential(slope=25, width_fwhm=1)", 24)
    ['exponential(slope=25,', 'width_fwhm=1)']
    """
    if len(text) <= width:
        return [text]
    lines = [""]
    for word in BREAKS.findall(text):
        if len(lines[-1]) + len(word.rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += word
        while len(lines[-1].rstrip()) > width:  # one word that is wider than its column
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [line.rstrip() for line in lines]


def few(lines: Sequence[str], all_named: str, *, most: int = 10) -> list[str]:
    """Shorten a list to `most` lines, the last with the count of those left out and `all_named`: where to see all.

    >>> few(["a", "b", "c", "d"], "--json names all", most=3)
    ['a', 'b', '2 more; --json names all']
    """
    if len(lines) <= most:
        return list(lines)
    return [*lines[: most - 1], f"{len(lines) - most + 1} more; {all_named}"]


def inert(text: str) -> str:
    r"""Write untrusted text as one line of ASCII that cannot end a code span, a table cell or a tag.

    >>> inert("a`b\nc|d")
    'a\\u0060b c\\u007cd'
    """
    line = " ".join(text.split()).encode("ascii", "backslashreplace").decode()
    if not line.isprintable():
        line = "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in line)
    return ACTIVE.sub(lambda match: f"\\u{ord(match.group()):04x}", line)


def code(text: str) -> str:
    """Write untrusted text as a Markdown code span.

    >>> code("atan(alpha=2)")
    '`atan(alpha=2)`'
    """
    return f"`{inert(text)}`"


def prose(text: str) -> str:
    """Write text as one line of Markdown that cannot end a table cell or begin a tag.

    >>> prose("less than 5 pJ | 0.8 V")
    'less than 5 pJ &#124; 0.8 V'
    """
    return ACTIVE.sub(lambda match: f"&#{ord(match.group())};", " ".join(text.split()))
