"""A logger to MLflow: curves, and the flat record as metrics, parameters and tags."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sgbench.errors import InputError
from sgbench.paths import FILES
from sgbench.records.method import method_id
from sgbench.records.record import Flat, RunRecord
from sgbench.records.spec import RunSpec
from sgbench.training.loggers import RunLogger

STORE, FILES_OF_STORE = "mlflow.db", ".mlflow"
"""File of the store in the folder of runs, and folder beside it for artifacts."""
RUN = "sgbench.run"
"""Tag that identifies a run, so that a repeated one replaces the first."""
LONGEST = 5000  # most characters of a tag in MLflow


class MlflowRun(RunLogger):
    """Logs by a client of MLflow to a run of it; `artifacts`: whether the run's files are uploaded."""

    def __init__(self, log_dir: Path, client: Any, run_id: str, *, artifacts: bool) -> None:
        super().__init__(log_dir)
        self.experiment, self.run_id, self.artifacts = client, run_id, artifacts

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self.last_step = max(self.last_step, step or 0)
        for name, number in metrics.items():
            self.experiment.log_metric(self.run_id, name, float(number), step=step)

    def publish(self, record: RunRecord, flat_record: Flat) -> None:
        """Log settings as parameters, numbers as metrics, strings as tags; upload the run's files, and end the run.

        Metrics are logged one step after the last, so that the latest value of a curve belongs to the selected
        weights.
        """
        client, run = self.experiment, self.run_id
        for key, value in flat_record.items():
            if key.startswith(("choice/", "setting/")):
                client.log_param(run, key, value)
            elif isinstance(value, bool | str):
                client.set_tag(run, key, str(value)[:LONGEST])
            else:
                client.log_metric(run, key, float(value), step=self.last_step + 1)
        for path in (self.log_dir / name for name in FILES) if self.artifacts else ():
            if path.is_file():
                client.log_artifact(run, str(path))
        client.set_terminated(run, "FINISHED" if record.status == "finished" else "FAILED")


def mlflow_logger(spec: RunSpec, run_dir: Path, *, uri: str | None, artifacts: bool = False) -> RunLogger:
    """Create a logger to a new run in MLflow, in the experiment named after the sweep; delete earlier copies.

    `uri`: address of a tracking server or store; None means a file in the folder of runs. `artifacts`: whether record,
    weights and predictions are uploaded. An InputError without MLflow.
    """
    missing = [name for name in ("mlflow", "sqlalchemy", "alembic") if find_spec(name) is None]
    if missing:
        raise InputError(f"logger.mlflow: needs {missing[0]}: pip install 'sgbench[mlflow]'")
    from mlflow.tracking import MlflowClient  # type: ignore[import-not-found]

    identity = method_id(spec.method)
    name = f"{spec.method.protocol.name}-{identity}-{spec.seed}"
    runs, group = Path(spec.paths.runs_dir).absolute(), spec.group or spec.method.protocol.name
    client: Any = MlflowClient(uri or f"sqlite:///{runs / STORE}")
    existing = client.get_experiment_by_name(group)
    artifacts_uri = None if uri else (runs / FILES_OF_STORE).as_uri()  # a server has its own place for artifacts
    experiment_id = client.create_experiment(group, artifacts_uri) if existing is None else existing.experiment_id
    for earlier_copy in client.search_runs([experiment_id], filter_string=f"tags.`{RUN}` = '{name}'"):
        client.delete_run(earlier_copy.info.run_id)
    run = client.create_run(experiment_id, tags={RUN: name}, run_name=f"{spec.method.label}-{identity}-{spec.seed}")
    return MlflowRun(run_dir, client, run.info.run_id, artifacts=artifacts)
