"""Delays by events against the definition, a convolution over time under autograd, in float64.

Legend: T steps, B batch, K inputs, N neurons, D the longest delay.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import sgbench
from fastspiking import event_delays
from fastspiking.event_delays import Gaussians, delay
from fastspiking.signals.spikes import SparseSpikes
from sgbench.networks.delayed import KERNELS, DelayedLayer

T, B, K, N, D = 9, 3, 5, 4, 3


def layer(kernel: str) -> DelayedLayer:
    """Neurons whose synapses delay by random times."""
    generator = torch.Generator().manual_seed(5)
    made = DelayedLayer("hidden0", K, N, sgbench.create("neuron/leaky"), max_delay_steps=D, kernel=kernel, bias=True)
    for weight in (made.weight, made.delay_logit, made.bias):
        weight.data = torch.randn(weight.shape, generator=generator, dtype=torch.float64)  # type: ignore[union-attr]
    return made


def spikes(*, graded: bool) -> Tensor:
    """[T, B, K], a fifth of which is not 0."""
    generator = torch.Generator().manual_seed(6)
    some = (torch.rand(T, B, K, generator=generator) < 0.2).double()
    return some * torch.randn(T, B, K, generator=generator, dtype=torch.float64) if graded else some


def results(current: Tensor, *learnt: Tensor | None) -> list[Tensor]:
    """A current, and gradients of a sum with weights that differ."""
    factors = torch.linspace(-1, 2, current.numel(), dtype=current.dtype).view(current.shape)
    given = [tensor for tensor in learnt if tensor is not None]
    return [current.detach(), *torch.autograd.grad((current * factors).sum(), given)]


@pytest.mark.parametrize("graded", [False, True], ids=["binary", "graded"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_currents_and_gradients_are_those_of_the_definition(kernel: str, graded: bool) -> None:
    """Of weights, delays, biases and the spikes themselves; packed spikes give the same bits."""
    one, x = layer(kernel), spikes(graded=graded).requires_grad_()
    learnt = (one.weight, one.delay_logit, one.bias)
    expected = results(one.current(x), *learnt, x)
    found = results(one.current_of_events(x), *learnt, x)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12 * float(theirs.abs().max()))
    packed = results(one.current_of_events(SparseSpikes.of(x.detach())), *learnt)
    assert all(torch.equal(ours, same) for ours, same in zip(found[:-1], packed, strict=True))


def test_a_gradient_near_zero_is_no_rounding() -> None:
    """Must match in float32, each number by its own size: a million times below the largest, from float64."""
    generator = torch.Generator().manual_seed(8)
    weight = torch.randn(N, K, 60, generator=generator, dtype=torch.float64)
    gradient = torch.randn(20, B, N, generator=generator, dtype=torch.float64)
    gradient[10:] *= 1e-7
    padded = torch.nn.functional.pad(gradient, (0, 0, 0, 0, 0, 59))
    by_hand = sum(padded[lag : lag + 20] @ weight[..., lag] for lag in range(60))
    found = event_delays._gradient_of_signal(gradient.float(), weight.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found[10:].double(), by_hand[10:], rtol=1e-3, atol=1e-12)  # type: ignore[index]


@pytest.mark.parametrize("threads", [1, 3])
def test_inputs_and_samples_are_taken_in_pieces(threads: int) -> None:
    """More inputs and samples than fit into a cache, neurons that fill no vector; any number of threads."""
    generator = torch.Generator().manual_seed(7)
    x = (torch.rand(60, 40, 230, generator=generator) < 0.05).double()
    learnt = [torch.randn(20, 230, 10, generator=generator, dtype=torch.float64).requires_grad_()]
    learnt.append(torch.randn(20, generator=generator, dtype=torch.float64).requires_grad_())
    padded = torch.nn.functional.pad(x.movedim(0, -1), (9, 0))
    expected = results(torch.nn.functional.conv1d(padded, learnt[0].flip(-1), learnt[1]).movedim(-1, 0), *learnt)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = results(delay(SparseSpikes.of(x), *learnt), *learnt)  # type: ignore[arg-type]
    finally:
        torch.set_num_threads(before)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12 * float(theirs.abs().max()))


@pytest.mark.parametrize("sigma_steps", [0.1, 2.0, 12.5])
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float64, 1e-12), (torch.float32, 5e-6)], ids=str)
def test_gaussians_are_those_of_torch(dtype: torch.dtype, allowed: float, sigma_steps: float) -> None:
    """Currents and gradients of weights and delays equal those of weights by lag, in float64 under autograd.

    Neurons fill no vector, inputs and samples no piece. Must differ: another width.
    """
    generator = torch.Generator().manual_seed(8)
    x = (torch.rand(40, 11, 190, generator=generator) < 0.05).double()
    weight, share = (torch.randn(20, 190, generator=generator, dtype=torch.float64) for _ in range(2))
    learnt = [each.to(dtype).requires_grad_() for each in (weight, 25 * share.sigmoid())]
    exact = [each.detach().double().requires_grad_() for each in learnt]

    def found(sigma_steps: float) -> list[Tensor]:
        gaussians = Gaussians(learnt[1], sigma_steps, 26)
        return results(delay(SparseSpikes.of(x.to(dtype)), learnt[0], None, gaussians), *learnt)  # type: ignore[arg-type]

    by_lag = exact[0][..., None] * Gaussians(exact[1], sigma_steps, 26).shares()
    expected = results(delay(SparseSpikes.of(x), by_lag, None), *exact)  # type: ignore[arg-type]
    for ours, others, theirs in zip(found(sigma_steps), found(sigma_steps + 0.1), expected, strict=True):
        bound = allowed * float(theirs.abs().max())
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=bound)
        assert (others.double() - theirs).abs().max() > 10 * bound


def test_an_event_arrives_when_its_lag_is_over() -> None:
    """By hand: weights 2 and 3 at lags 0 and 2 of one synapse; what would come after the last step is lost."""
    x = torch.zeros(10, 1, 1, dtype=torch.float64)
    x[1] = x[3] = x[9] = 1
    found = delay(x, torch.tensor([[[2.0, 0.0, 3.0]]], dtype=torch.float64), None)
    assert found is not None
    assert found.flatten().tolist() == [0, 2, 0, 5, 0, 3, 0, 0, 0, 2]


def test_events_are_followed_where_they_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Must match: currents by events and without. Must differ: whether the loops are called."""
    one, x = layer("gaussian"), spikes(graded=False)
    found = one.current_of_events(x)
    monkeypatch.setattr(event_delays.loops, "delay", None)
    with pytest.raises(TypeError):
        one.current_of_events(x)
    torch.testing.assert_close(one.current_of_events(1 - x), one.current(1 - x))
    torch.testing.assert_close(found, one.current(x))
