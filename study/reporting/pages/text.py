"""Numbers, tables and pictures as the pages of a report write them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sgbench.plots.chart import Charts
from sgbench.plots.style import numbers_digest
from sgbench.records.record import RunRecord
from sgbench.study_runner.cells import Cell
from sgbench.tables import NONE, decimal_text, number_text, p_text
from sgbench.tables.markup import markdown
from study.reporting.verdicts import Item

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    """Describes one picture of a page."""

    name: str
    says: str  # what is seen, for readers who cannot see it
    numbers: object  # what it is drawn from; its digest decides whether a committed picture is stale
    draw: Callable[[], Figure]  # makes the figure

    @property
    def digest(self) -> str:
        return numbers_digest(self.numbers)

    @property
    def markdown(self) -> str:
        return f"![{self.says}]({self.name})"


@dataclass(frozen=True)
class StudyPage:
    """Describes one page: its file, its title, its parts of Markdown, its pictures and its charts."""

    name: str
    title: str
    parts: tuple[str, ...]
    pictures: tuple[StudyPicture, ...] = ()
    charts: Mapping[str, Charts] = field(default_factory=dict)  # that the web site shows, by name

    def text(self, banner: str = "") -> str:
        parts = [f"# {self.title}", banner, *self.parts]
        return "\n\n".join(part for part in parts if part) + "\n"


def with_titles(page: StudyPage, titles: Mapping[str, str]) -> StudyPage:
    """Add behind a page's first part what the codes of tasks mean that stand in it without their titles.

    >>> page = StudyPage("a.md", "A", ("Better on T4; see T5: words.",))
    >>> print(with_titles(page, {"T4": "letters", "T5": "words"}).parts[1])
    | task | what it is |
    | :-- | :-- |
    | T4 | letters |
    """
    text = page.text()
    bare = [
        [code, title]
        for code, title in titles.items()
        if re.search(rf"(?<![\w./`-]){code}(?![\w`])(?!(?::|,) {re.escape(title)})", text)
    ]
    if not bare:
        return page
    return replace(page, parts=(page.parts[0], table(["task", "what it is"], bare), *page.parts[1:]))


def item_text(value: Item) -> str:
    """Write one value of a column of numbers or words as text.

    >>> item_text(93.2345), item_text("solved"), item_text(None)
    ('93.2', 'solved', '-')
    """
    return value if isinstance(value, str) else number_text(value)


def interval(value: float, low: float | None, high: float | None, digits: int = 1) -> str:
    """Write an estimate with its interval, or without one where there is none.

    >>> interval(1.234, 0.5, 2.0), interval(1.234, None, None)
    ('1.2 (0.5 to 2.0)', '1.2')
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return decimal_text(value, digits)
    return f"{decimal_text(value, digits)} ({decimal_text(low, digits)} to {decimal_text(high, digits)})"


def table(header: Sequence[str], rows: Sequence[Sequence[Item]]) -> str:
    """Write a Markdown table; numbers to the right, columns whose head begins with p as p-values.

    >>> print(table(["shape", "p"], [["atan", 0.04]]))
    | shape | p |
    | :-- | --: |
    | atan | 0.04 |
    """
    numbers = [
        place
        for place in range(len(header))
        if all(not isinstance(row[place], str) or row[place] == NONE for row in rows)
    ]
    is_p = [head.replace(",", " ").split()[:1] == ["p"] for head in header]
    cells = [
        [
            p_text(item) if of_p and isinstance(item, float) else item_text(item)
            for of_p, item in zip(is_p, row, strict=True)
        ]
        for row in rows
    ]
    return markdown(header, cells, numbers=numbers)


def details(summary: str, body: str) -> str:
    """Write a long table that is folded away until it is opened."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def cell_text(cell: Mapping[str, object] | Cell, *, without: Sequence[str] = ()) -> str:
    """Write the settings of a cell as text.

    >>> cell_text({"surrogate": "atan", "optimizer.lr": 0.01}, without=["surrogate"])
    'learning rate 0.01'
    """
    words = []
    for key, value in sorted(cell.items()):
        if key not in without:
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            words.append(f"{SHORT_KEYS.get(key, key)} {shown}")
    return ", ".join(words)


def resets_text(records: Iterable[RunRecord]) -> str:
    neurons = (record.method.parameters["neuron"] for record in records)
    resets = sorted({str(neuron["reset_gradient"]) for neuron in neurons if "reset_gradient" in neuron})
    if not resets:
        return ""
    return f"**The reset is {' or '.join(resets)} in every run** (`neuron.reset_gradient={'|'.join(resets)}`)."


def few(runs: int, of: int) -> str:
    """Write a count of runs, such as "3 of 40".

    >>> few(3, 10)
    '3 of 10'
    """
    return f"{runs:,} of {of:,}"


def links(pages: Sequence[StudyPage]) -> str:
    return "\n".join(f"- [{page.title}]({page.name})" for page in pages)
