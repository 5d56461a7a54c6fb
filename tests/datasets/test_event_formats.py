"""Readers of published recordings, on files of their exact formats and against tonic's own loaders.

Legend: H, W of a camera's image; a channel is (p H + y) W + x. The network is closed.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import json
import os
import pickle
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import sgbench
from sgbench.datasets.asl_dvs import LETTERS, AslDvs, read_mat
from sgbench.datasets.base import SPLITS, Samples, Split, sizes
from sgbench.datasets.by_rule import shares
from sgbench.datasets.checks import check
from sgbench.datasets.cifar10_dvs import CLASSES, SPLIT_FILE, Cifar10Dvs
from sgbench.datasets.dvs_gesture import DvsGesture, read_table
from sgbench.datasets.event_files import EventFiles
from sgbench.datasets.formats import aedat4, event_bin
from sgbench.datasets.formats.spike_hdf5 import recordings
from sgbench.datasets.idx_images import FILES, IdxImages
from sgbench.datasets.mnist import Mnist
from sgbench.datasets.n_caltech101 import NCaltech101
from sgbench.datasets.nmnist import Nmnist
from sgbench.datasets.s_mnist import SMnist
from sgbench.datasets.shd import Shd
from sgbench.datasets.ssc import Ssc
from sgbench.errors import InputError
from tests.datasets import original_formats as formats

h5py = pytest.importorskip("h5py", reason="HDF5 needs the extra: pip install 'sgbench[events]'")
Columns = formats.Columns


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection, and a cache of its own."""

    def closed(*_: Any) -> None:
        raise AssertionError("a test uses the network")

    monkeypatch.setattr(socket.socket, "connect", closed)
    monkeypatch.setenv("SGBENCH_CACHE", str(tmp_path / "cache"))


@functools.cache
def tonic() -> Any:
    """tonic's data sets, or a skip."""
    pytest.importorskip("tonic", reason="tonic is not installed: pip install 'sgbench[events]'")
    from tonic import datasets

    return datasets


def whole(made: EventFiles, root: Path) -> dict[str, list[tuple[int, list[tuple[int, int]]]]]:
    """Class and spikes (time, channel) of each sample, by split, after all checks."""
    splits = made.load(root)
    check(made, splits)
    return {split: each_sample(splits[split]) for split in SPLITS}


def each_sample(samples: Samples) -> list[tuple[int, list[tuple[int, int]]]]:
    found = []
    for place, label in enumerate(samples.target.tolist()):
        one = samples.values[torch.tensor([place])]
        found.append((label, list(zip(one.time_us.tolist(), one.channel.tolist(), strict=True))))
    return found


def by_tonic(data: Any, channel: Any, label: Any = int) -> list[tuple[int, list[tuple[int, int]]]]:
    """The same of a loader of tonic."""
    found = []
    for events, target in data:
        rows = sorted(
            zip(np.asarray(events["t"]).astype(int).tolist(), channel(events).tolist(), strict=True)
        )
        found.append((label(target), rows))
    return found


def pixel_channel(height: int, width: int) -> Any:
    return lambda events: (events["p"].astype(int) * height + events["y"]) * width + events["x"]


# --- SHD and SSC


class SmallShd(Shd):
    sizes: Mapping[Split, int] = sizes(0, 0, 20)
    recorded: ClassVar[Mapping[tuple[Split, ...], int]] = {("train", "validation"): 60}


def test_shd_as_tonic_reads_it_and_no_speaker_in_two_splits(tmp_path):
    """Expected: tonic's events within a microsecond (it truncates, we round); speaker 9 alone in validation."""
    speakers = [0] * 20 + [9] * 20 + [3] * 20
    formats.heidelberg(tmp_path / "SHD" / "shd_train.h5", speakers=speakers, classes=20, seed=0)
    formats.heidelberg(tmp_path / "SHD" / "shd_test.h5", speakers=[4] * 20, classes=20, seed=1)
    made = SmallShd(validation_speakers=[9])
    ours = whole(made, tmp_path)
    assert dict(made.sizes) == {"train": 40, "validation": 20, "test": 20}
    for name in ("shd_train.h5.zip", "shd_test.h5.zip"):
        (tmp_path / "SHD" / name).touch()  # tonic looks for the archive's name
    parts = [tonic().SHD(str(tmp_path), train=train) for train in (True, False)]
    train, test = (by_tonic(part, lambda events: events["x"]) for part in parts)
    expected = {"train": train[:20] + train[40:], "validation": train[20:40], "test": test}
    assert sum(len(own) for _, own in ours["train"]) > 500
    for split in SPLITS:
        for (label, own), (their_label, theirs) in zip(ours[split], expected[split], strict=True):
            assert label == their_label
            assert sorted(c for _, c in own) == sorted(c for _, c in theirs)
            assert all(0 <= t - u <= 1 for (t, _), (u, _) in zip(own, theirs, strict=True))


