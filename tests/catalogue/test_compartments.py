"""Neurons of several compartments against literal transcriptions, differentiated by autograd, and their branches.

Legend: T steps, B batch, N neurons; I current, u membrane potential, s spikes, theta threshold.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from sgbench.inits.kaiming import Kaiming
from sgbench.networks.base import DenseLayer
from sgbench.neurons.three_compartment import ThreeCompartment
from tests.catalogue.sequence_cases import (
    BATCH,
    SIZE,
    STEPS,
    Given,
    assert_same,
    dh_lif,
    draw,
    literal,
    ours,
    surrogate,
    tc_lif,
)
from tests.rules.eprop_cases import assert_equals_cut_bptt, make_network

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")

# --- the parallel leaky neuron


def test_eprop_covers_two_compartments():
    """Must match: back-propagation with recurrent spikes cut, in every weight."""
    fixed = {f"learn_{name}": "none" for name in ("soma_to_dendrite", "dendrite_to_soma", "gamma", "threshold")}
    for recurrence in ("none", "all_to_all"):
        assert_equals_cut_bptt(make_network(lambda features: tc_lif(**fixed), recurrence))


# --- compartments


@pytest.mark.parametrize("reset_gradient", ["attached", "detached"])
def test_tc_lif_is_the_authors_order_of_charge_fire_and_reset(reset_gradient):
    """Expected: a transcription that charges, fires and then resets both compartments, as the authors coded it."""
    neuron = tc_lif(reset_gradient=reset_gradient)
    current = draw(STEPS, BATCH, SIZE, mean=0.3)
    found = ours(neuron, current)
    names = ("soma_to_dendrite.logit", "dendrite_to_soma.logit", "threshold.logarithm")
    leaves = {name: dict(neuron.named_parameters())[name].detach().clone().requires_grad_() for name in names}
    c1, c2, log_theta = leaves.values()

    def step(now: Tensor, d: Tensor, u: Tensor) -> tuple:
        d = d - torch.sigmoid(c1) * u + now
        u = u + torch.sigmoid(c2) * d
        theta = log_theta.exp()
        s = surrogate()(u - theta)
        reset = s.detach() if reset_gradient == "detached" else s
        return s, u - theta, d - reset * 0.5, u - reset * theta

    zeros = torch.zeros(BATCH, SIZE, dtype=torch.float64)
    assert_same(found, literal(step, current, (zeros, zeros), leaves), ("current", *names), rtol=1e-10)


@pytest.mark.parametrize("engine", ["scan", "fused"])
def test_tc_lif_runs_on_the_fast_engines(engine):
    """Must match: the reference in spikes, potentials and every gradient; a detached reset stays there."""
    current = draw(60, BATCH, SIZE, mean=0.3)
    for learn in ("none", "shared", "per_neuron"):
        options = {f"learn_{name}": learn for name in ("soma_to_dendrite", "dendrite_to_soma", "gamma", "threshold")}
        found, expected = (ours(tc_lif(**options), current, engine=each) for each in (engine, "reference"))
        assert_same(found, expected, tuple(expected.gradients), rtol=1e-10)
    assert Engine("auto").pick(Given(tc_lif(reset_gradient="detached")))[0] == "reference"


@pytest.mark.parametrize("recurrence", ["none", "one_to_one", "all_to_all"])
@pytest.mark.parametrize("reset_gradient", ["attached", "detached"])
def test_three_compartments_are_their_equations(recurrence, reset_gradient):
    """Expected: a transcription that charges, fires, then sets all three to 0; the recurrence is the apical's."""
    numbers = {"basal": 0.6, "apical": 0.7, "soma": 0.5, "threshold": 1.0, "reset_gradient": reset_gradient}
    learn = {"learn_basal": "shared", "learn_apical": "none", "learn_soma": "per_neuron", "learn_threshold": "none"}
    neuron = ThreeCompartment(surrogate(), SIZE, **numbers, **learn)
    current = draw(STEPS, BATCH, SIZE, mean=1.0, spread=2.0)
    found = ours(neuron, current, recurrence=recurrence)
    names = ("basal.logit", "soma.logit")
    leaves = {name: dict(neuron.named_parameters())[name].detach().clone().requires_grad_() for name in names}
    shape = {"none": (1,), "one_to_one": (SIZE,), "all_to_all": (SIZE, SIZE)}[recurrence]
    matrix = draw(*shape, seed=9, spread=0.5).requires_grad_()

    def step(now: Tensor, b: Tensor, a: Tensor, u: Tensor, s: Tensor) -> tuple:
        back = s @ matrix.mT if recurrence == "all_to_all" else matrix * s * (recurrence != "none")
        b = torch.sigmoid(leaves["basal.logit"]) * (b + now)
        a = 0.7 * (a + back)
        u = u + torch.sigmoid(leaves["soma.logit"]) * (b + a - u)
        s = surrogate()(u - 1.0)
        kept = 1 - (s.detach() if reset_gradient == "detached" else s)
        return s, u - 1.0, b * kept, a * kept, u * kept, s

    zeros = torch.zeros(BATCH, SIZE, dtype=torch.float64)
    expected = literal(step, current, (zeros,) * 4, {**leaves, "recurrent": matrix})
    assert_same(found, expected, ("current", *names, *(("recurrent",) if recurrence != "none" else ())))


