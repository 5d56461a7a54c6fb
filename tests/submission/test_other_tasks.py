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

from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.leaderboard.answers import Claim, parse_answers, require_claim, same_targets
from sgbench.leaderboard.deviation import Reference, compose_reference
from sgbench.leaderboard.outputs import Outputs, parse_outputs
from sgbench.leaderboard.predictions import parse_predictions
from sgbench.records.record import RunRecord
from sgbench.submission.alike import alike
from sgbench.verification.again import agreement, loss_of, rescored, targets_apart
from tests.submission.factory import Files, edit, rerecord, write
from tests.submission.tasks import SEEDS, Task, series, steps


@dataclass(frozen=True)
class Made:
    """A task, the record of its last seed, and the folder handed in, which no test changes."""

    task: Task
    record: RunRecord
    folder: Path


@pytest.fixture(scope="module", params=["series", "steps"])
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
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def checked(task: Task, folder: Path, board: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a check says."""
    capsys.readouterr()
    words = ["submit", "check", str(folder), "--config-dir", str(task.config_dir), "--board", str(board)]
    code = main(words)
    out = capsys.readouterr().out
    assert (code == 0) == ("fine" in out)
    return out


def test_from_runs_to_a_verified_row(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: all three tiers pass on an honest submission, and the board shows claim and finding."""
    task, record, folder = made.task, made.record, made.folder
    board = tmp_path / "boards"
    assert "fine" in checked(task, folder, board, capsys)
    more = ["--config-dir", str(task.config_dir), "--board", str(board)]
    assert main(["submit", "accept", str(folder), *more]) == 0
    for tier in ("rescored", "reinferred", "retrained"):
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
    assert "2 of 2 seeds score to the claimed" in table


def test_code_outside(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: the score of the record whose table it is; it is rescored, and a copy where that is known."""
    task, record, folder = made.task, made.record, made.folder
    source = tmp_path / "mine"
    source.mkdir()
    for seed in SEEDS:
        (source / f"{seed}.csv").write_bytes((folder / f"predictions/{seed}.csv").read_bytes())
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
    assert main(["submit", "accept", str(folder), *more, "--board", str(board)]) == 0
    assert "answers like method" in checked(task, outside, board, capsys)
    assert main(["submit", "accept", str(outside), *more, "--board", str(tmp_path / "other")]) == 0


def altered(data: bytes, change: Callable[[list[str]], list[str]], column: str) -> bytes:
    """One column of a table changed, all cells at once."""
    rows = [line.split(",") for line in data.decode().split("\n")[:-1]]
    place = rows[0].index(column)
    for row, cell in zip(rows[1:], change([row[place] for row in rows[1:]]), strict=True):
        row[place] = cell
    return ("\n".join(map(",".join, rows)) + "\n").encode()


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
        words = [
            "verify",
            str(tmp_path / "both"),
            "--tier",
            "reinferred",
            "--config-dir",
            str(task.config_dir),
        ]
        assert main(words) == 1

    own = edit(files, "records/0.json", test=test | perfect)
    own = rerecord(own, 0, predictions=altered(table, lambda _: answered, target))
    other = checked(task, write(tmp_path / "own", own), board, capsys)
    assert "has other labels than the first seed" in other

    same = rerecord(files, 1, predictions=table)
    same = edit(
        same,
        "records/1.json",
        test=json.loads(files["records/1.json"])["test"] | {key: test[key] for key in ("loss", "accuracy")},
    )
    assert "answers like seed 0" in checked(task, write(tmp_path / "same", same), board, capsys)

    foreign = b"index,target,prediction\n0,1,1\n"
    strange = rerecord(files, 0, predictions=foreign)
    words = "names other columns" if by_loss else "needs one answer for each labelled step"
    assert words in checked(task, write(tmp_path / "strange", strange), board, capsys)


# --- tables of outputs


def table_of(*lines: str, head: str = "index,step,target_0,output_0") -> bytes:
    return ("\n".join([head, *lines]) + "\n").encode()


GOOD = ("0,0,1,0.5", "0,1,0,1e-3", "1,0,2,-1.5", "1,1,0,0")
BAD = {
    "missing step": ((*GOOD[:3],), "line 4 is out of order"),
    "doubled": ((GOOD[0], GOOD[0], *GOOD[2:]), "line 3 is out of order"),
    "samples swapped": ((*GOOD[2:], *GOOD[:2]), "line 2 is out of order"),
    "not a number": (("0,0,1,nan",), "line 2 is not 4 numbers"),
    "infinite": (("0,0,1,inf",), "line 2 is not 4 numbers"),
    "beyond numbers": (("0,0,1,1e999",), "a value is beyond the range of a number"),
    "one too few": (("0,0,1",), "line 2 is not 4 numbers"),
    "formula": (("0,0,1,=1+1",), "line 2 is not 4 numbers"),
    "hexadecimal": (("0,0,1,0x1p3",), "line 2 is not 4 numbers"),
    "nothing": ((), "lines that end in one newline are needed"),
}


@pytest.mark.parametrize("name", BAD)
def test_tables_of_outputs_are_read_strictly(name: str) -> None:
    """Expected: the first line that is wrong, and why."""
    lines, words = BAD[name]
    with pytest.raises(InputError, match=words):
        parse_outputs(table_of(*lines), "it")


@pytest.mark.parametrize(
    "head",
    [
        "index,step",
        "index,step,target_0",
        "index,step,output_0,target_0",
        "index,step,target_0,target_1,output_0,output_0",
        "step,index,target_0,output_0",
    ],
)
def test_heads_of_outputs(head: str) -> None:
    """Expected: columns by their names, in one order."""
    with pytest.raises(InputError, match="the first line names other columns"):
        parse_outputs(table_of(*GOOD, head=head), "it")


def test_two_outputs_by_hand() -> None:
    """Expected: targets before outputs, samples first."""
    head = "index,step,target_0,target_1,output_0,output_1"
    found = parse_outputs(table_of("0,0,1,2,3,4", "0,1,5,6,7,8", head=head), "it")
    assert found.target.tolist() == [[[1, 2], [5, 6]]]
    assert found.output.tolist() == [[[3, 4], [7, 8]]]


# --- scores and likeness

SERIES: Reference = compose_reference("mackey_glass_v1")
RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.random((40, 100, 1))


def near(noise: float, *, seed: int) -> Outputs:
    """What a run may answer whose error has this size."""
    return Outputs(TRUTH, TRUTH + noise * np.random.default_rng(seed).normal(size=TRUTH.shape))


def test_losses_are_those_of_the_protocol() -> None:
    """Against NumPy: the mean squared error; a spike protocol has a distance of 0 to itself alone."""
    found = near(0.1, seed=1)
    expected = ((found.output - TRUTH) ** 2).mean()
    assert loss_of(found, SERIES) == pytest.approx(expected, rel=1e-12)
    assert rescored(found, Outputs(TRUTH * 0, TRUTH), SERIES) == pytest.approx((found.output**2).mean())
    spikes = (RANDOM.random((3, 50, 2)) < 0.1).astype(float)
    patterns = compose_reference("spike_patterns_v1")
    assert loss_of(Outputs(spikes, spikes), patterns) == 0
    assert loss_of(Outputs(spikes, 1 - spikes), patterns) > 0


def test_a_claim_may_be_off_by_rounding_alone() -> None:
    """Must match: single precision; must differ: a hundredth of a percent, another number of samples, no loss."""
    found = near(0.1, seed=1)
    loss = loss_of(found, SERIES)
    require_claim(found, Claim(None, float(np.float32(loss)), 40, None), "it", loss=loss)
    for claim, words in (
        (Claim(None, loss * 1.0001, 40, None), "gives a loss of"),
        (Claim(None, loss, 41, None), "has 40 samples, but the record claims 41"),
        (Claim(0.9, None, 40, None), "claims no loss"),
    ):
        with pytest.raises(InputError, match=words):
            require_claim(found, claim, "it", loss=loss)
    classes = parse_predictions(b"index,target,prediction\n0,1,1\n", "it")
    with pytest.raises(InputError, match="claims no accuracy"):
        require_claim(classes, Claim(None, 0.5, 1, None), "it")


def test_copies_of_outputs_and_honest_runs() -> None:
    """Must be alike: a run and itself with a little noise; must not: good runs, whose outputs all lie near the
    truth, and bad ones, whose errors are all the truth itself."""
    run = near(0.1, seed=1)
    hidden = Outputs(TRUTH, run.output + 1e-4 * np.random.default_rng(9).normal(size=TRUTH.shape))
    assert alike(run, run)
    assert alike(run, hidden)
    assert not alike(near(1e-3, seed=1), near(1e-3, seed=2))
    silent = [Outputs(TRUTH, 0.5 + 1e-3 * RANDOM.normal(size=TRUTH.shape)) for _ in range(2)]
    assert not alike(*silent)
    assert not alike(run, Outputs(TRUTH[:20], run.output[:20]))
    assert not alike(run, parse_predictions(b"index,target,prediction\n0,1,1\n", "it"))


def test_agreement_is_of_samples() -> None:
    """By hand: one of forty samples off; must differ: shapes."""
    run = near(0.1, seed=1)
    output = run.output.copy()
    output[3] += 0.1
    assert agreement(Outputs(TRUTH, output), run, "it") == 39 / 40
    assert targets_apart(Outputs(TRUTH + (np.arange(40) == 2)[:, None, None], output), run, "it") == 100
    with pytest.raises(InputError, match="has 20 samples, not 40"):
        targets_apart(Outputs(TRUTH[:20], output[:20]), run, "it")
    with pytest.raises(InputError, match="not one answer for each"):
        agreement(Outputs(TRUTH[:20], output[:20]), run, "it")


def test_steps_have_their_places() -> None:
    """Must differ: the same labels at other steps, a class beyond the data set's, answers of samples."""
    head = b"index,step,target,prediction\n"
    one, other = (parse_predictions(head + line, "it") for line in (b"0,1,2,2\n", b"0,2,2,2\n"))
    assert same_targets(one, one)
    assert not same_targets(one, other)
    with pytest.raises(InputError, match="answers for other steps"):
        targets_apart(one, other, "it")
    reference = compose_reference("qtdb_v1")
    assert parse_answers(head + b"0,1,2,2\n", "it", reference).target.tolist() == [2]
    with pytest.raises(InputError, match=r"class 6 is beyond 0\.\.5"):
        parse_answers(head + b"0,1,2,6\n", "it", reference)
    with pytest.raises(InputError, match="needs one answer for each sample"):
        parse_answers(head + b"0,1,2,2\n", "it", compose_reference("digits_v1"))
