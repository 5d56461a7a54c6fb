"""The runs of a reproduction, executed and recorded like all others."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from sgbench.composition.plan import plan
from sgbench.errors import InputError
from sgbench.records.files import require_writable
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.reproduction.definition import FOLDER, Ablation, Figure, Reproduction
from sgbench.reproduction.stored import ReproductionRun, RunKey, measured_run
from sgbench.reproduction.verdict import ConditionCell, Judged, judge


@dataclass(frozen=True)
class ReproductionFolders:
    """Holds the folders of runs and data, and the user's own entries."""

    root: Path | None = None  # of runs
    data_dir: Path | None = None
    config_dirs: tuple[Path, ...] = ()

    def overrides(self) -> list[str]:
        """Write the folders as overrides, quoted, since a path may contain characters of Hydra's grammar."""
        given = {"paths.runs_dir": self.root, "paths.data_dir": self.data_dir}
        return [f"{key}={_quoted(str(path))}" for key, path in given.items() if path is not None]


def _quoted(text: str) -> str:
    r"""Write a text so that Hydra reads it back.

    >>> print(_quoted("it's"))
    'it\'s'
    """
    return "'" + text.replace("'", r"\'") + "'"


@dataclass(frozen=True)
class ReproductionGrid:
    """Lists all runs of a reproduction: of each condition its cells, of each cell its seeds."""

    cells: Mapping[str, Sequence[Mapping[int, RunSpec]]]

    def specs(self) -> list[RunSpec]:
        """List each run of a reproduction once."""
        specs = [spec for cells in self.cells.values() for cell in cells for spec in cell.values()]
        return list({(method_id(spec.method), spec.seed): spec for spec in specs}.values())


@dataclass(frozen=True)
class ReproductionResult:
    """Holds the results of a reproduction."""

    reproduction: Reproduction
    judged: tuple[Judged, ...]
    seeds: int
    minutes: float | None  # of all runs, as recorded; None for a calculation
    methods: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # ids by condition
    commits: tuple[str, ...] = ()
    ablations: tuple[AblationResult, ...] = ()
    unmade: int = 0  # runs of which nothing is known


class AblationResult(NamedTuple):
    """Holds the results of an ablation and those of the same seeds without it."""

    ablation: Ablation
    base: ReproductionResult
    changed: ReproductionResult


def grid_of(
    reproduction: Reproduction,
    seeds: Sequence[int] | None,
    folders: ReproductionFolders,
    *,
    count: int | None = None,
) -> ReproductionGrid:
    """Compose every run of a reproduction.

    Args:
        reproduction: whose conditions are composed.
        seeds: seeds of every condition; None for those that its figures require.
        folders: folders of runs and data.
        count: use the first seeds only, this many; None for all.

    Raises:
        InputError: a condition is not usable.
    """
    by_condition = {}
    for name, condition in reproduction.conditions.items():
        own = list(reproduction.condition_seeds(name) if seeds is None else seeds)[:count]
        asked = [
            f"experiment={FOLDER}{reproduction.name}",
            "trainer.progress=false",
            *folders.overrides(),
            *condition,
            f"seed={','.join(map(str, own))}",
        ]
        specs = plan(asked, multirun=True, config_dirs=folders.config_dirs).specs
        # The last override varies fastest, so the seeds of one cell are neighbours.
        starts = range(0, len(specs), len(own))
        by_condition[name] = [{spec.seed: spec for spec in specs[at : at + len(own)]} for at in starts]
    return ReproductionGrid(by_condition)


def grids_of(
    reproduction: Reproduction, count: int | None, folders: ReproductionFolders, *, with_ablations: bool
) -> list[ReproductionGrid]:
    """Compose the runs of the figures, then those of each ablation without and with its change.

    Args:
        reproduction: the reproduction, as its file states it.
        count: use the first seeds only, this many; None for all.
        folders: folders of runs and data.
        with_ablations: False composes only the runs of the figures.

    Raises:
        InputError: a condition or a change is not usable.
    """
    asked = _asked(reproduction) if with_ablations else [reproduction]
    return [grid_of(each, None, folders, count=count) for each in asked]


def _asked(one: Reproduction) -> list[Reproduction]:
    """List a reproduction and, for each of its ablations, the figures without and with the change."""
    each = (
        one.ablated(each, is_changed=is_changed) for each in one.ablations for is_changed in (False, True)
    )
    return [one, *each]


def carry_out(
    grids: Sequence[ReproductionGrid], *, workers: int | None, headline: Callable[[RunRecord], str]
) -> list[str]:
    """Make the runs that have no record, in parallel where possible; return a line for each that failed to start.

    Raises:
        InputError: files of the data set are not there, or a run is not usable.
        StorageError: the runs folder cannot be written.
    """
    from sgbench.replicas.sweep import run_sweep
    from sgbench.training.build import build

    specs, left = unfinished(grids)
    if left:
        data = build(specs[left[0]]).data
        missing = data.data_set.missing(data.data_dir)
        if missing is not None:
            raise InputError(missing)
        require_writable(Path(specs[0].paths.runs_dir))
    return run_sweep(specs, left, workers=workers, largest=None, headline=headline)


