"""A table as Markdown, as HTML and as LaTeX, with all untrusted text escaped."""

import html
import re
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

    def marks(part: Cell | Column) -> str:
        return "".join(f" [{number}]" for number in table.numbers(part.notes))

    head = [f"{prose(column.title)}{marks(column)}" for column in table.columns]
    right = [index for index, column in enumerate(table.columns) if column.is_number]
    rows = ([f"{_markdown_cell(cell)}{marks(cell)}" for cell in row] for row in table.rows)
    lines = markdown(head, rows, numbers=right)
    texts = (f"{prose(text)} {code(quoted) if quoted else ''}".strip() for text, quoted in table.all_notes)
    notes = "\n".join(f"{number}. {text}" for number, text in enumerate(texts, start=1))
    return f"{lines}\n\n{notes}" if notes else lines


def _markdown_cell(cell: Cell) -> str:
    """Write a cell without the numbers of its notes, as code and as a link if it is one."""
    text = code(cell.text) if cell.is_code and cell.text != NONE else prose(cell.text)
    return text if cell.link is None else f"[{text}]({cell.link})"


def as_html(table: Table, notes: Sequence[str] = ()) -> str:
    """Write a table without its caption, followed by its own notes and then `notes`, a paragraph each.

    >>> from sgbench.tables.table import texts
    >>> as_html(Table("t", texts("a"), ((Cell("<1>"),),)), ["n"])
    '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;1&gt;</td></tr></tbody></table><p>n</p>'
    """
    head = "".join(  # screen readers announce an empty th
        f"<th>{text}</th>" if text else "<td></td>"
        for text in (html.escape(column.title) + _marks(table, column) for column in table.columns)
    )
    lines = ("".join(f"<td>{_html_cell(table, cell)}</td>" for cell in row) for row in table.rows)
    inside = "".join(f"<tr>{line}</tr>" for line in lines)
    numbered = (f"{number}. {note}" for number, note in enumerate(table.all_notes, start=1))
    below = "".join(f"<p>{html.escape(note)}</p>" for note in (*numbered, *notes))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{inside}</tbody></table>{below}"


def _html_cell(table: Table, cell: Cell) -> str:
    text = html.escape(cell.text)
    text = f"<code>{text}</code>" if cell.is_code and cell.text != NONE else text
    return f"{text}{_marks(table, cell)}"


def _marks(table: Table, part: Cell | Column) -> str:
    """Write the numbers of notes as a superscript; empty without notes."""
    return f"<sup>{', '.join(map(str, table.numbers(part.notes)))}</sup>" if part.notes else ""


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
    alignment = "".join("r" if column.is_number else "l" for column in table.columns)
    head = [f"{escape(column.title)}{_latex_marks(table.numbers(column.notes))}" for column in table.columns]
    lines = [PREAMBLE, f"\\begin{{tabular}}{{{alignment}}}", "\\toprule", _line(head), "\\midrule"]
    lines += [_line(_latex_cell(table, cell) for cell in row) for row in table.rows]
    lines += ["\\bottomrule", "\\end{tabular}"]
    below = [f"{_latex_marks([number])}{escape(str(note))}" for number, note in enumerate(table.all_notes, start=1)]
    below += map(escape, notes)
    if below:
        lines += ["", "\\smallskip", "{\\footnotesize", *(f"{note}\\par" for note in below), "}"]
    return "".join(f"{line}\n" for line in lines)


def _line(cells: Iterable[str]) -> str:
    """Write one row of a tabular."""
    # A cell that begins with [ would be taken for the argument of the line's end before it.
    return " & ".join(f"{{}}{cell}" if cell.startswith("[") else cell for cell in cells) + r" \\"


def _latex_cell(table: Table, cell: Cell) -> str:
    text = "--" if cell.text == NONE else escape(cell.text)
    text = f"\\texttt{{{text}}}" if cell.is_code and cell.text != NONE else text
    return f"{text}{_latex_marks(table.numbers(cell.notes))}"


def _latex_marks(numbers: Iterable[int]) -> str:
    """Write the numbers of notes as a superscript; empty without notes."""
    marks = ",".join(map(str, numbers))
    return f"\\textsuperscript{{{marks}}}" if marks else ""
