"""Eligibility propagation against back-propagation with recurrent spikes cut, which it must equal.

Everything is in float64; samples end at different steps and the input behind their ends is not zero.
"""

import copy
import math
from typing import ClassVar, Literal, NamedTuple

import pytest
import torch
from torch import Tensor

from sgbench.composition.compose import compose
from sgbench.engine.choose import Engine
from sgbench.errors import InputError
from sgbench.inits.kaiming import Kaiming
from sgbench.losses.max_over_time import MaxOverTime
from sgbench.losses.per_step import PerStep
from sgbench.networks.base import MakeNeuron, Provided
from sgbench.networks.mlp import Mlp
from sgbench.networks.walk import walk
from sgbench.neurons.base import RESET_GRADIENTS, RESETS, Neuron, Operations
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.synaptic import Synaptic
from sgbench.regularisers.activity_bounds import ActivityBounds
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import LearningRule, Objective, Progress
from sgbench.rules.bptt import Bptt
from sgbench.rules.eligibility import Eligibility
from sgbench.rules.eprop import EProp
from sgbench.signals.trajectory import Batch
from sgbench.surrogates.fast_sigmoid import FastSigmoid
from sgbench.training.build import build
from tests.thinned import thinned

INPUTS, HIDDEN, CLASSES = 5, 6, 3
STEPS, LENGTHS = 12, (12, 7, 1, 10)
RECURRENCES = ("none", "one_to_one", "all_to_all")
OBJECTIVE = Objective(loss=PerStep(), regulariser=NoPenalty())


def surrogate() -> FastSigmoid:
    return FastSigmoid(slope=4.0, width_fwhm=None, normalisation="peak1", scale=1.0)


def neurons(kind: str, reset: str, reset_gradient: str) -> MakeNeuron:
    """How layers of this kind are made."""
    options = {"beta": 0.85, "threshold": 0.8, "reset": reset, "reset_gradient": reset_gradient}
    options |= {"learn_threshold": "none"}
    if kind == "leaky":
        return lambda features: Leaky(surrogate(), features, learn_beta="none", **options)
    options |= {"alpha": 0.6, "learn_alpha": "none", "learn_beta": "none"}
    return lambda features: Synaptic(surrogate(), features, **options)


class AdaptiveState(NamedTuple):
    """What an `Adaptive` layer carries from step to step."""

    a: Tensor  # adaptation
    u: Tensor  # membrane potential
    s: Tensor  # spikes
    w: Tensor  # subthreshold memory of the potential


class Adaptive(Neuron):
    """A neuron of a user's own: spikes raise its threshold, and a saturating memory of u acts back on u."""

    output: ClassVar[Literal["binary", "real"]] = "binary"

    def __init__(self) -> None:
        super().__init__()
        self.surrogate = surrogate()

    def initial_state(self, like: Tensor) -> AdaptiveState:
        return AdaptiveState(*(torch.zeros_like(like) for _ in range(4)))

    def step(self, current: Tensor, state: AdaptiveState) -> tuple[Tensor, AdaptiveState]:
        a = 0.9 * state.a + state.s
        w = 0.8 * state.w + 0.3 * torch.tanh(state.u)
        u = 0.85 * state.u * (1 - state.s) + torch.nn.functional.softplus(current) - 0.4 * w
        s = self.surrogate(u - 0.7 - 0.2 * a)
        return s, AdaptiveState(a, u, s, w)

    def centred(self, state: AdaptiveState) -> Tensor:
        return state.u - 0.7 - 0.2 * state.a

    @property
    def operations(self) -> Operations:
        return Operations(6, 6, 1, state_words=3)


def make_network(
    make_neuron: MakeNeuron,
    recurrence: str,
    *,
    recurrence_gradient: str = "cut",
    bias: bool = True,
    hidden: tuple[int, ...] = (HIDDEN,),
) -> Mlp:
    """Hidden layers and a leaky readout; equal weights for equal shapes."""
    network = Mlp(
        Provided(
            INPUTS,
            CLASSES,
            make_neuron,
            lambda features: LeakyReadout(features, beta=0.9, learn_beta="none"),
            Kaiming(gain=1.6, recurrent_gain=1.2),
            torch.Generator().manual_seed(1),
            Engine("reference"),
        ),
        hidden=hidden,
        recurrence=recurrence,
        recurrence_gradient=recurrence_gradient,
        bias=bias,
    )
    if bias:
        with torch.no_grad():
            for layer in network.layers:
                layer.bias.copy_(torch.linspace(-0.2, 0.3, len(layer.bias), dtype=torch.float64))
    return network


def make_batch() -> Batch:
    """Random spikes, also behind the ends of samples."""
    random = torch.Generator().manual_seed(3)
    x = (torch.rand(STEPS, len(LENGTHS), INPUTS, generator=random) < 0.4).double()
    target = torch.randint(CLASSES, (len(LENGTHS),), generator=random)
    return Batch(x, target, torch.tensor(LENGTHS), torch.arange(len(LENGTHS)))


