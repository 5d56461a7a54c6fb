"""Parses the documentation's page of reproductions, which `sgbench reproduce --update` writes, for the site."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, value_text
from sgbench.records.files import read_bytes
from sgbench.tables.table import Cell, Column, Table

AGREES = "agrees"
VERDICT, REVISED = "verdict", "revised"
NUMBERED = ("seeds", "minutes")
PUBLISHED = re.compile(r"(?:at least |at most )?(-?\d[\d.e+-]*)(?: ± [\d.e+-]+)?")
OURS = re.compile(r"(-?\d[\d.e+-]*)(?: ± (\d[\d.e+-]*))?")
LEAST, MOST = 0.1, 10.0
"""Ends of the axis of ratios; ratios beyond are drawn at its end."""
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
"""Matches a Markdown link; the pages of single reproductions are not on the site, so links to them become paths."""
ITEM = re.compile(r"^- (.+(?:\n  .+)*)$", re.MULTILINE)


@dataclass(frozen=True)
class ReproductionText:
    """Holds the text on one reproduction."""

    name: str
    line: str  # the first line of its section
    items: tuple[str, ...]  # the items of its list
    failing: bool  # whether one of its figures does not agree


@dataclass(frozen=True)
class Reproductions:
    """Holds the figures of all reproductions, and the text on each reproduction."""

    summary: str  # how many figures agree, in a sentence
    table: Table
    charts: Charts
    texts: tuple[ReproductionText, ...]  # those with a failing figure first


def read_reproductions(path: Path) -> Reproductions | None:
    """Read the page of reproductions; None if it has no table of the expected form."""
    text = read_bytes(path).decode()
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    if not lines or VERDICT not in lines[0]:
        return None
    head, rows = lines[0], _with_names(lines[2:])
    lead = " ".join(text.split("\n\n")[1].split()) if text.startswith("# ") else ""
    verdict = head.index(VERDICT)
    rows.sort(key=lambda row: row[verdict] == AGREES)
    failing = {row[0] for row in rows if row[verdict] != AGREES}
    agree = sum(row[verdict] == AGREES for row in rows)
    columns = tuple(Column(title, is_number=title in NUMBERED) for title in head)
    table = Table(
        f"{agree} of {len(rows)} figures agree; those that do not come first",
        columns,
        tuple(tuple(_cell(title, text) for title, text in zip(head, row, strict=True)) for row in rows),
        is_filtered=True,
    )
    sections = sorted(_sections(text, failing), key=lambda section: not section.failing)
    return Reproductions(
        f"{lead} Of {len(rows)} figures {agree} agree.{_revised(rows, head)}".strip(),
        table,
        _charts([dict(zip(head, row, strict=True)) for row in rows]),
        tuple(sections),
    )


def _revised(rows: list[list[str]], head: list[str]) -> str:
    if REVISED not in head:
        return ""
    verdict, revised = head.index(VERDICT), head.index(REVISED)
    counts = Counter(row[revised] for row in rows if row[verdict] == AGREES and row[revised])
    if not counts:
        return ""
    said = " and ".join(f"{what} of {count}" for what, count in sorted(counts.items(), reverse=True))
    return f" Of those, {said} were changed or set once values were known."


def _with_names(rows: list[list[str]]) -> list[list[str]]:
    name = ""
    for row in rows:
        name = row[0] or name
        row[0] = name
    return rows


def _cell(title: str, text: str) -> Cell:
    """Make a cell of the column `title`, sorted by its number in columns of numbers."""
    order = None
    if title in NUMBERED:
        try:
            order = float(text)
        except ValueError:
            order = None
    return Cell(text or "-", order)


def _sections(text: str, failing: set[str]) -> list[ReproductionText]:
    """Parse the section on each reproduction; `failing` names those with a figure that does not agree."""
    parts = SECTION.split(text)[1:]
    return [
        ReproductionText(
            name.strip(),
            next((line for line in body.strip().splitlines() if line), ""),
            tuple(LINK.sub(r"\1: `docs/\2`", " ".join(item.split())) for item in ITEM.findall(body)),
            name.strip() in failing,
        )
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    ]


def _charts(rows: list[dict[str, str]]) -> Charts:
    points: dict[bool, list[ChartPoint]] = {True: [], False: []}
    names: list[str] = []
    for row in rows:
        published, ours = PUBLISHED.fullmatch(row["published"]), OURS.fullmatch(row["ours"])
        if published is None or ours is None or float(published[1]) <= 0 or float(ours[1]) <= 0:
            continue
        number, mean, spread = float(published[1]), float(ours[1]), float(ours[2] or 0)
        label = f"{row['reproduction']}, {row['figure']}: published {row['published']}, ours {row['ours']}"
        ends = ((mean - spread) / number, (mean + spread) / number) if spread else None
        agrees = row[VERDICT] == AGREES
        ratio = mean / number
        points[agrees].append(ChartPoint(ratio, len(names), f"{label}, {value_text(ratio)} times as much", x_ends=ends))
        names.append(f"{row['reproduction']}: {row['figure']}")
    series = (
        Series("agrees", tuple(points[True]), tone="good"),
        Series("does not agree", tuple(points[False]), tone="bad"),
    )
    without = len(rows) - len(names)
    caption = (
        "Ours as a multiple of what was published, or of the bound that was; whiskers are one standard deviation "
        f"over seeds. {without} figures have no ratio: they are 0, below 0 or not measured."
    )
    ratio_axis = ChartAxis("ours over published", is_log=True, ends=(LEAST, MOST))
    chart = Chart("Ours over published", ratio_axis, ChartAxis(names=tuple(names)), series, x_lines=(1.0,))
    return Charts(caption, (chart,))
