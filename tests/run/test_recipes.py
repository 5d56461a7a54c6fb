"""Recipes of training: smoothed labels, gradients over several batches, sharpness-aware steps."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import sgbench
from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.errors import InputError, NonFiniteError
from sgbench.optimizers.sam import Sam
from sgbench.records.method import method_id
from sgbench.replicas.grouping import why_alone
from sgbench.training.build import build
from sgbench.training.epoch_loop import Training
from tests.run.tiny import WORDS

STEPS, BATCH, CLASSES = 6, 5, 4
LENGTHS = torch.tensor([6, 4, 6, 3, 5])
SMOOTHED = tuple(
    name for name in catalogue.paths("loss") if "label_smoothing" in catalogue.entry("loss", name).parameters
)
EXACT = ("protocol.precision=float64", "protocol.epochs=1", "optimizer=sgd", "optimizer.lr=0.1")


# --- smoothed labels


def outputs(name: str) -> tuple[Trajectory, Tensor]:
    """Outputs of a readout with 4 classes that each fire at some time, and labels, per step where they are so."""
    random = torch.Generator().manual_seed(1)
    output = torch.randn(STEPS, BATCH, CLASSES, generator=random, dtype=torch.float64)
    if name == "first_spike":
        output = (output > 0.5).double()
    labels = torch.tensor([0, 3, 1, 2, 2])
    if name == "label_per_step":
        labels = torch.randint(CLASSES, (BATCH, STEPS), generator=random)
    return Trajectory(output, LENGTHS, (), (), ()), labels


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", SMOOTHED)
def test_a_share_of_the_target_is_every_class(name: str) -> None:
    """By definition: (1 - s) L(label) + s times the mean of L over all classes as the label, in each form of it."""
    smooth, hard = sgbench.create(f"loss/{name}", label_smoothing=0.3), sgbench.create(f"loss/{name}")
    trajectory, labels = outputs(name)
    every = [hard.each(trajectory, torch.full_like(labels, label)) for label in range(CLASSES)]
    expected = 0.7 * hard.each(trajectory, labels) + 0.3 * torch.stack(every).mean(0)
    torch.testing.assert_close(smooth.each(trajectory, labels), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(smooth.whole(trajectory, labels), expected.mean(), rtol=1e-12, atol=1e-12)
    assert (smooth.whole(trajectory, labels) - hard.whole(trajectory, labels)).abs() > 1e-3
    assert smooth.plain().whole(trajectory, labels) == hard.whole(trajectory, labels)
    if smooth.online:
        batch = Batch(trajectory.output, labels, LENGTHS, torch.arange(BATCH))
        state, total = smooth.begin(batch), torch.zeros((), dtype=torch.float64)
        for step, output in enumerate(trajectory.output):
            share, state = smooth.per_step(output, batch, step, state)
            total = total + share
        torch.testing.assert_close(total, expected.mean(), rtol=1e-12, atol=1e-12)


def test_smoothing_is_torchs() -> None:
    """Must match: torch's cross-entropy of the logits with its own label smoothing, to the bit."""
    loss = sgbench.create("loss/max_over_time", label_smoothing=0.1)
    trajectory, labels = outputs("max_over_time")
    expected = cross_entropy(loss.logits(trajectory), labels, label_smoothing=0.1)
    assert loss.whole(trajectory, labels) == expected


def trained(*words: str) -> tuple[Training, list[Tensor]]:
    """Train for the epochs asked for, without a framework; return the training and the weights."""
    spec = compose([*WORDS, *words])
    parts = build(spec)
    parts.data.setup()
    training = Training(parts, spec.method, spec.seed, made_by={})
    for epoch in range(spec.method.protocol.epochs):
        training.begin_epoch(epoch)
        for batch in parts.data.epoch(epoch):
            for group in parts.optimizer.param_groups:
                group["lr"] = training.learning_rate()
            training.train(batch, parts.optimizer)
    return training, [weight.detach() for weight in parts.network.parameters()]


def apart(one: list[Tensor], other: list[Tensor]) -> float:
    """The largest difference of weights."""
    return max((a - b).abs().max().item() for a, b in zip(one, other, strict=True))


def test_scores_know_no_smoothing() -> None:
    """Expected: weights move otherwise; the score of equal weights is the plain loss."""
    training, smooth = trained(*EXACT, "loss.label_smoothing=0.2")
    _, hard = trained(*EXACT)
    assert apart(smooth, hard) > 1e-4
    batch = next(iter(training.data.evaluation("validation")))
    _, logits, loss = training.loop.evaluate(batch)
    assert loss == cross_entropy(logits, batch.target)


# --- gradients over several batches


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "more",
    [(), ("clip_norm=0.01",), ("schedule=one_cycle", "protocol.epochs=2")],
    ids=["plain", "clipped", "one cycle"],
)
def test_batches_make_the_step_of_one_large_batch(more: tuple[str, ...]) -> None:
    """Must match: 96 samples three at a time are 288 samples, the last batch of another size, to 1e-12."""
    words = (*EXACT, *more, "protocol.batch_size=96")
    training, found = trained(*words, "protocol.accumulated_batches=3")
    _, expected = trained(*words, "protocol.batch_size=288")
    assert apart(found, expected) < 1e-12
    assert apart(found, trained(*words)[1]) > 1e-5
    samples = len(training.data.splits["train"].target)
    assert samples % 288 % 96  # else the weights of batches would not matter


