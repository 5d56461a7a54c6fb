"""Results of tasks without one class a sample, from runs to verified rows; and the lies that are found.

Expected values: the losses and accuracies of the runs' own records, and NumPy on the stored tables.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from fastspiking.formula import canonical_formula
from registry.__main__ import main as keep
from sgbench.cli.main import main
from sgbench.records.record import RunRecord
from tests.messages import lines_naming
from tests.submission.factory import Files, edit, rerecord, write
from tests.submission.tasks import SEEDS, Task, digits, series, steps


@dataclass(frozen=True)
class Made:
    """A task, the record of its last seed, and the folder handed in, which no test changes."""

    task: Task
    record: RunRecord
    folder: Path


@pytest.fixture(scope="module", params=["series", pytest.param("steps", marks=pytest.mark.slow)])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    root = tmp_path_factory.mktemp(request.param)
    (root / "conf").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        task = series(root / "conf") if request.param == "series" else steps(root / "conf", patch)
        record = task.run("atan", root / "runs")
        words = ["submit", "make", str(root / "runs"), "--name", "mine", "--contact", "@me"]
        words += ["--paper", "arXiv:1901.09948", "--to", str(root / "subs")]
        assert main([*words, "--config-dir", str(task.config_dir)]) == 0
        yield Made(task, record, root / "subs" / task.protocol / record.method_id)


def files_of(folder: Path) -> Files:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def checked(task: Task, folder: Path, board: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a check says."""
    capsys.readouterr()
    words = ["submit", "check", str(folder), "--config-dir", str(task.config_dir), "--board", str(board)]
    code = main(words)
    out = capsys.readouterr().out
    assert (code == 0) == ("fine" in out)
    return out


