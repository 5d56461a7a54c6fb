"""A study from its file to its store: cells, resuming, settling, and what is refused."""

from __future__ import annotations

import copy
import lzma
import time
from pathlib import Path
from typing import Any

import pytest

from sgbench.errors import InputError
from sgbench.study_runner.cells import StudyPoint, points
from sgbench.study_runner.definition import Loaded, parse_study, pick_blocks
from sgbench.study_runner.run import BlockRun, Runner, StudyFolders, compose_specs, require_commit
from sgbench.study_runner.scores import read_settled
from sgbench.study_runner.status import block_cost, block_states
from sgbench.study_runner.store import MANIFEST, Store
from sgbench.training.provenance import Code
from tests.messages import raises_naming
from tests.study.toy import TREE, FakeRunner, loaded

CODE = Code("a" * 40, True, {}, "cpu")


def place(folder: Path, runs: str = "runs") -> StudyFolders:
    """Where the toy runs."""
    return StudyFolders(Store(folder / "store", "toy"), folder / runs, config_dirs=(folder,))


def run(
    study: Loaded, block: str, where: StudyFolders, runner: Runner, hours: float | None = None, code: Code = CODE
) -> bool:
    """One block, told to nobody."""
    deadline_s = None if hours is None else time.monotonic() + hours * 3600
    return BlockRun(study, block, where, code, runner, lambda line: None).run(deadline_s)


def test_cells_by_hand(tmp_path: Path) -> None:
    """Counted by hand: 2 settings x 2 shapes x 2 seeds x 2 tasks; each task has settings of its own."""
    made = points(loaded(tmp_path).study, "first", {})
    assert len(made) == 16
    assert {point.seed for point in made} == {100, 101}
    by_task = {task: {point.cell["optimizer.lr"] for point in made if point.task == task} for task in "AB"}
    assert all(len(rates) == 2 for rates in by_task.values())
    assert by_task["A"].isdisjoint(by_task["B"])
    assert all(0.001 <= rate <= 0.1 for rates in by_task.values() for rate in rates)  # type: ignore[operator]


def test_cells_with_ranges_of_their_own_share_all_other_draws(tmp_path: Path) -> None:
    """Ten times the range on a log scale gives ten times the number; a further key is drawn by itself."""
    tree = copy.deepcopy(TREE)
    wide, half = {"low": 0.01, "high": 1.0}, {"values": [0.1, 0.9]}
    tree["blocks"]["first"]["grids"] = [
        {"cells": [{"neuron": "leaky"}]},
        {"cells": [{"neuron": "synaptic"}], "ranges": {"A": {"neuron.alpha": half}}},
        {
            "cells": [{"neuron": "alif"}],
            "ranges": {"A": {"optimizer.lr": wide, "neuron.rho": half, "neuron.alpha": half}},
        },
    ]
    made = [run for run in points(loaded(tmp_path, tree).study, "first", {}) if run.seed == 100]
    cells = {name: [run.cell for run in made if run.cell["neuron"] == name] for name in ("leaky", "synaptic", "alif")}
    rates = {name: [cell["optimizer.lr"] for cell in of] for name, of in cells.items()}
    assert rates["synaptic"] == rates["leaky"] == [run["optimizer.lr"] for run in _plain(tmp_path)]
    assert rates["alif"][:2] == pytest.approx([10 * float(str(rate)) for rate in rates["leaky"][:2]], rel=0.01)
    assert rates["alif"][2:] == rates["leaky"][2:]  # task B has the block's range alone
    assert ["neuron.alpha" in cell for cell in cells["synaptic"]] == [True, True, False, False]
    alphas = {name: [cell.get("neuron.alpha") for cell in cells[name]] for name in ("synaptic", "alif")}
    assert alphas["alif"] == alphas["synaptic"]  # whatever else a grid draws


def _plain(folder: Path) -> list[dict[str, Any]]:
    """The settings that the block of the toy draws, of one shape and seed, task by task."""
    made = points(loaded(folder).study, "first", {})
    return [run.cell for run in made if run.seed == 100 and run.cell["surrogate"] == "atan"]


def test_factors_act_on_what_is_settled_and_else_on_the_reference(tmp_path: Path) -> None:
    """By hand: 0.02 settled gives 0.005, 0.02 and 0.08; with nothing settled for the task 0.01 stands."""
    study = loaded(tmp_path).study
    settled = points(study, "second", {"first": {"A": [{"optimizer.lr": 0.02}]}})
    assert [point.cell["optimizer.lr"] for point in settled if point.seed == 200] == [0.005, 0.02, 0.08]
    other = points(study, "second", {"first": {"B": [{"optimizer.lr": 0.02}]}})
    assert [point.cell["optimizer.lr"] for point in other if point.seed == 200] == [0.0025, 0.01, 0.04]
    with pytest.raises(InputError, match="has settled nothing yet"):
        points(study, "second", {})


