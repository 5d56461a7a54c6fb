"""Data of a user's own: read in any form, split, scaled, written as an entry that is like every other."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from fastspiking.signals import spikes
from fastspiking.signals.spikes import SpikeTrains
from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.datasets.base import fingerprint
from sgbench.datasets.checks import check
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import compose_reference, method_deviations
from sgbench.training.build import build
from sgbench.yours import samples, scratch
from sgbench.yours.arrays import EventArrays, read_data
from sgbench.yours.benchmark import write_entry_for
from sgbench.yours.entry import Terms, WrittenEntry
from sgbench.yours.samples import Prepared, prepare
from tests.messages import lines_naming

X = np.arange(240.0).reshape(10, 8, 3)
Y = np.array(["b", "a"] * 5)
CAMERA = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])


class Camera(Dataset):  # type: ignore[type-arg]
    """What tonic's data sets look like from outside."""

    sensor_size = (4, 3, 2)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        return np.array([(3, 2, 500, True), (1, 0, 100 + place, False)], CAMERA), place % 2

    def __len__(self) -> int:
        return 6


def prepared(x: Any = X, y: Any = Y, **options: Any) -> Prepared:
    """The same samples to learn from and to test on."""
    part = read_data((x, y), "train")
    return prepare(part, part, **options)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for entries and samples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SGBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("SGBENCH_CONF", raising=False)


# --- forms


@pytest.mark.parametrize(
    "given",
    [
        (torch.from_numpy(X), Y),
        (list(X), list(Y)),
        [(X[place], Y[place]) for place in range(10)],
        (np.array([*map(list, X)], dtype=object), Y),
    ],
    ids=["torch", "lists", "pairs", "objects"],
)
def test_forms_of_the_same_numbers_are_the_same_part(given: Any) -> None:
    """Expected: the array itself."""
    part = read_data(given, "train")
    assert np.array_equal(np.asarray(part.values, dtype=np.float64), X)
    assert part.labels.tolist() == Y.tolist()


def test_a_loader_that_shuffles_gives_its_data_set_in_order() -> None:
    """Expected: what the data set itself gives, each time."""
    data = TensorDataset(torch.from_numpy(X), torch.arange(10) % 2)
    for given in (data, DataLoader(data, batch_size=3, shuffle=True)):
        part = read_data(given, "train")
        assert np.array_equal(np.asarray(part.values), X)
        assert part.labels.tolist() == [0, 1] * 5


def test_pixels_of_a_camera_are_numbered_by_polarity_row_and_column() -> None:
    """Hand count: (p H + y) W + x with W = 4, H = 3; times stay in microseconds."""
    part = read_data(Camera(), "train")
    assert isinstance(part.values, EventArrays)
    assert part.values.channels[1].tolist() == [(1 * 3 + 2) * 4 + 3, 1]
    assert part.values.times_us[1].tolist() == [500, 101]


def test_events_in_three_units_are_the_same() -> None:
    """Expected: 1500 us, however it is written."""
    for unit, time in (("s", 0.0015), ("ms", 1.5), ("us", 1500)):
        part = read_data(([([time], [2])] * 2, [0, 1]), "train", time_unit=unit)  # type: ignore[arg-type]
        assert isinstance(part.values, EventArrays)
        assert part.values.times_us[0].tolist() == [1500]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((X, Y[:9]), "10 samples but 9 labels"),
        ((X[:0], Y[:0]), "has no samples"),
        ((np.array(["x"] * 10), Y), "numbers are needed"),
        ((X[0, 0], Y[:3]), "x has shape"),
        (([([-1.0], [0])] * 2, [0, 1]), "sample 0 has a time that is negative"),
        (([([1.0], [0.5])] * 2, [0, 1]), "sample 0 has a channel that is no whole number"),
        (([np.zeros((3, 2)), np.zeros((4, 3))], [0, 1]), r"samples have \[2, 3\] channels"),
        ((X, np.where(Y == "a", np.nan, 1.0)), "label of sample 1 is not a number"),
        (7, "a int is no data set"),
        ([1, 2, 3], "no pairs of a sample and a label"),
    ],
)
def test_what_is_no_data_is_one_line(given: Any, said: str) -> None:
    """Each names the part and what is needed."""
    with pytest.raises(InputError, match=said) as told:
        read_data(given, "train")
    assert "\n" not in str(told.value)


