"""The store of compiled loops: whole, found again, and no place where a run ends.

Expected: what the loops of this file compute by hand, u = 0.5 u + I; how often numba compiles, as numba says.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

from fastspiking.choose import Engine
from fastspiking.codegen import build
from fastspiking.codegen.program import record
from fastspiking.codegen.source import LoopSource
from fastspiking.kernels.disk_cache import NOTE, note
from fastspiking.numba_events import absent_neighbours
from tests.fastspiking.cases import Given, Wired, assert_same, neuron, result, spikes
from tests.thinned import thinned

SOURCE = '''import numpy as np


def forward(
    current, state, driven, sent, rows, numbers, first, last, keep, of_current, batch, block, size, low, high
):
    """Decay by a half and add."""
    for step in range(first, last):
        for sample in range(batch):
            for m in range(size):
                state[sample, m] = 0.5 * state[sample, m] + current[step * batch + sample, m]
'''
written = build._loops  # before any fixture replaces it


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of its own."""
    monkeypatch.setenv("SGBENCH_LOOPS", str(tmp_path / "loops"))
    return tmp_path / "loops"


def made(text: str = SOURCE) -> float:
    """Compile or load, and run: two steps with a current of 1 from rest come to 1.5."""
    loops = written.__wrapped__(text, (2, 0), torch.float64)
    state, current = np.zeros((1, 1)), np.ones((2, 1))
    row, (driven, sent, _, _) = np.zeros(1), absent_neighbours(np.float64)
    loops.forward(current, state, driven, sent, row, row, 0, 2, 0, 1, 1, 1, 1, 0, 1)
    return float(state[0, 0])


def test_kept_found_and_mended(folder, caplog, monkeypatch):
    """Expected: one compilation, then none; a file that is not what was written is written again."""
    monkeypatch.setattr(note, "_is_logged", False)
    assert made() == 1.5
    assert caplog.messages == [NOTE]
    caplog.clear()
    monkeypatch.setattr(note, "_is_logged", False)
    assert made() == 1.5
    assert not caplog.records
    (path,) = folder.glob("*.py")
    whole = path.read_text()
    path.write_text(whole[:40])
    assert made() == 1.5
    assert path.read_text() == whole
    assert not list(folder.glob("*.tmp"))


def test_a_store_that_cannot_be_written(tmp_path, monkeypatch, caplog):
    """Expected: the same numbers and a line that names the folder; for root too, whom no permission stops."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SGBENCH_LOOPS", str(tmp_path / "file" / "loops"))
    with caplog.at_level(logging.WARNING, logger="fastspiking"):
        assert made() == 1.5
    assert "keeps no loops" in caplog.text
    assert str(tmp_path / "file" / "loops") in caplog.text


def test_the_name_follows_from_all_that_matters(monkeypatch):
    """Must differ: another source, another version of numba, of torch, of the engine, other functions."""
    names = {build._digest(SOURCE), build._digest(SOURCE.replace("0.5", "0.25"))}
    for module in (numba, torch, np):
        with monkeypatch.context() as other:
            other.setattr(module, "__version__", "0.0.0")
            names.add(build._digest(SOURCE))
    with monkeypatch.context() as other:
        other.setattr(build, "ENGINE", "0")
        names.add(build._digest(SOURCE))
    monkeypatch.setattr(build, "text_sha256", lambda folder: "another file")
    names.add(build._digest(SOURCE))
    assert len(names) == 7


@pytest.mark.slow
def test_two_processes_that_want_the_same(folder):
    """Expected: both come to 1.5, and one file is there."""
    program = f"from tests.fastspiking import test_generated_cache as t; print(t.made({SOURCE!r}))"
    both = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [each.communicate()[0].strip() for each in both] == ["1.5", "1.5"]
    assert len(list(folder.glob("*.py"))) == 1


@pytest.mark.parametrize("kind", thinned(["izhikevich", "adex", "slstm", "noisy", "dh_lif"], 5))
@pytest.mark.parametrize("dtype", thinned([torch.float64, torch.float32], 2), ids=str)
def test_compiled_loops_equal_the_reference(folder, monkeypatch, kind, dtype):
    """Expected: `reference`, in float32 to 1e-5, in float64 to 1e-12; and the same bits as the source in Python."""
    layer = Wired(6, neuron(kind, 3, learn="per_neuron"), 3, gain=3.0, wiring=("all_to_all", "full")).to(dtype)
    x = spikes(8, 2, 6).to(dtype)
    runs = []
    for engine, loops in (("generated", written), ("generated", build._loops), ("reference", written)):
        monkeypatch.setattr(build, "_loops", loops)
        layer.neuron.surrogate.generator = torch.Generator().manual_seed(0)
        runs.append(result(engine, [layer], x))
    assert_same(runs[0], runs[2], rtol=1e-5 if dtype == torch.float32 else 1e-12)
    assert torch.equal(runs[0].output[0], runs[1].output[0])


@pytest.mark.slow
def test_more_numbers_than_32_bits_can_count(folder, monkeypatch):
    """Expected: the last of 2^23 + 1 samples of 257 neurons as the same one alone; 8.6 GB, not touched."""
    monkeypatch.setattr(build, "_loops", written)
    layer = Given(neuron("adex", 257).float())
    batch, current = 2**23 + 1, torch.rand(1, 1, 257)
    alone = Engine("generated").unroll([layer], current, keep_u=False)[0].output

    program = record(layer, (1, 257), torch.float32, keep_u=False, learns=False)
    source = LoopSource(program, torch.float32, 257)
    try:
        arrays = [np.empty((batch, 257), np.float32) for _ in range(2 + len(program.next_state))]
    except MemoryError:
        pytest.skip("so much memory cannot be promised here")
    arrays[0][-1] = current[0, 0]
    for state in arrays[1 : 1 + len(program.next_state)]:
        state[-1] = 0
    numbers = np.array([*source.constants, 0.0], np.float32)
    rest = (*absent_neighbours(np.float32)[:2], np.zeros(1, np.float32), numbers)
    build.loops(source).forward(*arrays, *rest, 0, 1, 0, batch, batch, 1, 257, batch - 1, batch)
    assert np.array_equal(arrays[-1][-1], alone[0, 0].numpy())
