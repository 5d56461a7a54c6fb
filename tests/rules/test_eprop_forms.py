"""Both forms of eligibility propagation, its feedback and its windows, and what it refuses.

Everything is in float64; samples end at different steps and the input behind their ends is not zero.
"""

import copy
import math

import pytest
import torch

from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.losses.max_over_time import MaxOverTime
from sgbench.networks.mlp import Mlp
from sgbench.networks.walk import walk
from sgbench.neurons.leaky import Leaky
from sgbench.regularisers.activity_bounds import ActivityBounds
from sgbench.rules.base import Objective
from sgbench.rules.bptt import Bptt
from sgbench.rules.eligibility import Eligibility
from sgbench.rules.eprop import EProp
from sgbench.training.build import build
from tests.messages import raises_naming
from tests.rules.eprop_cases import (
    HIDDEN,
    INPUTS,
    LENGTHS,
    OBJECTIVE,
    RECURRENCES,
    STEPS,
    Adaptive,
    assert_equals_cut_bptt,
    gradients,
    make_batch,
    make_network,
    neurons,
    relative_error,
    surrogate,
)

# --- windows, feedback and forms


def begun(net: Mlp, **options: str) -> EProp:
    """A rule whose feedback weights the network has; equal draws for equal shapes."""
    rule = EProp(update=options.pop("update", "per_sequence"), **options)
    rule.begin(net, torch.Generator().manual_seed(9))
    return rule


@pytest.mark.one_in(8)
@pytest.mark.parametrize("size", [1, 5, 50])
@pytest.mark.parametrize(
    "make",
    [neurons("leaky", "subtract", "detached"), neurons("synaptic", "zero", "attached"), lambda _: Adaptive()],
    ids=["traces alike", "traces of synapses", "own neuron"],
)
def test_stretches_are_no_approximation(make, size, monkeypatch):
    """Must match: autograd with recurrent spikes cut, whether 12 steps are one window, three or twelve."""
    monkeypatch.setattr("sgbench.rules.eprop.WINDOW", size)
    for recurrence in RECURRENCES[1:]:
        assert_equals_cut_bptt(make_network(make, recurrence))


