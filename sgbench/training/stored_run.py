"""Rebuilds a run from its record, with its stored weights, or builds one from overrides; replays and draws it."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from fastspiking.signals.trajectory import POTENTIAL, SPIKES
from sgbench.composition.compose import compose
from sgbench.errors import InputError, one_printable_line, require_count
from sgbench.leaderboard.score import Measure, measures
from sgbench.networks.base import Network
from sgbench.paths import RECORD, WEIGHTS, default_runs_dir, run_dir
from sgbench.plots.style import Drawn, drawn
from sgbench.records.files import read_model
from sgbench.records.method import with_new_parameters
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec, choice_overrides
from sgbench.training.build import Parts, build
from sgbench.training.run_folder import folder_of, stored_record
from sgbench.training.train_step import Epochs, Part

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sgbench.plots.run import ShownSample

EXECUTION_KEYS = ("paths.", "trainer.", "engine=")
SHOWN_NEURONS = 3
"""Neurons of each layer whose potentials are drawn: those that fire most."""


class StoredRun(NamedTuple):
    """Holds a run that was built again, and its record if it has one."""

    name: str  # for messages
    spec: RunSpec
    parts: Parts  # network, data, rule and other objects
    folder: Path
    record: RunRecord | None
    measure: Measure  # accuracy or loss, by which its task is scored

    @property
    def is_at_chance(self) -> bool:
        return self.record is not None and self.measure.is_at_chance(self.record.validation)


def folder_with_record(argument: str) -> Path | None:
    """Return the folder that an argument names, itself or by the path of its record; None if it has no record.

    >>> folder_with_record("surrogate=atan") is None
    True
    """
    path = Path(argument)
    if path.name == RECORD and path.is_file():
        return path.parent
    return path if (path / RECORD).is_file() else None


def stored_run(
    overrides: Sequence[str], *, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()
) -> StoredRun:
    """Build a run again, from its record or from overrides.

    `overrides`: a folder with a record, then Hydra overrides of its execution, e.g. "paths.data_dir=DIR"; or the Hydra
    overrides of a run. `config_dirs`: folders with entries of your own. `allow_targets`: exact names of classes outside
    the catalogue that may be imported.
    """
    options: dict[str, Any] = {"config_dirs": config_dirs, "allow_targets": allow_targets}
    folder = folder_with_record(overrides[0]) if overrides else None
    if folder is None:
        for override in overrides:
            if "=" not in override:
                raise InputError(
                    f"'{override}' is no run; give a folder with a {RECORD}, or overrides such as surrogate=atan"
                )
        spec = compose(overrides, **options)
        measure = measures(config_dirs)(spec.method)
        return StoredRun("these overrides", spec, build(spec), folder_of(spec), stored_record(spec), measure)
    for override in overrides[1:]:
        if not override.startswith(EXECUTION_KEYS):
            raise InputError(
                f"'{override}': a stored run is rebuilt as it was; only {', '.join(EXECUTION_KEYS)}... can be changed"
            )
    return rebuild_run(folder, read_record(folder), overrides=overrides[1:], **options)


def read_record(folder: Path) -> RunRecord:
    return read_model(folder / RECORD, RunRecord)


def rebuild_run(
    folder: Path,
    record: RunRecord,
    *,
    overrides: Sequence[str] = (),
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
) -> StoredRun:
    """Build a run again from its record; `overrides`: of its execution, see `stored_run`."""
    method = record.method
    overrides_of_record = [f"protocol={method.protocol.name}", f"seed={record.seed}", "trainer.device=cpu"]
    spec = compose(
        [*overrides_of_record, *choice_overrides(method.choices), *overrides],
        config_dirs=config_dirs,
        allow_targets=allow_targets,
    )
    # The record's method counts; the composed one only adds parameters that entries have got since.
    spec = spec.model_copy(update={"method": with_new_parameters(method, spec.method)})
    return StoredRun(str(folder), spec, build(spec), folder, record, measures(config_dirs)(spec.method))


def load_selected(run: StoredRun) -> Network:
    """Load the stored weights of a finished run into its network, checked by the record's hash; return the network."""
    record = run.record
    if record is None or record.status != "finished":
        state = "has not been run" if record is None else "has failed"
        raise InputError(f"{run.name}: the run {state}, so it has no selected weights; use --weights initial")
    path = run.folder / WEIGHTS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or error}; the weights of a finished run lie there; use --weights initial"
        ) from error
    if hashlib.sha256(data).hexdigest() != record.weights_sha256:
        raise InputError(f"{path}: not the weights that the record names; use --weights initial")
    from safetensors.torch import load

    try:
        run.parts.network.load_state_dict(load(data))
    except Exception as error:
        raise InputError(f"{path}: {one_printable_line(error)}") from error
    return run.parts.network