class Endless(Dataset):  # type: ignore[type-arg]
    """Samples made when they are asked for, 4 MB all together."""

    def __init__(self, *, kind: str) -> None:
        self.kind = kind

    def __len__(self) -> int:
        return 64

    def __getitem__(self, place: int) -> tuple[Any, int]:
        random = np.random.default_rng(place)
        if self.kind == "events":
            return (np.sort(random.random(4096)), random.integers(0, 9, 4096)), place % 2
        steps = 256 + 32 * (place % 3) * (self.kind == "ragged")
        if self.kind == "spikes":
            return (random.random((steps, 32)) < 0.1).astype(np.float64), place % 2
        return random.random((steps, 32)), place % 2


@pytest.mark.parametrize(
    "kind", ["ragged", "events", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("traces", "spikes"))]
)
def test_data_larger_than_memory_are_streamed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: a fourth of what the samples take, counted by Python; must match what is prepared in memory."""

    def make() -> tuple[str, int]:
        tracemalloc.start()
        name = write_entry_for("large", Endless(kind=kind)).name
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return name, peak

    whole, _ = make()
    monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", 2**18)
    monkeypatch.setattr(samples, "PIECE_SIZE", 2**14)
    monkeypatch.setattr(spikes, "AT_ONCE", 2**14)
    monkeypatch.setenv("SGBENCH_DATA", "streamed")
    streamed, peak = make()
    assert streamed == whole
    assert peak < 2**22 / 2


# --- splits, scale and classes


def test_validation_is_a_fifth_of_each_class_and_never_the_same_sample() -> None:
    """Hand count: 1 of 5 of each class, and no sample in two parts."""
    made = prepared()
    train, validation = (made.splits[name] for name in ("train", "validation"))
    assert Counter(validation.target.tolist()) == {0: 1, 1: 1}
    assert Counter(train.target.tolist()) == {0: 4, 1: 4}
    rows = [tuple(row.flatten().tolist()) for part in (train, validation) for row in part.values]
    assert len(set(rows)) == 10
    assert made.labels == ["a", "b"]
    assert any("validation is 2 of 10" in note for note in made.notes)


def test_groups_are_not_divided() -> None:
    """Must differ from the split by class: all samples of a group are on one side."""
    groups = np.repeat(np.arange(5), 2)
    made = prepared(np.repeat(np.arange(10.0)[:, None, None] * 2, 3, 1), Y, groups=groups)
    scaled = made.splits["validation"].values
    assert isinstance(scaled, torch.Tensor)
    assert len(made.splits["validation"].target) == 2
    assert "the groups" in "".join(made.notes)


def test_each_channel_is_scaled_by_training_alone() -> None:
    """By hand: training goes from 0 to 1 in each channel, a test value beyond is cut."""
    train = read_data((np.stack([np.zeros((4, 2)), np.ones((4, 2)) * [2, 10]] * 4), [0, 1] * 4), "train")
    test = read_data((np.full((2, 4, 2), 5.0), [0, 1]), "test")
    made = prepare(train, test)
    values = made.splits["test"].values
    assert isinstance(values, torch.Tensor)
    assert values[0, 0].tolist() == [1.0, 0.5]


def test_zeros_and_ones_over_time_are_spikes_whatever_their_type() -> None:
    """Expected: floats, bytes and booleans make the same trains, and no others do."""
    bits = np.random.default_rng(0).random((10, 8, 3)) < 0.3
    made = [prepared(bits.astype(kind)) for kind in (float, np.uint8, bool)]
    assert {fingerprint(each.splits) for each in made} == {fingerprint(made[0].splits)}
    trains = made[0].splits["test"].values
    assert isinstance(trains, SpikeTrains)
    assert len(trains.channel) == bits.sum()
    assert prepared(bits * 0.5).form == "traces"


def test_ragged_samples_have_their_own_lengths() -> None:
    """Expected: the steps of each, zeros behind them."""
    made = prepared([np.full((n, 2), 0.5) for n in (3, 5, 4, 3, 5, 4)], [0, 1] * 3)
    lengths = made.splits["test"].lengths
    assert lengths is not None
    assert (lengths.tolist(), made.steps) == ([3, 5, 4, 3, 5, 4], 5)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (X, ["a"] * 10, "all labels are a; two classes"),
        (np.where(X == 25, np.nan, X), Y, "holds NaN or infinity"),
        (X[:2], ["a", "b"], "no class with two of them"),
        (X, np.arange(10) / 4, "is no class"),
    ],
)
def test_data_that_cannot_be_learnt_from_are_one_line(x: Any, y: Any, said: str) -> None:
    """Before anything is written."""
    with pytest.raises(InputError, match=said):
        prepared(x, y)


def test_three_samples_and_a_missing_class_are_said_and_go_on() -> None:
    """By hand: of a, a, b one a validates; the test part has no b."""
    train = read_data((X[:3], ["a", "a", "b"]), "train")
    made = prepare(train, read_data((X[:1], ["a"]), "test"))
    assert [len(made.splits[name].target) for name in ("train", "validation", "test")] == [2, 1, 1]
    notes = "\n".join(made.notes)
    assert all(lines_naming(notes, f"{name} has", "1 of 2 classes: b") for name in ("validation", "test"))


# --- the entry


def added(**terms: Any) -> WrittenEntry:
    """An entry of the ten samples."""
    return write_entry_for("mine", (X, Y), (X, Y), terms=Terms(**terms))


def test_the_entry_is_one_of_the_catalogue_without_a_flag() -> None:
    """It composes, builds, loads, follows its own protocol, and a failed run counts as the commonest class."""
    made = added(hidden=(8,), epochs=2)
    spec = compose([f"experiment={made.name}", "surrogate=triangle", "seed=3"])
    assert spec.method.protocol.name == made.protocol
    reference = compose_reference(made.protocol)
    assert list(method_deviations(spec.method, 3, reference)) == []
    data = build(spec).data
    data.setup()
    assert data.sha256 == reference.facts.sha256
    assert reference.measure.guess == 0.5


@pytest.mark.slow
def test_a_command_takes_its_name_without_the_hash(capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: the same run as by the whole name; must differ: with two of that name one has to be told."""
    made = added()
    assert main(["run", "--cfg", "job", f"experiment={made.name}"]) == 0
    whole = capsys.readouterr().out
    assert main(["run", "--cfg", "job", "experiment=mine"]) == 0
    assert capsys.readouterr().out == whole
    added(epochs=7)
    assert main(["run", "--cfg", "job", "experiment=mine"]) == 2
    assert f"'{made.name}'" in capsys.readouterr().err


