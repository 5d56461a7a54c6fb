"""A full disk, and files that are not whole: one line, exit code 2, and nothing that was stored is lost.

Writes fail with the error that the system gives a full disk (ENOSPC).
"""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.errors import InputError, StorageError, disk_full
from sgbench.records.files import require_writable, write_atomic
from sgbench.training.run_folder import folder_of
from sgbench.training.single_run import SingleRun
from tests.datasets.fakes import fake_idx_images
from tests.messages import lines_naming, raises_naming
from tests.run.tiny import WORDS

RUN = ["run", *WORDS, "engine=reference"]
ALONE: list[str] = []
REPLICAS = ["-m", "seed=0", "hydra/launcher=replicas"]
SAID = "No space left on device; free space or choose another folder"


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1, told
    return told[0]


@pytest.mark.slow
def test_a_checkpoint_that_has_no_room(monkeypatch, capsys):
    """Expected: the file is named, and the checkpoint of the epoch before is whole: the run goes on from it."""
    save = SingleRun.save
    calls = []

    def second_fails(self: SingleRun) -> None:
        calls.append(self.folder)
        with monkeypatch.context() as no_room:
            if len(calls) == 2:
                no_room.setattr("sgbench.records.files.os.fsync", full)
            save(self)

    with monkeypatch.context() as patched:
        patched.setattr(SingleRun, "save", second_fails)
        assert main(RUN) == 2
    line = one_line(capsys)
    assert lines_naming(line, "last.ckpt")
    assert line.endswith(SAID)
    folder = folder_of(compose([*WORDS, "engine=reference"]))
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".lock") == [".lock", "last.ckpt"]
    assert main(RUN) == 0
    assert '"resumed": 1' in (folder / "record.json").read_text()


@pytest.mark.parametrize(
    "launcher", [pytest.param(ALONE, id="alone"), pytest.param(REPLICAS, id="replicas", marks=pytest.mark.slow)]
)
def test_results_that_have_no_room(launcher, monkeypatch, capfd):
    """Expected: exit code 2 from a run alone and from one among others, and no record of a failure."""
    monkeypatch.setattr("sgbench.records.files.os.fsync", full)
    monkeypatch.setattr("sgbench.replicas.group_worker.CHECKPOINT_S", 1e9)
    assert main([*RUN, *launcher]) == 2
    told = capfd.readouterr()
    assert SAID in told.out + told.err
    assert "Traceback" not in told.out + told.err
    assert not (folder_of(compose([*WORDS, "engine=reference"])) / "record.json").exists()


def test_what_is_stored_stays(monkeypatch, tmp_path):
    """Expected: a file that cannot be replaced has its old bytes, and no part of the new lies beside it."""
    path = tmp_path / "record.json"
    write_atomic(path, b"old")
    with monkeypatch.context() as patched:
        patched.setattr("sgbench.records.files.os.fsync", full)
        with raises_naming(StorageError, os.strerror(errno.ENOSPC)):
            write_atomic(path, b"new")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("record.json", b"old")]


def test_a_full_disk_is_found_before_a_run(monkeypatch, tmp_path):
    """Expected: a page is written to try a folder; an error inside another is recognised, and others are not."""
    monkeypatch.setattr("sgbench.records.files.tempfile.TemporaryFile", full)
    with raises_naming(OSError, "No space left on device", "another folder"):
        require_writable(tmp_path)
    outer = RuntimeError("a logger failed")
    outer.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    found = disk_full(outer)
    assert found is not None
    assert found.exit_code == 2
    assert disk_full(OSError(errno.EACCES, "Permission denied")) is None
    assert disk_full(InputError("x")) is None


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("spoil", "launcher"),
    [("cut off", REPLICAS), ("another", ALONE), pytest.param("missing", ALONE, marks=pytest.mark.slow)],
)
def test_files_that_are_not_whole(spoil, launcher, tmp_path, capfd):
    """Expected: exit code 2 and the file's name where one is absent, cut off, or not the published one."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    if spoil != "missing":
        fake_idx_images(folder, train=60, test=20, seed=0)
    if spoil == "cut off":
        images = folder / "train-images-idx3-ubyte"
        images.write_bytes(images.read_bytes()[:-1])
    words = ["run", "experiment=mnist", "protocol.epochs=1", "engine=reference", "trainer.progress=false"]
    assert main([*words, f"paths.data_dir={tmp_path}", *launcher]) == 2
    told = capfd.readouterr()
    said = {"missing": "is not in", "cut off": "not what its header declares", "another": "is not the expected"}
    assert "train-images-idx3-ubyte" in told.out + told.err
    assert said[spoil] in told.out + told.err
    assert "Traceback" not in told.out + told.err
