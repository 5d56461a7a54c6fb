"""Readers of N-MNIST, N-Caltech101, DVS Gesture and ASL-DVS, on files of their formats and against tonic's loaders.

Legend: H, W of a camera's image; a channel is (p H + y) W + x.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from sgbench.datasets.asl_dvs import LETTERS, AslDvs, read_mat
from sgbench.datasets.base import SPLITS, Split, sizes
from sgbench.datasets.dvs_gesture import DvsGesture, read_table
from sgbench.datasets.formats import event_bin
from sgbench.datasets.n_caltech101 import NCaltech101
from sgbench.datasets.nmnist import Nmnist
from sgbench.errors import InputError
from tests.datasets import original_formats as formats
from tests.datasets.against_tonic import by_tonic, tonic, whole
from tests.messages import raises_naming

pytestmark = pytest.mark.usefixtures("offline")


def pixel_channel(height: int, width: int) -> Any:
    return lambda events: (events["p"].astype(int) * height + events["y"]) * width + events["x"]


# --- N-MNIST and N-Caltech101


class SmallNmnist(Nmnist):
    sizes = sizes(60, 10, 20)
    least = 20


def test_nmnist_as_tonic_reads_it(tmp_path, monkeypatch):
    """Expected: tonic's events of every file, one with a clock that runs over; a sixth of each digit validates."""
    random = np.random.default_rng(0)
    for folder, each in (("Train", 7), ("Test", 2)):
        for digit in range(10):
            for number in range(each):
                path = tmp_path / "NMNIST" / folder / str(digit) / f"{digit * each + number + 1:05d}.bin"
                path.parent.mkdir(parents=True, exist_ok=True)
                columns = formats.some_events(random, 50, 34, 34, 300_000)
                columns[1][30] = 240 * (number == 0) + columns[1][30] * (number > 0)
                path.write_bytes(formats.atis_bytes(columns))
    ours = whole(SmallNmnist(), tmp_path)
    monkeypatch.setattr(tonic().NMNIST, "_check_exists", lambda self: True)
    theirs = [by_tonic(tonic().NMNIST(str(tmp_path), train=train), pixel_channel(34, 34)) for train in (True, False)]
    assert ours["test"] == theirs[1]
    assert sorted(ours["train"] + ours["validation"]) == sorted(theirs[0])
    assert [label for label, _ in ours["validation"]] == list(range(10))
    assert min(len(own) for _, own in ours["train"] + ours["validation"]) == 49


@pytest.mark.skipif(
    not (Path(os.environ.get("SGBENCH_DATA", "nowhere")) / "NMNIST-1100" / "Test").is_dir(),
    reason="real N-MNIST recordings are not here: point SGBENCH_DATA to a folder with NMNIST-1100",
)
def test_real_recordings_as_tonic_reads_them(monkeypatch, tmp_path):
    """Expected: tonic's events of the hundred test recordings; about 4000 events each in 0.3 s."""
    root = Path(os.environ["SGBENCH_DATA"]) / "NMNIST-1100"
    names = sorted(path.relative_to(root).as_posix() for path in root.glob("Test/*/*.bin"))
    monkeypatch.setattr(tonic().NMNIST, "_check_exists", lambda self: True)
    (tmp_path / "NMNIST").symlink_to(root)
    theirs = tonic().NMNIST(str(tmp_path), train=False)
    events = 0
    for recording, (expected, label) in zip(Nmnist().read(root, names), theirs, strict=True):
        assert recording.target == label
        assert np.array_equal(recording.channel, pixel_channel(34, 34)(expected))
        assert np.array_equal(recording.time_us, expected["t"])
        events += len(expected)
    assert 3000 < events / len(names) < 5000


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (bytes(7), r"a\.bin: 7 bytes are no whole number of events; fetch it again$"),
        (formats.atis_bytes(([34], [0], [0], [5])), r"a\.bin: an event at x=34, outside 0\.\.33$"),
        (formats.atis_bytes(([0], [34], [0], [5])), r"a\.bin: an event at y=34, outside 0\.\.33$"),
    ],
)
def test_damaged_recordings_are_one_line(tmp_path, data, complaint):
    """Expected: an InputError that names the file."""
    path = tmp_path / "Train" / "0" / "a.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    with pytest.raises(InputError, match=complaint):
        list(Nmnist().read(tmp_path, ["Train/0/a.bin"]))


def test_an_empty_recording_and_a_single_event(tmp_path):
    """Expected by hand: no event is a silent sample; one is at its own place."""
    assert [len(part) for part in event_bin.parse(b"", "a")] == [0, 0, 0, 0]
    (tmp_path / "a.bin").write_bytes(formats.atis_bytes(([33], [1], [1], [258])))
    pixels = event_bin.read(tmp_path / "a.bin")
    assert pixels.channel((2, 34, 34), "a").tolist() == [34 * 34 + 34 + 33]
    assert pixels.time_us.tolist() == [258]


class SmallCaltech(NCaltech101):
    recorded: ClassVar[Mapping[tuple[Split, ...], int]] = {("train", "validation", "test"): 303}


