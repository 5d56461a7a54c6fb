"""Electrocardiograms whose steps have labels, the files they come in, and runs on them.

Legend: T steps, B batch, C classes; a fake is a small data set in the published format.
"""

import csv
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat, savemat
from torch import Tensor

from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.datasets.base import sizes
from sgbench.datasets.checks import check
from sgbench.datasets.qtdb import FILES, Qtdb, read_mat
from sgbench.errors import InputError
from sgbench.leaderboard.store.predictions import check_predictions, parse_predictions
from sgbench.losses.label_per_step import LabelPerStep
from sgbench.losses.per_step import PerStep
from sgbench.records.files import parse_model, to_json
from sgbench.records.record import RunRecord
from sgbench.training.build import build
from sgbench.training.evaluation import Evaluation
from sgbench.training.runner import run_spec
from tests.datasets.fakes import fake_qtdb
from tests.messages import raises_naming

LENGTHS, STEPS, CLASSES = (5, 2, 4), 5, 3
LABELS = torch.tensor([[0, 1, -1, 2, 1], [2, 2, 0, 0, 0], [-1, -1, -1, -1, 1]])  # the last has none inside
TINY = ("experiment=qtdb", "protocol.hidden=[3]", "protocol.epochs=1", "trainer.progress=false")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with a fake in it: 66 samples, of which the last 62 validate, and 5."""
    folder = tmp_path / "QTDB"
    folder.mkdir()
    fake_qtdb(folder, train=66, test=5, seed=2)
    monkeypatch.setattr(Qtdb, "sizes", sizes(4, 62, 5))
    monkeypatch.setattr(Qtdb, "published", {})
    monkeypatch.setattr(Qtdb, "published_sha256", lambda _: None)
    monkeypatch.setenv("SGBENCH_DATA", str(tmp_path))
    return tmp_path


# --- the data set


def test_events_and_labels_are_those_of_the_file(root):
    """Expected: loops over the file's arrays; without the end mark, an event in the middle of its 4 ms."""
    splits = Qtdb(unlabelled="unscored").load(root)
    check(Qtdb(unlabelled="unscored"), splits)
    file = loadmat(root / "QTDB" / FILES[0])
    assert (file["x"][:, 1300] == [-1, 0, 0, 0]).all() or (file["x"][:, 1300, 0] == -1).all()
    for name, place, row in (("train", 3, 3), ("validation", 0, 4), ("validation", 61, 65)):
        own = splits[name].values[torch.tensor([place])]
        expected = [(c, 4000 * t + 2000) for t in range(1300) for c in range(4) if file["x"][row, t, c] == 1]
        assert sorted(zip(own.channel.tolist(), own.time_us.tolist(), strict=True)) == sorted(expected)
        assert own.duration_us.tolist() == [5_200_000]
        labels = [int(y.argmax()) if y.any() else -1 for y in file["y"][row, :1300]]
        assert splits[name].target[place].tolist() == labels
        assert labels[-100:] == [-1] * 100


def test_unlabelled_steps_may_count_as_p(root):
    """Must differ: the published way of counting gives class 0 where there is no label, and nowhere else."""
    plain, published = (Qtdb(unlabelled=each).load(root)["test"].target for each in ("unscored", "p"))
    assert (published[plain == -1] == 0).all()
    assert (published[plain != -1] == plain[plain != -1]).all()
    assert (plain == -1).any()
    with raises_naming(InputError, "dataset.unlabelled='P'", "unscored", "p"):
        Qtdb(unlabelled="P")


def matrix(name: str, kind: int, dims: tuple[int, ...]) -> bytes:
    """The start of a MATLAB 5 array with no numbers behind it."""
    inner = struct.pack("<IIII", 6, 8, kind, 0) + struct.pack("<II", 5, 4 * len(dims))
    inner += struct.pack(f"<{len(dims)}i", *dims) + bytes(-4 * len(dims) % 8)
    inner += struct.pack("<II", 1, len(name)) + name.encode().ljust(8, b"\0")
    return struct.pack("<II", 14, len(inner)) + inner


