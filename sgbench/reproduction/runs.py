"""The runs of a reproduction, executed and recorded like all others, and the time that they take."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
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

MINUTE_S = 60.0


@dataclass(frozen=True)
class ReproductionFolders:
    """Names the folders of runs and data, and those with the user's own entries."""

    root: Path | None = None  # of runs; None: the default
    data_dir: Path | None = None  # of files of data sets; None: the default
    config_dirs: tuple[Path, ...] = ()

    def overrides(self) -> list[str]:
        paths = {"paths.runs_dir": self.root, "paths.data_dir": self.data_dir}
        return [f"{key}={_quote(str(path))}" for key, path in paths.items() if path is not None]


def _quote(text: str) -> str:
    r"""Put a text into the quotes of a Hydra override.

    >>> print(_quote("it's"))
    'it\'s'
    """
    return "'" + text.replace("'", r"\'") + "'"


@dataclass(frozen=True)
class ReproductionGrid:
    """Lists all runs of a reproduction; a condition with several values has a cell for each combination of them."""

    cells: Mapping[str, Sequence[Mapping[int, RunSpec]]]  # by condition, for each cell: from seed to run

    def specs(self) -> list[RunSpec]:
        specs = [spec for cells in self.cells.values() for cell in cells for spec in cell.values()]
        return list({(method_id(spec.method), spec.seed): spec for spec in specs}.values())


@dataclass(frozen=True)
class ReproductionResult:
    """Holds the results of a reproduction."""

    reproduction: Reproduction
    judged: tuple[Judged, ...]  # one for each figure
    seeds: int  # largest count of seeds of a cell
    minutes: float | None  # of all runs, as recorded; None for a calculation
    methods: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # method ids by condition
    commits: tuple[str, ...] = ()  # of sgbench, that made the runs
    ablations: tuple[AblationResult, ...] = ()
    unmade: int = 0  # count of runs without a record or stored measures


class AblationResult(NamedTuple):
    """Holds the results of an ablation and those of the same seeds without it."""

    ablation: Ablation
    base: ReproductionResult  # without the ablation
    changed: ReproductionResult  # with it


def grid_of(
    reproduction: Reproduction, seeds: Sequence[int] | None, folders: ReproductionFolders, *, count: int | None = None
) -> ReproductionGrid:
    """Compose every run of a reproduction, without those of its ablations."""
    by_condition = {}
    for name, condition in reproduction.conditions.items():
        condition_seeds = list(reproduction.condition_seeds(name) if seeds is None else seeds)[:count]
        overrides = [
            f"experiment={FOLDER}{reproduction.name}",
            "trainer.progress=false",
            *folders.overrides(),
            *condition,
            f"seed={','.join(map(str, condition_seeds))}",
        ]
        specs = plan(overrides, multirun=True, config_dirs=folders.config_dirs).specs
        # The last override varies fastest, so the seeds of one cell are neighbours.
        size = len(condition_seeds)
        by_condition[name] = [
            {spec.seed: spec for spec in specs[first : first + size]} for first in range(0, len(specs), size)
        ]
    return ReproductionGrid(by_condition)


def grids_of(
    reproduction: Reproduction, count: int | None, folders: ReproductionFolders, *, with_ablations: bool
) -> list[ReproductionGrid]:
    """Compose the runs of the figures, then those of each ablation without and with its change."""
    reproductions = _with_ablations(reproduction) if with_ablations else [reproduction]
    return [grid_of(each, None, folders, count=count) for each in reproductions]


def _with_ablations(reproduction: Reproduction) -> list[Reproduction]:
    reproductions = [reproduction]
    for ablation in reproduction.ablations:
        reproductions += [reproduction.ablated(ablation, is_changed=changed) for changed in (False, True)]
    return reproductions


def carry_out(
    grids: Sequence[ReproductionGrid], *, workers: int | None, headline: Callable[[RunRecord], str]
) -> list[str]:
    """Train the runs of grids that have no finished record, side by side where possible.

    Returns a line for each run that failed to start.
    """
    from sgbench.replicas.sweep import run_sweep
    from sgbench.training.build import build

    specs, to_train = unfinished(grids)
    if to_train:
        data = build(specs[to_train[0]]).data
        missing = data.data_set.missing(data.data_dir)
        if missing is not None:
            raise InputError(missing)
        require_writable(Path(specs[0].paths.runs_dir))
    return run_sweep(specs, to_train, workers=workers, largest=None, headline=headline)


def unfinished(grids: Sequence[ReproductionGrid]) -> tuple[list[RunSpec], list[int]]:
    from sgbench.training.run_folder import finished_record

    specs = _specs(grids)
    return specs, [index for index, spec in enumerate(specs) if finished_record(spec) is None]


def _specs(grids: Sequence[ReproductionGrid]) -> list[RunSpec]:
    by_key = {(method_id(spec.method), spec.seed): spec for grid in grids for spec in grid.specs()}
    return list(by_key.values())


def runs_of(
    grids: Sequence[ReproductionGrid], stored: Mapping[RunKey, ReproductionRun]
) -> dict[RunKey, ReproductionRun]:
    """Collect the measures of the runs of grids, from the record of a run or else from a checkout.

    Returns the measures by method and seed; runs without any are left out.
    """
    from sgbench.training.run_folder import stored_record

    runs = {}
    for spec in _specs(grids):
        method = method_id(spec.method)
        key, record = (method, spec.seed), stored_record(spec)
        if record is not None:
            runs[key] = measured_run(method, record)
        elif key in stored:
            runs[key] = stored[key]
    return runs


