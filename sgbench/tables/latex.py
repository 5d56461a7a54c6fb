"""A table as LaTeX for a paper, with the rules of the package booktabs and all untrusted text escaped."""

import re
from collections.abc import Iterable, Sequence

from sgbench.tables.table import Cell, Table
from sgbench.tables.text import NONE

PREAMBLE = "% \\usepackage{booktabs}"
ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "µ": r"\textmu{}",
    "\u00d7": r"$\times$",
}
MINUS = re.compile(r"(?<![\w.\]})-])-(?=\d)")
"""A minus sign, as opposed to the hyphen of a range or of a compound."""


def escape(text: str) -> str:
    r"""Write a text on one line, its special characters escaped, so that LaTeX prints it as it is.

    >>> print(escape("a_b 5 % {x} \\input{y}"))
    a\_b 5 \% \{x\} \textbackslash{}input\{y\}
    >>> print(escape("-3.0 to -1.0, x-1, 10-20"))
    $-$3.0 to $-$1.0, x-1, 10-20
    """
    line = " ".join(text.split())
    signs = "".join(ESCAPES.get(sign, sign) for sign in line if sign.isprintable())
    return MINUS.sub(lambda _: "$-$", signs)


def as_latex(table: Table, notes: Sequence[str] = ()) -> str:
    r"""Write a tabular with the rules of booktabs, numbers aligned right, and notes below it in small print.

    The table's own notes are numbered; `notes` follow them. Its caption is left out.

    >>> from sgbench.tables.table import number, numbers, texts
    >>> rows = ((Cell("atan", is_code=True), number(93.2, "93.2 ± 0.4")),)
    >>> print(as_latex(Table("t", (*texts("method"), *numbers("accuracy, %")), rows)), end="")
    % \usepackage{booktabs}
    \begin{tabular}{lr}
    \toprule
    method & accuracy, \% \\
    \midrule
    \texttt{atan} & 93.2 $\pm$ 0.4 \\
    \bottomrule
    \end{tabular}
    """
    sides = "".join("r" if column.is_number else "l" for column in table.columns)
    head = [f"{escape(column.title)}{_marks(table.numbers(column.notes))}" for column in table.columns]
    lines = [PREAMBLE, f"\\begin{{tabular}}{{{sides}}}", "\\toprule", _line(head), "\\midrule"]
    lines += [_line(_cell(table, cell) for cell in row) for row in table.rows]
    lines += ["\\bottomrule", "\\end{tabular}"]
    below = [f"{_marks([number])}{escape(str(note))}" for number, note in enumerate(table.all_notes, start=1)]
    below += map(escape, notes)
    if below:
        lines += ["", "\\smallskip", "{\\footnotesize", *(f"{note}\\par" for note in below), "}"]
    return "".join(f"{line}\n" for line in lines)


def _line(cells: Iterable[str]) -> str:
    # A cell that begins with [ would be taken for the argument of the line's end before it.
    return " & ".join(f"{{}}{cell}" if cell.startswith("[") else cell for cell in cells) + r" \\"


def _cell(table: Table, cell: Cell) -> str:
    text = escape(cell.text)
    shown = "--" if cell.text == NONE else f"\\texttt{{{text}}}" if cell.is_code else text
    return f"{shown}{_marks(table.numbers(cell.notes))}"


def _marks(numbers: Iterable[int]) -> str:
    """Write the numbers of notes as a superscript; empty without notes."""
    marks = ",".join(map(str, numbers))
    return f"\\textsuperscript{{{marks}}}" if marks else ""
