"""Exclusive files on file systems that keep no locks: expected by hand, with `FileLock` let in every time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sgbench.errors import RunBusyError
from sgbench.training import run_folder
from sgbench.training.run_folder import OWNER_FILE, STALE_S, LockOwner, heartbeat_lock, is_held, locked
from tests.messages import raises_naming


class NoLock:
    """A lock that lets everybody in, as some shared file systems do."""

    def __init__(self, *_: object, **__: object) -> None:
        self.released = False

    def __enter__(self) -> None:
        """Let in."""

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that keeps none."""
    monkeypatch.setattr("sgbench.training.run_folder.FileLock", NoLock)


@pytest.mark.usefixtures("no_locks")
def test_where_no_locks_are_kept_one_process_is_let_in(tmp_path: Path) -> None:
    """Must differ: after the first has left, the next is let in, and nothing lies about."""
    with locked(tmp_path):
        assert is_held(tmp_path)
        with raises_naming(RunBusyError, str(tmp_path), "another process"), locked(tmp_path):
            pass
    assert not is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_where_locks_are_kept_there_is_no_exclusive_file(tmp_path: Path) -> None:
    """Must differ: the file that a folder without locks has."""
    with locked(tmp_path):
        assert not (tmp_path / OWNER_FILE).exists()
        assert is_held(tmp_path)


def left(folder: Path, *, host: str, pid: int, job: str = "-", age_s: float = 0.0) -> None:
    """A claim as another process would have left it."""
    path = folder / OWNER_FILE
    path.write_text(f"{host} {pid} {job} abc")
    then_s = time.time() - age_s
    os.utime(path, (then_s, then_s))


GONE = 2**22 + 1  # above the largest process id of Linux


@pytest.mark.parametrize(
    ("claim", "free"),
    [
        ({"host": "here", "pid": GONE}, True),
        ({"host": "here", "pid": 1}, False),
        ({"host": "here", "pid": 1, "age_s": 2 * STALE_S}, True),
        ({"host": "there", "pid": GONE}, False),
        ({"host": "there", "pid": GONE, "age_s": 2 * STALE_S}, True),
        ({"host": "there", "pid": GONE, "job": "17"}, True),
        ({"host": "there", "pid": GONE, "job": "18"}, False),
    ],
)
def test_a_claim_of_a_process_that_is_gone_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, claim: dict, *, free: bool
) -> None:
    """By its process here, by its signs of life elsewhere, by its job where that begins again (17 is this one)."""
    monkeypatch.setattr("socket.gethostname", lambda: "here")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    left(tmp_path, **claim)
    if free:
        with heartbeat_lock(tmp_path):
            assert LockOwner.read(tmp_path / OWNER_FILE) != LockOwner("there", GONE, "-", "abc")
        assert list(tmp_path.iterdir()) == []
    else:
        with pytest.raises(RunBusyError), heartbeat_lock(tmp_path):
            pass
        assert [path.name for path in tmp_path.iterdir()] == [OWNER_FILE]


def test_a_clock_that_jumps_takes_no_claim_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends are times of the file system, so a day forth or back of ours changes nothing."""
    left(tmp_path, host="elsewhere", pid=GONE)
    now_s = time.time()
    for jump_s in (86400.0, -86400.0):
        monkeypatch.setattr(time, "time", lambda jump_s=jump_s: now_s + jump_s)
        with pytest.raises(RunBusyError), heartbeat_lock(tmp_path):
            pass


def test_a_holder_shows_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that was old when looked at is new after a beat."""
    monkeypatch.setattr(run_folder, "BEAT_S", 0.01)
    with heartbeat_lock(tmp_path):
        path = tmp_path / OWNER_FILE
        os.utime(path, (0, 0))
        until_s = time.monotonic() + 30
        while path.stat().st_mtime == 0 and time.monotonic() < until_s:
            time.sleep(0.01)
        assert path.stat().st_mtime > 0
