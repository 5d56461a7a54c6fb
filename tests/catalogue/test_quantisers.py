"""Quantised weights against torch's own fake quantisation, formulas by hand, and a simulation in whole numbers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastspiking.signals.spikes import dense
from fastspiking.signals.trajectory import SPIKES
from sgbench.composition.compose import compose
from sgbench.energy.count import OperationCounter
from sgbench.errors import InputError
from sgbench.quantisers.base import Quantiser
from sgbench.quantisers.floating import Floating
from sgbench.quantisers.rounded import Rounded
from sgbench.quantisers.ternary import Ternary
from sgbench.quantisers.uniform import Uniform
from sgbench.training.build import Parts, build

WEIGHT = torch.randn(6, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
SMALL = ("experiment=delayed_xor_v2", "dataset.samples=[40,20,20]", "protocol.batch_size=20", "seed=100")


def uniform(bits: int = 4, **changes: object) -> Uniform:
    """A quantiser with values of the catalogue, and some others."""
    usual = {"scale": "layer", "power_of_two": False, "gradient": "straight_through", "sharpness": 5.0}
    return Uniform(bits=bits, **{**usual, **changes})  # type: ignore[arg-type]


def slopes(quantiser: Quantiser, weight: Tensor) -> Tensor:
    """The derivative of the sum of all quantised weights."""
    leaf = weight.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(quantiser(leaf).sum(), leaf)
    return gradient


# --- values and derivatives


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_layer_is_rounded_as_torch_rounds_it(bits):
    """Independent: `torch.fake_quantize_per_tensor_affine`, values and gradients, with the unit by hand."""
    most = 2 ** (bits - 1) - 1
    unit = WEIGHT.abs().max().item() / most
    leaf = WEIGHT.float().requires_grad_()
    theirs = torch.fake_quantize_per_tensor_affine(leaf, unit, 0, -most, most)
    (gradient,) = torch.autograd.grad(theirs.sum(), leaf)
    assert torch.allclose(uniform(bits)(WEIGHT), theirs.detach().double(), atol=1e-6)
    assert torch.equal(slopes(uniform(bits), WEIGHT), gradient.double())


def test_a_channel_has_a_unit_of_its_own():
    """Independent: `torch.fake_quantize_per_channel_affine`. Must differ: one unit for all has other values."""
    units = WEIGHT.abs().amax(1) / 7
    theirs = torch.fake_quantize_per_channel_affine(
        WEIGHT.float(), units.float(), torch.zeros(6, dtype=torch.int32), 0, -7, 7
    )
    assert torch.allclose(uniform(scale="channel")(WEIGHT), theirs.double(), atol=1e-6)
    assert not torch.allclose(uniform()(WEIGHT), theirs.double(), atol=1e-3)


def test_soft_steps_are_the_slope_of_the_published_staircase():
    """Expected: central differences of Gong et al.'s function, floor + (tanh(k r) / tanh(k / 2) + 1) / 2."""
    k, unit, shift = 5.0, WEIGHT.abs().max().item() / 7, 1e-6

    def staircase(ratio: Tensor) -> Tensor:
        within = ratio - ratio.floor() - 0.5
        return ratio.floor() + (torch.tanh(k * within) / math.tanh(k / 2) + 1) / 2

    ratio = WEIGHT / unit
    expected = (staircase(ratio + shift) - staircase(ratio - shift)) / (2 * shift)
    inner = (ratio - ratio.round()).abs() > 1e-3  # the largest weight lies on a level, where pieces meet
    found = slopes(uniform(gradient="soft_steps"), WEIGHT)
    assert torch.allclose(found[inner], expected[inner], rtol=1e-5)
    assert not torch.allclose(found, torch.ones_like(found))


def test_ternary_by_hand():
    """Mean of |w| 1.0, so d = 0.7: 0.9, 1.7 and 0.8 stay, with a mean of 17/15; its nearest power of 2 is 1."""
    weight = torch.tensor([0.9, -1.7, 0.6, 0.8])
    found = Ternary(threshold=0.7, scale="layer", power_of_two=False)(weight)
    assert found.tolist() == pytest.approx([3.4 / 3, -3.4 / 3, 0, 3.4 / 3])
    assert Ternary(threshold=0.7, scale="layer", power_of_two=True)(weight).tolist() == [1, -1, 0, 1]


