"""Delayed networks against loops over lags, finite differences and limits that make one network another.

Legend: T steps, B batch, N neurons, C channels; I current.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from sgbench.errors import InputError
from tests.networks.sequence_parts import BATCH, STEPS, delayed, spikes

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
    coefficients = torch.randn(
        STEPS, BATCH, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )

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
    gradients = [
        torch.autograd.grad(each.current(x)[:, :, 2].sum(), each.delay_logit)[0] for each in (layer, soft)
    ]
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", ["gaussian", "triangle", "rounded"])
def test_kernels_pass_on_all_that_arrives(kernel):
    """Expected: weights over lags add up to 1, also for delays at either end."""
    layer = delayed(kernel=kernel).layers[0]
    layer.delay_logit.data[0, :2] = torch.tensor([-30.0, 30.0])
    torch.testing.assert_close(
        layer.kernels().sum(-1), torch.ones(5, 4, dtype=torch.float64), rtol=0, atol=1e-12
    )


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
    with pytest.raises(InputError, match="layer 'hidden0': delays need the input of all time steps at once"):
        delayed().layers[0].current(torch.zeros(BATCH, 4))