@pytest.mark.slow
def test_from_runs_to_a_verified_row(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: all three tiers pass on an honest submission, and the board shows claim and finding."""
    task, record, folder = made.task, made.record, made.folder
    board = tmp_path / "boards"
    assert "fine" in checked(task, folder, board, capsys)
    more = ["--config-dir", str(task.config_dir), "--board", str(board)]
    assert keep(["accept", str(folder), *more]) == 0
    again = ["audit", "--protocol", task.protocol, "--root", str(board), "--runs", str(tmp_path / "again"), *more[:2]]
    assert keep([*again, "--by", "me"]) == 0
    for tier in ("rescored", "reinferred"):
        assert main(["verify", str(folder), "--tier", tier, "--by", "me", *more]) == 0, tier
        path = board / task.protocol / "verifications" / record.method_id / f"{tier}.json"
        found = json.loads(path.read_text())
        assert found["passed"], tier
        assert ("claimed_loss" in found) == (record.classes is None)
        assert (found["claimed_accuracy"] is None) == (record.classes is None)
    again = ["board", "build", "--from", "leaderboards", "--root", str(board), *more[:2]]
    assert main(again) == 0
    table = (board / task.protocol / "table.md").read_text()
    assert f"| {record.method_id} | retrained | yes | `me` |" in table
    assert main(["board", "check", "--root", str(board), *more[:2]]) == 0
    assert lines_naming(table, "2 of 2 seeds")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("firing=soft", "surrogate.normalisation=area1"),
        ("firing=escape", "rule=reinforce"),
        ("rule=forward_gradient",),
        ("rule=rtrl", "loss=per_step"),
        ("rule=snap1", "loss=per_step", "network.recurrence=all_to_all"),
        ("firing=escape",),
        ("network=converted",),
        ("network=first_spike", "loss=first_spike", "init=shifted", "engine=auto"),
        ("network=event_driven", "init=shifted", "engine=auto"),
        ("rule=eventprop", "neuron=synaptic", "neuron@readout=synaptic_readout"),
        ("rule=feedback_alignment", "network.recurrence=all_to_all"),
        ("rule=dfa",),
        ("rule=eprop", "rule.form=unrolled", "rule.feedback=random"),
        ("rule=eprop", "rule.form=unrolled", "rule.feedback=adaptive"),
    ],
    ids=" ".join,
)
def test_other_networks_and_rules_pass_all_tiers(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expected: accepted, and rescored, reinferred and retrained as claimed, draws and all."""
    (tmp_path / "conf").mkdir()
    _passes_all_tiers(digits(tmp_path / "conf", *words), "sigmoid", tmp_path, capsys)


def _passes_all_tiers(
    task: Task, surrogate: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[Path, list[str]]:
    """Run, hand in, accept and verify; return the folder and the options of its protocol."""
    record = task.run(surrogate, root / "runs")
    own = ["--config-dir", str(task.config_dir)]
    made = ["submit", "make", str(root / "runs"), "--name", "mine", "--contact", "@me"]
    assert main([*made, "--paper", "arXiv:1901.09948", "--to", str(root / "subs"), *own]) == 0
    folder = root / "subs" / task.protocol / record.method_id
    more = [*own, "--board", str(root / "boards")]
    assert keep(["accept", str(folder), *more]) == 0, capsys.readouterr().err
    for tier in ("rescored", "reinferred"):
        assert main(["verify", str(folder), "--tier", tier, "--by", "me", *more]) == 0, tier
    assert main(["verify", str(folder), "--tier", "retrained", *more]) == 0
    return folder, own


@pytest.mark.slow
def test_a_formula_is_handed_in_as_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: all tiers pass without an entry of its own. Must differ: another formula in a record is found."""
    (tmp_path / "conf").mkdir()
    task = digits(tmp_path / "conf", "surrogate.formula='1/(1+abs(a*u))**2'", "surrogate.a=25", "engine=auto")
    folder, own = _passes_all_tiers(task, "formula", tmp_path, capsys)
    path = folder / "records" / f"{SEEDS[0]}.json"
    record = json.loads(path.read_text())
    assert record["method"]["parameters"]["surrogate"]["formula"] == canonical_formula("1/(1+abs(a*u))**2")
    record["method"]["parameters"]["surrogate"]["formula"] = "exp(-abs(a*u))"
    path.write_text(json.dumps(record))
    capsys.readouterr()
    assert main(["submit", "check", str(folder), *own]) != 0
    assert f"records/{SEEDS[0]}.json" in capsys.readouterr().out


@pytest.mark.slow
def test_code_outside(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: the score of the record whose table it is; it is rescored, and a copy where that is known."""
    task, record, folder = made.task, made.record, made.folder
    source = tmp_path / "mine"
    source.mkdir()
    for seed in SEEDS:
        table = (folder / f"predictions/{seed}.csv").read_bytes()
        (source / f"{seed}.csv").write_bytes(table.replace(b"\n", b"\r\n"))  # as csv.writer does
    words = ["submit", "make", str(source), "--external", "--protocol", task.protocol, "--name", "theirs"]
    words += ["--contact", "@me", "--code", "https://example.org/x", "--to", str(tmp_path / "ext")]
    more = ["--config-dir", str(task.config_dir)]
    assert main([*words, *more]) == 0
    (outside,) = (tmp_path / "ext" / task.protocol).iterdir()
    claim = json.loads((outside / f"records/{SEEDS[-1]}.json").read_text())
    if record.classes is None:
        assert claim["loss"] == pytest.approx(record.test.loss, rel=1e-5)
        assert claim["accuracy"] is None
    else:
        assert (claim["accuracy"], claim["labels"]) == (record.test.accuracy, record.test.labels)
    assert claim["samples"] == record.test.samples
    board = tmp_path / "boards"
    assert "fine" in checked(task, outside, board, capsys)
    assert main(["verify", str(outside), "--tier", "rescored", *more, "--board", str(board)]) == 0
    assert keep(["accept", str(folder), *more, "--board", str(board)]) == 0
    assert "answers like method" in checked(task, outside, board, capsys)
    assert keep(["accept", str(outside), *more, "--board", str(tmp_path / "other")]) == 0


def altered(data: bytes, change: Callable[[list[str]], list[str]], column: str) -> bytes:
    """One column of a table changed, all cells at once."""
    rows = [line.split(",") for line in data.decode().split("\n")[:-1]]
    place = rows[0].index(column)
    for row, cell in zip(rows[1:], change([row[place] for row in rows[1:]]), strict=True):
        row[place] = cell
    return ("\n".join(map(",".join, rows)) + "\n").encode()


def _nearer(answered: str, wanted: str) -> str:
    """A step towards what is wanted that is too small to be another answer."""
    return f"{float(answered) + 0.02 * (float(wanted) - float(answered)):.9g}"


@pytest.mark.slow
def test_lies_are_found(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Must differ, each with its own line: a better score, better answers, targets that are the answers, a seed
    that is another, a table of another kind; weights tell what no check without them can."""
    task, record, folder = made.task, made.record, made.folder
    files, board = files_of(folder), tmp_path / "none"
    by_loss = record.classes is None
    test = json.loads(files["records/0.json"])["test"]
    better = {"loss": test["loss"] * 0.999} if by_loss else {"accuracy": (3000 + 1) / 6000}
    told = edit(files, "records/0.json", test=test | better)
    said = "but the record claims" if by_loss else "but the record claims an accuracy of"
    assert said in checked(task, write(tmp_path / "told", told), board, capsys)

    answer, target = ("output_0", "target_0") if by_loss else ("prediction", "target")
    table = files["predictions/0.csv"]
    wanted = [row[target] for row in csv.DictReader(table.decode().split("\n"))]
    answered = [row[answer] for row in csv.DictReader(table.decode().split("\n"))]
    right = rerecord(files, 0, predictions=altered(table, lambda _: wanted, answer))
    assert said in checked(task, write(tmp_path / "right", right), board, capsys)

    perfect = {"loss": 0.0} if by_loss else {"accuracy": 1.0}
    both = edit(right, "records/0.json", test=test | perfect)
    if not by_loss:  # what the record says of itself holds together, so the weights have to be asked
        assert "fine" in checked(task, write(tmp_path / "both", both), board, capsys)
        words = ["verify", str(tmp_path / "both"), "--tier", "reinferred", "--config-dir", str(task.config_dir)]
        assert main(words) == 1

    own = edit(files, "records/0.json", test=test | perfect)
    own = rerecord(own, 0, predictions=altered(table, lambda _: answered, target))
    other = checked(task, write(tmp_path / "own", own), board, capsys)
    assert f"of its {'targets' if by_loss else 'labels'} are not" in other

    same = rerecord(files, 1, predictions=table)
    same = edit(
        same,
        "records/1.json",
        test=json.loads(files["records/1.json"])["test"] | {key: test[key] for key in ("loss", "accuracy")},
    )
    assert "answers like seed 0" in checked(task, write(tmp_path / "same", same), board, capsys)

    near = altered(table, lambda cells: list(map(_nearer, cells, wanted)), answer)
    if by_loss:
        pairs = [(float(_nearer(one, two)), float(two)) for one, two in zip(answered, wanted, strict=True)]
        loss = float(np.mean([(one - two) ** 2 for one, two in pairs]))
        closer = edit(rerecord(files, 0, predictions=near), "records/0.json", test=test | {"loss": loss})
        words = ["verify", str(write(tmp_path / "near", closer)), "--tier", "reinferred"]
        assert main([*words, "--seeds", "1", "--config-dir", str(task.config_dir)]) == 1
        assert lines_naming(capsys.readouterr().out, "loss", "1 %")

    foreign = b"index,target,prediction\n0,1,1\n"
    strange = rerecord(files, 0, predictions=foreign)
    words = "names other columns" if by_loss else "needs one answer for each labelled step"
    assert words in checked(task, write(tmp_path / "strange", strange), board, capsys)
