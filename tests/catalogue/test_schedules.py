"""The learning rate in the course of training: each entry against torch's own scheduler, and its refusals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

import sgbench
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.records.method import method_id
from sgbench.schedules.base import Moment
from sgbench.training.build import build
from tests.run.tiny import WORDS

EPOCHS, BATCHES, LR = 12, 7, 0.3
NAMES = list(catalogue.entries("schedule"))


def moment(epoch: int, batch: int = 0, losses: Sequence[float] = (), epochs: int = EPOCHS) -> Moment:
    return Moment(epoch=epoch, epochs=epochs, batch=batch, batches=BATCHES, losses=tuple(losses))


def rates(make: Callable[[torch.optim.Optimizer], Any], steps: int, losses: Sequence[float] = ()) -> list[float]:
    """The learning rates of torch's scheduler, before each of its steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler, found = make(optimizer), []
    for step in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*losses[step : step + 1])
    return found


def cosine(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS, eta_min=0.1 * LR)


def warm_up(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
    first = lr_scheduler.LinearLR(optimizer, start_factor=0.2, total_iters=4)
    then = lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS - 4)
    return lr_scheduler.SequentialLR(optimizer, [first, then], milestones=[4])


@pytest.mark.filterwarnings("ignore:The epoch parameter")  # torch's own, of its own SequentialLR
@pytest.mark.parametrize(
    ("changes", "theirs"),
    [({"final": 0.1}, cosine), ({"warm_up_epochs": 4, "start": 0.2}, warm_up)],
    ids=["cosine", "warm-up"],
)
def test_cosine_by_epoch(changes, theirs):
    """Expected: torch's CosineAnnealingLR, behind its LinearLR where there is a warm-up, to 1e-12."""
    schedule = sgbench.create("schedule/cosine", **changes)
    ours = [LR * schedule.factor(moment(epoch)) for epoch in range(EPOCHS)]
    assert ours == pytest.approx(rates(theirs, EPOCHS), abs=1e-12)
    assert schedule.factor(moment(3, batch=5)) == schedule.factor(moment(3))


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("times", "milestones"), [(None, [5, 10]), (1, [5])])
def test_step_by_epoch(times, milestones):
    """Expected: torch's StepLR, and its MultiStepLR with the one fall that is allowed, to 1e-12."""
    schedule = sgbench.create("schedule/step", by=0.3, every_epochs=5, times=times)
    ours = [LR * schedule.factor(moment(epoch)) for epoch in range(EPOCHS)]
    stepped = rates(lambda optimizer: lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.3), EPOCHS)
    assert (ours == pytest.approx(stepped, abs=1e-12)) == (times is None)
    several = rates(lambda optimizer: lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.3), EPOCHS)
    assert ours == pytest.approx(several, abs=1e-12)


def test_warm_up_then_stays():
    """By hand: a tenth at first, 0.1 + 0.9 * 2 / 5 in the third epoch, 1 from the sixth on."""
    schedule = sgbench.create("schedule/warm_up")
    found = [schedule.factor(moment(epoch)) for epoch in (0, 2, 5, 11)]
    assert found == pytest.approx([0.1, 0.46, 1, 1], abs=1e-15)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("rise", [0.3, 0.05])
def test_one_cycle_by_batch(rise):
    """Expected: torch's OneCycleLR without a cycle of momentum, to 1e-12."""
    schedule = sgbench.create("schedule/one_cycle", rise=rise)

    def theirs(optimizer):
        return lr_scheduler.OneCycleLR(
            optimizer, max_lr=LR, total_steps=EPOCHS * BATCHES, pct_start=rise, cycle_momentum=False
        )

    ours = [LR * schedule.factor(moment(*divmod(step, BATCHES))) for step in range(EPOCHS * BATCHES)]
    expected = rates(theirs, EPOCHS * BATCHES - 1)  # torch refuses the step after the last
    assert ours[:-1] == pytest.approx(expected, abs=1e-12)
    assert ours[-1] == pytest.approx(LR / 25 / 1e4, rel=1e-9)


@pytest.mark.parametrize("sign", [1, -1], ids=["losses", "accuracies"])
def test_plateau_by_validation(sign):
    """Expected: torch's ReduceLROnPlateau, stepped with the same values, to 1e-12."""
    random = torch.Generator().manual_seed(3)
    steps = 0.3 * torch.randn(40, generator=random, dtype=torch.float64)
    losses = [sign * math.exp(-0.05 * epoch + step) for epoch, step in enumerate(steps.tolist())]
    schedule = sgbench.create("schedule/plateau", by=0.5, wait_epochs=2, least=0.01)

    def theirs(optimizer):
        return lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, min_lr=0.01 * LR)

    ours = [LR * schedule.factor(moment(epoch, losses=losses[:epoch], epochs=40)) for epoch in range(40)]
    assert ours == pytest.approx(rates(theirs, 40, losses), abs=1e-12)
    assert len(set(ours)) > 3


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", NAMES)
def test_the_learning_rate_of_a_batch(name):
    """Expected: what a batch is trained at is the optimiser's own times the factor, and constant changes no id."""
    spec = compose([*WORDS, f"schedule={name}", "protocol.epochs=8", "optimizer.lr=0.02"])
    parts = build(spec)
    parts.data.setup()
    training = training_of(spec, parts)
    training.begin_epoch(3)
    seen = []
    for batch in parts.data.epoch(3):
        training.set_learning_rate(parts.optimizer)
        training.train(batch, parts.optimizer)
        seen.append(parts.optimizer.param_groups[0]["lr"])
    batches = parts.data.batches_per_epoch
    expected = [
        0.02 * parts.schedule.factor(Moment(epoch=3, epochs=8, batch=place, batches=batches, losses=()))
        for place in range(batches)
    ]
    assert seen == expected
    plain = compose([*WORDS, "protocol.epochs=8", "optimizer.lr=0.02"])
    assert (method_id(spec.method) == method_id(plain.method)) is (name == "constant")


def training_of(spec, parts):
    from sgbench.training.epoch_loop import Training

    return Training(parts, spec.method, spec.seed, made_by={})


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["schedule=warm_up"], "schedule.warm_up_epochs=5: the protocol has 2 epochs; leave at least one"),
        (["schedule=cosine", "schedule.final=2"], "schedule.final"),
        (["schedule=one_cycle", "schedule.rise=1"], "schedule.rise=1"),
        (["schedule=step", "schedule.by=0"], "schedule.by=0"),
        (["schedule=step", "schedule.times=0"], "schedule.times=0"),
        (["schedule=plateau", "schedule.by=0"], "schedule.by=0"),
        (["schedule=plateau", "schedule.wait_epochs=1.5"], "schedule.wait_epochs=1.5: a whole number"),
    ],
)
def test_refusals_name_the_number(words, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        build(compose([*WORDS, "protocol.epochs=2", *words]))
