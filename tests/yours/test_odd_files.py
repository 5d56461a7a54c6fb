"""`sgbench data add` with careless, damaged and hostile files and disks: one line each, and nothing left behind."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import numpy as np
import pytest

from sgbench.cli.main import main
from sgbench.yours import scratch
from tests.messages import lines_naming
from tests.yours.odd_files import ODD, X, Y

NOTED = ("no spike at all", "zeros alone")
"""Taken, and said to be of no use."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for entries and samples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SGBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("SGBENCH_CONF", raising=False)


def files() -> set[str]:
    """What lies in the working folder, folders left out."""
    return {path.as_posix() for path in Path().rglob("*") if not path.is_dir()}


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which a command ends by exit code 2."""
    assert main(["data", "add", "mine", *words]) == 2
    told = capsys.readouterr()
    assert not told.out
    (line,) = told.err.splitlines()
    assert line.startswith("sgbench: error: ")
    assert len(line) < 1000
    return line


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_is_one_line(
    name: str, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    """Nothing of it runs, nothing of it is stored, and no library adds words of its own."""
    write, said = ODD[name]
    write(Path("odd.npz"))
    before = files()
    if name in NOTED or not said:
        assert main(["data", "add", "mine", "odd.npz"]) == 0
        assert said in capsys.readouterr().out
    else:
        assert said in refused(["odd.npz"], capsys)
        assert files() == before
    assert not list(recwarn)


DISKS = {
    "a file": lambda: Path("place").write_text(""),
    "a broken link": lambda: Path("place").symlink_to("nowhere/deep"),
    "a link to itself": lambda: Path("place").symlink_to("place"),
    "a name of 300 bytes": lambda: None,
    "the kernel's own": lambda: Path("place").symlink_to("/proc"),
    "a device": lambda: Path("place").symlink_to("/dev/null"),
}


@pytest.mark.parametrize("name", DISKS)
def test_a_place_that_takes_no_samples_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The line names it."""
    np.savez("good.npz", x=X, y=Y)
    DISKS[name]()
    place = "a" * 300 if name == "a name of 300 bytes" else "place"
    before = files()
    line = refused(["good.npz", "--data-dir", place], capsys)
    assert place in line
    assert "name another" in line
    assert files() == before


@pytest.mark.parametrize("kind", ["arrays", "spikes", "large"])
def test_a_limit_of_file_sizes_is_one_line(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's own error, as of a full disk; what was begun is removed, and with room the command goes on."""
    x = np.arange(30_000.0).reshape(10, 1000, 3)
    np.savez("good.npz", x=x > 5 if kind == "spikes" else x, y=Y)
    if kind == "large":
        monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", 1000)
    before = files()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        line = refused(["good.npz"], capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert lines_naming(line, "free space", "another folder")
    assert files() == before
    assert main(["data", "add", "mine", "good.npz"]) == 0


def test_entries_that_cannot_be_written_leave_no_samples(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of three files fails: neither the others nor the samples stay."""
    from sgbench.yours import entry

    np.savez("good.npz", x=X, y=Y)
    before, write = files(), entry.write_atomic

    def fails(path: Path, data: bytes) -> None:
        if path.parent.name == "experiment":
            raise OSError(28, os.strerror(28), str(path))
        write(path, data)

    monkeypatch.setattr(entry, "write_atomic", fails)
    assert os.strerror(errno.ENOSPC) in refused(["good.npz"], capsys)
    assert files() == before


def test_what_a_killed_command_left_is_removed() -> None:
    """Passing names of samples and entries; what somebody is writing has a lock, and stays."""
    np.savez("good.npz", x=X, y=Y)
    left = [Path("sgbench_conf/experiment/.x.yaml.1.part"), Path("data/yours/.y.1.part/whole")]
    for path in left:
        path.parent.mkdir(parents=True)
        path.write_text("")
    assert main(["data", "add", "mine", "good.npz"]) == 0
    assert not [path for path in left if path.exists()]
