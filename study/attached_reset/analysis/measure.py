"""What `python -m study measure attached_reset` runs: how the networks start, before training."""

from collections.abc import Iterator
from itertools import product

from sgbench.composition.plan import PointComposer
from sgbench.records.files import to_json, write_atomic
from sgbench.study_runner.definition import Loaded
from sgbench.study_runner.run import StudyFolders
from study.attached_reset.analysis.starts import (
    FILE,
    NetworkStart,
    NetworkStarts,
    Predicted,
    measured_heights,
    measured_network,
)

WIDTHS, BETAS, PEAKS = (0.2, 0.5), (0.3, 0.6, 0.9), (1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)


def measure_study(loaded: Loaded, folders: StudyFolders, *, gradients: bool) -> Iterator[str]:
    """Measure how the networks of the study start, write the numbers beside its runs, and yield a line for each."""
    del gradients
    study, composer = loaded.study, PointComposer(folders.config_dirs, folders.allow_targets)
    networks: list[NetworkStart] = []
    for name in (*study.blocks["B1"].tasks, *study.blocks["B2"].tasks):
        networks.append(measured_network(study, name, composer))
        yield f"{name}: q {networks[-1].q:.2f}, {networks[-1].spikes_per_step:.3f} spikes a step"
    predicted: list[Predicted] = []
    for name in (*study.blocks["A3"].tasks, *study.blocks["A4"].tasks):
        predicted += measured_heights(study, name, composer, list(product(WIDTHS, BETAS, PEAKS)))
        yield f"{name}: the predictor of {len(predicted)} cells"
    starts = NetworkStarts(predicted=tuple(predicted), networks=tuple(networks))
    write_atomic(folders.store.folder / FILE, to_json(starts))