def test_half_precision_times_are_rounded_to_microseconds(tmp_path):
    """Expected by hand: 0.01 in float32 is 0.0099999998; a step of 10 ms begins there, not before."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (1,), dtype=h5py.vlen_dtype(np.float32))
        times[0] = np.array([0.01, 0.0004997], np.float32)
        file.create_dataset("spikes/units", (1,), dtype=h5py.vlen_dtype(np.uint16))[0] = np.array(
            [1, 2], np.uint16
        )
        file["labels"] = np.zeros(1, np.uint16)
    (one,) = recordings(path, [0], 1)
    assert np.asarray(one.time_us).tolist() == [10_000, 500]


class SmallSsc(Ssc):
    sizes = sizes(35, 35, 35)


def test_ssc_has_the_three_official_files(tmp_path):
    """Expected: tonic's labels and units of each file in our split of that name."""
    for seed, name in enumerate(("train", "valid", "test")):
        path = tmp_path / "SSC" / f"ssc_{name}.h5"
        formats.heidelberg(path, speakers=[seed] * 35, classes=35, seed=seed)
        path.with_name(path.name + ".zip").touch()
    ours = whole(SmallSsc(), tmp_path)
    for split, name in (("train", "train"), ("validation", "valid"), ("test", "test")):
        theirs = by_tonic(tonic().SSC(str(tmp_path), split=name), lambda events: events["x"])
        assert [label for label, _ in ours[split]] == [label for label, _ in theirs] == list(range(35))
        assert [sorted(c for _, c in own) for _, own in ours[split]] == [
            sorted(c for _, c in own) for _, own in theirs
        ]


def spoil_hdf5(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "not hdf5":
        path.write_bytes(b"<html>404</html>")
    elif how == "empty":
        path.write_bytes(b"")
    else:
        with h5py.File(path, "r+") as file:
            spoil_inside(file, how, path)


def spoil_inside(file: Any, how: str, path: Path) -> None:  # noqa: C901 - a list of ways
    if how == "no labels":
        del file["labels"]
    elif how == "link out":
        del file["labels"]
        file["labels"] = h5py.ExternalLink("/etc/passwd", "/labels")
    elif how == "soft link":
        del file["labels"]
        file["labels"] = h5py.SoftLink("/extra/speaker")
    elif how == "external data":
        del file["labels"]
        (path.parent / "raw").write_bytes(b"\0" * 400)
        file.create_dataset("labels", (60,), np.uint16, external=[(str(path.parent / "raw"), 0, 400)])
    elif how == "strings":
        del file["labels"]
        file["labels"] = np.array([b"cos\nsystem\n(S'true'\ntR."] * 60)
    elif how == "huge":
        del file["labels"]
        file.create_dataset("labels", (1 << 40,), np.uint16, chunks=(1024,))
    elif how == "object times":
        del file["spikes/times"]
        file.create_dataset("spikes/times", (60,), dtype=h5py.string_dtype())
    elif how == "few units":
        del file["spikes/units"]
        file.create_dataset("spikes/units", (3,), dtype=h5py.vlen_dtype(np.uint16))
    elif how == "label":
        file["labels"][7] = 20
    elif how == "unit":
        file["spikes/units"][2] = np.array([700], np.uint16)
        file["spikes/times"][2] = np.array([0.5], np.float16)
    elif how == "infinite":
        file["spikes/units"][2] = np.array([3], np.uint16)
        file["spikes/times"][2] = np.array([np.inf], np.float16)
    elif how == "negative":
        file["spikes/units"][2] = np.array([3], np.uint16)
        file["spikes/times"][2] = np.array([-0.5], np.float16)


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("cut", r"not a whole HDF5 file|cut off or damaged"),
        ("not hdf5", r"not a whole HDF5 file"),
        ("empty", r"not a whole HDF5 file"),
        ("no labels", r"labels is missing, or is a link"),
        ("link out", r"labels is missing, or is a link"),
        ("soft link", r"labels is missing, or is a link"),
        ("external data", r"labels does not lie in the file itself"),
        ("strings", r"labels holds \|S\d+, not whole numbers"),
        ("huge", r"labels has shape \(1099511627776,\), not one entry a sample"),
        ("object times", r"spikes/times holds \w+, not lists of numbers"),
        ("few units", r"60 lists of times, 3 of units, 60 labels"),
        ("label", r"sample 7 has label 20, outside 0\.\.19"),
        ("unit", r"sample 2: a spike of channel 700, outside 0\.\.699"),
        ("infinite", r"sample 2 has a time that is not finite"),
        ("negative", r"sample 2: a spike at -500000 us, outside"),
    ],
)
def test_hostile_hdf5_is_one_line(tmp_path, how, complaint):
    """Expected: an InputError (exit code 2) that names the file; no part of a data set is left behind."""
    train = tmp_path / "SHD" / "shd_train.h5"
    formats.heidelberg(train, speakers=[0] * 40 + [9] * 20, classes=20, seed=0)
    formats.heidelberg(tmp_path / "SHD" / "shd_test.h5", speakers=[4] * 20, classes=20, seed=1)
    spoil_hdf5(train, how)
    with pytest.raises(InputError, match=complaint) as caught:
        SmallShd(validation_speakers=[9]).load(tmp_path)
    assert "shd_train.h5" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").glob("*shd-*"))


