"""Networks without spikes beside spiking ones, crossover rates, stability of ranks: by hand and brute force."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgbench.energy.baseline import bit_operations, levels_bits, matched_ann
from sgbench.energy.crossover import Parts, cheaper_share, compare, duels, matched, silenced, synapse_rate
from sgbench.energy.fit import fit
from sgbench.energy.interval import BoundedValue
from sgbench.energy.pool import pooled
from sgbench.energy.price import load_targets, price
from sgbench.errors import InputError
from sgbench.records.counts import Count
from tests.energy.networks import layer, network, spiking, synapses
from tests.messages import missing

TARGETS = load_targets(everything=True)


# --- the matched network


@given(st.integers(1, 10_000))
def test_levels_need_so_many_bits(steps):
    """Expected: ceil(log2(T + 1)), by the logarithm."""
    assert levels_bits(steps) == math.ceil(math.log2(steps + 1))


def test_matched_network_by_hand():
    """4-8-2, one pass: 32 and 16 multiply-accumulates, 8 comparisons with 0, no state; weights of 5 bits."""
    found = matched_ann(spiking(), weight_bits=5)
    assert (found.samples, found.steps, found.input_events.total) == (1, 1, 4)
    hidden, readout = found.layers
    assert [layer.synapses[0].effective.total for layer in found.layers] == [32, 16]
    assert {layer.synapses[0].operation for layer in found.layers} == {"multiply_accumulate"}
    assert {layer.synapses[0].weight_bits for layer in found.layers} == {5}
    assert (hidden.neuron_comparisons.total, readout.neuron_comparisons.total) == (8, 0)
    assert hidden.state_reads.total == hidden.spikes_sent.total == hidden.neuron_additions.total == 0
    assert hidden.weight_reads.total == 32


def test_a_recurrent_network_is_matched_by_one_that_runs_every_step():
    """Must differ: with recurrence the matched network runs 10 times, without once."""
    recurrent = layer("a", 8, synapses(1, 320), synapses(1, 640, source="a"))
    plain = layer("a", 8, synapses(1, 320))
    totals = [
        sum(group.effective.total or 0 for group in matched_ann(network(each, steps=10)).layers[0].synapses)
        for each in (recurrent, plain)
    ]
    assert totals == [960, 32]


def test_on_a_series_the_network_without_spikes_runs_every_step():
    """By the convention of 4.6 pJ a product: 32 products once a sample, and ten times that on a series in time."""
    counts = network(layer("a", 8, synapses(1, 320)), steps=10)
    target = TARGETS["convention_ac_mac"]
    found = [matched(counts, targets=[target], dt_s=1e-3, in_time=series) for series in (False, True)]
    assert [each.passes for each in found] == ["sample", "step"]
    energies = [each.comparisons[target.name].ann_nj for each in found]
    assert [energy and energy.value for energy in energies] == pytest.approx([32 * 4.6e-3, 320 * 4.6e-3])


def test_bit_operations_by_hand():
    """Spikes: 332 x 32 bits x 1. Without spikes: 48 products of 32 x 4 bits."""
    assert bit_operations(spiking()) == 332 * 32
    assert bit_operations(matched_ann(spiking()), activation_bits=4) == 48 * 32 * 4


def test_synapses_that_were_not_counted_are_an_error():
    unknown = synapses(1, 1).model_copy(update={"dense": Count(reason="no counter")})
    with pytest.raises(InputError, match="no counter"):
        matched_ann(network(layer("a", 2, unknown)))


# --- the crossover


def test_crossover_by_hand():
    """The convention prices only synapses: 0.9 pJ an event, 4.6 pJ a product.

    48 products cost 220.8 pJ, as 245.33 events do; the network has 480 synapses times steps: 51.1 %.
    """
    found = compare(spiking(), target=TARGETS["convention_ac_mac"], dt_s=1e-3)
    assert found.rate == pytest.approx(332 / 480)
    assert found.crossover is not None
    assert found.crossover.value == pytest.approx(48 * 4.6 / 0.9 / 480)
    assert found.wins is False
    assert found.qnn_bits == 4


@pytest.mark.parametrize("name", ["convention_ac_mac", "horowitz_45nm_sram", "seneca"])
def test_at_the_crossover_both_cost_the_same(name):
    """Expected: price of the network with its events scaled to the crossover is that of the matched one.

    The scaled number of events is rounded to a whole one, of thirty at least.
    """
    counts = spiking(steps=100, events=4_000_000, sent=600_000)
    found = compare(counts, target=TARGETS[name], dt_s=1e-3)
    assert found.crossover is not None
    assert found.ann_nj is not None
    if found.crossover.value == 0:
        still = price(silenced(counts), target=TARGETS[name], dt_s=1e-3).dynamic_nj
        assert still is not None
        assert still.value >= found.ann_nj.value
        return
    factor = found.crossover.value / found.rate
    scaled = spiking(steps=100, events=round(4_000_000 * factor), sent=round(600_000 * factor))
    cost = price(scaled, target=TARGETS[name], dt_s=1e-3).dynamic_nj
    assert cost is not None
    assert cost.value == pytest.approx(found.ann_nj.value, rel=3e-2)


def test_quantised_networks_are_met_on_narrow_targets():
    """Must differ: activations of 4 bits fit operands of 8, those of 10 bits do not; 32 bits are not narrow."""
    short, long = spiking(steps=10), spiking(steps=1000)
    assert compare(short, target=TARGETS["horowitz_45nm_int8"], dt_s=1e-3).quantised
    assert not compare(long, target=TARGETS["horowitz_45nm_int8"], dt_s=1e-3).quantised
    assert not compare(short, target=TARGETS["horowitz_45nm_int32"], dt_s=1e-3).quantised


def test_a_network_that_costs_more_in_silence_never_wins():
    """Loihi's kind of prices on a device with products: updates alone cost more than one pass."""
    found = compare(spiking(steps=1000), target=TARGETS["horowitz_45nm"], dt_s=1e-3)
    assert found.crossover is not None
    assert found.crossover.value == 0
    assert found.wins is False


