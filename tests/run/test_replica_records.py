"""Replicas: many runs side by side leave the records that each would have left alone.

Expected throughout: the run alone, that is `sgbench.run`, field by field (times and memory apart), in float64.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sgbench.composition import catalogue
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.replicas.group_worker import GroupWorker
from sgbench.replicas.lockstep import Lockstep
from sgbench.replicas.messages import Stopped, WorkerMessage
from sgbench.training.run_folder import folder_of
from tests.entries import class_of
from tests.run.side_by_side import alone, assert_alike, elsewhere, sweep


def together(specs: tuple[RunSpec, ...], **limits: int) -> dict[int, RunRecord]:
    """Records by place, made side by side."""
    told: list[WorkerMessage] = []
    GroupWorker(list(enumerate(specs)), told.append, lambda: False, **limits).run()
    assert not [each.line for each in told if each.kind == "refused"]
    return {each.point: each.record for each in told if each.kind == "ended" and each.record is not None}


# --- records

RULES = tuple(name for name, entry in catalogue.entries("rule").items() if entry.canonical == name)
"""All of the catalogue; one that is added is compared without a word here."""


def words_of(rule: str) -> tuple[str, ...]:
    """The words of a run in which what a rule claims of its gradient holds, with its data's steps; two seeds."""
    claimed = class_of("rule", rule).exact_reference.overrides
    named = [word.removeprefix("dataset=") for word in claimed if word.startswith("dataset=")]
    steps = [catalogue.entry("protocol", f"{name}_v1").parameters["steps"] for name in named]
    return (f"rule={rule}", *claimed, *(f"protocol.steps={count}" for count in steps), "seed=0,1")


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    "words",
    [
        *(pytest.param(words_of(rule), marks=pytest.mark.slow) for rule in RULES),
        pytest.param(("surrogate=atan,zero", "seed=0,1", "optimizer.lr=0.01,0.002"), marks=pytest.mark.slow),
        ("surrogate=atan,zero", "seed=0,1"),
        pytest.param(
            ("optimizer=sgd", "optimizer.lr=0.1,0.01", "optimizer.momentum=0,0.9", "clip_norm=0.1,null"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("neuron=leaky,alif", "neuron.reset=zero,subtract", "network.recurrence=all_to_all"), marks=pytest.mark.slow
        ),
        pytest.param(
            ("rule=eprop", "loss=per_step", "rule.update=per_step,per_sequence", "seed=0,1"), marks=pytest.mark.slow
        ),
        pytest.param(
            ("rule=feedback_alignment,dfa,drtp,local,ottt,sltt", "protocol.hidden=[8,6]"), marks=pytest.mark.slow
        ),
        pytest.param(
            ("rule=ostl", "rule.form=online,unrolled", "loss=per_step", "protocol.hidden=[8,6]"), marks=pytest.mark.slow
        ),
        pytest.param(
            ("rule=local", "rule.form=online,unrolled", "loss=per_step", "protocol.hidden=[8,6]"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("rule=bptt", "rule.window=2", "rule.update=per_window,per_sequence", "loss=per_step"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("rule=eprop", "rule.form=unrolled", "rule.feedback=symmetric,random,adaptive", "seed=0,1"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("encoder=rate", "surrogate=sigmoid,stochastic_backward", "steepness=fixed,linear"), marks=pytest.mark.slow
        ),
        pytest.param(("protocol.hidden=[8],[6]", "neuron.learn_beta=per_neuron,none"), marks=pytest.mark.slow),
        ("firing=masked", "surrogate=sigmoid", "init=fluctuation", "init.sigma_u=0.5,1.0", "engine=reference"),
        pytest.param(("rule=frozen", "rule.learn=none,readout", "optimizer.weight_decay=0.1"), marks=pytest.mark.slow),
        pytest.param(("normalisation=tdbn,bntt", "dropout=none,shared_mask"), marks=pytest.mark.slow),
        pytest.param(("loss.label_smoothing=0.1", "surrogate=atan,zero"), marks=pytest.mark.slow),
        pytest.param(("loss.label_smoothing=0,0.1", "normalisation=batch_norm"), marks=pytest.mark.slow),
        pytest.param(("schedule=cosine,one_cycle,plateau", "optimizer=adamw"), marks=pytest.mark.slow),
        pytest.param(("weights=int8,int4,ternary", "network.recurrence=all_to_all"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_records_are_those_of_runs_alone(words: tuple[str, ...], tmp_path: Path) -> None:
    """Must match: every field, curves, and the weights that were selected."""
    specs = sweep(*words, root=tmp_path / "runs")
    found = together(specs)
    assert found.keys() == set(range(len(specs)))
    for place, spec in enumerate(specs):
        record = found[place]
        assert record.status == "finished", record.failure
        assert read_model(folder_of(spec) / "record.json", RunRecord) == record
        assert_alike(record, alone(spec))
        assert_weights_alike(spec)


def assert_weights_alike(spec: RunSpec) -> None:
    """Selected weights of a run among others and of the run alone, to 1e-9."""
    ours, theirs = (load_file(folder_of(each) / "weights.safetensors") for each in (spec, elsewhere(spec)))
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        torch.testing.assert_close(weight, theirs[name], rtol=1e-9, atol=1e-12, msg=name)


# --- replicas that end early, late or not at all


def test_a_replica_that_breaks_is_cut_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 1 gets a NaN weight before its second batch: its record names the layer; its neighbours see nothing."""
    specs = sweep("seed=0,1,2", root=tmp_path / "runs")
    train = Lockstep.train_batch
    calls = itertools.count()

    def poison(self: Lockstep, batches):
        if next(calls) == 1:
            broken = next(each for each in self.members if each.spec.seed == 1)
            with torch.no_grad():
                broken.parts.network.layers[0].weight[0, 0] = float("nan")
        return train(self, batches)

    monkeypatch.setattr(Lockstep, "train_batch", poison)
    found = together(specs)
    assert [found[place].status for place in range(3)] == ["finished", "failed", "finished"]
    assert found[1].failure is not None
    assert "layer 'hidden0'" in found[1].failure.message
    for place in (0, 2):
        assert_alike(found[place], alone(specs[place]))


@pytest.mark.slow
def test_patience_is_each_replica_s_own(tmp_path: Path) -> None:
    """Expected: curves of different lengths, each as long as alone."""
    words = ("optimizer.lr=0.5,0.002", "protocol.epochs=20", "protocol.patience=2")
    specs = sweep(*words, root=tmp_path / "runs")
    found = together(specs)
    assert len(found[0].curve) < len(found[1].curve)
    for place, spec in enumerate(specs):
        assert_alike(found[place], alone(spec))


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param({}, 3, id="all"),
        pytest.param({"largest": 2}, 2, id="as told"),
        pytest.param({"memory_bytes": 1}, 1, id="no memory"),
        pytest.param({"memory_bytes": 1 << 40}, 3, id="all that memory", marks=pytest.mark.slow),
    ],
)
def test_as_many_at_a_time_as_fit(limits: dict[str, int], expected: int, tmp_path: Path) -> None:
    """Each has its record, and no more than so many are begun before the first of them ends."""
    specs = sweep("seed=0,1,2", "protocol.epochs=1", root=tmp_path / "runs")
    told: list[WorkerMessage] = []
    GroupWorker(list(enumerate(specs)), told.append, lambda: False, **limits).run()
    kinds = [each.kind for each in told if each.kind != "epoch"]
    assert list(itertools.takewhile(lambda kind: kind == "began", kinds)) == ["began"] * expected
    assert kinds.count("ended") == 3


@pytest.mark.parametrize(
    "batches", [pytest.param(3, marks=pytest.mark.slow), 14, pytest.param(23, marks=pytest.mark.slow)]
)
def test_stopped_then_continued(batches: int, tmp_path: Path) -> None:
    """Stopped at some batch, in the middle of an epoch or between two: the records are those of runs alone."""
    words = ("normalisation=none,tdbn", "dropout=shared_mask", "protocol.epochs=4", "encoder=rate")
    specs = sweep(*words, root=tmp_path / "runs")
    asked = itertools.count()
    with pytest.raises(Stopped):
        GroupWorker(list(enumerate(specs)), lambda _: None, lambda: next(asked) >= batches).run()
    assert all((folder_of(spec) / "replica.ckpt").exists() for spec in specs)
    found = together(specs)
    for place, spec in enumerate(specs):
        assert found[place].timing.resumed == 1
        assert not (folder_of(spec) / "replica.ckpt").exists()
        assert_alike(found[place], alone(spec))


@pytest.mark.one_in(4)
@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04nothing"])
def test_a_damaged_checkpoint_is_not_continued(damage: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line says so; the run starts anew."""
    specs = sweep("seed=0", root=tmp_path / "runs")
    folder_of(specs[0]).mkdir(parents=True)
    (folder_of(specs[0]) / "replica.ckpt").write_bytes(damage)
    assert together(specs)[0].timing.resumed == 0
    assert "training starts anew" in caplog.text
