"""Writes the page of all reproductions, and their results as rows and as JSON."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sgbench.reproduction.definition import Ablation
from sgbench.reproduction.runs import ReproductionResult
from sgbench.reproduction.verdict import ROUNDING, Judged
from sgbench.tables import NONE
from sgbench.tables.markup import markdown

COMMAND = "sgbench reproduce all --stored --update docs/reproductions.md"
SHOWN_METHODS = 4
WIDTH = 116
NUMBERS = (2, 3, 4, 7)  # columns of the table
AGREES, UNMEASURED = "agrees", "not measured"
ASKED = "Causes"
EVIDENCE = ("figure", "what it is held to")
CONDITIONS = ("condition", "words", "methods")


def as_page(results: Sequence[ReproductionResult]) -> str:
    """Write the page in Markdown: counts of verdicts, the table of all figures, and a section for each reproduction."""
    figures = [judged for result in results for judged in result.judged]
    verdicts = [judged.verdict for judged in figures]
    of_kind = Counter(judged.figure.whose for judged in figures)
    revised = [judged.figure.revised for judged in figures if judged.verdict == AGREES]
    agreeing = sum(judged.figure.whose == "published" for judged in figures if judged.verdict == AGREES)
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
        link = f"[{ASKED}](reproductions/{result.reproduction.name}.md)"
        lines += ["", f"## {result.reproduction.name}", "", *wrapped(result.reproduction.line), ""]
        for item in items(result, asked=link):
            lines += wrapped(f"- {item}")
        evidence = [(judged.figure.line, judged.figure.evidence) for judged in result.judged]
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


ABLATION_HEAD = ("changed", "figure", "bound", "before", "after", "verdict", "each seed before", "each seed after")
ABLATION_NUMBERS = (2, 3, 4)
BEFORE = (ABLATION_HEAD.index("before"), ABLATION_HEAD.index("each seed before"))
"""Columns of runs without the ablation, which are left out if none of these runs is stored."""


def ablation_page(result: ReproductionResult) -> str:
    """Write the page in Markdown: causes of missed figures, each figure before and after, and the changed settings."""
    reproduction = result.reproduction
    name = reproduction.name
    has_before = any(judged.ours is not None for _, base, _ in result.ablations for judged in base.judged)
    lines = [
        f"# {name}: what was changed, and what that did",
        "",
        f"{reproduction.line} `sgbench reproduce {name} --ablations` makes the runs again.",
        "",
    ]
    causes = [f"- {figure.line}: {figure.cause}." for figure in reproduction.figures if figure.cause]
    if causes:
        lines += ["## Causes", ""]
        for cause in causes:
            lines += wrapped(cause)
        lines.append("")
    lines += [
        "## What was changed",
        "",
        "Seeds before and after are the same." if has_before else "Means before are in `docs/reproductions.md`.",
        "",
    ]
    columns = [column for column in range(len(ABLATION_HEAD)) if has_before or column not in BEFORE]
    table_rows = [[row[column] for column in columns] for row in _ablation_rows(result)]
    numbers = [index for index, column in enumerate(columns) if column in ABLATION_NUMBERS]
    lines += [markdown([ABLATION_HEAD[column] for column in columns], table_rows, numbers=numbers), ""]
    for ablation, _, _ in result.ablations:
        outcome = f" Found: {ablation.found}." if ablation.found else ""
        lines += wrapped(f"- **{ablation.line}.** Asked: {ablation.asks}.{outcome}")
    words = [(ablation.line, f"`{' '.join(ablation.words)}`") for ablation, _, _ in result.ablations]
    lines += ["", markdown(("changed", "words"), words, numbers=())]
    commits = sorted({commit for _, _, changed in result.ablations for commit in changed.commits})
    lines += ["", f"Runs of commit {', '.join(commits)}." if commits else "No run is stored."]
    return "\n".join(lines) + "\n"


def _ablation_rows(result: ReproductionResult) -> Iterable[list[str]]:
    """Yield a row for each figure of each ablation; the first row of an ablation names it."""
    for ablation, base, changed in result.ablations:
        for index, (before, after) in enumerate(zip(base.judged, changed.judged, strict=True)):
            yield [
                "" if index else ablation.line,
                after.figure.line,
                after.figure.theirs,
                ours(before),
                ours(after),
                _verdict(ablation, after),
                _measured_text(before.by_seed),
                _measured_text(after.by_seed),
            ]


def _verdict(ablation: Ablation, after: Judged) -> str:
    if after.note is not None:
        return f"{after.verdict}: {after.note}"
    return "control" if ablation.is_control else after.verdict


REPRODUCTION_FIELDS = ("name", "line", "sources", "differs", "reduced", "reason")
FIGURE_FIELDS = ("line", "published", "tolerance", "at_least", "at_most", "evidence", "revised")
HEAD = ("reproduction", "figure", "published", "ours", "seeds", "verdict", "revised", "minutes")


def rows(results: Sequence[ReproductionResult]) -> list[list[str]]:
    """Build one row of cells for each figure, as `HEAD` names them.

    Name and minutes of a reproduction are in its first row.
    """
    table_rows = []
    for result in results:
        for index, judged in enumerate(result.judged):
            is_first = index == 0
            table_rows.append(
                [
                    result.reproduction.name if is_first else "",
                    judged.figure.line,
                    judged.figure.theirs,
                    ours(judged),
                    str(judged.seeds) if judged.seeds else "-",
                    judged.verdict if judged.note is None else f"{judged.verdict}: {judged.note}",
                    judged.figure.revised or "",
                    ("-" if result.minutes is None else f"{result.minutes:.1f}") if is_first else "",
                ]
            )
    return table_rows


def ours(judged: Judged) -> str:
    """Write a measured figure and its standard deviation over seeds, with four decimals or a power of ten.

    A figure below 1e-12 has neither digits nor a deviation, since it is rounding that differs between processors.

    >>> from sgbench.reproduction.definition import Figure
    >>> figure = Figure(line="a", of=("b",), at_least=0.5, evidence="by hand")
    >>> ours(Judged(figure, 0.75, 0.01, 3, "agrees", None))
    '0.7500 ± 0.0100'
    >>> ours(Judged(figure, 4.2e-17, 3.4e-17, 3, "does not agree", None))
    '< 1e-12'
    """
    if judged.ours is None:
        return "-"
    value = _digits(judged.ours, judged.ours)
    if judged.deviation is None or _is_rounding(judged.ours):
        return value
    return f"{value} ± {_digits(judged.deviation, judged.ours)}"


def _measured_text(values: Iterable[float]) -> str:
    """Write the measures of all seeds.

    >>> _measured_text([0.5, 0.98765])
    '0.5000, 0.9877'
    """
    return ", ".join(_digits(value, value) for value in values)


def _is_rounding(value: float) -> bool:
    return 0 < abs(value) <= ROUNDING


def _digits(value: float, scale: float) -> str:
    if _is_rounding(scale):
        return f"< {ROUNDING:g}"
    is_small = 0 < abs(scale) < 1e-4  # noqa: PLR2004 - less has no digit among four decimals
    return f"{value:{'.1e' if is_small else '.4f'}}"


def as_tree(results: Sequence[ReproductionResult]) -> list[dict[str, Any]]:
    """Convert reproductions and their figures to plain values for JSON, whose keys stay the same."""
    return [
        {
            **result.reproduction.model_dump(mode="json", include={*REPRODUCTION_FIELDS}),
            "minutes": result.minutes,
            "methods": {name: list(ids) for name, ids in result.methods.items()},
            "figures": [
                {
                    **judged.figure.model_dump(mode="json", include={*FIGURE_FIELDS}),
                    "held_to": judged.figure.whose,
                    "ours": judged.ours,
                    "standard_deviation": judged.deviation,
                    "seeds": judged.seeds,
                    "by_seed": list(judged.by_seed),
                    "verdict": judged.verdict,
                    "note": judged.note,
                    "cause": judged.figure.cause,
                }
                for judged in result.judged
            ],
            "ablations": [
                {
                    **ablation.model_dump(mode="json", include={"line", "words", "asks", "found"}),
                    "figures": [
                        {
                            "line": judged.figure.line,
                            "ours": judged.ours,
                            "by_seed": list(judged.by_seed),
                            "verdict": judged.verdict,
                        }
                        for judged in changed.judged
                    ],
                }
                for ablation, _, changed in result.ablations
            ],
        }
        for result in results
    ]
