"""The reader of CIFAR10-DVS, its AEDAT4 files against another library's decoder, and its split."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sgbench
from sgbench.datasets.base import SPLITS, divide_classes, sizes
from sgbench.datasets.cifar10_dvs import CLASSES, SPLIT_FILE, Cifar10Dvs, read_aedat4
from sgbench.errors import InputError
from tests.datasets import original_formats as formats
from tests.datasets.against_tonic import whole
from tests.messages import raises_naming

pytestmark = pytest.mark.usefixtures("offline")


def packer(compression: int) -> Any:
    """What packs a packet; the test is skipped where its library is not installed."""
    if compression == 1:
        return pytest.importorskip("lz4.frame").compress
    return pytest.importorskip("zstandard").ZstdCompressor().compress if compression else bytes


@pytest.mark.parametrize("compression", [0, 1, 3])
def test_aedat4_is_what_was_written_and_what_another_library_reads(tmp_path, compression):
    """Expected: the columns of both packets, times from the first event on; aedat's own decoder agrees."""
    random = np.random.default_rng(0)
    first, second = (formats.some_events(random, count, 128, 128, 100_000) for count in (40, 3))
    first, second = ((*own[:3], own[3] + shift) for own, shift in ((first, 1_000_000), (second, 1_200_000)))
    path = tmp_path / "a.aedat4"
    formats.aedat4(path, [first, second], compression=compression, pack=packer(compression))
    pixels = read_aedat4(path)
    x, y, p, t = (np.concatenate([a, b]) for a, b in zip(first, second, strict=True))
    assert [part.tolist() for part in pixels] == [part.tolist() for part in (x, y, p, t - t[0])]
    decoder = pytest.importorskip("aedat").Decoder(str(path))
    theirs = np.concatenate([packet["events"] for packet in decoder if "events" in packet])
    assert theirs["t"].tolist() == t.tolist()
    assert theirs["x"].tolist() == x.tolist()
    assert theirs["on"].astype(int).tolist() == p.tolist()


def test_damaged_aedat4_is_one_line(tmp_path):
    """Expected: an InputError wherever the file is cut; whatever byte is changed, that or events."""
    path = tmp_path / "a.aedat4"
    formats.aedat4(path, [formats.some_events(np.random.default_rng(0), 4, 128, 128, 1000)], compression=0)
    good = path.read_bytes()
    for cut in range(0, len(good) - 20, 7):
        path.write_bytes(good[:cut])
        with raises_naming(InputError, "a.aedat4", "AEDAT 4"):
            read_aedat4(path)
    random = np.random.default_rng(1)
    for place in random.integers(0, len(good), 200).tolist():
        changed = bytearray(good)
        changed[place] ^= int(random.integers(1, 256))
        path.write_bytes(bytes(changed))
        with contextlib.suppress(InputError):
            assert len(read_aedat4(path).x) < len(good)


def test_the_split_of_cifar10_dvs_is_a_file_of_the_package(tmp_path, monkeypatch):
    """Expected: 100 of each class in validation and test, disjoint; the rule that made the file makes it again."""
    table = json.loads(SPLIT_FILE.read_text())
    assert list(table) == list(CLASSES)
    for name, parts in table.items():
        made = divide_classes({name: [f"{name}/{number}" for number in range(1000)]}, (1, 1))
        for split in ("validation", "test"):
            assert parts[split] == sorted(int(own.split("/")[1]) for own in made[split])
            assert len(set(parts[split])) == 100
        assert not set(parts["validation"]) & set(parts["test"])


def test_cifar10_dvs_reads_its_folders(tmp_path, monkeypatch):
    """Expected by hand: three files of each class, of which the split file puts one into each part."""
    monkeypatch.setattr("sgbench.datasets.cifar10_dvs.EACH", 3)
    table = __import__("json").loads(
        (Path(sgbench.__file__).parent / "datasets" / "splits" / "cifar10_dvs.json").read_text()
    )
    random = np.random.default_rng(0)
    for name in CLASSES:
        held_out = [table[name][split][0] for split in ("validation", "test")]
        free = next(n for n in range(1000) if n not in table[name]["validation"] + table[name]["test"])
        for number in (free, *held_out):
            path = tmp_path / "CIFAR10DVS" / name / f"cifar10_{name}_{number}.aedat4"
            formats.aedat4(path, [formats.some_events(random, 5, 128, 128, 1000)], compression=0)

    class Small(Cifar10Dvs):
        sizes = sizes(10, 10, 10)

    ours = whole(Small(), tmp_path)
    for split in SPLITS:
        assert [label for label, _ in ours[split]] == list(range(10))