@pytest.mark.parametrize(
    "quantiser", [uniform(power_of_two=True), Ternary(threshold=0.7, scale="layer", power_of_two=True)]
)
def test_units_are_powers_of_two_and_hold_the_largest_weight(quantiser):
    """Every weight is a whole multiple of 2^n, of no more than 4 bits, and zeros stay zeros."""
    whole, unit = quantiser.levels(WEIGHT)
    assert math.frexp(unit.item())[0] == 0.5
    assert whole.abs().max() <= 7
    assert torch.equal(whole, whole.round())
    assert torch.equal(quantiser(torch.zeros(3)), torch.zeros(3))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_rounding_afterwards_is_rounding_of_a_network_that_is_run(bits):
    """Independent: `torch.fake_quantize_per_tensor_affine` in evaluation; in training the weights themselves."""
    most = 2 ** (bits - 1) - 1
    rounded = Rounded(bits=bits, scale="layer", power_of_two=False)
    theirs = torch.fake_quantize_per_tensor_affine(WEIGHT.float(), WEIGHT.abs().max().item() / most, 0, -most, most)
    assert torch.allclose(rounded.eval()(WEIGHT), theirs.double(), atol=1e-6)
    assert torch.equal(rounded.train()(WEIGHT), WEIGHT)


# --- in a network


def parts_of(*words: str) -> Parts:
    """All objects of a run on a small task."""
    parts = build(compose([*SMALL, "trainer.progress=false", *words]))
    parts.data.setup()
    return parts


def gradients(engine: str, *words: str) -> list[Tensor]:
    """Loss and gradients of one batch on one engine, in float64."""
    parts = parts_of("protocol.precision=float64", f"engine={engine}", *words)
    batch = next(iter(parts.data.epoch(0)))
    loss = parts.objective.whole(parts.network.unroll(batch.x, batch.lengths), batch.target)
    return [loss.detach(), *torch.autograd.grad(loss, list(parts.network.parameters()))]


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "words", [("weights=int4",), ("weights=ternary", "weights.scale=channel"), ("weights=int8", "neuron=adex")]
)
def test_engines_agree_on_quantised_weights(words):
    """Recurrent layers on the engine that `auto` takes, against `reference`; float weights have another loss."""
    found, expected = gradients("auto", *words), gradients("reference", *words)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)
    floating = [word for word in words if not word.startswith("weights")]
    assert not torch.allclose(found[0], gradients("reference", *floating)[0])


@pytest.mark.slow
def test_rounding_afterwards_trains_as_floating_weights_do():
    """Must match: loss and gradients of training. Must differ: what the network sends when it is only run."""
    rounded = ("weights=rounded", "weights.bits=3")
    for one, other in zip(gradients("auto", *rounded), gradients("auto"), strict=True):
        assert torch.equal(one, other)
    sent = []
    for words in (rounded, ()):
        parts = parts_of(*words)
        parts.network.eval()
        batch = next(iter(parts.data.epoch(0)))
        with torch.no_grad():
            sent.append(parts.network.unroll(batch.x, batch.lengths).output)
    assert not torch.allclose(*sent)


def test_whole_numbers_give_the_same_spikes():
    """A hidden layer of whole weights: sums of integers, times the unit, fire exactly as the simulation does."""
    parts = parts_of("weights=int4", "network.recurrence=none")
    batch = next(iter(parts.data.epoch(0)))
    layer = parts.network.hidden_layers[0]
    run = parts.network.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES}))
    hidden = run.spikes[0]
    assert hidden is not None
    with torch.no_grad():
        whole, unit = layer.parametrizations.weight[0].levels(layer.parametrizations.weight.original)  # type: ignore[index, union-attr, operator]
        sums = dense(batch.x).long() @ whole.long().T
        state, steps = layer.neuron.initial_state(unit * sums[0]), []
        for step in sums:
            spikes, state = layer.neuron.step(unit * step, state)
            steps.append(spikes)
    assert hidden.sum() > 0
    assert torch.equal(torch.stack(steps), hidden.detach())


def test_counts_know_the_bits():
    """4 bits where weights have 4, those of the protocol's precision where they are floating."""
    found = []
    for words in (("weights=int4",), ()):
        parts = parts_of(*words)
        counter = OperationCounter(parts.network, "binary", bits=32)
        batch = next(iter(parts.data.epoch(0)))
        with torch.no_grad():
            counter.update(batch, parts.network.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES})))
        found.append({group.weight_bits for layer in counter.result().layers for group in layer.synapses})
    assert found == [{4}, {32}]


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("weights.bits=1", "weights=int4"), "weights.bits=1"),
        (("weights=int4", "weights.bits=17"), "2 to 16 are possible"),
        (("weights=int4", "rule=eprop", "loss=per_step"), "rule=eprop sets gradients of the weights themselves"),
        (("weights=ternary", "normalisation=tdbn", "network.recurrence=none"), "normalisation=tdbn goes into"),
    ],
)
def test_what_cannot_be_quantised_is_one_line(words, reason):
    with pytest.raises(InputError, match=reason):
        parts_of(*words)


def test_floating_weights_are_neutral():
    """The entry that stands for a method without the group changes nothing."""
    assert Floating.neutral
    assert torch.equal(Floating()(WEIGHT), WEIGHT)
