"""Networks without spikes and stable orders on boards; figures by hand on the toy network."""

from __future__ import annotations

import pytest

from sgbench.leaderboard.matched import MOST_DUELS, compare_energies, matched_rows, rate_text
from sgbench.leaderboard.pages.explain import explain_rows, find_row
from sgbench.leaderboard.pages.table import to_markdown
from sgbench.leaderboard.rows import Board
from sgbench.records.counts import Count
from sgbench.records.energy import EnergyTarget
from tests.leaderboard.factory import CLASSES, make_board, method, network_counts, protocol, record, target
from tests.messages import lines_naming

Prices = dict[str, tuple[float, float, float]]
INSIDE = ("neuron_multiplication", "neuron_addition", "neuron_comparison", "bias_addition")


def chip(name: str, prices: Prices, operand_bits: int | None = None) -> EnergyTarget:
    """A price list with these values and ends [pJ]; every other operation is inside them."""
    plain = target().prices[0]
    items = [
        plain.model_copy(update={"operation": key, "value_pj": value, "low_pj": low, "high_pj": high})
        for key, (value, low, high) in prices.items()
    ]
    others = {"accumulate", "multiply_accumulate", "neuron_update", "spike_sent", *INSIDE} - {*prices}
    return target(
        name,
        prices=[item.model_dump() for item in items],
        included_elsewhere=tuple(sorted(others)),
        operand_bits=operand_bits,
    )


EVENTS: Prices = {"accumulate": (1, 1, 1), "multiply_accumulate": (3, 3, 3), "neuron_update": (2, 1, 4)}


def board(*targets: EnergyTarget) -> Board:
    """Atan: 550 events and 15 spikes an inference. Triangle: 500 and 20."""
    found = {"atan": network_counts(), "triangle": network_counts(events=30_000, spikes_sent=2_000)}
    records = [
        record(seed=seed, of=method(surrogate=name), found=counts)
        for name, counts in found.items()
        for seed in range(3)
    ]
    return make_board(records, protocol=protocol(), targets={each.name: each for each in targets}, classes=CLASSES)


def test_crossover_of_a_row_by_hand() -> None:
    """2 x 1000 synapses at 3 pJ and 14 units at 2 (1 to 4) pJ without spikes: 6028 (6014 to 6056) pJ.

    With spikes 550 pJ of events and 140 updates: 280 (140 to 560) pJ. Events are 55 of 2000 synapses x 10 steps x
    0.1: 2.75 %. Equal at (6028 - 280) / 550 x 2.75 % = 28.74 (27.48 to 29.37) %.
    """
    (found,) = [each for row, each in matched_rows(board(chip("wide", EVENTS))) if row.surrogate.startswith("atan")]
    assert found.rate == pytest.approx(0.0275)
    crossover = found.comparisons["wide"].crossover
    assert crossover is not None
    ends = (crossover.value, crossover.low, crossover.high)
    assert ends == pytest.approx((0.2874, 0.2748, 0.2937))
    assert rate_text(crossover) == "28.7 (27.5 to 29.4)"
    assert found.cheaper(quantised=False) == (1, 1)
    assert found.cheaper(quantised=True) == (0, 0)


def test_page_shows_both_networks() -> None:
    """The method that is computed above; the list of 8 bits speaks of the quantised network: 10 steps, 4 bits."""
    page = to_markdown(board(chip("wide", EVENTS), chip("narrow", EVENTS, 8)), layout="runs")
    section = page.split("## Beside networks without spikes")[1].split("## ")[0]
    (line,) = [line for line in section.splitlines() if "`atan(width_fwhm=1)`" in line]
    cells = [cell.strip() for cell in line.split("|")[3:-1]]
    both = ["0.83 / 6.03", "28.7 (27.5 to 29.4)"]
    assert cells == ["2.75", *both, *both, "1 of 1", "1 of 1"]
    assert "narrow: SNN / quantised ANN" in section
    assert "activations of 4 bits" in section


def test_no_section_where_products_have_no_price() -> None:
    """Must differ: the toy list prices no product, so that there is no network to stand beside."""
    page = to_markdown(board(target()), layout="runs")
    assert "## Beside networks without spikes" not in page
    assert "## Whose energy is lower" in page


