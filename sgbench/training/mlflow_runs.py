"""A logger to MLflow: curves, and the flat record as metrics, parameters and tags."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, MLFlowLogger

from sgbench.errors import InputError
from sgbench.paths import FILES
from sgbench.records.flat import Flat
from sgbench.records.method import method_id
from sgbench.records.spec import RunSpec

STORE, FILES_OF_STORE = "mlflow.db", ".mlflow"
"""File of the store in the folder of runs, and folder beside it for artifacts."""
RUN = "sgbench.run"
"""Tag that identifies a run, so that a repeated one replaces the first."""
LONGEST = 5000  # most characters of a tag in MLflow


class MlflowRun(MLFlowLogger):
    """Logs to a run in MLflow.

    Args:
        folder: folder of the run, whose files are uploaded; None uploads none.
        settings: of Lightning's logger.
    """

    def __init__(self, *, folder: Path | None, **settings: Any) -> None:
        super().__init__(**settings)
        self.folder = folder
        self.last_step = 0

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers by their names at a step."""
        self.last_step = max(self.last_step, step or 0)
        super().log_metrics(metrics, step)

    def log_tree(self, tree: Flat) -> None:
        """Log a flat record: settings as parameters, numbers as metrics, strings as tags; upload the run's files.

        Metrics are logged one step after the last, so that the latest value of a curve belongs to the selected
        weights.
        """
        client, run = self.experiment, self.run_id
        for key, value in tree.items():
            if key.startswith(("choice/", "setting/")):
                client.log_param(run, key, value)
            elif isinstance(value, bool | str):
                client.set_tag(run, key, str(value)[:LONGEST])
            else:
                client.log_metric(run, key, float(value), step=self.last_step + 1)
        for path in () if self.folder is None else (self.folder / name for name in FILES):
            if path.is_file():
                client.log_artifact(run, str(path))


def mlflow_logger(spec: RunSpec, run_dir: Path, *, uri: str | None, artifacts: bool = False) -> Logger:
    """Create a logger to a new run in MLflow, in the experiment named after the sweep; delete earlier copies.

    Args:
        spec: of the run.
        run_dir: folder of the run.
        uri: address of a tracking server or store; None means a file in the folder of runs.
        artifacts: whether record, weights and predictions are uploaded.

    Raises:
        InputError: MLflow is not installed.
    """
    missing = [name for name in ("mlflow", "sqlalchemy", "alembic") if find_spec(name) is None]
    if missing:
        raise InputError(f"logger.mlflow: needs {missing[0]}: pip install 'sgbench[mlflow]'")
    name = f"{spec.method.protocol.name}-{method_id(spec.method)}-{spec.seed}"
    runs = Path(spec.paths.runs_dir).absolute()
    run = MlflowRun(
        folder=run_dir if artifacts else None,
        experiment_name=spec.group or spec.method.protocol.name,
        run_name=f"{spec.method.label}-{method_id(spec.method)}-{spec.seed}",
        tracking_uri=uri or f"sqlite:///{runs / STORE}",
        artifact_location=None if uri else (runs / FILES_OF_STORE).as_uri(),
        tags={RUN: name},
    )
    _forget(run, name)
    return run


def _forget(logger: MlflowRun, name: str) -> None:
    own = logger.run_id
    client: Any = logger.experiment
    for run in client.search_runs([logger.experiment_id], filter_string=f"tags.`{RUN}` = '{name}'"):
        if run.info.run_id != own:
            client.delete_run(run.info.run_id)
