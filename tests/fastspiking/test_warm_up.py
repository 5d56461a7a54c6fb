"""What is compiled before a first pass, by which process, and what is said of it."""

from __future__ import annotations

import contextlib
import importlib
import logging
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numba
import pytest
from numba.core import event

from fastspiking import warm_up
from fastspiking.codegen.build import in_memory
from fastspiking.kernels import backward, backward_leaky, codes, disk_cache, events, forward
from fastspiking.kernels.arguments import NeuronArrays
from fastspiking.kernels.disk_cache import LOOPS, NOTE, CompileNote, note
from fastspiking.numba_steps import backward_loop, forward_loop
from tests.fastspiking.cases import packed, result, spikes
from tests.fastspiking.test_blocks import network, readout_alone

LEAKY = NeuronArrays(
    None, codes.SUBTRACT, attached=False, second=False, gained=False, fires=True, uniform=True, wiring=codes.UNWIRED,
    wires=None,
)  # fmt: skip
ANY = {
    "second": True, "gained": True, "uniform": False, "wiring": codes.ONE_TO_ONE,
}  # fmt: skip


def test_the_short_loops_are_for_leaky_neurons() -> None:
    """Must match for what they compute, must differ for all else: a negative threshold, another reset, its gradient."""
    assert (forward_loop(LEAKY, 1.0), backward_loop(LEAKY)) == (forward.advance_leaky, backward_leaky.backward_leaky)
    silent = LEAKY._replace(fires=False, reset=codes.NONE)
    assert (forward_loop(silent, -1.0), backward_loop(silent)) == (forward.advance_leaky, backward_leaky.backward_leaky)
    for name, value in ANY.items():
        other = LEAKY._replace(**{name: value})
        assert (forward_loop(other, 1.0), backward_loop(other)) == (forward.advance_any, backward.backward_any), name
    assert forward_loop(LEAKY, 0.0) is forward.advance_any
    assert forward_loop(LEAKY._replace(reset=codes.SUBTRACT_DECAYED), 1.0) is forward.advance_any
    assert backward_loop(LEAKY._replace(reset=codes.ZERO)) is backward.backward_any
    assert backward_loop(LEAKY._replace(attached=True)) is backward.backward_any


@pytest.mark.parametrize("kind", ["leaky", "alif"])
def test_the_first_pass_finds_what_was_compiled_for_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: no new signature in a pass after the calls that compile; both have the argument types of a run."""
    seen: list[Callable[[], object]] = []
    monkeypatch.setattr(warm_up, "_is_cached", lambda loop: False)
    monkeypatch.setattr(warm_up, "_beside", lambda call: contextlib.nullcontext(seen.append(call)))
    monkeypatch.setattr(warm_up, "_compile_loops", warm_up._compile_loops.__wrapped__)
    layers = network(kind, ("none", "full"))
    run = {"loss": readout_alone, "keep_u": False, "keep_spikes": False}
    result("fused", layers, packed(spikes(2, 3, 17, 0.1)), **run)
    assert len(seen) == 2
    for call in seen:
        call()
    loops = (forward.advance_leaky, forward.advance_any, backward_leaky.backward_leaky, backward.backward_any)
    before = [list(loop.signatures) for loop in loops]
    assert any(before)
    result("fused", layers, packed(spikes(2, 3, 17, 0.1)), **run)
    assert [list(loop.signatures) for loop in loops] == before


def test_nothing_is_compiled_or_locked_where_the_cache_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_up, "_is_cached", lambda loop: True)
    monkeypatch.setattr(warm_up, "compile_lock", lambda path: pytest.fail("locked"))
    warm_up._compile_loops.__wrapped__(LEAKY, float)


@pytest.mark.parametrize("kept", [True, False])
def test_a_copy_of_the_process_compiles_meanwhile(kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another thread may hold a lock there is none, and the call is left to later."""
    ended = threading.Event()
    other = threading.Thread(target=ended.wait, daemon=kept)
    other.start()
    monkeypatch.setattr(warm_up.threading, "enumerate", lambda: [threading.main_thread(), other])
    monkeypatch.setattr(warm_up.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    with warm_up._beside((tmp_path / "compiled").touch):
        pass
    ended.set()
    other.join()
    assert (tmp_path / "compiled").exists() == kept


def test_what_is_compiled_is_said_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of our loops alone: one line before the first is compiled, and none for the second or for a user's own."""
    lines: list[int] = []
    monkeypatch.setattr(note, "_is_logged", True)
    with caplog.at_level(logging.WARNING, logger="fastspiking"), event.install_listener("numba:compile", CompileNote()):
        numba.njit(lambda x: x - 1)(1)
        assert not caplog.records
        for number in (1, 2):
            text = f"def loop(x):\n    return x + {number}\n"
            assert numba.njit(in_memory(text, f"{LOOPS}{number}").loop)(1) == 1 + number
            lines.append(len(caplog.records))
    assert lines == [1, 1]
    assert caplog.messages == [NOTE]


def test_loops_are_kept_by_the_text_of_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One changed letter in any file is another folder; the same text somewhere else is the same one."""
    digest = disk_cache.text_sha256(disk_cache.ROOM)
    folders = {Path(loop._cache.cache_path) for loop in (forward.advance_any, backward.backward_any, events.gather)}
    assert {folder.name for folder in folders} == {f"kernels_{digest[:20]}"}
    for name in ("same", "other"):
        shutil.copytree(disk_cache.ROOM, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other" / "events.py").open("a") as file:
        file.write("#\n")
    assert disk_cache.text_sha256(tmp_path / "same") == digest != disk_cache.text_sha256(tmp_path / "other")
    where = disk_cache.ROOM / "forward.py"
    monkeypatch.setattr(disk_cache.config, "CACHE_DIR", str(tmp_path / "cache"))
    locator = disk_cache.ByText.from_function(forward.advance_any.py_func, str(where))
    assert locator is not None
    assert locator.get_source_stamp() == digest
    assert Path(locator.get_cache_path()).parent == tmp_path / "cache"
    assert disk_cache.ByText.from_function(forward.advance_any.py_func, str(tmp_path / "other" / "forward.py")) is None
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(disk_cache.config, "CACHE_DIR", str(tmp_path / "file"))
    assert disk_cache.ByText.from_function(forward.advance_any.py_func, str(where)) is None


def test_numba_says_nothing_of_what_its_cache_on_disk_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A loop that is read from the disk is announced by nobody: what the note relies on."""
    path = tmp_path / f"{LOOPS}1.py"
    path.write_text("import numba\n\n\n@numba.njit(cache=True)\ndef loop(x):\n    return x + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen = []
    for _ in range(2):
        sys.modules.pop(path.stem, None)
        module = importlib.import_module(path.stem)
        caplog.clear()
        monkeypatch.setattr(note, "_is_logged", True)
        with event.install_listener("numba:compile", CompileNote()):
            assert module.loop(1) == 2
        seen.append([record.message for record in caplog.records])
    assert seen == [[NOTE], []]
