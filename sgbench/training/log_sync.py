"""Copies of finished runs for loggers, made from their records where they are missing or incomplete."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from sgbench.records.record import RunRecord, epoch_numbers, flat
from sgbench.records.spec import PathSettings, RunSpec, TrainerSettings
from sgbench.training.loggers import RunLogger, csv_logger, run_name, tensorboard_logger, wandb_logger
from sgbench.training.mlflow_runs import mlflow_logger

Kind = Literal["csv", "tensorboard", "wandb", "mlflow"]


def sync(
    record: RunRecord, folder: Path, kind: Kind, *, group: str | None, project: str, mode: str, artifacts: bool = False
) -> None:
    """Replace a logger's copy of a run by one made from its record; a repeated call gives the same copy.

    Epochs get the curve's scores and, if the record has them, rates. The id of a run at Weights & Biases follows
    from method and seed, so an online copy is overwritten, not duplicated.
    """
    runs_dir = folder.absolute().parents[2]  # above the folders of protocol, method and seed
    spec = _spec_of(record, runs_dir, group)
    logger: RunLogger
    if kind == "wandb":
        _forget_offline(folder, run_name(spec))
        logger = wandb_logger(spec, folder, project=project, mode=mode, artifacts=artifacts)
    elif kind == "mlflow":
        logger = mlflow_logger(spec, folder, uri=None, artifacts=artifacts)
    else:
        shutil.rmtree(folder / kind, ignore_errors=True)
        logger = (csv_logger if kind == "csv" else tensorboard_logger)(spec, folder)
    dt_s, layers = record.method.protocol.dt_s, record.validation_rates or ()
    for index, line in enumerate(record.curve):
        rates_hz = {layer.name: layer.rate_per_step[line.epoch] / dt_s for layer in layers}
        logger.log_metrics(epoch_numbers(record.curve[: index + 1], rates_hz), step=line.epoch)
    logger.publish(record, flat(record))


def send_table(
    records: Sequence[RunRecord],
    folder: Path,
    *,
    group: str,
    project: str,
    mode: str,
    boards: Mapping[str, Sequence[Mapping[str, Any]]],
) -> None:
    """Send tables to Weights & Biases: one with a row for each run, and one for each board; earlier ones are replaced.

    `boards`: maps each protocol to the rows of its board, which get links to the runs of their method, by seed.
    """
    import wandb

    name = f"table-{group}"
    _forget_offline(folder, name)
    run = wandb.init(
        project=project,
        id=name,
        name=f"{group}: all runs",
        group=group,
        job_type="sweep",
        dir=folder,
        mode=mode,  # type: ignore[arg-type] - checked by the command
        reinit="create_new",
        settings=wandb.Settings(console="off", x_disable_stats=True),
    )
    address = f"{run.url.rpartition('/')[0]}/" if run.url else ""  # offline there is none, and ids stand alone
    runs: list[dict[str, Any]] = []
    links: dict[tuple[str, str], dict[str, str]] = {}  # by protocol and method id: link of each seed
    for record in records:
        link = f"{address}{record.protocol}-{record.method_id}-{record.seed}"
        runs.append({"link": link, **flat(record)})
        links.setdefault((record.protocol, record.method_id), {})[f"seed {record.seed}"] = link
    tables: dict[str, list[dict[str, Any]]] = {
        f"board/{protocol}": [{**row, **links.get((protocol, row["method_id"]), {})} for row in rows]
        for protocol, rows in boards.items()
    }
    tables["runs"] = runs
    for title, rows in tables.items():
        columns: list[Any] = list(dict.fromkeys(key for row in rows for key in row))
        cells = [[row.get(key) for key in columns] for row in rows]
        run.log({title: wandb.Table(columns, cells, allow_mixed_types=True)})  # a setting is null in some runs
    run.finish()


def _spec_of(record: RunRecord, runs_dir: Path, group: str | None) -> RunSpec:
    """Rebuild from a record the parts of the run's specification that loggers read."""
    panels = record.diagnosis[0].panels if record.diagnosis else ()
    return RunSpec(
        method=record.method,
        seed=record.seed,
        engine="auto",
        trainer=TrainerSettings(device="cpu", threads=1, progress=False, log_every_steps=1, diagnose=tuple(panels)),
        paths=PathSettings(runs_dir=str(runs_dir), data_dir=str(runs_dir)),
        loggers={},
        group=group,
        force=False,
        targets={},
    )


def _forget_offline(folder: Path, name: str) -> None:
    """Delete the offline copies of a run, or of a table, for Weights & Biases."""
    for path in (folder / "wandb").glob(f"offline-run-*-{name}"):
        shutil.rmtree(path)
