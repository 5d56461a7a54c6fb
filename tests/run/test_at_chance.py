"""A run that has learnt nothing says so: a line on standard error, and a note in the record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scipy import stats

from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.records.chance import is_at_chance, reach_of_guessing
from sgbench.records.files import read_model, to_json
from sgbench.records.record import RunRecord
from tests.leaderboard import factory
from tests.run.tiny import WORDS


@pytest.mark.parametrize(("classes", "samples"), [(2, 100), (2, 1024), (10, 359), (20, 2264)])
def test_guessing_reaches_it_about_once_in_forty(classes: int, samples: int) -> None:
    """Against the binomial distribution of scipy: 1 to 5 % of guesses lie above, so learning is not missed."""
    most = int(reach_of_guessing(classes, samples) * samples)
    assert 0.01 < stats.binom.sf(most, samples, 1 / classes) < 0.05


@pytest.mark.parametrize(
    ("words", "learns"),
    [
        (["optimizer.lr=1e9"], False),
        (["init.gain=1e30"], False),
        (["protocol.epochs=12", "optimizer.lr=0.05"], True),
    ],
    ids=["a learning rate", "initial weights", "something sensible"],
)
def test_a_run_at_chance_is_told(
    words: list[str], learns: bool, capfd: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    """Also by a second command, which only reads the record; a run that learns has no note."""
    for _ in range(2):
        assert main(["run", *WORDS, *words]) == 0
        assert (
            "sgbench: warning: digits_v1 atan seed 0 is no better than guessing" in capfd.readouterr().err
        ) != learns
    (path,) = runs_dir.rglob("record.json")
    assert ("at_chance" in json.loads(path.read_text())) != learns


@pytest.mark.slow
def test_a_sweep_counts_runs_at_chance(capfd: pytest.CaptureFixture[str]) -> None:
    """One line for all of them."""
    assert main(["run", "-m", *WORDS, "optimizer.lr=1e9", "seed=0,1"]) == 0
    assert (
        "sgbench: warning: 2 of 2 runs, e.g. digits_v1 atan seed 0, are no better than"
        in capfd.readouterr().err
    )


def test_the_note_is_held_against_the_accuracy(tmp_path: Path) -> None:
    """True where the accuracy is higher, or anything but true, is refused; without it a record keeps its bytes."""
    good, bad = factory.record(accuracy=0.9), factory.record(accuracy=0.1)
    assert (is_at_chance(good.validation, good.classes), is_at_chance(bad.validation, bad.classes)) == (
        False,
        True,
    )
    assert b"at_chance" not in to_json(bad)
    path = tmp_path / "record.json"
    for record, value in ((good, True), (bad, False), (bad, 1)):
        path.write_text(json.dumps({**json.loads(to_json(record)), "at_chance": value}))
        with pytest.raises(InputError, match="at_chance"):
            read_model(path, RunRecord)
    path.write_text(json.dumps({**json.loads(to_json(bad)), "at_chance": True}))
    assert read_model(path, RunRecord).at_chance
