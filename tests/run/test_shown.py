"""What loggers are shown beside the record: gradient norms, distributions, files, and a run in MLflow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import sgbench
from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.composition.plan import plan
from sgbench.errors import InputError
from sgbench.paths import PREDICTIONS, RECORD, WEIGHTS
from sgbench.records.record import RunRecord, flat
from sgbench.replicas.group_worker import GroupWorker
from sgbench.training.build import build
from sgbench.training.mlflow_runs import mlflow_logger
from sgbench.training.run_folder import folder_of
from sgbench.training.train_step import GradientNorms
from tests.run.tiny import WORDS

EXACT = (*WORDS, "protocol.precision=float64")


def test_norms_are_those_of_each_layers_gradient() -> None:
    """By hand: two steps of a two-layer network whose gradients are 3 and 4 times ones, then absent."""
    network = build(compose(WORDS)).network
    norms = GradientNorms(network, keep_last=True)
    weights = list(network.parameters())
    norms.add([torch.full_like(weight, 3.0) for weight in weights])
    norms.add([torch.full_like(weight, 4.0) for weight in weights])
    entries = {
        layer.name: sum(weight.numel() for weight in layer.parameters())
        for layer in [*network.hidden_layers, network.readout]
    }
    wanted = {f"gradient_norm/{name}": 3.5 * count**0.5 for name, count in entries.items()}
    assert norms.by_layer() == pytest.approx(wanted, rel=1e-5)
    assert {name: len(row) for name, row in norms.last.items()} == entries
    norms.begin()
    assert norms.by_layer() == {}
    norms.add([None for _ in weights])
    assert norms.by_layer() == {}


def norms_in(folder: Path) -> dict[str, list[float]]:
    """The history of each norm, read back with TensorBoard's reader."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulators.EventAccumulator(str(folder / "tensorboard")).Reload()
    names = [name for name in events.Tags()["scalars"] if name.startswith("gradient_norm/")]
    return {name: [event.value for event in events.Scalars(name)] for name in names}


@pytest.mark.slow
def test_histories_of_norms_are_the_same_alone_and_among_others(tmp_path: Path) -> None:
    """Expected: of a run alone, with autograd's gradients, those of the stacked passes; one an epoch.

    Histograms come along in the same run, and its weights are those of a run without loggers.
    """
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    shown = ("logger=tensorboard", "logger.tensorboard.histograms=true")
    record = sgbench.run(*EXACT, *shown, f"paths.runs_dir={tmp_path / 'alone'}")
    silent = sgbench.run(*EXACT, f"paths.runs_dir={tmp_path / 'silent'}")
    assert (record.weights_sha256, record.test) == (silent.weights_sha256, silent.test)
    specs = plan([*EXACT, *shown, "seed=0,1", f"paths.runs_dir={tmp_path / 'worker'}"], multirun=True).specs
    GroupWorker(list(enumerate(specs)), lambda _: None, lambda: False).run()
    alone = folder_of(compose([*EXACT, f"paths.runs_dir={tmp_path / 'alone'}"]))
    one, among = norms_in(alone), norms_in(folder_of(specs[0]))
    assert set(one) == {"gradient_norm/hidden0", "gradient_norm/readout"}
    assert all(len(values) == len(record.curve) and min(values) > 0 for values in one.values())
    for name, values in one.items():
        assert among[name] == pytest.approx(values, rel=1e-5), name
    for folder in (alone, folder_of(specs[0])):
        everything = {"histograms": 0}
        events = accumulators.EventAccumulator(str(folder / "tensorboard"), everything).Reload()
        histograms = events.Tags()["histograms"]
        assert {"potential/hidden0", "potential/readout", "gradient/hidden0", "gradient/readout"} == set(histograms)
        assert len(events.Histograms("potential/hidden0")) == len(record.curve)
        counted = events.Histograms("gradient/readout")[0].histogram_value
        assert counted.num == sum(weight.numel() for weight in build(specs[0]).network.readout.parameters())


@pytest.mark.slow
def test_wandb_has_norms_histograms_and_files(tmp_path: Path) -> None:
    """Read back with wandb's own inspector: one of each an epoch, and the artifact's names."""
    words = (*WORDS, "logger=wandb", "logger.wandb.mode=offline", f"paths.runs_dir={tmp_path}")
    record = sgbench.run(*words, "logger.wandb.histograms=true", "logger.wandb.artifacts=true")
    (path,) = folder_of(compose(words)).rglob("run-*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [json.loads(line) for line in said.splitlines()]
    rows = [line["history"]["item"] for line in lines if line["type"] == "history"]
    counted = [sum(row["potential/hidden0.values"]) for row in rows if "potential/hidden0.values" in row]
    assert counted == [6 * 256 * 8] * len(record.curve)  # steps x samples of a batch x neurons
    for key in ("gradient_norm/hidden0", "gradient/readout._type"):
        assert sum(key in row for row in rows) == len(record.curve), key
    files, table = (json.dumps(line) for line in lines if line["type"] == "artifact")
    for name in (RECORD, WEIGHTS, PREDICTIONS):
        assert f'"{name}"' in files, name
    assert "testpredictions" in table  # wandb keeps tables as artifacts


# --- MLflow


def test_without_mlflow_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Expected: the extra."""
    monkeypatch.setattr("sgbench.training.mlflow_runs.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'sgbench\[mlflow\]'"):
        mlflow_logger(compose(WORDS), tmp_path, uri=None)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own use of sqlalchemy
def test_mlflow_holds_the_curve_and_the_flat_tree_once(finished: RunRecord, runs_dir: Path) -> None:
    """Read back with MLflow's own client, after a copy was made twice: one run, all keys, every epoch."""
    tracking = pytest.importorskip("mlflow.tracking")
    for _ in range(2):
        assert main(["sync", str(runs_dir), "--to", "mlflow", "--artifacts"]) == 0
    client = tracking.MlflowClient(tracking_uri=f"sqlite:///{runs_dir / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(finished.protocol)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    for key, value in flat(finished).items():
        if key.startswith(("choice/", "setting/")):
            assert run.data.params[key] == str(value), key
        elif isinstance(value, bool | str):
            assert run.data.tags[key] == str(value), key
        else:
            assert run.data.metrics[key] == pytest.approx(value), key
    history = client.get_metric_history(run.info.run_id, "validation/loss")
    *curve, kept = [point.value for point in history]
    assert curve == [line.validation_loss for line in finished.curve]
    assert finished.validation is not None
    assert kept == finished.validation.loss
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert names == {"record.json", "weights.safetensors", "predictions.csv"}
    assert run.info.artifact_uri.startswith((runs_dir / ".mlflow").as_uri())  # not where the command was given
