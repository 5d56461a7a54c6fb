"""Losses against formulas written out in NumPy, for samples that end at different steps.

Legend: T steps, B batch, C classes, N neurons; y output, n spike count.
"""

import functools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.losses.base import Loss
from sgbench.training.build import build, construct
from tests.entries import spec_with
from tests.messages import raises_naming

STEPS, LENGTHS, CLASSES = 7, (7, 1, 4, 6), 5
NUMBERS = {
    name: {"window_s": 0.003} for name in ("last_window", "window_per_step")
}  # three steps, longer than one of the samples


@functools.cache
def make(name: str) -> Loss:
    """A loss has no state, so one object serves all tests."""
    spec = spec_with({"loss": name}, {f"loss.{key}": value for key, value in NUMBERS.get(name, {}).items()})
    return construct("loss", spec.targets["loss"], spec.method.parameters["loss"])


NAMES = [name for name in catalogue.entries("loss") if "class" in make(name).targets]
ONLINE = [name for name in NAMES if make(name).online]
every_loss = pytest.mark.parametrize("name", NAMES)

LOGITS = {  # of one sample, from its own outputs [T_b, C]
    "last_step": lambda y: y[-1],
    "last_window": lambda y: y[-3:].mean(0),
    "max_over_time": lambda y: y.max(0),
    "max_since_input": lambda y: y[(y != 0).any(1).argmax() :].max(0),
    "max_since_rest": lambda y: np.maximum(y.max(0), 0),
    "per_step": lambda y: y.mean(0),
    "spike_count": lambda y: y.sum(0),
    "sum_over_time": lambda y: y.sum(0),
    "window_per_step": lambda y: y[-3:].mean(0),
}
ROWS = {"per_step": lambda y: y, "window_per_step": lambda y: y[-3:]}
"""Of losses that average over steps: the outputs of which each has a cross-entropy of its own."""


def make_output(name: str, seed: int = 0) -> Tensor:
    """Random outputs of the kind this loss reads: spikes or potentials around 0."""
    random = torch.Generator().manual_seed(seed)
    shape = (STEPS, len(LENGTHS), CLASSES)
    if make(name).readout == "binary":
        return (torch.rand(shape, generator=random) < 0.4).double()
    return 2 * torch.randn(shape, generator=random, dtype=torch.float64)


def trajectory(output: Tensor, spikes: tuple[Tensor, ...] = (), lengths: tuple[int, ...] = LENGTHS) -> Trajectory:
    return Trajectory(output, torch.tensor(lengths), spikes, (), ())


def cross_entropy(logits: np.ndarray, label: int) -> float:
    """ln sum exp(z) - z_c."""
    return math.log(sum(math.exp(z) for z in logits)) - logits[label]


TARGET = torch.tensor([0, 4, 2, 1])


def whole_by_hand(name: str, output: np.ndarray) -> float:
    """Mean over samples; those of `ROWS` average over a sample's steps first."""
    losses = []
    for b, (length, label) in enumerate(zip(LENGTHS, TARGET.tolist(), strict=True)):
        own = output[:length, b]
        rows = ROWS[name](own) if name in ROWS else [LOGITS[name](own)]
        losses.append(np.mean([cross_entropy(row, label) for row in rows]))
    return float(np.mean(losses))


def share_of(loss: Loss, output: Tensor, step: int) -> float:
    """A step's share of a loss that remembers nothing, whose state is None and stays it."""
    batch = Batch(output[None], TARGET, torch.tensor(LENGTHS), torch.arange(len(LENGTHS)))
    assert loss.begin(batch) is None
    share, state = loss.per_step(output, batch, step, None)
    assert state is None
    return share.item()


# --- values


@pytest.mark.parametrize("name", LOGITS)
def test_equals_the_formula(name):
    """Expected: the formula over each sample's own steps, in NumPy; the largest logit is the prediction."""
    output = make_output(name)
    logits = make(name).logits(trajectory(output))
    expected = np.stack([LOGITS[name](output[:length, b].numpy()) for b, length in enumerate(LENGTHS)])
    np.testing.assert_allclose(logits.numpy(), expected, rtol=0, atol=1e-14)
    assert logits.argmax(1).tolist() == expected.argmax(1).tolist()
    found = make(name).whole(trajectory(output), TARGET).item()
    assert found == pytest.approx(whole_by_hand(name, output.numpy()), rel=1e-13)


@every_loss
def test_every_loss_has_a_formula_or_an_example_computed_by_hand(name):
    """Expected: the formula is in LOGITS, or the class has an example in its docstring, which is run."""
    example = ">>> " in (type(make(name)).__doc__ or "")
    assert name in LOGITS or example, f"loss {name}: compute logits by hand in its docstring"


