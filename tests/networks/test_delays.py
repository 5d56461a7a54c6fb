"""Delayed networks against loops over lags, finite differences and limits that make one network another.

Legend: T steps, B batch, N neurons, C channels; I current.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import SPIKES
from sgbench.errors import InputError
from sgbench.networks.base import Provided
from sgbench.networks.mlp import Mlp
from tests.messages import raises_naming
from tests.networks.sequence_parts import BATCH, CLASSES, LENGTHS, STEPS, delayed, given, leaky, readout, spikes

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")


def test_current_of_delays_is_a_sum_over_lags():
    """Expected: loops over synapses and lags, each lag weighted by the normalised Gaussian around its delay."""
    layer = delayed().layers[0]
    layer.bias.data = torch.linspace(-1, 1, 5, dtype=torch.float64)
    x = spikes(4)
    found = layer.current(x)
    lags = torch.arange(5, dtype=torch.float64)
    expected = torch.zeros_like(found)
    for t, i in itertools.product(range(STEPS), range(5)):
        expected[t, :, i] = layer.bias[i]
        for j in range(4):
            delay = 4 * torch.sigmoid(layer.delay_logit[i, j])
            weights = torch.exp(-((lags - delay) ** 2) / (2 * 1.5**2))
            for k in range(min(t, 4) + 1):
                expected[t, :, i] += layer.weight[i, j] * weights[k] / weights.sum() * x[t - k, :, j]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", ["gaussian", "triangle"])
def test_gradient_of_a_delay_is_its_finite_difference(kernel):
    """Expected: central differences of a random linear functional of the current, per delay."""
    layer = delayed(kernel=kernel).layers[0]
    x = spikes(4)
    coefficients = torch.randn(STEPS, BATCH, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def functional() -> Tensor:
        return (coefficients * layer.current(x)).sum()

    (found,) = torch.autograd.grad(functional(), layer.delay_logit)
    h = 1e-6
    for i, j in itertools.product(range(5), range(4)):
        with torch.no_grad():
            layer.delay_logit[i, j] += h
            above = functional()
            layer.delay_logit[i, j] -= 2 * h
            below = functional()
            layer.delay_logit[i, j] += h
        assert found[i, j].item() == pytest.approx(((above - below) / (2 * h)).item(), rel=1e-5, abs=1e-7)


def test_rounded_delays_shift_by_whole_steps():
    """Must match: input shifted by the nearest whole delay; the gradient of the delays is the Gaussian's."""
    layer, soft = delayed(kernel="rounded").layers[0], delayed().layers[0]
    layer.sigma_steps = soft.sigma_steps
    x = spikes(4)
    expected = torch.zeros(STEPS, BATCH, 5, dtype=torch.float64)
    for i, j in itertools.product(range(5), range(4)):
        lag = round(layer.delays()[i, j].item())
        expected[lag:, :, i] += layer.weight[i, j] * x[: STEPS - lag, :, j]
    found = layer.current(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(each.current(x)[:, :, 2].sum(), each.delay_logit)[0] for each in (layer, soft)]
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", ["gaussian", "triangle", "rounded"])
def test_kernels_pass_on_all_that_arrives(kernel):
    """Expected: weights over lags add up to 1, also for delays at either end."""
    layer = delayed(kernel=kernel).layers[0]
    layer.delay_logit.data[0, :2] = torch.tensor([-30.0, 30.0])
    torch.testing.assert_close(layer.kernels().sum(-1), torch.ones(5, 4, dtype=torch.float64), rtol=0, atol=1e-12)


def test_gaussians_narrow_with_progress():
    """Expected: 1.5, sqrt(1.5 0.5), 0.5 steps at the start, the middle and the end; narrow ones near rounded."""
    net = delayed()
    for progress, sigma in ((0.0, 1.5), (0.5, 0.75**0.5), (1.0, 0.5)):
        net.advance(progress)
        assert net.layers[0].sigma_steps == net.layers[1].sigma_steps == pytest.approx(sigma)
    net.layers[0].sigma_steps = 0.1
    net.layers[0].delay_logit.data = torch.logit(torch.randint(1, 4, (5, 4)) / 4).double()
    hard = delayed(kernel="rounded").layers[0]
    hard.load_state_dict(net.layers[0].state_dict())
    torch.testing.assert_close(hard.kernels(), net.layers[0].kernels(), rtol=0, atol=1e-12)


def test_delays_refuse_a_single_step():
    with raises_naming(InputError, "'hidden0'", "input of all time steps"):
        delayed().layers[0].current(torch.zeros(BATCH, 4))


def fed_back(layer: object, s: Tensor) -> Tensor:
    """The recurrent current of all steps [T, B, N], from given spikes of these steps."""
    feedback = layer.begin_feedback()
    return torch.stack([feedback(now) for now in s])


@pytest.mark.parametrize("kernel", ["gaussian", "triangle", "rounded"])
def test_recurrent_current_is_a_sum_over_lags(kernel):
    """Expected: loops over synapses and lags, with kernels written out here; lag 0 is the last step."""
    layer = delayed(kernel=kernel, recurrent_delays=True).layers[0]
    s = spikes(5, seed=8)
    found = fed_back(layer, s)
    lags = torch.arange(5, dtype=torch.float64)
    expected = torch.zeros_like(found)
    for i, j in itertools.product(range(5), range(5)):
        delay = 4 * torch.sigmoid(layer.recurrent_delay_logit[i, j])
        weights = {
            "gaussian": torch.exp(-((lags - delay) ** 2) / (2 * 1.5**2)),
            "triangle": (1 - (lags - delay).abs()).clamp(min=0),
            "rounded": (lags == delay.round()).double(),
        }[kernel]
        for t, k in itertools.product(range(STEPS), range(5)):
            if k <= t:
                expected[t, :, i] += layer.recurrent[i, j] * weights[k] / weights.sum() * s[t - k, :, j]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    with raises_naming(InputError, "'hidden0'", "spikes of all time steps"):
        layer.feedback(s[0])