def test_other_data_or_terms_have_other_names_and_the_same_ones_the_same() -> None:
    """Must match: the same call. Must differ: one number of the data, one of the terms."""
    first = added()
    assert added().name == first.name
    assert added(epochs=7).name != first.name
    moved = X.copy()
    moved[0, 0, 0] = 9.0
    assert write_entry_for("mine", (moved, Y), (X, Y)).name != first.name


def test_damaged_samples_are_found_before_a_run() -> None:
    """The checksum of the entry is held against the files."""
    made = added()
    spec = compose([f"experiment={made.name}"])
    path = made.data / "train_target.npy"
    target = np.load(path)
    np.save(path, target[::-1].copy())
    with pytest.raises(InputError, match="checksum"):
        build(spec).data.setup()


def test_spikes_without_one_spike_can_be_stored_and_read() -> None:
    """A file of no numbers cannot be mapped."""
    silent = [([], [])] * 6
    made = write_entry_for("silent", (silent, [0, 1] * 3), (silent, [0, 1] * 3))
    data_set = build(compose([f"experiment={made.name}"])).data.data_set
    splits = data_set.load(made.data.parent.parent)
    assert check(data_set, splits) == data_set.sha256


@pytest.mark.parametrize("name", ["Mine", "my data", "--json", "", "../up"])
def test_a_name_that_is_no_file_is_refused(name: str) -> None:
    """It would become one."""
    with pytest.raises(InputError, match="lower-case letters"):
        write_entry_for(name, (X, Y), (X, Y))


