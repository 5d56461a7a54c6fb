"""Writes the results of a sweep, as a table for people and as a dictionary for JSON."""

import math
from collections.abc import Sequence
from typing import Any

from sgbench.paths import run_dir
from sgbench.statistics.intervals import Summary
from sgbench.sweeps.names import choices_first
from sgbench.sweeps.outcome import Guessing, chance_warning
from sgbench.sweeps.results import Results, SettingRow, best_rows
from sgbench.tables import aligned

SHOW_NOTES = (
    "mean (95 % interval over seeds), in %, or loss where a task has no classes; a failed seed counts at chance",
    "validation selects; test accuracy is for reporting what was selected",
)
STATES = ("done", "failed", "at_chance", "missing")


def as_tree(results: Results) -> dict[str, Any]:
    """Convert the results to a dictionary for JSON; accuracies are in 0..1."""
    return {
        "sweep": results.name,
        "protocol": results.protocol,
        "root": str(results.root),
        "axes": {axis.key: list(axis.values) for axis in results.axes},
        "runs": {state: results.count(state) for state in ("done", "failed", "missing")},
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
                "at_chance": row.at_chance,
            }
            for row in results.rows
        ],
    }


def _summary_tree(summary: Summary | None) -> dict[str, float | None] | None:
    if summary is None:
        return None
    return {name: getattr(summary, name) for name in ("mean", "half_width", "low", "high", "n")}


def table_rows(results: Results) -> tuple[list[list[str]], int]:
    """Build the rows of cells, the header first; return them and the number of leading columns that hold text."""
    keys = choices_first([axis.key for axis in results.axes])
    states = [state for state in STATES if state != "at_chance" or results.count(state)]
    head = [*keys, "validation", "test", *(state.replace("_", " ") for state in states)]
    return [head, *(_row_cells(row, keys, states) for row in results.rows)], len(keys)


def as_text(results: Results, again: str, width: int | None = None) -> str:
    """Write the table of a sweep's results for people; columns for which `width` [characters] has no room are named.

    `again`: the command that runs the missing runs.
    """
    counts_by_state = {state: results.count(state) for state in ("done", "failed", "missing")}
    counts = ", ".join(f"{count} {state}" for state, count in counts_by_state.items() if count or state == "done")
    rows, text_columns = table_rows(results)
    lines = [
        f"{results.name}: {sum(counts_by_state.values())} runs of {results.protocol} in {results.root}: {counts}",
        "",
        *aligned(rows, text_columns=text_columns, width=width, least=text_columns + 1, rest="sweep show --wide"),
        "",
        *show_notes(results),
        *(f"best by validation: {_best_text(row)}" for row in best_rows(results)),
    ]
    if counts_by_state["missing"]:
        lines.append(f"to run what is missing: {again}")
    return "\n".join(lines)


def as_status(results: Results, again: str) -> str:
    """Write the progress of a sweep for people; `again` is the command that runs the missing runs."""
    counts_by_state = {state: results.count(state) for state in ("done", "failed", "running", "missing")}
    total = sum(count for state, count in counts_by_state.items() if state != "running")
    counts_by_state["missing"] -= counts_by_state["running"]  # a run under way has no record
    counts = ", ".join(f"{count} {state}" for state, count in counts_by_state.items() if count or state == "done")
    lines = [f"{results.name}: {total} runs of {results.protocol} in {results.root}: {counts}"]
    lines += [f"best so far by validation: {_best_text(row)}" for row in best_rows(results)]
    if counts_by_state["missing"] and not counts_by_state["running"]:
        lines.append(f"to run what is missing: {again}")
    return "\n".join(lines)


def show_notes(results: Results) -> list[str]:
    """List the lines below the table: how to read it, and a warning about runs that have learnt nothing."""
    warning = chance_warning(_at_chance(results), count=results.count("done"))
    return [*SHOW_NOTES, *([] if warning is None else [warning])]


def _at_chance(results: Results) -> list[Guessing]:
    """List the finished runs that are no better than guessing, each with the command that diagnoses it."""
    return [
        Guessing(
            f"{_settings(row)} seed {seed}",
            f"sgbench diagnose {run_dir(results.root, row.protocol, row.method_id, seed)}",
        )
        for row in results.rows
        for seed in row.at_chance
    ]


def _row_cells(row: SettingRow, keys: Sequence[str], states: Sequence[str]) -> list[str]:
    """Write a row's settings by `keys`, its scores, and the number of its seeds in each of `states`."""
    counts = [str(len(seeds)) if seeds else "-" for seeds in (getattr(row, state) for state in states)]
    return [
        *(row.settings[key] for key in keys),
        _summary_text(row.validation, row),
        _summary_text(row.test, row),
        *counts,
    ]


def _summary_text(summary: Summary | None, row: SettingRow) -> str:
    """Write a mean with its interval, in percent, or as a loss for a task without classes."""
    return f"{'loss ' if summary and row.measure.is_loss else ''}{row.measure.summary(summary)}"


def _best_text(row: SettingRow) -> str:
    unit = "" if row.measure.is_loss else " %"
    validation, test = (f"{_summary_text(summary, row)}{unit}" for summary in (row.validation, row.test))
    return f"{_settings(row)}: validation {validation}, test {test}"


def _settings(row: SettingRow) -> str:
    settings = ", ".join(f"{key}={row.settings[key]}" for key in choices_first(list(row.settings)))
    return settings or row.surrogate
