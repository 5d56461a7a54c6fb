"""`dataset=tonic`, and data sets of tonic in `sgbench.benchmark`: of a small fake of its shape, and of itself."""

from __future__ import annotations

import importlib.machinery
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset

from fastspiking.signals.spikes import SpikeTrains
from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.datasets.tonic_sets import Tonic, facts_of, parts_of_tonic, transform_of
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import compose_reference, method_deviations
from sgbench.records.method import identity, method_id
from sgbench.training.build import build, data_of
from sgbench.yours.arrays import EventArrays, read_data
from sgbench.yours.benchmark import write_entry_for
from sgbench.yours.samples import prepare
from tests.datasets import original_formats as formats

PIXELS = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])


class Undivided:
    """A camera whose files tonic does not divide: four recordings of each of five words."""

    sensor_size = (4, 3, 2)
    classes = ("a", "b", "c", "d", "e")

    def __init__(self, save_to: str, transform: Any = None) -> None:
        self.folder = Path(save_to) / type(self).__name__
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "all.bin").write_bytes(b"fetched")

    def __len__(self) -> int:
        return 20

    def __getitem__(self, place: int) -> tuple[Any, str]:
        return np.array([(3, 2, 700, True), (place % 4, 0, 500, False)], PIXELS), self.classes[place % 5]


class Divided(Undivided):
    """The same with a test part."""

    def __init__(self, save_to: str, train: bool = True, transform: Any = None) -> None:
        super().__init__(save_to)
        self.train = train

    def __len__(self) -> int:
        return 20 if self.train else 5


class CropTime:
    """Keeps events up to a time."""

    def __init__(self, max: int) -> None:
        self.max = max

    def __call__(self, events: Any) -> Any:
        return events[events["t"] <= self.max]


