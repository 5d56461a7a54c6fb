"""One run that has its process for itself, trained epoch by epoch from its last checkpoint to its record."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader, IterableDataset
from tqdm.auto import tqdm

from fastspiking.signals.trajectory import Batch
from sgbench.datasets.base import Split
from sgbench.datasets.batches import Batches
from sgbench.energy.meter import Laps, meters
from sgbench.errors import InputError, StorageError
from sgbench.records.content import HostEnergy, Scores
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.training import memory
from sgbench.training.base_run import BaseRun
from sgbench.training.build import Parts, on_device
from sgbench.training.helper_processes import helper_processes, send_epoch
from sgbench.training.profile import Profile
from sgbench.training.provenance import Code
from sgbench.training.run_folder import CHECKPOINT
from sgbench.training.train_step import check_optimizer


class SingleRun(BaseRun):
    """Trains, validates and tests one run."""

    def __init__(self, spec: RunSpec, parts: Parts, folder: Path) -> None:
        super().__init__(spec, parts, folder, Code.here())
        self.profile = Profile(parts.device) if spec.trainer.profile else None
        self.laps = Laps(meters()[0])
        self.was_continued = False

    def record(self) -> RunRecord:
        """Make the run, and return its record: of a failed run after an error other than the user's or the disk's."""
        try:
            torch.set_num_threads(self.spec.trainer.threads)
            memory.keep_freed_memory()
            self.memory_is_measured = memory.reset_peak()
            self.parts.data.setup()
            self.record_test_access()
            self.make_loggers()
            # Averages gradients with the helper processes; None for a run of one process.
            with helper_processes(self.spec) as self.training.loop.together:
                return self._train_and_test()
        except (InputError, StorageError):
            raise
        except Exception as error:
            return self.make_failed_record(error)

    def _train_and_test(self) -> RunRecord:
        """Train from the last checkpoint on, score the selected weights, and make the record of the finished run."""
        if self.profile is not None:
            self.profile.attach(self.parts, self.training, self.loggers)
        self.load()
        self.fit()
        fit_j = self.laps.total_j  # energy of the fit by each meter [J]
        weights_sha256 = self.save_best_weights()
        validation = self._score_selected("validation")
        self.laps.lap()  # so that the next one measures the test alone
        if self.spec.opens_test:
            began_s = time.perf_counter()
            with self.parts.data.last_step():
                self._score_selected("test")
            self.test_s = time.perf_counter() - began_s
        if not self._has_extra_work:
            self.host_energy = [
                HostEnergy(meter=meter.name, fit_j=fit, test_j=test)
                for meter, fit, test in zip(self.laps.meters, fit_j, self.laps.lap(), strict=True)
            ]
        return self.make_finished_record(validation, weights_sha256)

    @property
    def _has_extra_work(self) -> bool:
        """Return whether this attempt does more, or less, than one plain fit, whose energy alone is recorded."""
        settings = self.spec.trainer
        return bool(
            self.was_continued
            or settings.watch_test_score
            or settings.diagnose
            or settings.watch_agreement
            or settings.profile
        )

    def load(self) -> None:
        """Restore weights, optimiser and training from the last checkpoint, if there is one."""
        checkpoint = self.load_checkpoint(CHECKPOINT, "network", "optimizer")
        if checkpoint is None:
            return
        self.was_continued = True
        self.parts.network.load_state_dict(checkpoint["network"])
        self.parts.optimizer.load_state_dict(checkpoint["optimizer"])
        self.training.load_state_dict(checkpoint["sgbench"])

    def fit(self) -> None:
        """Train until the protocol's last epoch, or until patience has run out."""
        if self.training.ended:
            return
        with contextlib.nullcontext() if self.profile is None else self.profile.fitting():
            self.train_epochs()
        self.laps.lap()
        if self.profile is not None:
            self.profile.write(self.folder)

    def train_epochs(self) -> None:
        """Train epoch by epoch behind a progress bar, until training has ended."""
        settings, training = self.spec.trainer, self.training
        bar = tqdm(
            initial=len(training.curve),
            total=training.epochs.count,
            unit="epoch",
            disable=None if settings.progress else True,  # None: unless standard error is a terminal
            leave=False,
            dynamic_ncols=True,
        )
        with bar:
            while not training.ended:
                self._epoch()
                accuracy, loss = training.curve[-1].validation_accuracy, training.curve[-1].validation_loss
                share = "" if accuracy is None else f"{accuracy:.1%}, "
                bar.set_postfix_str(f"validation {share}loss {loss:.3f}", refresh=False)
                bar.update()

    def _epoch(self) -> None:
        """Train and validate one epoch, log its numbers, and end it."""
        training, began_s = self.training, time.perf_counter()
        training.begin_epoch(len(training.curve))
        send_epoch(training, self.parts.optimizer)
        for batch in self._batches(self.parts.data.epoch(training.epoch)):
            training.set_learning_rate(self.parts.optimizer)
            training.train(batch, self.parts.optimizer)
        training.begin_scoring("validation", selected=False)
        for batch in self._batches_of("validation"):
            training.score(batch)
        check_optimizer(self.parts.optimizer)
        training.end_epoch()
        training.fit_s += time.perf_counter() - began_s
        step = len(training.curve) * self.parts.data.batches_per_epoch - 1  # the epoch's last, counted over epochs
        numbers = training.epoch_numbers() | {"epoch": float(training.epoch)}
        for logger in self.loggers:
            logger.log_metrics(numbers, step)
            logger.save()
        self.end_epoch(len(training.curve), step, ended=training.ended)

    def end_epoch(self, epochs_done: int, step: int, *, ended: bool) -> None:
        """Watch the test split, write a checkpoint where one is due, show histograms and read the meters."""
        if self.spec.watches_test:
            with self.parts.data.watched(self.training.epoch):
                self.training.watch(self._batches(self.parts.data.evaluation("test")))
        if checkpoint_is_due(epochs_done, self.spec.trainer.checkpoint_every, ended=ended):
            with contextlib.nullcontext() if self.profile is None else self.profile.part("checkpoint"):
                self.save()
        self.show_histograms(step)
        self.laps.lap()

    def save(self) -> None:
        """Write a checkpoint of a whole epoch."""
        network, optimizer = self.parts.network.state_dict(), self.parts.optimizer.state_dict()
        content = {"sgbench": self.training.state_dict(), "network": network, "optimizer": optimizer}
        self.save_checkpoint(CHECKPOINT, content)

    def _score_selected(self, split: Split) -> Scores:
        self.training.begin_scoring(split, selected=True)
        for batch in self._batches_of(split):
            self.training.score(batch)
        return self.training.evaluation.scores()

    def _batches_of(self, split: Split) -> Iterable[Batch]:
        return self._batches(self.parts.data.evaluation(split))

    def _batches(self, batches: Batches) -> Iterable[Batch]:
        """Return the batches of a pass on the run's device."""
        encoded, device = self.ahead(batches), self.parts.device
        return encoded if device.type == "cpu" else (on_device(batch, device) for batch in encoded)

    def ahead(self, batches: Batches) -> Iterable[Batch]:
        """Return the batches of a pass, encoded by a worker ahead of their use if the run asks for that."""
        return encoded_ahead(batches, self.spec.trainer.batches_ahead, self.parts.device)


