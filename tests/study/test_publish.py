"""Scored runs of a study as records of boards, from the store that is committed here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.store.stored import read_index
from sgbench.leaderboard.store.tree import RecordTree
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.study_runner.store import Store
from study.__main__ import main
from tests.figures import figures
from tests.messages import lines_naming

BOARDS = ("fashion_mnist_small_v1", "intervals_v1")
STORE = Path(__file__).resolve().parents[2] / "study" / "surrogates"


def words(folder: Path, *more: str, store: Path = STORE) -> list[str]:
    """The command, to boards in a folder."""
    return ["publish", "surrogates", "--store", str(store), "--to", str(folder), *more]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two methods of block KR on each task, ten seeds of each."""
    folder = tmp_path_factory.mktemp("small") / "study" / "surrogates"
    every = list(Store(STORE, "surrogates").entries(["KR"]))
    kept = {task: sorted({one.record.method_id for one in every if one.task == task})[:2] for task in ("K1", "K2")}
    chosen = [one for one in every if one.record.method_id in kept[one.task]]
    assert len(chosen) == 40
    Store(folder, "surrogates").append("KR", chosen, study_sha256="0" * 64)
    return folder


@pytest.fixture(scope="module")
def boards(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The boards that it makes."""
    folder = tmp_path_factory.mktemp("publish") / "boards"
    assert main(words(folder, "--block", "KR", store=small)) == 0
    return folder


@pytest.mark.slow
def test_every_stored_record_is_on_a_board_as_it_is_stored(tmp_path: Path) -> None:
    """Must match: the file of a board is the record of the committed store, number by number."""
    assert main(words(tmp_path, "--block", "KR")) == 0
    entries = {entry.key: entry.record for entry in Store(STORE, "surrogates").entries(["KR"])}
    files = sorted(tmp_path.rglob("records/*/*.json"))
    assert len(files) == len(entries) == 240  # 12 methods, two tasks, ten seeds, counted by hand
    for path in files:
        record = read_model(path, RunRecord)
        assert record == entries[path.parts[-4], path.parts[-2], int(path.stem)]
    shown = show(RecordTree(tmp_path, "leaderboards", References(), None))
    assert not shown.findings  # ten of forty seeds make a board
    assert {board.protocol.name: len(board.rows) for board in shown.boards} == dict.fromkeys(BOARDS, 12)


def added(out: str) -> list[float]:
    """Of a command's output: records that were added, that were there, and that were not taken."""
    (line,) = [line for line in out.splitlines() if "added" in line]
    return figures(line.partition("added")[0].split()[-1] + line.partition("added")[2])


def test_the_same_again_adds_nothing(small: Path, boards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(boards, "--block", "KR", store=small)) == 0
    assert added(capsys.readouterr().out) == [0, 40, 0]


def test_another_record_of_a_run_is_never_written_over(
    small: Path, boards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = min(boards.rglob("records/*/*.json"))
    target = tmp_path / "boards" / path.relative_to(boards)
    target.parent.mkdir(parents=True)
    tree = json.loads(path.read_text())
    tree["timing"]["fit_s"] += 1
    target.write_text(json.dumps(tree))
    before = target.read_bytes()
    assert main(words(tmp_path / "boards", "--block", "KR", store=small)) == 1
    assert added(capsys.readouterr().out) == [39, 0, 1]
    assert target.read_bytes() == before


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("A2", "its seeds have no board"),
        ("A3a", "its seeds chose settings"),
        ("Z", "--block Z: the study has none of this name"),
    ],
)
def test_blocks_that_do_not_report_are_refused(
    block: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(tmp_path / "boards", "--block", block)) != 0
    assert said in capsys.readouterr().err
    assert not (tmp_path / "boards").exists()


def test_a_block_has_to_be_named_and_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(tmp_path / "boards")) != 0
    assert "--block: name the blocks" in capsys.readouterr().err
    assert main(words(tmp_path / "boards", "--block", "KR", "--store", str(tmp_path / "none"))) != 0
    assert lines_naming(capsys.readouterr().err, "KR")


def test_void_records_leave_the_boards(
    small: Path, boards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of these boards one run is called void: must go, that record; must stay, all others."""
    folder, store = tmp_path / "boards", tmp_path / "store"
    shutil.copytree(boards, folder)
    shutil.copytree(small, store)
    manifest = json.loads((store / "manifest.json").read_text())
    entry = next(Store(small, "surrogates").entries(["KR"]))
    path = folder / entry.record.protocol / "records" / entry.record.method_id / f"{entry.record.seed}.json"
    run = [entry.record.method_id, entry.record.seed]
    for shard in {shard["name"] for shard in manifest["shards"] if shard["block"] == "KR"}:
        manifest["voided"].append({"shard": shard, "task": entry.task, "reason": "a trial", "runs": [run]})
    (store / "manifest.json").write_text(json.dumps(manifest))
    command = ["publish", "surrogates", "--store", str(store), "--to", str(folder), "--block", "KR"]
    assert path.is_file()
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "1 void records taken off" in said
    assert added(said) == [0, 39, 0]
    assert not path.exists()


def test_a_store_beside_the_boards_is_named_and_not_copied(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By hand: 40 lines of indices and no file. Must match: the boards of copies; void ones leave the index."""
    store, folder = tmp_path / "study" / "surrogates", tmp_path / "leaderboards"
    shutil.copytree(small, store)
    command = ["publish", "surrogates", "--store", str(store), "--to", str(folder), "--block", "KR"]
    assert main(command) == 0
    assert "40 added" in capsys.readouterr().out
    assert list(folder.rglob("*.json")) == []
    assert sum(len(read_index(board)) for board in folder.iterdir()) == 40
    shown = show(RecordTree(folder, "leaderboards", References(), None))
    assert not shown.findings
    assert [len(board.rows) for board in shown.boards] == [2, 2]
    assert main(command) == 0
    assert "0 added, 40 already there" in capsys.readouterr().out
    manifest = json.loads((store / "manifest.json").read_text())
    shards = {shard["name"] for shard in manifest["shards"] if shard["block"] == "KR"}
    entry = next(Store(store, "surrogates").entries(["KR"]))
    run = [entry.record.method_id, entry.record.seed]
    manifest["voided"] += [{"shard": shard, "task": entry.task, "reason": "a trial", "runs": [run]} for shard in shards]
    (store / "manifest.json").write_text(json.dumps(manifest))
    assert main(command) == 0
    assert "1 void records taken off" in capsys.readouterr().out
    assert tuple(run) not in read_index(folder / entry.record.protocol)
    assert sum(len(read_index(board)) for board in folder.iterdir()) == 39
