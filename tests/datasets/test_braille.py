"""Braille letters and the .npz files that they come in.

Legend: a fake is a small-valued data set of the published format; theta is the threshold of an event.
"""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from sgbench.datasets.base import SPLITS, fingerprint
from sgbench.datasets.braille import FILE, Braille, BrailleDelta, send_on_delta
from sgbench.datasets.formats.npz import read_npz
from sgbench.errors import InputError
from tests.datasets.fakes import fake_braille
from tests.messages import raises_naming


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with a fake in it."""
    folder = tmp_path / "braille"
    folder.mkdir()
    fake_braille(folder, seed=3)
    return tmp_path


def events_by_hand(trace: list[int], threshold: int) -> list[tuple[int, int]]:
    """Step and sign of each event of one taxel, told one value after another."""
    reference, found = trace[0], []
    for step, value in enumerate(trace):
        if abs(value - reference) >= threshold:
            found.append((step, 1 if value > reference else -1))
            reference = value
    return found


def test_events_equal_a_loop_over_one_taxel_at_a_time(root):
    """Expected: a plain loop; every event of the fake, in the middle of its step, on its own channel."""
    data_set = BrailleDelta(threshold=7)
    x, y = data_set.read(root)["validation"]
    part = data_set.load(root)["validation"]
    assert part.target.tolist() == y.tolist()
    for sample in (0, 57, 215):
        own = part.values[torch.tensor([sample])]
        expected = [
            (taxel if sign > 0 else 12 + taxel, 25_000 * step + 12_500)
            for taxel in range(12)
            for step, sign in events_by_hand(x[sample, :, taxel].tolist(), 7)
        ]
        assert expected
        assert sorted(zip(own.channel.tolist(), own.time_us.tolist(), strict=True)) == sorted(expected)
        assert own.duration_us.tolist() == [1_900_000]


def test_reference_is_the_last_told_value_not_the_last_value():
    """Must differ: a slow rise of 2 a step tells every second step at theta 4; differences of steps never do."""
    trace = np.arange(0, 20, 2, dtype=np.uint8)[None, :, None]
    assert send_on_delta(trace, 4)[0, :, 0].tolist() == [False, False] + [True, False] * 4
    assert not (np.diff(trace.astype(int), axis=1) >= 4).any()


def test_bytes_do_not_wrap_around():
    """Expected: from 250 to 5 is a fall of 245, not a rise of 11."""
    told = send_on_delta(np.array([[[250], [5]]], dtype=np.uint8), 10)
    assert told[0, 1].tolist() == [False, True]


def test_split_is_by_whole_repetitions(root):
    """Expected: repetitions 0-31, 32-39 and 40-49 of each letter, whatever the order in the file."""
    with np.load(root / "braille" / FILE) as file:
        arrays = {name: file[name] for name in file.files}
    before = Braille().load(root)
    assert [len(before[name].target) for name in SPLITS] == [27 * 32, 27 * 8, 27 * 10]
    for name in SPLITS:
        assert torch.bincount(before[name].target).tolist() == [len(before[name].target) // 27] * 27
    x = arrays["x"].reshape(27, 50, 76, 12)
    assert (before["validation"].values.numpy() == x[:, 32:40].reshape(-1, 76, 12)).all()
    order = np.random.default_rng(0).permutation(1350)
    np.savez_compressed(root / "braille" / FILE, **{name: each[order] for name, each in arrays.items()})
    assert fingerprint(Braille().load(root)) == fingerprint(before)


def test_a_changed_number_is_refused(root):
    """Expected: the fake is not the published data; one line with both checksums."""
    for data_set in (Braille(), BrailleDelta(threshold=10)):
        found = fingerprint(data_set.load(root))[:12]
        with raises_naming(InputError, type(data_set).__name__, found, str(data_set.sha256)[:12]):
            data_set.verify(data_set.load(root))
    assert BrailleDelta(threshold=11).sha256 is None


class Trap:
    """Unpickling it raises, so that a test would see it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("1 / 0",))


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


def header(shape: str, descr: str = "'|u1'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


HOSTILE = {
    "pickle of objects": (
        npy(np.array([Trap()], dtype=object)),
        "holds object, not plain numbers; nothing is unpickled",
    ),
    "bare pickle": (pickle.dumps(Trap()), "is not in NumPy's format"),
    "more than it has": (header("(1000000000000, 1000)"), "is not as long as its header declares"),
    "negative": (header("(-5,)"), "is not as long as its header declares"),
    "code for a header": (header("(__import__('os').getpid(),)"), "is not in NumPy's format"),
    "records": (npy(np.zeros(3, dtype=[("a", "i4")])), "not plain numbers"),
    "empty": (b"", "is not in NumPy's format"),
    "cut": (npy(np.zeros(9))[:-1], "is not as long as its header declares"),
    "longer": (npy(np.zeros(9)) + b"x", "is not as long as its header declares"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_arrays_are_one_line(tmp_path, kind):
    """Expected: an InputError (exit code 2) that names file and array; nothing runs, nothing large is allocated."""
    data, complaint = HOSTILE[kind]
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", data)
    with pytest.raises(InputError, match=complaint) as caught:
        read_npz(path, ["x"])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_array_that_unpacks_to_too_much_is_not_unpacked(tmp_path, monkeypatch):
    """Expected: the size in the archive's own list is read first; a mebibyte of zeros packs to little."""
    monkeypatch.setattr("sgbench.datasets.formats.npz.MAX_BYTES", 2**20)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros(2**20, np.uint8))
    assert path.stat().st_size < 2**20 / 100
    with raises_naming(InputError, f"{2**20 + 128} bytes", f"{2**20}"):
        read_npz(path, ["x"])


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        path.write_bytes(data[:2000] + bytes([data[2000] ^ 255]) + data[2001:])
    elif how == "web page":
        path.write_bytes(b"<html>404</html>")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "lacks an array":
        np.savez(path, x=np.zeros(3))
    elif how == "other shape":
        np.savez(path, x=np.zeros((3, 76, 12), np.uint8), y=np.zeros(3), repetition=np.zeros(3))
    elif how == "a repetition twice":
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        arrays["repetition"][0] = 1
        np.savez(path, **arrays)


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("missing", r"is not in .*braille; put tutorial5_braille_spiking_data\.pkl\.gz of "),
        ("cut", r"no \.npz file, cut off or damaged .*; fetch it again$"),
        ("flipped", r"no \.npz file, cut off or damaged .*; fetch it again$"),
        ("web page", r"no \.npz file, cut off or damaged .*; fetch it again$"),
        ("empty", r"no \.npz file, cut off or damaged .*; fetch it again$"),
        ("lacks an array", r"has no array 'y'"),
        ("other shape", r"x is uint8 \(3, 76, 12\), not uint8 \(1350, 76, 12\)"),
        ("a repetition twice", r"not 50 repetitions of each of 27 letters"),
    ],
)
def test_a_damaged_file_is_one_line(root, how, complaint):
    """Expected: an InputError on one line that names the file and the remedy."""
    damage(root / "braille" / FILE, how)
    with pytest.raises(InputError, match=complaint) as caught:
        Braille().load(root)
    assert FILE in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (Braille().missing(root) is None) == (how != "missing")


@pytest.mark.parametrize("threshold", [0, -1, 2.5, "10", True, None])
def test_threshold_is_a_whole_number(threshold):
    """Expected: one line that names the option."""
    with raises_naming(InputError, "dataset.threshold=", "at least 1"):
        BrailleDelta(threshold=threshold)
