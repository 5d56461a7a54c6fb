"""Which settings fail: runs whose loss or gradient was not finite, by shape, width, regime and remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sgbench.statistics.solved import wilson
from sgbench.study.comparisons import MIN_SEEDS, SHAPES
from sgbench.study.findings import Findings
from sgbench.study.pages.text import NONE, Page, details, few, table
from sgbench.study.scores import Score, canonical

NAME = "safety.md"
TITLE = "Which settings fail?"
PERCENT = 100


def page(findings: Findings) -> Page:
    """Write the page with table T4."""
    runs = [run for run in findings.scores.runs if run.purpose != "tuning"]
    everything = findings.scores.runs
    if not everything:
        return Page(NAME, TITLE, ("Not known yet: nothing is stored.",))
    failed = sum(run.failed for run in everything)
    parts = [
        f"{few(failed, len(everything))} runs failed, because a loss or a gradient was not finite. Each counts as "
        "guessing and none is left out.",
        "## By task",
        _shares(everything, lambda run: run.task, "task"),
    ]
    kinds = [fact.failure for fact in findings.facts if fact.failure is not None]
    if kinds:
        counts = ", ".join(f"{kind} {kinds.count(kind)}" for kind in dict.fromkeys(sorted(kinds)))
        parts.insert(1, f"What failed: {counts}.")
    if findings.stored("A2"):
        mapped = [run for run in findings.scores.block("A2") if run.settings.get("surrogate") in SHAPES]
        parts += [
            "## By width, in the regime map",
            "Failed runs of all runs, a column a width.",
            _grid(mapped, lambda run: (run.task,), ["task"]),
            details(
                "By shape too",
                _grid(mapped, lambda run: (run.task, str(run.settings["surrogate"])), ["task", "shape"]),
            ),
        ]
    remedies = [run for run in runs if run.block == "B2"]
    if remedies:
        parts += ["## By remedy", _shares(remedies, _remedy, "task and remedy")]
    else:
        parts += ["## By remedy", findings.not_stored("B2")]
    return Page(NAME, TITLE, tuple(parts))


def _shares(runs: Iterable[Score], group: Callable[[Score], str], head: str) -> str:
    """Write shares of failed runs with Wilson's interval, of five runs or more."""
    groups: dict[str, list[Score]] = {}
    for run in runs:
        groups.setdefault(group(run), []).append(run)
    rows = []
    for name, members in sorted(groups.items()):
        failed = sum(run.failed for run in members)
        share = wilson(failed, len(members))
        ends = (
            f"{PERCENT * share.low:.1f} to {PERCENT * share.high:.1f}" if len(members) >= MIN_SEEDS else NONE
        )
        rows.append([name, failed, len(members), f"{PERCENT * share.share:.1f}", ends])
    return table([head, "failed", "runs", "failed, %", "95 %, runs as if independent"], rows)


def _remedy(run: Score) -> str:
    """Name what a run of the block of remedies changes."""
    keys = ("network.recurrence_gradient", "neuron.reset_gradient", "surrogate.normalisation", "clip_norm")
    said = [f"{key.split('.')[-1]} {canonical(run.settings.get(key))}" for key in keys]
    return f"{run.task}: {', '.join(said)}"


def _width(run: Score) -> float:
    return float(str(run.settings["width_fwhm"]))


def _grid(runs: list[Score], group: Callable[[Score], tuple[str, ...]], head: Sequence[str]) -> str:
    """Count failures of each group of runs, a column a width."""
    widths = sorted({_width(run) for run in runs})
    cells: dict[tuple[str, ...], dict[float, list[bool]]] = {}
    for run in runs:
        cells.setdefault(group(run), {}).setdefault(_width(run), []).append(run.failed)
    rows = []
    for name, by_width in cells.items():
        counts = [by_width.get(width, []) for width in widths]
        rows.append([*name, *(f"{sum(failed)}/{len(failed)}" if failed else NONE for failed in counts)])
    return table([*head, *(f"{width:g}" for width in widths)], rows)
