"""The cache of prepared spike trains: made once, and made anew when killed, full, crowded or damaged.

Legend: S samples, N channels.
"""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from sgbench.datasets.base import Split, sizes
from sgbench.datasets.checks import check
from sgbench.datasets.event_files import EventFiles, below
from sgbench.datasets.formats import event_cache
from sgbench.datasets.formats.event_store import DamagedError, Recording, Writer, read
from sgbench.errors import InputError, StorageError
from tests.messages import raises_naming

pytestmark = pytest.mark.usefixtures("cache")
N = 5


class Toy(EventFiles):
    """Files of text `channel time` with the class in their name; one split a folder."""

    name = "toy"
    folder: ClassVar[str] = "toy"
    n_inputs = N
    n_classes = 2
    sizes: Mapping[Split, int] = sizes(2, 2, 2)
    source = "here"
    licence = "MIT"
    wait_s: ClassVar[float] = 0.0
    reads: ClassVar[list[str]] = []

    def originals(self, root: Path) -> list[str]:
        return below(root, "*/*.txt", "write them")

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        return {split: self._read(root / split) for split in ("train", "validation", "test")}

    def _read(self, root: Path) -> Iterator[Recording]:
        for path in sorted(root.glob("*.txt")):
            self.reads.append(path.name)
            time.sleep(self.wait_s)
            rows = [[int(word) for word in line.split()] for line in path.read_text().splitlines()]
            yield Recording([c for c, _ in rows], [t for _, t in rows], int(path.stem[-1]), name=str(path))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with six recordings."""
    for split in ("train", "validation", "test"):
        folder = tmp_path / "data" / "toy" / split
        folder.mkdir(parents=True)
        (folder / "class_0.txt").write_text("0 5\n1 3\n")
        (folder / "class_1.txt").write_text("4 9\n")
    Toy.reads.clear()
    return tmp_path / "data"


def test_a_data_set_is_prepared_once(root, cache):
    """Expected: the files are read at the first call only; equal spikes and checksum at the second."""
    first, second = Toy(), Toy()
    one, two = first.load(root), second.load(root)
    assert Toy.reads == ["class_0.txt", "class_1.txt"] * 3
    assert check(first, one) == check(second, two)
    assert one["train"].values.time_us.tolist() == two["train"].values.time_us.tolist() == [3, 5, 9]
    assert len(event_cache.entries(cache)) == 1


def test_what_shapes_a_data_set_makes_another(root, cache, monkeypatch):
    """Must differ: a changed byte, a newer reader, another parameter; the old one stays until room is needed."""
    Toy().load(root)
    (root / "toy" / "train" / "class_0.txt").write_text("0 6\n1 3\n")
    changed = Toy()
    assert changed.load(root)["train"].values.time_us.tolist() == [3, 6, 9]
    monkeypatch.setattr(Toy, "reader", 2)
    newer = Toy()
    newer.load(root)
    monkeypatch.setattr(Toy, "parameters", lambda self: {"a": 1})
    other = Toy()
    other.load(root)
    assert len({changed.found_sha256, newer.found_sha256, other.found_sha256}) == 3
    assert len(event_cache.entries(cache)) == 4


def test_a_touched_file_is_the_same_data(root, cache):
    """Must match: another time of change, equal bytes."""
    one, two = Toy(), Toy()
    one.load(root)
    os.utime(root / "toy" / "train" / "class_0.txt", (1, 1))
    two.load(root)
    assert one.found_sha256 == two.found_sha256
    assert len(event_cache.entries(cache)) == 1


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    "how",
    ["cut", "no header", "other version", "older version", "gone", "not json", "channel", "early", "late", "header"],
)
def test_a_damaged_cache_is_made_anew(root, cache, how):
    """Expected: the spikes of the originals again."""
    Toy().load(root)
    (folder,) = event_cache.entries(cache)
    header = folder / "test" / "header.json"
    if how == "cut":
        (folder / "train" / "channel.i32").write_bytes(b"\0" * 4)
    elif how == "no header":
        header.unlink()
    elif how == "other version":
        header.write_text(header.read_text().replace('"format": 2', '"format": 3'))
    elif how == "older version":  # which had no checksum
        old = json.loads(header.read_text()) | {"format": 1}
        header.write_text(json.dumps({key: value for key, value in old.items() if key != "sha256"}))
    elif how == "channel":  # which would be written to far outside of the process's memory
        np.array([1, 1 << 30, 1], np.int32).tofile(folder / "train" / "channel.i32")
    elif how in ("early", "late"):  # which would be lost behind the last step, or before their own
        late = how == "late"
        np.array([3, 5, 1 << 30] if late else [9, 5, 3], np.int32).tofile(folder / "train" / "time_us.i32")
    elif how == "header":
        header.write_text(header.read_text().replace(f'"channels": {N}', '"channels": 1'))
    elif how == "not json":
        header.write_text("{")
    else:
        (folder / "validation" / "target.npy").unlink()
    with pytest.raises(DamagedError):
        _ = [read(folder / split) for split in ("train", "validation", "test")]
    Toy.reads.clear()
    assert Toy().load(root)["train"].values.time_us.tolist() == [3, 5, 9]
    assert len(Toy.reads) == 6


def test_a_pickle_in_the_cache_is_never_opened(root, cache, tmp_path):
    """Expected: an array of objects is damage, and its code does not run."""
    Toy().load(root)
    (folder,) = event_cache.entries(cache)

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "pwned"),)

    np.save(folder / "train" / "target.npy", np.array([Bomb(), Bomb()], object), allow_pickle=True)
    assert Toy().load(root)["train"].target.tolist() == [0, 1]
    assert not (tmp_path / "pwned").exists()


def _load(root: Path, wait_s: float) -> None:
    Toy.wait_s = wait_s
    Toy().load(root)
    Path(os.environ["SGBENCH_CACHE"], f"{os.getpid()}.reads").write_text(str(len(Toy.reads)))


def test_whole_files_are_checked_once_a_process(root, cache, monkeypatch):
    """By hand: three splits of five files at the first reading, none at the second."""
    read_files = []
    original = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: read_files.append(1) or original(*given))
    Toy().load(root)
    read_files.clear()
    (folder,) = event_cache.entries(cache)
    for split in ("train", "validation", "test"):
        read(folder / split)
    assert read_files == []
    os.utime(folder / "train" / "channel.i32", (1, 1))
    read(folder / "train")
    assert len(read_files) == 1


def test_processes_at_once_prepare_once(root, cache):
    """Expected: of three that start together, one reads the six files and two wait for it."""
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_load, args=(root, 0.02)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert sorted(int(path.read_text()) for path in cache.glob("*.reads")) == [0, 0, 6]


def test_killed_while_it_writes_leaves_nothing_that_is_read(root, cache):
    """Expected: a part that the next removes; the next one is whole."""
    child = multiprocessing.get_context("fork").Process(target=_load, args=(root, 5.0))
    child.start()
    while not list(cache.glob(".toy-*")):
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert event_cache.entries(cache) == []
    assert len(list(cache.glob(".toy-*"))) == 1
    assert Toy().load(root)["test"].target.tolist() == [0, 1]
    assert list(cache.glob(".toy-*")) == []


def test_a_full_disk_is_one_line_and_harms_nothing(root, cache, monkeypatch):
    """Expected: exit code 2, the cache's folder and the remedy named; what was there is there, no part is left."""
    Toy().load(root)
    before = event_cache.entries(cache)
    monkeypatch.setattr(Toy, "reader", 2)

    def full(self: Writer, recording: Recording) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Writer, "add", full)
    with raises_naming(StorageError, "toy", "No space left on device") as caught:
        Toy().load(root)
    assert caught.value.exit_code == 2
    assert "SGBENCH_CACHE" in str(caught.value)
    assert event_cache.entries(cache) == before
    assert list(cache.glob(".toy-*")) == []


