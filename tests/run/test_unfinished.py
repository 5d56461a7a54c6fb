"""What is written appears whole or not at all, and what a killed process left is told from what another writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sgbench.errors import InputError, StorageError
from sgbench.records.files import write_atomic, write_folder
from sgbench.records.unfinished import abandoned, new_file, new_folder, remove_abandoned
from tests.messages import raises_naming

FILES = {"submission.json": b"{}", "records/0.json": b"0", "records/1.json": b"1"}


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def leave(folder: Path) -> tuple[Path, Path]:
    """What a killed writer of a file and one of a folder leave: bytes under passing names, and nobody's lock."""
    file, whole = folder / ".0.json.abcdefgh.part", folder / ".aaaa.abcdefgh.part"
    file.write_bytes(b"half")
    (whole / "records").mkdir(parents=True)
    (whole / "records" / "0.json").write_bytes(b"0")
    return file, whole


def test_what_was_left_is_found_and_removed_and_nothing_else(tmp_path: Path) -> None:
    """Hand count: two left; what bears no passing name stays, hidden or not, and links are not followed."""
    below, elsewhere = tmp_path / "store" / "records", tmp_path / "elsewhere"
    below.mkdir(parents=True)
    elsewhere.mkdir()
    others = leave(elsewhere)
    left = leave(below)
    for name in ("0.json", ".hidden", "open.part", ".part.json"):
        (below / name).write_bytes(b"kept")
    (below / "link").symlink_to(elsewhere)
    (below / ".link.part").symlink_to(elsewhere)
    assert abandoned(tmp_path / "store") == list(left)
    remove_abandoned(tmp_path / "store")
    assert [path for path in left if path.exists()] == []
    assert sorted(path.name for path in below.iterdir()) == sorted(
        ["0.json", ".hidden", "open.part", ".part.json", "link", ".link.part"]
    )
    assert all(path.exists() for path in others)


def test_what_is_being_written_is_not_taken_for_left(tmp_path: Path) -> None:
    """A lock belongs to what was opened, so a second opening in this process is held off like another process."""
    with new_file(tmp_path / "0.json") as file, new_folder(tmp_path / "aaaa") as folder:
        (folder / "half").write_bytes(b"half")
        assert abandoned(tmp_path) == []
        remove_abandoned(tmp_path)
        assert file.exists()
        assert folder.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_interrupted_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of writing; the old bytes stay."""
    write_atomic(tmp_path / "0.json", b"old")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "0.json", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("0.json", b"old")]


def test_a_folder_is_written_once(tmp_path: Path) -> None:
    """Its files, readable by all; a second one is refused and changes nothing."""
    folder = tmp_path / "digits_v1" / "aaaa"
    write_folder(folder, FILES)
    assert {name: (folder / name).read_bytes() for name in names(folder)} == FILES
    assert folder.stat().st_mode & 0o777 == 0o755
    with raises_naming(InputError, "aaaa", "remove it"):
        write_folder(folder, {"submission.json": b"other"})
    assert {name: (folder / name).read_bytes() for name in names(folder)} == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["aaaa"]


@pytest.mark.parametrize("written", range(4))
def test_a_folder_on_a_full_disk_leaves_nothing(written: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC at each of the three files, and at the folder itself; once there is room, the same call succeeds."""
    folder, sync, calls = tmp_path / "aaaa", os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > written:
            raise OSError(28, "No space left on device")
        sync(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with raises_naming(StorageError, "aaaa", "No space left on device", "free space"):
            write_folder(folder, FILES)
    assert list(tmp_path.iterdir()) == []
    write_folder(folder, FILES)
    assert names(folder) == sorted(FILES)


def test_what_a_killed_one_left_does_not_block_the_next(tmp_path: Path) -> None:
    """Expected: the folder, and no passing name beside it."""
    leave(tmp_path)
    write_folder(tmp_path / "aaaa", FILES)
    assert [path.name for path in tmp_path.iterdir()] == ["aaaa"]