def test_a_speaker_nobody_is(tmp_path):
    """Expected: the known ones are named; a wrong list is refused before any file."""
    formats.heidelberg(tmp_path / "SHD" / "shd_train.h5", speakers=[0, 3] * 30, classes=20, seed=0)
    formats.heidelberg(tmp_path / "SHD" / "shd_test.h5", speakers=[4] * 20, classes=20, seed=1)
    with pytest.raises(InputError, match=r"nobody is speaker 9; speakers are 0, 3$"):
        SmallShd(validation_speakers=[9]).load(tmp_path)
    for wrong in ([], "9", [True], [-1]):
        with pytest.raises(InputError, match=r"^dataset\.validation_speakers=.* a list of numbers"):
            Shd(validation_speakers=wrong)


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
    theirs = [
        by_tonic(tonic().NMNIST(str(tmp_path), train=train), pixel_channel(34, 34)) for train in (True, False)
    ]
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
        with pytest.raises(InputError, match=r"1\.npy: (not a whole array|holds )") as caught:
            read_table(path)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "pwned").exists()
    path.write_bytes(good)
    assert len(read_table(path).x) == 5


# --- CIFAR10-DVS


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
    pixels = aedat4.read(path)
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
        with pytest.raises(InputError, match=r"a\.aedat4: not a whole AEDAT 4 file"):
            aedat4.read(path)
    random = np.random.default_rng(1)
    for place in random.integers(0, len(good), 200).tolist():
        changed = bytearray(good)
        changed[place] ^= int(random.integers(1, 256))
        path.write_bytes(bytes(changed))
        with contextlib.suppress(InputError):
            assert len(aedat4.read(path).x) < len(good)


def test_the_split_of_cifar10_dvs_is_a_file_of_the_package(tmp_path, monkeypatch):
    """Expected: 100 of each class in validation and test, disjoint; the rule that made the file makes it again."""
    table = json.loads(SPLIT_FILE.read_text())
    assert list(table) == list(CLASSES)
    for name, parts in table.items():
        made = shares({name: [f"{name}/{number}" for number in range(1000)]}, (1, 1))
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
    with pytest.raises(InputError, match=r"a\.mat: an event at x="):
        read_mat(path).channel((2, 180, 240), str(path))


# --- S-MNIST


def test_s_mnist_as_tonic_makes_it(tmp_path, monkeypatch):
    """Expected: tonic's spikes of every image, white ones among them; a sample lasts all its pixels."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    IdxImages.fake(folder, train=200, test=10, seed=1)

    class SmallMnist(Mnist):
        sizes = sizes(150, 50, 10)
        file_sha256: ClassVar[Mapping[str, str]] = {
            name: hashlib.sha256((folder / name.removesuffix(".gz")).read_bytes()).hexdigest()
            for name in FILES
        }

    class Small(SMnist):
        sizes = sizes(150, 50, 10)
        images = SmallMnist

    made = Small(channels=99, repeat=2, step_us=1000)
    splits = made.load(tmp_path)
    assert check(made, splits)
    assert splits["test"].values.duration_us.tolist() == [2 * 784 * 1000] * 10
    (tmp_path / "smnist").symlink_to(folder)
    theirs = by_tonic(tonic().SMNIST(str(tmp_path), train=False), lambda events: events["x"])
    assert each_sample(splits["test"]) == theirs
    assert any(channel == 0 for _, own in theirs for _, channel in own)
    with pytest.raises(InputError, match=r"^dataset\.channels=98: an odd number is needed$"):
        SMnist(channels=98, repeat=2, step_us=1000)


def test_gzipped_files_of_mnist_serve_as_well(tmp_path):
    """Expected: the originals are found packed or not."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    IdxImages.fake(folder, train=20, test=10, seed=1)
    made = SMnist(channels=99, repeat=2, step_us=1000)
    assert made.missing(tmp_path) is None
    path = folder / FILES[0].removesuffix(".gz")
    path.with_name(FILES[0]).write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert made.originals(folder)[0] == FILES[0]
    (folder / FILES[0]).unlink()
    assert "the folder mnist of the data root" in made.missing(tmp_path)