def prepare_pass(run: StoredRun, part: Part, epoch: int) -> None:
    """Set a run's threads, and the network's mode, steepness and noise, for a pass over a split in an epoch."""
    torch.set_num_threads(run.spec.trainer.threads)
    Epochs(run.parts.steepness, run.spec.method.protocol.epochs, run.spec.seed).begin(run.parts.network, part, epoch)


def figure_of_run(
    folder: Path,
    *,
    samples: int = 1,
    overrides: Sequence[str] = (),
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
) -> Figure:
    """Draw a run: learning curves and rates from its record, spikes and potentials of replayed samples.

    `samples`: number of validation samples to replay with the selected weights. Other arguments: see `stored_run`.
    """
    from sgbench.plots.run import RunPicture, layer_rates, run_figure

    record = read_record(folder)
    if not record.curve:
        raise InputError(f"{folder}: no epoch was finished to draw; see: sgbench diagnose {folder}")
    shown: tuple[ShownSample, ...] = ()
    if require_count("--samples", samples, low=0):
        try:
            run = rebuild_run(folder, record, overrides=overrides, config_dirs=config_dirs, allow_targets=allow_targets)
            shown = _replay_samples(run, samples)
        except InputError as error:
            raise InputError(f"{error}; --samples 0 draws the learning curves alone") from error
    return run_figure(RunPicture(record, layer_rates(record), shown))


def _replay_samples(run: StoredRun, count: int) -> tuple[ShownSample, ...]:
    """Run the selected weights on the first validation samples; return the spikes and potentials of each."""
    from sgbench.plots.run import ShownSample

    network = load_selected(run)
    epoch = 0 if run.record is None else run.record.best_epoch or 0
    prepare_pass(run, "validation", epoch)
    run.parts.data.setup()
    (batch,) = itertools.islice(run.parts.data.evaluation("validation"), 1)
    trajectory = network.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES, POTENTIAL}))
    names = [str(layer.name) for layer in network.layers]
    firing = [str(layer.name) for layer in network.layers if layer.neuron.output == "binary"]  # type: ignore[union-attr]
    shown = []
    for sample in range(min(count, len(batch.lengths))):
        end = int(batch.lengths[sample])
        spikes = {  # by layer, [steps, neurons]; so are potentials
            name: spikes[:end, sample].detach().flatten(1).numpy()
            for name, spikes in zip(firing, trajectory.spikes, strict=True)
        }
        potentials = {
            name: _select_neurons(potential[:end, sample].detach().flatten(1).numpy(), spikes.get(name))
            for name, potential in zip(names, trajectory.u, strict=True)
        }
        title = f"validation sample {int(batch.position[sample])}"
        if batch.target.ndim == 1:
            title += f", class {int(batch.target[sample])}"
        shown.append(ShownSample(title, spikes, potentials))
    return tuple(shown)


def _select_neurons(potentials: Any, spikes: Any) -> Any:
    """Select from potentials [T, N] the neurons with most spikes [T, N]; the first ones if `spikes` is None."""
    if spikes is None:
        return potentials[:, :SHOWN_NEURONS]
    most_active = np.argsort(-spikes.sum(0), kind="stable")[:SHOWN_NEURONS]
    return potentials[:, most_active]


def plot(what: Drawn | RunRecord | str | Path, path: str | Path | None = None, *, samples: int = 1) -> Any:
    """Draw a result, or a run: learning curves and rates, spikes and potentials of replayed validation samples.

    Results that have a picture (sweeps, boards, diagnoses, energies, advice under a budget, verdicts) also draw
    themselves: `table.plot()`.

    The example draws what that of `run` has trained:

    >>> from sgbench import load_records
    >>> plot(load_records()[0], "run.png").stat().st_size > 0  # doctest: +SKIP
    True

    Args:
        what: a result, a record, or the folder of a run. For a record, its run must lie in the default runs folder.
        path: file of the picture, .png, .svg or .pdf; None returns a matplotlib figure.
        samples: number of samples of a run to replay with the selected weights; 0 needs neither weights nor data.

    Returns:
        The figure, or the path of the file; a notebook shows either.

    Raises:
        InputError: the file is of another kind, there is nothing to draw, or weights or data are missing.
    """
    if isinstance(what, Drawn):
        return what.plot(path)
    if not isinstance(what, RunRecord | str | Path):
        raise InputError(f"plot: {type(what).__name__} has no picture; give a result with plot(), or a run")
    is_record = isinstance(what, RunRecord)
    folder = run_dir(default_runs_dir(), what.protocol, what.method_id, what.seed) if is_record else Path(what)
    return drawn(partial(figure_of_run, folder, samples=samples), path)
