"""Copies of runs for MLflow: curves, and the record's flat tree as metrics, parameters and tags."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, MLFlowLogger

from sgbench.errors import InputError
from sgbench.records.flat import Flat
from sgbench.records.method import method_id
from sgbench.records.spec import RunSpec

STORE = "mlflow.db"
RUN = "sgbench.run"
"""Tag by which a run is known, so that a repeated one replaces the first."""
LONGEST = 5000  # characters of a tag, which MLflow cuts or refuses beyond


class MlflowRun(MLFlowLogger):
    """Logs to a run of its own.

    Args:
        settings: of Lightning's logger.
    """

    def tell(self, tree: Flat) -> None:
        """Hand over a record's flat tree: settings as parameters, numbers as metrics, words as tags.

        Args:
            tree: see `sgbench.records.flat`.
        """
        client, run = self.experiment, self.run_id
        for key, value in tree.items():
            if key.startswith(("choice/", "setting/")):
                client.log_param(run, key, value)
            elif isinstance(value, bool | str):
                client.set_tag(run, key, str(value)[:LONGEST])
            else:
                client.log_metric(run, key, float(value))


def mlflow_logger(spec: RunSpec, run_dir: Path, *, uri: str | None) -> Logger:
    """Begin a run in MLflow, in the experiment of the sweep's name; an earlier one of the same run is deleted.

    Args:
        spec: of the run.
        run_dir: its folder.
        uri: of a tracking server or store, or None for a file in the folder of runs.

    Raises:
        InputError: MLflow is not installed.
    """
    missing = [name for name in ("mlflow", "sqlalchemy", "alembic") if find_spec(name) is None]
    if missing:
        raise InputError(f"logger.mlflow: needs {missing[0]}: pip install 'sgbench[mlflow]'")
    name = f"{spec.method.protocol.name}-{method_id(spec.method)}-{spec.seed}"
    run = MlflowRun(
        experiment_name=spec.group or spec.method.protocol.name,
        run_name=f"{spec.method.label}-{method_id(spec.method)}-{spec.seed}",
        tracking_uri=uri or f"sqlite:///{Path(spec.paths.runs_dir).absolute() / STORE}",
        tags={RUN: name},
    )
    _forget(run, name)
    return run


def _forget(logger: MlflowRun, name: str) -> None:
    """Delete earlier copies of a run."""
    own = logger.run_id
    client: Any = logger.experiment
    for run in client.search_runs([logger.experiment_id], filter_string=f"tags.`{RUN}` = '{name}'"):
        if run.info.run_id != own:
            client.delete_run(run.info.run_id)
