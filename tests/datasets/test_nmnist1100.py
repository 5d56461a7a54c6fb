"""The first 1100 recordings of N-MNIST: its split, the camera's bytes, and what is wrong with them.

Legend: a fake is a small data set in the published format of 40 bits an event.
"""

from pathlib import Path

import pytest
import torch

from sgbench.cli.main import main
from sgbench.datasets.base import SPLITS, sizes
from sgbench.datasets.checks import check
from sgbench.datasets.formats import event_bin
from sgbench.datasets.nmnist1100 import Nmnist1100
from sgbench.errors import InputError
from tests.datasets.fakes import fake_nmnist1100

ONE = "Train/4/00005.bin"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with 6 training and 2 test recordings of each digit."""
    fake_nmnist1100(tmp_path / "NMNIST-1100", train=6, test=2, seed=4)
    monkeypatch.setenv("SGBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SGBENCH_DATA", str(tmp_path))
    monkeypatch.setattr(Nmnist1100, "least", 20)
    monkeypatch.setattr(Nmnist1100, "sizes", sizes(50, 10, 20))
    monkeypatch.setattr(Nmnist1100, "sha256", None)
    return tmp_path


def events(data: bytes) -> list[tuple[int, int]]:
    """Time [us] and channel of each event, one byte after the other."""
    found, late = [], 0
    for start in range(0, len(data), 5):
        x, y, high, middle, low = data[start : start + 5]
        if y == 240:
            late += 8192
            continue
        time_us = (high % 128) * 65536 + middle * 256 + low + late
        found.append((time_us, ((high // 128) * 34 + y) * 34 + x))
    return sorted(found)


def test_samples_are_the_files_of_their_split(root):
    """Expected: the test folder tests, one of six others of each digit validates; every event is there."""
    made = Nmnist1100()
    splits = made.load(root)
    check(made, splits)
    assert [torch.bincount(splits[split].target).tolist() for split in SPLITS] == [[5] * 10, [1] * 10, [2] * 10]
    found = []
    for split in SPLITS:
        values = splits[split].values
        for place in range(len(values)):
            one = values[torch.tensor([place])]
            found.append(list(zip(one.time_us.tolist(), one.channel.tolist(), strict=True)))
    files = sorted((root / "NMNIST-1100").rglob("*.bin"))
    assert sorted(found) == sorted(events(path.read_bytes()) for path in files)


def test_a_clock_that_ran_over_makes_later_events_later():
    """Expected by hand: an event in row 240 is none, and adds 8192 us to all behind it."""
    data = bytes([1, 2, 0, 0, 9]) + bytes([0, 240, 0, 0, 0]) + bytes([3, 4, 128, 0, 1])
    pixels = event_bin.parse(data, "a.bin")
    assert [part.tolist() for part in pixels] == [[1, 3], [2, 4], [0, 1], [9, 8193]]
    assert events(data) == [(9, 69), (8193, (34 + 4) * 34 + 3)]


@pytest.mark.parametrize(
    ("data", "spikes"),
    [
        (b"", []),
        (bytes([33, 33, 0x80, 0, 7]), [(7, 2 * 34 * 34 - 1)]),
        (bytes([5, 6, 0, 1, 0]) + bytes([7, 8, 0, 0, 3]), [(3, 8 * 34 + 7), (256, 6 * 34 + 5)]),
    ],
)
def test_empty_single_and_unordered_recordings_are_samples(root, data, spikes):
    """Expected: no event, one in the last channel, and two that are put into the order of time."""
    (root / "NMNIST-1100" / ONE).write_bytes(data)
    splits = Nmnist1100().load(root)
    all_of = [splits[split].values for split in ("train", "validation")]
    found = [
        list(zip(one.time_us.tolist(), one.channel.tolist(), strict=True))
        for values in all_of
        for one in (values[torch.tensor([place])] for place in range(len(values)))
    ]
    assert spikes in found
    check(Nmnist1100(), splits)


def damage(path: Path, how: str) -> None:
    changed = {
        "cut": path.read_bytes()[:-2],
        "column": bytes([34, 0, 0, 0, 0]),
        "row": bytes([0, 200, 0, 0, 0]),
        "a web page": b"<html>404 not found</html>",
    }
    if how == "missing":
        path.unlink()
    elif how == "a folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(changed[how])


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("cut", r"00005\.bin: 248 bytes are no whole number of events; fetch it again"),
        ("column", r"00005\.bin: an event at x=34, outside 0\.\.33"),
        ("row", r"00005\.bin: an event at y=200, outside 0\.\.33"),
        ("a web page", r"00005\.bin: 26 bytes are no whole number of events"),
        ("missing", r"Train holds 59 files .*, at least 60 are needed; put recordings 00001 to 01000 of "),
        ("a folder", r"Train holds 59 files "),
    ],
)
def test_a_damaged_recording_ends_the_command_with_one_line(root, how, complaint, capsys, monkeypatch):
    """Expected: exit code 2 and one line that names the file or the folder."""
    monkeypatch.setattr(Nmnist1100, "least", 60 if how in ("missing", "a folder") else 20)
    damage(root / "NMNIST-1100" / ONE, how)
    with pytest.raises(InputError, match=complaint):
        Nmnist1100().load(root)
    assert main(["data", "check", "nmnist1100"]) == 2
    assert "\n" not in capsys.readouterr().err.strip()
