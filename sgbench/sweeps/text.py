"""What came of a sweep, as a table for people and as a tree for machines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sgbench.statistics.intervals import Summary
from sgbench.sweeps.names import choices_first
from sgbench.sweeps.results import Results, SettingRow, best_rows
from sgbench.tables import aligned

SHOW_NOTES = (
    "mean ± 95 % t-interval over seeds, in %, or loss where a task has no classes; a failed seed counts at chance",
    "validation selects; test accuracy is for reporting what was selected",
)
USELESS_NOTE = "± ?: the interval is wider than all accuracies; more seeds are needed"
USELESS = 0.5
"""Half-width of an interval of accuracies that is wider than their whole range."""


def as_tree(results: Results) -> dict[str, Any]:
    """Describe the results under stable keys; accuracies are fractions."""
    return {
        "sweep": results.name,
        "protocol": results.protocol,
        "root": str(results.root),
        "axes": {axis.key: list(axis.values) for axis in results.axes},
        "runs": {what: results.count(what) for what in ("done", "failed", "missing")},
        "unreadable": list(results.unreadable),
        "combinations": [
            {
                "settings": row.settings,
                "surrogate": row.surrogate,
                "method_id": row.method_id,
                "score": row.measure.kind,
                "chance": row.chance if math.isfinite(row.chance) else None,
                "validation": _summary_tree(row.validation),
                "test": _summary_tree(row.test),
                "seeds": {"done": row.done, "failed": row.failed, "missing": row.missing},
            }
            for row in results.rows
        ],
    }


def _summary_tree(summary: Summary | None) -> dict[str, float | None] | None:
    if summary is None:
        return None
    return {"mean": summary.mean, "half_width": summary.half_width, "n": summary.n}


def cells(results: Results) -> tuple[list[list[str]], int]:
    """Build the table with its head, and count how many of its columns hold words."""
    keys = choices_first([axis.key for axis in results.axes])
    head = [*keys, "validation", "test", "done", "failed", "missing"]
    return [head, *(_cells(row, keys) for row in results.rows)], len(keys)


def as_text(results: Results, again: str) -> str:
    """Write the table of a sweep's results for people.

    Args:
        results: of a sweep.
        again: the command that runs what is missing.
    """
    states = {what: results.count(what) for what in ("done", "failed", "missing")}
    counts = ", ".join(f"{count} {what}" for what, count in states.items() if count or what == "done")
    rows, words = cells(results)
    lines = [
        f"{results.name}: {sum(states.values())} runs of {results.protocol} in {results.root}: {counts}",
        "",
        *aligned(rows, words=words),
        "",
        *SHOW_NOTES,
        *([USELESS_NOTE] if any("± ?" in cell for row in rows for cell in row) else []),
        *(f"best by validation: {_told(row)}" for row in best_rows(results)),
    ]
    if states["missing"]:
        lines.append(f"to run what is missing: {again}")
    return "\n".join(lines) + "\n"


def as_status(results: Results, again: str) -> str:
    """Describe for people how far a sweep is, from its records alone.

    Args:
        results: of a sweep.
        again: the command that runs what is missing.
    """
    states = {what: results.count(what) for what in ("done", "failed", "running", "missing")}
    total = sum(count for what, count in states.items() if what != "running")
    states["missing"] -= states["running"]  # a run under way has no record
    counts = ", ".join(f"{count} {what}" for what, count in states.items() if count or what == "done")
    lines = [f"{results.name}: {total} runs of {results.protocol} in {results.root}: {counts}"]
    lines += [f"best so far by validation: {_told(row)}" for row in best_rows(results)]
    if states["missing"] and not states["running"]:
        lines.append(f"to run what is missing: {again}")
    return "\n".join(lines) + "\n"


def _cells(row: SettingRow, keys: Sequence[str]) -> list[str]:
    counts = [str(len(seeds)) if seeds else "-" for seeds in (row.done, row.failed, row.missing)]
    return [
        *(row.settings[key] for key in keys),
        _told_summary(row.validation, row),
        _told_summary(row.test, row),
        *counts,
    ]


def _told_summary(summary: Summary | None, row: SettingRow) -> str:
    """Write a summary in percent, or as a loss where the task has no classes."""
    return "loss " + row.measure.summary(summary) if summary and row.measure.is_loss else percent(summary)


def percent(summary: Summary | None) -> str:
    """Write a mean in percent with its interval; one seed has none, nor has one beyond 0 and 100 %.

    >>> from sgbench.statistics.intervals import Summary
    >>> percent(Summary(0.9, 0.01, 5)), percent(Summary(0.9, None, 1)), percent(None)
    ('90.00 ± 1.00', '90.00', '-')
    >>> percent(Summary(0.5989, 2.83, 2))
    '59.89 ± ?'
    """
    if summary is None:
        return "-"
    half = summary.half_width
    if half is not None and half > USELESS:
        return f"{100 * summary.mean:.2f} ± ?"
    interval = "" if half is None else f" ± {100 * half:.2f}"
    return f"{100 * summary.mean:.2f}{interval}"


def _told(row: SettingRow) -> str:
    settings = ", ".join(f"{key}={row.settings[key]}" for key in choices_first(list(row.settings)))
    unit = "" if row.measure.is_loss else " %"
    validation, test = (f"{_told_summary(summary, row)}{unit}" for summary in (row.validation, row.test))
    return f"{settings or row.surrogate}: validation {validation}, test {test}"
