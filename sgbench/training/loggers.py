"""Loggers of a run, which receive copies of its curves and record; nothing is read back from them."""

import csv
import functools
import io
import os
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from sgbench.errors import InputError, require_choice
from sgbench.paths import FILES, PREDICTIONS
from sgbench.records.files import write_atomic
from sgbench.records.method import method_id
from sgbench.records.record import Flat, RunRecord
from sgbench.records.spec import RunSpec

SUMMARY = "summary.csv"
IN_CONFIG = ("commit", "data_sha256")
"""Keys of the flat record that also go to the config of Weights & Biases, by which runs are filtered."""
AGENT = "WANDB_SWEEP_ID"
"""Variable that an agent of a sweep of Weights & Biases sets, with the run's id beside it."""
REACH_S = 10.0  # longest time that a server may take to answer


class RunLogger:
    """Receives the curves of a run and at its end the record; `log_dir`: folder of its files.

    These are no loggers of PyTorch Lightning, since importing that takes seconds.
    """

    histograms = False
    experiment: Any = None  # what the logger's own package writes with

    def __init__(self, log_dir: Path) -> None:
        self.log_dir, self.last_step = log_dir, 0

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log numbers by their names at a step."""
        raise NotImplementedError

    def save(self) -> None:
        """Write what was logged."""

    def publish(self, record: RunRecord, flat_record: Flat) -> None:
        """Add a record, given also as flat numbers and strings by key, and close the logger."""
        raise NotImplementedError


class CsvLogger(RunLogger):
    """Writes curves to metrics.csv, with a row for each time that something was logged, and a record to summary.csv."""

    def __init__(self, log_dir: Path) -> None:
        super().__init__(log_dir)
        self.rows: list[Mapping[str, Any]] = []

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self.rows.append({**metrics, "step": step or 0})

    def save(self) -> None:
        self.log_dir.mkdir(parents=True, exist_ok=True)
        columns = sorted({name for row in self.rows for name in row})
        write_atomic(self.log_dir / "metrics.csv", _csv_table(columns, self.rows))

    def publish(self, record: RunRecord, flat_record: Flat) -> None:
        self.save()
        write_atomic(self.log_dir / SUMMARY, _csv_table([*flat_record], [flat_record]))


class EventLogger(RunLogger):
    """Writes TensorBoard's event files; holds whether they get histograms."""

    def __init__(self, log_dir: Path, *, histograms: bool) -> None:
        from torch.utils.tensorboard import SummaryWriter

        super().__init__(log_dir)
        self.histograms, self.experiment = histograms, SummaryWriter(str(log_dir))

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self.last_step = max(self.last_step, step or 0)
        for name, number in metrics.items():
            self.experiment.add_scalar(name, number, step)

    def save(self) -> None:
        self.experiment.flush()

    def publish(self, record: RunRecord, flat_record: Flat) -> None:
        """Write scores with settings for comparison, and all other values as text."""
        from torch.utils.tensorboard.summary import hparams

        settings = {key: value for key, value in flat_record.items() if key.startswith(("choice/", "setting/"))}
        results = {key: value for key, value in flat_record.items() if key not in settings}
        scores = {key: float(value) for key, value in results.items() if not isinstance(value, bool | str)}
        self.log_metrics(scores, self.last_step + 1)
        for key in results.keys() - scores.keys():
            self.experiment.add_text(key, str(results[key]), self.last_step)
        for summary in hparams(settings, scores):
            self.experiment._get_file_writer().add_summary(summary)
        self.experiment.close()


def csv_logger(spec: RunSpec, run_dir: Path) -> RunLogger:
    """Create a logger of curves in RUN/csv/metrics.csv, and of the flat record in RUN/csv/summary.csv."""
    return CsvLogger(run_dir / "csv")


def tensorboard_logger(spec: RunSpec, run_dir: Path, *, histograms: bool = False) -> RunLogger:
    """Create a logger of curves and of the flat record in RUN/tensorboard, as event files.

    `histograms`: whether potentials and gradients are logged after every epoch. An InputError without TensorBoard.
    """
    if find_spec("tensorboard") is None:
        raise InputError("logger.tensorboard: needs TensorBoard: pip install 'sgbench[tensorboard]'")
    return EventLogger(run_dir / "tensorboard", histograms=histograms)


