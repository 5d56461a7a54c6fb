"""A large tree: the same board by one process or several, and in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sgbench.leaderboard import contents
from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import compose_reference
from sgbench.leaderboard.store.reading import Finding, RecordFile
from sgbench.leaderboard.store.tree import RecordTree
from sgbench.records.spec import Method
from tests.leaderboard.factory import ToyReferences, method, record, write_board_record, write_run

REFERENCES = ToyReferences()


def wide(width: float) -> Method:
    """A setting."""
    return method(parameters={"surrogate": {"width_fwhm": width}})


@pytest.mark.one_in(4)
@pytest.mark.parametrize("layout", ["runs", "leaderboards"])
def test_several_processes_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout) -> None:
    """Must match: boards and findings of one process and of two, a damaged file among the records."""
    write = write_run if layout == "runs" else write_board_record
    for number in range(1, 4):
        for seed in range(3):
            path = write(tmp_path, record(seed=seed, accuracy=0.9 - 0.01 * number, of=wide(number / 2)))
    path.write_text("{")
    alone = show(RecordTree(tmp_path, layout, REFERENCES))
    monkeypatch.setattr(contents, "MANY", 1)
    monkeypatch.setattr(contents, "processors", lambda: 2)
    together = show(RecordTree(tmp_path, layout, REFERENCES))
    assert together == alone
    assert [Finding(str(path), alone.findings[0].reason)] == list(alone.findings)


def test_no_method_is_divided() -> None:
    """By hand: parts of at least five paths, seeds of one method in one part."""
    files = [RecordFile(Path(f"p/records/{name}/{seed}.json")) for name in "abcd" for seed in range(3)]
    parts = contents.shares(files, "leaderboards", 3)
    assert [[file.path.parent.name for file in part] for part in parts] == [
        ["a"] * 3 + ["b"] * 3,
        ["c"] * 3 + ["d"] * 3,
    ]
    assert contents.shares([], "leaderboards", 3) == [[]]


@pytest.mark.slow
def test_ten_thousand_records_in_half_a_gigabyte(tmp_path: Path) -> None:
    """Two thousand methods of five seeds on digits_v1: one board; the peak of the building process."""
    plain = compose_reference("digits_v1").method
    for number in range(2000):
        shape = plain.parameters["surrogate"] | {"width_fwhm": 0.2 + number / 1000}
        found = plain.model_copy(update={"parameters": plain.parameters | {"surrogate": shape}})
        for seed in range(5):
            write_board_record(tmp_path, record(seed=seed, accuracy=0.8 + (number * 7 + seed) % 60 / 400, of=found))
    code = (  # the peak of a process that was just started is that of the process that started it, but for VmHWM
        "import pathlib, re, resource, sys; from sgbench.cli.main import main; "
        "code = main(['board', 'build', '--from', 'leaderboards', '--root', sys.argv[1]]); "
        "own = re.search(r'VmHWM:\\s+(\\d+) kB', pathlib.Path('/proc/self/status').read_text()); "
        "print(max(int(own.group(1)), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    first, peak_kib = done.stdout.splitlines()
    assert first.startswith("digits_v1: 2,000 methods, 10,000 records")
    assert int(peak_kib) < 500 * 1024