def gradients(rule: LearningRule, network: Mlp) -> tuple[dict[str, Tensor], list[Progress]]:
    """Gradients after the last yield, added up over yields, and the yields; weights stay as they are."""
    network.zero_grad()
    progress = list(rule.gradients(network, make_batch(), OBJECTIVE))
    return {name: copy.copy(weight.grad) for name, weight in network.named_parameters()}, progress


def relative_error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Largest over weights of the maximal error relative to the largest gradient of that weight."""
    assert found.keys() == expected.keys()
    return max(
        ((found[name] - expected[name]).abs().max() / expected[name].abs().max()).item() for name in expected
    )


def cosine(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Of all gradients as one vector."""
    one, other = (torch.cat([each[name].flatten() for name in expected]) for each in (found, expected))
    return torch.nn.functional.cosine_similarity(one, other, dim=0).item()


def spike_rate(network: Mlp) -> float:
    """Hidden spikes per neuron and step."""
    batch = make_batch()
    return network.unroll(batch.x, batch.lengths, keep=frozenset({"spikes"})).spikes[0].mean().item()


def assert_equals_cut_bptt(network: Mlp) -> None:
    """E-prop's gradient of every weight is autograd's in the same network with recurrent spikes cut."""
    assert 0.05 < spike_rate(network) < 0.8
    found, progress = gradients(EProp(update="per_sequence"), network)
    expected, reference = gradients(Bptt(window=None), network)
    assert relative_error(found, expected) < 1e-10
    assert len(progress) == 1
    assert progress[0].loss.item() == pytest.approx(reference[0].loss.item(), rel=1e-12)


# --- must match


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("recurrence", RECURRENCES)
@pytest.mark.parametrize("reset_gradient", RESET_GRADIENTS)
@pytest.mark.parametrize("reset", thinned(RESETS, 2))
@pytest.mark.parametrize("kind", ["leaky", "synaptic"])
def test_equals_autograd_with_recurrent_spikes_cut(kind, reset, reset_gradient, recurrence, bias):
    """Expected: mathematics. A path that leaves a neuron and comes back, or enters another, is over V s[t-1].

    With these cut, dL/dW_ij is the sum over t of (dL/ds_i[t] past the readout) e_ij[t]; the leaky readout's memory
    moves from the learning signal into the filtered e. Autograd is an independent way to the same number.
    """
    assert_equals_cut_bptt(make_network(neurons(kind, reset, reset_gradient), recurrence, bias=bias))


@pytest.mark.parametrize("recurrence", RECURRENCES)
def test_covers_a_users_own_neuron(recurrence):
    """Expected: autograd again, for an elementwise neuron the rule has never seen.

    Its own spikes act on its threshold and reset, which stays in the gradient; its step is not linear.
    """
    assert_equals_cut_bptt(make_network(lambda _: Adaptive(), recurrence))


@pytest.mark.parametrize("reset_gradient", RESET_GRADIENTS)
def test_without_recurrence_it_is_full_bptt(reset_gradient):
    """Expected: mathematics; one hidden layer without recurrence has no path over other neurons."""
    make = neurons("synaptic", "subtract", reset_gradient)
    found, _ = gradients(EProp(update="per_sequence"), make_network(make, "none"))
    expected, _ = gradients(Bptt(window=None), make_network(make, "none", recurrence_gradient="full"))
    assert relative_error(found, expected) < 1e-10


@pytest.mark.parametrize("recurrence", RECURRENCES)
def test_steps_add_up_to_the_sequence(recurrence):
    """Expected: while weights stay, gradients and losses of all steps sum to those of the sequence."""
    network = make_network(neurons("synaptic", "zero", "attached"), recurrence)
    whole, one = gradients(EProp(update="per_sequence"), network)
    summed, each = gradients(EProp(update="per_step"), network)
    batch = make_batch()
    loss = PerStep().whole(network.unroll(batch.x, batch.lengths), batch.target).item()
    assert relative_error(summed, whole) < 1e-12
    assert len(each) == STEPS
    assert sum(step.loss.item() for step in each) == pytest.approx(loss, rel=1e-12)
    assert one[0].loss.item() == pytest.approx(loss, rel=1e-12)
    assert not any(step.loss.requires_grad for step in [*one, *each])