def of_same_methods(
    grids: Sequence[ReproductionGrid], stored: Mapping[RunKey, ReproductionRun]
) -> dict[RunKey, ReproductionRun]:
    methods = {method_id(spec.method) for spec in _specs(grids)}
    return {key: run for key, run in stored.items() if key[0] in methods}


def judged_runs(
    reproduction: Reproduction, grid: ReproductionGrid, runs: Mapping[RunKey, ReproductionRun]
) -> ReproductionResult:
    """Judge the figures of a reproduction, without its ablations, by the measures of the runs in its grid.

    A figure is not measured unless `runs` holds the measures of all of its runs.
    """
    keys = {(method_id(spec.method), spec.seed) for spec in grid.specs()}
    known_runs = [runs[key] for key in sorted(keys & runs.keys())]

    def cells_of(name: str, figure: Figure) -> list[ConditionCell]:
        condition_cells = []
        for cell in grid.cells[name]:
            specs = {seed: cell[seed] for seed in reproduction.seeds_of(figure) if seed in cell}
            cell_runs = {seed: runs.get((method_id(spec.method), seed)) for seed, spec in specs.items()}
            values = {seed: run and run.measures.get(figure.measure) for seed, run in cell_runs.items()}
            ranks = [run.rank for run in cell_runs.values() if run is not None]
            condition_cells.append(ConditionCell(values, statistics.fmean(ranks) if ranks else 0.0))
        return condition_cells

    judged = [judge(figure, {name: cells_of(name, figure) for name in figure.of}) for figure in reproduction.figures]
    return ReproductionResult(
        reproduction=reproduction,
        judged=tuple(judged),
        seeds=max((len(cell) for cells in grid.cells.values() for cell in cells), default=0),
        minutes=sum(run.total_s for run in known_runs) / MINUTE_S,
        methods={
            name: tuple(dict.fromkeys(method_id(spec.method) for seeds in cells for spec in seeds.values()))
            for name, cells in grid.cells.items()
        },
        commits=tuple(sorted({run.commit for run in known_runs if run.commit})),
        unmade=len(keys - runs.keys()),
    )


def judged_grids(
    reproduction: Reproduction, grids: Sequence[ReproductionGrid], runs: Mapping[RunKey, ReproductionRun]
) -> ReproductionResult:
    """Judge the figures of a reproduction and, if `grids` has their runs, of its ablations.

    `grids` is what `grids_of` lists, and `runs` holds the measures of these runs, as far as known.
    """
    reproductions = _with_ablations(reproduction)
    results = [judged_runs(each, grid, runs) for each, grid in zip(reproductions, grids, strict=False)]
    pairs = zip(reproduction.ablations, results[1::2], results[2::2], strict=len(grids) > 1)
    return replace(results[0], ablations=tuple(AblationResult(*each) for each in pairs))


def calculated(reproduction: Reproduction, seeds: Sequence[int]) -> ReproductionResult:
    """Judge a reproduction whose figures are calculated, without any run."""
    from sgbench.reproduction.closed_loop import integrals

    settings = {key: value for key, value in (reproduction.calculation or {}).items() if key != "name"}
    try:
        by_seed = {seed: integrals(**settings, seed=seed) for seed in seeds}
    except (TypeError, ValueError) as error:
        raise InputError(f"reproduction '{reproduction.name}': calculation: {error}") from error
    judged = []
    for figure in reproduction.figures:
        cells = {name: [ConditionCell({seed: by_seed[seed].get(name) for seed in seeds}, 0.0)] for name in figure.of}
        judged.append(judge(figure, cells))
    return ReproductionResult(reproduction, tuple(judged), len(seeds), None)


def stated_s(reproduction: Reproduction, grids: Sequence[ReproductionGrid]) -> float:
    """Estimate the time of the runs without a record from the minutes that a reproduction states [s].

    `reproduction`: states the minutes of all runs of its figures; without them the estimate is 0. `grids`: the runs of
    its figures, then those of its ablations, each of which is taken to last as long.
    """
    if reproduction.minutes is None or not grids:
        return 0.0
    specs, to_train = unfinished(grids)
    return MINUTE_S * reproduction.minutes * len(to_train) / len(grids[0].specs()) if specs else 0.0


def left_s(stated: Sequence[float], done: int, used_s: float) -> float:
    r"""Estimate the time that a list of reproductions still takes [s].

    .. math:: L = \frac{u}{\sum_{i < d} m_i} \sum_{i \ge d} m_i

    Before the first is done, the stated times alone count.

    `stated`: time m_i that each reproduction states [s]; `done`: d, count of reproductions that are done; `used_s`: u,
    time that these took [s].

    >>> left_s([60.0, 120.0], 0, 0.0), left_s([60.0, 120.0], 1, 90.0)  # as stated; two thirds as fast
    (180.0, 180.0)
    """
    stated_done_s, stated_left_s = sum(stated[:done]), sum(stated[done:])
    return stated_left_s * used_s / stated_done_s if stated_done_s else stated_left_s
