"""A run that PyTorch Lightning's Trainer drives, with a user's callbacks and arguments (`trainer=lightning`)."""

import dataclasses
import itertools
import logging
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers.logger import DummyLogger
from pytorch_lightning.profilers import Profiler
from pytorch_lightning.strategies import Strategy
from pytorch_lightning.trainer.states import TrainerFn

from fastspiking.signals.trajectory import Batch
from sgbench.datasets.base import Split
from sgbench.errors import InputError, one_printable_line, require_choice, require_number
from sgbench.records.content import Scores
from sgbench.records.spec import RunSpec
from sgbench.training.build import Parts, construct
from sgbench.training.epoch_loop import Training
from sgbench.training.helper_processes import send_epoch
from sgbench.training.loggers import RunLogger
from sgbench.training.provenance import OWN_PRECISIONS, driven_by
from sgbench.training.run_folder import LIGHTNING_CHECKPOINT
from sgbench.training.single_run import SingleRun
from sgbench.training.train_step import check_optimizer

log = logging.getLogger("sgbench")
MIXED = ("bf16", "bf16-mixed")
"""Values of Lightning's `precision` that torch alone computes."""
NOT_SHARED = (
    "fast_dev_run", "gradient_clip_val", "limit_train_batches", "max_steps", "max_time", "overfit_batches", "precision",
)  # fmt: skip
"""Arguments that helper processes would not follow."""


class LightningRun(SingleRun):
    """Trains one run by Lightning's Trainer; the selected weights are scored as those of any other run."""

    def __init__(self, spec: RunSpec, parts: Parts, folder: Path) -> None:
        if "precision" in spec.trainer.arguments:
            reason = f"only torch computes trainer.precision={spec.trainer.arguments['precision']}"
            parts = dataclasses.replace(parts, engine=parts.engine._replace(reason=reason))
        super().__init__(spec, parts, folder)
        self.learner = Learner(self)
        self.training.made_by |= driven_by(spec) or {}
        self.arguments = dict(spec.trainer.arguments)
        # Lightning clips only where it steps by itself, and here learning rules decide when to step.
        limit: Any = self.arguments.pop("gradient_clip_val", None)
        algorithm = self.arguments.pop("gradient_clip_algorithm", None)
        if limit is not None:
            require_number("trainer.gradient_clip_val", limit, low=0, open_low=True)
            measure = require_choice("trainer.gradient_clip_algorithm", algorithm or "norm", ("norm", "value"))
            setattr(self.training.loop, f"clip_{measure}", float(limit))

    def load(self) -> None:
        """Make the Trainer, and restore the training from the last checkpoint, if there is one."""
        self.trainer = self._trainer()
        checkpoint = self.load_checkpoint(LIGHTNING_CHECKPOINT)
        if checkpoint is not None:
            self.was_continued = True
            # Loaded before fit, since a run whose patience has run out must not train another epoch.
            self.learner.on_load_checkpoint(checkpoint)

    def train_epochs(self) -> None:
        """Let the Trainer train, from the last checkpoint if there is one."""
        path = self.folder / LIGHTNING_CHECKPOINT if self.was_continued else None
        with warnings.catch_warnings():
            # Lightning 2.6 on torch 2.13: of its own code, which a user cannot change.
            warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
            # One worker encodes all batches in order, so that random numbers are the same.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            try:
                self.trainer.fit(self.learner, ckpt_path=path, weights_only=None if path is None else True)
            except SystemExit:  # Lightning's answer to an interrupt; the checkpoint is in place
                raise KeyboardInterrupt from None
        if not self.training.curve:
            raise InputError("trainer=lightning: training ended before an epoch was validated; allow more steps")

    def _trainer(self) -> pl.Trainer:
        """Make the Trainer; a user's arguments and objects of `callback` groups replace what a run sets by itself."""
        settings = self.spec.trainer
        for name in ("pytorch_lightning", "lightning.pytorch"):
            logging.getLogger(name).setLevel(logging.WARNING)  # drops advertisements and device listings
        built = [
            construct(f"callback.{name}", self.spec.targets[f"callback.{name}"], parameters, run_dir=self.folder)
            for name, parameters in self.spec.callbacks.items()
        ]
        callbacks = [each for each in built if isinstance(each, pl.Callback)]
        plugins = [each for each in built if not isinstance(each, pl.Callback | Profiler | Strategy)]
        if not any(isinstance(each, ClusterEnvironment) for each in plugins):
            plugins.append(LightningEnvironment())  # one process, also inside a job of SLURM
        every = min(settings.log_every_steps, self.parts.data.batches_per_epoch)
        arguments: dict[str, Any] = {
            "accelerator": "gpu" if self.parts.device.type == "cuda" else "cpu",
            "devices": 1,
            "max_epochs": self.spec.method.protocol.epochs,
            "logger": [ForTrainer(logger) for logger in self.loggers] or False,
            "enable_checkpointing": any(isinstance(each, Checkpoint) for each in callbacks),
            "enable_progress_bar": settings.progress,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": None if settings.arguments.get("barebones") else every,
            "reload_dataloaders_every_n_epochs": 1,
            "default_root_dir": self.folder,
            "inference_mode": False,
            "plugins": plugins,
            "profiler": next((each for each in built if isinstance(each, Profiler)), None),
            "strategy": next((each for each in built if isinstance(each, Strategy)), "auto"),
        } | self.arguments
        try:
            return pl.Trainer(callbacks=callbacks, **arguments)
        except (TypeError, ValueError, MisconfigurationException) as error:
            raise InputError(f"trainer=lightning: the Trainer refuses this: {one_printable_line(error)}") from error

    def _score_selected(self, split: Split) -> Scores:
        with self.trainer.precision_plugin.val_step_context():  # as each epoch was validated
            return super()._score_selected(split)

    def _batches_of(self, split: Split) -> Iterable[Batch]:
        """Return the batches of a split up to the Trainer's limit, a number of them (int) or a fraction (float)."""
        limit = self.trainer.limit_val_batches if split == "validation" else self.trainer.limit_test_batches
        batches = self.parts.data.evaluation(split)
        count = limit if isinstance(limit, int) else int(len(batches) * limit)
        return itertools.islice(self._batches(batches), count)

    def save(self) -> None:
        self.save_checkpoint(LIGHTNING_CHECKPOINT, self.trainer._checkpoint_connector.dump_checkpoint())

    @property
    def _has_extra_work(self) -> bool:
        return True  # callbacks and hooks of the Trainer are measured too


