"""Replicas: many runs side by side leave the records that each would have left alone.

Expected throughout: the run alone, that is `sgbench.run`, field by field (times and memory apart), in float64.
"""

from __future__ import annotations

import copy
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file

from sgbench.cli.main import main
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.composition.plan import plan
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.replicas.crew import Crew
from sgbench.replicas.grouping import groups, why_alone
from sgbench.replicas.messages import Stopped, WorkerMessage
from sgbench.replicas.moves import moves_of
from sgbench.replicas.replica import Replica
from sgbench.replicas.stack import Stack
from sgbench.replicas.team import Team
from sgbench.signals.spikes import SparseSpikes
from sgbench.signals.trajectory import Batch
from sgbench.training.provenance import Code
from sgbench.training.run_folder import folder_of
from tests.entries import class_of
from tests.run.tiny import WORDS, comparable

EXACT = (*WORDS, "protocol.precision=float64")


def sweep(*words: str, root: Path) -> tuple[RunSpec, ...]:
    """Points of a sweep that writes into a folder of its own."""
    return plan([*EXACT, *words, f"paths.runs_dir={root}"], multirun=True).specs


def together(specs: tuple[RunSpec, ...], **limits: int) -> dict[int, RunRecord]:
    """Records by place, made side by side."""
    told: list[WorkerMessage] = []
    Crew(list(enumerate(specs)), told.append, lambda: False, **limits).run()
    assert not [each.line for each in told if each.kind == "refused"]
    return {each.place: each.record for each in told if each.kind == "ended" and each.record is not None}


def alone(spec: RunSpec) -> RunRecord:
    """The record of the same run by itself, in another folder."""
    from sgbench.training.runner import run_spec

    return run_spec(elsewhere(spec))


def elsewhere(spec: RunSpec) -> RunSpec:
    """The same in another folder."""
    return spec.model_copy(
        update={"paths": spec.paths.model_copy(update={"runs_dir": spec.paths.runs_dir + "_"})}
    )


# --- optimisers


