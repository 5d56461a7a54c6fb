"""Rows of boards for papers and other tools, against the boards and hand counts."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from sgbench.cli.main import main
from sgbench.energy.footprint import neurobench_metrics
from sgbench.records.counts import Count, LayerCounts, OpCounts, SynapseCounts
from tests.messages import lines_naming

ROOT = str(Path(__file__).resolve().parents[2] / "leaderboards")
WORDS = ["board", "export", "--root", ROOT, "--protocol", "digits_v1"]


def exported(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the command writes."""
    assert main([*WORDS, *words]) == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_rows_are_those_of_the_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Against the committed table of digits_v1, row by row; in parquet the same values as in JSON."""
    rows = list(csv.DictReader(io.StringIO(exported(capsys, "--rows"))))
    table = list(csv.DictReader(io.StringIO((Path(ROOT) / "digits_v1" / "table.csv").read_text())))
    assert [row["id"] for row in rows] == [row["method_id"] for row in table]
    for row, there in zip(rows, table, strict=True):
        assert float(row["score"]) == pytest.approx(float(there["test_accuracy_mean"]), abs=1e-9)
        assert (row["rank_low"], row["rank_high"]) == (there["rank_low"], there["rank_high"])
        assert float(row["loihi1_nj"]) == pytest.approx(float(there["loihi1_dynamic_value_nj"]))
    tree = json.loads(exported(capsys, "--rows", "--format", "json"))
    assert tree[0]["board"] == "digits_v1"
    assert main([*WORDS, "--rows", "--parquet"]) == 2
    assert lines_naming(capsys.readouterr().err, "--to", "parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    exported(capsys, "--rows", "--parquet", "--out", str(tmp_path / "rows.parquet"))
    assert parquet.read_table(tmp_path / "rows.parquet").to_pylist() == tree


def test_papers_have_a_table_and_its_sources(capsys: pytest.CaptureFixture[str]) -> None:
    """LaTeX with the rules of booktabs, and BibTeX of what the rows are made of."""
    latex = exported(capsys, "--latex")
    assert latex.startswith("% digits_v1\n")
    assert latex.count(r"\toprule") == 1
    assert "@article{alpaydin1998," in exported(capsys, "--bibtex")


def layer(
    name: str, neurons: int, spikes: int, effective: int, operation: str = "accumulate", zeros: int = 0
) -> LayerCounts:
    """A layer with one group of synapses."""
    group = {"source": "input", "wiring": "all_to_all", "operation": operation, "weight_bits": 32}
    zero = Count(total=0)
    group |= {"effective": Count(total=effective), "dense": Count(total=1000), "weights": 20, "zero_weights": zeros}
    counts = (
        "neuron_updates neuron_updates_with_input neuron_multiplications neuron_additions neuron_comparisons "
        "bias_additions weight_reads state_reads state_writes"
    )
    tree: dict[str, object] = dict.fromkeys(counts.split(), zero)
    tree |= {"name": name, "neuron": "leaky", "neurons": neurons, "state_bits": 32}
    return LayerCounts.model_validate(
        tree | {"synapses": (SynapseCounts.model_validate(group),), "spikes_sent": Count(total=spikes)}
    )


def test_neurobench_by_hand() -> None:
    """Two samples of ten steps; 30 spikes of 5 neurons leave 70 of 100 places silent; 10 of 40 weights are 0.

    How many of the 90 additions are with a weight of 0, which NeuroBench leaves out, counts do not say.
    """
    layers = (layer("hidden0", 5, 30, 400, "multiply_accumulate"), layer("readout", 3, 0, 90, zeros=10))
    counts = OpCounts(samples=2, steps=20, input_events=Count(total=7), layers=layers)
    found = neurobench_metrics(counts, parameters=40)
    assert found["ActivationSparsity"] == pytest.approx(0.7)
    assert found["SynapticOperations"] == {"Effective_MACs": 200, "Effective_ACs": None, "Dense": 1000}
    assert (found["ParameterCount"], found["Footprint"], found["ConnectionSparsity"]) == (40, 160, 0.25)


def test_neurobench_of_a_board(capsys: pytest.CaptureFixture[str]) -> None:
    """Synaptic operations add up to the column of the committed table; a spiking network multiplies nothing."""
    tree = json.loads(exported(capsys, "--neurobench"))["boards"]["digits_v1"]
    table = list(csv.DictReader(io.StringIO((Path(ROOT) / "digits_v1" / "table.csv").read_text())))
    assert tree.keys() == {row["method_id"] for row in table}
    for row in table:
        operations = tree[row["method_id"]]["SynapticOperations"]
        both = operations["Effective_MACs"] + operations["Effective_ACs"]
        assert both == pytest.approx(float(row["synaptic_operations_per_inference"]))
        assert tree[row["method_id"]]["ParameterCount"] == int(float(row["parameters"]))
