"""Files of a store that are lost or edited are named, with the advice that fits the folder.

Expected values are worked out by hand; each says from what.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sgbench.cli.main import main
from sgbench.leaderboard.board import rebuild
from sgbench.leaderboard.deviation import compose_reference
from sgbench.leaderboard.store.integrity import lost_files
from sgbench.leaderboard.store.method_provenance import read_provenances
from tests.leaderboard.factory import record, write_board_record
from tests.leaderboard.handed_in import sgbench
from tests.messages import lines_naming

PUBLISHED = Path(__file__).resolve().parents[2] / "leaderboards" / "digits_v1"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A copy of what the published board holds of its one submission."""
    folder = tmp_path / "boards" / "digits_v1"
    for name in ("records/e3367789b010", "objects", "submissions"):
        shutil.copytree(PUBLISHED / name, folder / name)
    return folder


def lost(folder: Path) -> list[str]:
    """Of which files the check complains, and the words after their names."""
    return [
        f"{Path(each.path).relative_to(folder)}: {each.reason.partition(';')[0]}"
        for each in lost_files(folder, read_provenances(folder))
    ]


def test_every_file_of_a_submission_is_missed(published: Path) -> None:
    """Whatever is removed is named, one finding a file, and nothing else: 16 files were handed in."""
    assert lost(published) == []
    files = [*published.glob("records/*/*"), *published.glob("objects/*")]
    assert len(files) == 16
    for path in files:
        data = path.read_bytes()
        path.unlink()
        (said,) = lost(published)
        assert said.startswith(str(path.relative_to(published)))
        assert lines_naming(said, "e3367789b010", "in the store")
        path.write_bytes(data)
    shutil.rmtree(published / "records")
    shutil.rmtree(published / "objects")
    assert len(lost(published)) == 16


def test_an_edited_record_is_not_what_was_handed_in(published: Path) -> None:
    """One accuracy raised, still a valid record: the hash in the submission tells."""
    path = next(published.glob("records/*/3.json"))
    path.write_text(path.read_text().replace('"accuracy": 0.9222', '"accuracy": 0.9722'))
    (line,) = lost(published)
    assert lines_naming(line, f"{path.relative_to(published)}:", "e3367789b010", "handed in")


def test_a_reference_stands_for_its_object(published: Path) -> None:
    """Weights that lie elsewhere are not lost."""
    path = next(published.glob("objects/*.safetensors"))
    path.rename(path.with_name(f"{path.name}.ref"))
    assert lost(published) == []


def test_check_says_what_is_lost_and_how_to_mend_it(published: Path, capsys) -> None:
    """The rebuilt table agrees with the records that are left; the lost one is found all the same."""
    next(published.glob("records/*/3.json")).unlink()
    root = published.parent
    assert sgbench("build", root=root) == 0
    capsys.readouterr()
    assert sgbench("check", root=root) == 1
    finding, summary = capsys.readouterr().out.splitlines()
    assert lines_naming(finding, "records/3.json", "e3367789b010")
    assert summary == "1 board checked (digits_v1), 1 problem"
    shutil.rmtree(published / "records")
    assert sgbench("check", root=root) == 1
    assert len(lines_naming(capsys.readouterr().out, "in the store", "e3367789b010")) == 5


@pytest.mark.slow
def test_advice_names_the_folder_it_is_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """`--root` where another folder than the default was given, and none where it was not."""
    write_board_record(tmp_path / "leaderboards", record(of=compose_reference("digits_v1").method))
    monkeypatch.chdir(tmp_path)
    for given, root in (([], "leaderboards"), (["--root", f"{tmp_path}/leaderboards"], f"{tmp_path}/leaderboards")):
        assert main(["board", "check", *given]) == 1
        lines = capsys.readouterr().out.splitlines()[:-1]
        assert len(lines) == 3
        assert all(line.endswith(rebuild(Path(root))) for line in lines)
        assert all(("--root" in line) is bool(given) for line in lines)


def test_missing_folder_says_how_it_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Boards are filled by hand-ins, runs by running: each is told its own."""
    monkeypatch.chdir(tmp_path)
    assert main(["board", "check"]) == 2
    boards = capsys.readouterr().err
    assert lines_naming(boards, "--root", "'sgbench board add'")
    assert main(["board", "show", "--from", "runs", "--root", "none"]) == 2
    runs = capsys.readouterr().err
    assert "sgbench run" in runs
    assert "board add" not in runs
    (tmp_path / "leaderboards").mkdir()
    assert main(["board", "build", "--from", "leaderboards"]) == 2
    assert lines_naming(capsys.readouterr().err, "'sgbench board add'")