@pytest.mark.parametrize("learn", ["shared", "per_neuron"])
@pytest.mark.parametrize("input_gain", ["one", "one_minus_decay"])
def test_dh_lif_is_its_equations(input_gain, learn):
    """Expected: a literal transcription of the branches and the soma, gradients by autograd."""
    neuron = dh_lif(input_gain=input_gain, learn_branches=learn)
    assert neuron.branches.logit.shape == (3 * (SIZE if learn == "per_neuron" else 1),)
    weak = input_gain == "one_minus_decay"
    current = draw(STEPS, BATCH, 3 * SIZE, mean=0.6, spread=2.0) * (1.0 if weak else 0.1)
    found = ours(neuron, current)
    leaves = {name: value.detach().clone().requires_grad_() for name, value in neuron.named_parameters()}
    alpha, betas = (torch.sigmoid(leaf) for leaf in leaves.values())
    betas = betas.chunk(3)

    def step(now: Tensor, *state: Tensor) -> tuple:
        u, s, *d = state
        gains = [1 - x if weak else 1.0 for x in (alpha, *betas)]
        parts = zip(betas, gains[1:], d, now.chunk(3, -1), strict=True)
        d = [b * old + g * new for b, g, old, new in parts]
        u = alpha * u + gains[0] * (d[0] + d[1] + d[2]) - 1.0 * s
        s = surrogate()(u - 1.0)
        return s, u - 1.0, u, s, *d

    zeros = torch.zeros(BATCH, SIZE, dtype=torch.float64)
    assert_same(found, literal(step, current, (zeros,) * 5, leaves), ("current", *leaves), rtol=1e-10)


@pytest.mark.parametrize("recurrence", ["none", "one_to_one", "all_to_all"])
def test_each_input_reaches_one_branch_of_each_neuron(recurrence):
    """Expected: one branch per input and neuron, 3 or 4 of 10 inputs each, drawn anew for each neuron and seed."""
    layer = DenseLayer("hidden0", 10, SIZE, dh_lif(), recurrence=recurrence)
    layer.reset_weights(Kaiming(gain=1.0, recurrent_gain=1.0), torch.Generator().manual_seed(2))
    chosen = layer.mask.view(3, SIZE, 10)
    assert torch.equal(chosen.sum(0), torch.ones(SIZE, 10))
    assert set(chosen.sum(2).unique().tolist()) == {3, 4}
    assert len({tuple(row.flatten().tolist()) for row in chosen.transpose(0, 1)}) == SIZE
    x = draw(4, BATCH, 10)
    layer.current(x).sum().backward()
    assert torch.equal(layer.weight.grad != 0, layer.mask)
    if recurrence != "none":
        assert layer.recurrent_mask.view(3, SIZE, -1).sum(0).eq(1).all()
    other = DenseLayer("hidden0", 10, SIZE, dh_lif(), recurrence=recurrence)
    other.reset_weights(Kaiming(gain=1.0, recurrent_gain=1.0), torch.Generator().manual_seed(3))
    assert not torch.equal(layer.mask, other.mask)
    assert DenseLayer("hidden0", 10, SIZE, dh_lif(inputs="all")).mask is None
