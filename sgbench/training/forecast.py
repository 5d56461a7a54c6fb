"""How long an epoch takes on this machine and how much memory, from some batches of the run itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch

from sgbench.datasets.base import Samples, Split
from sgbench.datasets.batches import Batches
from sgbench.datasets.kept import MOST_BYTES, Kept
from sgbench.records.spec import RunSpec
from sgbench.signals.spike_trains import SpikeTrains
from sgbench.signals.trajectory import Batch
from sgbench.training import memory
from sgbench.training.build import Parts, build
from sgbench.training.epoch_loop import Training

BATCHES = 4  # of each split that is measured
WARM_EPOCHS, WARM_S = 15, 10.0  # small ones before, and processor time after which they end
SCORED: tuple[Split, ...] = ("train", "validation")


@dataclass(frozen=True)
class Clock:
    """Holds seconds by the clock on the wall, and of the processor."""

    wall_s: float
    cpu_s: float

    def times(self, factor: float) -> Clock:
        """Return both times multiplied by a factor."""
        return Clock(self.wall_s * factor, self.cpu_s * factor)

    def plus(self, other: Clock) -> Clock:
        """Return the sum with another clock."""
        return Clock(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)


@dataclass(frozen=True)
class Forecast:
    """Predicts time and memory of an epoch and of a run, with the measurements behind them."""

    measured: Mapping[Split, int]  # samples of each split
    measured_train: Clock
    measured_validation: Clock
    samples: Mapping[Split, int]  # of each split that an epoch needs
    first_epoch: Clock  # in which all is encoded
    epoch: Clock  # a later one
    run: Clock  # all epochs of the protocol, without the test
    epochs: int
    peak_bytes: int | None  # resident memory of the process; None where the system does not report it
    engine: str


def forecast(spec: RunSpec) -> Forecast:
    """Train and score a few batches, two epochs of them, and predict the epochs of the whole sets.

    Small epochs along the run's schedule come before, since a network that has learnt fires otherwise than a new
    one. Of the two that are measured the first shows what encoding costs; the second is a later epoch in little,
    with the code that a run keeps where all of it fits. Time goes with the number of samples. The test split stays
    closed, and nothing is written.

    Args:
        spec: of the run.

    Raises:
        InputError: a name or value is not usable, or files are missing.
        NonFiniteError: the run would fail in its first steps.
    """
    torch.set_num_threads(spec.trainer.threads)
    memory.keep_freed_memory()
    protocol = spec.method.protocol
    parts, whole, part = _build_small(spec)
    share: dict[Split, float] = {split: whole[split] / part[split] for split in SCORED}
    training = Training(parts, spec.method, spec.seed, made_by={})
    memory.reset_peak()
    _warm_up(parts, training, protocol.epochs)
    epochs: list[Clock] = []
    for epoch in (0, 1):
        training.begin_epoch(epoch)
        batches, keeping = _batches(parts, epoch, share["train"])
        train = _measured(lambda batches=batches: _train(parts, training, batches))
        score = _measured(lambda: _score(parts, training))
        training.end_epoch()
        epochs.append(train.times(share["train"]).plus(score.times(share["validation"])))
    return Forecast(
        measured=part,
        measured_train=train,
        measured_validation=score,
        samples=whole,
        first_epoch=epochs[0],
        epoch=epochs[1],
        run=epochs[0].plus(keeping.times(share["train"])).plus(epochs[1].times(protocol.epochs - 1)),
        epochs=protocol.epochs,
        peak_bytes=_peak_bytes(parts, share),
        engine=f"{parts.engine.name}: {parts.engine.reason}",
    )


def _warm_up(parts: Parts, training: Training, epochs: int) -> None:
    """Train along the schedule of a run, in fewer epochs; long batches end it early."""
    began_s = time.process_time()
    for done in range(WARM_EPOCHS):
        training.begin_epoch(done * epochs // WARM_EPOCHS)
        for batch in parts.data.epoch(0):
            _train(parts, training, [batch])
            if time.process_time() - began_s > WARM_S:
                return


def _build_small(spec: RunSpec) -> tuple[Parts, dict[Split, int], dict[Split, int]]:
    """Build a run of a few batches, and count the samples of the whole splits and of these."""
    protocol = spec.method.protocol
    asked = protocol.first_samples
    few = BATCHES * protocol.batch_size
    first = few if asked is None else min(few, asked)
    method = spec.method.model_copy(update={"protocol": protocol.model_copy(update={"first_samples": first})})
    parts = build(spec.model_copy(update={"method": method}))
    parts.data.setup()
    sizes = parts.data.data_set.sizes
    whole: dict[Split, int] = {
        split: sizes[split] if asked is None else min(sizes[split], asked) for split in SCORED
    }
    return parts, whole, {split: len(parts.data.splits[split].target) for split in SCORED}


def _batches(parts: Parts, epoch: int, share: float) -> tuple[Batches, Clock]:
    """Return an epoch's batches, with encoded samples kept as in the whole run, and the time that keeping takes."""
    made: list[Batches] = []
    took = _measured(lambda: made.append(parts.data.epoch(epoch)))
    (batches,) = made
    if batches.kept is not None and bytes_of_code(batches.kept) * share > MOST_BYTES:
        batches.kept = parts.data.kept["train"] = None
    return batches, took


def _train(parts: Parts, training: Training, batches: Iterable[Batch]) -> None:
    """Train on batches as an epoch does."""
    for batch in batches:
        training.set_learning_rate(parts.optimizer)
        training.train(batch, parts.optimizer)


def _score(parts: Parts, training: Training) -> None:
    """Score the validation split as after an epoch."""
    training.begin_scoring("validation", selected=False)
    for batch in parts.data.evaluation("validation"):
        training.score(batch)
    training.evaluation.scores()


def _measured(do: Callable[[], None]) -> Clock:
    """Measure the time of a call, by the wall clock and of the processor."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    do()
    return Clock(time.perf_counter() - wall_s, time.process_time() - cpu_s)


def _peak_bytes(parts: Parts, share: Mapping[Split, float]) -> int | None:
    """Add to the peak so far what the samples and the code of the whole sets take beyond the measured part."""
    peak = memory.peak_bytes()
    if peak is None:
        return None
    for split, factor in share.items():
        peak += round((factor - 1) * _bytes_in_memory(parts.data.splits[split]))
    kept = parts.data.kept.get("train")
    return peak + (0 if kept is None else round((share["train"] - 1) * bytes_of_code(kept)))


def bytes_of_code(kept: Kept) -> int:
    """Return the memory that the encoded samples of a split take [bytes]."""
    return kept.index.nbytes + kept.counts.nbytes + (0 if kept.value is None else kept.value.nbytes)


def _bytes_in_memory(samples: Samples) -> int:
    """Return the memory of samples that are not mapped from disk [bytes]."""
    values = samples.values
    if isinstance(values, SpikeTrains):
        return 0 if type(values) is not SpikeTrains else values.channel.nbytes + values.time_us.nbytes
    return values.nbytes