def test_losses_differ():
    """Must differ: on the same outputs, and on these behind a step at rest, no two losses agree."""
    output = make_output("last_step") - 2
    rested = torch.cat([torch.zeros_like(output[:1]), output[:-1]])
    real = [name for name in NAMES if make(name).readout != "binary"]
    values = [
        tuple(round(make(name).whole(trajectory(each), TARGET).item(), 6) for each in (output, rested)) for name in real
    ]
    assert len(set(values)) == len(real)


@pytest.mark.parametrize("name", ONLINE)
def test_shares_add_up_to_the_whole(name):
    """Expected: mathematics, the whole is a sum over steps; also where the last steps have no sample left."""
    loss = make(name)
    output = torch.cat([make_output(name), torch.full((2, len(LENGTHS), CLASSES), 3.0, dtype=torch.float64)])
    shares = [share_of(loss, output[t], t) for t in range(len(output))]
    assert sum(shares) == pytest.approx(loss.whole(trajectory(output), TARGET).item(), rel=1e-12)
    assert shares[-2:] == [0, 0]
    assert all(share > 0 for share in shares[:-2])


@every_loss
def test_each_sample_has_its_own(name):
    """Expected: the value of a batch of that sample alone; their mean is the whole."""
    output, loss = make_output(name), make(name)
    each = loss.each(trajectory(output), TARGET)
    for b, length in enumerate(LENGTHS):
        alone = loss.whole(trajectory(output[:, b : b + 1], lengths=(length,)), TARGET[b : b + 1])
        assert each[b].item() == pytest.approx(alone.item(), rel=1e-13)
    assert each.mean().item() == pytest.approx(loss.whole(trajectory(output), TARGET).item(), rel=1e-13)


def test_before_its_window_a_step_has_no_share():
    """Expected by hand: three steps of each sample count. Must differ from `per_step`, where all do."""
    output = make_output("window_per_step")
    shares = [share_of(make("window_per_step"), output[t], t) for t in range(STEPS)]
    long = Batch(output[:, :1], TARGET[:1], torch.tensor([STEPS]), torch.zeros(1))
    alone = [make("window_per_step").per_step(output[t, :1], long, t, None)[0].item() for t in range(STEPS)]
    assert [share > 0 for share in alone] == [False] * 4 + [True] * 3
    assert sum(shares) != pytest.approx(make("per_step").whole(trajectory(output), TARGET).item(), rel=1e-3)


def test_share_is_the_formula():
    """Expected: 1/(B T_b) times the cross-entropy of the samples that still run in step 4: the first and last."""
    output = make_output("per_step")
    found = share_of(make("per_step"), output[4], 4)
    expected = sum(cross_entropy(output[4, b].numpy(), TARGET[b].item()) / (4 * LENGTHS[b]) for b in (0, 3))
    assert found == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(ONLINE)))
def test_others_have_no_share(name):
    """Expected: an error that says why, rather than a wrong number."""
    with pytest.raises(NotImplementedError, match="needs the whole sequence"):
        share_of(make(name), make_output(name)[0], 0)


# --- contract