class Learner(pl.LightningModule):
    """Adapts a run's training to Lightning; optimisation is manual, since learning rules decide when to step."""

    def __init__(self, run: LightningRun) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.run = run
        self.training_of_run: Training = run.training
        self.network, self.optimizer = run.parts.network, run.parts.optimizer
        self._started_s = 0.0

    def forward(self, x: Any, lengths: Any = None) -> torch.Tensor:
        """Return the network's output over time [T, B, C] for input [T, B, N]; lengths: valid steps [B]."""
        valid = torch.full((x.shape[1],), x.shape[0]) if lengths is None else lengths
        return self.network.unroll(x, valid).output

    def configure_optimizers(self) -> torch.optim.Optimizer:

        return self.optimizer

    def on_train_epoch_start(self) -> None:
        self._started_s = time.perf_counter()
        self.training_of_run.begin_epoch(self.current_epoch)
        send_epoch(self.training_of_run, self.optimizer)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        self.training_of_run.set_learning_rate(self.optimizer)
        self.training_of_run.train(batch, self.optimizers())  # type: ignore[arg-type]

    def on_validation_epoch_start(self) -> None:
        self.training_of_run.begin_scoring("validation", selected=False)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.training_of_run.score(batch)

    def on_validation_epoch_end(self) -> None:
        """Close the epoch: update the selection, log scores, and stop when patience has run out."""
        if self.trainer.state.fn != TrainerFn.FITTING:
            return
        training = self.training_of_run
        check_optimizer(self.optimizer)
        training.end_epoch()
        if training.best.should_stop:
            self.trainer.should_stop = True
        training.fit_s += time.perf_counter() - self._started_s
        samples = training.evaluation.scores().samples
        if not self.trainer.barebones:
            self.log_dict(training.epoch_numbers(), prog_bar=True, batch_size=samples)

    def on_train_epoch_end(self) -> None:
        """End an epoch as the default loop does; a StorageError if its checkpoint cannot be written."""
        done = self.current_epoch + 1
        ended = self.trainer.should_stop or done == self.trainer.max_epochs
        self.run.end_epoch(done, self.trainer.global_step, ended=ended)

    def train_dataloader(self) -> Iterable[Batch]:
        return self.run.ahead(self.run.parts.data.epoch(self.current_epoch))

    def val_dataloader(self) -> Iterable[Batch]:
        return self.run.ahead(self.run.parts.data.evaluation("validation"))

    def test_dataloader(self) -> Iterable[Batch]:
        """Return the batches of the test split; an InputError while a run trains."""
        return self.run.ahead(self.run.parts.data.evaluation("test"))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["sgbench"] = self.training_of_run.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.training_of_run.load_state_dict(checkpoint["sgbench"])


