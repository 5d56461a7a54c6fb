"""Run a sweep in Python: check every point, run them side by side, and return a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sgbench.composition import catalogue
from sgbench.composition.plan import plan
from sgbench.errors import InputError
from sgbench.notebook.table import SweepTable
from sgbench.replicas.sweep import run_sweep
from sgbench.sweeps.checked import built
from sgbench.sweeps.names import names_of
from sgbench.sweeps.notes import unranked
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

    Args:
        overrides: Hydra overrides, e.g. "surrogate=atan,triangle", "seed=0,1,2"; the first may be the name of a
            shipped sweep, e.g. "quickstart".
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.
        workers: parallel processes; None takes one for each core.
        title: of the table.

    Raises:
        InputError: an override is not usable; nothing has run then.
    """
    every = list(overrides)
    if every and "=" not in every[0]:
        catalogue.entry("sweep", every[0], config_dirs)
        every[0] = f"sweep={every[0]}"
    if not every:
        raise InputError("sweep(): overrides are needed, e.g. sweep('surrogate=atan,triangle', 'seed=0,1,2')")
    folders = [Path(folder) for folder in config_dirs]
    with uncollected():
        planned = plan(every, multirun=True, config_dirs=folders, allow_targets=allow_targets)
        planned = calibrate_plan(planned)
        if planned.is_open:
            raise InputError(
                "sweep(): runs points that are known beforehand; use sgbench run -m with this sweeper"
            )
        built(planned)
    for line in unranked(planned):
        sys.stdout.write(f"{line}\n")
    run_sweep(
        planned.specs,
        range(len(planned.specs)),
        workers=workers,
        largest=None,
        headline=partial(headline, names=names_of(planned)),
    )
    called = title or next((override[6:] for override in every if override.startswith("sweep=")), "sweep")
    grid = grid_of(called, every, config_dirs=folders, allow_targets=allow_targets)
    return SweepTable(read_results(grid, config_dirs=folders))