def value_and_gradient(loss: Loss, output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    output = output.clone().requires_grad_()
    logits = loss.logits(trajectory(output)).detach()
    value = loss.whole(trajectory(output), TARGET)
    return logits, value.detach(), torch.autograd.grad(value, output)[0]


@every_loss
@pytest.mark.parametrize("garbage", [1e6, -1e6, 1e300])
def test_what_lies_behind_the_end_does_not_matter(name, garbage):
    """Expected: equal bits of logits, loss and gradient; the gradient there is 0, and not 0 within samples."""
    output = make_output(name)
    behind = torch.arange(STEPS)[:, None] >= torch.tensor(LENGTHS)
    spoilt = output.masked_fill(behind[..., None], garbage)
    clean, dirty = (value_and_gradient(make(name), each) for each in (output, spoilt))
    assert all(torch.equal(one, other) for one, other in zip(clean, dirty, strict=True))
    assert (dirty[2][behind] == 0).all()
    assert (dirty[2].abs().sum((0, 2)) > 0).all()


@every_loss
def test_longer_padding_does_not_matter(name):
    """Expected: the same value with three more steps behind every sample, to the rounding of another order."""
    output = make_output(name)
    longer = torch.cat([output, torch.ones(3, len(LENGTHS), CLASSES, dtype=torch.float64)])
    found = make(name).whole(trajectory(longer), TARGET).item()
    assert found == pytest.approx(make(name).whole(trajectory(output), TARGET).item(), rel=1e-14)


@every_loss
def test_is_a_mean_over_samples(name):
    """Expected: mathematics; the mean of the losses of single samples, whatever the batch."""
    output = make_output(name)
    singles = [
        make(name).whole(trajectory(output[:, b : b + 1], lengths=LENGTHS[b : b + 1]), TARGET[b : b + 1]).item()
        for b in range(len(LENGTHS))
    ]
    assert np.mean(singles) == pytest.approx(make(name).whole(trajectory(output), TARGET).item(), rel=1e-13)


@pytest.mark.one_in(5)
@every_loss
def test_gradient_equals_finite_differences(name):
    """Expected: central differences, error about 1e-9; max over time has no tie within the step here."""
    output = make_output(name) + 0.01 * torch.arange(CLASSES) + 0.03 * torch.arange(STEPS)[:, None, None]
    output.requires_grad_()
    assert torch.autograd.gradcheck(lambda y: make(name).whole(trajectory(y), TARGET), output)


def test_max_over_time_has_no_floor_at_zero():
    """Expected by hand: of outputs that all stay negative the largest counts, and gets the gradient.

    With the readout's initial 0 in the trace all classes would tie at 0 and none would learn.
    """
    output = -make_output("max_over_time").abs() - 1
    logits, value, gradient = value_and_gradient(make("max_over_time"), output)
    assert (logits < 0).all()
    assert all(len(set(row)) == CLASSES for row in logits.tolist())
    assert value.item() != pytest.approx(math.log(CLASSES), rel=1e-3)
    assert ((gradient != 0).sum(0) == 1).all()  # one step of each class and sample


def test_max_since_input_counts_no_step_before_the_first_input():
    """Expected by hand: behind two steps at rest, negative outputs count as they are and each gets a gradient.

    Must match: the same outputs without these steps, and `max_over_time` where no output is 0. Must differ:
    `max_over_time`, to which the steps at rest are the largest, so that nothing learns.
    """
    later = -make_output("max_since_input").abs() - 1
    output = torch.cat([torch.zeros(2, *later.shape[1:], dtype=later.dtype), later])
    longer = tuple(length + 2 for length in LENGTHS)
    found = output.clone().requires_grad_()
    logits = make("max_since_input").logits(trajectory(found, lengths=longer))
    assert torch.equal(logits, make("max_since_input").logits(trajectory(later)))
    assert torch.equal(logits, make("max_over_time").logits(trajectory(later)))
    cross = torch.nn.functional.cross_entropy(logits, TARGET)
    (gradient,) = torch.autograd.grad(cross, found)
    assert ((gradient[2:] != 0).sum(0) == 1).all()
    assert not gradient[:2].any()
    resting = make("max_over_time").logits(trajectory(output, lengths=longer))
    assert not resting.any()
    silent = torch.zeros_like(output)
    assert not make("max_since_input").logits(trajectory(silent, lengths=longer)).any()


def test_max_since_rest_has_a_floor_at_zero():
    """Expected by hand: outputs that all stay negative tie at 0, cost ln C and learn nothing; others as without."""
    output = -make_output("max_since_rest").abs() - 1
    logits, value, gradient = value_and_gradient(make("max_since_rest"), output)
    assert (logits == 0).all()
    assert value.item() == pytest.approx(math.log(CLASSES), rel=1e-12)
    assert not gradient.any()
    above = make_output("max_since_rest").abs() + 1
    found, plain = (value_and_gradient(make(name), above) for name in ("max_since_rest", "max_over_time"))
    assert all(torch.equal(one, other) for one, other in zip(found, plain, strict=True))


# --- the readout a loss needs


def test_spike_count_refuses_a_readout_without_spikes():
    """Expected: one line at build that names the loss and the remedy, which then works."""
    with raises_naming(InputError, "loss=spike_count", "neuron@readout=leaky") as caught:
        build(compose(["loss=spike_count"]))
    assert "\n" not in str(caught.value)
    parts = build(compose(["loss=spike_count", "neuron@readout=leaky"]))
    assert parts.network.readout.neuron.output == "binary"


@pytest.mark.one_in(8)
@every_loss
def test_declared_readout_builds(name):
    """Expected: each loss builds with the readout it declares; `any` with both."""
    wanted = make(name).readout
    entries = {"binary": ["leaky"], "real": ["leaky_readout"], "any": ["leaky", "leaky_readout"]}[wanted]
    for entry in entries:
        build(compose([f"loss={name}", f"neuron@readout={entry}"]))
