"""Operation counts against a count by hand, and what must not matter to them.

Legend: T steps, B batch, N neurons. Only the spikes are taken from the network; what they cost is counted anew.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastspiking.signals.spikes import SparseSpikes
from fastspiking.signals.trajectory import Batch
from sgbench.composition.compose import compose
from sgbench.energy.count import OperationCounter
from sgbench.errors import InputError
from sgbench.networks.mlp import Mlp
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.training.build import build
from tests.energy.counted import NOTHING, RECURRENCES, cases, count, few, inside, make_batch, make_network, totals

# --- a count by hand


def copying_network(recurrence: str) -> Mlp:
    """2 inputs, 2 hidden neurons that fire exactly when their input does, 3 readout units; with biases of 0.

    Without memory (decay 0) the potential is 4 x[t] - s[t-1]: 3 or 4 with an input, -1 or 0 without; threshold 1.
    """
    network = make_network(2, (2,), 3, recurrence=recurrence, bias=True)
    hidden = network.layers[0]
    with torch.no_grad():
        hidden.weight.copy_(4 * torch.eye(2))
        if hidden.recurrent is not None:
            hidden.recurrent.zero_()
    hidden.neuron.beta.fixed = 0.0
    return network


BY_HAND = make_batch(
    # sample a (4 steps), sample b (2 steps, then padding that is not 0)
    torch.tensor([[[1, 0], [0, 0]], [[1, 1], [0, 1]], [[0, 0], [1, 1]], [[0, 1], [1, 1]]], dtype=torch.float64),
    [4, 2],
)


@pytest.mark.parametrize(
    ("recurrence", "synapses", "with_input"),
    [("none", [], 8), ("one_to_one", [(3, 12)], 10), ("all_to_all", [(6, 24)], 10)],
)
def test_equals_the_count_by_hand(recurrence, synapses, with_input):
    """Expected: counted on paper. Hidden spikes copy the input.

        step                 0      1      2      3     behind the end
        a: input, spikes    1 0    1 1    0 0    0 1    -
        b: input, spikes    0 0    0 1     -      -     1 1, 1 1: not counted

    Steps 4 + 2 = 6. Events into the first layer 4 + 1 = 5: 5 x 2 synapses = 10 of 6 x 4 = 24 dense; spikes 5 into
    the readout: 5 x 3 = 15 of 6 x 6 = 36. Spikes that reach recurrent synapses one step later within the sample: a
    1 in step 1, 2 in step 2, 0 in step 3; b 0, as its spike is in its last step: 3, x 1 one to one, x 2 all to all.
    Hidden updates 6 x 2 = 12. The input reaches both neurons in a's steps 0, 1, 3 and b's step 1: 4 x 2 = 8; in a's
    step 2 both are reached by the spikes of step 1 alone, over either kind of recurrence: 2 more.
    Readout: 6 x 3 = 18 updates, 4 x 3 = 12 of them with input. One bias per update.
    """
    counts = count(copying_network(recurrence), BY_HAND)
    assert (counts.samples, counts.steps, counts.input_events.total) == (2, 6, 5)
    hidden, readout = totals(counts)
    recurrent = [("hidden0", recurrence, "accumulate", *each) for each in synapses]
    assert hidden == {
        "synapses": [("input", "all_to_all", "accumulate", 10, 24), *recurrent],
        "neuron_updates": 12,
        "neuron_updates_with_input": with_input,
        "neuron_multiplications": 12,
        "neuron_additions": 24,
        "neuron_comparisons": 12,
        "spikes_sent": 5,
        "bias_additions": 12,
        "weight_reads": 12 + 10 + sum(effective for effective, _ in synapses),
        "state_reads": 12,
        "state_writes": 12,
        **NOTHING,
    }
    assert readout == {
        "synapses": [("hidden0", "all_to_all", "accumulate", 15, 36)],
        "neuron_updates": 18,
        "neuron_updates_with_input": 12,
        "neuron_multiplications": 18,
        "neuron_additions": 18,
        "neuron_comparisons": 0,
        "spikes_sent": 0,
        "bias_additions": 18,
        "weight_reads": 18 + 15,
        "state_reads": 18,
        "state_writes": 18,
        **NOTHING,
    }


def test_one_to_one_reaches_one_neuron():
    """Expected by hand: neuron 0 alone fires in step 0, nothing enters in step 1, where its own synapse ends."""
    x = torch.tensor([[[1, 0]], [[0, 0]]], dtype=torch.float64)
    found = {
        recurrence: totals(count(copying_network(recurrence), make_batch(x, [2])))[0] for recurrence in RECURRENCES
    }
    reached = {recurrence: layer["neuron_updates_with_input"] for recurrence, layer in found.items()}
    assert reached == {"none": 2, "one_to_one": 3, "all_to_all": 4}


@pytest.mark.parametrize("recurrence", ["one_to_one", "all_to_all"])
def test_spike_of_the_last_step_goes_nowhere(recurrence):
    """Expected by hand: both neurons fire in the last step only; one step longer, 2 or 4 operations follow."""
    x = torch.tensor([[[0, 0]], [[1, 1]], [[0, 0]]], dtype=torch.float64)
    network = copying_network(recurrence)
    ends_there, goes_on = (totals(count(network, make_batch(x, [steps])))[0] for steps in (2, 3))
    assert ends_there["spikes_sent"] == goes_on["spikes_sent"] == 2
    assert ends_there["synapses"][1][3] == 0
    assert goes_on["synapses"][1][3] == {"one_to_one": 2, "all_to_all": 4}[recurrence]


# --- what must not matter


def take(batch: Batch, chosen: list[int]) -> Batch:
    return Batch(batch.x[:, chosen], batch.target[chosen], batch.lengths[chosen], batch.position[chosen])


@few
@given(cases, st.data())
def test_batches_order_padding_and_precision_do_not_matter(case, data):
    """Expected: the very same totals, by the contract of lengths; weights are exact in both precisions."""
    expected = count(case.network, case.batch, input_kind=case.input_kind)
    order = data.draw(st.permutations(range(len(case.batch.lengths))))
    split = data.draw(st.integers(1, len(order)))
    parts = [take(case.batch, order[:split]), take(case.batch, order[split:])]
    parts = [part for part in parts if len(part.lengths)]
    assert count(case.network, *parts, input_kind=case.input_kind) == expected
    padded = torch.cat([case.batch.x, torch.ones(2, *case.batch.x.shape[1:], dtype=torch.float64)])
    padded[: len(case.batch.x)][~inside(case.batch)] = 1.0
    assert count(case.network, case.batch._replace(x=padded), input_kind=case.input_kind) == expected
    single = case.batch._replace(x=case.batch.x.float())
    assert count(case.network.float(), single, input_kind=case.input_kind) == expected


@few
@given(cases)
def test_packed_input_counts_as_dense(case):
    """Expected: the same counts, whether the input comes as a tensor or as its events, binary or not."""
    batch = case.batch
    packed = batch._replace(x=SparseSpikes.of(batch.x))
    kind = case.input_kind
    assert count(case.network, packed, input_kind=kind) == count(case.network, batch, input_kind=kind)


def test_kind_follows_the_declaration():
    """Expected: declared real, the same zeros and ones cost multiplications; the numbers stay the same.

    Recurrent and later synapses carry spikes and add, whatever the input.
    """
    network = copying_network("all_to_all")
    as_real, as_binary = (totals(count(network, BY_HAND, input_kind=kind)) for kind in ("real", "binary"))
    kinds = [[each[2] for each in layer["synapses"]] for layer in as_real]
    assert kinds == [["multiply_accumulate", "accumulate"], ["accumulate"]]
    assert [each[3:] for each in as_real[0]["synapses"]] == [each[3:] for each in as_binary[0]["synapses"]]


def test_declared_binary_but_real_values_still_count_as_events():
    """Expected: one event per value that is not 0, negative and tiny ones included."""
    x = torch.tensor([[[0.5, -0.25]], [[1e-30, 0.0]]], dtype=torch.float64)
    assert count(copying_network("none"), make_batch(x, [2])).input_events.total == 3


def test_totals_are_exact_integers():
    """Expected: T B N = 673 x 257 x 97 = 2^24 + 1 ones in one batch, the least count that float32 cannot hold."""
    batch = make_batch(torch.ones(673, 257, 97), [673] * 257)
    network = make_network(97, (1,), 1).float()
    with torch.no_grad():
        network.layers[0].weight.zero_()
    total = count(network, batch).input_events.total
    assert type(total) is int
    assert total == 2**24 + 1


def test_a_hidden_layer_that_does_not_fire_is_an_error_not_a_guess():
    """Its real-valued output reaches the next layer; counting the layer before it instead would be wrong."""
    network = build(compose(["protocol.hidden=[4]", "protocol.steps=3"])).network
    network.layers[0].neuron = LeakyReadout(beta=0.9, learn_beta="none")
    x = torch.ones(3, 2, 64)
    batch = Batch(x, torch.zeros(2, dtype=torch.long), torch.tensor([3, 3]), torch.arange(2))
    trajectory = network.unroll(x, batch.lengths, keep=frozenset({"spikes"}))
    with pytest.raises(InputError, match=r"hidden0.*does not fire"):
        OperationCounter(network, "binary", bits=32).update(batch, trajectory)