# --- the command


def test_the_command_writes_the_same_entry(capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: the name that Python gives, and commands that compose; an array called as an option is not read."""
    for name in ("train", "test"):
        np.savez(f"{name}.npz", x=X, y=Y, seed=np.arange(10), json=np.arange(3))
    assert main(["data", "add", "mine", "train.npz", "test.npz"]) == 0
    told = capsys.readouterr().out
    assert f"experiment={added().name}\n" in told
    assert main(["list", "experiment"]) == 0
    assert added().name in capsys.readouterr().out


def test_groups_of_a_file_are_not_divided_whatever_they_are_called(capsys: pytest.CaptureFixture[str]) -> None:
    """Must match: `groups`, found by itself. Must differ: a column named like an option, unless it is named."""
    owner = np.repeat(np.arange(3), [3, 4, 3])
    np.savez("named.npz", x=X, y=Y, groups=owner)
    np.savez("seed.npz", x=X, y=Y, seed=owner)
    told = {}
    for words in (["named.npz"], ["seed.npz", "--groups", "seed"], ["seed.npz"]):
        assert main(["data", "add", "mine", *words]) == 0
        told[" ".join(words)] = capsys.readouterr().out.splitlines()[0]
    assert told["named.npz"] == told["seed.npz --groups seed"] != told["seed.npz"]


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_a_file_are_mapped_where_it_holds_them_as_they_are(order: str) -> None:
    """Expected: the numbers that were written, by rows or columns; only those of `savez` are mapped."""
    from sgbench.yours.arrays import read_part

    wanted = np.asarray(X, order=order)  # type: ignore[call-overload]
    np.savez("plain.npz", y=Y, x=wanted)
    np.savez_compressed("packed.npz", y=Y, x=wanted)
    for name in ("plain.npz", "packed.npz"):
        (values, labels), _ = read_part(Path(name))
        assert np.array_equal(values, X)
        assert labels.tolist() == Y.tolist()
        assert isinstance(values.base, np.memmap) == (name == "plain.npz")


def test_spikes_in_a_file_are_those_of_python() -> None:
    """Three arrays, one number a spike, in any order."""
    np.savez("e.npz", sample=[1, 0, 1], time=[0.5, 0.1, 0.2], channel=[0, 1, 2], y=[0, 1])
    from sgbench.yours.arrays import read_part

    (events, labels), groups = read_part(Path("e.npz"))
    assert [(list(time), list(channel)) for time, channel in events] == [([0.1], [1]), ([0.5, 0.2], [0, 2])]
    assert (labels.tolist(), groups) == ([0, 1], None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mine"], "give TRAIN.npz"),
        (["mine", "no.npz"], "no such file"),
        (["mine", "here.npz"], "it needs x and y"),
        (["mine", "text.npz"], "not a .npz file"),
        (["mine", "good.npz", "--groups", "who"], "no 'who' for --groups"),
        (["mine", "--tonic", "SHD", "--groups", "who"], "does not go with --tonic"),
        (["mine", "good.npz", "--encoder", "nothing"], "encoder 'nothing' does not exist"),
        (["mine", "good.npz", "--epochs", "0"], "epochs=0"),
        (["mine", "--tonic", "Nothing"], "tonic"),
    ],
)
def test_wrong_words_of_the_command_are_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2."""
    np.savez("here.npz", z=X)
    np.savez("good.npz", x=X, y=Y)
    Path("text.npz").write_text("not an archive")
    assert main(["data", "add", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