def mat(*elements: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<HH", 0x0100, 0x4D49) + b"".join(elements)


def packed(element: bytes) -> bytes:
    data = zlib.compress(element)
    return struct.pack("<II", 15, len(data)) + data


HOSTILE = {
    "a cell": (mat(matrix("x", 1, (1, 1))), "'x' is cell, not numbers"),
    "a structure": (mat(matrix("x", 2, (1, 1))), "'x' is struct, not numbers"),
    "an object": (mat(matrix("x", 3, (1, 1))), "'x' is object, not numbers"),
    "a function": (mat(matrix("x", 16, (1, 1))), "'x' is function, not numbers"),
    "too large": (mat(matrix("x", 6, (100_000, 100_000))), r"'x' declares \(100000, 100000\), more than"),
    "too large, packed": (mat(packed(matrix("x", 6, (100_000, 100_000)))), r"'x' declares \(100000, 100000\)"),
    "negative": (mat(matrix("x", 6, (-4, 7))), "no MATLAB file|'x' declares"),
    "no numbers": (mat(matrix("x", 6, (3, 3))), "no MATLAB file of version 5, cut off or damaged"),
    "cut": (mat(packed(matrix("x", 6, (3, 3))))[:-6], "no MATLAB file of version 5, cut off or damaged"),
    "version 7.3": (b"\x89HDF\r\n\x1a\n" + bytes(600), "no MATLAB file of version 5"),
    "a web page": (b"<html>404</html>" * 20, "no MATLAB file of version 5"),
    "empty": (b"", "no MATLAB file of version 5"),
    "another array": (mat(matrix("z", 6, (1, 1))), "has no array 'x'"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_mat_files_are_one_line(tmp_path, kind):
    """Expected: an InputError (exit code 2) that names the file; nothing but numbers is read."""
    data, complaint = HOSTILE[kind]
    path = tmp_path / "x.mat"
    path.write_bytes(data)
    with pytest.raises(InputError, match=complaint) as caught:
        read_mat(path, ["x"])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def spoil(path: Path, how: str) -> None:
    arrays = {name: loadmat(path)[name] for name in ("x", "y")}
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:4000])
    elif how == "steps":
        savemat(path, {name: each[:, 1:] for name, each in arrays.items()})
    elif how == "two labels":
        arrays["y"][0, 0] = 1
        savemat(path, arrays)
    elif how == "numbers":
        arrays["x"][0, 7, 2] = 9
        savemat(path, arrays)


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("missing", r"is not in .*QTDB; put QTDB_train\.mat and QTDB_test\.mat of github\.com/"),
        ("cut", "has no array 'y'; it is cut off, or another file"),
        ("steps", r"x \(66, 1300, 4\) and y \(66, 1300, 6\) are not \[n, 1301, 4\]"),
        ("two labels", "hold other numbers than events and one label a step"),
        ("numbers", "hold other numbers than events and one label a step"),
    ],
)
def test_a_damaged_file_ends_the_command_with_one_line(root, how, complaint, capsys):
    """Expected: exit code 2 and one line that names the file."""
    spoil(root / "QTDB" / FILES[0], how)
    assert main(["data", "check", "qtdb"]) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    assert FILES[0] in said
    with pytest.raises(InputError, match=complaint):
        Qtdb(unlabelled="p").load(root)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda target: target.double(), r"has labels of shape \(5, 1300\), not whole numbers"),
        (lambda target: target[:, 0], r"has labels of shape \(5,\), not whole numbers"),
        (lambda target: target * 0 - 1, "has no label"),
        (lambda target: target + 1, r"has a target outside 0\.\.5"),
        (lambda target: target - (target == 3).long(), "has no sample of class 3"),
    ],
)
def test_spoilt_labels_are_refused(root, change, complaint):
    """Expected: one line with the data set and the split."""
    splits = Qtdb(unlabelled="unscored").load(root)
    spoilt = splits["test"]._replace(target=change(splits["test"].target))
    with raises_naming(InputError, "Qtdb", "split test") as caught:
        check(Qtdb(unlabelled="unscored"), {**splits, "test": spoilt})
    assert re.search(complaint, str(caught.value))


