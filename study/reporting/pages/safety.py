"""Which settings fail: runs whose loss or gradient was not finite, by shape, width, regime and remedy."""

from collections.abc import Callable, Iterable, Sequence

from sgbench.statistics.solved import wilson
from sgbench.study_runner.scores import Score
from sgbench.tables import NONE
from study.reporting.evidence import StudyEvidence
from study.reporting.pages.text import StudyPage, details, few, table
from study.reporting.run_table import MIN_SEEDS, REMEDY_WIDTHS, SHAPES

NAME = "safety.md"
TITLE = "Which settings fail?"
PERCENT = 100
REMEDIES = {
    "network.recurrence_gradient": "recurrent gradient",
    "neuron.reset_gradient": "reset gradient",
    "surrogate.normalisation": "height",
    "clip_norm": "clipped at norm",
}
"""Changed settings of each remedy, and its name."""


def page(evidence: StudyEvidence) -> StudyPage:
    """Write the page on failed runs: by task, width and remedy."""
    everything = evidence.scores.runs
    if not everything:
        return StudyPage(NAME, TITLE, ("Not known yet: nothing is stored.",))
    failed = sum(run.failed for run in everything)
    parts = [
        f"{few(failed, len(everything))} runs failed, because a loss or a gradient was not finite. Each counts as "
        "guessing and none is left out.",
        "## By task",
        _failure_shares(everything, lambda run: run.task, "task"),
    ]
    kinds = [fact.failure for fact in evidence.facts if fact.failure is not None]
    if kinds:
        counts = ", ".join(f"{kind} {kinds.count(kind)}" for kind in dict.fromkeys(sorted(kinds)))
        parts.insert(1, f"What failed: {counts}.")
    if evidence.stored("A2"):
        mapped = [run for run in evidence.scores.block("A2") if run.settings.get("surrogate") in SHAPES]
        parts += [
            "## By width, in the regime map",
            "Failed runs of all runs, a column a width.",
            _failures_by_width(mapped, lambda run: (run.task,), ["task"]),
            details(
                "By shape too",
                _failures_by_width(mapped, lambda run: (run.task, str(run.settings["surrogate"])), ["task", "shape"]),
            ),
        ]
    parts.append("## By remedy")
    if evidence.stored("B2"):
        parts.append(_failure_shares(_remedied(evidence), _task_and_remedy, "task and remedy"))
    else:
        parts.append(evidence.not_stored("B2"))
    return StudyPage(NAME, TITLE, tuple(parts))


def _failure_shares(runs: Iterable[Score], group: Callable[[Score], str], head: str) -> str:
    """Tabulate the share of runs that failed in each group of runs; `head` is above the names of the groups."""
    groups: dict[str, list[Score]] = {}
    for run in runs:
        groups.setdefault(group(run), []).append(run)
    rows = []
    for name, members in sorted(groups.items()):
        failed = sum(run.failed for run in members)
        share = wilson(failed, len(members))
        ends = f"{PERCENT * share.low:.1f} to {PERCENT * share.high:.1f}" if len(members) >= MIN_SEEDS else NONE
        rows.append([name, failed, len(members), f"{PERCENT * share.share:.1f}", ends])
    return table([head, "failed", "runs", "failed, %", "95 %, runs as if independent"], rows)


def _remedied(evidence: StudyEvidence) -> list[Score]:
    """Collect the runs with a remedy, and those of the map at the same shapes and widths, which have none."""
    runs = list(evidence.scores.block("B2"))
    for task in evidence.loaded.study.blocks["B2"].tasks:
        for shape in ("atan", "triangle"):
            for width in REMEDY_WIDTHS:
                plain = {"surrogate": shape, "width_fwhm": width}
                cell_runs = evidence.scores.cell(task, "map", plain, start="A2").values()
                runs += [run for run in cell_runs if run.block != "B2"]
    return runs


def _task_and_remedy(run: Score) -> str:
    """Name the remedy of a run (cutting, clipping and the like), without what its task does not have."""
    said = [f"{word} {run.settings[key]}" for key, word in REMEDIES.items() if run.settings.get(key) is not None]
    return f"{run.task}: {', '.join(said)}"


def _width(run: Score) -> float:
    return float(str(run.settings["width_fwhm"]))


def _failures_by_width(runs: list[Score], group: Callable[[Score], tuple[str, ...]], head: Sequence[str]) -> str:
    """Write failed runs of all runs, a row a group and a column a width."""
    widths = sorted({_width(run) for run in runs})
    cells: dict[tuple[str, ...], dict[float, list[bool]]] = {}
    for run in runs:
        cells.setdefault(group(run), {}).setdefault(_width(run), []).append(run.failed)
    rows = []
    for name, by_width in cells.items():
        counts = [by_width.get(width, []) for width in widths]
        rows.append([*name, *(f"{sum(failed)}/{len(failed)}" if failed else NONE for failed in counts)])
    return table([*head, *(f"{width:g}" for width in widths)], rows)
