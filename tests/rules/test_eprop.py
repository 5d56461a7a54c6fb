"""Eligibility propagation equals back-propagation with recurrent spikes cut, and differs from the full one.

Everything is in float64; samples end at different steps and the input behind their ends is not zero.
"""

import pytest
import torch
from torch import Tensor

from sgbench.errors import InputError
from sgbench.losses.per_step import PerStep
from sgbench.neurons.base import RESET_GRADIENTS, RESETS
from sgbench.rules.bptt import Bptt
from sgbench.rules.eprop import EProp
from tests.messages import raises_naming
from tests.rules.eprop_cases import (
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
)
from tests.thinned import thinned


def cosine(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Of all gradients as one vector."""
    one, other = (torch.cat([each[name].flatten() for name in expected]) for each in (found, expected))
    return torch.nn.functional.cosine_similarity(one, other, dim=0).item()


# --- must match


@pytest.mark.one_in(10)
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
    for found, expected in zip(progress[0].trajectory.state, network.unroll(batch.x, batch.lengths).state, strict=True):
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
    with raises_naming(InputError, "network.recurrence_gradient=cut"):
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
