"""Published measurements: predictions by an independent fit and by hand, and the table of the documentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sgbench.cli.energy_measure import TABLE_BEGIN, TABLE_END, validation_markdown
from sgbench.cli.main import main
from sgbench.energy.price import load_targets
from sgbench.energy.validate import left_out_line, load_cases, validate
from sgbench.errors import InputError
from sgbench.records.energy import FitPoint
from tests.messages import raises_naming

TARGETS = load_targets(everything=True)
VERDICTS = validate(load_cases(), TARGETS)
DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "energy_checked.md"


def verdict(case: str, label: str, target: str):
    """One line of the table."""
    (found,) = [each for each in VERDICTS if (each.case, each.label, each.target) == (case, label, target)]
    return found


@pytest.mark.parametrize("name", ["truenorth", "speck"])
def test_left_out_lines_are_those_of_numpy(name):
    """Expected: `numpy.polyfit` on the other points, and its extremes over all ways of rounding them."""
    points = TARGETS[name].fitted_to
    for index, point in enumerate(points):
        others = [each for other, each in enumerate(points) if other != index]
        x = np.array([each.events_per_s for each in others])
        values = []
        for corner in range(2 ** len(others)):
            signs = np.array([1 if corner >> bit & 1 else -1 for bit in range(len(others))])
            y = np.array([each.power_mw + sign * each.half_mw for each, sign in zip(others, signs, strict=True)])
            values.append(np.polyval(np.polyfit(x / 1e9, y, 1), point.events_per_s / 1e9) * 1e6)
        found = left_out_line(points, index)
        assert (found.low, found.high) == pytest.approx((min(values), max(values)), rel=1e-6)


def test_the_price_list_of_truenorth_is_a_line_through_its_points():
    """2.30 pJ and 64.4 mW: the line through the outer two points; that of least squares lies in its interval."""
    target = TARGETS["truenorth"]
    (x0, y0), _, (x1, y1) = [(point.events_per_s, point.power_mw) for point in target.fitted_to]
    slope = (y1 - y0) / (x1 - x0)
    assert slope * 1e9 == pytest.approx(target.prices[0].value_pj, abs=0.005)
    assert target.static is not None
    assert y0 - slope * x0 == pytest.approx(target.static.value_mw, abs=0.05)
    x = np.array([point.events_per_s for point in target.fitted_to]) / 1e9
    steep, start = np.polyfit(x, [point.power_mw for point in target.fitted_to], 1)
    assert target.prices[0].low_pj < steep < target.prices[0].high_pj
    assert target.static.low_mw < start < target.static.high_mw


def test_truenorth_is_predicted_where_it_was_left_out():
    """All three operating points and the often quoted 26 pJ an event hold."""
    found = [each for each in VERDICTS if each.target == "truenorth"]
    assert len(found) == 4
    assert all(each.inside for each in found)
    assert all(abs(each.ratio - 1) < 0.05 for each in found)


def test_a_branch_on_loihi_by_hand():
    """655 360 events at 23.6 pJ, 25 600 updates at 81 pJ, 2 560 spikes at 1.7 pJ: 17.54 uJ of 16.4 to 16.9."""
    found = verdict("loihi1_branch", "a branch more", "loihi1")
    assert found.predicted_nj.value == pytest.approx((655_360 * 23.6 + 25_600 * 81 + 2_560 * 1.7) / 1000)
    assert found.inside


def test_keywords_on_loihi_by_hand_fail_tenfold():
    """172 800 synapses once each, 541 neurons ten times, 541 spikes: 4.5 uJ, measured 46.7: the fixed part."""
    found = verdict("loihi1_keywords", "above the idle level after the run", "loihi1")
    by_hand = (256 * 390 + 256 * 256 + 29 * 256) * 23.6 + 5_410 * 81 + 541 * 1.7
    assert found.predicted_nj.value == pytest.approx(by_hand / 1000)
    assert found.ratio == pytest.approx(0.097, abs=0.001)
    assert not found.inside
    assert found.why is not None
    assert "fixed energy" in found.why


def test_a_constant_added_to_every_size_changes_no_verdict():
    """The fixed part is fitted: 1 mJ more in every measurement moves each prediction by as much, so no verdict."""
    cases = {"loihi1_scaling": load_cases()["loihi1_scaling"]}
    case = cases["loihi1_scaling"]
    moved = case.model_copy(
        update={
            "points": tuple(
                point.model_copy(
                    update={
                        "measured_nj": point.measured_nj.model_copy(
                            update={end: getattr(point.measured_nj, end) + 1e6 for end in ("value", "low", "high")}
                        )
                    }
                )
                for point in case.points
            )
        }
    )
    before, after = (validate({"loihi1_scaling": each}, TARGETS) for each in (case, moved))
    assert [each.inside for each in before] == [each.inside for each in after]
    for a, b in zip(before, after, strict=True):
        assert b.predicted_nj.value - a.predicted_nj.value == pytest.approx(1e6)


def test_cases_that_fail_are_shown_as_failing():
    """A guard: the table is no list of successes, and every failure has its likely reason."""
    failing = [each for each in VERDICTS if not each.inside]
    assert 10 < len(failing) < len(VERDICTS)
    assert all(each.why for each in failing)
    assert all(each.why is None for each in VERDICTS if each.inside)


def test_the_table_of_the_documentation_is_the_one_of_today():
    """Expected: what `sgbench energy validate --update docs/energy_checked.md` writes."""
    text = DOCUMENT.read_text()
    table = text.partition(TABLE_BEGIN)[2].partition(TABLE_END)[0].strip()
    assert table == "\n".join(validation_markdown(VERDICTS)).strip()


def test_update_needs_markers(tmp_path, capsys):
    document = tmp_path / "page.md"
    document.write_text("no markers\n")
    assert main(["energy", "validate", "--update", str(document)]) == 2
    assert "markers" in capsys.readouterr().err
    document.write_text(f"before\n{TABLE_BEGIN}\nold\n{TABLE_END}\nafter\n")
    assert main(["energy", "validate", "--update", str(document)]) == 0
    assert document.read_text().startswith(f"before\n{TABLE_BEGIN}\n| case |")
    assert document.read_text().endswith(f"{TABLE_END}\nafter\n")


def test_a_case_for_other_points_than_the_fit_is_refused():
    """Leaving one out needs the points that the prices were fitted to."""
    case = load_cases()["truenorth_sweep"]
    short = case.model_copy(update={"points": case.points[:2]})
    with raises_naming(InputError, "'short'", *case.targets, "fitted"):
        validate({"short": short}, TARGETS)
    with pytest.raises(InputError, match="no target 'nowhere'"):
        validate({"lost": case.model_copy(update={"targets": ("nowhere",)})}, TARGETS)


def test_a_point_on_the_line_of_the_others_is_predicted_exactly():
    line = [FitPoint(events_per_s=x, power_mw=3 + x, half_mw=0) for x in (1.0, 2.0, 5.0, 9.0)]
    for index, point in enumerate(line):
        assert left_out_line(line, index).value == pytest.approx(point.power_mw * 1e6)