def test_order_over_lists_and_ends_by_hand() -> None:
    """Events alone: 550 against 500. Spikes alone: 15 against 20. Both: 550 + 15 p against 500 + 20 p, p = 1 or 20.

    So atan is cheaper in none, in all, and in half of the corners: in a half of all.
    """
    lists = {
        "events": chip("events", {"accumulate": (1, 1, 1)}),
        "spikes": chip("spikes", {"spike_sent": (1, 1, 1)}),
        "both": chip("both", {"accumulate": (1, 1, 1), "spike_sent": (5, 1, 20)}),
    }

    def atan(*names: str) -> tuple[float, bool]:
        found = board(*(lists[name] for name in names))
        ids = [find_row(found, word).method_id for word in ("atan", "triangle")]
        duels = compare_energies(found, found.rows)
        duel, other = duels[ids[0], ids[1]], duels[ids[1], ids[0]]
        assert duel.mean + other.mean == 1
        return duel.mean, duel.certain

    assert atan("events") == (0.0, True)
    assert atan("spikes") == (1.0, True)
    assert atan("events", "both") == (0.25, False)
    assert atan("events", "spikes", "both") == (0.5, False)
    page = to_markdown(board(*lists.values()), layout="runs")
    assert "over the 3 price lists" in page
    assert lines_naming(page, "0 of 1 pairs")


def test_explain_says_whose_energy_is_lower() -> None:
    """The same figures in sentences, and the other way round."""
    sure = board(chip("wide", EVENTS))
    a, b = find_row(sure, "atan"), find_row(sure, "triangle")
    text = " ".join(explain_rows(sure, a, b, hits={}).sentences)
    assert lines_naming(text, "A needs more energy than B", "1 price list", "low", "high")
    other = "the same network without spikes (run once a sample)"
    assert lines_naming(text, other, "28.7", "27.5 to 29.4")
    assert lines_naming(text, "A", "1 of 1")
    assert "A needs less energy than B" in " ".join(explain_rows(sure, b, a, hits={}).sentences)
    torn = board(
        chip("events", {"accumulate": (1, 1, 1)}), chip("both", {"accumulate": (1, 1, 1), "spike_sent": (5, 1, 20)})
    )
    text = " ".join(explain_rows(torn, find_row(torn, "atan"), find_row(torn, "triangle"), hits={}).sentences)
    assert lines_naming(text, "A under 25 %")


def test_seeds_of_unequal_test_sets_are_priced_one_by_one() -> None:
    """By hand: 830 and, with twice the samples and the same totals, 415 pJ: the mean is 622.5, not 553.3 pJ."""
    first = network_counts()
    longer = first.model_copy(update={"samples": 2 * first.samples, "steps": 2 * first.steps})
    records = [record(seed=0), record(seed=1).model_copy(update={"counts": longer})]
    found = make_board(records, protocol=protocol(), targets={"toy": target()}, classes=CLASSES)
    energy = found.rows[0].costs.energies["toy"].dynamic_nj
    assert energy is not None
    assert energy.value == pytest.approx(0.6225)


def test_uncounted_synapses_have_nothing_to_stand_beside() -> None:
    """The rest of the page is there: an unknown count is no row of these sections, and no error."""
    plain = network_counts()
    layers = tuple(
        layer.model_copy(
            update={
                "synapses": tuple(
                    group.model_copy(update={"dense": Count(reason="no counter")}) for group in layer.synapses
                )
            }
        )
        for layer in plain.layers
    )
    bare = record().model_copy(update={"counts": plain.model_copy(update={"layers": layers})})
    found = make_board([bare], protocol=protocol(), targets={"wide": chip("wide", EVENTS)}, classes=CLASSES)
    assert matched_rows(found) == []


def test_pairs_are_those_of_the_first_methods() -> None:
    """A board of thousands has millions of pairs: a page holds those of the first twelve, and says so."""
    records = [
        record(
            seed=seed, accuracy=0.9 - number / 100, of=method(parameters={"surrogate": {"width_fwhm": 1.0 + number}})
        )
        for number in range(MOST_DUELS + 2)
        for seed in range(2)
    ]
    found = make_board(records, protocol=protocol(), targets={"toy": target()}, classes=CLASSES)
    section = to_markdown(found, layout="runs").split("## Whose energy is lower")[1].split("## ")[0]
    assert section.count("`atan(") == MOST_DUELS
    assert "The first 12 methods" in section