def test_traces_are_kept_once_where_they_are_alike():
    """Expected by hand: where a layer forgets its spikes, a potential's trace is in one copy, elsewhere in each."""
    for reset, copies in (("subtract", 1), ("zero", HIDDEN)):
        layer = make_network(neurons("leaky", reset, "detached"), "none").hidden_layers[0]
        traces = Eligibility(layer, 0.9)
        x = make_batch().x
        traces.advance(walk(layer, x, None, jacobians=True), torch.ones(STEPS, len(LENGTHS), HIDDEN).double())
        potential, filtered = traces.dense
        assert potential.shape == (len(LENGTHS), copies, INPUTS + 1)
        assert filtered.shape == (len(LENGTHS), HIDDEN, INPUTS + 1)
        alone = torch.zeros(len(LENGTHS), INPUTS).double()
        for now in x:
            alone = 0.85 * alone + now
        if reset == "subtract":
            torch.testing.assert_close(potential[:, 0, :INPUTS], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("hidden", [(HIDDEN,), (HIDDEN, 4)], ids=["one layer", "two layers"])
@pytest.mark.parametrize("feedback", ["random", "adaptive"])
@pytest.mark.parametrize("kind", ["synaptic", "own"])
def test_both_forms_agree(kind, feedback, hidden):
    """Must match: forward with eligibilities, and by each layer's adjoint; feedback that learns included."""
    make = (lambda _: Adaptive()) if kind == "own" else neurons("synaptic", "subtract", "attached")
    network = make_network(make, "all_to_all", hidden=hidden)
    online = begun(network, feedback=feedback)
    found, one = gradients(online, network)
    expected, other = gradients(EProp(update="per_sequence", feedback=feedback, form="unrolled"), network)
    assert relative_error(found, expected) < 1e-10
    assert one[0].loss.item() == pytest.approx(other[0].loss.item(), rel=1e-12)
    learnt = [name for name in found if "feedback" in name]
    assert len(learnt) == (len(hidden) if feedback == "adaptive" else 0)


def test_unrolled_equals_cut_bptt_with_what_online_refuses():
    """Must match: autograd with recurrent spikes cut, for a loss of the whole, a penalty and learnt decays."""
    options = {"beta": 0.85, "threshold": 0.8, "reset": "zero", "reset_gradient": "attached", "learn_threshold": "none"}
    network = make_network(lambda n: Leaky(surrogate(), n, learn_beta="per_neuron", **options), "all_to_all")
    objective = Objective(
        loss=MaxOverTime(),
        regulariser=ActivityBounds(lower_strength=0.3, lower_spikes=3.0, upper_strength=0.2, upper_spikes=1.0),
    )
    results = []
    for rule in (begun(network, form="unrolled"), Bptt(window=None)):
        network.zero_grad()
        assert len(list(rule.gradients(network, make_batch(), objective))) == 1
        results.append({name: copy.copy(weight.grad) for name, weight in network.named_parameters()})
    assert relative_error(*results) < 1e-10


def test_random_feedback_that_is_the_readouts_weight_is_symmetric():
    """Must match: B = O gives symmetric feedback. Must differ: a drawn B, whose readout learns the same."""
    network = make_network(neurons("synaptic", "subtract", "detached"), "all_to_all")
    symmetric, _ = gradients(EProp(update="per_sequence"), network)
    random = begun(network, feedback="random")
    drawn, _ = gradients(random, network)
    next(iter(network.direct_feedback)).copy_(network.readout.weight.detach())
    same, _ = gradients(random, network)
    assert relative_error(same, symmetric) < 1e-12
    hidden = [name for name in symmetric if name.startswith("layers.0")]
    assert all(relative_error({n: drawn[n]}, {n: symmetric[n]}) > 1e-2 for n in hidden)
    readout = symmetric.keys() - set(hidden)
    assert relative_error({n: drawn[n] for n in readout}, {n: symmetric[n] for n in readout}) < 1e-12


def test_adaptive_feedback_comes_close_to_the_readout():
    """Expected: Kolen and Pollack; equal gradients and a decay on both draw B and O together.

    It is trained, and no part of what is deployed: the network's numbers are counted without it.
    """
    network = make_network(neurons("leaky", "subtract", "detached"), "none")
    plain = network.deployed_numbers
    rule = begun(network, feedback="adaptive", form="unrolled")
    (weight,) = network.learnt_feedback
    assert network.deployed_numbers == plain == sum(each.numel() for each in network.layers.parameters())
    start = torch.nn.functional.cosine_similarity(weight.flatten(), network.readout.weight.flatten(), dim=0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5, weight_decay=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        list(rule.gradients(network, make_batch(), OBJECTIVE))
        optimizer.step()
    end = torch.nn.functional.cosine_similarity(weight.flatten(), network.readout.weight.flatten(), dim=0)
    assert start < 0.6
    assert end > 0.9


# --- refusals

USABLE = ("rule=eprop", "loss=per_step")
REFUSED = {
    "network.hidden=[4,4]": r"2 hidden layers alone; use rule\.feedback=random",
    "network.recurrence=all_to_all": r"use network\.recurrence_gradient=cut",
    "rule.feedback=both": r"rule\.feedback='both': one of symmetric, random, adaptive",
    "rule.form=offline": r"rule\.form='offline': one of online, unrolled",
    "loss=max_over_time": "loss=per_step",
    "regulariser=activity_bounds": "regulariser=none",
    "neuron@readout=leaky": "neuron@readout=leaky_readout",
    "neuron.learn_beta=shared": r"layer hidden0 learns beta; use neuron\.learn_beta=none",
    "readout.learn_beta=per_neuron": r"layer readout learns beta; use readout\.learn_beta=none",
    "readout.input_gain=one_minus_beta": r"use readout\.input_gain=one",
    "readout.beta=[0.5,0.9]": r"a single readout\.beta",
    "rule.update=each": r"rule\.update='each': one of per_sequence, per_step",
}


@pytest.mark.one_in(8)
@pytest.mark.parametrize(("word", "remedy"), REFUSED.items(), ids=REFUSED)
def test_refuses_in_one_line_with_the_remedy(word, remedy):
    """Expected: an InputError before any data is loaded that names the option to change."""
    with pytest.raises(InputError, match=remedy) as caught:
        build(compose([*USABLE, word]))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("rule")


def test_unrolled_cannot_move_weights_in_each_step():
    """Expected: one line with both ways out, each of which builds."""
    words = (*USABLE, "rule.form=unrolled", "rule.update=per_step")
    with raises_naming(InputError, "rule.update=per_sequence", "rule.form=online"):
        build(compose(words))


def test_accepts_what_it_is_defined_for():
    """Expected: both updates build with any neuron of the catalogue that has fixed decays."""
    for words in (
        ("rule.update=per_step", "neuron=synaptic"),
        ("network.recurrence=all_to_all", "network.recurrence_gradient=cut"),
    ):
        parts = build(compose([*USABLE, *words]))
        assert isinstance(parts.rule, EProp)
        assert math.isfinite(parts.network.readout.neuron.beta())