def settings(kind: str) -> list[dict]:
    """Rows that differ in every number."""
    rates = [0.1, 0.003, 0.02]
    if kind == "SGD":
        more = [
            {},
            {"momentum": 0.9, "dampening": 0.3},
            {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
        ]
    else:
        more = [{}, {"betas": (0.5, 0.9), "eps": 1e-3}, {"weight_decay": 0.2}]
    return [{"lr": rate, **one} for rate, one in zip(rates, more, strict=True)]


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize("silent", [False, True], ids=["all", "one parameter without gradient"])
def test_rows_move_as_torch_moves_a_network(kind: str, *, silent: bool) -> None:
    """Expected: torch.optim's own optimiser, 50 steps in float64, to 1e-12."""
    random = torch.Generator().manual_seed(0)
    made = [torch.nn.Linear(5, 3, dtype=torch.float64) for _ in range(3)]
    lonely = copy.deepcopy(made)
    optimizers = [
        getattr(torch.optim, kind)(net.parameters(), **one)
        for net, one in zip(made, settings(kind), strict=True)
    ]
    expected = [
        getattr(torch.optim, kind)(net.parameters(), **one)
        for net, one in zip(lonely, settings(kind), strict=True)
    ]
    stack = Stack(made, moves_of(optimizers))
    for _ in range(50):
        for row, (net, other, optimizer) in enumerate(zip(made, lonely, expected, strict=True)):
            for name, weight in net.named_parameters():
                gradient = torch.randn(weight.shape, generator=random, dtype=torch.float64)
                gradient = None if silent and row != 1 and name == "bias" else gradient
                weight.grad = gradient
                other.get_parameter(name).grad = None if gradient is None else gradient.clone()
            optimizer.step()
            stack.collect(row)
        stack.step([0, 1, 2])
    for net, other in zip(made, lonely, strict=True):
        for name, weight in net.named_parameters():
            torch.testing.assert_close(weight, other.get_parameter(name), rtol=1e-12, atol=1e-14)


def test_a_row_that_does_not_step_stays() -> None:
    """Must match: weights and state of the still row before. Must differ: those of the other."""
    made = [torch.nn.Linear(2, 2, dtype=torch.float64) for _ in range(2)]
    stack = Stack(made, moves_of([torch.optim.Adam(net.parameters(), lr=0.1) for net in made]))
    stack.gradients.fill_(1.0)
    before = stack.snapshot()
    stack.step([1])
    after = stack.snapshot()
    assert all(torch.equal(before[name][0], after[name][0]) for name in before)
    assert all(not torch.equal(before[name][1], after[name][1]) for name in before)


# --- records

RULES = tuple(name for name, entry in catalogue.entries("rule").items() if entry.canonical == name)
"""All of the catalogue; one that is added is compared without a word here."""


def words_of(rule: str) -> tuple[str, ...]:
    """The words of a run in which what a rule claims of its gradient holds, with its data's steps; two seeds."""
    claimed = class_of("rule", rule).exact_reference.words
    named = [word.removeprefix("dataset=") for word in claimed if word.startswith("dataset=")]
    steps = [catalogue.entry("protocol", f"{name}_v1").parameters["steps"] for name in named]
    return (f"rule={rule}", *claimed, *(f"protocol.steps={count}" for count in steps), "seed=0,1")


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
            ("neuron=leaky,alif", "neuron.reset=zero,subtract", "network.recurrence=all_to_all"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("rule=eprop", "loss=per_step", "rule.update=per_step,per_sequence", "seed=0,1"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("rule=feedback_alignment,dfa,drtp,local,ottt,sltt", "protocol.hidden=[8,6]"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("rule=ostl", "rule.form=online,unrolled", "loss=per_step", "protocol.hidden=[8,6]"),
            marks=pytest.mark.slow,
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
            ("encoder=rate", "surrogate=sigmoid,stochastic_backward", "steepness=fixed,linear"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("protocol.hidden=[8],[6]", "neuron.learn_beta=per_neuron,none"), marks=pytest.mark.slow
        ),
        ("firing=masked", "surrogate=sigmoid", "init=fluctuation", "init.sigma_u=0.5,1.0"),
        pytest.param(
            ("rule=frozen", "rule.learn=none,readout", "optimizer.weight_decay=0.1"), marks=pytest.mark.slow
        ),
        pytest.param(("normalisation=tdbn,bntt", "dropout=none,shared_mask"), marks=pytest.mark.slow),
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


def assert_alike(found: RunRecord, expected: RunRecord) -> None:
    """Equal in every field; scores that sum in another order to 1e-9."""
    ours, theirs = comparable(found), comparable(expected)
    for tree in (ours, theirs):
        tree.pop("weights_sha256")
        tree.pop("predictions_sha256")
    for key in ours:
        if key in ("curve", "validation", "test"):
            assert _numbers(ours[key]) == pytest.approx(_numbers(theirs[key]), rel=1e-9, abs=1e-12), key
        else:
            assert ours[key] == theirs[key], key


def _numbers(tree: object) -> list[float]:
    if isinstance(tree, dict):
        return [number for value in tree.values() for number in _numbers(value)]
    if isinstance(tree, list):
        return [number for value in tree for number in _numbers(value)]
    return [float(tree)] if isinstance(tree, int | float) else []


# --- passes


STACKED = {
    "surrogates, slopes and seeds": ("surrogate=atan,triangle,sigmoid", "surrogate.scale=1,0.5", "seed=0,1"),
    "numbers of neurons": ("neuron.beta=0.7,0.95", "neuron.threshold=1,0.6", "neuron.reset=zero,subtract"),
    "recurrent": ("network.recurrence=all_to_all", "protocol.hidden=[20,9]", "neuron=leaky,alif"),
    "one to one": (
        "network.recurrence=one_to_one",
        "loss=max_over_time",
        "neuron.reset_gradient=attached,detached",
    ),
}


def team_of(*words: str, root: Path) -> Team:
    """Networks of a sweep, before their first step."""
    members: list[Replica] = []
    for place, spec in enumerate(sweep(*words, root=root)):
        data = members[0].parts.data if members else None
        members.append(Replica(place, spec, data, Code(None, None, {}, "any")))
    return Team(members)


def first_batches(team: Team, count: int = 1) -> list[list[Batch]]:
    """Batches of each member's own seed."""
    streams = [itertools.islice(member.parts.data.epoch(0), count) for member in team.members]
    return [list(each) for each in zip(*streams, strict=True)]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, marks=[pytest.mark.slow] * (name != "recurrent"))
        for name, words in STACKED.items()
    ],
    ids=STACKED,
)
def test_stacked_passes_are_those_of_each_alone(words: tuple[str, ...], tmp_path: Path) -> None:
    """Expected: each network's own pass under its rule; weights after three clipped steps, to 1e-11."""
    together, apart = (
        team_of(*words, "clip_norm=0.3", root=tmp_path / name) for name in ("together", "apart")
    )
    assert together.one_by_one is None
    batches = first_batches(together, 3)
    before = together.stack.values.clone()
    for each in batches:
        assert together.passes is not None
        assert together.passes.take(each)
        assert together.train_batch(each) == apart._train_one_by_one(each) == {}
    assert ((together.stack.values - before).abs().amax(1) > 1e-3).all()
    torch.testing.assert_close(together.stack.values, apart.stack.values, rtol=1e-9, atol=1e-11)
    for one, other in zip(together.members, apart.members, strict=True):
        torch.testing.assert_close(torch.stack(one.training.losses), torch.stack(other.training.losses))


def test_a_row_that_is_not_finite_stops_alone_in_a_stacked_pass(tmp_path: Path) -> None:
    """Must match: the neighbours' weights after the step. Expected: the error names the layer of the one."""
    broken, whole = (team_of("seed=0,1,2", root=tmp_path / name) for name in ("broken", "whole"))
    with torch.no_grad():
        broken.members[1].parts.network.layers[0].weight[0, 0] = float("nan")
    (batches,) = first_batches(broken)
    assert broken.passes is not None
    assert broken.passes.take(batches)
    failures = broken.train_batch(batches)
    assert failures.keys() == {1}
    assert "layer 'hidden0'" in str(failures[1])
    whole.train_batch(batches)
    for row in (0, 2):
        assert torch.equal(broken.stack.values[row], whole.stack.values[row])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        pytest.param(("rule.window=2",), "rule=bptt goes step by step or in windows", marks=pytest.mark.slow),
        pytest.param(
            ("loss=per_step",), "loss=per_step is no cross-entropy of logits", marks=pytest.mark.slow
        ),
        (("regulariser=total_activity",), "regulariser=total_activity looks at each network's own spikes"),
        pytest.param(("neuron.learn_beta=shared",), "numbers of its neurons learn", marks=pytest.mark.slow),
        pytest.param(("engine=scan",), "layer 'hidden0' runs on scan (asked for)", marks=pytest.mark.slow),
        pytest.param(("neuron=izhikevich",), "layer 'hidden0' runs on reference", marks=pytest.mark.slow),
        pytest.param(
            ("dropout=shared_mask",),
            "layer 'readout' is more than weights and neurons",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("rule=eprop", "loss=per_step"),
            "rule=eprop goes step by step or in windows",
            marks=pytest.mark.slow,
        ),
        (("loss=max_over_time,sum_over_time",), "their losses differ"),
    ],
)
def test_what_is_not_stacked_says_why(words: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    """And goes its own way, as alone."""
    team = team_of(*words, root=tmp_path)
    assert team.passes is None
    assert (team.one_by_one or "").startswith(reason)
    told: list[WorkerMessage] = []
    crew = Crew([], told.append, lambda: False)
    crew._note(team)
    crew._note(team)
    (note,) = told
    assert note.kind == "noted"
    assert reason in note.line
    (batches,) = first_batches(team)
    assert team.train_batch(batches) == {}


@pytest.mark.slow
def test_dense_batches_are_passed_over_one_by_one(tmp_path: Path) -> None:
    """Must match: the step of an input with so many events that a product is faster."""
    one, other = (team_of("seed=0,1", "encoder=rate", root=tmp_path / name) for name in ("one", "other"))
    (batches,) = first_batches(one)
    full = [
        batch._replace(x=SparseSpikes.of(torch.ones(*batch.x.shape, dtype=torch.float64)))
        for batch in batches
    ]
    assert one.passes is not None
    assert not one.passes.take(full)
    one.train_batch(full)
    other._train_one_by_one(full)
    assert torch.equal(one.stack.values, other.stack.values)


def test_a_replica_that_breaks_is_cut_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 1 gets a NaN weight before its second batch: its record names the layer; its neighbours see nothing."""
    specs = sweep("seed=0,1,2", root=tmp_path / "runs")
    train = Team.train_batch
    calls = itertools.count()

    def poison(self: Team, batches):
        if next(calls) == 1:
            broken = next(each for each in self.members if each.spec.seed == 1)
            with torch.no_grad():
                broken.parts.network.layers[0].weight[0, 0] = float("nan")
        return train(self, batches)

    monkeypatch.setattr(Team, "train_batch", poison)
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


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param({}, 3, id="all"),
        pytest.param({"largest": 2}, 2, id="as told"),
        pytest.param({"room_bytes": 1}, 1, id="no room"),
        pytest.param({"room_bytes": 1 << 40}, 3, id="all that room", marks=pytest.mark.slow),
    ],
)
def test_as_many_at_a_time_as_fit(limits: dict[str, int], expected: int, tmp_path: Path) -> None:
    """Each has its record, and no more than so many are begun before the first of them ends."""
    specs = sweep("seed=0,1,2", "protocol.epochs=1", root=tmp_path / "runs")
    told: list[WorkerMessage] = []
    Crew(list(enumerate(specs)), told.append, lambda: False, **limits).run()
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
        Crew(list(enumerate(specs)), lambda _: None, lambda: next(asked) >= batches).run()
    assert all((folder_of(spec) / "replica.ckpt").exists() for spec in specs)
    found = together(specs)
    for place, spec in enumerate(specs):
        assert found[place].timing.resumed == 1
        assert not (folder_of(spec) / "replica.ckpt").exists()
        assert_alike(found[place], alone(spec))


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04nothing"])
def test_a_damaged_checkpoint_is_not_continued(
    damage: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says so; the run starts anew."""
    specs = sweep("seed=0", root=tmp_path / "runs")
    folder_of(specs[0]).mkdir(parents=True)
    (folder_of(specs[0]) / "replica.ckpt").write_bytes(damage)
    assert together(specs)[0].timing.resumed == 0
    assert "training starts anew" in caplog.text


# --- groups


def test_points_of_a_seed_stay_together_and_every_worker_has_a_group() -> None:
    """By hand: 3 surrogates x 4 seeds over 2 workers are 6 and 6 points with two seeds each."""
    specs = plan([*WORDS, "surrogate=atan,triangle,zero", "seed=0,1,2,3"], multirun=True).specs
    made = groups(specs, range(12), workers=2)
    assert [len(group.places) for group in made] == [6, 6]
    assert [{specs[place].seed for place in group.places} for group in made] == [{0, 1}, {2, 3}]
    assert sorted(place for group in made for place in group.places) == list(range(12))


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("trainer.threads=2", "trainer.threads=2: a worker has one thread"),
        ("optimizer.amsgrad=true", "optimizer.amsgrad: has no stacked form"),
    ],
)
def test_what_runs_alone_says_why(word: str, reason: str) -> None:
    assert why_alone(compose([*WORDS, word])) == reason
    assert why_alone(compose(WORDS)) is None


