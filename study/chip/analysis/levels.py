"""What each width, cost on activity and kind of weights does, over all its runs; and which runs failed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set

import numpy as np

from sgbench.energy.text import joules
from sgbench.recommendation.block import ROUNDED, MeasuredTask, Setting
from sgbench.recommendation.priced import PricedTask
from sgbench.tables import NONE
from study.reporting.pages.text import table


def weights_of(setting: Setting) -> str:
    """Write the kind of a setting's weights.

    >>> weights_of(Setting("atan", 1.0, 0.0, "rounded", 4)), weights_of(Setting("atan", 1.0, 0.0, "int8", 8))
    ('rounded 4', 'int8')
    """
    return f"{setting.weights} {setting.bits}" if setting.weights == ROUNDED else setting.weights


KINDS: Mapping[str, Callable[[Setting], str]] = {
    "width": lambda setting: f"{setting.width_fwhm:g}",
    "activity cost": lambda setting: f"{setting.activity_cost:g}",
    "weights": weights_of,
}
"""What is set, and how its value is written."""
WHY = {"NonFiniteError": "a loss or a gradient was not finite"}
"""Explains the kind of a failure."""


def levels(measured: Sequence[MeasuredTask], priced: Mapping[str, PricedTask]) -> str:
    """Tabulate mean test accuracy and mean energy over all settings with one value, a column a task."""
    rows = []
    for kind, value_of in KINDS.items():
        settings = sorted({setting for task in measured for setting in task.runs})
        for value in dict.fromkeys(map(value_of, settings)):
            chosen = {setting for setting in settings if value_of(setting) == value}
            rows.append([f"{kind} {value}", *(_level(task, priced[task.title], chosen) for task in measured)])
    return table(["setting", *(task.title for task in measured)], rows)


def _level(task: MeasuredTask, priced: PricedTask, chosen: Set[Setting]) -> str:
    accuracies = [run.test for setting, runs in task.runs.items() if setting in chosen for run in runs]
    energies = [one.energy_nj.value for setting, one in priced.items() if setting in chosen]
    energy = joules(float(np.mean(energies))) if energies else NONE
    return f"{100 * np.mean(accuracies):.1f} %, {energy}"


def failures(measured: Sequence[MeasuredTask], kinds: Iterable[str]) -> Iterator[str]:
    """Yield what is to be said of runs that failed; nothing where none did."""
    runs = [(task, setting, run) for task in measured for setting, each in task.runs.items() for run in each]
    failed = [(task, setting) for task, setting, run in runs if run.counts is None]
    if not failed:
        return
    why = "; ".join(sorted(WHY.get(kind, kind) for kind in kinds))
    where = " and ".join(sorted({f"'{task.title}' at width {one.width_fwhm:g}" for task, one in failed}))
    yield (f"{len(failed)} of {len(runs)} runs failed, all of {where}: {why}. A run that failed counts as guessing.")
    whole = [
        f"width {setting.width_fwhm:g}, cost {setting.activity_cost:g}, {weights_of(setting)}"
        for task in measured
        for setting, each in sorted(task.runs.items())
        if all(run.counts is None for run in each)
    ]
    if whole:
        yield f"All runs failed of {'; '.join(whole)}. These have no energy, so they are no candidates."
