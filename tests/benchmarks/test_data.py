"""The benchmark of the data path: what it times is true; how fast it is, is never tested."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import data
from benchmarks.__main__ import main
from benchmarks.gate import GateError
from fastspiking.signals.spikes import dense
from tests.messages import raises_naming

pytest.importorskip("h5py", reason="HDF5 needs the extra: pip install 'sgbench[events]'")
SMALL = data.DataSettings(samples=12, spikes=400, batch=4, hidden=8, batches=2, rounds=1)


@pytest.mark.slow
def test_the_command_from_end_to_end(tmp_path, monkeypatch, capsys):
    """Expected: exit code 0, a table with all three, and the same in a file."""
    monkeypatch.setattr(data, "in_child", lambda module, settings, what: settings["samples"])
    words = "--samples 12 --spikes 400 --batch 4 --hidden 8 --batches 2 --rounds 1 --default-allocator"
    file = tmp_path / "data.json"
    assert main(["data", *words.split(), "--json", str(file)]) == 0
    out = capsys.readouterr().out
    tree = json.loads(file.read_text())
    assert {data.OURS, data.STEP} <= set(tree["per_batch"])
    assert f"\n{data.OURS} " in out
    assert "below 10% of a training step" in out
    assert 12 * 300 < tree["sizes"]["spikes"] < 12 * 500


def test_both_see_the_same_spikes(tmp_path, monkeypatch):
    """Expected: as many of each channel and sample as in tonic's frames, whose steps begin at the first spike."""
    pytest.importorskip("tonic")
    monkeypatch.setenv("SGBENCH_CACHE", str(tmp_path / "cache"))
    spikes = data.write(tmp_path, 12, 400, 0)
    samples = data.Recorded(12).load(tmp_path)["train"]
    batch = next(data._batches(SMALL, samples, form="count"))
    ours = dense(batch.x)
    theirs = torch.zeros_like(ours)
    frames, labels = next(data.by_tonic(tmp_path, 100, 12, 0))
    assert frames.shape == (100, 12, 1, 700)
    assert sorted(labels.tolist()) == sorted(range(12))
    place = {label: number for number, label in enumerate(labels.tolist())}
    for own, label in enumerate(batch.target.tolist()):
        theirs[:, own] = frames[:, place[label], 0]
    assert ours.sum() == theirs.sum()
    assert torch.equal(ours.sum(0), theirs.sum(0))
    assert spikes == len(samples.values.channel)


def test_a_lost_spike_stops_the_benchmark(tmp_path, monkeypatch):
    """Must differ: a store that lacks one spike is found before anything is timed."""
    monkeypatch.setenv("SGBENCH_CACHE", str(tmp_path / "cache"))
    spikes = data.write(tmp_path, 12, 400, 0)
    samples = data.Recorded(12).load(tmp_path)["train"]
    data._gate(SMALL, samples, spikes)
    with raises_naming(GateError, f"{spikes} of {spikes + 1} spikes", "12 samples"):
        data._gate(SMALL, samples, spikes + 1)
