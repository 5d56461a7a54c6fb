"""Energy from counts: hand-computed sums, published totals, and the refusal to sum what is unknown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgbench.energy.price import BoundedValue, load_targets, price
from sgbench.errors import InputError
from sgbench.paths import conf_dir
from sgbench.records.counts import Count
from sgbench.records.energy import EnergyTarget
from tests.leaderboard.factory import SAMPLES, counts, layer, synapses, target
from tests.messages import lines_naming, raises_naming

UNKNOWN = Count(reason="the layer has no counter")
POWER = {
    "value_mw": 10,
    "low_mw": 5,
    "high_mw": 20,
    "scope": "static",
    "basis": "measured",
    "node_nm": 28,
    "voltage_v": 0.8,
    "source": "a data sheet",
    "mark": "secondary",
}


def approx(interval: BoundedValue | None, *expected: float) -> bool:
    """Whether an interval has these three numbers."""
    assert interval is not None
    return (interval.value, interval.low, interval.high) == pytest.approx(expected, rel=1e-12)


def test_sum_by_hand() -> None:
    """Computed by hand: 400 additions at 1 pJ and 40 updates at 2 (1 to 4) pJ are 480 (440 to 560) pJ."""
    found = price(counts(), target=target(), dt_s=0.001)
    assert approx(found.dynamic_nj, 0.48, 0.44, 0.56)
    assert found.static_nj is None
    assert (found.reasons, found.missing) == ((), ())
    terms = {term.operation: (term.count_per_inference, term.energy_nj.value) for term in found.terms}
    assert terms == {"accumulate": (400, 0.4), "neuron_update": (40, 0.08)}


def test_layers_and_connections_add_up() -> None:
    """Computed by hand: 100 + 200 + 300 additions in 100 samples are 6 pJ."""
    first = layer("a", synapses=(synapses(100), synapses(200, source="a")))
    second = layer("b", synapses=(synapses(300, source="a"),))
    assert approx(price(counts(first, second), target=target(), dt_s=0.001).dynamic_nj, 0.006, 0.006, 0.006)


def test_static_power_times_duration() -> None:
    """Computed by hand: 10 (5 to 20) mW for 10 steps of 2 ms are 200 (100 to 400) uJ."""
    found = price(counts(), target=target(static=POWER), dt_s=0.002)
    assert found.latency_s == pytest.approx(0.02)
    assert approx(found.static_nj, 200e3, 100e3, 400e3)


def test_unpriced_operation_leaves_no_total() -> None:
    """The rule: a multiplication nobody priced is not free."""
    found = price(
        counts(layer("a", synapses=(synapses(5, operation="multiply_accumulate"),))), target=target(), dt_s=1e-3
    )
    assert found.dynamic_nj is None
    (reason,) = found.reasons
    assert lines_naming(reason, "multiply_accumulate:", "toy has no price")
    assert found.missing == ("multiply_accumulate",)


def test_absent_unpriced_operation_is_zero() -> None:
    """The rule: an operation that does not occur needs no price."""
    found = price(
        counts(layer("a", synapses=(synapses(0, operation="multiply_accumulate"),))), target=target(), dt_s=1e-3
    )
    assert approx(found.dynamic_nj, 0, 0, 0)


@pytest.mark.parametrize("field", ["neuron_updates", "pooling_operations", "delay_operations"])
def test_uncounted_operation_leaves_no_total(field: str) -> None:
    """The rule: a count without a total is unknown, and the reason is handed on."""
    found = price(counts(layer("a", **{field: UNKNOWN})), target=target(), dt_s=1e-3)
    assert found.dynamic_nj is None
    assert lines_naming(found.reasons[0], "no count in a", f"({UNKNOWN.reason})")


def test_uncounted_synapses_leave_no_total() -> None:
    """The rule, for connections: the message names both ends."""
    found = price(counts(layer("a", synapses=(synapses(UNKNOWN),))), target=target(), dt_s=1e-3)
    assert found.dynamic_nj is None
    (reason,) = found.reasons
    assert lines_naming(reason, "accumulate:", "input to a", f"({UNKNOWN.reason})")


def test_layer_kind_without_a_word_in_price_lists_leaves_no_total() -> None:
    """The rule: normalisation that occurs cannot be priced yet."""
    assert price(counts(layer("a", normalisation_operations=1)), target=target(), dt_s=1e-3).dynamic_nj is None


def test_included_operation_is_not_charged_and_needs_no_count() -> None:
    """An operation inside another price changes nothing, known or not."""
    for spikes in (10**6, UNKNOWN):
        found = price(counts(layer("a", spikes_sent=spikes)), target=target(), dt_s=1e-3)
        assert approx(found.dynamic_nj, 0, 0, 0)


def test_declared_gap_gives_a_flagged_part() -> None:
    """An operation named in `missing` is left out of the number and stays named."""
    partial = target(included_elsewhere=(), missing=("spike_sent: transport", "memory accesses"))
    found = price(counts(layer("a", synapses=(synapses(100),), spikes_sent=5)), target=partial, dt_s=1e-3)
    assert approx(found.dynamic_nj, 0.001, 0.001, 0.001)
    assert found.missing == ("spike_sent: transport", "memory accesses")


def test_all_in_price_adds_no_static_power() -> None:
    """An all-in price contains static power, which would otherwise count twice."""
    evidence = {key: POWER[key] for key in ("basis", "node_nm", "voltage_v", "source", "mark")}
    all_in = {"operation": "accumulate", "value_pj": 26, "low_pj": 26, "high_pj": 26, "scope": "all_in", **evidence}
    inside = (*target().included_elsewhere, "neuron_update")
    found = price(counts(), target=target(prices=[all_in], included_elsewhere=inside, static=POWER), dt_s=1e-3)
    assert approx(found.dynamic_nj, 10.4, 10.4, 10.4)  # 400 x 26 pJ
    assert found.static_nj is None


@given(st.integers(1, 10**6), st.integers(1, 50))
def test_energy_is_linear_in_counts_and_independent_of_set_size(total: int, factor: int) -> None:
    """Property: the same network on a test set `factor` times as large costs the same per inference."""
    once = price(counts(layer("a", synapses=(synapses(total),))), target=target(), dt_s=1e-3)
    repeated = counts(layer("a", synapses=(synapses(total * factor),)), samples=SAMPLES * factor)
    again = price(repeated, target=target(), dt_s=1e-3)
    assert again.dynamic_nj == once.dynamic_nj
    assert once.dynamic_nj is not None
    assert once.dynamic_nj.value == pytest.approx(total / SAMPLES / 1000)


def shipped(name: str) -> EnergyTarget:
    """A target of the catalogue."""
    return load_targets()[name]


def test_arithmetic_in_45nm() -> None:
    """Horowitz 2014: 10 additions, 1 MAC, and a neuron of 2 multiplications, 1 addition, 1 comparison.

    9 + 4.6 + 7.4 + 0.9 + 0.9 = 22.8 pJ.
    """
    network = layer(
        "a",
        synapses=(synapses(1000), synapses(100, operation="multiply_accumulate")),
        neuron_updates=100,
        neuron_multiplications=200,
        neuron_additions=100,
        neuron_comparisons=100,
        spikes_sent=100,
    )
    found = price(counts(network), target=shipped("horowitz_45nm"), dt_s=1e-3)
    assert approx(found.dynamic_nj, 0.0228, 0.0228, 0.0228)
    assert found.missing  # never a whole


@pytest.mark.parametrize(("rate_hz", "measured_mw"), [(11.58, 68), (20.07, 71), (95.93, 94)])
def test_truenorth_sweep(rate_hz: float, measured_mw: float) -> None:
    """Akopyan 2015, Fig. 17: power of 2^20 neurons with 128 synapses each, within 1 %."""
    second = counts(layer("chip", synapses=(synapses(round(2**20 * 128 * rate_hz)),)), samples=1)
    found = price(second, target=shipped("truenorth"), dt_s=0.1)  # ten steps: one second
    assert found.dynamic_nj is not None
    assert found.static_nj is not None
    power_mw = (found.dynamic_nj.value + found.static_nj.value) * 1e-6
    assert power_mw == pytest.approx(measured_mw, rel=0.01)


def test_truenorth_average_is_recovered() -> None:
    """Merolla 2014: 26 pJ per event at 20 Hz is marginal plus static energy over events, within 5 %."""
    events = 2**20 * 128 * 20
    found = price(counts(layer("chip", synapses=(synapses(events),)), samples=1), target=shipped("truenorth"), dt_s=0.1)
    assert found.dynamic_nj is not None
    assert found.static_nj is not None
    assert (found.dynamic_nj.value + found.static_nj.value) * 1000 / events == pytest.approx(26, rel=0.05)


def test_loihi_slope_over_branches() -> None:
    """Blouw 2019, scaling runs: 16.4 to 16.9 uJ for each branch of 655,360 synapses and 2,560 neurons.

    At one spike per neuron and inference over ten steps the prices of one branch must be within 25 %.
    """
    branch = layer("branch", synapses=(synapses(655_360),), neuron_updates=25_600, spikes_sent=2_560)
    found = price(counts(branch, samples=1), target=shipped("loihi1"), dt_s=1e-3)
    assert found.dynamic_nj is not None
    assert found.dynamic_nj.value / 1000 == pytest.approx(16.65, rel=0.25)


def test_spiking_targets_refuse_analogue_input() -> None:
    """A graded input is no operation of these chips."""
    analogue = counts(layer("a", synapses=(synapses(10, operation="multiply_accumulate"),)))
    for name in ("loihi1", "truenorth"):
        assert price(analogue, target=shipped(name), dt_s=1e-3).dynamic_nj is None


def test_price_in_a_wrong_unit_is_refused(tmp_path: Path) -> None:
    """A key in nJ is not known, so that no number is read as pJ; the message names the file and the key."""
    (tmp_path / "energy").mkdir()
    text = (conf_dir() / "energy" / "horowitz_45nm.yaml").read_text().replace("value_pj: 3.7", "value_nj: 3.7")
    (tmp_path / "energy" / "mine.yaml").write_text(text.replace("name: horowitz_45nm", "name: mine"))
    with pytest.raises(InputError, match=r"yaml: prices\.\d\.value_pj") as caught:
        load_targets([tmp_path])
    assert "\n" not in str(caught.value)


def test_target_of_another_name_is_refused(tmp_path: Path) -> None:
    """A file named mine.yaml cannot hold the target horowitz_45nm."""
    (tmp_path / "energy").mkdir()
    text = (conf_dir() / "energy" / "horowitz_45nm.yaml").read_text()
    (tmp_path / "energy" / "mine.yaml").write_text(text)
    with raises_naming(InputError, "mine.yaml", "horowitz_45nm"):
        load_targets([tmp_path])