def unfinished(grids: Sequence[ReproductionGrid]) -> tuple[list[RunSpec], list[int]]:
    """List each run once, and the indices of those without a finished record."""
    from sgbench.training.run_folder import finished_record

    specs = _specs(grids)
    return specs, [index for index, spec in enumerate(specs) if finished_record(spec) is None]


def _specs(grids: Sequence[ReproductionGrid]) -> list[RunSpec]:
    """List each run once."""
    by_key = {(method_id(spec.method), spec.seed): spec for grid in grids for spec in grid.specs()}
    return list(by_key.values())


def runs_of(
    grids: Sequence[ReproductionGrid], stored: Mapping[RunKey, ReproductionRun]
) -> dict[RunKey, ReproductionRun]:
    """Find the measures of the runs of grids: from their records, else from those stored in a checkout.

    Args:
        grids: of a reproduction.
        stored: of the same reproduction.
    """
    from sgbench.training.run_folder import stored_record

    found = {}
    for spec in _specs(grids):
        key = method_id(spec.method), spec.seed
        record = stored_record(spec)
        if record is not None:
            found[key] = measured_run(key[0], record)
        elif key in stored:
            found[key] = stored[key]
    return found


def still_asked(
    grids: Sequence[ReproductionGrid], stored: Mapping[RunKey, ReproductionRun]
) -> dict[RunKey, ReproductionRun]:
    """Return the stored runs of the grids' methods, of any seed."""
    methods = {method_id(spec.method) for spec in _specs(grids)}
    return {key: run for key, run in stored.items() if key[0] in methods}


def judged_runs(
    reproduction: Reproduction, grid: ReproductionGrid, runs: Mapping[RunKey, ReproductionRun]
) -> ReproductionResult:
    """Judge the figures by the runs that are available."""
    own_keys = {(method_id(spec.method), spec.seed) for spec in grid.specs()}
    own_runs = [runs[key] for key in sorted(own_keys & runs.keys())]

    def cells(name: str, figure: Figure) -> list[ConditionCell]:
        condition_cells = []
        for cell in grid.cells[name]:
            wanted = {seed: cell[seed] for seed in reproduction.seeds_of(figure) if seed in cell}
            own = {seed: runs.get((method_id(spec.method), seed)) for seed, spec in wanted.items()}
            values = {seed: run and run.measures.get(figure.measure) for seed, run in own.items()}
            ranks = [run.rank for run in own.values() if run is not None]
            condition_cells.append(ConditionCell(values, statistics.fmean(ranks) if ranks else 0.0))
        return condition_cells

    judged = [
        judge(figure, {name: cells(name, figure) for name in figure.of}) for figure in reproduction.figures
    ]
    return ReproductionResult(
        reproduction=reproduction,
        judged=tuple(judged),
        seeds=max((len(cell) for cells in grid.cells.values() for cell in cells), default=0),
        minutes=sum(run.total_s for run in own_runs) / 60,
        methods={name: _ids(group) for name, group in grid.cells.items()},
        commits=tuple(sorted({run.commit for run in own_runs if run.commit})),
        unmade=len(own_keys - runs.keys()),
    )


def judged_grids(
    one: Reproduction, grids: Sequence[ReproductionGrid], runs: Mapping[RunKey, ReproductionRun]
) -> ReproductionResult:
    """Judge the figures of a reproduction and, where their grids are given, of its ablations.

    Args:
        one: the reproduction.
        grids: as `grids_of` lists them.
        runs: that are known.
    """
    results = [judged_runs(each, grid, runs) for each, grid in zip(_asked(one), grids, strict=False)]
    pairs = zip(one.ablations, results[1::2], results[2::2], strict=len(grids) > 1)
    return replace(results[0], ablations=tuple(AblationResult(*each) for each in pairs))


def _ids(cells: Iterable[Mapping[int, RunSpec]]) -> tuple[str, ...]:
    """List the ids of the methods in these cells, each once."""
    return tuple(dict.fromkeys(method_id(spec.method) for seeds in cells for spec in seeds.values()))


def calculated(reproduction: Reproduction, seeds: Sequence[int]) -> ReproductionResult:
    """Judge the figures of a reproduction that needs no runs."""
    from sgbench.reproduction.closed_loop import integrals

    settings = {key: value for key, value in (reproduction.calculation or {}).items() if key != "name"}
    try:
        by_seed = {seed: integrals(**settings, seed=seed) for seed in seeds}
    except (TypeError, ValueError) as error:
        raise InputError(f"reproduction '{reproduction.name}': calculation: {error}") from error
    judged = []
    for figure in reproduction.figures:
        cells = {
            name: [ConditionCell({seed: by_seed[seed].get(name) for seed in seeds}, 0.0)]
            for name in figure.of
        }
        judged.append(judge(figure, cells))
    return ReproductionResult(reproduction, tuple(judged), len(seeds), None)
