"""Loggers of a run, which receive copies of its curves and record; nothing is read back from them."""

import csv
import io
import os
import urllib.request
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from sgbench.errors import InputError, require_choice
from sgbench.paths import FILES, PREDICTIONS
from sgbench.records.files import write_atomic
from sgbench.records.flat import Flat, flat
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.training.mlflow_runs import MlflowRun

SUMMARY = "summary.csv"
IN_CONFIG = ("commit", "data_sha256")
"""Keys of the flat record that also go to the config of Weights & Biases, by which runs are filtered."""
AGENT = "WANDB_SWEEP_ID"
"""Variable that an agent of a sweep of Weights & Biases sets, with the run's id beside it."""
REACH_S = 10.0  # longest time that a server may take to answer


def csv_logger(spec: RunSpec, run_dir: Path) -> Logger:
    """Create a logger of curves in RUN/csv/metrics.csv, and of the flat record in RUN/csv/summary.csv."""
    return CSVLogger(save_dir=run_dir, name=None, version="csv")


class EventLogger(TensorBoardLogger):
    """Writes TensorBoard's event files; holds whether they get histograms, and the last step logged."""

    def __init__(self, *, histograms: bool, **settings: Any) -> None:
        super().__init__(**settings)
        self.histograms = histograms
        self.last_step = 0

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers by their names at a step."""
        self.last_step = max(self.last_step, step or 0)
        super().log_metrics(metrics, step)


def tensorboard_logger(spec: RunSpec, run_dir: Path, *, histograms: bool = False) -> Logger:
    """Create a logger of curves and of the flat record in RUN/tensorboard, as event files.

    Args:
        spec: of the run.
        run_dir: folder of the run.
        histograms: whether potentials and gradients are logged after every epoch.

    Raises:
        InputError: TensorBoard is not installed.
    """
    if find_spec("tensorboard") is None:
        raise InputError("logger.tensorboard: needs TensorBoard: pip install 'sgbench[tensorboard]'")
    return EventLogger(
        histograms=histograms, save_dir=run_dir, name=None, version="tensorboard", default_hp_metric=False
    )


def run_name(spec: RunSpec) -> str:
    """Return the id of a run at Weights & Biases, the same if it is repeated, so that the copy is replaced."""
    return f"{spec.method.protocol.name}-{method_id(spec.method)}-{spec.seed}"


def job_type(spec: RunSpec) -> str:
    """Return "tune" for a tuning seed of the protocol, "diagnose" for a run with diagnoses, else "train"."""
    if spec.method.protocol.is_tuning_seed(spec.seed):
        return "tune"
    return "diagnose" if spec.trainer.diagnose else "train"


class OwnRunLogger(WandbLogger):
    """Logs to a new Weights & Biases run, even if others are open in the process.

    Lightning's own logger uses a run that is open, so replicas would write into each other's.

    Args:
        histograms: whether it gets histograms.
        artifacts: whether files of the run are uploaded.
        settings: of Lightning's logger.
    """

    def __init__(self, *, histograms: bool, artifacts: bool, **settings: Any) -> None:
        super().__init__(**settings)
        self.histograms = histograms
        self.artifacts = artifacts

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Return the run at Weights & Biases, which is started on first use."""
        if self._experiment is None:
            import wandb

            # wandb warns of the setting "anonymous".
            settings = {key: value for key, value in self._wandb_init.items() if key != "anonymous"}
            self._experiment = wandb.init(**settings, reinit="create_new")
            self._experiment.define_metric("trainer/global_step")
            self._experiment.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return self._experiment


def wandb_logger(
    spec: RunSpec, run_dir: Path, *, project: str, mode: str, histograms: bool = False, artifacts: bool = False
) -> Logger:
    """Create a logger to Weights & Biases; its group is the sweep, its job type the purpose, its tags the choices.

    Args:
        spec: of the run.
        run_dir: folder for offline files.
        project: project at Weights & Biases.
        mode: "online", "offline" or "disabled".
        histograms: whether potentials and gradients are logged after every epoch.
        artifacts: whether record, weights and predictions are uploaded as an artifact.

    Raises:
        InputError: the mode does not exist, or an online run has no account.
    """
    require_choice("logger.wandb.mode", mode, ("online", "offline", "disabled"))
    import wandb

    if mode == "online":
        require_account()
    choices = spec.method.choices
    return OwnRunLogger(
        histograms=histograms,
        artifacts=artifacts,
        project=project,
        name=f"{spec.method.label}-{method_id(spec.method)}-{spec.seed}",
        id=None if AGENT in os.environ else run_name(spec),  # an agent of a sweep gives the run its id
        group=spec.group or spec.method.protocol.name,
        job_type=job_type(spec),
        tags=sorted(f"{group}={name}" for group, name in choices.items()),
        config={
            "method": spec.method.model_dump(mode="json"),
            "seed": spec.seed,
            "engine": spec.engine,
            "method_id": method_id(spec.method),
        },
        save_dir=run_dir,
        mode=mode,
        settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
    )


