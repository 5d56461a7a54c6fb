"""Fashion-MNIST before a simulated event camera: events by hand and by loops, movements, files and checksums.

Legend: theta threshold; a step is one of the camera's, in which a picture moves a little.
"""

import dataclasses
import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from sgbench.datasets import idx_images
from sgbench.datasets.base import SPLITS
from sgbench.datasets.camera_twins import CameraTwin, EventCamera, LoopTwin, SaccadeTwin
from sgbench.datasets.checks import check
from sgbench.datasets.fashion_mnist import FashionMnist
from sgbench.errors import InputError

EXACT = EventCamera(
    side=8, magnify=1, threshold=0.5, dark=10.0, corners=((0, 0), (2, 0), (2, 1)), line_s=0.02, mismatch=0.0
)


def pictures(count: int, side: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side), dtype=np.uint8)


def by_loops(camera: EventCamera, picture: np.ndarray) -> list[tuple[int, int]]:
    """Times [us] and channels of all events, pixel by pixel and step by step in plain Python."""
    side, dark = camera.side, math.log(camera.dark)
    first = (side - len(picture)) // 2

    def level(row: int, column: int) -> float:
        inside = 0 <= row < len(picture) and 0 <= column < len(picture)
        return math.log(picture[row, column] + camera.dark) if inside else dark

    def seen(y: int, x: int, right: float, down: float) -> float:
        row, column = y - first - down, x - first - right
        above, left = math.floor(row), math.floor(column)
        a, b = row - above, column - left
        return (1 - a) * ((1 - b) * level(above, left) + b * level(above, left + 1)) + a * (
            (1 - b) * level(above + 1, left) + b * level(above + 1, left + 1)
        )

    events = []
    path = camera.path().tolist()
    step_us = round(camera.step_s * 1e6)
    for y in range(side):
        for x in range(side):
            last = seen(y, x, *path[0])
            for step, place in enumerate(path[1:]):
                change = seen(y, x, *place) - last
                count = int(abs(change) // camera.threshold)
                last += math.copysign(count * camera.threshold, change)
                channel = (change > 0) * side**2 + y * side + x
                events += [(step * step_us + (k + 1) * step_us // (count + 1), channel) for k in range(count)]
    return sorted(events)


def test_events_are_those_of_a_pixel_by_pixel_loop():
    """Expected: every time and channel of a loop in plain Python, of three pictures at once."""
    some = pictures(3)
    for picture, (time_us, channel) in zip(some, EXACT.watch(some), strict=True):
        expected = by_loops(EXACT, picture)
        assert len(expected) > 50
        assert list(zip(time_us.tolist(), channel.tolist(), strict=True)) == expected


def test_a_pixel_counts_the_light_that_it_gained():
    """Expected by hand: a white square comes to a dark pixel once and stays: floor(ln(265 / 10) / 0.5) = 6 events
    brighter there and none darker; as many darker where it was."""
    square = np.full((1, 1, 1), 255, np.uint8)
    camera = dataclasses.replace(EXACT, corners=((0, 0), (1, 0)), side=5)
    ((_, channel),) = camera.watch(square)
    brighter, darker = (
        np.bincount(part, minlength=25) for part in (channel[channel >= 25] - 25, channel[channel < 25])
    )
    assert math.floor(math.log(26.5) / 0.5) == 6
    assert brighter[13] == darker[12] == 6
    assert brighter.sum() == darker.sum() == 6


def test_thresholds_differ_by_the_stated_mismatch():
    """Expected: a standard deviation of 2.1 % of the mean, Lichtsteiner et al.; evenly, so at most 3.6 %."""
    theta = dataclasses.replace(EXACT, side=200, mismatch=0.021).thresholds() / 0.5
    assert theta.std() == pytest.approx(0.021, rel=0.02)
    assert theta.mean() == pytest.approx(1, abs=1e-3)
    assert abs(theta - 1).max() <= 0.021 * math.sqrt(3)


def test_a_magnified_picture_is_interpolated_between_pixels():
    """Expected by hand: 3 pixels for one; the middle one of each has its level, the next a third of the way."""
    from sgbench.datasets.camera_twins import _enlarge

    levels = np.array([[[0.0, 3.0], [0.0, 3.0]]])
    large = _enlarge(levels, 3, 0.0)
    assert large.shape == (1, 6, 6)
    np.testing.assert_allclose(large[0, 2], [0, 0, 1, 2, 3, 2])


@pytest.mark.parametrize("twin", [SaccadeTwin, LoopTwin])
def test_movements_are_closed_and_straight(twin):
    """Expected: a path that ends where it began, whose speed is the same in all steps of a line."""
    path = twin.camera.path()
    np.testing.assert_allclose(path[0], path[-1])
    a_line = round(twin.camera.line_s / twin.camera.step_s)
    moves = np.diff(path, axis=0).reshape(-1, a_line, 2)
    np.testing.assert_allclose(moves, moves[:, :1].repeat(a_line, 1), atol=1e-12)
    assert len(moves) == {SaccadeTwin: 3, LoopTwin: 8}[twin]


# --- data sets


@pytest.fixture
def fashion(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with forged files of Fashion-MNIST: 60 pictures of 10 kinds to train, 30 to test."""
    folder = tmp_path / "fashion_mnist"
    folder.mkdir()
    for names, count in ((idx_images.TRAIN, 60), (idx_images.TEST, 30)):
        images = pictures(count, 28, seed=count)
        labels = np.arange(count, dtype=np.uint8) % 10
        for name, array in zip(names, (images, labels), strict=True):
            head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
            (folder / name).write_bytes(gzip.compress(head + array.tobytes(), mtime=0))
    monkeypatch.setattr(FashionMnist, "sizes", {"train": 40, "validation": 20, "test": 30})
    monkeypatch.setattr(FashionMnist, "elsewhere", ())
    digests = {name: _unpacked_digest(folder / name) for name in idx_images.FILES}
    monkeypatch.setattr(FashionMnist, "file_sha256", digests)
    return tmp_path


def _unpacked_digest(path: Path) -> str:
    import hashlib

    return hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()


class Small(CameraTwin):
    name = "small_twin"
    camera = dataclasses.replace(SaccadeTwin.camera, line_s=0.02)
    n_classes, licence = 10, "mine"


def test_recordings_are_of_the_first_pictures_of_each_class(fashion):
    """Expected: two of each class to train, one to validate and to test, each as the camera sees it alone; the same
    checksum when they are made anew; another one for other sizes. Must differ: missing pictures, in one line."""
    small = Small(samples=[20, 10, 10])
    splits = small.load(fashion)
    sha256 = check(small, splits)
    for split in SPLITS:
        assert sorted(splits[split].target.tolist()) == sorted(list(range(10)) * (2 if split == "train" else 1))
    whole = FashionMnist().load(fashion)["test"]
    time_us, channel = Small.camera.watch(np.asarray(whole.values[:10]).reshape(-1, 28, 28))[3]
    (length,) = splits["test"].values.indptr.diff()[3:4].tolist()
    assert length == len(time_us) > 100
    first = int(splits["test"].values.indptr[3])
    assert splits["test"].values.time_us[first : first + length].tolist() == time_us.tolist()
    assert splits["test"].values.channel[first : first + length].tolist() == channel.tolist()
    anew = Small(samples=[20, 10, 10])
    assert check(anew, anew.load(fashion)) == sha256
    other = Small(samples=[10, 10, 10])
    assert check(other, other.load(fashion)) != sha256
    anew.sha256 = "0" * 64
    with pytest.raises(InputError, match="is not the expected 000000000000"):
        check(anew, anew.load(fashion))
    assert "fashion_mnist" in (small.missing(fashion / "nowhere") or "")


def test_events_a_recording_are_about_those_of_nmnist():
    """Expected: about 4100, as the first 1100 recordings of N-MNIST have on average; of real pictures."""
    fashion = FashionMnist()
    if fashion.missing(Path("nowhere")) is not None:
        pytest.skip("Fashion-MNIST is not installed")
    some = np.asarray(fashion.load(Path("nowhere"))["train"].values[:120]).reshape(-1, 28, 28)
    counts = [len(channel) for _, channel in SaccadeTwin.camera.watch(some)]
    assert np.mean(counts) == pytest.approx(4100, rel=0.1)
