"""Answers before the end, against networks that see no more than the beginning; what counting costs."""

from __future__ import annotations

import json

import pytest
import torch

from fastspiking.signals.trajectory import SPIKES, Batch
from sgbench.cli.main import main
from sgbench.energy.count import OperationCounter
from sgbench.energy.decision import DecisionTimes
from sgbench.errors import InputError
from sgbench.losses.sum_over_time import SumOverTime
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from tests.energy.counted import make_network
from tests.messages import lines_naming
from tests.run.tiny import WORDS

STEPS = 6


def case() -> tuple:
    """A network that fires, and samples of several lengths with arbitrary targets."""
    network = make_network(5, (6,), 3, recurrence="all_to_all")
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randint(-4, 8, weight.shape, generator=generator) / 8)
    x = (torch.rand(STEPS, 7, 5, generator=generator) < 0.5).double()
    lengths = torch.tensor([6, 6, 4, 2, 6, 1, 5])
    target = torch.randint(0, 3, (7,), generator=generator)
    return network, Batch(x, target, lengths, torch.arange(7))


def decisions(confidences: tuple[float, ...] = ()) -> dict:
    network, batch = case()
    times = DecisionTimes(network, SumOverTime(), "binary", bits=64, steps=STEPS, confidences=confidences)
    times.update(batch)
    return {each.rule: each for each in times.decisions()}


def test_a_step_is_a_sample_that_ends_there():
    """Expected: the network run on the first steps alone, counted and scored as any other."""
    network, batch = case()
    found = decisions()
    for step in range(1, STEPS + 1):
        lengths = batch.lengths.clamp(max=step)
        cut = Batch(batch.x[:step], batch.target, lengths, batch.position)
        with torch.no_grad():
            trajectory = network.unroll(cut.x, lengths, keep=frozenset({SPIKES}))
        counter = OperationCounter(network, "binary", bits=64)
        counter.update(cut, trajectory)
        one = found[f"step {step}"]
        assert one.counts == counter.result()
        hits = (SumOverTime().logits(trajectory).argmax(1) == batch.target).double().mean().item()
        assert one.accuracy == pytest.approx(hits)
        assert one.steps == pytest.approx(lengths.double().mean().item())


def test_confidence_stops_each_sample_at_its_first_sure_step():
    """Expected: a loop over samples and steps with softmax by hand; at 1 nobody stops, near 1/3 all at once."""
    network, batch = case()
    with torch.no_grad():
        output = network.unroll(batch.x, batch.lengths).output
    ends = []
    for sample, length in enumerate(batch.lengths.tolist()):
        total, end = torch.zeros(3, dtype=torch.float64), length
        for step in range(length):
            total += output[step, sample]
            if (total.exp() / total.exp().sum()).max() >= 0.6:
                end = step + 1
                break
        ends.append(end)
    found = decisions((0.34, 0.6, 0.999999999))
    assert found["confidence 0.6"].counts.steps == sum(ends)
    assert 7 < sum(ends) < int(batch.lengths.sum())
    assert found["confidence 1"].counts == found[f"step {STEPS}"].counts
    assert found["confidence 0.34"].steps < found["confidence 0.6"].steps


def test_nothing_seen_is_an_error():
    network, _ = case()
    times = DecisionTimes(network, SumOverTime(), "binary", bits=64, steps=STEPS, confidences=())
    with pytest.raises(InputError, match="no sample was seen"):
        times.decisions()


@pytest.mark.parametrize("firing", ["step", pytest.param("bernoulli", marks=pytest.mark.slow)])
def test_the_last_step_of_a_run_is_its_record(firing, capsys, tmp_path, monkeypatch):
    """Expected: accuracy and counts of the record, from its weights; a wrong confidence is named."""
    monkeypatch.setenv("SGBENCH_RUNS", str(tmp_path))
    run = [*WORDS, f"firing={firing}"]
    assert main(["run", *run]) == 0
    record = read_model(next(tmp_path.rglob("record.json")), RunRecord)
    capsys.readouterr()
    words = ["energy", "decide", *run, "--target", "convention_ac_mac", "--json"]
    assert main(words) == 0
    tree = json.loads(capsys.readouterr().out)
    folder = str(next(tmp_path.rglob("record.json")).parent)
    assert main(["energy", "decide", folder, "--target", "convention_ac_mac", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == tree  # the folder says what its words say
    last = [each for each in tree if each["rule"].startswith("step")][-1]
    assert record.test is not None
    assert last["accuracy"] == record.test.accuracy
    assert record.counts is not None
    operations = sum(group.effective.total or 0 for layer in record.counts.layers for group in layer.synapses)
    assert last["dynamic_nj"]["value"] == pytest.approx(operations / record.counts.samples * 0.9 / 1000)
    assert main([*words, "--confidence", "2"]) == 2
    assert lines_naming(capsys.readouterr().err, "--confidence 2", "0", "1")