class Downsample:
    """Halves the columns of a sensor."""

    def __init__(self, sensor_size: tuple[int, int, int], spatial_factor: float) -> None:
        self.size, self.factor = sensor_size, spatial_factor

    def __call__(self, events: Any) -> Any:
        assert self.size == (4, 3, 2)
        events = events.copy()
        events["x"] = events["x"] * self.factor
        return events


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A package of tonic's name with two data sets."""
    sets = types.ModuleType("tonic.datasets")
    sets.Undivided, sets.Divided = Undivided, Divided  # type: ignore[attr-defined]
    package = types.ModuleType("tonic")
    package.__spec__ = importlib.machinery.ModuleSpec("tonic", None)
    monkeypatch.setitem(sys.modules, "tonic", package)
    monkeypatch.setitem(sys.modules, "tonic.datasets", sets)
    transforms = types.ModuleType("tonic.transforms")
    transforms.CropTime, transforms.Downsample = CropTime, Downsample  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tonic.transforms", transforms)
    monkeypatch.setenv("SGBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("SGBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SGBENCH_CONF", str(tmp_path / "conf"))


@pytest.mark.usefixtures("fake")
def test_an_undivided_set_becomes_three_parts_of_every_class(tmp_path: Path) -> None:
    """By hand: of four a class two train (0.6), one validates, one tests; words in order; times from the first."""
    made = Tonic(name="Undivided", classes=None)
    assert (made.n_inputs, made.n_classes, made.image) == (24, 5, (2, 3, 4))
    splits = made.load(tmp_path)
    assert {split: sorted(own.target.tolist()) for split, own in splits.items()} == {
        "train": [0, 0, 1, 1, 2, 2, 3, 3, 4, 4],
        "validation": [0, 1, 2, 3, 4],
        "test": [0, 1, 2, 3, 4],
    }
    trains = splits["test"].values[torch.arange(1)]
    assert isinstance(trains, SpikeTrains)
    assert trains.time_us.tolist() == [0, 200]
    assert trains.channel.tolist()[1] == (1 * 3 + 2) * 4 + 3


@pytest.mark.usefixtures("fake")
def test_transforms_of_tonic_run_once_in_their_order(tmp_path: Path) -> None:
    """By hand: of events at 500 and 700 the first stays, and column 3 of sample 3 becomes 1; prepared once.

    Must differ: another name, a random transform, arguments that are no plain values; ids without any are as before.
    """
    calls = ["CropTime(max=600)", "Downsample(spatial_factor=0.5)"]
    made = Tonic(name="Undivided", classes=None, transforms=calls)
    trains = made.load(tmp_path)["train"].values[torch.arange(10)]
    assert isinstance(trains, SpikeTrains)
    assert (trains.time_us.tolist(), set(trains.channel.tolist())) == ([0] * 10, {0, 1})
    made.transforms = []  # what is prepared is read again, whatever would run now
    assert made.load(tmp_path)["train"].values[torch.arange(10)].time_us.tolist() == [0] * 10
    for text, said in (
        ("Denoice(a=1)", "Denoise"),
        ("TimeJitter(std=1)", "augmentation=events"),
        ("CropTime(max=open('x'))", "Denoise(filter_time=10000)"),
        ("CropTime(lowest=3)", "lowest"),
        ("tonic.transforms.CropTime(max=1)", "by name"),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            Tonic(name="Undivided", classes=None, transforms=[text])
    words = ["experiment=tonic", "dataset.name=Divided"]
    plain, cropped = compose(words).method, compose([*words, "dataset.transforms=['CropTime(max=600)']"]).method
    assert "dataset.transforms" not in identity(plain)
    assert method_id(plain) != method_id(cropped)


@pytest.mark.slow
def test_tonics_own_caches_and_transforms(tmp_path: Path) -> None:
    """Must match, with tonic itself: samples of a set of one's own plain, cached on disk and in memory, read twice."""
    tonic = pytest.importorskip("tonic")

    class Own(tonic.Dataset):  # type: ignore[name-defined]
        sensor_size, dtype, ordering = (4, 3, 2), PIXELS, PIXELS.names

        def __init__(self, transform: Any) -> None:
            super().__init__(str(tmp_path), transform=transform)

        def __len__(self) -> int:
            return 6

        def __getitem__(self, place: int) -> tuple[Any, int]:
            return self.transform(np.array([(place % 4, 0, 500, False), (3, 2, 700, True)], PIXELS)), place % 2

        def _check_exists(self) -> bool:
            return True

    own = Own(transform_of("CropTime(max=600)", Own.sensor_size))
    cached = tonic.DiskCachedDataset(own, cache_path=str(tmp_path / "cache")), tonic.MemoryCachedDataset(own)
    for given in (own, *cached, *cached):
        values = read_data(given, "train").values
        assert isinstance(values, EventArrays)
        assert [channel.tolist() for channel in values.channels] == [[place % 4] for place in range(6)]
    assert len([*(tmp_path / "cache").iterdir()]) == 6


CLICKS = """
import numpy as np, tonic

PIXELS = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])

class Clicks(tonic.Dataset):
    sensor_size, classes, dtype, ordering = (4, 3, 2), ("left", "right"), PIXELS, PIXELS.names
    read = 0

    def __init__(self, save_to, train=True, count=20):
        super().__init__(save_to)
        self.train, self.count = train, count

    def __len__(self):
        return self.count if self.train else 6

    def __getitem__(self, place):
        Clicks.read += 1
        return np.array([(place % 4, 0, 500, False), (3, 2, 700, True)], PIXELS), place % 2

    def _check_exists(self):
        return True
"""


IN_MEMORY = (("null", 800, 52), ("memory", 801, 26))
"""The cache, the last microsecond kept, and how many samples are read."""


def _clicks_by_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: tuple[tuple[str, int, int], ...]
) -> None:
    """By hand: 20 and 6 samples read twice without a cache, once with one, never from disk; 700 us is cropped."""
    monkeypatch.setenv("SGBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_clicks", raising=False)
    (tmp_path / "own_clicks.py").write_text(CLICKS)
    (tmp_path / "tonic" / "Clicks").mkdir(parents=True)
    (tmp_path / "tonic" / "Clicks" / "all.bin").write_bytes(b"recorded")
    shipped = (Path(__file__).parents[2] / "conf" / "dataset" / "tonic.yaml").read_text()
    head = "_target_: own_clicks.Clicks\ntransforms: null\ncache: null\n"
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    (tmp_path / "conf" / "dataset" / "clicks.yaml").write_text(head + shipped[shipped.index("meta:") :])
    target, chosen = ["own_clicks.Clicks"], ["experiment=tonic", "dataset=clicks"]
    for cache, crop, read in cases:
        words = [f"dataset.cache={cache}", f"dataset.transforms=['CropTime(max={crop})']"]
        data = data_of(
            compose([*chosen, *words], config_dirs=[tmp_path / "conf"], allow_targets=target), torch.float32
        ).data_set
        before = sys.modules["own_clicks"].Clicks.read
        splits = data.load(tmp_path)
        assert sys.modules["own_clicks"].Clicks.read - before == read
        assert [len(splits[split].target) for split in ("train", "validation", "test")] == [16, 4, 6]
        trains = splits["test"].values[torch.arange(6)]
        assert isinstance(trains, SpikeTrains)
        assert len(trains.time_us) == (6 if crop == 600 else 12)
    with pytest.raises(InputError, match="allow-target"):
        compose(chosen, config_dirs=[tmp_path / "conf"])
    spec = compose([*chosen, "dataset.cache=ram"], config_dirs=[tmp_path / "conf"], allow_targets=target)
    with pytest.raises(InputError, match=r"dataset\.cache"):
        data_of(spec, torch.float32)
    monkeypatch.delitem(sys.modules, "own_clicks")
    monkeypatch.setitem(sys.modules, "tonic", None)
    with pytest.raises(InputError, match=r"own_clicks.*pip install 'sgbench\[tonic\]'"):
        data_of(spec, torch.float32)


@pytest.mark.slow
def test_a_set_of_ones_own_by_configuration_with_tonic_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """See `_clicks_by_configuration`."""
    pytest.importorskip("tonic")
    _clicks_by_configuration(tmp_path, monkeypatch, (*IN_MEMORY, ("disk", 802, 26), ("disk", 600, 0)))


class Base:
    """What a `tonic.Dataset` does with its folder."""

    def __init__(self, save_to: str) -> None:
        self.location_on_system = save_to


class InMemory:
    """Keeps each sample of a data set."""

    def __init__(self, dataset: Any) -> None:
        self.dataset, self.kept = dataset, {}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: int) -> Any:
        if place not in self.kept:
            self.kept[place] = self.dataset[place]
        return self.kept[place]


