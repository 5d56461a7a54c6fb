"""Write the page of all reproductions, updated with the results of this machine."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sgbench.reproduction.definition import names, read
from sgbench.reproduction.report import HEAD, ours, rows
from sgbench.reproduction.runs import ReproductionResult
from sgbench.reproduction.verdict import Judged
from sgbench.tables.markdown import markdown

COMMAND = "sgbench reproduce all --stored --update docs/reproductions.md"
SHOWN_METHODS = 4
WIDTH = 116
NUMBERS = (2, 3, 4, 7)  # columns of the table
RULE = markdown(HEAD, (), numbers=NUMBERS).splitlines()[1]  # the line below the table's head; rows follow it
VERDICT = HEAD.index("verdict")
REVISED = HEAD.index("revised")
UNMEASURED = "not measured"


class PageEntry(NamedTuple):
    """Holds the text of the page on one reproduction."""

    rows: tuple[str, ...]  # of the table in Markdown, one for each figure
    section: str  # in Markdown, with its title

    @property
    def verdicts(self) -> list[str]:
        """Return the verdict on each figure, without its note."""
        return [cells_of(row)[VERDICT].partition(":")[0] for row in self.rows]

    @property
    def revised(self) -> list[str]:
        """Return the cell `revised` of each figure that agrees: "conditions", "bound" or empty."""
        pairs = zip(self.rows, self.verdicts, strict=True)
        return [cells_of(row)[REVISED] for row, verdict in pairs if verdict == "agrees"]


def cells_of(row: str) -> list[str]:
    """Split a row of a Markdown table into its cells; empty ones are kept.

    >>> cells_of("|  | error | 0.05 |")
    ['', 'error', '0.05']
    """
    return row[2:-2].split(" | ")


def as_page(results: Sequence[ReproductionResult], before: str = "") -> str:
    """Write the page docs/reproductions.md.

    The text on other reproductions stays. The row of a figure that was not measured here stays as well, if the
    figure and its methods are the same.
    """
    entries = read_page(before)
    for result in results:
        name = result.reproduction.name
        entries[name] = _with_earlier(result, _entry(result), entries.get(name))
    ordered = [entries[name] for name in sorted(entries)]
    verdicts = [verdict for entry in ordered for verdict in entry.verdicts]
    whose = {name: [figure.whose for figure in read(name).figures] for name in entries if name in names()}
    whose |= {result.reproduction.name: [figure.whose for figure in result.reproduction.figures] for result in results}
    kinds = Counter(
        (kind, verdict)
        for name, entry in entries.items()
        for kind, verdict in zip(whose.get(name, ()), entry.verdicts, strict=False)
    )
    of_kind = Counter(kind for kind, _ in kinds.elements())
    revised = [cell for entry in ordered for cell in entry.revised]
    lines = [
        "# Published figures, and ours",
        "",
        f"{of_kind['published']} of {len(verdicts)} figures compare with a number that somebody published, and "
        f"{kinds['published', 'agrees']} of these agree.",
        f"{of_kind['ours']} are held to a bound that is ours, where the source has a picture or words alone, and "
        f"{of_kind['source']} to one that the",
        "source gives otherwise: by a theorem, by where its script stops, or in words that bound.",
        "",
        f"Written from the records of runs by `{COMMAND}`; do not edit.",
        "`sgbench reproduce NAME` makes the runs again, `sgbench reproduce` lists them. Each is one file of",
        "`conf/experiment/reproduce/` with figure, tolerance and source. Once values of ours were known no tolerance",
        "and no bound that stood was widened; the column `revised` says what was changed or set only then: conditions",
        "(settings, iterations or how many cells count, most of them after a miss), or the bound itself.",
        "",
        f"Of {len(verdicts)} figures {verdicts.count('agrees')} agree, {verdicts.count('does not agree')} do not, "
        f"{verdicts.count(UNMEASURED)} are not measured.",
        f"Of the {verdicts.count('agrees')} that agree, {revised.count('conditions')} have conditions that were "
        f"changed, and {revised.count('bound')} a bound that was set, once values were known.",
        "Ours is the mean over seeds ± one standard deviation. Minutes are those of all runs, on a core that others",
        "used as well, as `sgbench reproduce` lists them.",
        "",
        markdown(HEAD, [cells_of(row) for entry in ordered for row in entry.rows], numbers=NUMBERS),
    ]
    for entry in ordered:
        lines += ["", entry.section]
    return "\n".join(lines) + "\n"


def read_page(text: str) -> dict[str, PageEntry]:
    """Read the entries of a page by the name of their reproduction.

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
    table_rows = rows([result])
    table_rows[0][-1] = "-" if result.reproduction.minutes is None else f"{result.reproduction.minutes:g}"
    return PageEntry(_row_texts(table_rows), "\n".join(_section(result)))


