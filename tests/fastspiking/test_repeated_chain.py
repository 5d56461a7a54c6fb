"""A chain that runs batch after batch in the same memory: each batch's gradients are its own.

Expected: the engine `reference` on the batch alone, to 1e-12 in float64.
"""

import pytest
import torch

from fastspiking.blocks import RepeatedChain
from fastspiking.choose import Engine
from fastspiking.fused import stages_of
from fastspiking.signals.spikes import SparseSpikes
from tests.fastspiking.cases import Wired, neuron, packed, spikes

STEPS, BATCH, INPUTS = 12, 7, 17
QUIET, CROWDED = 0.1, 8.0


def batches() -> list[SparseSpikes]:
    """Return three unlike batches, and the first once more."""
    generator = torch.Generator().manual_seed(9)
    others = [
        packed((torch.rand(STEPS, BATCH, INPUTS, generator=generator, dtype=torch.float64) < share).double())
        for share in (0.3, 0.1)
    ]
    first = packed(spikes(STEPS, BATCH, INPUTS, 0.3))
    return [first, *others, first]


def layers(wiring: tuple[str, str], gain: float, hidden: int) -> list[Wired]:
    """Return hidden layers whose weights are positive, so that a large gain crowds them, and a readout."""
    sizes = [INPUTS, *([16] * hidden)]
    made = [
        Wired(inputs, neuron("leaky", 16), 16, gain=gain, wiring=wiring, name=f"hidden{place}")
        for place, inputs in enumerate(sizes[:-1])
    ]
    with torch.no_grad():
        for layer in made:
            layer.weight.abs_()
    return [*made, Wired(16, neuron("leaky_readout", 5), 5, gain=0.3, name="readout")]


@pytest.mark.one_in(10)
@pytest.mark.parametrize("gain", [QUIET, CROWDED])
@pytest.mark.parametrize("hidden", [1, 2])
@pytest.mark.parametrize("wiring", [("none", "full"), ("all_to_all", "full"), ("one_to_one", "full")], ids=str)
def test_every_batch_has_gradients_of_its_own(wiring: tuple[str, str], hidden: int, gain: float) -> None:
    """Crowded hidden layers go back by dense products, of this batch's spikes and not of an earlier one's."""
    made = layers(wiring, gain, hidden)
    weights = [weight for layer in made for weight in (layer.weight, layer.bias, layer.recurrent) if weight is not None]
    every = batches()
    stages = stages_of(made, every[0])
    assert stages is not None
    chain = RepeatedChain(stages)
    crowded = []
    for batch in every:
        output = chain.forward(batch).detach().clone().requires_grad_()
        (given,) = torch.autograd.grad(output.pow(2).sum(), output)
        found = [gradient for gradient in chain.backward(given) if gradient is not None]
        crowded.append(chain.blocks._is_dense())
        alone = Engine("reference").unroll(made, batch, keep_spikes=False)[-1].output
        assert alone is not None
        wanted = torch.autograd.grad(alone.pow(2).sum(), weights)
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12 * other.abs().max().item())
    assert all(crowded[:2]) == (gain == CROWDED), crowded


def test_weights_are_read_where_they_lie_however_that_is() -> None:
    """Expected: as above after the weights moved in place, also where they lie by rows, which loops cannot read."""
    made = layers(("none", "full"), QUIET, 1)
    for layer in made:
        layer.weight.data = layer.weight.data.contiguous()
    batch = batches()[0]
    stages = stages_of(made, batch)
    assert stages is not None
    chain = RepeatedChain(stages)
    for _ in range(2):
        alone = Engine("reference").unroll(made, batch, keep_spikes=False)[-1].output
        torch.testing.assert_close(chain.forward(batch), alone, rtol=1e-12, atol=1e-12)
        for layer in made:
            layer.weight.data.mul_(1.5)