class ForTrainer(DummyLogger):
    """Passes a run's logger to the Trainer; what callbacks look for beside it, such as its folder, is the logger's."""

    def __init__(self, logger: RunLogger) -> None:
        super().__init__()
        self.logger = logger
        self.log_metrics, self.save = logger.log_metrics, logger.save  # type: ignore[method-assign,assignment]

    def __getattr__(self, name: str) -> Any:  # type: ignore[override]
        return getattr(self.logger, name)

    @property
    def experiment(self) -> Any:
        return self.logger.experiment

    @property
    def save_dir(self) -> str:
        return str(self.logger.log_dir)


STARTING = ("_spawn", "_fork", "_notebook")
"""Ends of names of strategies that train in processes which they start, whose results would be lost."""
ONE_PROCESS = "learning rules share each batch over processes by trainer.devices=N alone"


def torch_spec(spec: RunSpec) -> RunSpec:
    """Check a Trainer's arguments, and return the spec for them.

    A precision that only torch computes sets the engine to torch's own; one that equals the protocol's is left out.
    """
    arguments = dict(spec.trainer.arguments)
    for name, remedy in REFUSED.items():
        if name in arguments:
            raise InputError(f"trainer.{name}={arguments[name]}: {remedy}")
    strategy = str(arguments.get("strategy", ""))
    if strategy.endswith(STARTING):
        raise InputError(f"trainer.strategy={strategy}: {ONE_PROCESS}")
    for name in NOT_SHARED if spec.trainer.devices > 1 else ():
        if name in arguments:
            raise InputError(f"trainer.{name}={arguments[name]}: needs trainer.devices=1")
    precision = str(arguments.get("precision", "32"))
    protocol_precision = spec.method.protocol.precision
    if "precision" not in arguments or OWN_PRECISIONS.get(precision) == protocol_precision:
        # A plugin that converts would copy weights and batches which have this precision already.
        arguments.pop("precision", None)
        return spec.model_copy(update={"trainer": spec.trainer.model_copy(update={"arguments": arguments})})
    if precision not in MIXED:
        equivalent = OWN_PRECISIONS.get(precision)
        remedy = f"use protocol.precision={equivalent}" if equivalent else "use bf16-mixed, or protocol.precision"
        raise InputError(f"trainer.precision={precision}: the protocol's numbers are {protocol_precision}; {remedy}")
    if spec.engine not in ("auto", "reference"):
        raise InputError(
            f"trainer.precision={precision}: only torch computes it; use engine=reference, not {spec.engine}"
        )
    log.warning(
        "trainer.precision=%s: only torch computes it, so engine=reference is taken, which is slower", precision
    )
    return spec.model_copy(update={"engine": "reference"})


NO_PART = "every epoch is validated once, since the best one is selected; leave it out"
REFUSED = {
    "accumulate_grad_batches": "learning rules step by themselves; use protocol.accumulated_batches",
    "check_val_every_n_epoch": NO_PART,
    "max_epochs": "use protocol.epochs",
    "num_nodes": ONE_PROCESS,
    "use_distributed_sampler": ONE_PROCESS,
    "val_check_interval": NO_PART,
}
"""Arguments of the Trainer that have another place here."""
