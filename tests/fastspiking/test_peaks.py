"""The largest output over time against torch's own `amax`."""

import pytest
import torch

from fastspiking import peaks


def outputs(dtype=torch.float32) -> torch.Tensor:
    """[9, 5, 3] with ties, a class that is the same in all steps, and steps behind an end."""
    drawn = torch.randn(9, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).mul(2).round()
    drawn[:, 1, 0] = 0.0
    drawn[4:, 2] = -float("inf")
    return drawn.to(dtype)


def both(output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Peaks and gradients, of the product and of torch."""
    results = []
    for function in (peaks.largest, lambda x: x.amax(0)):
        leaf = output.clone().requires_grad_()
        peak = function(leaf)
        (peak * torch.arange(15.0, dtype=output.dtype).view(5, 3)).sum().backward()
        results += [peak.detach(), leaf.grad]
    return tuple(results)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ties_share_the_gradient_as_in_torch(dtype):
    peak, gradient, expected, expected_gradient = both(outputs(dtype))
    assert torch.equal(peak, expected)
    assert torch.allclose(gradient, expected_gradient, rtol=1e-6, atol=0)
    assert gradient[:, 1, 0].tolist() == pytest.approx([3 / 9] * 9)  # by hand: weight 3, nine steps alike


def test_an_output_whose_steps_do_not_lie_one_after_another():
    output = outputs().permute(2, 1, 0).contiguous().permute(2, 1, 0)
    assert not output.is_contiguous()
    peak, gradient, expected, expected_gradient = both(output)
    assert torch.equal(peak, expected)
    assert torch.allclose(gradient, expected_gradient)


def test_what_is_no_number_gives_none():
    output = outputs()
    output[3, 0, 0] = float("nan")
    peak, gradient, expected, expected_gradient = both(output)
    assert peak[0, 0].isnan()
    assert expected[0, 0].isnan()
    assert gradient[:, 0, 0].isnan().all()
    assert expected_gradient[:, 0, 0].isnan().all()


def test_gradients_of_gradients_are_those_of_torch():
    found = []
    for function in (peaks.largest, lambda x: x.amax(0)):
        leaf = outputs(torch.float64)[:4].requires_grad_()
        (first,) = torch.autograd.grad(function(leaf).pow(3).sum(), leaf, create_graph=True)
        found.append(torch.autograd.grad(first.pow(2).sum(), leaf)[0])
    assert found[0].abs().max() > 0
    assert torch.allclose(*found)


def test_directions_go_through_it():
    output = outputs()[:4]
    direction = torch.ones_like(output)
    found = torch.func.jvp(peaks.largest, (output,), (direction,))
    expected = torch.func.jvp(lambda x: x.amax(0), (output,), (direction,))
    assert torch.equal(found[1], expected[1])


def test_without_compiled_loops_it_is_torch(monkeypatch):
    monkeypatch.setattr(peaks, "_loops", lambda: None)
    leaf = outputs().requires_grad_()
    assert "Amax" in type(peaks.largest(leaf).grad_fn).__name__
