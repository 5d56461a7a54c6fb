"""What a study takes from a runs folder and from its own store, and what it does not trust."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sgbench.errors import InputError
from sgbench.records.content import Failure
from sgbench.records.files import to_json, write_atomic
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.study_runner.cells import points
from sgbench.study_runner.definition import Loaded
from sgbench.study_runner.run import BlockRun, Runner, StudyFolders, compose_specs
from sgbench.study_runner.scores import SETTLED, read_settled
from sgbench.study_runner.store import Store
from sgbench.training.provenance import Code
from sgbench.training.run_folder import folder_of
from tests.messages import lines_naming, raises_naming
from tests.study.toy import TREE, FakeRunner, loaded, record_of
from tests.thinned import thinned_rows

CODE, OTHER = Code("a" * 40, True, {}, "cpu"), Code("b" * 40, True, {}, "cpu")


def place(folder: Path, runs: str = "runs") -> StudyFolders:
    """Where the toy runs."""
    return StudyFolders(Store(folder / "store", "toy"), folder / runs, config_dirs=(folder,))


def run(
    study: Loaded, block: str, where: StudyFolders, runner: Runner, *, code: Code = CODE, said: list[str] | None = None
) -> bool:
    """One block without a limit of time."""
    say = (lambda line: None) if said is None else said.append
    return BlockRun(study, block, where, code, runner, say).run()


def failed(spec: RunSpec, kind: str) -> RunRecord:
    """A record of a run that an error of this kind has ended."""
    record = record_of(spec, 0.5)
    return record.model_copy(
        update={
            "status": "failed",
            "failure": Failure(kind=kind, message="epoch 3: it went wrong"),
            "validation": None,
            "test": None,
            "counts": None,
            "predictions_sha256": None,
            "weights_sha256": None,
        }
    )


class Killed(FakeRunner):
    """Writes what all runs of its first groups come to, and is killed in the group after them.

    Args:
        groups: that are whole.
        kind: of the error by which every run fails, or None.
    """

    def __init__(self, groups: int, kind: str | None = None) -> None:
        super().__init__()
        self.groups = groups
        self.kind = kind

    def __call__(self, specs: Sequence[RunSpec]) -> None:
        """Leave records, or be killed."""
        if len(self.calls) == self.groups:
            raise KeyboardInterrupt
        if self.kind is None:
            super().__call__(specs)
            return
        self.calls.append(len(specs))
        for spec in specs:
            write_atomic(folder_of(spec) / "record.json", to_json(failed(spec, self.kind)))


@pytest.mark.slow
def test_results_of_another_commit_are_no_results_of_this_one(tmp_path: Path) -> None:
    """A study killed under commit a leaves 4 finished runs; under b they are refused by the folder's name."""
    study = loaded(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(study, "first", place(tmp_path), Killed(1))
    with raises_naming(InputError, "aaaaaaaaaaaa", "--runs-dir"):
        run(study, "first", place(tmp_path), FakeRunner(), code=OTHER)
    changed = Code(CODE.commit, True, {}, "cpu")
    runner = FakeRunner()
    assert run(study, "first", place(tmp_path), runner, code=changed)
    assert sum(runner.calls) == 12
    assert {entry.record.provenance.commit for entry in place(tmp_path).store.entries()} == {CODE.commit}


def test_results_of_changed_code_are_refused(tmp_path: Path) -> None:
    """The same commit with changes that nobody can go back to."""
    study, where = loaded(tmp_path), place(tmp_path)
    spec = compose_specs(points(study.study, "first", {})[:1], where)[0]
    record = record_of(spec, 0.5)
    dirty = record.model_copy(update={"provenance": record.provenance.model_copy(update={"clean": False})})
    write_atomic(folder_of(spec) / "record.json", to_json(dirty))
    with pytest.raises(InputError, match="commit aaaaaaaaaaaa with changes"):
        run(study, "first", where, FakeRunner())


@pytest.mark.slow
def test_a_record_that_lies_in_the_wrong_folder_is_refused(tmp_path: Path) -> None:
    """A copy of seed 100's record in the folder of seed 101 would be stored as a result of seed 101."""
    study, where = loaded(tmp_path), place(tmp_path)
    planned = compose_specs(points(study.study, "first", {}), where)
    one = planned[0]
    other = next(spec for spec in planned if spec.method == one.method and spec.seed != one.seed)
    write_atomic(folder_of(other) / "record.json", to_json(record_of(one, 0.5)))
    with raises_naming(InputError, "seed 100"):
        run(study, "first", where, FakeRunner())


@pytest.mark.slow
def test_a_run_that_failed_as_a_result_is_not_made_again(tmp_path: Path) -> None:
    """After a kill, runs that ended in numbers that are not finite count; those without memory are made again."""
    study = loaded(tmp_path)
    for kind, made in (("NonFiniteError", 12), ("MemoryError", 16)):
        where = StudyFolders(Store(tmp_path / kind, "toy"), tmp_path / f"runs_{kind}", config_dirs=(tmp_path,))
        with pytest.raises(KeyboardInterrupt):
            run(study, "first", where, Killed(1, kind))
        runner = FakeRunner()
        assert run(study, "first", where, runner)
        assert sum(runner.calls) == made


def test_a_run_without_a_result_is_named(tmp_path: Path) -> None:
    """What went wrong stands in the line, with the folder."""
    said: list[str] = []
    assert not run(loaded(tmp_path), "first", place(tmp_path), Killed(4, "MemoryError"), said=said)
    line = next(line for line in said if "no record that counts" in line)
    assert "16 runs" in line
    assert lines_naming(line, "MemoryError", "epoch 3")
    assert "digits_v1" in line


@pytest.mark.slow
def test_a_group_that_was_stopped_is_not_stored_in_part(tmp_path: Path) -> None:
    """By hand: the second of two groups was stopped with one run that failed early, which waits for the others."""
    study, where = loaded(tmp_path), place(tmp_path)

    def stopped(specs: Sequence[RunSpec]) -> None:
        if where.runs_dir.exists():
            path = folder_of(specs[0]) / "record.json"
            write_atomic(path, to_json(failed(specs[0], "NonFiniteError")))
            raise KeyboardInterrupt
        FakeRunner()(specs)

    with pytest.raises(KeyboardInterrupt):
        BlockRun(study, "first", where, CODE, stopped, lambda line: None).run()
    assert not BlockRun(study, "first", where, CODE, stopped, lambda line: None).run(deadline_s=0.0)
    assert {entry.record.status for entry in where.store.entries()} == {"finished"}
    assert len(list(where.store.entries())) == 4
    assert run(study, "first", where, FakeRunner())
    assert sum(entry.record.status == "failed" for entry in where.store.entries()) == 1


@pytest.mark.slow
def test_cells_that_were_settled_by_hand_are_refused(tmp_path: Path) -> None:
    """The records select one learning rate, a hand has written another; the records' own are taken."""
    study, where = loaded(tmp_path), place(tmp_path)
    run(study, "first", where, FakeRunner())
    path = tmp_path / "store" / SETTLED
    honest = path.read_bytes()
    tree = json.loads(honest)
    tree["first"]["A"][0]["optimizer.lr"] *= 2
    path.write_text(json.dumps(tree))
    with raises_naming(InputError, "first"):
        run(study, "second", where, FakeRunner())
    path.write_bytes(honest)
    assert run(study, "second", where, FakeRunner())


def test_a_run_that_two_blocks_share_counts_for_both(tmp_path: Path) -> None:
    """The fake is best at the rate 0.01, which block one has run already; block two has to settle on it too."""
    tree: dict[str, Any] = copy.deepcopy(TREE)
    rates = {"cells": [{"optimizer.lr": 0.01}]}
    more = {"cells": [{"optimizer.lr": 0.01}, {"optimizer.lr": 0.05}]}
    block = {"about": "rates", "tasks": ["A"], "purpose": "tuning", "seeds": {"first": 100, "count": 2}}
    tree["blocks"] = {
        "one": {**block, "grids": [rates], "settles": {}},
        "two": {**block, "grids": [more], "settles": {}},
    }
    study, where, runner = loaded(tmp_path, tree), place(tmp_path), FakeRunner()
    assert run(study, "one", where, runner)
    assert run(study, "two", where, runner)
    assert sum(runner.calls) == 4
    assert read_settled(tmp_path / "store")["two"]["A"] == [{"optimizer.lr": 0.01}]


def test_folders_may_have_any_name(tmp_path: Path) -> None:
    """What Hydra's grammar would read as something else."""
    where = StudyFolders(
        Store(tmp_path / "store", "toy"), tmp_path / "a=(b), {c}", data_dir=tmp_path / "d'e", config_dirs=(tmp_path,)
    )
    spec = compose_specs(points(loaded(tmp_path).study, "first", {})[:1], where)[0]
    assert (spec.paths.runs_dir, spec.paths.data_dir) == (str(where.runs_dir), str(where.data_dir))


class Slow(FakeRunner):
    """Takes ten times as long as the toy's file says, by the clock that it turns."""

    def __init__(self, clock: list[float]) -> None:
        super().__init__()
        self.clock = clock

    def __call__(self, specs: Sequence[RunSpec]) -> None:
        """Turn the clock by 10 s a run of task A, 20 s of task B."""
        super().__call__(specs)
        a_run_s = 10.0 if specs[0].method.protocol.batch_size != 32 else 20.0
        self.clock[0] += a_run_s * len(specs)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("limit_s", "groups"), thinned_rows([(80.0, 2), (79.0, 1), (159.0, 2), (160.0, 3), (240.0, 4)], 4)
)
def test_the_next_group_is_foreseen_by_its_own_task(
    limit_s: float, groups: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: groups of 4 runs take 40, 40, 80 and 80 s, so that each ends at 40, 80, 160 and 240 s."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    runner = Slow(clock)
    where = place(tmp_path)
    BlockRun(loaded(tmp_path), "first", where, CODE, runner, lambda line: None).run(1000 + limit_s)
    assert len(runner.calls) == groups


@pytest.mark.slow
def test_runs_that_are_there_make_no_group_look_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Task A lies in the runs folder and takes no time; task B's first group of 8 s by the file is not begun."""
    study, where = loaded(tmp_path), place(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(study, "first", where, Killed(2))
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    runner = FakeRunner()
    BlockRun(study, "first", where, CODE, runner, lambda line: None).run(deadline_s=1003)
    assert runner.calls == []
