"""Which void records can be held against the rule that made them void: those that store the rate of every epoch."""

from collections.abc import Iterable
from dataclasses import replace

from sgbench.records.record import RunRecord
from sgbench.study_runner.store import StoreEntry
from study.reporting.pages.text import StudyPage, table

CROWDED = 0.11
"""Spikes a neuron and step of a hidden layer, after any epoch, above which a record of those days is void."""
TITLE = "## Which void records can be audited"
NOT = "cannot be audited: no rates of each epoch are stored"


def is_crowded(record: RunRecord) -> bool | None:
    """Return whether a layer fired above the rule's rate after an epoch; None where no rates are stored."""
    if record.validation_rates is None:
        return None
    return any(rate > CROWDED for curve in record.validation_rates for rate in curve.rate_per_step)


def audited(page: StudyPage, void: Iterable[StoreEntry]) -> StudyPage:
    found: dict[tuple[str, str], list[bool | None]] = {}
    for entry in void:
        found.setdefault((entry.block, entry.task), []).append(is_crowded(entry.record))
    if not found:
        return page
    rows = [[block, task, len(said), _text(said)] for (block, task), said in sorted(found.items())]
    says = (
        f"A record is void where a hidden layer fired in more than {100 * CROWDED:.0f} % of steps after an epoch, "
        "or all of its task are (amendment 9)."
    )
    parts = (*page.parts, TITLE, says, table(["block", "task", "void", "by the rule"], rows))
    return replace(page, parts=parts)


def _text(said: list[bool | None]) -> str:
    if None in said:
        lacking = said.count(None)
        return NOT if lacking == len(said) else f"{lacking} of {len(said)} {NOT}"
    return f"{sum(map(bool, said))} of {len(said)} above"
