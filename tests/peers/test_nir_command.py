"""`sgbench export RUN_DIR --nir FILE`, from a run to a file and back; `make test-peers` runs it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fastspiking.signals.trajectory import SPIKES
from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.exchange.nir_import import from_nir
from sgbench.surrogates.atan import Atan
from sgbench.training.run_folder import folder_of

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, while they are imported
WORDS = ("experiment=digits", "protocol.epochs=2", "protocol.steps=8", "protocol.hidden=[8]", "trainer.progress=false")
nir = pytest.importorskip("nir")


def trained(tmp_path: Path, *words: str) -> Path:
    """The folder of a tiny run."""
    run_spec = importlib.import_module("sgbench.training.runner").run_spec
    spec = compose([*WORDS, f"paths.runs_dir={tmp_path / 'runs'}", "init.gain=3.0", *words])
    assert run_spec(spec).status == "finished"
    return folder_of(spec)


def test_a_run_goes_to_a_file_and_back(tmp_path, capsys):
    """Must match: spikes of a network with the run's weights, on a batch of the test split."""
    words = ("neuron.reset=zero", "network.recurrence=all_to_all", "network.bias=true")
    folder = trained(tmp_path, *words)
    path = tmp_path / "net.nir"
    assert main(["export", str(folder), "--nir", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["dt_s"] == 0.001
    assert "hidden0.recurrent" in told["nodes"]
    back = from_nir(
        nir.read(path), make_surrogate=lambda: Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    )
    parts = importlib.import_module("sgbench.training.build").build(compose([*WORDS, "init.gain=3.0", *words]))
    parts.network.load_state_dict(load_file(folder / "weights.safetensors"))
    parts.data.setup()
    batch = next(iter(parts.data.epoch(0)))
    keep = frozenset({SPIKES})
    with torch.no_grad():
        one, other = (net.unroll(batch.x, batch.lengths, keep=keep) for net in (parts.network, back))
    assert 0.01 < one.spikes[0].mean() < 0.95
    assert torch.equal(one.spikes[0], other.spikes[0])
    torch.testing.assert_close(one.output, other.output, rtol=1e-5, atol=1e-5)


def test_what_cannot_be_written_is_one_line(tmp_path, capsys):
    """Expected: exit code 2 and the reason: no record, weights of others, a reset that NIR does not have."""
    folder = trained(tmp_path)
    path = tmp_path / "net.nir"
    assert main(["export", str(tmp_path), "--nir", str(path)]) == 2
    assert "record.json" in capsys.readouterr().err
    assert main(["export", str(folder), "--nir", str(path)]) == 2
    assert "'hidden0': its reset is subtract" in capsys.readouterr().err
    assert main(["export", str(folder), "--nir", str(path), "--dt", "0"]) == 2
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert main(["export", str(folder), "--nir", str(path)]) == 2
    assert "not the weights that the record names" in capsys.readouterr().err
    weights.unlink()
    assert main(["export", str(folder), "--nir", str(path)]) == 2
    assert "No such file" in capsys.readouterr().err
    assert not path.exists()