@pytest.mark.usefixtures("fake")
def test_a_set_of_ones_own_by_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """See `_clicks_by_configuration`."""
    monkeypatch.setattr(sys.modules["tonic"], "Dataset", Base, raising=False)
    monkeypatch.setattr(sys.modules["tonic"], "MemoryCachedDataset", InMemory, raising=False)
    _clicks_by_configuration(tmp_path, monkeypatch, IN_MEMORY)


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
def test_the_words_of_the_command_build_and_load(capsys: pytest.CaptureFixture[str]) -> None:
    """`dataset=tonic dataset.name=Divided`: its own test part, a fifth of training validates; no row of a board."""
    spec = compose(["experiment=tonic", "dataset.name=Divided", "surrogate=triangle"])
    data = build(spec).data
    data.setup()
    assert [len(data.splits[split].target) for split in ("train", "validation")] == [15, 5]
    (told,) = method_deviations(spec.method, 0, compose_reference("tonic_v1"))
    assert "name" in str(told)
    assert main(["data", "add", "mine", "--tonic", "Divided"]) == 0
    assert "experiment=mine_" in capsys.readouterr().out


def test_without_tonic_one_line_names_the_extra_and_the_licence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Wherever it is asked for; nothing else needs it, and SHD's facts are known without it."""
    monkeypatch.setitem(sys.modules, "tonic", None)
    monkeypatch.setitem(sys.modules, "tonic.datasets", None)
    assert main(["data", "add", "mine", "--tonic", "SHD"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'sgbench[tonic]'" in line
    assert "GPL-3.0-only" in line
    made = Tonic(name="SHD", classes=None)
    assert (made.n_inputs, made.n_classes) == (700, 20)
    assert "pip install 'sgbench[tonic]'" in str(made.missing(tmp_path))
    for fails in (lambda: made.load(tmp_path), lambda: Tonic(name="NMNIST", classes=None)):
        with pytest.raises(InputError, match=r"pip install 'sgbench\[tonic\]'"):
            fails()


@pytest.mark.usefixtures("fake")
def test_wrong_names_and_classes_are_one_line(tmp_path: Path) -> None:
    """Each with what to write instead."""
    with pytest.raises(InputError, match="did you mean 'Divided'"):
        Tonic(name="Dividd", classes=None)
    with pytest.raises(InputError, match=r"set dataset\.classes=5"):
        Tonic(name="Divided", classes=3).load(tmp_path)
    with pytest.raises(InputError, match=r"dataset\.classes"):
        Tonic(name="Divided", classes=1)


# --- tonic itself


@pytest.fixture
def real() -> Any:
    """The package."""
    pytest.importorskip("tonic", reason="tonic is not installed: pip install 'sgbench[tonic]'")
    import tonic.datasets
    import tonic.transforms

    return tonic


@pytest.fixture
def shd(tmp_path: Path) -> Path:
    """A data root with files of SHD's format where tonic looks for them."""
    folder = tmp_path / "tonic" / "SHD"
    for name, rows, seed in (("train", 100, 0), ("test", 40, 1)):
        formats.heidelberg(folder / f"shd_{name}.h5", speakers=[0] * rows, classes=20, seed=seed)
        (folder / f"shd_{name}.h5.zip").touch()  # tonic looks for the archive's name
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("real")
def test_every_set_of_tonic_with_classes_has_facts(real: Any) -> None:
    """Expected: its own sensor and classes where tonic states them; the stated ones against its instances below."""
    for name in ("NMNIST", "DVSGesture", "CIFAR10DVS", "ASLDVS", "DVSLip", "POKERDVS"):
        made = getattr(real.datasets, name)
        assert facts_of(name) == (made.sensor_size, len(made.classes))
    for name in ("SHD", "SSC"):
        assert facts_of(name).sensor_size == getattr(real.datasets, name).sensor_size
    with pytest.raises(InputError, match=r"set dataset\.classes"):
        facts_of("NTIDIGITS18")
    assert facts_of("NTIDIGITS18", 11) == ((64, 1, 1), 11)


@pytest.mark.slow
def test_shd_by_tonic_is_shd_by_us(real: Any, shd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: each event that tonic's own loader gives, in a part by class: 4, 1 and 2 of each of 20."""
    monkeypatch.setenv("SGBENCH_CACHE", str(shd / "cache"))
    splits = Tonic(name="SHD", classes=None).load(shd)
    assert [len(splits[split].target) for split in ("train", "validation", "test")] == [80, 20, 40]
    assert splits["validation"].target.unique().tolist() == list(range(20))
    theirs = real.datasets.SHD(str(shd / "tonic"), train=False)
    trains = splits["test"].values
    assert isinstance(trains, SpikeTrains)
    for place in range(len(theirs)):
        events, label = theirs[place]
        own = trains[torch.tensor([place])]
        assert sorted(zip(own.time_us.tolist(), own.channel.tolist(), strict=True)) == sorted(
            zip(events["t"].tolist(), events["x"].tolist(), strict=True)
        )
        assert splits["test"].target[place] == label


@pytest.mark.slow
def test_transforms_of_tonic_become_spikes_currents_or_frames(
    real: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expected: events stay events; frames [T, p, H, W] have p H W channels, as numpy, sparse, cached or a part."""
    random = np.random.default_rng(0)
    for folder in ("Train", "Test"):
        for number in range(20):
            path = tmp_path / "NMNIST" / folder / str(number % 10) / f"{number:05d}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(formats.atis_bytes(formats.some_events(random, 50, 34, 34, 300_000)))
    monkeypatch.setattr(real.datasets.NMNIST, "_check_exists", lambda self: True)
    tf, size = real.transforms, real.datasets.NMNIST.sensor_size

    def opened(*transforms: Any, train: bool = True) -> Any:
        return real.datasets.NMNIST(str(tmp_path), train=train, transform=tf.Compose([*transforms]))

    events = read_data(opened(tf.Denoise(filter_time=100_000), tf.MergePolarities()), "train")
    assert isinstance(events.values, EventArrays)
    frames = opened(tf.ToFrame(sensor_size=size, n_time_bins=10))
    expected = np.stack([frames[place][0] for place in range(20)]).reshape(20, 10, -1)
    dense = [
        frames,
        DataLoader(frames, batch_size=4, shuffle=True),
        Subset(frames, range(20)),
        opened(tf.ToSparseTensor(sensor_size=size, n_time_bins=10)) if hasattr(tf, "ToSparseTensor") else frames,
        real.MemoryCachedDataset(frames),
        real.DiskCachedDataset(frames, cache_path=str(tmp_path / "cached")),
    ]
    for given in dense:
        assert np.array_equal(read_data(given, "train").values, expected)  # type: ignore[arg-type]
    for cached in (real.MemoryCachedDataset(opened()), Subset(opened(), range(20))):
        part = read_data(cached, "train")
        assert isinstance(part.values, EventArrays)
        assert part.values.channels[0].tolist() == read_data(opened(), "train").values.channels[0].tolist()  # type: ignore[union-attr]
    windows = read_data(opened(tf.ToFrame(sensor_size=size, time_window=10_000.0)), "train")
    assert prepare(windows, windows).form == "traces"
    monkeypatch.setenv("SGBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("SGBENCH_CONF", str(tmp_path / "conf"))
    made = write_entry_for("nmnist", opened(), opened(train=False))
    assert build(compose([f"experiment={made.name}"])).data.data_set.n_inputs <= 2 * 34 * 34
    assert sorted(parts_of_tonic("NMNIST", tmp_path)) == ["test", "train"]
