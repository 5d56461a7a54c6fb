"""What is run as code comes from folders that nobody else can write, compiled loops and checkpoints alike."""

from __future__ import annotations

import importlib._bootstrap_external as bootstrap
import logging
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fastspiking.codegen import build
from fastspiking.kernels import disk_cache, forward
from fastspiking.numba_events import absent_neighbours
from fastspiking.paths import is_private, private_folder

SOURCE = '''import numpy as np


def forward(
    current, state, driven, sent, rows, numbers, first, last, keep, of_current, batch, block, size, low, high
):
    """Add."""
    for step in range(first, last):
        for sample in range(batch):
            for m in range(size):
                state[sample, m] += current[step * batch + sample, m]
'''
written = build._loops  # before any fixture replaces it
posix = pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders have no owners here")


def made(text: str) -> float:
    """Compile or load, and run: two steps with a current of 1 from rest come to 2."""
    loops = written.__wrapped__(text, (2, 0), torch.float64)
    state, current = np.zeros((1, 1)), np.ones((2, 1))
    row, (driven, sent, _, _) = np.zeros(1), absent_neighbours(np.float64)
    loops.forward(current, state, driven, sent, row, row, 0, 2, 0, 1, 1, 1, 1, 0, 1)
    return float(state[0, 0])


def open_to_all(folder: Path) -> Path:
    """A folder that everybody can write."""
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@posix
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_folder_that_others_can_write_is_left(mode: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another one is taken, of this user alone, the same each time; it is said once."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    with caplog.at_level(logging.WARNING, logger="fastspiking"):
        own = private_folder(shared)
        assert private_folder(shared) == own != shared
    assert is_private(own)
    assert not is_private(shared)
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    (said,) = caplog.records
    assert str(shared) in said.getMessage()
    assert str(own) in said.getMessage()


@posix
def test_a_folder_of_somebody_else_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner can write there, whatever others can; the administrator's own is as good as one's own."""
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    status = os.stat_result((stat.S_IFDIR | 0o755, 0, 0, 1, 12, 0, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda _: status)
    assert not is_private(tmp_path)
    status = os.stat_result((stat.S_IFDIR | 0o755, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda _: status)
    assert is_private(tmp_path)


def test_a_private_folder_is_taken_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also one that has to be made, which then is this user's alone."""
    assert private_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert is_private(tmp_path / "a" / "b")
    assert not caplog.records


def plant(folder: Path, text: str, told: Path) -> None:
    """Put the right source of loops into a folder, and beside it compiled code of other words."""
    folder.mkdir(exist_ok=True)
    name = f"{disk_cache.LOOPS}{build._digest(text)}"
    source = folder / f"{name}.py"
    source.write_text(text)
    evil = compile(f"open({str(told)!r}, 'w').close()\n{text}", str(source), "exec")
    status = source.stat()
    code: Any = bootstrap._code_to_timestamp_pyc(evil, int(status.st_mtime), status.st_size)
    (folder / "__pycache__").mkdir(exist_ok=True)
    Path(bootstrap.cache_from_source(str(source))).write_bytes(code)


@pytest.mark.one_in(4)
@posix
@pytest.mark.parametrize("mode", [0o777, 0o700])
def test_planted_loops_run_from_a_private_folder_alone(
    mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python takes compiled code beside a source unlooked, so only who can write the folder is asked."""
    folder, told, text = tmp_path / "loops", tmp_path / "told", f"{SOURCE}# {mode}\n"
    plant(folder, text, told)
    folder.chmod(mode)
    monkeypatch.setenv("SGBENCH_LOOPS", str(folder))
    assert made(text) == 2.0
    assert told.exists() == (mode == 0o700)


@posix
@pytest.mark.parametrize("kind", ["kernels", "functions", "loops"])
def test_an_index_is_kept_where_nobody_else_writes(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every loop that is kept, whatever NUMBA_CACHE_DIR says; of other packages numba decides."""
    monkeypatch.setattr(disk_cache.config, "CACHE_DIR", str(open_to_all(tmp_path / "shared")))
    written_one = tmp_path / f"{disk_cache.LOOPS}x.py"
    written_one.write_text(SOURCE)
    paths = {
        "kernels": disk_cache.ROOM / "forward.py",
        "functions": disk_cache.ROOM / "functions.py",
        "loops": written_one,
    }
    locator = disk_cache.ByText.from_function(forward.advance_any.py_func, str(paths[kind]))
    assert locator is not None
    folder = Path(locator.get_cache_path())
    assert is_private(folder)
    folder.chmod(0o777)
    again = disk_cache.ByText.from_function(forward.advance_any.py_func, str(paths[kind]))
    assert again is not None
    assert is_private(Path(again.get_cache_path()))
    assert disk_cache.ByText.from_function(forward.advance_any.py_func, torch.__file__) is None
