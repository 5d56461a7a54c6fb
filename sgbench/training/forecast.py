"""Forecast of a run's time and memory on this machine, measured on a few of its batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch

from fastspiking.signals.spikes import SpikeTrains
from fastspiking.signals.trajectory import Batch
from sgbench.datasets.base import Samples, Split
from sgbench.datasets.batches import Batches
from sgbench.datasets.kept import MOST_BYTES, Kept
from sgbench.records.spec import RunSpec
from sgbench.training import memory
from sgbench.training.build import Parts, build
from sgbench.training.epoch_loop import Training

BATCHES = 4  # number of batches of each split that are measured
WARM_EPOCHS, WARM_S = 15, 10.0  # small epochs before the measurement, and processor time after which they end
SCORED: tuple[Split, ...] = ("train", "validation")


@dataclass(frozen=True)
class Clock:
    """Holds a wall-clock time and a processor time [s]."""

    wall_s: float
    cpu_s: float

    def times(self, factor: float) -> Clock:
        return Clock(self.wall_s * factor, self.cpu_s * factor)

    def plus(self, other: Clock) -> Clock:

        return Clock(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)


@dataclass(frozen=True)
class Forecast:
    """Holds the predicted time and memory of an epoch and of a run, and the measurements behind them."""

    measured: Mapping[Split, int]  # number of samples of each split that were measured
    measured_train: Clock  # of training on them
    measured_validation: Clock  # of scoring them
    samples: Mapping[Split, int]  # number of samples of each split in a whole epoch
    first_epoch: Clock  # predicted, encoding included
    epoch: Clock  # predicted, of a later epoch
    run: Clock  # predicted, of all epochs of the protocol without the test
    epochs: int
    peak_bytes: int | None  # predicted resident memory of the process; None where the system does not report it
    engine: str  # name of the engine, and why it was chosen


def forecast(spec: RunSpec) -> Forecast:
    """Predict a run's time and memory from two small epochs of a few batches each.

    Unmeasured small epochs come first, since a trained network fires at other rates than a new one. The first
    measured epoch includes encoding. The second reuses encoded samples, if those of the whole run fit into memory.
    Times are scaled by the number of samples. The test split is not opened, and nothing is written.
    """
    torch.set_num_threads(spec.trainer.threads)
    memory.keep_freed_memory()
    protocol = spec.method.protocol
    parts, whole_sizes, small_sizes = _build_small(spec)
    scale: dict[Split, float] = {split: whole_sizes[split] / small_sizes[split] for split in SCORED}
    training = Training(parts, spec.method, spec.seed, made_by={})
    memory.reset_peak()
    _warm_up(parts, training, protocol.epochs)
    epochs: list[Clock] = []
    for epoch in (0, 1):
        training.begin_epoch(epoch)
        batches, preparing = _epoch_batches(parts, epoch, scale["train"])
        train = _time_call(lambda batches=batches: _train(parts, training, batches))
        score = _time_call(lambda: _score(parts, training))
        training.end_epoch()
        epochs.append(train.times(scale["train"]).plus(score.times(scale["validation"])))
    first_epoch, later_epoch = epochs
    preparing_once = preparing.times(scale["train"])  # the second epoch stores encoded samples for all later ones
    return Forecast(
        measured=small_sizes,
        measured_train=train,
        measured_validation=score,
        samples=whole_sizes,
        first_epoch=first_epoch,
        epoch=later_epoch,
        run=first_epoch.plus(preparing_once).plus(later_epoch.times(protocol.epochs - 1)),
        epochs=protocol.epochs,
        peak_bytes=_peak_bytes(parts, scale),
        engine=f"{parts.engine.name}: {parts.engine.reason}",
    )


def _warm_up(parts: Parts, training: Training, epochs: int) -> None:
    """Train for some small epochs, spread over the protocol's, whose steepness and learning rate they take."""
    began_s = time.process_time()
    for warm_epoch in range(WARM_EPOCHS):
        training.begin_epoch(warm_epoch * epochs // WARM_EPOCHS)
        for batch in parts.data.epoch(0):
            _train(parts, training, [batch])
            if time.process_time() - began_s > WARM_S:
                return


def _build_small(spec: RunSpec) -> tuple[Parts, dict[Split, int], dict[Split, int]]:
    """Build a run of a few batches; return its parts, and the sizes of the splits in the whole run and in this one."""
    protocol = spec.method.protocol
    limit = protocol.first_samples  # most samples of each split in the whole run; None: no limit
    few = BATCHES * protocol.batch_size
    small_limit = few if limit is None else min(few, limit)
    method = spec.method.model_copy(update={"protocol": protocol.model_copy(update={"first_samples": small_limit})})
    parts = build(spec.model_copy(update={"method": method}))
    parts.data.setup()
    sizes = parts.data.data_set.sizes
    whole: dict[Split, int] = {split: sizes[split] if limit is None else min(sizes[split], limit) for split in SCORED}
    return parts, whole, {split: len(parts.data.splits[split].target) for split in SCORED}


def _epoch_batches(parts: Parts, epoch: int, scale: float) -> tuple[Batches, Clock]:
    """Return an epoch's training batches, and the time it takes to prepare them.

    Encoded samples are dropped if the whole run, with `scale` times as many, could not keep them in memory.
    """
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    batches = parts.data.epoch(epoch)
    time_taken = Clock(time.perf_counter() - wall_s, time.process_time() - cpu_s)
    if batches.kept is not None and bytes_of_code(batches.kept) * scale > MOST_BYTES:
        batches.kept = parts.data.kept["train"] = None
    return batches, time_taken


def _train(parts: Parts, training: Training, batches: Iterable[Batch]) -> None:
    for batch in batches:
        training.set_learning_rate(parts.optimizer)
        training.train(batch, parts.optimizer)


def _score(parts: Parts, training: Training) -> None:
    """Score the validation split as an epoch does, for its time alone."""
    training.begin_scoring("validation", selected=False)
    for batch in parts.data.evaluation("validation"):
        training.score(batch)
    training.evaluation.scores()


def _time_call(function: Callable[[], None]) -> Clock:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    function()
    return Clock(time.perf_counter() - wall_s, time.process_time() - cpu_s)


def _peak_bytes(parts: Parts, scale: Mapping[Split, float]) -> int | None:
    """Return the predicted peak memory [bytes]: the measured peak plus the samples that the small run lacks.

    `scale` is the number of samples of the whole run over that of the small one, by split.
    """
    peak = memory.peak_bytes()
    if peak is None:
        return None
    for split, factor in scale.items():
        peak += round((factor - 1) * _bytes_in_memory(parts.data.splits[split]))
    kept = parts.data.kept.get("train")
    return peak + (0 if kept is None else round((scale["train"] - 1) * bytes_of_code(kept)))


def bytes_of_code(kept: Kept) -> int:
    """Return the memory of a split's encoded samples [bytes]."""
    return kept.index.nbytes + kept.counts.nbytes + (0 if kept.value is None else kept.value.nbytes)


def _bytes_in_memory(samples: Samples) -> int:
    """Return the memory of a split's samples [bytes]; 0 for samples that are mapped from disk."""
    values = samples.values
    if type(values) is SpikeTrains:
        return values.channel.nbytes + values.time_us.nbytes
    return 0 if isinstance(values, SpikeTrains) else values.nbytes  # subclasses map a file
