"""Write the page of all reproductions."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from sgbench.reproduction.report import HEAD, rows
from sgbench.reproduction.runs import ReproductionResult
from sgbench.tables import NONE
from sgbench.tables.markdown import markdown

COMMAND = "sgbench reproduce all --stored --update docs/reproductions.md"
SHOWN_METHODS = 4
WIDTH = 116
NUMBERS = (2, 3, 4, 7)  # columns of the table
AGREES, UNMEASURED = "agrees", "not measured"
ASKED = "Causes"
EVIDENCE = ("figure", "what it is held to")
CONDITIONS = ("condition", "words", "methods")


def as_page(results: Sequence[ReproductionResult]) -> str:
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
        f"Of {len(verdicts)} figures {verdicts.count('agrees')} agree, {verdicts.count('does not agree')} do not, "
        f"{verdicts.count(UNMEASURED)} are not measured.",
        f"Of the {verdicts.count('agrees')} that agree, {revised.count('conditions')} have conditions that were "
        f"changed, and {revised.count('bound')} a bound that was set, once values were known;",
        "the column `revised` says which. No tolerance or bound that stood was widened then.",
        "",
        "Ours is the mean over seeds ± one standard deviation, minutes those of all runs on a busy core.",
        f"`{COMMAND}` writes this page from records and from",
        "the files of `conf/experiment/reproduce/`; `sgbench reproduce NAME` makes the runs again.",
        "",
        markdown(HEAD, [row for result in results for row in rows_of(result)], numbers=NUMBERS),
    ]
    for result in results:
        about = [f"## {result.reproduction.name}", "", result.reproduction.line, ""]
        asked = f"[{ASKED}](reproductions/{result.reproduction.name}.md)"
        about += [f"- {item}" for item in items(result, asked=asked)]
        lines += ["", *(part for line in about for part in wrapped(line))]
        evidence = [(each.figure.line, each.figure.evidence) for each in result.judged]
        lines += ["", markdown(EVIDENCE, evidence, numbers=())]
        lines += ["", markdown(CONDITIONS, _conditions(result), numbers=())] if result.methods else []
    return "\n".join(lines) + "\n"


def rows_of(result: ReproductionResult) -> list[list[str]]:
    table_rows = rows([result])
    minutes = result.reproduction.minutes
    table_rows[0][-1] = NONE if minutes is None else f"{minutes:g}"
    return table_rows


def items(result: ReproductionResult, *, asked: str) -> Iterator[str]:
    """Yield what is to be said of a reproduction; `asked`: leads to the page of its ablations."""
    reproduction = result.reproduction
    yield from (f"Source: {source}." for source in reproduction.sources)
    differs = " ".join(f"{text[:1].upper()}{text[1:]}." for text in reproduction.differs)
    yield from [f"Not as published. {differs}"] if differs else []
    if reproduction.reduced:
        yield f"Reduced: {reproduction.reduced}."
    if reproduction.reason:
        yield f"Why it is missed: {reproduction.reason}."
    if reproduction.ablations:
        yield f"{asked}."
    if result.commits:
        yield f"Runs of commit {', '.join(result.commits)}."


def _conditions(result: ReproductionResult) -> Iterator[list[str]]:
    for name, ids in result.methods.items():
        more = "" if len(ids) <= SHOWN_METHODS else f" and {len(ids) - SHOWN_METHODS} more"
        words = " ".join(result.reproduction.conditions[name])
        yield [name, f"`{words}`" if words else "", ", ".join(f"`{i}`" for i in ids[:SHOWN_METHODS]) + more]


def wrapped(line: str) -> list[str]:
    indent = "  " * line.startswith("- ")
    options: Any = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, **options) or [""]
