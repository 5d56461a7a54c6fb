"""Readers of SHD and SSC, on files of their exact format, hostile ones too, and against tonic's own loaders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from sgbench.datasets.base import SPLITS, Split, sizes
from sgbench.datasets.formats.spike_hdf5 import recordings
from sgbench.datasets.shd import Shd
from sgbench.datasets.ssc import Ssc
from sgbench.errors import InputError
from tests.datasets import original_formats as formats
from tests.datasets.against_tonic import by_tonic, tonic, whole
from tests.messages import raises_naming

pytestmark = pytest.mark.usefixtures("offline")


h5py = pytest.importorskip("h5py", reason="HDF5 needs the extra: pip install 'sgbench[events]'")


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
        file.create_dataset("spikes/units", (1,), dtype=h5py.vlen_dtype(np.uint16))[0] = np.array([1, 2], np.uint16)
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
        assert [sorted(c for _, c in own) for _, own in ours[split]] == [sorted(c for _, c in own) for _, own in theirs]


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


@pytest.mark.one_in(5)
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
    with raises_naming(InputError, "speaker 9", "0, 3"):
        SmallShd(validation_speakers=[9]).load(tmp_path)
    for wrong in ([], "9", [True], [-1]):
        with raises_naming(InputError, "dataset.validation_speakers=", "list of numbers"):
            Shd(validation_speakers=wrong)
