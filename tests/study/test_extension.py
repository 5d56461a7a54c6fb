"""A study on other tasks: the same cells, seeds and ranges as those of the task that each is like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sgbench.cli.main import main
from sgbench.datasets.base import SPLITS
from sgbench.datasets.shd import Shd
from sgbench.errors import InputError
from sgbench.study_runner.cells import points
from sgbench.study_runner.definition import StudyTask, load_study
from sgbench.study_runner.extension import extended, full_scale, own_task, write_extension
from sgbench.study_runner.run import StudyFolders, compose_specs
from sgbench.study_runner.status import block_cost
from sgbench.study_runner.store import Store
from sgbench.training.build import build
from sgbench.training.runner import run_spec
from tests.datasets.original_formats import heidelberg
from tests.messages import lines_naming, raises_naming
from tests.study.truth import REFERENCE, study

SETTLED_MINE = {"A1": {"mine": [REFERENCE]}}


def mine(like: str) -> StudyTask:
    """A task of digits that takes the cells of another."""
    words = ["experiment=digits", "optimizer.lr=0.003"]
    return own_task(study().study, "mine", words, like=like, title="my digits", run_s=2, config_dirs=[])


def test_a_task_is_named_by_its_title_too() -> None:
    """Must match: the task of that title, which is what people read."""
    assert mine("Braille letters, recurrent") == mine("T4") != mine("T1")


@pytest.mark.parametrize("like", ["T1", "T4"])
def test_cells_and_seeds_are_those_of_the_task_that_it_is_like(like: str) -> None:
    """By enumeration: the map of a new task is the map of its model, run for run; of another task it is not."""
    ours = extended(study().study, {"mine": mine(like)})
    theirs = [run for run in points(study().study, "A2", {"A1": {like: [REFERENCE]}}) if run.task == like]
    found = points(ours, "A2", SETTLED_MINE)
    assert [(run.cell, run.seed) for run in found] == [(run.cell, run.seed) for run in theirs]
    other = [run for run in points(study().study, "A2", {"A1": {"T6": [REFERENCE]}}) if run.task == "T6"]
    assert [(run.cell, run.seed) for run in found] != [(run.cell, run.seed) for run in other]
    assert {word for run in found for word in run.overrides} >= {"experiment=digits", "optimizer.lr=0.003"}


def test_ranges_of_random_settings_follow_the_model() -> None:
    """A recurrent task draws a recurrent gain as its model does, and draws of its own; T1 has no such range."""
    recurrent = points(extended(study().study, {"mine": mine("T5")}), "A1", {})
    assert all("init.recurrent_gain" in run.cell for run in recurrent)
    theirs = [run.cell for run in points(study().study, "A1", {}) if run.task == "T5"]
    assert [run.cell for run in recurrent] != theirs
    forward = points(extended(study().study, {"mine": mine("T1")}), "A1", {})
    assert not any("init.recurrent_gain" in run.cell for run in forward)


def test_ranges_of_neurons_stay_with_their_tasks() -> None:
    """Time constants hold for the steps of T4: E is left out of an extension, and ER, which scores what E chose."""
    blocks = extended(study().study, {"mine": mine("T4")}).blocks
    assert {"E", "ER", "I4"} <= set(study().study.blocks)
    assert not {"E", "ER"} & set(blocks)
    assert "I4" not in extended(study().study, {"mine": mine("T5")}).blocks  # a second look at T5
    assert {"A3a", "A3b", "D", "DR"} <= set(blocks)


def test_a_task_whose_model_is_not_tuned_starts_from_its_own_settings() -> None:
    """T2d4 has no part in A1: the block is left out, and factors act on the learning rate of the words."""
    ours = extended(study().study, {"mine": mine("T2d4")})
    assert "A1" not in ours.blocks
    rates = {run.cell.get("optimizer.lr") for run in points(ours, "A2", {})}
    assert rates == {None, 0.003 / 4, 0.003 * 4}


def test_the_written_file_is_the_same_study(tmp_path: Path) -> None:
    """Read back from its file, each block has the runs of the study in memory."""
    path = write_extension(study(), "mine", mine("T4"), tmp_path)
    read = load_study("surrogates_mine", [tmp_path])
    ours = extended(study().study, {"mine": mine("T4")})
    assert list(read.study.blocks) == list(ours.blocks)
    for block in ("A1", "A2", "B2"):
        assert points(read.study, block, SETTLED_MINE) == points(ours, block, SETTLED_MINE)
    assert read.study.extends == "surrogates"
    with raises_naming(InputError, str(path), "--task"):
        write_extension(study(), "mine", mine("T4"), tmp_path)
    first = path.read_text().partition("\n")[0]
    assert first.startswith("# ")
    assert lines_naming(first, "study extend surrogates", "--task mine")


def test_standard_size_is_the_same_plan_on_other_tasks() -> None:
    """16 settings x 2 shapes x 2 seeds of A1 for each of the tasks that are asked for, and no others."""
    full = full_scale(study(), ["shd"])
    assert full.name == "surrogates_full"
    assert {run.task for run in points(full.study, "A1", {})} == {"shd"}
    assert len(points(full.study, "A1", {})) == 64
    with raises_naming(InputError, "--task T1", "standard size"):
        full_scale(study(), ["T1"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--like", "T9", "experiment=digits"], "--like T9: the study has no such task"),
        (["--like", "T4", "experiment=digitz"], "digits"),
        (["--like", "T4", "--run-s", "-1", "experiment=digits"], "run_s"),
    ],
)
def test_what_is_no_task_is_one_line(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong model, experiment or cost: nothing is written."""
    folder = tmp_path / "mine"
    command = ["study", "extend", "surrogates", "--task", "mine", "--config-dir", str(folder), *words]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not folder.exists()


