"""The numbers of a run's picture: from its record, and replayed from its weights and data."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sgbench.errors import InputError, require_count
from sgbench.inspection.stored_run import StoredRun, begin, load_selected, record_of, run_of
from sgbench.plots import style
from sgbench.plots.run import Curves, LayerRates, RunPicture, ShownSample, run_figure
from sgbench.records.record import RunRecord
from sgbench.signals.trajectory import POTENTIAL, SPIKES

SHOWN_NEURONS = 3
"""Of each layer, whose potentials are drawn: those that fire most."""


def draw_run(
    folder: Path,
    path: Path,
    *,
    samples: int = 1,
    words: Sequence[str] = (),
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
) -> None:
    """Draw a run: learning curves and rates from its record, spikes and potentials of replayed samples.

    Args:
        folder: of the run.
        path: of the picture.
        samples: of the validation split that are replayed with the selected weights; 0 for none.
        words: of how it is executed, e.g. "paths.data_dir=DIR".
        config_dirs: folders with entries of one's own.
        allow_targets: exact names of classes outside the catalogue that may be imported.

    Raises:
        InputError: the record cannot be read or holds no epoch, or weights or data are gone.
    """
    style.check_picture_path(path)
    record = record_of(folder)
    if not record.curve:
        raise InputError(f"{folder}: no epoch was finished to draw; see: sgbench diagnose {folder}")
    shown: tuple[ShownSample, ...] = ()
    if require_count("--samples", samples, low=0):
        try:
            run = run_of(folder, record, words=words, config_dirs=config_dirs, allow_targets=allow_targets)
            shown = _replayed(run, samples)
        except InputError as error:
            raise InputError(f"{error}; --samples 0 draws the learning curves alone") from error
    title = f"{record.protocol}, {record.method.label}, seed {record.seed}"
    picture = RunPicture(title, _curves(record), _rates(record), _no_epochs(record), shown)
    style.save(lambda: run_figure(picture), path)


def _curves(record: RunRecord) -> Curves:
    lines = record.curve
    accuracy = [line.validation_accuracy for line in lines]
    return Curves(
        epoch=np.array([line.epoch for line in lines]),
        train_loss=np.array([line.train_loss for line in lines]),
        validation_loss=np.array([line.validation_loss for line in lines]),
        validation_accuracy=None if None in accuracy else np.array(accuracy, dtype=float),
        best_epoch=record.best_epoch,
    )


def _rates(record: RunRecord) -> tuple[LayerRates, ...]:
    """List rates by epoch, then those of diagnoses during training, then those on validation and test."""
    known: dict[str, list[tuple[str, float]]] = {}
    for diagnosis in record.diagnosis or ():
        for layer in diagnosis.layers:
            if layer.rate_per_step is not None and diagnosis.weights != "selected":
                known.setdefault(layer.name, []).append((diagnosis.weights, layer.rate_per_step))
    for split, scores in (("validation", record.validation), ("test", record.test)):
        for line in () if scores is None else scores.activity:
            known.setdefault(line.name, []).append((split, line.rate_per_step))
    by_epoch = {layer.name: np.array(layer.rate_per_step) for layer in record.validation_rates or ()}
    return tuple(
        LayerRates(
            name,
            by_epoch.get(name),
            where=tuple(where for where, _ in known.get(name, ())),
            rate=tuple(rate for _, rate in known.get(name, ())),
        )
        for name in [*by_epoch, *(name for name in known if not by_epoch)]
    )


def _no_epochs(record: RunRecord) -> str:
    """Say why there are no rates by epoch; nothing where there are."""
    if record.validation_rates is not None:
        return ""
    if record.validation is not None and not record.validation.activity:
        return "no layer fires"
    return "no rates by epoch: the record is from before they were kept"


def _replayed(run: StoredRun, count: int) -> tuple[ShownSample, ...]:
    """Replay the first samples of the validation split with the selected weights."""
    network = load_selected(run)
    epoch = 0 if run.record is None else run.record.best_epoch or 0
    begin(run, "validation", epoch)
    run.parts.data.setup()
    (batch,) = itertools.islice(run.parts.data.evaluation("validation"), 1)
    trajectory = network.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES, POTENTIAL}))
    names = [str(layer.name) for layer in network.layers]
    firing = [str(layer.name) for layer in network.layers if layer.neuron.output == "binary"]  # type: ignore[union-attr]
    shown = []
    for sample in range(min(count, len(batch.lengths))):
        end = int(batch.lengths[sample])
        spikes = {
            name: spikes[:end, sample].detach().flatten(1).numpy()
            for name, spikes in zip(firing, trajectory.spikes, strict=True)
        }
        potentials = {
            name: _few(potential[:end, sample].detach().flatten(1).numpy(), spikes.get(name))
            for name, potential in zip(names, trajectory.u, strict=True)
        }
        title = f"validation sample {int(batch.position[sample])}"
        if batch.target.ndim == 1:
            title += f", class {int(batch.target[sample])}"
        shown.append(ShownSample(title, spikes, potentials))
    return tuple(shown)


def _few(potentials: Any, spikes: Any) -> Any:
    """Select the neurons that fire most, or the first ones of a layer that does not fire."""
    if spikes is None:
        return potentials[:, :SHOWN_NEURONS]
    most = np.argsort(-spikes.sum(0), kind="stable")[:SHOWN_NEURONS]
    return potentials[:, most]
