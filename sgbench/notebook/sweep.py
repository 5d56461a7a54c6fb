"""Runs a sweep in Python: checks every point, runs them side by side, and returns a table."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sgbench.composition import catalogue
from sgbench.composition.plan import plan
from sgbench.errors import InputError
from sgbench.notebook.table import SweepTable
from sgbench.replicas.sweep import run_sweep
from sgbench.sweeps.checked import build_and_check
from sgbench.sweeps.names import name_methods
from sgbench.sweeps.notes import notes_on_rank
from sgbench.sweeps.outcome import headline
from sgbench.sweeps.points import grid_of
from sgbench.sweeps.results import read_results
from sgbench.training.calibration import calibrate_plan
from sgbench.training.memory import uncollected


def sweep(
    *overrides: str,
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
    workers: int | None = None,
    title: str | None = None,
) -> SweepTable:
    """Run every combination of overrides side by side, and return the table of results.

    A finished run is read, not repeated, and an interrupted one continues.

    The example trains two networks:

    >>> words = ["experiment=digits", "surrogate=atan,zero", "protocol.epochs=1", "trainer.progress=false"]
    >>> table = sweep(*words)  # doctest: +SKIP
    >>> [row.settings["surrogate"] for row in table.results.rows]  # doctest: +SKIP
    ['atan', 'zero']

    Args:
        overrides: Hydra overrides, e.g. "surrogate=atan,triangle", "seed=0,1,2"; the first may be the name of a
            shipped sweep, e.g. "quickstart".
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.
        workers: parallel processes; None takes one for each core.
        title: title of the table; None takes the name of the shipped sweep, or "sweep".

    Returns:
        The table of means over seeds, which prints itself; `best` is what validation selects, and `plot` draws it.

    Raises:
        InputError: an override is not usable; it is raised before anything runs.
    """
    arguments = list(overrides)
    if arguments and "=" not in arguments[0]:
        catalogue.entry("sweep", arguments[0], config_dirs)
        arguments[0] = f"sweep={arguments[0]}"
    if not arguments:
        raise InputError("sweep(): overrides are needed, e.g. sweep('surrogate=atan,triangle', 'seed=0,1,2')")
    folders = [Path(folder) for folder in config_dirs]
    with uncollected():
        planned = plan(arguments, multirun=True, config_dirs=folders, allow_targets=allow_targets)
        planned = calibrate_plan(planned)
        if planned.is_open:
            raise InputError("sweep(): runs points that are known beforehand; use sgbench run -m with this sweeper")
        build_and_check(planned)
    for line in notes_on_rank(planned):
        sys.stdout.write(f"{line}\n")
    run_sweep(
        planned.specs,
        range(len(planned.specs)),
        workers=workers,
        largest=None,
        headline=partial(headline, names=name_methods(planned)),
    )
    prefix = "sweep="
    names = [text.removeprefix(prefix) for text in arguments if text.startswith(prefix)]
    name = title or (names[0] if names else "sweep")
    grid = grid_of(name, arguments, config_dirs=folders, allow_targets=allow_targets)
    return SweepTable(read_results(grid, config_dirs=folders))
