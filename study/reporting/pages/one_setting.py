"""One shape and width for every task: how much each loses where it loses most."""

from collections.abc import Mapping

from sgbench.statistics.pairs import Floats
from study.reporting.evidence import StudyEvidence
from study.reporting.pages import regime_map
from study.reporting.pages.shapes import SHAPES
from study.reporting.pages.text import few, table
from study.reporting.run_table import RunTable, points_of

LISTED = 8
SETTINGS = [(shape, width) for shape in SHAPES for width in regime_map.WIDTHS]


def section(evidence: StudyEvidence, runs: Mapping[str, RunTable], *, within_points: float) -> list[str]:
    """Write what a setting loses to the best one of each task, for those that lose least where they lose most.

    `runs`: complete ones by task; rows are the shapes, and for each the widths of the map. `within_points`: of the
    best, to count as close.
    """
    of_study = evidence.loaded.study.tasks
    losses = {task: lost(points_of(of_study[task], of).mean(axis=1)) for task, of in runs.items()}
    order = in_order(losses)
    close = [place for place in order if largest(losses, place) <= within_points]
    rows = [
        [_name(place), f"{largest(losses, place):.1f}", *(f"{of[place]:.1f}" for of in losses.values())]
        for place in order[:LISTED]
    ]
    left_out = {task: left_out_loss(losses, task) for task in losses} if len(losses) > 1 else {}
    parts = [
        "## One setting for every task",
        f"{few(len(close), len(SETTINGS))} shapes and widths come within {within_points:g} points of the best "
        f"on each of {len(losses)} tasks, at the task's own learning rate{_listed(losses, close)}.",
        table(["setting", "largest loss", *losses], rows),
        "Points of mean test accuracy below the best of all shapes and widths (per cent solved on tasks that are "
        "solved or not); the settings that lose least on the task where they lose most. They are chosen and "
        "scored on the same seeds, and no hypothesis is about them.",
    ]
    if left_out:
        said = ", ".join(f"{task} {loss:.1f} ({_name(place)})" for task, (place, loss) in left_out.items())
        parts.append(f"Chosen without a task, the setting loses on that task: {said}.")
    return parts


def lost(means: Floats) -> Floats:
    """Return how far each setting lies below the best one.

    >>> import numpy as np
    >>> lost(np.array([80.0, 92.0])).tolist()
    [12.0, 0.0]
    """
    return means.max() - means


def largest(losses: Mapping[str, Floats], place: int) -> float:
    """Return the largest loss of a setting over tasks."""
    return max(float(of[place]) for of in losses.values())


def in_order(losses: Mapping[str, Floats]) -> list[int]:
    """Sort settings by their largest loss; of equal ones the first is first.

    >>> import numpy as np
    >>> in_order({"T1": np.array([0.0, 1.0, 5.0]), "T4": np.array([9.0, 2.0, 0.0])})
    [1, 2, 0]
    """
    count = len(next(iter(losses.values())))
    return sorted(range(count), key=lambda place: largest(losses, place))


def left_out_loss(losses: Mapping[str, Floats], task: str) -> tuple[int, float]:
    place = in_order({name: of for name, of in losses.items() if name != task})[0]
    return place, float(losses[task][place])


def _listed(losses: Mapping[str, Floats], places: list[int]) -> str:
    """Name settings with what they lose at most; nothing for none."""
    named = [f"{_name(place)} (at most {largest(losses, place):.1f})" for place in places]
    return f": {', '.join(named)}" if named else ""


def _name(place: int) -> str:
    shape, width = SETTINGS[place]
    return f"{shape} at width {width:g}"
