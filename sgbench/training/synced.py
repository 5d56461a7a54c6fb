"""Copies of finished runs for loggers, made anew from their records: lost, half-written or never made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from pytorch_lightning.loggers import Logger

from sgbench.records.record import RunRecord
from sgbench.records.spec import PathSettings, RunSpec, TrainerSettings
from sgbench.training.loggers import csv_logger, publish, run_name, tensorboard_logger, wandb_logger

Kind = Literal["csv", "tensorboard", "wandb"]


def sync(record: RunRecord, folder: Path, kind: Kind, *, group: str | None, project: str, mode: str) -> None:
    """Replace a logger's copy of a run by what the record says; done twice, the result is the same.

    Epochs have the curve's scores; rates of single epochs are in no record. A run at Weights & Biases is known by
    its method and seed, so an online one is written over and not doubled.

    Args:
        record: of the run.
        folder: of the run, where copies lie.
        kind: of the logger.
        group: under which wandb gathers runs; None takes the protocol's name.
        project: name at Weights & Biases.
        mode: of wandb, "online" or "offline".

    Raises:
        InputError: the logger is not installed, or no account is known.
    """
    spec = _spec_of(record, folder, group)
    _forget(spec, folder, kind)
    logger: Logger
    if kind == "wandb":
        logger = wandb_logger(spec, folder, project=project, mode=mode)
    else:
        logger = (csv_logger if kind == "csv" else tensorboard_logger)(spec, folder)
    for line in record.curve:
        told = {key: value for key, value in line.model_dump().items() if value is not None}
        logger.log_metrics(told, step=line.epoch)
    publish([logger], record)


def _spec_of(record: RunRecord, folder: Path, group: str | None) -> RunSpec:
    """Rebuild from a record the specification that loggers read."""
    panels = record.diagnosis[0].panels if record.diagnosis else ()
    return RunSpec(
        method=record.method,
        seed=record.seed,
        engine="auto",
        trainer=TrainerSettings(
            device="cpu", threads=1, progress=False, log_every_steps=1, diagnose=tuple(panels)
        ),
        paths=PathSettings(runs_dir=str(folder), data_dir=str(folder)),
        loggers={},
        group=group,
        force=False,
        targets={},
    )


def _forget(spec: RunSpec, folder: Path, kind: Kind) -> None:
    """Remove a logger's copies of a run; of Weights & Biases those written offline under its name."""
    if kind != "wandb":
        shutil.rmtree(folder / kind, ignore_errors=True)
        return
    for path in (folder / "wandb").glob(f"offline-run-*-{run_name(spec)}"):
        shutil.rmtree(path)
