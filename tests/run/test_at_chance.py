"""A run that has learnt nothing says so: a line on standard error, and a note in the record."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from scipy import stats

from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import compose_reference
from sgbench.leaderboard.score import guesses, measure_of, measures
from sgbench.records.consistency import is_at_chance, reach_of_guessing
from sgbench.records.content import Scores
from sgbench.records.files import read_model, to_json
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.sweeps.api import SweepTable
from sgbench.sweeps.points import grid_of
from sgbench.sweeps.results import read_results
from tests.cli.filled_sweeps import fill
from tests.leaderboard import factory
from tests.messages import lines_naming, raises_naming
from tests.run.tiny import WORDS


@pytest.mark.parametrize(("classes", "samples"), [(2, 100), (2, 1024), (10, 359), (20, 2264)])
def test_guessing_reaches_it_about_once_in_forty(classes: int, samples: int) -> None:
    """Against the binomial distribution of scipy: 1 to 5 % of guesses lie above, so learning is not missed."""
    most = int(reach_of_guessing(1 / classes, samples) * samples)
    assert 0.01 < stats.binom.sf(most, samples, 1 / classes) < 0.05


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "learns"),
    [(["optimizer.lr=1e9"], False), (["init.gain=1e30"], False), (["protocol.epochs=12", "optimizer.lr=0.05"], True)],
    ids=["a learning rate", "initial weights", "something sensible"],
)
def test_a_run_at_chance_is_told(
    words: list[str], learns: bool, capfd: pytest.CaptureFixture[str], runs_dir: Path
) -> None:
    """Also by a second command, which only reads the record; a run that learns has no note."""
    for _ in range(2):
        assert main(["run", *WORDS, *words]) == 0
        warned = lines_naming(capfd.readouterr().err, "warning", "digits_v1 atan seed 0", "guessing")
        assert bool(warned) != learns
    (path,) = runs_dir.rglob("record.json")
    assert ("at_chance" in json.loads(path.read_text())) != learns


@pytest.mark.slow
def test_a_sweep_counts_runs_at_chance(capfd: pytest.CaptureFixture[str]) -> None:
    """One line for all of them."""
    assert main(["run", "-m", *WORDS, "optimizer.lr=1e9", "seed=0,1"]) == 0
    assert lines_naming(capfd.readouterr().err, "2 of 2 runs", "digits_v1 atan seed 0")


def test_a_table_says_which_runs_learnt_nothing(tmp_path: Path) -> None:
    """Of three widths one run of two is at 10 %: a column, and a line with the command that tells more.

    Must match: the command's table, Python's and its HTML. Must differ: a sweep without such a run.
    """
    words = ["surrogate=atan,triangle", "seed=0,1"]
    specs = fill("quickstart", words, tmp_path, [0.9, 0.1, 0.8, 0.7])
    grid = grid_of("quickstart", ["sweep=quickstart", *words])
    table = SweepTable(read_results(grid, root=tmp_path))
    assert [row.at_chance for row in table] == [(1,), ()]
    folder = tmp_path / "digits_v1" / method_id(specs[1].method) / "1"
    said = (
        "1 of 4 runs, e.g. surrogate=atan seed 1, are no better than guessing: nothing was learnt; "
        f"sgbench diagnose {folder} tells more"
    )
    assert said in str(table)
    assert said in table._repr_html_()
    assert "at chance" in str(table)
    fill("quickstart", words, tmp_path, [0.9, 0.2, 0.8, 0.7])
    plain = SweepTable(read_results(grid, root=tmp_path))
    assert "guessing" not in str(plain)
    assert "at chance" not in str(plain).partition("mean (95 %")[0]


def test_a_task_says_what_guessing_scores() -> None:
    """By hand: 56 % of 1,000 samples is learnt where guessing gets 50 %, not where the larger class has 54.5 %."""
    scores = Scores(samples=1000, accuracy=0.56, loss=0.68, activity=())
    assert not measure_of(2, None).is_at_chance(scores)
    assert measure_of(2, None, 0.545).is_at_chance(scores)
    assert [measure_of(None, guess).is_at_chance(scores) for guess in (0.7, 0.68, None)] == [False, True, False]
    assert not measure_of(2, None).is_at_chance(None), "a failed run has no scores"


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("protocol", "dataset"), [("digits_v1", "digits"), ("mackey_glass_v1", "mackey_glass")])
def test_a_method_is_measured_as_its_board_is(protocol: str, dataset: str) -> None:
    """Must match: what a sweep and a diagnosis look up is what the board's own reference has."""
    spec = compose([f"experiment={dataset}", f"protocol={protocol}"])
    assert measures()(spec.method) == compose_reference(protocol).measure