def test_final_state_is_that_of_the_network():
    """Expected: the unrolled network's own last potentials, so that a check for NaN sees the right ones."""
    network, batch = make_network(neurons("leaky", "subtract", "detached"), "all_to_all"), make_batch()
    _, progress = gradients(EProp(update="per_sequence"), network)
    for found, expected in zip(
        progress[0].trajectory.state, network.unroll(batch.x, batch.lengths).state, strict=True
    ):
        torch.testing.assert_close(found.u, expected.u.detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("update", ["per_sequence", "per_step"])
def test_gradients_add_to_what_is_there(update):
    """Expected: started from ones, each gradient is larger by one."""
    network = make_network(neurons("leaky", "subtract", "detached"), "one_to_one")
    once, _ = gradients(EProp(update=update), network)
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    list(EProp(update=update).gradients(network, make_batch(), OBJECTIVE))
    more = {name: weight.grad - 1 for name, weight in network.named_parameters()}
    assert relative_error(more, once) < 1e-12


@pytest.mark.parametrize("update", ["per_sequence", "per_step"])
def test_padding_behind_the_longest_sample_changes_nothing(update):
    """Expected: the contract of lengths; the same gradients and as many updates without and with padding."""
    network, batch = make_network(neurons("leaky", "subtract", "detached"), "all_to_all"), make_batch()
    padded = batch._replace(x=torch.cat([batch.x, torch.ones(4, *batch.x.shape[1:], dtype=batch.x.dtype)]))
    results = []
    for each in (batch, padded):
        network.zero_grad()
        updates = len(list(EProp(update=update).gradients(network, each, OBJECTIVE)))
        results.append((updates, {name: weight.grad for name, weight in network.named_parameters()}))
    assert results[0][0] == results[1][0]
    assert all(torch.equal(results[0][1][name], results[1][1][name]) for name in results[0][1])


# --- stretches, feedback and forms


def begun(net: Mlp, **options: str) -> EProp:
    """A rule whose feedback weights the network has; equal draws for equal shapes."""
    rule = EProp(update=options.pop("update", "per_sequence"), **options)
    rule.begin(net, torch.Generator().manual_seed(9))
    return rule


@pytest.mark.parametrize("size", [1, 5, 50])
@pytest.mark.parametrize(
    "make",
    [neurons("leaky", "subtract", "detached"), neurons("synaptic", "zero", "attached"), lambda _: Adaptive()],
    ids=["traces alike", "traces of synapses", "own neuron"],
)
def test_stretches_are_no_approximation(make, size, monkeypatch):
    """Must match: autograd with recurrent spikes cut, whether 12 steps are one stretch, three or twelve."""
    monkeypatch.setattr("sgbench.rules.eprop.STRETCH", size)
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
    options = {
        "beta": 0.85,
        "threshold": 0.8,
        "reset": "zero",
        "reset_gradient": "attached",
        "learn_threshold": "none",
    }
    network = make_network(lambda n: Leaky(surrogate(), n, learn_beta="per_neuron", **options), "all_to_all")
    objective = Objective(
        loss=MaxOverTime(),
        regulariser=ActivityBounds(
            lower_strength=0.3, lower_spikes=3.0, upper_strength=0.2, upper_spikes=1.0
        ),
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


# --- must differ


@pytest.mark.parametrize("recurrence", ["one_to_one", "all_to_all"])
def test_is_not_full_bptt_in_a_recurrent_network(recurrence):
    """Must differ: the paths over recurrent spikes are dropped; on this seed the direction stays related."""
    make = neurons("synaptic", "subtract", "detached")
    found, _ = gradients(EProp(update="per_sequence"), make_network(make, recurrence))
    full, _ = gradients(Bptt(window=None), make_network(make, recurrence, recurrence_gradient="full"))
    hidden = {name for name in full if name.startswith("layers.0")}
    for name in hidden:
        assert relative_error({name: found[name]}, {name: full[name]}) > 1e-2, name
    assert 0 < cosine({name: found[name] for name in hidden}, {name: full[name] for name in hidden}) < 0.9999
    readout = set(full) - hidden
    assert relative_error({n: found[n] for n in readout}, {n: full[n] for n in readout}) < 1e-10


def test_a_network_that_says_otherwise_is_refused():
    """Expected: the rule cuts on its own, so a network that asks for the full gradient would name it twice."""
    make = neurons("synaptic", "subtract", "attached")
    rule = EProp(update="per_sequence")
    rule.check(make_network(make, "all_to_all"), OBJECTIVE)
    rule.check(make_network(make, "none", recurrence_gradient="full"), OBJECTIVE)
    with pytest.raises(InputError, match=r"use network\.recurrence_gradient=cut"):
        rule.check(make_network(make, "all_to_all", recurrence_gradient="full"), OBJECTIVE)


def test_reset_gradient_is_seen():
    """Must differ: an attached reset has a path within the neuron, which the eligibility carries."""
    found = [
        gradients(EProp(update="per_sequence"), make_network(neurons("leaky", "zero", choice), "none"))[0]
        for choice in RESET_GRADIENTS
    ]
    assert relative_error(*found) > 1e-3


def test_updating_each_step_is_not_updating_once():
    """Must differ: with weights that move in every step the later steps see other weights."""
    ends = []
    for update in ("per_sequence", "per_step"):
        network = make_network(neurons("leaky", "subtract", "detached"), "all_to_all")
        optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
        for _ in EProp(update=update).gradients(network, make_batch(), OBJECTIVE):
            optimizer.step()
            optimizer.zero_grad()
        ends.append({name: weight.detach() for name, weight in network.named_parameters()})
    assert relative_error(*ends) > 1e-3


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
    with pytest.raises(InputError, match=r"use rule\.update=per_sequence or rule\.form=online"):
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