# --- the loss


def numbers(seed: int) -> Tensor:
    """Outputs [T, B, C]."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(STEPS, len(LENGTHS), CLASSES, generator=random, dtype=torch.float64)


def trajectory(output: Tensor) -> Trajectory:
    return Trajectory(output, torch.tensor(LENGTHS), (), (), ())


def by_hand(output: np.ndarray) -> float:
    """One loop per sample and step."""
    losses = []
    for b, length in enumerate(LENGTHS):
        steps = [t for t in range(length) if LABELS[b, t] >= 0]
        each = [np.log(np.exp(output[t, b]).sum()) - output[t, b, LABELS[b, t]] for t in steps]
        losses.append(np.mean(each) if each else 0.0)
    return float(np.mean(losses))


def test_loss_equals_the_formula():
    """Expected: NumPy's loop; a sample without labels inside its length adds nothing."""
    found = LabelPerStep().whole(trajectory(numbers(0)), LABELS).item()
    assert found == pytest.approx(by_hand(numbers(0).numpy()), rel=1e-12)


def test_shares_of_steps_add_up_to_the_whole():
    """Expected: the contract of online losses."""
    output, loss = numbers(1), LabelPerStep()
    batch = Batch(output, LABELS, torch.tensor(LENGTHS), torch.arange(len(LENGTHS)))
    shares = [loss.per_step(output[t], batch, t, None)[0] for t in range(STEPS)]
    assert sum(shares).item() == pytest.approx(loss.whole(trajectory(output), LABELS).item(), rel=1e-12)


def test_equal_labels_give_the_loss_of_one_label():
    """Must match: where every step has the sample's class it is `per_step`; must differ where one step has not."""
    output, target = numbers(2), torch.tensor([2, 0, 1])
    same = target[:, None].expand(-1, STEPS).clone()
    assert LabelPerStep().whole(trajectory(output), same).item() == pytest.approx(
        PerStep().whole(trajectory(output), target).item(), rel=1e-12
    )
    same[0, 1] = 0
    assert LabelPerStep().whole(trajectory(output), same) != PerStep().whole(trajectory(output), target)


def test_gradient_is_that_of_labelled_steps_alone():
    """Expected: central differences; exactly 0 at unlabelled steps and behind each end, even of garbage labels."""
    output = numbers(3).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: LabelPerStep().whole(trajectory(y), LABELS), output)
    garbage = LABELS.clone()
    garbage[1, 2:] = 77
    (slope,) = torch.autograd.grad(LabelPerStep().whole(trajectory(output), garbage), output)
    inside = torch.arange(STEPS)[:, None] < torch.tensor(LENGTHS)
    labelled = inside & (LABELS.T >= 0)
    assert (slope[labelled] != 0).all()
    assert (slope[~labelled] == 0).all()


@pytest.mark.slow
def test_losses_of_other_targets_are_refused(root):
    """Expected: one line that names the loss which fits; a class loss, a spike loss and a trace loss."""
    for loss in ("max_over_time", "van_rossum", "mean_squared_error"):
        with raises_naming(InputError, f"loss={loss}", "class_per_step", "loss=label_per_step"):
            build(compose([*TINY, f"loss={loss}"]))
    with raises_naming(InputError, "loss=label_per_step", "class", "loss=max_over_time"):
        build(compose(["experiment=digits", "loss=label_per_step"]))


# --- runs