def test_a_plan_leaves_out_what_is_withdrawn(capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: every block that runs, none of C; the sum is that of the blocks shown, two decimals by hand."""
    assert main(["study", "run", "surrogates", "--scale", "full", "--task", "shd", "--plan"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    full = full_scale(study(), ["shd"]).study
    by_number = {str(number): name for number, name in enumerate(full.blocks, 1)}
    names = [by_number[row[0]] for row in rows]
    assert "C" not in names
    assert {"A1", "A2", "C2", "F"} <= set(names)
    hours = sum(block_cost(full, name)[1] for name in names)
    assert float(rows[-1][3].replace(",", "")) == pytest.approx(hours, abs=0.06)


@pytest.fixture
def shd_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with files in SHD's format: 40 training samples of speakers 0 and 9, 20 of the test's."""
    monkeypatch.setattr(Shd, "recorded", {})  # the original's numbers of samples
    monkeypatch.setattr(Shd, "sizes", dict.fromkeys(SPLITS, 0))
    heidelberg(tmp_path / "SHD" / "shd_train.h5", speakers=[0, 9] * 20, classes=20, seed=0)
    heidelberg(tmp_path / "SHD" / "shd_test.h5", speakers=[4] * 20, classes=20, seed=1)
    return tmp_path


@pytest.mark.slow
def test_standard_size_is_built_from_files_in_shds_format(shd_files: Path, tmp_path: Path) -> None:
    """Expected: each seed deals the 60 samples anew, as the words say; the network is recurrent with 700 inputs."""
    full = full_scale(study(), ["shd"])
    place = StudyFolders(Store(tmp_path / "store", full.name), tmp_path / "runs", shd_files)
    first, *_, last = compose_specs(points(full.study, "A1", {}), place)
    assert (first.method.protocol.draw, first.seed, last.seed) == ("per_seed", 100, 101)
    dealt = []
    for spec in (first, last):
        parts = build(spec)
        parts.data.setup()
        batches = list(parts.data.epoch(0))
        dealt.append(parts.data.sha256)
        assert batches[0].x.shape[::2] == (100, 700)
        assert parts.network.hidden_layers[0].recurrence == "all_to_all"
    assert dealt[0] != dealt[1]


@pytest.mark.slow
def test_a_run_at_standard_size_is_stored(shd_files: Path, tmp_path: Path) -> None:
    """Expected: one run of A1 on files in SHD's format ends with a record whose scores are of 20 test samples."""
    full = full_scale(study(), ["shd"])
    place = StudyFolders(Store(tmp_path / "store", full.name), tmp_path / "runs", shd_files)
    run = points(full.study, "A1", {})[0]
    (spec,) = compose_specs([replace(run, overrides=(*run.overrides, "protocol.epochs=1"))], place)
    record = run_spec(spec)
    assert record.status == "finished"
    assert record.scored.test is not None
    assert record.scored.test.samples == 20
