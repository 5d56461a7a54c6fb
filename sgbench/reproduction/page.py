"""The page of all reproductions, which is updated by those that were run here."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sgbench.reproduction.report import HEAD, rows
from sgbench.reproduction.runs import ReproductionResult
from sgbench.tables.markdown import markdown

COMMAND = "sgbench reproduce all --stored --update docs/reproductions.md"
SHOWN_METHODS = 4
WIDTH = 116
NUMBERS = (2, 3, 4, 6)  # columns of the table
RULE = markdown(HEAD, (), numbers=NUMBERS).splitlines()[1]
"""The line below the table's head, from which on its rows are read."""
VERDICT = HEAD.index("verdict")
UNMEASURED = "not measured"


class PageEntry(NamedTuple):
    """Holds what the page says of one reproduction."""

    rows: tuple[str, ...]  # of the table, one a figure
    section: str

    @property
    def verdicts(self) -> list[str]:
        """Return the verdict on each figure, without its note."""
        return [cells_of(row)[VERDICT].partition(":")[0] for row in self.rows]


def cells_of(row: str) -> list[str]:
    """Read the cells of a row, of which the first may be empty.

    >>> cells_of("|  | error | 0.05 |")
    ['', 'error', '0.05']
    """
    return row[2:-2].split(" | ")


def as_page(results: Sequence[ReproductionResult], before: str = "") -> str:
    """Write the page docs/reproductions.md.

    What the page says of other reproductions stays, and so does what it says of one that was not run here, while
    its figures and methods are still those.

    Args:
        results: of what was run or read here.
        before: the page as it is; empty where there is none.
    """
    entries = read_page(before)
    for result in results:
        name, page_entry = result.reproduction.name, _entry(result)
        if name not in entries or not (_is_unmeasured(page_entry) and _is_of(entries[name], page_entry)):
            entries[name] = page_entry
    ordered = [entries[name] for name in sorted(entries)]
    verdicts = [verdict for entry in ordered for verdict in entry.verdicts]
    lines = [
        "# Published figures, and ours",
        "",
        f"Written from the records of runs by `{COMMAND}`; do not edit.",
        "`sgbench reproduce NAME` makes the runs again, `sgbench reproduce` lists them. Each is one file of",
        "`conf/experiment/reproduce/` with figure, tolerance and source; no tolerance was widened after a run.",
        "",
        f"Of {len(verdicts)} figures {verdicts.count('agrees')} agree, {verdicts.count('does not agree')} do not, "
        f"{verdicts.count(UNMEASURED)} are not measured.",
        "Ours is the mean over seeds ± one standard deviation; minutes are those of all runs, on a core that",
        "others used as well.",
        "",
        markdown(HEAD, [cells_of(row) for entry in ordered for row in entry.rows], numbers=NUMBERS),
    ]
    for entry in ordered:
        lines += ["", entry.section]
    return "\n".join(lines) + "\n"


def read_page(text: str) -> dict[str, PageEntry]:
    """Read by name what a page says.

    >>> read_page("")
    {}
    """
    head, *sections = text.split("\n## ")
    sections_by_name = {section.partition("\n")[0]: f"## {section.strip()}" for section in sections}
    _, _, table = head.partition(f"{RULE}\n")
    rows_by_name: dict[str, list[str]] = {}
    name = ""
    for row in table.splitlines():
        name = cells_of(row)[0] or name if row.startswith("|") else ""
        if name:
            rows_by_name.setdefault(name, []).append(row)
    return {
        name: PageEntry(tuple(lines), sections_by_name[name])
        for name, lines in rows_by_name.items()
        if name in sections_by_name
    }


def _entry(result: ReproductionResult) -> PageEntry:
    return PageEntry(
        tuple(f"| {' | '.join(cells)} |" for cells in rows([result])), "\n".join(_section(result))
    )


def _is_unmeasured(entry: PageEntry) -> bool:
    return all(verdict == UNMEASURED for verdict in entry.verdicts)


def _is_of(before: PageEntry, after: PageEntry) -> bool:
    """Return whether what was measured before is what would be measured now."""
    asked = [_asked(entry.rows) for entry in (before, after)]
    methods = [_conditions(entry.section) for entry in (before, after)]
    return asked[0] == asked[1] and methods[0] == methods[1]


def _asked(lines: Iterable[str]) -> list[list[str]]:
    """List each figure with what was published."""
    return [cells_of(row)[1:3] for row in lines]


def _conditions(section: str) -> str:
    """Return a section's conditions, on one line."""
    return " ".join(section.partition("\n- Condition ")[2].partition("\n- Runs of ")[0].split())


def _section(result: ReproductionResult) -> list[str]:
    one = result.reproduction
    lines = [f"## {one.name}", "", one.line, "", *(f"- Source: {source}." for source in one.sources)]
    evidence: dict[str, list[str]] = {}
    for judged in result.judged:
        evidence.setdefault(judged.figure.evidence, []).append(judged.figure.line)
    lines += [f"- Evidence: {text} ({'; '.join(sources)})." for text, sources in evidence.items()]
    lines += [f"- Not as published: {difference}." for difference in one.differs]
    lines += [
        f"- {word}: {text}."
        for word, text in (("Reduced", one.reduced), ("Likely reason", one.reason))
        if text
    ]
    for name, ids in result.methods.items():
        more = "" if len(ids) <= SHOWN_METHODS else f" and {len(ids) - SHOWN_METHODS} more"
        words = " ".join(one.conditions[name])
        shown = ", ".join(f"`{method}`" for method in ids[:SHOWN_METHODS])
        lines.append(f"- Condition {name}{f' (`{words}`)' if words else ''}: methods {shown}{more}.")
    if result.commits:
        lines.append(f"- Runs of commit {', '.join(result.commits)}.")
    return [part for line in lines for part in _wrapped(line)]


def _wrapped(line: str) -> list[str]:
    """Wrap a line of prose to the page's width; an item's later lines are indented."""
    return textwrap.wrap(
        line,
        WIDTH,
        subsequent_indent="  " * line.startswith("- "),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
