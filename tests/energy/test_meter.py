"""The host's meters, on a made-up powercap folder."""

from __future__ import annotations

import itertools

import pytest

from sgbench.energy.meter import Meter, Metered, Reading, meters
from sgbench.records.content import HostEnergy
from sgbench.records.record import RunRecord
from sgbench.training import runner, single_run
from tests.leaderboard.factory import record


@pytest.fixture
def rapl(tmp_path):
    """One processor package at 2 J of a counter that starts anew at 10 J, with a part of its own."""
    for name in ("intel-rapl:0", "intel-rapl:0:0"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "name").write_text("package-0\n")
        (folder / "max_energy_range_uj").write_text("10000000\n")
        (folder / "energy_uj").write_text("2000000\n")
    return tmp_path


def test_packages_are_read_and_their_parts_are_not(rapl):
    """A part is in its package, so it would count twice."""
    found, _ = meters(rapl)
    ours = [meter for meter in found if meter.name.startswith("RAPL")]
    assert [(meter.name, meter.read_j(), meter.wraps_at_j) for meter in ours] == [("RAPL package-0", 2.0, 10.0)]


def test_no_meter_is_said_not_zero(tmp_path):
    """The reason, for each kind of meter."""
    _, missing = meters(tmp_path / "nothing")
    assert any(reason.startswith("RAPL: not available") and "intel-rapl" in reason for reason in missing)


def test_a_counter_that_starts_anew_is_followed(rapl):
    """By hand: from 9 J over 10 J to 1 J are 2 J."""
    (meter,) = [each for each in meters(rapl)[0] if each.name.startswith("RAPL")]
    counter = rapl / "intel-rapl:0" / "energy_uj"
    counter.write_text("9000000\n")
    metered = Metered([meter], idle_s=0.01)
    (reading,) = metered.run(lambda: counter.write_text("1000000\n"))
    assert reading.energy_j == pytest.approx(2.0)
    assert reading.idle_w == 0


def test_net_energy_is_above_the_idle_level():
    """By hand: 10 J in 4 s at an idle level of 2 W leave 2 J."""
    assert Reading("a", energy_j=10.0, seconds=4.0, idle_w=2.0).net_j == 2.0
    steady = iter(range(100))
    meter = Meter("clockwork", lambda: float(next(steady)), 1e9)
    (reading,) = Metered([meter], idle_s=0.01).run(lambda: None)
    assert reading.idle_w == pytest.approx(1 / 0.01)


def test_a_run_s_record_holds_what_the_meters_counted(tmp_path, monkeypatch):
    """A meter that counts 1 J a reading and starts anew at 4: one reading an epoch, and one around fit and test."""
    read = itertools.count()
    meter = Meter("counter", lambda: next(read) % 4, wraps_at_j=4.0)
    monkeypatch.setattr(single_run, "meters", lambda: ([meter], []))
    words = ["protocol.epochs=3", "engine=reference", "trainer.progress=false", f"paths.runs_dir={tmp_path}"]
    made = runner.run(*words, "protocol.hidden=[2]", "protocol.steps=3")
    assert made.host_energy == (HostEnergy(meter="counter", fit_j=4.0, test_j=1.0),)
    assert RunRecord.model_validate_json(made.model_dump_json()) == made


def test_a_record_without_meters_does_not_name_them():
    """Its bytes are those of a record that predates the field."""
    assert "host_energy" not in record().model_dump()
