"""Stacked networks: one pass and one step of an optimiser move each as its own would."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path

import pytest
import torch

from fastspiking.signals.spikes import SparseSpikes
from fastspiking.signals.trajectory import Batch
from sgbench.replicas.batched_optimizer import batched_optimizer_of
from sgbench.replicas.group_worker import GroupWorker
from sgbench.replicas.lockstep import Lockstep
from sgbench.replicas.messages import WorkerMessage
from sgbench.replicas.passes import Stack
from sgbench.replicas.replica import Replica
from sgbench.training.provenance import Code
from tests.run.side_by_side import sweep

# --- optimisers


def settings(kind: str) -> list[dict]:
    """Rows that differ in every number."""
    rates = [0.1, 0.003, 0.02]
    if kind == "SGD":
        more = [{}, {"momentum": 0.9, "dampening": 0.3}, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1}]
    else:
        more = [{}, {"betas": (0.5, 0.9), "eps": 1e-3}, {"weight_decay": 0.2}]
    return [{"lr": rate, **one} for rate, one in zip(rates, more, strict=True)]


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "Adamax"])
@pytest.mark.one_in(10)
@pytest.mark.parametrize("silent", [False, True], ids=["all", "one parameter without gradient"])
def test_rows_move_as_torch_moves_a_network(kind: str, *, silent: bool) -> None:
    """Expected: torch.optim's own optimiser, 50 steps in float64, to 1e-12."""
    random = torch.Generator().manual_seed(0)
    made = [torch.nn.Linear(5, 3, dtype=torch.float64) for _ in range(3)]
    lonely = copy.deepcopy(made)
    optimizers = [
        getattr(torch.optim, kind)(net.parameters(), **one) for net, one in zip(made, settings(kind), strict=True)
    ]
    expected = [
        getattr(torch.optim, kind)(net.parameters(), **one) for net, one in zip(lonely, settings(kind), strict=True)
    ]
    stack = Stack(made, batched_optimizer_of(optimizers))
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
    stack = Stack(made, batched_optimizer_of([torch.optim.Adam(net.parameters(), lr=0.1) for net in made]))
    stack.gradients.fill_(1.0)
    before = stack.snapshot()
    stack.step([1])
    after = stack.snapshot()
    assert all(torch.equal(before[name][0], after[name][0]) for name in before)
    assert all(not torch.equal(before[name][1], after[name][1]) for name in before)


# --- passes

STACKED = {
    "surrogates, slopes and seeds": ("surrogate=atan,triangle,sigmoid", "surrogate.scale=1,0.5", "seed=0,1"),
    "numbers of neurons": ("neuron.beta=0.7,0.95", "neuron.threshold=1,0.6", "neuron.reset=zero,subtract"),
    "recurrent": ("network.recurrence=all_to_all", "protocol.hidden=[20,9]", "neuron=leaky,alif"),
    "one to one": ("network.recurrence=one_to_one", "loss=max_over_time", "neuron.reset_gradient=attached,detached"),
    "crowded": (
        "init.gain=30",
        "neuron.reset=none",
        "neuron.beta=0.999",
        "neuron.threshold=0.001,0.01",
        "encoder=rate",
    ),
}


def lockstep_of(*words: str, root: Path) -> Lockstep:
    """Networks of a sweep, before their first step."""
    members: list[Replica] = []
    for place, spec in enumerate(sweep(*words, root=root)):
        data = members[0].parts.data if members else None
        members.append(Replica(place, spec, data, Code(None, None, {}, "any")))
    return Lockstep(members)