# --- the launcher


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_launcher_runs_skips_and_tells(count: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Two points of each seed, one of which runs alone; asked again, nothing is run."""
    seeds = ",".join(map(str, range(count)))
    words = ["run", "-m", *EXACT, "hydra/launcher=replicas", "optimizer.amsgrad=false,true", f"seed={seeds}"]
    words += ["hydra.launcher.workers=1"] * (count == 1)
    points = 2 * count
    assert main(words) == 0
    out = capfd.readouterr().out
    assert f"{count} points run alone: optimizer.amsgrad: has no stacked form" in out
    assert f"[{points}/{points}]" in out
    assert f"{points} of {points} runs finished" in out
    assert main(words) == 0
    again = capfd.readouterr().out
    assert f"{points} runs, {points} already finished" in again
    assert f"[{points}/{points}]" not in again


def test_a_bad_number_of_workers_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["run", "-m", *WORDS, "hydra/launcher=replicas", "hydra.launcher.workers=0", "seed=0,1"]
    assert main(words) == 2
    assert "hydra.launcher.workers=0: at least 1 is needed" in capfd.readouterr().err


def command_of(*words: str, root: Path) -> list[str]:
    """The sweep as a user types it."""
    command = [sys.executable, "-m", "sgbench", "run", "-m", *EXACT, *words, "hydra/launcher=replicas"]
    return [*command, f"paths.runs_dir={root}"]


def started(command: list[str]) -> subprocess.Popen[str]:
    """The sweep in a process of its own."""
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def assert_continued(command: list[str], specs: Sequence[RunSpec]) -> None:
    """The same command once more; the records are those of runs alone."""
    time.sleep(1)  # workers that nobody listens to leave at their next word
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
    for spec in specs:
        assert_alike(read_model(folder_of(spec) / "record.json", RunRecord), alone(spec))


@pytest.mark.slow
def test_an_interrupted_sweep_continues(tmp_path: Path) -> None:
    """Ctrl-C in mid-run saves and says so."""
    root = tmp_path / "runs"
    words = ["surrogate=atan,triangle", "protocol.epochs=60", "seed=0,1"]
    command = command_of(*words, root=root)
    process = started(command)
    deadline_s = time.monotonic() + 300
    while not list(root.rglob(".lock")) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert "the same command continues where it was" in said
    assert not list(root.rglob("record.json")), "the sweep was meant to be interrupted"
    assert_continued(command, sweep(*words, root=root)[:2])


def forked(command: list[str]) -> BaseProcess:
    """The sweep in a process that has loaded all it needs."""

    def run() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        os._exit(main(command[3:]))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def ended(process: BaseProcess) -> int | None:
    """Its exit code, once it has ended by itself."""
    process.join(1200)
    return process.exitcode


def records_of(specs: Sequence[RunSpec]) -> list[dict]:
    """Records in all but times and how often the test split was opened, which a kill may repeat."""
    trees = [comparable(read_model(folder_of(spec) / "record.json", RunRecord)) for spec in specs]
    return [{key: value for key, value in tree.items() if key != "test_access"} for tree in trees]


@pytest.mark.slow
def test_a_sweep_survives_fifty_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: the records of an undisturbed sweep. Fifty seeded moments, in parts of the time that one takes.

    A sweep that ends between two kills is compared, and the next one begins in a folder of its own.
    """
    monkeypatch.setattr("sgbench.replicas.crew.CHECKPOINT_S", 0.2)
    words = ["surrogate=atan,triangle", "protocol.epochs=400", "protocol.patience=null", "seed=0,1"]
    began_s = time.monotonic()
    assert ended(forked(command_of(*words, root=tmp_path / "calm"))) == 0
    whole_s = time.monotonic() - began_s
    calm = records_of(sweep(*words, root=tmp_path / "calm"))
    random = Random(4)  # noqa: S311 - moments, not secrets
    kills, resumed = 0, 0
    for number in itertools.count():
        root = tmp_path / str(number)
        specs = sweep(*words, root=root)
        status = None
        while status is None:
            process = forked(command_of(*words, root=root))
            if kills < 50:
                process.join(random.uniform(0, whole_s / 12))
            status = process.exitcode if kills < 50 else ended(process)
            if status is None:
                process.kill()
                process.join()
                kills += 1
                time.sleep(whole_s / 100)  # workers that nobody listens to leave at their next word
        assert status == 0
        assert records_of(specs) == calm
        files = [folder_of(spec) / "record.json" for spec in specs]
        resumed = max(resumed, *(read_model(path, RunRecord).timing.resumed for path in files))
        if kills == 50:
            break
    assert resumed > 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("rule=bptt,feedback_alignment,dfa,local,ottt,forward_gradient", "protocol.epochs=150"),
        ("rule=eprop", "rule.form=unrolled", "rule.feedback=random,adaptive", "protocol.epochs=400"),
        ("rule=eprop", "loss=per_step", "rule.update=per_step,per_sequence", "protocol.epochs=100"),
    ],
    ids=" ".join,
)
def test_a_killed_sweep_over_rules_continues(words: tuple[str, ...], tmp_path: Path) -> None:
    """Expected: records of runs alone, feedback that learns and what rules draw included.

    It is killed a moment behind its first checkpoint, and once more while it goes on.
    """
    root = tmp_path / "runs"
    command, specs = command_of(*words, root=root), sweep(*words, root=root)
    for _ in range(2):
        process = started(command)
        deadline_s = time.monotonic() + 300
        before = _stamps(root)
        while _stamps(root) <= before and process.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.05)
        time.sleep(0.5)
        assert process.poll() is None, "the sweep was meant to be killed"
        process.kill()
        process.communicate(timeout=300)
        time.sleep(1)
    assert_continued(command, specs)
    resumed = [read_model(folder_of(spec) / "record.json", RunRecord).timing.resumed for spec in specs]
    assert max(resumed) == 2


def _stamps(root: Path) -> float:
    """When the last checkpoint was written; 0 where there is none."""
    return max((path.stat().st_mtime for path in root.rglob("replica.ckpt")), default=0.0)