def checkpoint_is_due(epochs: int, every: int, *, ended: bool) -> bool:
    """Return whether to write a checkpoint when so many epochs are done: after each `every` of them, and at the end.

    >>> [epoch for epoch in range(1, 8) if checkpoint_is_due(epoch, 3, ended=epoch == 7)]
    [3, 6, 7]
    """
    return ended or epochs % every == 0


def encoded_ahead(batches: Batches, count: int, device: torch.device) -> Iterable[Batch]:
    """Return the batches of a pass, the same to the bit, encoded while earlier ones are in use.

    One worker process encodes all of them in order, so that the encoder's random numbers are the same. For a CUDA
    device they are copied to pinned memory, from which the device fetches them while it computes.

    `batches`: one pass over a split. `count`: how many are encoded ahead; 0 encodes each in this process when it is
    needed.
    """
    pinned = device.type == "cuda"
    if not count and not pinned:
        return batches
    return DataLoader(
        _Pass(batches),
        batch_size=None,  # they are batches already
        num_workers=1 if count else 0,
        prefetch_factor=count or None,
        multiprocessing_context="fork" if count else None,  # the samples are shared, not sent
        pin_memory=pinned,
        generator=torch.Generator(),  # draws the worker's seed, so that torch's global generator does not advance
    )


class _Pass(IterableDataset[Batch]):
    """Adapts the batches of a pass to torch's `DataLoader`."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)