def test_n_caltech101_as_tonic_reads_it(tmp_path, monkeypatch):
    """Expected: tonic's events, each file in one split; one of three of each class validates and one tests."""
    random = np.random.default_rng(0)
    for kind in range(101):
        for number in range(3):
            path = tmp_path / "NCALTECH101" / "Caltech101" / f"kind_{kind:03d}" / f"image_{number:04d}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(formats.atis_bytes(formats.some_events(random, 9, 233, 173, 300_000)))
    ours = whole(SmallCaltech(), tmp_path)
    monkeypatch.setattr(tonic().NCALTECH101, "_check_exists", lambda self: True)
    data = tonic().NCALTECH101(str(tmp_path))
    theirs = by_tonic(data, pixel_channel(180, 240), lambda name: int(name[-3:]))
    assert sorted(ours["train"] + ours["validation"] + ours["test"]) == sorted(theirs)
    for split in SPLITS:
        assert sorted(label for label, _ in ours[split]) == list(range(101))


# --- DVS Gesture


def gestures(root: Path, users: range, folder: str, random: np.random.Generator) -> None:
    for user in users:
        for label in range(11):
            columns = formats.some_events(random, 12, 128, 128, 1_500_000)
            formats.gesture(root / "DVSGesture" / folder / f"user{user:02d}_led" / f"{label}.npy", columns)


def test_dvs_gesture_as_tonic_reads_it_and_no_user_in_two_splits(tmp_path, monkeypatch):
    """Expected: tonic's events; users 20 and 21 validate, 24 tests."""
    random = np.random.default_rng(0)
    gestures(tmp_path, range(19, 22), "ibmGestureTrain", random)
    gestures(tmp_path, range(24, 25), "ibmGestureTest", random)
    ours = whole(DvsGesture(validation_users=[20, 21, 22, 23]), tmp_path)
    monkeypatch.setattr(tonic().DVSGesture, "_check_exists", lambda self: True)
    train, test = (tonic().DVSGesture(str(tmp_path), train=train) for train in (True, False))
    channel = pixel_channel(128, 128)
    assert sorted(ours["test"]) == sorted(by_tonic(test, channel))
    theirs = by_tonic(train, channel)
    known = sorted(own for own, user in zip(theirs, train.users, strict=True) if user == 19)
    unknown = sorted(own for own, user in zip(theirs, train.users, strict=True) if user != 19)
    assert sorted(ours["train"]) == known
    assert sorted(ours["validation"]) == unknown
    assert len(unknown) == 22


def test_hostile_npy_is_one_line_and_never_unpickled(tmp_path):
    """Expected: an InputError that names the file; a pickle inside does not run."""

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "pwned"),)

    path = tmp_path / "1.npy"
    np.save(path, np.array([Bomb()], object), allow_pickle=True)
    pickled = path.read_bytes()
    np.save(path, np.zeros((5, 4), np.int64))
    good = path.read_bytes()
    huge = good.replace(b"(5, 4)", b"(999999999999, 4)")
    np.save(path, np.zeros((5, 3), np.int64))
    narrow = path.read_bytes()
    np.save(path, np.zeros((5, 4)))
    floats = path.read_bytes()
    raw = pickle.dumps(Bomb())
    for data in (pickled, good[:-8], huge, narrow, floats, raw, b"", b"PK\x03\x04"):
        path.write_bytes(data)
        with raises_naming(InputError, str(path)):
            read_table(path)
    assert not (tmp_path / "pwned").exists()
    path.write_bytes(good)
    assert len(read_table(path).x) == 5


# --- ASL-DVS


class SmallAsl(AslDvs):
    sizes = sizes(24, 24, 24)
    per_letter = 3


def test_asl_dvs_as_tonic_reads_it(tmp_path, monkeypatch):
    """Expected: tonic's events, times from the first on."""
    random = np.random.default_rng(0)
    for name in LETTERS:
        for number in range(3):
            columns = formats.some_events(random, 6, 240, 180, 90_000)
            formats.letter(tmp_path / "ASLDVS" / name / f"{name}_{number:04d}.mat", columns)
    ours = whole(SmallAsl(), tmp_path)
    monkeypatch.setattr(tonic().ASLDVS, "_check_exists", lambda self: True)
    data = tonic().ASLDVS(str(tmp_path))
    theirs = by_tonic(
        ((own.reshape(-1), target) for own, target in data),
        pixel_channel(180, 240),
        lambda target: LETTERS.index(chr(97 + target)),
    )
    theirs = [(label, [(t - own[0][0], c) for t, c in own]) for label, own in theirs]
    assert sorted(ours["train"] + ours["validation"] + ours["test"]) == sorted(theirs)


def test_hostile_mat_is_one_line(tmp_path):
    """Expected: an InputError that names the file: cut off, other columns, cells or lengths, or outside."""
    from scipy.io import savemat

    path = tmp_path / "a.mat"
    columns = formats.some_events(np.random.default_rng(0), 6, 240, 180, 90_000)
    formats.letter(path, columns)
    good = path.read_bytes()
    assert len(read_mat(path).x) == 6
    for data in (good[:200], good[:-40], b"", b"MATLAB 5.0", b"\x80\x04K\x01."):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"a\.mat: "):
            read_mat(path)
    one = np.ones((6, 1), np.int32)
    cell = np.empty((6, 1), object)
    cell[:] = "text"
    for tree in (
        {"ts": one, "x": one, "y": one},
        {"ts": one, "x": one, "y": one, "pol": cell},
        {"ts": one, "x": one, "y": one, "pol": one[:3]},
        {"ts": one, "x": one, "y": one, "pol": {"a": 1}},
        {"ts": one * np.nan, "x": one, "y": one, "pol": one},
    ):
        savemat(path, tree)
        with pytest.raises(InputError, match=r"a\.mat: "):
            read_mat(path)
    formats.letter(path, (columns[0] + 240, *columns[1:]))
    with raises_naming(InputError, "a.mat", "x="):
        read_mat(path).channel((2, 180, 240), str(path))
