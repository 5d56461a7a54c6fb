"""The note on compiling: said where numba compiles, and only there."""

from __future__ import annotations

import functools
import importlib
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

from fastspiking import warm_up
from fastspiking.kernels import backward, disk_cache, events, forward
from fastspiking.note import CompileNote
from tests.messages import lines_naming


def test_loops_from_the_cache_are_not_said_to_be_compiled(caplog: pytest.LogCaptureFixture) -> None:
    """Called once, every loop is there; called again nothing is compiled, however busy the machine."""
    warm_up.compiled(torch.float32)
    caplog.clear()
    warm_up.compiled.__wrapped__(torch.float32)
    assert not caplog.records


def test_what_is_compiled_is_said_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two new loops, which no cache has: one line before the first of them has run, and one after each."""
    loops = [numba.njit(lambda x, number=number: x + number) for number in (1, 2)]
    lines: list[int] = []

    def call(loop: Callable[..., object], number: type) -> None:
        loop(np.zeros(1, number))
        lines.append(len(caplog.records))

    monkeypatch.setattr(warm_up, "_calls", lambda number: [functools.partial(call, loop, number) for loop in loops])
    with caplog.at_level(logging.WARNING, logger="fastspiking"):
        warm_up.compiled.__wrapped__(torch.float64)
    assert lines == [1, 2]
    assert lines_naming(caplog.records[0].message, "compiling", "torch.float64")
    assert [record.message for record in caplog.records[1:]] == ["compiled: 1 of 2 parts", "compiled: 2 of 2 parts"]


def test_loops_are_kept_by_the_text_of_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One changed letter in any file is another folder; the same text somewhere else is the same one."""
    digest = disk_cache.text_sha256(disk_cache.ROOM)
    folders = {Path(loop._cache.cache_path) for loop in (forward.advance, backward.backward_chunk, events.gather)}
    assert {folder.name for folder in folders} == {f"kernels_{digest[:20]}"}
    for name in ("same", "other"):
        shutil.copytree(disk_cache.ROOM, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other" / "events.py").open("a") as file:
        file.write("#\n")
    assert disk_cache.text_sha256(tmp_path / "same") == digest != disk_cache.text_sha256(tmp_path / "other")
    where = disk_cache.ROOM / "forward.py"
    monkeypatch.setattr(disk_cache.config, "CACHE_DIR", str(tmp_path / "cache"))
    locator = disk_cache.ByText.from_function(forward.advance.py_func, str(where))
    assert locator is not None
    assert locator.get_source_stamp() == digest
    assert Path(locator.get_cache_path()).parent == tmp_path / "cache"
    assert disk_cache.ByText.from_function(forward.advance.py_func, str(tmp_path / "other" / "forward.py")) is None
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(disk_cache.config, "CACHE_DIR", str(tmp_path / "file"))
    assert disk_cache.ByText.from_function(forward.advance.py_func, str(where)) is None


def test_numba_says_nothing_of_what_its_cache_on_disk_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A loop that is read from the disk is announced by nobody: what the note relies on."""
    path = tmp_path / "loops.py"
    path.write_text("import numba\n\n\n@numba.njit(cache=True)\ndef loop(x):\n    return x + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen = []
    for _ in range(2):
        sys.modules.pop("loops", None)
        module = importlib.import_module("loops")
        caplog.clear()
        with warm_up.event.install_listener("numba:compile", CompileNote("compiling")):
            assert module.loop(1) == 2
        seen.append([record.message for record in caplog.records])
    assert seen == [["compiling"], []]
