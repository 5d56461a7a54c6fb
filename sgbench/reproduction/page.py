"""Write the page of all reproductions."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from sgbench.reproduction.report import HEAD, ours, rows
from sgbench.reproduction.runs import ReproductionResult
from sgbench.reproduction.verdict import Judged
from sgbench.tables import NONE
from sgbench.tables.markdown import markdown

COMMAND = "sgbench reproduce all --stored --update docs/reproductions.md"
SHOWN_METHODS = 4
WIDTH = 116
NUMBERS = (2, 3, 4, 7)  # columns of the table
AGREES, UNMEASURED = "agrees", "not measured"
ASKED = "What was asked and found by each"


def as_page(results: Sequence[ReproductionResult]) -> str:
    """Write the page docs/reproductions.md of all reproductions."""
    every = [judged for result in results for judged in result.judged]
    verdicts = [judged.verdict for judged in every]
    of_kind = Counter(judged.figure.whose for judged in every)
    revised = [judged.figure.revised for judged in every if judged.verdict == AGREES]
    agreeing = sum(judged.figure.whose == "published" for judged in every if judged.verdict == AGREES)
    lines = [
        "# Published figures, and ours",
        "",
        f"{of_kind['published']} of {len(verdicts)} figures compare with a number that somebody published, and "
        f"{agreeing} of these agree.",
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
        markdown(HEAD, [row for result in results for row in rows_of(result)], numbers=NUMBERS),
    ]
    for result in results:
        about = [f"## {result.reproduction.name}", "", result.reproduction.line, ""]
        asked = f"[{ASKED}](reproductions/{result.reproduction.name}.md)"
        about += [f"- {item}" for item in items(result, asked=asked)]
        lines += ["", *(part for line in about for part in wrapped(line))]
    return "\n".join(lines) + "\n"


def rows_of(result: ReproductionResult) -> list[list[str]]:
    """Build the rows of a reproduction's figures, with the minutes that its file states."""
    table_rows = rows([result])
    minutes = result.reproduction.minutes
    table_rows[0][-1] = NONE if minutes is None else f"{minutes:g}"
    return table_rows


def items(result: ReproductionResult, *, asked: str) -> Iterator[str]:
    """Yield what is to be said of a reproduction; `asked`: leads to the page of its ablations."""
    reproduction = result.reproduction
    yield from (f"Source: {source}." for source in reproduction.sources)
    evidence: dict[str, list[str]] = {}
    for judged in result.judged:
        evidence.setdefault(judged.figure.evidence, []).append(judged.figure.line)
    yield from (f"Evidence: {text} ({'; '.join(figures)})." for text, figures in evidence.items())
    yield from (f"Not as published: {difference}." for difference in reproduction.differs)
    if reproduction.reduced:
        yield f"Reduced: {reproduction.reduced}."
    if reproduction.reason:
        yield f"Why it is missed: {reproduction.reason}."
    yield from (f"Cause, {figure.line}: {figure.cause}." for figure in reproduction.figures if figure.cause)
    for ablation, base, changed in result.ablations:
        effects = [_effect(*pair) for pair in zip(base.judged, changed.judged, strict=True)]
        yield f"Ablation, {ablation.line} (`{' '.join(ablation.words)}`): {'; '.join(effects)}."
    if reproduction.ablations:
        yield f"{asked}."
    for name, ids in result.methods.items():
        more = "" if len(ids) <= SHOWN_METHODS else f" and {len(ids) - SHOWN_METHODS} more"
        overrides = " ".join(reproduction.conditions[name])
        methods = ", ".join(f"`{method}`" for method in ids[:SHOWN_METHODS])
        yield f"Condition {name}{f' (`{overrides}`)' if overrides else ''}: methods {methods}{more}."
    if result.commits:
        yield f"Runs of commit {', '.join(result.commits)}."


def _effect(before: Judged, after: Judged) -> str:
    end = ours(after) if after.note is None else f"no number, {after.note}"
    return f"{after.figure.line} {'' if before.ours is None else f'from {ours(before)} to '}{end}"


def wrapped(line: str) -> list[str]:
    """Wrap a line of prose to the page's width; later lines of a list item are indented."""
    indent = "  " * line.startswith("- ")
    options: Any = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, **options) or [""]
