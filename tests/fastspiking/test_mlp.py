"""Whole networks as they are trained: losses, lengths, windows and penalties on every engine.

Expected: the engine `reference`; the catalogue's own defaults, made by `build`.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import POTENTIAL, SPIKES, Batch
from sgbench.losses.per_step import PerStep
from sgbench.networks.mlp import Mlp
from sgbench.regularisers.activity_bounds import ActivityBounds
from sgbench.rules.base import Objective
from sgbench.rules.bptt import Bptt
from sgbench.rules.eprop import EProp
from sgbench.steepness.fixed import Fixed
from sgbench.training.build import build
from sgbench.training.train_step import Epochs, TrainLoop
from tests.entries import spec_with
from tests.fastspiking.cases import FAST, NEURONS, SHAPES, error, fires, gain_of, packed, spikes
from tests.thinned import thinned

LENGTHS = (20, 7, 1, 13)
STEPS, INPUTS = 20, 64
BOUNDS = ActivityBounds(lower_strength=0.7, lower_spikes=2.0, upper_strength=0.4, upper_spikes=1.0)
ENGINES = ("auto", *FAST)


def network(kind: str = "leaky", surrogate: str = "atan", **values: Any) -> Mlp:
    """A network of the catalogue in float64 whose layers fire; values are the network's."""
    given = {f"network.{name}": value for name, value in ({"hidden": [9, 8]} | values).items()}
    chosen = {"neuron": kind, "surrogate": surrogate}
    net = build(spec_with(chosen, {"protocol.precision": "float64", **given})).network
    with torch.no_grad():
        for layer in net.hidden_layers:
            layer.weight.mul_(gain_of(kind) / layer.weight.std())
    return net


def batch(*, pack: bool, padding: float | None = None) -> Batch:
    """Spikes; behind the ends of samples other random ones, or one value."""
    x = spikes(STEPS, len(LENGTHS), INPUTS, 0.1)
    if padding is not None:
        for sample, length in enumerate(LENGTHS):
            x[length:, sample] = padding
    target = torch.arange(len(LENGTHS)) % 10
    return Batch(packed(x) if pack else x, target, torch.tensor(LENGTHS), torch.arange(len(LENGTHS)))


def gradients(net: Mlp, engine: str, given: Batch, *, window: int | None = None) -> tuple[dict[str, Tensor], Tensor]:
    """By name, and the loss; noise is that of the same epoch each time."""
    Epochs(steepness=Fixed(), count=1, seed=0).begin(net, "train", 0)
    net.engine = Engine(engine)
    net.zero_grad()
    objective = Objective(loss=PerStep(), regulariser=BOUNDS)
    (progress,) = Bptt(window=window).gradients(net, given, objective)
    return {name: weight.grad.clone() for name, weight in net.named_parameters()}, progress.loss


def assert_same(found: tuple[dict[str, Tensor], Tensor], expected: tuple[dict[str, Tensor], Tensor]) -> None:
    """Loss and gradients to 1e-12."""
    assert error(found[1], expected[1]) < 1e-12
    for name, gradient in expected[0].items():
        assert gradient.any(), name
        assert error(found[0][name], gradient) < 1e-12, name


@pytest.mark.one_in(8)
@pytest.mark.parametrize("window", [None, 6, *(pytest.param(window, marks=pytest.mark.slow) for window in (1, 20, 50))])
@pytest.mark.parametrize("kind", [kind for kind in NEURONS if fires(kind)])
def test_truncated_and_whole_on_packed_and_dense_input(kind, window):
    """Expected: `reference` on dense input; a loss with a penalty on spikes, samples of four lengths."""
    net = network(kind, recurrence="all_to_all")
    expected = gradients(net, "reference", batch(pack=False), window=window)
    for engine in ENGINES:
        for pack in (False, True):
            assert_same(gradients(net, engine, batch(pack=pack), window=window), expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_window_is_not_the_whole(engine):
    """Must differ: credit that crosses a border is lost; losses are equal."""
    net = network()
    cut, whole = (gradients(net, engine, batch(pack=True), window=window) for window in (4, None))
    assert error(cut[1], whole[1]) < 1e-12
    assert error(cut[0]["layers.0.weight"], whole[0]["layers.0.weight"]) > 1e-3


@pytest.mark.one_in(5)
@pytest.mark.parametrize("engine", ["reference", *ENGINES])
@pytest.mark.parametrize("pack", [False, True], ids=["dense", "packed"])
def test_nothing_depends_on_padding(engine, pack):
    """Expected from the contract of lengths: loss and gradients do not see what lies behind the ends."""
    net = network(recurrence="one_to_one")
    silent, loud = (gradients(net, engine, batch(pack=pack, padding=value)) for value in (0.0, 1.0))
    assert_same(loud, silent)


@pytest.mark.one_in(10)
@pytest.mark.parametrize("surrogate", thinned(SHAPES, 3))
def test_the_catalogue_on_auto(surrogate):
    """Expected: `reference`, for a network of each surrogate as it is in the catalogue."""
    net = network(surrogate=surrogate)
    expected = gradients(net, "reference", batch(pack=True))
    found = gradients(net, "auto", batch(pack=True))
    assert error(found[1], expected[1]) < 1e-12
    for name, gradient in expected[0].items():
        assert error(found[0][name], gradient) < 1e-12, name


@pytest.mark.one_in(5)
@pytest.mark.parametrize("keep", [frozenset(), frozenset({SPIKES}), frozenset({POTENTIAL})], ids=sorted)
@pytest.mark.parametrize("engine", ["reference", *ENGINES])
def test_keeps_what_was_asked_on_every_engine(engine, keep):
    """Expected: spikes of hidden layers, potentials of all, and nothing that was not asked for."""
    net = network()
    net.engine = Engine(engine)
    given = batch(pack=True)
    trajectory = net.unroll(given.x, given.lengths, keep=keep)
    assert len(trajectory.spikes) == (2 if SPIKES in keep else 0)
    assert len(trajectory.u) == (3 if POTENTIAL in keep else 0)
    assert all(one.shape[-1] == size for one, size in zip(trajectory.spikes, (9, 8), strict=False))


def test_eprop_takes_packed_input():
    """Expected: equal bits of all gradients on dense and packed input; the rule runs a neuron's own step."""
    net = network(hidden=[9], recurrence="all_to_all")
    found = []
    for pack in (False, True):
        net.zero_grad()
        objective = Objective(loss=PerStep(), regulariser=build(spec_with({})).objective.regulariser)
        list(EProp(update="per_sequence").gradients(net, batch(pack=pack), objective))
        found.append({name: weight.grad.clone() for name, weight in net.named_parameters()})
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


@pytest.mark.one_in(8)
@pytest.mark.parametrize("engine", ENGINES)
def test_training_on_every_engine_takes_the_same_way(engine):
    """Expected: the losses of five steps on `reference` to 1e-9; rounding has five steps to grow."""
    losses = {}
    for name in ("reference", engine):
        net = network()
        net.engine = Engine(name)
        loop = TrainLoop(net, Bptt(window=None), Objective(loss=PerStep(), regulariser=BOUNDS), clip_norm=1.0)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        losses[name] = [loop.train_batch(batch(pack=True), optimizer).item() for _ in range(5)]
        with torch.no_grad():
            losses[name].append(loop.evaluate(batch(pack=True))[2].item())
    assert losses[engine] == pytest.approx(losses["reference"], rel=1e-9)
    assert losses[engine][-1] < losses[engine][0]
