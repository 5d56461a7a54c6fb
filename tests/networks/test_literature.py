"""Recipes of the literature: numbers of their sources, sizes counted by hand, and every weight learns."""

from __future__ import annotations

import itertools
import math
import re

import pytest
import torch
from scipy.stats import spearmanr

from fastspiking.signals.trajectory import Batch
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.leaderboard.deviation import compose_reference, method_deviations
from sgbench.networks.base import Network
from sgbench.training.build import Parts, build
from sgbench.training.train_step import TrainLoop
from tests.documents import ROOT, blocks

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


def made(name: str, *words: str) -> tuple[Parts, int]:
    """The parts of a recipe, and how many numbers its network learns."""
    parts = build(compose([f"experiment={FOLDER}{name}", "seed=200", *words]))
    return parts, sum(weight.numel() for weight in parts.network.parameters())


def test_all_recipes_are_counted() -> None:
    assert {name.removeprefix(FOLDER) for name in RECIPES} == BY_HAND.keys()


@pytest.mark.one_in(8)
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


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in ("cifar10_dvs_vgg", "dvs_gesture_sew", "ssc_se_adlif")))
        for name in BY_HAND
    ],
)
def test_every_layer_gets_a_gradient(name: str) -> None:
    """Expected: a batch moves every weight, or sixty at most do where the second layer is silent at first."""
    parts, _ = made(name, "engine=reference")  # nothing is compiled for one network
    inputs = parts.encoder.channels(parts.data.data_set.n_inputs)
    batch = some_spikes(parts.network, inputs, parts.encoder.form, 20)  # type: ignore[attr-defined]
    loop = TrainLoop(parts.network.train(), parts.rule, parts.objective, clip_norm=None)
    before = {key: weight.detach().clone() for key, weight in parts.network.named_parameters()}
    for _ in range(60 if "se_adlif" in name else 1):
        assert torch.isfinite(loop.train_batch(batch, parts.optimizer))
        still = [key for key, weight in parts.network.named_parameters() if torch.equal(weight, before[key])]
        if not still:
            break
    assert still == []


LI_60_MS = math.exp(-1 / 15 * 10 / 4)  # 15 steps of 4 ms, in steps of 10 ms
LIF_10_05_MS = 1 - 10 / 10.05
MEAN_20_MS = math.exp(-10 / 20)
SOURCES = {
    # Each row: decay and gain of the readout, gain of a hidden neuron's input, height and width of the surrogate,
    # learning rate at its peak, schedule, clipping.
    # Of IGITUGraz/SE-adlif: models/li.py has gain 1 - d, module/tau_trainers.py d of tau, models/helpers.py a bell
    # as high as c alpha / 2 with c of 0.4 and alpha of 5; tau_out_range, lr and patience 9999 are of both
    # YAML files, gradient_clip_val of run.py
    "shd_se_adlif": (LI_60_MS, 1 - LI_60_MS, "one_minus_beta", 0.4 * 5 / 2, 2 * math.log(2) / 5, 0.01, "constant", 1.5),
    "ssc_se_adlif": (
        LI_60_MS,
        1 - LI_60_MS,
        "one_minus_beta",
        0.4 * 5 / 2,
        2 * math.log(2) / 5,
        0.006,
        "constant",
        1.5,
    ),
    # Of npvoid/neural_heterogeneity: layers.py has gain 1 - beta, SuSpike.py a scale of 100, main.py tau_mem and lr
    "shd_heterogeneous": (
        MEAN_20_MS,
        1 - MEAN_20_MS,
        "one_minus_beta",
        1.0,
        2 * (math.sqrt(2) - 1) / 100,
        1e-3,
        "constant",
        None,
    ),
    # Of Thvnvtos/SNN-delays: snn_delays.py has one tau and decay_input=False, best_config_SHD.py init_tau, alpha
    # and max_lr_w; SpikingJelly's ATan is alpha / 2 at the threshold
    "shd_delays": (LIF_10_05_MS, 1.0, "one", 5 / 2, 4 / (math.pi * 5), 5e-3, "one_cycle", None),
    # fangwei123456/Spike-Element-Wise-ResNet: smodels.py (a linear layer of the mean), args.txt (lr, lr_step_size);
    # SpikingJelly's ATan has alpha = 2 unless told
    "dvs_gesture_sew": (0.0, 1.0, "one_minus_beta", 2 / 2, 4 / (math.pi * 2), 1e-3, "step", None),
    # brain-intelligence-lab/temporal_efficient_training: VGG_models.py (a linear layer of each step),
    # layers.py (ZIF of gama = 1, mem tau + x), main_training_parallel.py (lr, CosineAnnealingLR)
    "cifar10_dvs_vgg": (0.0, 1.0, "one", 1.0, 1.0, 1e-3, "cosine", None),
}


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", SOURCES)
def test_numbers_are_those_of_the_source(name: str) -> None:
    """Expected: what the cited files say, in steps of the protocol; widths of the bells are solved by hand."""
    method = compose([f"experiment={FOLDER}{name}", "seed=200"]).method
    parts, _ = made(name)
    first, readout = parts.network.layers[0].neuron, parts.network.layers[-1].neuron
    beta = readout.beta()
    surrogate = first.surrogate
    found = (beta, readout.input_gain(beta), first.input_gain.kind, surrogate.peak, surrogate.fwhm)
    rate = (parts.optimizer.param_groups[0]["lr"], method.choices["schedule"], method.clip_norm)
    expected = SOURCES[name]
    for one, other in zip((*found, *rate), expected, strict=True):
        assert one == (pytest.approx(other, rel=1e-6) if isinstance(other, float) else other)