def test_accuracy_is_of_labelled_steps(root):
    """Expected: counted by hand; steps without a label or behind the end are not counted."""
    network = build(compose(TINY)).network
    evaluation = Evaluation(network, dt_s=0.004)
    output = torch.nn.functional.one_hot(torch.tensor([[0, 0, 0, 2, 0]] * 3).T, CLASSES).double()
    spikes = tuple(torch.zeros(STEPS, 3, layer.neurons) for layer in network.hidden_layers)
    batch = Batch(torch.zeros(STEPS, 3, 4), LABELS, torch.tensor(LENGTHS), torch.arange(3))
    path = Trajectory(output, batch.lengths, spikes, (), ())
    for _ in range(2):
        evaluation.update(batch, path, output.transpose(0, 1), torch.tensor(0.5))
    scores = evaluation.scores()
    assert (scores.samples, scores.labels) == (6, 12)  # 4 labels in the first, 2 in the second, none in the third
    assert scores.accuracy == pytest.approx(2 / 6)  # steps 0 and 3 of the first


def test_run_record_and_predictions(root, tmp_path):
    """Expected: labels in the record, which loads again; predictions of labelled steps score to it."""
    record = run_spec(compose([*TINY, f"paths.runs_dir={tmp_path}/runs"]))
    assert record.status == "finished", record.failure
    assert record.test.labels == 5 * 1200
    assert parse_model(to_json(record), RunRecord, "it") == record
    folder = tmp_path / "runs" / "qtdb_v1" / record.method_id / "0"
    rows = list(csv.DictReader((folder / "predictions.csv").read_text().splitlines()))
    assert list(rows[0]) == ["index", "step", "target", "prediction"]
    right = [row["target"] == row["prediction"] for row in rows]
    assert len(right) == record.test.labels
    assert np.mean(right) == record.test.accuracy
    labels = Qtdb(unlabelled="unscored").load(root)["test"].target
    assert [int(row["target"]) for row in rows] == labels[labels >= 0].tolist()
    check_predictions(record, folder)
    text = (folder / "predictions.csv").read_text()
    (folder / "predictions.csv").write_text(text.replace(",3\n", ",2\n"))
    with raises_naming(InputError, str(folder / "predictions.csv")):
        check_predictions(record, folder)


@pytest.mark.slow
def test_online_rule_learns_labels_of_steps(root, tmp_path):
    """Expected: eprop takes the loss's shares; the run ends with a finite loss."""
    words = [*TINY, "rule=eprop", "neuron=leaky", "network.recurrence=none", "protocol.steps=1300"]
    record = run_spec(compose([*words, f"paths.runs_dir={tmp_path}/runs"]))
    assert record.status == "finished", record.failure


def test_records_of_one_class_a_sample_say_nothing_of_labels(tmp_path):
    """Expected: no key that older readers do not know; a record may not claim more labels than steps."""
    tree = {"samples": 4, "accuracy": 0.5, "loss": 1.0, "activity": ()}
    from sgbench.records.content import Scores

    assert "labels" not in Scores(**tree).model_dump()
    assert Scores(**tree, labels=12).model_dump()["labels"] == 12


def table(*lines: str) -> bytes:
    return ("\n".join(["index,step,target,prediction", *lines]) + "\n").encode()


def test_tables_of_steps_are_read_strictly():
    """Expected: half right by hand; a doubled or disordered step, a word or a missing column is named."""
    assert parse_predictions(table("0,0,1,1", "0,7,2,0", "3,1,0,0", "3,2,1,4"), "it").accuracy == 0.5
    for lines, complaint in (
        (("0,0,1,1", "0,0,1,1"), "step 0 of sample 0 is doubled or out of order"),
        (("0,5,1,1", "0,4,1,1"), "step 4 of sample 0 is doubled or out of order"),
        (("1,0,1,1", "0,4,1,1"), "step 4 of sample 0 is doubled or out of order"),
        (("0,0,1",), "line 2 is not 4 numbers"),
        (("0,0,1,-1",), "line 2 is not 4 numbers"),
        (("0,0,1,1.5",), "line 2 is not 4 numbers"),
        ((), "lines that end in one newline are needed"),
    ):
        with pytest.raises(InputError, match=complaint):
            parse_predictions(table(*lines), "it")
