"""Price lists: what loads, what is refused, and sums by hand on each kind of term."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sgbench.energy.operations import operation_counts
from sgbench.energy.placement import place, traffic
from sgbench.energy.price import access_pj, evidence_of, load_targets, price
from sgbench.errors import InputError
from sgbench.records.counts import Count, LayerCounts, OpCounts
from sgbench.records.energy import Chip, EnergyTarget, MemoryPrice, Price
from tests.energy.networks import layer, network, spiking, synapses
from tests.messages import lines_naming

TARGETS = load_targets(everything=True)
every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
EVIDENCE = {
    "scope": "per_op",
    "basis": "simulated",
    "node_nm": 45,
    "voltage_v": 0.9,
    "source": "an example",
    "mark": "memory",
}


def one_price(operation: str, value: float, **changes: Any) -> dict[str, Any]:
    ends = {"value_pj": value, "low_pj": value, "high_pj": value}
    return {"operation": operation, **ends, **EVIDENCE, **changes}


def target(*prices: dict[str, Any], **changes: Any) -> EnergyTarget:
    """A price list that includes everything elsewhere that is not priced."""
    priced = {price["operation"] for price in prices}
    others = {
        "neuron_multiplication",
        "neuron_addition",
        "neuron_comparison",
        "spike_sent",
        "bias_addition",
        "accumulate",
    } - priced
    if not any(name.startswith("neuron_update") for name in priced):
        others.add("neuron_update")
    plain = {
        "name": "toy",
        "title": "a toy",
        "about": "made up",
        "prices": prices,
        "included_elsewhere": sorted(others),
        "static": None,
        "missing": (),
    }
    return EnergyTarget.model_validate(plain | changes)


# --- every shipped target


@pytest.mark.one_in(4)
@every_target
def test_no_target_fails_in_silence(target):
    """The rule: a spiking network has a total, or a reason for having none."""
    found = price(spiking(), target=target, dt_s=1e-3)
    assert (found.dynamic_nj is None) == bool(found.reasons or not target.priced)
    if found.dynamic_nj is not None:
        assert 0 < found.dynamic_nj.low <= found.dynamic_nj.value <= found.dynamic_nj.high
    elif target.static is None:
        assert found.reasons


@pytest.mark.one_in(4)
@every_target
def test_every_term_is_priced_or_named(target):
    """The rule: arithmetic, memory, routing, input, steps and static power are there or missing by name."""
    if target.unpriced is not None:
        assert not target.priced
        return
    parts = [*target.missing, *target.priced, *target.included_elsewhere]
    words = " ".join([*parts, "static" if target.static else ""])
    for term in ("accumulate", "neuron", "memory", "rout", "input", "static", "synchron"):
        aliases = {
            "accumulate": ("accumulate", "dense_operation"),
            "memory": ("memory", "weight_read"),
            "rout": ("rout", "hop", "transport"),
        }.get(term, (term,))
        assert any(alias in words for alias in aliases), term


@every_target
def test_every_number_has_its_evidence(target):
    """The rule: a source with an author, tool or table, and a mark; what says `memory` is marked so."""
    for item in evidence_of(target):
        assert len(item.source) > 20
        if "from memory of" in target.about:
            assert item.mark == "memory"


def test_boards_keep_their_columns():
    """The three targets of the boards; the others are for `sgbench energy`."""
    assert sorted(load_targets()) == ["horowitz_45nm", "loihi1", "truenorth"]
    assert len(TARGETS) > 40


@pytest.mark.parametrize("name", ["loihi2", "xylo_audio2", "akida"])
def test_chips_without_a_published_figure_say_so(name):
    found = price(spiking(), target=TARGETS[name], dt_s=1e-3)
    assert found.dynamic_nj is None
    assert found.static_nj is None
    assert "published" in found.reasons[0]


# --- what is refused at load


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        ([one_price("accumulate", 1, per="byte")], "per byte cannot be multiplied by a number of operations"),
        ([one_price("weight_read", 1, per="operation")], "per operation cannot be.*number of bits"),
        ([one_price("hop_east_west", 1, per="step")], "per step cannot be.*number of hops"),
        (
            [one_price("accumulate", 1), one_price("spike_sent", 1, scope="marginal")],
            "scopes marginal and per_op cannot be summed",
        ),
        (
            [one_price(name, 1, scope="unstated") for name in ("accumulate", "spike_sent")],
            "an unstated price may contain every other term: it must stand alone",
        ),
        (
            [one_price("accumulate", 1, scope="all_in"), one_price("spike_sent", 1)],
            "an all_in price may contain every other term: it must stand alone",
        ),
        ([one_price("accumulate", 1, scope="static")], "cannot be of scope static"),
        ([one_price("accumulate", 1, low_pj=2)], "low_pj <= value_pj"),
        ([one_price("neuron_update", 1), one_price("neuron_update_idle", 1)], "priced twice: neuron_update"),
        ([one_price("accumulate", 1), one_price("accumulate", 2)], "priced twice: accumulate"),
        ([], "the reason in `unpriced`"),
        ([one_price("accumulate", 1, value_nj=1)], "value_nj"),
    ],
)
def test_what_does_not_add_up_is_refused(prices, message):
    """Unit algebra and scopes, at load."""
    with pytest.raises(ValidationError, match=message):
        target(*prices, included_elsewhere=[])


def test_a_target_has_prices_or_the_reason_for_none():
    """Both at once is a contradiction."""
    with pytest.raises(ValidationError, match="the reason in `unpriced`"):
        target(one_price("accumulate", 1), unpriced="nobody knows")


@pytest.mark.parametrize(
    ("per", "bits"), [("bit", 1), ("byte", 8), ("word16", 16), ("word32", 32), ("word64", 64), (None, 1)]
)
def test_units_convert(per, bits):
    """By the definition of each unit."""
    assert Price.model_validate(one_price("weight_read", 1.0, per=per)).counts_each == bits


# --- sums by hand


def test_bytes_moved_by_hand():
    """STEP: 24.96 pJ a byte. 332 weight reads, 100 state reads and writes of 4 bytes: 532 x 4 x 24.96 pJ,

    and 332 accumulates at 0.9 pJ: 53 114.88 + 298.8 pJ.
    """
    found = price(spiking(), target=TARGETS["step_bytes"], dt_s=1e-3)
    assert found.dynamic_nj is not None
    assert found.dynamic_nj.value == pytest.approx((532 * 4 * 24.96 + 332 * 0.9) / 1000)


def test_lemaire_by_its_equations():
    """Lemaire 2022, a dense layer: theta_in = 40, N = 8, T = 10, at the cost of the smallest memory (10 pJ a word).

    Additions: theta N + theta N for addresses, and two a neuron and step here; multiplications: T N. Memory:
    weights theta N, potentials read and written theta N + T N.
    """
    theta, n, steps = 40, 8, 10
    counts = network(spiking().layers[0], steps=steps)
    found = price(counts, target=TARGETS["lemaire_int32"], dt_s=1e-3)
    additions = 2 * theta * n + 2 * steps * n
    words = theta * n + 2 * (theta * n + steps * n)
    assert found.dynamic_nj is not None
    assert found.dynamic_nj.value == pytest.approx((0.1 * additions + 3.1 * steps * n + 10 * words) / 1000)


def test_kerasspiking_by_its_equation():
    """e_synop connections rate dt steps + e_neuron neurons steps, for events and for a device that runs once."""
    events, updates = 332, 100
    assert pj("spinnaker1") == pytest.approx(13_300 * events + 26_000 * updates)
    assert pj("keras_loihi1") == pytest.approx(27.1 * events + 81 * updates)
    connections, neurons = 4 * 8 + 8 * 2, 10
    assert pj("cpu_i7") == pytest.approx(8_600 * (connections + neurons))


def pj(name: str, counts: OpCounts | None = None) -> float:
    """Dynamic energy of the small network [pJ]."""
    found = price(counts or spiking(), target=TARGETS[name], dt_s=1e-3).dynamic_nj
    assert found is not None
    return found.value * 1000


def test_active_and_idle_updates_are_told_apart():
    """By hand: 40 + 10 updates with input at 81, 40 + 10 without at 52 pJ."""
    active, idle = one_price("neuron_update_with_input", 81), one_price("neuron_update_idle", 52)
    chosen = target(active, idle)
    found = price(spiking(), target=chosen, dt_s=1e-3)
    assert found.dynamic_nj is not None
    assert found.dynamic_nj.value == pytest.approx((50 * 81 + 50 * 52) / 1000)


def test_narrow_operands_move_fewer_bits():
    """Must differ: the same counts on an int8 target read a quarter of the bits, and the assumption is named."""
    priced = [one_price("weight_read", 1.0, per="bit")]
    wide, narrow = (price(spiking(), target=target(*priced, operand_bits=bits), dt_s=1e-3) for bits in (None, 8))
    assert wide.dynamic_nj is not None
    assert narrow.dynamic_nj is not None
    assert wide.dynamic_nj.value == 4 * narrow.dynamic_nj.value
    assert wide.assumptions == ()
    assert "as if they had 8" in narrow.assumptions[0]


def test_acceleration_shortens_static_energy():
    """By hand: 10 steps of 1 ms, a thousand times faster: 10 us at 200 mW are 2 uJ."""
    found = price(spiking(), target=TARGETS["brainscales2"], dt_s=1e-3)
    assert found.static_nj is not None
    assert found.static_nj.value == pytest.approx(2000)
    assert found.dynamic_nj is None


def test_layers_add_up_to_the_sum():
    """The terms of all layers are those of the operations, whose sum is the total."""
    for name in ("horowitz_45nm_sram", "loihi1_board", "lemaire_int32"):
        found = price(spiking(), target=TARGETS[name], dt_s=1e-3)
        assert found.dynamic_nj is not None
        assert sum(term.energy_nj.value for term in found.by_layer) == pytest.approx(found.dynamic_nj.value)
        assert sum(term.energy_nj.value for term in found.terms) == pytest.approx(found.dynamic_nj.value)
        assert {term.layer for term in found.by_layer} == {"hidden0", "readout"}


# --- memory by size

SRAM = MemoryPrice.model_validate(
    {
        "operations": ["weight_read"],
        "per": "word64",
        "sizes": [{"size_bytes": 8192, "access_pj": 10}, {"size_bytes": 1048576, "access_pj": 100}],
        **EVIDENCE,
    }
)


def test_memory_costs_what_its_size_costs():
    """By hand: published sizes exactly; half-way in the logarithm between them half-way in cost."""
    assert access_pj(SRAM, 8192).value == 10
    assert access_pj(SRAM, 1048576).value == 100
    middle = access_pj(SRAM, (8192 * 1048576) ** 0.5)
    assert middle.value == pytest.approx(55)
    assert (middle.low, middle.high) == (10, 100)
    assert access_pj(SRAM, 1024).low == 10 / 8


def test_a_memory_beyond_every_price_leaves_no_total():
    """A layer of 2000 x 2000 float32 weights needs 16 MB; the message names layer and size."""
    with pytest.raises(InputError, match="16,000,000 bytes is larger"):
        access_pj(SRAM, 16e6)
    counts = network(layer("big", 2000, synapses(10, 2000 * 2000), weight_reads=10))
    found = price(counts, target=TARGETS["horowitz_45nm_sram"], dt_s=1e-3)
    assert found.dynamic_nj is None
    assert lines_naming(found.reasons[0], "weight_read", "big", "16,000,000 bytes")


def test_weights_of_a_convolution_are_shared():
    """Must differ: 100 synapses that share 9 weights need a smaller memory than 100 weights of their own."""
    own, shared = (
        network(layer("a", 4, synapses(10, 100_000, weights=weights, wiring="convolution"), weight_reads=10))
        for weights in (100_000, 9)
    )
    assert pj("horowitz_45nm_sram", own) > pj("horowitz_45nm_sram", shared)
    unknown = network(layer("a", 4, synapses(10, 100, wiring="convolution"), weight_reads=10))
    assert price(unknown, target=TARGETS["horowitz_45nm_sram"], dt_s=1e-3).dynamic_nj is None


# --- chips

CHIP = Chip.model_validate(
    {
        "cores": 8,
        "neurons_per_core": 4,
        "fan_in": 16,
        "synapse_bits_per_core": 512,
        "weight_bits": 8,
        "tiles_east_west": 2,
        "neurons": ["leaky"],
        "source": "made up",
        "mark": "memory",
    }
)


def test_layers_take_as_few_cores_as_the_limits_allow():
    """By hand: 8 neurons of 4 a core: 2 cores; 32 synapses of 8 bits: 256 bits, 1 core; the readout 1 core."""
    first, second = place(spiking(), CHIP)
    assert (first.first_core, first.cores, first.decides) == (0, 2, "neurons_per_core")
    assert (second.first_core, second.cores) == (2, 1)
    narrow = place(spiking(), CHIP.model_copy(update={"synapse_bits_per_core": 64}))
    assert (narrow[0].cores, narrow[0].decides) == (4, "synapse_bits_per_core")
    shared = place(spiking(), CHIP.model_copy(update={"layers_share": True}))
    assert [(piece.first_core, piece.cores) for piece in shared] == [(0, 3), (0, 3)]


def test_hops_by_hand():
    """Tiles two wide: cores 0 and 1 (hidden) at (0, 0) and (1, 0), core 2 (readout) at (0, 1). 6 spikes, 3 a core:

    each goes north-south once; those of core 1 also east-west: 3 and 6 hops, 6 messages. The mesh is 2 x 4.
    """
    found = traffic(spiking(sent=6), CHIP, place(spiking(), CHIP))["hidden0"]
    assert (found.messages.value, found.east_west.value, found.north_south.value) == (6, 3, 6)
    assert (found.east_west.low, found.east_west.high, found.north_south.high) == (0, 6, 18)


def test_one_to_one_spikes_stay_on_their_core():
    """By hand: recurrence to the neuron itself is a message a spike and no hop."""
    alone = layer("a", 8, synapses(6, 80, source="a", wiring="one_to_one"), spikes_sent=6)
    counts = network(alone, steps=10)
    found = traffic(counts, CHIP, place(counts, CHIP))["a"]
    assert (found.messages.value, found.east_west.value, found.north_south.value) == (6, 0, 0)


def test_more_chips_draw_more_static_power():
    """By hand: 300 neurons on Loihi fit one chip; 200 000 need 196 cores, so two chips and twice the power."""
    small, large = (
        network(layer("a", neurons, synapses(1, neurons), neuron_updates=neurons)) for neurons in (300, 200_000)
    )
    powers = [price(counts, target=TARGETS["loihi1"], dt_s=1e-3).static_nj for counts in (small, large)]
    assert powers[0] is not None
    assert powers[1] is not None
    assert powers[1].value == 2 * powers[0].value


def test_every_count_of_a_layer_is_asked_for():
    """A guard: no field of a record is forgotten by the prices."""
    names = [field for field, info in LayerCounts.model_fields.items() if info.annotation is Count]
    counts = network(layer("a", 2, synapses(1, 2), **dict.fromkeys(names, 7)))
    asked = {each.operation for each in operation_counts(counts, {}) if each.count is not None and each.count.value}
    assert {"normalisation_operation", "pooling_operation", "residual_addition", "delay_operation"} <= asked
    assert {"weight_read", "state_read", "state_write", "bias_addition", "spike_sent"} <= asked


def test_an_unknown_count_is_a_reason_never_zero():
    """A layer whose functions were not counted leaves no total on a target that prices none."""
    hidden = spiking().layers[0].model_copy(update={"function_evaluations": Count(reason="no counter")})
    found = price(network(hidden, steps=10), target=TARGETS["truenorth"], dt_s=1e-3)
    assert found.dynamic_nj is None
    assert lines_naming("\n".join(found.reasons), "function_evaluation", "hidden0", "no counter")
