"""Recipes of the literature: sizes counted by hand, within their protocols' budgets, and every weight learns."""

from __future__ import annotations

import itertools

import pytest
import torch

from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.leaderboard.deviation import compose_reference, method_deviations
from sgbench.networks.base import Network
from sgbench.signals.trajectory import Batch
from sgbench.training.build import Parts, build
from sgbench.training.train_loop import TrainLoop

FOLDER = "recipe/"
RECIPES = tuple(name for name in catalogue.paths("experiment") if name.startswith(FOLDER))


def recurrent(inputs: int, hidden: int, outputs: int, *, own: int, bias: bool) -> int:
    """Numbers of two recurrent layers with `own` learnt numbers for each neuron, and a readout."""
    biases = 2 * hidden + outputs if bias else 0
    return inputs * hidden + 3 * hidden**2 + hidden * outputs + biases + 2 * own * hidden


def convolutions(channels: list[int]) -> int:
    """Weights of convolutions of 3 x 3 in a chain, and a gain and a shift for each channel of a normalisation."""
    return sum(9 * a * b + 2 * b for a, b in itertools.pairwise(channels))


BY_HAND = {
    # beta, rho, a and b of each neuron; the paper says 0.45 million
    "shd_se_adlif": recurrent(140, 360, 20, own=4, bias=True),
    "ssc_se_adlif": recurrent(140, 720, 35, own=4, bias=True),
    "shd_heterogeneous": recurrent(700, 128, 20, own=2, bias=False),  # alpha and beta
    # a weight and a delay for each synapse, a gain and a shift for each neuron; the paper says 0.2 million
    "shd_delays": 2 * (140 * 256 + 256 * 256 + 256 * 20) + 2 * 2 * 256,
    # a stem, twelve convolutions, five shortcuts of 1 x 1; a decay of each layer; the mean of each channel is read
    "dvs_gesture_sew": convolutions([2, *[32] * 13]) + 5 * (32 * 32 + 2 * 32) + 18 + 32 * 11,
    # 64 x 64 pixels are halved four times
    "cifar10_dvs_vgg": convolutions([2, 64, 128, 256, 256, 512, 512, 512, 512]) + 512 * 4 * 4 * 10,
    # 34 x 34 pixels become 17 x 17 and 8 x 8; a decay of each layer
    "nmnist_vgg": convolutions([2, 32, 32, 64, 64]) + 4 + 64 * 8 * 8 * 10,
}


def made(name: str) -> tuple[Parts, int]:
    """The parts of a recipe, and how many numbers its network learns."""
    parts = build(compose([f"experiment={FOLDER}{name}", "seed=200"]))
    return parts, sum(weight.numel() for weight in parts.network.parameters())


def test_all_recipes_are_counted() -> None:
    assert {name.removeprefix(FOLDER) for name in RECIPES} == BY_HAND.keys()


@pytest.mark.parametrize("name", BY_HAND)
def test_sizes_are_those_counted_by_hand(name: str) -> None:
    """Expected: the hand count; nothing deviates from the protocol; must differ: a network out of its budget."""
    assert made(name)[1] == BY_HAND[name]
    method = compose([f"experiment={FOLDER}{name}", "seed=200"]).method
    reference = compose_reference(method.protocol.name)
    assert list(method_deviations(method, 200, reference)) == []
    assert list(method_deviations(method, 0, reference)) != []  # a seed that reports nothing
    band = reference.protocol.parameters
    assert band is not None
    assert band[0] <= BY_HAND[name] <= band[1]
    meta = catalogue.entry("experiment", FOLDER + name).meta
    assert meta["sources"]
    assert meta["differs"]


def some_spikes(network: Network, inputs: int, form: object, steps: int) -> Batch:
    """Two samples as busy as spoken digits, in which a fifth of the channels hear a word at a time."""
    random = torch.Generator().manual_seed(0)
    heard = torch.rand(2, inputs, generator=random) < 0.2
    x = torch.poisson(heard * torch.full((steps, 2, inputs), 4.0), generator=random)
    x = (x if form == "count" else x.clamp(max=1)).to(next(network.parameters()).dtype)
    return Batch(x, torch.tensor([0, 1]), torch.full((2,), steps), torch.arange(2))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=[pytest.mark.slow] * (name in ("cifar10_dvs_vgg", "dvs_gesture_sew", "ssc_se_adlif"))
        )
        for name in BY_HAND
    ],
)
def test_every_layer_gets_a_gradient(name: str) -> None:
    """Expected: a batch moves every weight of the network, or a few where the second layer is silent at first."""
    parts, _ = made(name)
    inputs = parts.encoder.channels(parts.data.data_set.n_inputs)
    batch = some_spikes(parts.network, inputs, parts.encoder.form, 20)  # type: ignore[attr-defined]
    loop = TrainLoop(parts.network.train(), parts.rule, parts.objective, clip_norm=None)
    before = {key: weight.detach().clone() for key, weight in parts.network.named_parameters()}
    for _ in range(8 if "se_adlif" in name else 1):
        assert torch.isfinite(loop.train_batch(batch, parts.optimizer))
    still = [key for key, weight in parts.network.named_parameters() if torch.equal(weight, before[key])]
    assert still == []
