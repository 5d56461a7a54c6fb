"""Cost of the study, the code and machines of its runs, and deviations from the registration."""

from collections.abc import Iterable

from sgbench.study_runner.status import HOUR_S, block_cost
from sgbench.tables import decimal_text
from study.reporting.evidence import RunFacts, StudyEvidence
from study.reporting.pages.text import StudyPage, table
from study.reporting.registration import CHANGED, SHORT, Departure, Version, listed

NAME = "budget.md"
TITLE = "What it took, and what was done otherwise"


def page(evidence: StudyEvidence) -> StudyPage:
    """Write the page of runs, hours, versions and deviations from the registration."""
    parts = [_message(evidence), "## Deviations from the registration"]
    departures = [departure for departure in evidence.deviations if departure.kind != CHANGED]
    changes = len(evidence.deviations) - len(departures)
    departures += [Departure(f"{CHANGED} {changes} times, as listed below")] if changes else []
    parts.append(listed(departures) or "None.")
    parts += ["## Registration", *_registration(evidence)]
    parts += [
        "## Table 6: runs and hours",
        _hours_by_block(evidence),
        "## Seconds a run, by task",
        _seconds_by_task(evidence.facts),
    ]
    parts += ["## Made by", _runs_by_code(evidence.facts)]
    return StudyPage(NAME, TITLE, tuple(parts))


def _message(evidence: StudyEvidence) -> str:
    """Say how many runs took how long, and how many failed."""
    hours = sum(fact.total_s for fact in evidence.facts) / HOUR_S
    failed = sum(fact.failure is not None for fact in evidence.facts)
    return (
        f"{len(evidence.facts):,} runs took {hours:.1f} core-hours; {failed:,} failed and count as guessing. "
        f"Deviations from the registration: {len(evidence.deviations)}."
    )


def _registration(evidence: StudyEvidence) -> list[str]:
    """Write which commits registered the study and its file."""
    if evidence.registration is None:
        return ["Not verified: the report was written outside of a checkout."]
    document = evidence.loaded.study.registration
    return [
        f"Every record's commit descends from {evidence.registration.commit[:SHORT]}, which added `{document}`.",
        table(
            ["file", "day", "commit", "subject"],
            [
                *_versions(document, evidence.registration.registered),
                *_versions(f"conf/study/{evidence.loaded.path.name}", evidence.registration.files),
            ],
        ),
    ]


def _versions(name: str, versions: Iterable[Version]) -> list[list[str]]:
    return [
        [f"`{name}`", version.day, version.commit[:SHORT], version.subject.replace("|", "/")] for version in versions
    ]


def _hours_by_block(evidence: StudyEvidence) -> str:
    """Write planned and stored runs, hours and bytes of each block."""
    study = evidence.loaded.study
    rows = []
    for name in study.blocks:
        facts = [fact for fact in evidence.facts if fact.block == name]
        planned, hours = block_cost(study, name)
        measured_h = sum(fact.total_s for fact in facts) / HOUR_S
        failed = sum(fact.failure is not None for fact in facts)
        shards = [] if evidence.manifest is None else evidence.manifest.shards
        size_kb = sum(shard.bytes for shard in shards if shard.block == name) / 1000
        row = [
            f"{planned:,}",
            f"{len(facts):,}",
            f"{failed:,}",
            f"{hours:.2f}",
            f"{measured_h:.2f}",
            decimal_text(size_kb, 0),
        ]
        rows.append([name, *row, study.blocks[name].about])
    numbers = ["planned", "stored", "failed", "expected, core-h", "measured, core-h", "stored, kB"]
    header = ["block", *numbers, "what"]
    return f"{table(header, rows)}\n\nA run that two blocks share is stored with the first and counted once."


def _seconds_by_task(facts: Iterable[RunFacts]) -> str:
    """Write mean and longest time of a run, by task."""
    groups: dict[str, list[float]] = {}
    for fact in facts:
        groups.setdefault(fact.task, []).append(fact.total_s)
    rows = [
        [task, len(seconds), f"{sum(seconds) / len(seconds):.1f}", f"{max(seconds):.1f}"]
        for task, seconds in groups.items()
    ]
    return table(["task", "runs", "mean, s", "longest, s"], rows) if rows else "None."


def _runs_by_code(facts: Iterable[RunFacts]) -> str:
    """Count runs by the code, Python, processor and versions that made them."""
    groups: dict[tuple[str, ...], int] = {}
    for fact in facts:
        versions = ", ".join(f"{name} {version}" for name, version in sorted(fact.versions.items()))
        place = (str(fact.epoch), fact.commit[:SHORT], fact.python, fact.processor, versions)
        groups[place] = groups.get(place, 0) + 1
    rows = [[*place, count] for place, count in sorted(groups.items())]
    return table(["epoch", "commit", "Python", "processor", "versions", "runs"], rows) if rows else "None."
