"""Losses on the output of every step against loops in NumPy.

Legend: T steps, B batch, C outputs; samples end at different steps.
"""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import sgbench
from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.composition import catalogue
from sgbench.errors import InputError
from sgbench.losses.base import Loss
from sgbench.losses.mean_squared_error import MeanSquaredError
from sgbench.losses.van_rossum import VanRossum

STEPS, LENGTHS, OUTPUTS = 9, (9, 1, 4, 6), 3
DT_S = 0.001
DOUBLE = {"tau_decay_s": 0.01, "tau_rise_s": 0.005, "dt_s": DT_S}
SINGLE = {"tau_decay_s": 0.004, "tau_rise_s": 0.0, "dt_s": DT_S}
LOSSES = {
    "mean_squared_error": MeanSquaredError(),
    "van_rossum": VanRossum(**SINGLE),
    "double exponential": VanRossum(**DOUBLE),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def trajectory(output: Tensor, lengths: tuple[int, ...] = LENGTHS) -> Trajectory:
    return Trajectory(output, torch.tensor(lengths), (), (), ())


def make(seed: int, binary: bool) -> tuple[Tensor, Tensor]:
    """Outputs [T, B, C] and targets [B, T, C]."""
    random = torch.Generator().manual_seed(seed)
    numbers = torch.randn(2, STEPS, len(LENGTHS), OUTPUTS, generator=random, dtype=torch.float64)
    output, target = (numbers > 0.5).double() if binary else numbers
    return output, target.transpose(0, 1).contiguous()


def smoothed(train: np.ndarray, decay_s: float, rise_s: float) -> np.ndarray:
    """A spike train filtered by recursion, each exponential by itself; scaled to the kernel's largest value."""
    slow, fast, peak = 0.0, 0.0, 0.0
    beta, alpha = math.exp(-DT_S / decay_s), math.exp(-DT_S / rise_s) if rise_s else 0.0
    kernel = [beta**k - alpha ** (k + 1) for k in range(STEPS)]
    peak = max(kernel)
    found = []
    for spike in train:
        slow = beta * slow + spike
        fast = alpha * (fast + spike)
        found.append((slow - fast) / peak)
    return np.array(found)


def by_hand(name: str, output: np.ndarray, target: np.ndarray) -> float:
    """One loop per sample and output."""
    losses = []
    for b, length in enumerate(LENGTHS):
        errors = []
        for c in range(OUTPUTS):
            difference = output[:length, b, c] - target[b, :length, c]
            if name == "van_rossum":
                difference = smoothed(difference, 0.004, 0.0)
            if name == "double exponential":
                difference = smoothed(difference, 0.01, 0.005)
            errors.append(np.mean(difference**2))
        losses.append(np.mean(errors))
    return float(np.mean(losses))


@every_loss
def test_equals_the_formula(name):
    """Expected: NumPy's loops over each sample's own steps; the filters as recursions."""
    output, target = make(0, binary=name != "mean_squared_error")
    found = LOSSES[name].whole(trajectory(output), target).item()
    assert found == pytest.approx(by_hand(name, output.numpy(), target.numpy()), rel=1e-12)
    assert found > 0


@every_loss
def test_is_zero_for_the_target_itself(name):
    """Expected: exactly 0, and more for any other output."""
    output, target = make(1, binary=True)
    assert LOSSES[name].whole(trajectory(target.transpose(0, 1)), target).item() == 0
    assert LOSSES[name].whole(trajectory(output), target).item() > 0


@every_loss
def test_gradient_equals_finite_differences(name):
    """Expected: central differences; nothing flows behind the end of a sample."""
    output, target = make(2, binary=False)
    output.requires_grad_()
    assert torch.autograd.gradcheck(lambda y: LOSSES[name].whole(trajectory(y), target), output)
    (slope,) = torch.autograd.grad(LOSSES[name].whole(trajectory(output), target), output)
    behind = torch.arange(STEPS)[:, None] >= torch.tensor(LENGTHS)
    assert (slope[behind] == 0).all()
    assert (slope[~behind] != 0).all()


@every_loss
@pytest.mark.parametrize("garbage", [1e6, -1e300])
def test_what_lies_behind_the_end_does_not_matter(name, garbage):
    """Expected: equal bits of loss and outputs with garbage in output and target behind each sample."""
    output, target = make(3, binary=True)
    behind = (torch.arange(STEPS)[:, None] >= torch.tensor(LENGTHS))[..., None]
    spoilt, wrong = output.masked_fill(behind, garbage), target.masked_fill(behind.transpose(0, 1), garbage)
    loss = LOSSES[name]
    assert torch.equal(loss.whole(trajectory(output), target), loss.whole(trajectory(spoilt), wrong))
    assert torch.equal(loss.logits(trajectory(output)), loss.logits(trajectory(spoilt)))


@every_loss
def test_shares_add_up_to_the_whole(name):
    """Expected: mathematics; also in steps that no sample reaches and in those behind the target.

    The state of a loss that remembers carries gradient, so the sum of the shares has the gradient of the whole.
    """
    output, target = make(4, binary=False)
    longer = torch.cat([output, output[:2]]).requires_grad_()
    batch = Batch(longer, target, torch.tensor(LENGTHS), torch.arange(len(LENGTHS)))
    loss = LOSSES[name]
    shares, state = [], loss.begin(batch)
    assert (state is not None) == loss.remembers
    for t in range(STEPS + 2):
        share, state = loss.per_step(longer[t], batch, t, state)
        shares.append(share)
    whole = loss.whole(trajectory(longer[:STEPS]), target)
    assert sum(share.item() for share in shares) == pytest.approx(whole.item(), rel=1e-12)
    assert [share.item() for share in shares[-2:]] == [0, 0]
    slopes = [torch.autograd.grad(each, longer)[0] for each in (sum(shares), whole)]
    torch.testing.assert_close(*slopes, rtol=1e-10, atol=1e-14)


def test_van_rossum_tells_near_spikes_from_far_ones():
    """Expected: mathematics; the distance of two single spikes grows with the time between them, up to a bound.

    Must differ from a squared error, which is the same for every time.
    """
    values = {"mean_squared_error": [], "van_rossum": []}
    for late in range(1, 7):
        output, target = torch.zeros(40, 1, 1), torch.zeros(1, 40, 1)
        output[5 + late], target[0, 5] = 1, 1
        for name, found in values.items():
            found.append(LOSSES[name].whole(trajectory(output, (40,)), target).item())
    assert values["van_rossum"] == sorted(values["van_rossum"])
    assert values["van_rossum"][-1] > 2 * values["van_rossum"][0]
    assert len(set(values["mean_squared_error"])) == 1


@pytest.mark.parametrize("numbers", [SINGLE, DOUBLE])
def test_kernel_has_peak_one(numbers):
    """Expected: the contract; causal, it starts above 0 and decays."""
    kernel = VanRossum(**numbers).kernel(200)
    assert kernel.max() == 1
    assert kernel[0] > 0
    assert kernel[-1] < 1e-6


@pytest.mark.parametrize(
    ("key", "value"), [("tau_decay_s", 0), ("tau_rise_s", -1.0), ("tau_rise_s", 0.004), ("dt_s", 0)]
)
def test_van_rossum_refuses_by_name(key, value):
    """Expected: an InputError that begins with the option."""
    with pytest.raises(InputError, match=rf"^loss\.{key}={value!r}: "):
        VanRossum(**{**SINGLE, key: value})


@pytest.mark.slow
def test_all_entries_for_outputs_are_tested_here():
    """A new entry whose target is no class needs its formula above."""
    entries = {name: sgbench.create(f"loss/{name}") for name in catalogue.entries("loss")}
    by_class = {"class", "class_per_step"}  # the latter in tests/datasets/test_qtdb.py
    found = {name for name, loss in entries.items() if not by_class & {*loss.targets}}
    assert found == {name for name in LOSSES if name in entries}
    assert all(isinstance(loss, Loss) for loss in entries.values())