def _row_texts(table_rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(f"| {' | '.join(cells)} |" for cells in table_rows)


def _with_earlier(result: ReproductionResult, entry: PageEntry, before: PageEntry | None) -> PageEntry:
    """Return a reproduction's new entry, with earlier values of unchanged figures that were not measured here.

    `before` is its entry on the earlier page; None without one.
    """
    if before is None:
        return entry
    earlier = {tuple(cells_of(row)[1:3]): cells_of(row) for row in before.rows}
    old_items, new_items = _items(before.section), _items(entry.section)
    table_rows, has_earlier = [], False
    for row, figure in zip(entry.rows, result.reproduction.figures, strict=True):
        cells = cells_of(row)
        old = earlier.get(tuple(cells[1:3]))
        is_same = all(_condition(old_items, name) == _condition(new_items, name) for name in figure.of)
        if old is not None and is_same and cells[VERDICT].startswith(UNMEASURED):
            has_earlier = True
            cells[VERDICT - 2 : VERDICT + 1] = old[VERDICT - 2 : VERDICT + 1]  # our figure, seeds and verdict
        table_rows.append(cells)
    if not has_earlier:
        return entry
    commits = sorted({*_commits(old_items), *_commits(new_items)})
    section = entry.section.partition("\n- Runs of commit ")[0]
    if commits:
        section += "\n" + "\n".join(wrapped(f"- Runs of commit {', '.join(commits)}."))
    return PageEntry(_row_texts(table_rows), section)


def _items(section: str) -> list[str]:
    return [" ".join(item.split()) for item in section.split("\n- ")[1:]]


def _condition(items: Iterable[str], name: str) -> str | None:
    starts = (f"Condition {name}:", f"Condition {name} (`")
    return next((item for item in items if item.startswith(starts)), None)


def _commits(items: Iterable[str]) -> list[str]:
    start = "Runs of commit "
    item = next((item for item in items if item.startswith(start)), start)
    return [commit for commit in item.removeprefix(start).rstrip(".").split(", ") if commit]


def _section(result: ReproductionResult) -> list[str]:
    reproduction = result.reproduction
    sources = [f"- Source: {source}." for source in reproduction.sources]
    lines = [f"## {reproduction.name}", "", reproduction.line, "", *sources]
    evidence: dict[str, list[str]] = {}
    for judged in result.judged:
        evidence.setdefault(judged.figure.evidence, []).append(judged.figure.line)
    lines += [f"- Evidence: {text} ({'; '.join(figures)})." for text, figures in evidence.items()]
    lines += [f"- Not as published: {difference}." for difference in reproduction.differs]
    lines += [f"- Reduced: {reproduction.reduced}."] if reproduction.reduced else []
    lines += [f"- Why it is missed: {reproduction.reason}."] if reproduction.reason else []
    lines += [f"- Cause, {figure.line}: {figure.cause}." for figure in reproduction.figures if figure.cause]
    for ablation, base, changed in result.ablations:
        effects = [_effect(*pair) for pair in zip(base.judged, changed.judged, strict=True)]
        lines.append(f"- Ablation, {ablation.line} (`{' '.join(ablation.words)}`): {'; '.join(effects)}.")
    if reproduction.ablations:
        lines.append(f"- [What was asked and found by each](reproductions/{reproduction.name}.md).")
    for name, ids in result.methods.items():
        more = "" if len(ids) <= SHOWN_METHODS else f" and {len(ids) - SHOWN_METHODS} more"
        overrides = " ".join(reproduction.conditions[name])
        methods = ", ".join(f"`{method}`" for method in ids[:SHOWN_METHODS])
        lines.append(f"- Condition {name}{f' (`{overrides}`)' if overrides else ''}: methods {methods}{more}.")
    if result.commits:
        lines.append(f"- Runs of commit {', '.join(result.commits)}.")
    return [part for line in lines for part in wrapped(line)]


def _effect(before: Judged, after: Judged) -> str:
    end = ours(after) if after.note is None else f"no number, {after.note}"
    return f"{after.figure.line} {'' if before.ours is None else f'from {ours(before)} to '}{end}"


def wrapped(line: str) -> list[str]:
    """Wrap a line of prose to the page's width; later lines of a list item are indented."""
    indent = "  " * line.startswith("- ")
    options: Any = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, **options) or [""]