# --- sharpness-aware steps


@pytest.mark.one_in(8)
@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("clip_norm", [None, 0.05])
def test_sam_is_two_steps_by_hand(adaptive: bool, clip_norm: float | None) -> None:
    """Must match: Foret et al., algorithm 1, written out on torch's gradients; adaptive: |w| scales all weights."""
    words = (*EXACT, f"clip_norm={'null' if clip_norm is None else clip_norm}", "protocol.batch_size=512")
    sam = ("optimizer=sam", "optimizer.base=sgd", "optimizer.rho=0.1", f"optimizer.adaptive={adaptive}")
    _, found = trained(*words, *sam)
    spec = compose([*WORDS, *words])
    parts = build(spec)
    parts.data.setup()
    weights = list(parts.network.parameters())

    def gradients(batch: Batch) -> list[Tensor]:
        trajectory = parts.network.unroll(batch.x, batch.lengths)
        return list(torch.autograd.grad(parts.objective.whole(trajectory, batch.target), weights))

    for batch in parts.data.epoch(0):
        before = [weight.detach().clone() for weight in weights]
        sizes = [weight.abs() if adaptive else torch.ones_like(weight) for weight in before]
        first = [size * each for size, each in zip(sizes, gradients(batch), strict=True)]
        norm = math.sqrt(sum(each.square().sum().item() for each in first))
        for weight, size, each in zip(weights, sizes, first, strict=True):
            weight.data.add_(0.1 / norm * size * each)
        second = gradients(batch)
        length = math.sqrt(sum(each.square().sum().item() for each in second))
        shorter = min(1.0, (clip_norm or math.inf) / (length + 1e-6))
        for weight, old, each in zip(weights, before, second, strict=True):
            weight.data = old - 0.1 * shorter * each
    assert apart(found, [weight.detach() for weight in weights]) < 1e-12
    assert apart(found, trained(*words)[1]) > 1e-4


@pytest.mark.slow
def test_sam_leaves_running_statistics_to_the_first_pass() -> None:
    """Expected: of one batch, the statistics that torch's momentum makes of one pass, at the weights before it."""
    words = (*EXACT, "normalisation=batch_norm", "protocol.batch_size=2000")
    sam, _ = trained(*words, "optimizer=sam", "optimizer.base=sgd", "optimizer.rho=0.5")
    plain, _ = trained(*words)
    one, other = (list(training.network.buffers()) for training in (sam, plain))
    assert one
    for found, expected in zip(one, other, strict=True):
        assert torch.equal(found, expected)


def test_a_second_gradient_that_is_not_finite_leaves_the_weights() -> None:
    """Expected: the error reaches the caller, the weights have their bytes."""
    weight = torch.nn.Parameter(torch.ones(3))
    numbers = {"weight_decay": 0.0, "betas": None, "eps": None, "momentum": None}
    optimizer = Sam([weight], base="adam", rho=0.1, adaptive=False, lr=0.1, **numbers)
    weight.grad = torch.ones(3)

    def stop() -> None:
        assert not torch.equal(weight, torch.ones(3))
        raise NonFiniteError("the gradient is not finite")

    with pytest.raises(NonFiniteError):
        optimizer.step(stop)
    assert torch.equal(weight, torch.ones(3))


# --- what is refused, and what trains alone


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("optimizer=sam", "rule=local"), r"optimizer=sam: needs .* rule=local has not; use rule=bptt"),
        (
            ("optimizer=sam", "rule.window=2", "rule.update=per_window", "loss=per_step"),
            r"optimizer=sam: .* rule\.update=per_window has not; use rule\.update=null",
        ),
        (("optimizer=sam", "protocol.accumulated_batches=2"), r"accumulated_batches=2: optimizer=sam looks"),
        (("optimizer=sam", "optimizer.rho=0"), r"optimizer\.rho=0"),
        (("optimizer=sam", "optimizer.momentum=0.9"), r"optimizer\.momentum=0\.9: base=adam has betas and eps"),
        (("optimizer=sam", "optimizer.base=lion"), r"optimizer\.base='lion'"),
        (("protocol.accumulated_batches=2", "rule=eprop", "loss=per_step"), r"=2: .* rule=eprop has not"),
        (("protocol.accumulated_batches=1",), r"protocol\.accumulated_batches"),
        (("loss.label_smoothing=1.5",), r"loss\.label_smoothing=1\.5"),
    ],
)
def test_refusals(words: tuple[str, ...], message: str) -> None:
    """Expected: one line with the word and the remedy."""
    with pytest.raises(InputError, match=message) as caught:
        build(compose([*WORDS, *words]))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_ids_and_stacks() -> None:
    """Expected: neutral values move no id, others do; accumulated batches train alone."""
    plain = method_id(compose(WORDS).method)
    for neutral, other in (
        ("loss.label_smoothing=0", "loss.label_smoothing=0.1"),
        ("protocol.accumulated_batches=null", "protocol.accumulated_batches=2"),
    ):
        assert method_id(compose([*WORDS, neutral]).method) == plain
        assert method_id(compose([*WORDS, other]).method) != plain
    assert why_alone(compose([*WORDS, "loss.label_smoothing=0.1"])) is None
    assert "accumulated_batches=2" in str(why_alone(compose([*WORDS, "protocol.accumulated_batches=2"])))
    assert "sam" in str(why_alone(compose([*WORDS, "optimizer=sam"])))
