"""SpyTorch's third tutorial: its network and objective written out in plain torch, beside those that run here."""

import math

import pytest
import torch
from torch import Tensor

from fastspiking.signals.spikes import SparseSpikes
from fastspiking.signals.trajectory import SPIKES
from sgbench.composition.plan import plan
from sgbench.training.build import build

STEPS, BATCH, INPUTS, HIDDEN, CLASSES = 30, 8, 784, 100, 10
LATE = 4  # steps by which an input reaches an output later there
LATE_SPIKES = 2  # steps by which it reaches a hidden spike later
ALPHA, BETA = math.exp(-1 / 5), math.exp(-1 / 10)


class Spike(torch.autograd.Function):
    """A step with the slope 1 / (1 + 100 |x|)^2."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient / (1 + 100 * x.abs()) ** 2


def published(x: Tensor, hidden: Tensor, readout: Tensor, reset: str) -> tuple[Tensor, Tensor]:
    """Hidden spikes and outputs [T + 1, B, N]: at 034188d a spike subtracts 1, at d363dbf it sets all to zero."""
    syn = mem = x.new_zeros(BATCH, HIDDEN)
    spikes = [mem]
    for current in x @ hidden.T:
        spike = Spike.apply(mem - 1)
        fired = spike.detach()
        after = BETA * mem + syn
        mem, syn = after - fired if reset == "subtract" else after * (1 - fired), ALPHA * syn + current
        spikes.append(spike)
    sent = torch.stack(spikes)
    flt = out = x.new_zeros(BATCH, CLASSES)
    outputs = [out]
    for current in (sent @ readout.T)[:-1]:
        out, flt = BETA * out + flt, ALPHA * flt + current
        outputs.append(out)
    return sent, torch.stack(outputs)


def published_penalty(spikes: Tensor) -> Tensor:
    return 1e-5 * spikes.sum() + 1e-5 * (spikes.sum((0, 1)) ** 2).mean()


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_the_tutorials_network_is_ours_but_for_its_delays(reset):
    """Expected: outputs, loss, penalty and gradients of the published equations, four steps earlier.

    Every output rises above rest: of outputs at rest the maximum here shares its gradient among steps. Must differ:
    where a spike sets the potential to zero, the published one drops the step's current too.
    """
    words = ["experiment=reproduce/spytorch3", f"neuron.reset={reset}", "trainer.progress=false"]
    (spec,) = plan(words, multirun=False).specs
    parts = build(spec)
    network, objective = parts.network.double(), parts.objective
    random = torch.Generator().manual_seed(3)
    x = (torch.rand(STEPS, BATCH, INPUTS, generator=random) < 0.01).double()
    target = torch.randint(CLASSES, (BATCH,), generator=random)
    weights = [layer.weight for layer in network.layers]
    with torch.no_grad():
        for weight in weights:
            weight.mul_(8)  # so that neurons fire within few steps
        weights[1].abs_()
    copies = [weight.detach().clone().requires_grad_() for weight in weights]

    spikes, outputs = published(x, *copies, reset)
    peaks = outputs.max(0).values
    assert (peaks > 0).all()
    expected = torch.nn.functional.cross_entropy(peaks, target)
    whole = run(network, x, STEPS - LATE)
    found = objective.loss.whole(whole, target)
    gradients = [torch.autograd.grad(loss, of) for loss, of in ((found, weights), (expected, copies))]
    assert spikes.sum() > HIDDEN
    assert all(gradient.abs().max() > 0 for each in gradients for gradient in each)
    same = [torch.allclose(*pair, rtol=1e-9, atol=1e-12) for pair in zip(*gradients, strict=True)]
    cost = objective.regulariser.penalty(run(network, x, STEPS - LATE_SPIKES))
    values = [torch.allclose(whole.output, outputs[LATE + 1 :], rtol=1e-9, atol=1e-12)]
    values += [found.item() == pytest.approx(expected.item(), rel=1e-9)]
    values += [cost.item() == pytest.approx(published_penalty(spikes).item(), rel=1e-9)]
    assert all(same + values) == (reset == "subtract"), (same, values)


def run(network, x: Tensor, steps: int):
    lengths = torch.full((BATCH,), steps)
    return network.unroll(SparseSpikes.of(x[:steps]), lengths, keep=frozenset({SPIKES}))