def test_no_crossover_where_products_have_no_price():
    found = compare(spiking(), target=TARGETS["loihi1"], dt_s=1e-3)
    assert found.crossover is None
    assert found.wins is None
    assert any("multiply_accumulate" in reason for reason in found.reasons)


def test_silence_changes_events_alone():
    """Neurons are updated and biases read as before; nothing arrives and nothing is sent."""
    assert synapse_rate(silenced(spiking())) == 0
    for before, after in zip(spiking().layers, silenced(spiking()).layers, strict=True):
        assert after.neuron_updates == before.neuron_updates
        assert after.spikes_sent.total == after.weight_reads.total == 0


# --- pooling seeds


def test_pooled_seeds_cost_their_mean():
    """Expected: the mean of both energies, on a target of every kind of term."""
    seeds = [spiking(events=40, sent=6), spiking(events=90, sent=20)]
    for name in ("horowitz_45nm_sram", "loihi1_board", "lemaire_int32"):
        energies = [price(each, target=TARGETS[name], dt_s=1e-3).dynamic_nj for each in (*seeds, pooled(seeds))]
        values = [energy.value for energy in energies if energy is not None]
        assert values[2] == pytest.approx((values[0] + values[1]) / 2)


def test_networks_of_other_shapes_are_not_pooled():
    with pytest.raises(InputError, match="different shapes"):
        pooled([spiking(), network(layer("a", 2, synapses(1, 2)))])


# --- stability of ranks

intervals = st.builds(
    lambda low, up, more: BoundedValue(low + up, low, low + up + more),
    st.integers(0, 5).map(float),
    st.integers(0, 3).map(float),
    st.integers(0, 3).map(float),
)
some_parts = st.dictionaries(st.sampled_from(["accumulate", "neuron_update", "spike_sent"]), intervals, min_size=1)


@settings(max_examples=60)
@given(some_parts, some_parts)
def test_share_equals_brute_force_over_corners(a: Parts, b: Parts):
    """Expected: every operation's price at its low or high end for both methods, all combinations."""
    zero = BoundedValue(0, 0, 0)
    names = sorted({*a, *b})
    scores = []
    for ends in itertools.product(("low", "high"), repeat=len(names)):
        sums = [
            sum(getattr(parts.get(name, zero), end) for name, end in zip(names, ends, strict=True)) for parts in (a, b)
        ]
        scores.append(0.5 if sums[0] == sums[1] else float(sums[0] < sums[1]))
    found = cheaper_share(a, b)
    if all(score == 0.5 for score in scores):
        assert found is None
    else:
        assert found == pytest.approx(sum(scores) / len(scores))


def test_the_same_prices_for_both_cancel():
    """A method with fewer of every operation is cheaper at every corner, however wide the intervals are."""
    fewer = {"accumulate": BoundedValue(5, 1, 50), "neuron_update": BoundedValue(5, 1, 50)}
    more = {name: part.times(1.01) for name, part in fewer.items()}
    (duel,) = duels({"fewer": {"chip": fewer, "same": fewer}, "more": {"chip": more, "same": fewer}})
    assert duel.share == {"chip": 1.0}
    assert duel.tied == ("same",)
    assert duel.certain


def test_targets_without_a_total_tell_nothing():
    part = {"accumulate": BoundedValue(1, 1, 1)}
    assert duels({"a": {"chip": part}, "b": {"chip": None}}) == ()


# --- chips


def test_a_chip_names_what_it_lacks():
    """Loihi has no adaptive neuron; a small network takes a core a layer."""
    found = fit(spiking(), target=TARGETS["loihi1"], neurons={"neuron": "alif", "readout": "leaky_readout"})
    assert not found.fits
    (unsupported,) = found.unsupported
    assert missing(unsupported, "neuron 'alif'", "leaky, leaky_readout, synaptic") == []
    assert (found.cores, found.chips) == (2, 1)
    (change,) = found.changes
    assert missing(change, "weights of 32 bits", "9") == []
    good = fit(spiking(), target=TARGETS["loihi1"], neurons={"neuron": "leaky", "readout": "leaky_readout"})
    assert good.fits
    assert good.unchecked


def test_analogue_input_and_wide_fan_in_are_named():
    analogue = synapses(1, 5000 * 4, operation="multiply_accumulate")
    found = fit(network(layer("a", 4, analogue)), target=TARGETS["loihi1"], neurons={"neuron": "leaky"})
    of_input, fan_in = found.unsupported
    assert missing(of_input, "input", "real values", "binary input") == []
    assert missing(fan_in, "a", "5000 inputs", "4096") == []


def test_a_target_without_limits_cannot_be_fitted():
    with pytest.raises(InputError, match="states no limits"):
        fit(spiking(), target=TARGETS["horowitz_45nm"], neurons={})