def test_a_block_is_stored_settled_and_not_repeated(tmp_path: Path) -> None:
    """The runner is asked once for each run; the rate nearest to 0.01 is settled, where the fake is best."""
    study, runner = loaded(tmp_path), FakeRunner()
    assert run(study, "first", place(tmp_path), runner)
    assert sum(runner.calls) == 16
    assert run(study, "first", place(tmp_path), runner)
    assert sum(runner.calls) == 16
    settled = read_settled(tmp_path / "store")["first"]
    rates = {point.cell["optimizer.lr"] for point in points(study.study, "first", {}) if point.task == "A"}
    assert settled["A"] == [{"optimizer.lr": min(rates, key=lambda rate: abs(rate - 0.01))}]  # type: ignore[operator]
    states = block_states(study.study, ["first", "second"], Store(tmp_path / "store", "toy"))
    assert [(state.stored, state.runs) for state in states] == [(16, 16), (0, 6)]
    assert [state.cells[0] for state in states] == ["1", "2"]  # what a user types after --block
    assert pick_blocks(study.study, ["2"]) == pick_blocks(study.study, ["second"]) == ["second"]
    with raises_naming(InputError, "--block 3"):
        pick_blocks(study.study, ["3"])


@pytest.mark.slow
def test_a_run_that_two_blocks_share_counts_for_both(tmp_path: Path) -> None:
    """Of 4 runs of a later block, 2 are those of an earlier one, by a hand count."""
    tree = copy.deepcopy(TREE)
    tree["blocks"]["third"] = copy.deepcopy(tree["blocks"]["second"])
    tree["blocks"]["third"]["grids"] = [{"values": {"surrogate": ["atan", "triangle"]}}]
    study, store = loaded(tmp_path, tree), Store(tmp_path / "store", "toy")
    for block in ("first", "second"):
        assert run(study, block, place(tmp_path), FakeRunner())
    assert [(state.stored, state.runs) for state in block_states(study.study, ["third"], store)] == [(2, 4)]
    runner = FakeRunner()
    assert run(study, "third", place(tmp_path), runner)
    assert sum(runner.calls) == 2
    assert [(state.stored, state.runs) for state in block_states(study.study, ["third"], store)] == [(4, 4)]


@pytest.mark.slow
def test_a_fresh_clone_goes_on_from_the_store_alone(tmp_path: Path) -> None:
    """With no runs folder, after half of the time, only the other half is made; all records come back."""
    study, runner = loaded(tmp_path), FakeRunner()
    half = copy.deepcopy(TREE)
    half["blocks"]["first"]["tasks"] = ["A"]
    assert run(loaded(tmp_path, half), "first", place(tmp_path), runner)
    study = loaded(tmp_path)
    assert run(study, "first", place(tmp_path, "other_runs"), runner)
    assert sum(runner.calls) == 16
    store = Store(tmp_path / "store", "toy")
    manifest = store.manifest()
    assert manifest is not None
    assert [shard.records for shard in manifest.shards] == [8, 8]
    assert len({entry.key for entry in store.entries()}) == 16
    one = next(iter(store.entries()))
    assert store.record(one.record.method_id, one.record.seed).record == one.record
    with pytest.raises(InputError, match="no record of method"):
        store.record("0" * 12, 0)


@pytest.mark.slow
def test_time_ends_at_a_whole_group(tmp_path: Path) -> None:
    """A group of 4 runs takes 4 s by the file, so with one second left none is begun, and nothing is stored."""
    study, runner = loaded(tmp_path), FakeRunner()
    assert not run(study, "first", place(tmp_path), runner, hours=1 / 3600)
    assert runner.calls == []
    assert Store(tmp_path / "store", "toy").manifest() is None


def test_a_changed_shard_is_refused(tmp_path: Path) -> None:
    """One more byte, another content with a wrong hash, and a manifest of another study."""
    study = loaded(tmp_path)
    run(study, "first", place(tmp_path), FakeRunner())
    store = Store(tmp_path / "store", "toy")
    shard = next((tmp_path / "store").glob("*.xz"))
    data = shard.read_bytes()
    shard.write_bytes(data + b"x")
    with raises_naming(InputError, str(shard), MANIFEST):
        list(store.entries())
    shard.write_bytes(lzma.compress(b"{}\n"))
    with raises_naming(InputError, str(shard), MANIFEST):
        list(store.entries())
    with pytest.raises(InputError, match="is of study toy"):
        Store(tmp_path / "store", "other").manifest()
    (tmp_path / "store" / MANIFEST).write_text("{")
    with pytest.raises(InputError, match="not a valid JSON file"):
        store.manifest()