@pytest.mark.slow
def test_gestures_take_a_tenth_of_the_rate_after_64_epochs() -> None:
    """Expected: lr_step_size=64 and lr_gamma=0.1 of args.txt; CE of the mean of all 60 steps."""
    method = compose([f"experiment={FOLDER}dvs_gesture_sew", "seed=200"]).method
    assert (method.parameters["schedule"]["every_epochs"], method.parameters["schedule"]["by"]) == (64, 0.1)
    assert made("dvs_gesture_sew")[0].objective.loss.steps == 60


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("name", "other"), [("shd_se_adlif", "rho"), ("ssc_se_adlif", "rho"), ("shd_heterogeneous", "alpha")]
)
def test_time_constants_are_drawn_apart(name: str, other: str) -> None:
    """Expected: as of independent draws, a rank correlation of 0 (Spearman, by scipy); 1 with itself."""
    layer = made(name)[0].network.layers[0]
    one, two = layer.neuron.beta().detach(), getattr(layer.neuron, other)().detach()
    assert abs(spearmanr(one, two).statistic) < 1e-9
    assert spearmanr(one, one).statistic == pytest.approx(1)
    assert len(one.unique()) == len(two.unique()) == 8


BASELINES = [
    line.split("#")[0].split()[2:]
    for block in blocks(ROOT / "docs" / "protocols.md", "sh")
    for line in block.splitlines()
    if "network.parameters=" in line
]


@pytest.mark.one_in(8)
@pytest.mark.parametrize("words", BASELINES, ids=lambda words: words[0])
def test_a_network_without_spikes_is_as_large_as_a_recipe(words: list[str]) -> None:
    """Expected: what the page tells to type builds, within a tenth of a size that was counted by hand."""
    parts = build(compose(words))
    found = sum(weight.numel() for weight in parts.network.parameters())
    asked = int(re.search(r"network\.parameters=(\d+)", " ".join(words))[1])  # type: ignore[index]
    assert not parts.network.spiking
    assert asked in BY_HAND.values()
    assert found == pytest.approx(asked, rel=0.1)


def test_each_board_has_a_network_without_spikes() -> None:
    """Expected: what the page tells to type deviates nowhere; must differ: more parameters than methods have."""
    boards = set()
    for words in BASELINES:
        method = compose(words).method
        boards.add(method.protocol.name)
        reference = compose_reference(method.protocol.name)
        assert list(method_deviations(method, 200, reference)) == []
        *_, most = reference.protocol.parameters or ()
        larger = compose([*words, f"network.parameters={most + 1}"]).method
        (why,) = method_deviations(larger, 200, reference)
        assert why.startswith(f"network.parameters is {most + 1:,}, ")
    assert boards == {"shd_v2", "ssc_v2", "nmnist_v2", "dvs_gesture_v2", "cifar10_dvs_v2"}