def run_name(spec: RunSpec) -> str:
    """Return the id of a run at Weights & Biases, the same if it is repeated, so that the copy is replaced."""
    return f"{spec.method.protocol.name}-{method_id(spec.method)}-{spec.seed}"


def job_type(spec: RunSpec) -> str:
    """Return "tune" for a tuning seed of the protocol, "diagnose" for a run with diagnoses, else "train"."""
    if spec.method.protocol.is_tuning_seed(spec.seed):
        return "tune"
    return "diagnose" if spec.trainer.diagnose else "train"


class OwnRunLogger(RunLogger):
    """Logs to a new Weights & Biases run, even if others are open in the process.

    `histograms`: whether it gets them; `artifacts`: whether files of the run are uploaded; `settings`: of `wandb.init`.
    """

    def __init__(self, log_dir: Path, *, histograms: bool, artifacts: bool, **settings: Any) -> None:
        super().__init__(log_dir)
        self.histograms, self.artifacts, self.settings = histograms, artifacts, settings

    @functools.cached_property
    def experiment(self) -> Any:
        """Return the run at Weights & Biases, which is started on first use."""
        import wandb

        self.log_dir.mkdir(parents=True, exist_ok=True)
        run = wandb.init(dir=self.log_dir, resume="allow", reinit="create_new", **self.settings)
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return run

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self.experiment.log(dict(metrics) if step is None else {**metrics, "trainer/global_step": step})

    def log_image(self, name: str, images: Sequence[Any]) -> None:
        """Log pictures under a name."""
        import wandb

        self.experiment.log({name: [wandb.Image(image) for image in images]})

    def publish(self, record: RunRecord, flat_record: Flat) -> None:
        """Copy a record into summary and config, send the run's files if asked to, and end the run."""
        self.experiment.summary.update(flat_record)
        for_filters = {key: flat_record[key] for key in IN_CONFIG if key in flat_record}
        self.experiment.config.update(for_filters, allow_val_change=True)
        if self.artifacts:
            self._send_files(record)
        self.experiment.finish(exit_code=0 if record.status == "finished" else 1)

    def _send_files(self, record: RunRecord) -> None:
        """Upload the run's files as one artifact, and the test predictions as a table."""
        import wandb

        name = f"{record.protocol}-{record.method_id}-{record.seed}"
        artifact = wandb.Artifact(name=name, type="run", metadata={"status": record.status})
        for path in (self.log_dir / name for name in FILES):
            if path.is_file():
                artifact.add_file(str(path), name=path.name)
        self.experiment.log_artifact(artifact)
        predictions = self.log_dir / PREDICTIONS
        if predictions.is_file():
            columns, *rows = csv.reader(predictions.read_text(encoding="utf-8").splitlines())
            cells = [[float(cell) for cell in row] for row in rows]
            self.experiment.log({"test/predictions": wandb.Table([*columns], cells)})


def wandb_logger(
    spec: RunSpec, run_dir: Path, *, project: str, mode: str, histograms: bool = False, artifacts: bool = False
) -> RunLogger:
    """Create a logger to Weights & Biases; its group is the sweep, its job type the purpose, its tags the choices.

    `histograms`: whether potentials and gradients are logged after every epoch; `artifacts`: whether record, weights
    and predictions are uploaded. An InputError if the mode does not exist, or an online run has no account.
    """
    require_choice("logger.wandb.mode", mode, ("online", "offline", "disabled"))
    import wandb

    if mode == "online":
        require_account()
    choices = spec.method.choices
    return OwnRunLogger(
        run_dir,
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
        mode=mode,
        settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
    )


def require_account(offline: str = "logger.wandb.mode=offline") -> None:
    """Check that an API key of Weights & Biases is known, since its client would wait for one.

    `offline`: the words that need no account.
    """
    import wandb

    if not wandb.login(prompt=False, verify=False):
        raise InputError(f"logger.wandb: No API key is known; run: wandb login, or without an account use {offline}")


def require_server() -> None:
    """Check that the server of Weights & Biases answers, since its client would retry for minutes in each run."""
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


def _csv_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    lines = io.StringIO()
    writer = csv.DictWriter(lines, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return lines.getvalue().encode()