def test_another_commit_is_refused_unless_it_is_a_new_epoch(tmp_path: Path) -> None:
    """The fake's records are of commit aaa."""
    run(loaded(tmp_path), "first", place(tmp_path), FakeRunner())
    store = Store(tmp_path / "store", "toy")
    same, other = Code("a" * 40, True, {}, "cpu"), Code("b" * 40, True, {}, "cpu")
    assert require_commit(store, same, new_epoch=False) == 0
    assert require_commit(store, other, new_epoch=True) == 1
    with pytest.raises(InputError, match="--new-epoch"):
        require_commit(store, other, new_epoch=False)
    with pytest.raises(InputError, match="with changes"):
        require_commit(store, Code("a" * 40, False, {}, "cpu"), new_epoch=False)
    with pytest.raises(InputError, match="runs from a commit"):
        require_commit(store, Code(None, None, {}, "cpu"), new_epoch=False)


BAD: dict[str, tuple[list[str | int], Any, str]] = {
    "a seed with two purposes": (["seeds", "report", "first"], 101, "share seeds"),
    "a task that is none": (["blocks", "first", "tasks"], ["C"], "C is none of the study's tasks"),
    "a seed of another purpose": (["blocks", "first", "seeds", "first"], 200, "is no tuning seed"),
    "a reference that comes later": (["blocks", "first", "reference"], "second", "no earlier block"),
    "an empty grid": (["blocks", "first", "grids", 0], {}, "are needed"),
    "a range upside down": (["blocks", "first", "settings", "ranges", "optimizer.lr", "low"], 1.0, "low below high"),
    "solved without a threshold": (["tasks", "A", "outcome"], "solved", "solved_from"),
    "ranges of a task that is none": (
        ["blocks", "first", "grids", 0, "ranges"],
        {"C": {"optimizer.lr": {"values": [1]}}},
        "ranges of C",
    ),
    "ranges where nothing is drawn": (
        ["blocks", "second", "grids", 0, "ranges"],
        {"A": {"optimizer.lr": {"values": [1]}}},
        "need the block's settings",
    ),
    "a key that is drawn and stated": (
        ["blocks", "first", "grids", 0, "ranges"],
        {"A": {"surrogate": {"values": ["atan"]}}},
        "surrogate is drawn and stated",
    ),
    "an unknown key": (["blocks", "first", "sedes"], 1, "sedes"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_a_study_cannot_say(case: str, tmp_path: Path) -> None:
    """One line that names it."""
    path, value, message = BAD[case]
    tree = copy.deepcopy(TREE)
    node: Any = tree
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(InputError, match=message) as error:
        loaded(tmp_path, tree)
    assert "\n" not in str(error.value)


def test_aliases_make_no_endless_study(tmp_path: Path) -> None:
    """A list that holds itself, and one of nine levels that would have ten billion values."""
    endless: list[Any] = []
    endless.append(endless)
    wide: list[Any] = [0] * 10
    for _ in range(9):
        wide = [wide] * 10
    for value in (endless, wide):
        with pytest.raises(InputError, match="write no aliases") as error:
            parse_study({**TREE, "about": value}, "mine.yaml")
        assert "\n" not in str(error.value)


@pytest.mark.slow
def test_the_shipped_study_composes(tmp_path: Path) -> None:
    """One run of every task of its first block; its seeds are those that the registration names."""
    from sgbench.study_runner.definition import load_study

    study = load_study("surrogates").study
    assert {name: seeds.values[0] for name, seeds in study.seeds.items()} == {
        "tuning": 100,
        "map": 300,
        "report": 200,
        "second_look": 310,
    }
    first: dict[str, StudyPoint] = {}
    for point in points(study, "A1", {}):
        first.setdefault(point.task, point)
    specs = compose_specs(list(first.values()), place(tmp_path))
    assert {spec.method.protocol.draw for spec in specs} == {"per_seed"}
    assert all(spec.method.protocol.tuning_seeds == (100, 101, 102) for spec in specs)
    assert all(spec.opens_test for spec in specs)  # the registration has every run scored on the test split
    neurons = {(run.task, run.cell["neuron"]): run for run in points(study, "E", {})}
    assert len(compose_specs(list(neurons.values()), place(tmp_path))) == 18
    runs, hours = block_cost(study, "A1")
    assert (runs, round(hours, 1)) == (384, 1.0)