def require_account(offline: str = "logger.wandb.mode=offline") -> None:
    """Check that an API key of Weights & Biases is known, since its client would wait for one.

    Args:
        offline: the words that need no account.

    Raises:
        InputError: none is.
    """
    import wandb

    if not wandb.login(prompt=False, verify=False):
        raise InputError(f"logger.wandb: No API key is known; run: wandb login, or without an account use {offline}")


def require_server() -> None:
    """Check that the server of Weights & Biases answers, since its client would retry for minutes in each run.

    Raises:
        InputError: it does not.
    """
    import wandb

    url = wandb.setup().settings.base_url
    try:
        urllib.request.urlopen(url, timeout=REACH_S).close()  # noqa: S310 - the address that wandb itself uses
    except HTTPError:
        return  # the server answered
    except (OSError, ValueError) as error:
        raise InputError(
            f"logger.wandb: {url} cannot be reached ({getattr(error, 'reason', error)}); use "
            f"logger.wandb.mode=offline, and later: sgbench sync RUNS --to wandb"
        ) from error


def publish(loggers: list[Logger], record: RunRecord) -> None:
    """Copy a flat record into the summary of each logger, and close the logger; see `sgbench.records.flat`."""
    tree = flat(record)
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(tree)
            known = {key: tree[key] for key in IN_CONFIG if key in tree}
            logger.experiment.config.update(known, allow_val_change=True)
            if isinstance(logger, OwnRunLogger) and logger.artifacts:
                _send_files(logger, record)
            logger.experiment.finish(exit_code=0 if record.status == "finished" else 1)
            continue
        if isinstance(logger, EventLogger):
            _log_summary(logger, tree)
        elif isinstance(logger, MlflowRun):
            logger.log_tree(tree)
        elif isinstance(logger, CSVLogger):
            write_atomic(Path(logger.log_dir) / SUMMARY, _csv_table(tree))
        logger.finalize("success" if record.status == "finished" else "failed")


def _send_files(logger: OwnRunLogger, record: RunRecord) -> None:
    """Send a run's files to Weights & Biases: record, weights and predictions, as far as they exist."""
    import wandb

    name = f"{record.protocol}-{record.method_id}-{record.seed}"
    artifact = wandb.Artifact(name=name, type="run", metadata={"status": record.status})
    for path in (Path(logger.save_dir or ".") / name for name in FILES):
        if path.is_file():
            artifact.add_file(str(path), name=path.name)
    logger.experiment.log_artifact(artifact)
    predictions = Path(logger.save_dir or ".") / PREDICTIONS
    if predictions.is_file():
        columns, *rows = csv.reader(predictions.read_text(encoding="utf-8").splitlines())
        cells = [[float(cell) for cell in row] for row in rows]
        logger.experiment.log({"test/predictions": wandb.Table([*columns], cells)})


def _log_summary(logger: EventLogger, tree: Flat) -> None:
    """Write a flat record to TensorBoard: scores with settings for comparison, and all other values as text."""
    step = logger.last_step + 1
    settings = {key: value for key, value in tree.items() if key.startswith(("choice/", "setting/"))}
    scores = {
        key: float(value) for key, value in tree.items() if key not in settings and not isinstance(value, bool | str)
    }
    for key, value in tree.items():
        if key not in scores and key not in settings:
            logger.experiment.add_text(key, str(value), step)
    logger.log_hyperparams(settings, scores, step=step)


def _csv_table(tree: Flat) -> bytes:
    """Return a flat record as CSV, a header and one row, so that summaries of runs can be concatenated."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, list(tree), lineterminator="\n")
    writer.writeheader()
    writer.writerow(tree)
    return lines.getvalue().encode()