def own_points(folder: Path, meta: str) -> list[str]:
    """Words for a small run on a data set of one's own, whose file has these facts."""
    (folder / "conf" / "dataset").mkdir(parents=True)
    (folder / "conf" / "dataset" / "points.yaml").write_text(
        "_target_: sgbench.datasets.yin_yang.YinYang\nsamples: [60, 30, 30]\nseeds: [42, 41, 40]\n"
        f"meta: {{line: Mine{meta}}}\n"
    )
    return [*WORDS, "dataset=points", f"--config-dir={folder / 'conf'}"]


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("meta", "guess"), [(", classes: 3", 1 / 3), ("", None)])
def test_data_of_ones_own_need_no_checksum(meta: str, guess: float | None, tmp_path: Path) -> None:
    """By hand: guessing among three classes, from a file without sizes and checksum, which only a board asks for.

    Without classes the record's own note counts. Must differ: a table of scores, which has to know the measure.
    """
    own_points(tmp_path, meta)
    folders = [tmp_path / "conf"]
    bad = factory.record(accuracy=0.1)
    method = bad.method.model_copy(update={"choices": {**bad.method.choices, "dataset": "points"}})
    record = bad.model_copy(update={"method": method, "at_chance": True})
    assert guesses(folders)(record)
    if guess is None:
        assert not guesses(folders)(record.model_copy(update={"at_chance": None}))
        with raises_naming(InputError, "meta.classes", "classes: 10"):
            measures(folders)(method)
    else:
        assert measures(folders)(method).guess == guess


@pytest.mark.slow
@pytest.mark.parametrize("meta", [", classes: 3", ""])
def test_a_run_on_data_of_ones_own_ends_well(meta: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Expected: exit code 0 and the last line, of a single run and of a sweep."""
    words = own_points(tmp_path, meta)
    assert main(["run", *words]) == 0
    assert main(["run", "-m", *words, "seed=0,1"]) == 0
    assert "2 of 2 runs finished" in capfd.readouterr().out


def test_a_diagnosis_knows_the_score(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run at 36 of 359 validation samples is not fine, whatever its gradient. Must differ: the run itself."""
    (path,) = trained.rglob("record.json")
    folder = tmp_path / "run"
    shutil.copytree(path.parent, folder)
    words = ["--panel", "flow,activity", "--weights", "initial", "--batches", "1"]
    assert main(["diagnose", str(folder), *words]) == 0
    assert "nothing was learnt" not in capsys.readouterr().out
    tree = json.loads(path.read_text())
    tree["validation"]["accuracy"] = tree["curve"][tree["best_epoch"]]["validation_accuracy"] = 36 / 359
    tree["at_chance"] = True
    (folder / "record.json").write_text(json.dumps(tree))
    assert main(["diagnose", str(folder), *words]) == 0
    told = capsys.readouterr().out
    assert lines_naming(told, "10.03 %", "10.00 %")
    assert "outlook: fine" not in told
    assert "nothing stands out: the" not in told


def test_the_note_is_held_against_the_accuracy(tmp_path: Path) -> None:
    """True where the accuracy is higher, or anything but true, is refused; without it a record keeps its bytes."""
    good, bad = factory.record(accuracy=0.9), factory.record(accuracy=0.1)
    assert [is_at_chance(record.validation, 0.1) for record in (good, bad)] == [False, True]
    assert b"at_chance" not in to_json(bad)
    path = tmp_path / "record.json"
    for record, value in ((good, True), (bad, False), (bad, 1)):
        path.write_text(json.dumps({**json.loads(to_json(record)), "at_chance": value}))
        with pytest.raises(InputError, match="at_chance"):
            read_model(path, RunRecord)
    path.write_text(json.dumps({**json.loads(to_json(bad)), "at_chance": True}))
    assert read_model(path, RunRecord).at_chance
