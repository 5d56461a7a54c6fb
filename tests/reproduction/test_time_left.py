"""How long a list of reproductions takes."""

import pytest

from sgbench.reproduction.definition import read
from sgbench.reproduction.runs import ReproductionFolders, grids_of, left_s, stated_s


def test_runs_with_a_record_take_no_time(tmp_path, monkeypatch):
    """By hand: 1.7 minutes of five seeds, of which two have a record, are 61.2 s; without any record 102 s."""
    one = read("temporal_xor")
    grids = grids_of(one, None, ReproductionFolders(tmp_path), with_ablations=False)
    assert stated_s(one, grids) == pytest.approx(102.0)
    monkeypatch.setattr("sgbench.training.run_folder.finished_record", lambda spec: spec if spec.seed < 2 else None)
    assert stated_s(one, grids) == pytest.approx(61.2)


def test_the_pace_so_far_is_the_pace_of_the_rest():
    """By hand: 90 s for 60 s stated make 300 s of 200 s stated; what could not be run counts nowhere."""
    assert left_s([60.0, 120.0, 80.0], 1, 90.0) == pytest.approx(300.0)
    assert left_s([60.0, 0.0, 120.0, 80.0], 2, 90.0) == pytest.approx(300.0)
    assert left_s([60.0, 120.0, 80.0], 0, 0.0) == pytest.approx(260.0)
