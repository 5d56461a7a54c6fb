"""Loggers receive copies; nothing is ever read back from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from sgbench.errors import InputError, require_choice
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec


def csv_logger(spec: RunSpec, run_dir: Path) -> Logger:
    """Curves in <run>/csv/metrics.csv."""
    return CSVLogger(save_dir=run_dir, name=None, version="csv")


class OwnRunLogger(WandbLogger):
    """Logs to a Weights & Biases run of its own, whichever others are open in the process.

    Lightning's logger takes over a run that is open, so replicas would write into one another's.
    """

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run, begun when it is first asked for."""
        if self._experiment is None:
            import wandb

            self._experiment = wandb.init(**self._wandb_init, reinit="create_new")
            self._experiment.define_metric("trainer/global_step")
            self._experiment.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return self._experiment


def wandb_logger(spec: RunSpec, run_dir: Path, *, project: str, mode: str) -> Logger:
    """A Weights & Biases run: group = sweep, tags = choices, config = the resolved spec.

    Args:
        spec: of the run.
        run_dir: where offline files go.
        project: name at Weights & Biases.
        mode: "online", "offline" or "disabled".
    """
    require_choice("logger.wandb.mode", mode, ("online", "offline", "disabled"))
    import wandb

    if mode == "online":
        require_account()
    choices = spec.method.choices
    return OwnRunLogger(
        project=project,
        name=f"{spec.method.label}-{method_id(spec.method)}-{spec.seed}",
        group=spec.group or spec.method.protocol.name,
        job_type=spec.method.protocol.name,
        tags=sorted(f"{group}={name}" for group, name in choices.items()),
        config={
            "method": spec.method.model_dump(mode="json"),
            "seed": spec.seed,
            "engine": spec.engine,
            "method_id": method_id(spec.method),
        },
        save_dir=run_dir,
        mode=mode,
        settings=wandb.Settings(console="off", x_disable_stats=True),
    )


def require_account() -> None:
    """Ask wandb for its key, which it would otherwise wait for.

    Raises:
        InputError: there is none.
    """
    import wandb

    if not wandb.login(prompt=False, verify=False):
        raise InputError(
            "logger.wandb: No API key is known; run: wandb login, or without an account use "
            "logger.wandb.mode=offline"
        )


def publish(loggers: list[Logger], record: RunRecord) -> None:
    """Copy the record's scores into each logger's summary and close it."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(summary(record))
            logger.experiment.finish(exit_code=0 if record.status == "finished" else 1)
        else:
            logger.finalize("success" if record.status == "finished" else "failed")


def summary(record: RunRecord) -> dict[str, Any]:
    """The flat scores of a record."""
    flat: dict[str, Any] = {"status": record.status, "best_epoch": record.best_epoch}
    for name, scores in (("validation", record.validation), ("test", record.test)):
        if scores is not None:
            flat |= {f"{name}/accuracy": scores.accuracy, f"{name}/loss": scores.loss}
            flat |= {f"{name}/rate_hz/{layer.name}": layer.rate_hz for layer in scores.activity}
    if record.failure is not None:
        flat["failure"] = record.failure.message
    return flat
