"""Measure a study's cells before training: gradients by layer, and how many potentials lie in the window."""

import itertools
import math
from collections.abc import Iterator

from fastspiking.signals.trajectory import Batch, valid_steps
from sgbench.diagnosis.flow import weights_gradient
from sgbench.diagnosis.traces import trace
from sgbench.records.files import to_json, write_atomic
from sgbench.records.spec import RunSpec
from sgbench.study_runner.cells import StudyPoint, points
from sgbench.study_runner.definition import Loaded
from sgbench.study_runner.run import StudyFolders, compose_specs
from sgbench.study_runner.scores import read_settled
from sgbench.training.build import build
from sgbench.training.train_step import Epochs
from study.surrogates.analysis.comparisons import MAP
from study.surrogates.analysis.starting import INITIAL, InitialCell, InitialStates

DIGITS = 4
"""Significant digits that are stored, fewer than vary between machines."""


def measure_gradients(loaded: Loaded, folders: StudyFolders) -> Iterator[tuple[str, int]]:
    """Measure every shape and width of the regime map on one training batch of each task; yield task and cells.

    The batch is the first of the first map seed, the learning rate plays no part, and nothing is trained.
    """
    seed = loaded.study.blocks[MAP].seeds.first
    wanted = [
        point
        for point in points(loaded.study, MAP, read_settled(folders.store.folder))
        if point.seed == seed and set(point.cell) == {"surrogate", "width_fwhm"}
    ]
    tasks: dict[str, tuple[InitialCell, ...]] = {}
    for task, members in itertools.groupby(wanted, key=lambda point: point.task):
        several = list(members)
        tasks[task] = tuple(_task(several, compose_specs(several, folders)))
        write_atomic(folders.store.folder / INITIAL, to_json(InitialStates(seed=seed, tasks=tasks)))
        yield task, len(several)


def _task(cells: list[StudyPoint], specs: list[RunSpec]) -> Iterator[InitialCell]:
    """Measure each cell of a task before training, on the same first batch."""
    data = build(specs[0]).data
    data.setup()
    batch = next(iter(data.epoch(0)))
    for point, spec in zip(cells, specs, strict=True):
        yield measured_cell(str(point.cell["surrogate"]), float(str(point.cell["width_fwhm"])), spec, batch)


def measured_cell(surrogate: str, width: float, spec: RunSpec, batch: Batch) -> InitialCell:
    """Measure the gradient of each hidden layer, and the share of potentials in the window, before training."""
    parts = build(spec)
    Epochs(parts.steepness, spec.method.protocol.epochs, spec.seed).begin(parts.network, "train", 0)
    traced = trace(parts.network, batch, parts.objective)
    hidden = len(parts.network.hidden_layers)
    valid = valid_steps(batch.lengths, batch.x.shape[0])
    norms = [float(weights_gradient(layer).norm()) for layer in traced.network.hidden_layers]
    within = [(layer.potentials().abs() <= width / 2)[valid] for layer in traced.layers[:hidden]]  # of the threshold
    shares = [float(near.double().mean()) for near in within]
    return InitialCell(
        surrogate=surrogate,
        width_fwhm=width,
        gradients=tuple(_rounded(norm) if math.isfinite(norm) else None for norm in norms),
        in_window=tuple(map(_rounded, shares)),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