def first_batches(lockstep: Lockstep, count: int = 1) -> list[list[Batch]]:
    """Batches of each member's own seed."""
    streams = [itertools.islice(member.parts.data.epoch(0), count) for member in lockstep.members]
    return [list(each) for each in zip(*streams, strict=True)]


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, marks=[pytest.mark.slow] * (name not in {"recurrent", "crowded"}))
        for name, words in STACKED.items()
    ],
    ids=STACKED,
)
def test_stacked_passes_are_those_of_each_alone(words: tuple[str, ...], tmp_path: Path) -> None:
    """Expected: each network's own pass under its rule; weights after three clipped steps, to 1e-11."""
    together, apart = (lockstep_of(*words, "clip_norm=0.3", root=tmp_path / name) for name in ("together", "apart"))
    assert together.one_by_one is None
    batches = first_batches(together, 3)
    before = together.stack.values.clone()
    for each in batches:
        assert together.passes is not None
        assert together.passes.prepare(each)
        assert together.train_batch(each) == apart._train_one_by_one(each) == {}
        dense = [chain.blocks._is_dense() for chain in together.passes.chains]
        assert all(dense) == any(dense) == ("init.gain=30" in words)
    assert ((together.stack.values - before).abs().amax(1) > 1e-3).all()
    torch.testing.assert_close(together.stack.values, apart.stack.values, rtol=1e-9, atol=1e-11)
    for one, other in zip(together.members, apart.members, strict=True):
        torch.testing.assert_close(torch.stack(one.training.losses), torch.stack(other.training.losses))


@pytest.mark.slow
def test_a_row_that_is_not_finite_stops_alone_in_a_stacked_pass(tmp_path: Path) -> None:
    """Must match: the neighbours' weights after the step. Expected: the error names the layer of the one."""
    broken, whole = (lockstep_of("seed=0,1,2", root=tmp_path / name) for name in ("broken", "whole"))
    with torch.no_grad():
        broken.members[1].parts.network.layers[0].weight[0, 0] = float("nan")
    (batches,) = first_batches(broken)
    assert broken.passes is not None
    assert broken.passes.prepare(batches)
    failures = broken.train_batch(batches)
    assert failures.keys() == {1}
    assert "layer 'hidden0'" in str(failures[1])
    whole.train_batch(batches)
    for row in (0, 2):
        assert torch.equal(broken.stack.values[row], whole.stack.values[row])


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        pytest.param(("rule.window=2",), "rule=bptt goes step by step or in windows", marks=pytest.mark.slow),
        pytest.param(("loss=per_step",), "loss=per_step is no cross-entropy of logits", marks=pytest.mark.slow),
        (("regulariser=total_activity",), "regulariser=total_activity looks at each network's own spikes"),
        pytest.param(("neuron.learn_beta=shared",), "numbers of its neurons learn", marks=pytest.mark.slow),
        pytest.param(("engine=scan",), "layer 'hidden0' runs on scan (asked for)", marks=pytest.mark.slow),
        pytest.param(("neuron=izhikevich",), "layer 'hidden0' runs on reference", marks=pytest.mark.slow),
        pytest.param(
            ("dropout=shared_mask",), "layer 'readout' is more than weights and neurons", marks=pytest.mark.slow
        ),
        pytest.param(
            ("rule=eprop", "loss=per_step"), "rule=eprop goes step by step or in windows", marks=pytest.mark.slow
        ),
        (("loss=max_over_time,sum_over_time",), "their losses differ"),
    ],
)
def test_what_is_not_stacked_says_why(words: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    """And goes its own way, as alone."""
    lockstep = lockstep_of(*words, root=tmp_path)
    assert lockstep.passes is None
    assert (lockstep.one_by_one or "").startswith(reason)
    told: list[WorkerMessage] = []
    worker = GroupWorker([], told.append, lambda: False)
    worker._report_unstacked(lockstep)
    worker._report_unstacked(lockstep)
    (note,) = told
    assert note.kind == "noted"
    assert reason in note.line
    (batches,) = first_batches(lockstep)
    assert lockstep.train_batch(batches) == {}


@pytest.mark.slow
def test_dense_batches_are_passed_over_one_by_one(tmp_path: Path) -> None:
    """Must match: the step of an input with so many events that a product is faster."""
    one, other = (lockstep_of("seed=0,1", "encoder=rate", root=tmp_path / name) for name in ("one", "other"))
    (batches,) = first_batches(one)
    full = [batch._replace(x=SparseSpikes.of(torch.ones(*batch.x.shape, dtype=torch.float64))) for batch in batches]
    assert one.passes is not None
    assert not one.passes.prepare(full)
    one.train_batch(full)
    other._train_one_by_one(full)
    assert torch.equal(one.stack.values, other.stack.values)