def test_what_was_not_used_longest_goes_first(cache, monkeypatch):
    """Expected by hand: room for two of three; the second, used again, outlives the first."""
    monkeypatch.setenv("SGBENCH_CACHE_GB", "0.000001")  # 1000 bytes

    def fill(folder: Path) -> None:
        (folder / "a").write_bytes(b"0" * 400)

    def prepared(name: str, at_s: int) -> Path:
        folder = event_cache.prepared(name, {}, fill)
        os.utime(folder, (at_s, at_s))
        return folder

    first, second = prepared("first", 1), prepared("second", 2)
    os.utime(first, (1, 1))
    third = prepared("third", 3)
    assert [folder.is_dir() for folder in (first, second, third)] == [False, True, True]

    def too_much(folder: Path) -> None:
        (folder / "a").write_bytes(b"0" * 1001)

    with raises_naming(InputError, "0.00 GB", "set SGBENCH_CACHE_GB"):
        event_cache.prepared("large", {}, too_much)
    assert second.is_dir()
    assert third.is_dir()


@pytest.mark.parametrize("text", ["none", "0", "-1", "nan", "inf"])
def test_the_limit_is_a_number(cache, monkeypatch, text):
    """Expected: one line."""
    monkeypatch.setenv("SGBENCH_CACHE_GB", text)
    with raises_naming(InputError, f"SGBENCH_CACHE_GB={text}", "above 0"):
        event_cache.prepared("a", {}, lambda folder: None)
