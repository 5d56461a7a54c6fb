"""How the networks of a study start, before training: spikes of each task, and gradients of each cell of the map."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from sgbench.composition.compose import compose
from sgbench.recommendation.start import measure_spec
from sgbench.recommendation.summary import Finite
from sgbench.records.base import Amount, Fraction, Natural, Strict, Text
from sgbench.records.files import read_model, to_json, write_atomic
from sgbench.records.spec import RunSpec
from sgbench.study_runner.cells import StudyPoint, points
from sgbench.study_runner.definition import Loaded
from sgbench.study_runner.run import StudyFolders, compose_specs
from sgbench.study_runner.scores import read_settled
from study.surrogates.analysis.comparisons import MAP, UNSEEN

INITIAL = "initial.json"
"""Beside the stored records of a study."""


class InitialCell(Strict):
    """Describes one shape and width at the weights that training begins with, a number a hidden layer."""

    surrogate: Text
    width_fwhm: Amount
    gradients: Annotated[tuple[Amount | None, ...], Field(min_length=1, max_length=100)]
    """Norm of the loss's gradient of the layer's weights; None where it is not finite."""
    in_window: Annotated[tuple[Fraction, ...], Field(min_length=1, max_length=100)]
    """Share of potentials, over samples, steps and neurons, within half the width of the threshold."""


class InitialStates(Strict):
    """Holds the cells of each task, all of one seed and one batch a task."""

    seed: Natural
    tasks: dict[Text, tuple[InitialCell, ...]]


def read_initial(folder: Path) -> InitialStates | None:
    """Read what was measured of a study's networks before training; None where nothing was."""
    path = folder / INITIAL
    return read_model(path, InitialStates) if path.exists() else None


STARTS = "starts.json"
"""Name of the file next to the stored records of a study."""


class Starts(Strict):
    """Holds the spikes per neuron and inference before training, by task and hidden layer."""

    tasks: dict[Text, tuple[Finite, ...]]


def read_starts(folder: Path) -> Mapping[str, tuple[float, ...]]:
    """Read a study's spikes per neuron before training from its folder, by task and hidden layer.

    They are empty if they were not measured; a damaged file raises an InputError.
    """
    path = folder / STARTS
    return read_model(path, Starts).tasks if path.exists() else {}


def measure(loaded: Loaded, folders: StudyFolders) -> Iterator[tuple[str, tuple[float, ...] | None]]:
    """Measure the network of each task of the map, and of later ones, on one training batch; store and yield each."""
    known = dict(read_starts(folders.store.folder))
    for task, sent in _measured(loaded, folders):
        if sent is not None:
            known[task] = sent
            write_atomic(folders.store.folder / STARTS, to_json(Starts(tasks=known)))
        yield task, sent


def _measured(loaded: Loaded, folders: StudyFolders) -> Iterator[tuple[str, tuple[float, ...] | None]]:
    """Yield the tasks of the map at their reference, and later ones as `sgbench recommend` was asked about them."""
    firsts: dict[str, StudyPoint] = {}
    for point in points(loaded.study, MAP, read_settled(folders.store.folder)):
        firsts.setdefault(point.task, point)
    for task, spec in zip(firsts, compose_specs(list(firsts.values()), folders), strict=True):
        yield task, _start_spikes(spec)
    data = [] if folders.data_dir is None else [f"paths.data_dir={folders.data_dir}"]
    for task in loaded.study.blocks[UNSEEN].tasks if UNSEEN in loaded.study.blocks else ():
        words = [*loaded.study.tasks[task].words, *data]
        yield task, _start_spikes(compose(words, config_dirs=folders.config_dirs))


def _start_spikes(spec: RunSpec) -> tuple[float, ...] | None:
    """Measure the spikes a neuron sends in one inference before training, by hidden layer."""
    found = measure_spec(spec)
    return None if found.spikes_per_step is None else tuple(sent * found.steps for sent in found.spikes_per_step)
