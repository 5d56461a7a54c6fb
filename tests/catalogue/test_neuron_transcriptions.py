"""Every model against its equations written out once more: spikes, x = u - threshold in force and all gradients.

Legend: I currents [T, B, N], theta threshold, H spike with slope 1 / (1 + (pi x)^2).
"""

import pytest
import torch
from torch import Tensor

from sgbench.neurons.base import RESET_GRADIENTS, RESETS
from tests.catalogue.neuron_cases import ELEMENTWISE, drive, make, recipe, run
from tests.catalogue.transcriptions import TRANSCRIPTIONS, H, Numbers
from tests.thinned import thinned_rows

RTOL = 1e-10


def cases() -> list[tuple[str, str | None, str | None]]:
    """Every model with every reset and reset gradient that it has."""
    found = []
    for name in TRANSCRIPTIONS:
        values = recipe(name)[1]
        whole = name not in ("ternary", "multi_spike", "integer")
        resets = [each for each in RESETS if whole or each != "zero"] if "reset" in values else [None]
        gradients = RESET_GRADIENTS if "reset_gradient" in values else [None]
        found += [(name, reset, gradient) for reset in resets for gradient in gradients]
    return found


@pytest.mark.one_in(10)
@pytest.mark.parametrize(("name", "reset", "gradient"), thinned_rows(cases(), 3))
def test_equals_its_equations(name, reset, gradient):
    """Expected: the transcription; 25 steps, spikes equal, x and every gradient within 1e-10 of its largest."""
    values = recipe(name)[1]
    changes = {key: "per_neuron" for key in values if key == "learn" or key.startswith("learn_")}
    if values.get("beta") in (0.0, 1.0):
        changes["learn_beta"] = "none"
    changes |= {} if reset is None else {"reset": reset}
    changes |= {} if gradient is None else {"reset_gradient": gradient}
    neuron = make(name, **changes)
    current = drive(name, neuron).requires_grad_()
    found = run(neuron, current)
    given = Numbers(neuron, {"reset_gradient": "attached", **values, **changes})
    sent, x = map(torch.stack, zip(*TRANSCRIPTIONS[name](given, current), strict=True))
    assert torch.equal(found.output, sent) or (neuron.sends == "real" and torch.allclose(found.output, sent, rtol=RTOL))
    torch.testing.assert_close(found.u, x, rtol=RTOL, atol=RTOL * x.abs().max().item())
    leaves = {"current": current, **dict(neuron.named_parameters())}
    weights = torch.arange(x.numel(), dtype=x.dtype).sin().view_as(x)

    def gradients(spikes: Tensor, potential: Tensor) -> tuple[Tensor, ...]:
        loss = (weights * spikes + weights.flip(0) * potential).sum()
        return torch.autograd.grad(loss, list(leaves.values()), retain_graph=True)

    for key, ours, theirs in zip(leaves, gradients(found.output, found.u), gradients(sent, x), strict=True):
        largest = theirs.abs().max().item()
        assert largest > 0, key
        off = (ours - theirs).abs().max().item()
        assert off <= RTOL * largest, f"gradient of {key} is off by {off:.1e} of {largest:.1e}"


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_model_is_transcribed_or_has_a_step_computed_by_hand(name):
    """Expected: an entry of TRANSCRIPTIONS, or an example in the docstring of the class, which is run."""
    example = ">>> " in (type(make(name)).__doc__ or "")
    assert name in TRANSCRIPTIONS or example, f"neuron {name}: compute a step by hand in its docstring"


@pytest.mark.parametrize("gradient", RESET_GRADIENTS)
def test_a_raised_threshold_is_paid_and_measured_in(gradient):
    """Expected: LSNN of 2018 as a loop over v' = beta v + g I - z A and (v - A) / A, A = theta + kappa b, in which
    a spike within the last three steps forbids another; spikes equal, x and all gradients within 1e-10.

    Must differ: with `unit=resting`.
    """
    learnt = {f"learn_{name}": "per_neuron" for name in ("beta", "rho", "kappa", "threshold")}
    changes = {"reset_gradient": gradient, "period_s": 0.003, **learnt}
    neuron = make("refractory_alif", unit="raised", **changes)
    current = (3 * drive("refractory_alif", neuron)).requires_grad_()
    found = run(neuron, current)
    theta, kappa, rho, beta = neuron.threshold(), neuron.kappa(), neuron.rho(), neuron.beta()
    v = z = b = torch.zeros_like(current[0])
    sent, x = [], []
    for now in current:
        b = rho * b + z
        raised = theta + kappa * b
        v = beta * v + now - raised * (z if gradient == "attached" else z.detach())
        x.append((v - raised) / raised)
        silent = sum(sent[-3:], torch.zeros_like(v)) > 0
        z = torch.where(silent, torch.zeros_like(v), H(x[-1]))
        sent.append(z)
    spikes, above = torch.stack(sent), torch.stack(x)
    assert spikes.sum() > 20
    assert torch.equal(found.output, spikes)
    torch.testing.assert_close(found.u, above, rtol=RTOL, atol=RTOL)
    weights = torch.arange(above.numel(), dtype=above.dtype).sin().view_as(above)
    leaves = [current, *neuron.parameters()]
    ours, theirs = (
        torch.autograd.grad((weights * one + weights.flip(0) * other).sum(), leaves, retain_graph=True)
        for one, other in ((found.output, found.u), (spikes, above))
    )
    for one, other in zip(ours, theirs, strict=True):
        assert other.any()
        assert (one - other).abs().max() <= RTOL * other.abs().max()
    resting = run(make("refractory_alif", unit="resting", **changes), current)
    assert not torch.equal(resting.output, spikes)
