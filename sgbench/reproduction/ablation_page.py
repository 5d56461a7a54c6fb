"""The page of a reproduction's ablations, which explain missed figures."""

from collections.abc import Iterable

from sgbench.reproduction.definition import Ablation
from sgbench.reproduction.page import wrapped
from sgbench.reproduction.report import measured_text, ours
from sgbench.reproduction.runs import ReproductionResult
from sgbench.reproduction.verdict import Judged
from sgbench.tables.markdown import markdown

HEAD = ("changed", "figure", "bound", "before", "after", "verdict", "each seed before", "each seed after")
NUMBERS = (2, 3, 4)
BEFORE = (HEAD.index("before"), HEAD.index("each seed before"))
"""Columns of runs without the ablation, which are left out if none of these runs is stored."""


def ablation_page(result: ReproductionResult) -> str:
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
        lines += ["## Causes", "", *(part for cause in causes for part in wrapped(cause)), ""]
    lines += [
        "## What was changed",
        "",
        "Seeds before and after are the same." if has_before else "Means before are in `docs/reproductions.md`.",
        "",
    ]
    columns = [column for column in range(len(HEAD)) if has_before or column not in BEFORE]
    table_rows = [[row[column] for column in columns] for row in _rows(result)]
    numbers = [index for index, column in enumerate(columns) if column in NUMBERS]
    lines += [markdown([HEAD[column] for column in columns], table_rows, numbers=numbers), ""]
    for ablation, _, _ in result.ablations:
        found = f" Found: {ablation.found}." if ablation.found else ""
        lines += wrapped(f"- **{ablation.line}.** Asked: {ablation.asks}.{found}")
    words = [(ablation.line, f"`{' '.join(ablation.words)}`") for ablation, _, _ in result.ablations]
    lines += ["", markdown(("changed", "words"), words, numbers=())]
    commits = sorted({commit for each in result.ablations for commit in each.changed.commits})
    lines += ["", f"Runs of commit {', '.join(commits)}." if commits else "No run is stored."]
    return "\n".join(lines) + "\n"


def _rows(result: ReproductionResult) -> Iterable[list[str]]:
    for ablation, base, changed in result.ablations:
        for index, (before, after) in enumerate(zip(base.judged, changed.judged, strict=True)):
            yield [
                "" if index else ablation.line,
                after.figure.line,
                after.figure.theirs,
                ours(before),
                ours(after),
                _verdict(ablation, after),
                measured_text(before.by_seed),
                measured_text(after.by_seed),
            ]


def _verdict(ablation: Ablation, after: Judged) -> str:
    if after.note is not None:
        return f"{after.verdict}: {after.note}"
    return "control" if ablation.is_control else after.verdict