def test_gradient_of_a_recurrent_delay_is_its_finite_difference():
    """Expected: central differences of a random linear functional of the recurrent current, per delay."""
    layer = delayed(recurrent_delays=True).layers[0]
    s = spikes(5, seed=8)
    random = torch.Generator().manual_seed(3)
    coefficients = torch.randn(STEPS, BATCH, 5, generator=random, dtype=torch.float64)

    def functional() -> Tensor:
        return (coefficients * fed_back(layer, s)).sum()

    (found,) = torch.autograd.grad(functional(), layer.recurrent_delay_logit)
    h = 1e-6
    for i, j in itertools.product(range(5), range(5)):
        with torch.no_grad():
            layer.recurrent_delay_logit[i, j] += h
            above = functional()
            layer.recurrent_delay_logit[i, j] -= 2 * h
            below = functional()
            layer.recurrent_delay_logit[i, j] += h
        assert found[i, j].item() == pytest.approx(((above - below) / (2 * h)).item(), rel=1e-5, abs=1e-7)


def test_recurrence_without_delay_is_that_of_a_dense_chain():
    """Must match: spikes, output and gradients of `Mlp` with the same weights. Must differ: longer delays."""
    net = delayed(kernel="rounded", readout_delays=False, recurrent_delays=True)
    options = {"recurrence": "all_to_all", "recurrence_gradient": "full", "bias": True}
    plain = Mlp(Provided(4, CLASSES, leaky, readout, *given()), hidden=[5], **options)
    layer = net.layers[0]
    with torch.no_grad():
        layer.delay_logit.fill_(-40.0)
        layer.recurrent_delay_logit.fill_(-40.0)
        plain.load_state_dict(net.state_dict(), strict=False)
    x, keep = spikes(4), frozenset({SPIKES})
    first, second = net.unroll(x, LENGTHS, keep=keep), plain.unroll(x, LENGTHS, keep=keep)
    assert first.spikes[0].sum() > 0
    torch.testing.assert_close(first.output, second.output, rtol=1e-12, atol=1e-12)
    assert torch.equal(first.spikes[0], second.spikes[0])
    for unrolled in (net, plain):
        unrolled.unroll(x, LENGTHS).output.square().sum().backward()
    torch.testing.assert_close(net.layers[0].recurrent.grad, plain.layers[0].recurrent.grad, rtol=1e-9, atol=1e-12)
    layer.recurrent_delay_logit.data.fill_(40.0)
    assert not torch.equal(net.unroll(x, LENGTHS, keep=keep).spikes[0], second.spikes[0])


def test_planted_recurrent_delays_are_found():
    """Expected: delays within half a step of those that made a current, from wrong ones, by their gradient."""
    layer = delayed(kernel="gaussian", recurrent_delays=True).layers[0]
    s = spikes(5, density=0.2, seed=11, steps=60)
    planted = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0], dtype=torch.float64).repeat(5, 1).clamp(0.3, 3.7)
    layer.sigma_steps = 0.5
    with torch.no_grad():
        layer.recurrent.fill_(1.0)
        layer.recurrent_delay_logit.copy_(torch.logit(planted / 4))
        wanted = fed_back(layer, s)
        layer.recurrent_delay_logit.zero_()  # all at 2 steps
    assert (layer.recurrent_delays() - planted).abs().max() > 1.5
    optimizer = torch.optim.Adam([layer.recurrent_delay_logit], lr=0.1)
    for step in range(150):
        layer.sigma_steps = 2.0 * 0.25 ** (step / 149)
        optimizer.zero_grad()
        (fed_back(layer, s) - wanted).square().mean().backward()
        optimizer.step()
    assert (layer.recurrent_delays() - planted).abs().max() < 0.5


def test_fixed_feedback_weights_delay_as_the_weights_do():
    """Expected: the gradient that a layer with those weights in place of its own sends; its current is its own."""
    layer, other = (delayed(recurrent_delays=True).layers[0] for _ in range(2))
    other.load_state_dict(layer.state_dict())
    with torch.no_grad():
        other.recurrent.mul_(-0.3)
        layer.recurrent_feedback = other.recurrent.detach().clone()
    coefficients = torch.linspace(-1, 1, STEPS * BATCH * 5, dtype=torch.float64).view(STEPS, BATCH, 5)
    s = spikes(5).requires_grad_()
    sent = [torch.autograd.grad((coefficients * fed_back(one, s)).sum(), s)[0] for one in (layer, other)]
    torch.testing.assert_close(*sent, rtol=1e-12, atol=1e-12)
    layer.recurrent_feedback = None
    own = fed_back(layer, s)
    torch.testing.assert_close(own * -0.3, fed_back(other, s), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("engine", ["fused", "scan", "generated", "snntorch"])
def test_engines_without_recurrent_delays_refuse_them(engine):
    """Must match: the reference, chosen by itself; must differ: an engine asked for, and a layer without them."""
    layers = list(delayed(recurrent_delays=True).layers)
    assert Engine("auto").pick(layers[0])[0] == "reference"
    assert Engine("auto").pick(delayed().layers[0])[0] != "reference"
    with raises_naming(InputError, f"engine={engine}", "'hidden0'", "recurrent synapses"):
        Engine(engine).pick(layers[0])
