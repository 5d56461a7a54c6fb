"""An honest submission passes, on the toy protocol; expected outcomes follow from the rules."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from registry.accept import accept
from sgbench.errors import InputError
from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import ProtocolReference
from sgbench.leaderboard.division import division_of
from sgbench.leaderboard.store.objects import Objects
from sgbench.leaderboard.store.tree import RecordTree
from sgbench.records.method import method_id
from sgbench.records.submission import Submission, TuningLog, external_id
from sgbench.submissions.check import check, unknown_commits
from sgbench.submissions.head import header_problems as problems_of
from sgbench.submissions.tuning import best, log_problems
from tests.leaderboard.factory import method, protocol, reference
from tests.messages import missing
from tests.submission.factory import (
    JUDGE,
    REFERENCES,
    SEEDS,
    Files,
    edit,
    head,
    reseal,
    submission,
    trial,
    tuned,
    write,
)


def failing(files: Files, seed: int) -> Files:
    """The same with a seed whose numbers left the finite."""
    record = json.loads(files[f"records/{seed}.json"])
    record |= dict.fromkeys(("validation", "test", "counts", "predictions_sha256", "weights_sha256"))
    record |= {"status": "failed", "failure": {"kind": "NonFiniteError", "message": "layer hidden0"}}
    kept = {path: data for path, data in files.items() if path not in _artefacts(seed)}
    return edit(kept, f"records/{seed}.json", **record)


def _artefacts(seed: int) -> tuple[str, str]:
    return f"predictions/{seed}.csv", f"weights/{seed}.safetensors"


def test_honest_submission_has_no_problem(tmp_path: Path) -> None:
    """Strict: not even a warning."""
    found = check(write(tmp_path, submission()), references=REFERENCES, judge=JUDGE)
    assert found.problems == ()
    assert [record.seed for record in found.records] == list(SEEDS)
    assert not found.refused(strict=True)


def test_failed_seed_is_handed_in_like_others(tmp_path: Path) -> None:
    """It has a record, and neither predictions nor weights."""
    assert check(write(tmp_path, failing(submission(), 1)), references=REFERENCES, judge=JUDGE).problems == ()


def test_tuned_submission(tmp_path: Path) -> None:
    """Two settings; validation selects the one that is handed in."""
    other = method(parameters={"surrogate": {"width_fwhm": 2.0}})
    trials = [
        trial(one, method(), seed, loss=loss, accuracy=0.9 if seed == 0 else (0.88, 0.88)[seed - 1])
        for one, loss in ((method(), 0.1), (other, 0.5))
        for seed in SEEDS
    ]
    files = submission()
    for each in trials[:3]:
        scores = json.loads(files[f"records/{each['seed']}.json"])["validation"]
        each |= {"validation_accuracy": scores["accuracy"], "validation_loss": scores["loss"]}
    assert check(write(tmp_path, tuned(files, trials)), references=REFERENCES, judge=JUDGE).problems == ()


def test_warnings_refuse_only_when_strict(tmp_path: Path) -> None:
    """Neither paper nor code, and changed code: two warnings."""
    files = head(submission(), paper=None)
    environment = json.loads(files["submission.json"])["environment"] | {"clean": False}
    found = check(write(tmp_path, head(files, environment=environment)), references=REFERENCES, judge=JUDGE)
    assert [problem.code for problem in found.problems] == ["source", "commit"]
    assert found.refused(strict=True)
    assert not found.refused(strict=False)


def test_accepted_submission_is_on_the_board(tmp_path: Path) -> None:
    """Records, and predictions, weights and log under their hashes; accepting again changes nothing."""
    root, board = write(tmp_path / "it", submission()), tmp_path / "boards"
    accept(root, board, references=REFERENCES, judge=JUDGE)
    before = {path: path.read_bytes() for path in board.rglob("*") if path.is_file()}
    # Three records, predictions and weights, one submission and one empty log.
    assert len(before) == 3 + 3 + 3 + 1 + 1
    accept(root, board, references=REFERENCES, judge=JUDGE)
    assert {path: path.read_bytes() for path in board.rglob("*") if path.is_file()} == before
    assert list(Objects(board / "toy_v1").check()) == []
    (found,) = show(RecordTree(board, "leaderboards", REFERENCES)).boards
    assert found.rows == ()  # until somebody runs it again
    (row,) = found.claimed
    assert row.listing is not None
    assert row.listing.division == "closed"
    assert row.listing.provenance.submission is not None


def test_refused_submission_leaves_the_board_alone(tmp_path: Path) -> None:
    """An error: nothing is copied."""
    root = write(tmp_path / "it", head(submission(), division="open"))
    with pytest.raises(InputError) as refused:
        accept(root, tmp_path / "boards", references=REFERENCES, judge=JUDGE)
    assert missing(refused.value, "closed", "open", f"sgbench submit check {root}") == []
    assert not (tmp_path / "boards").exists()


def test_another_record_is_never_overwritten(tmp_path: Path) -> None:
    """The same method and seeds with other results: refused, and the old ones stay."""
    board = tmp_path / "boards"
    accept(write(tmp_path / "first", submission()), board, references=REFERENCES, judge=JUDGE)
    second = write(tmp_path / "second", submission(hits=80, family=5))
    with pytest.raises(InputError, match="never overwritten"):
        accept(second, board, references=REFERENCES, judge=JUDGE)


def test_weights_by_reference(tmp_path: Path) -> None:
    """The store keeps hash, size and address; the board still checks clean, and a wrong address is refused."""
    root, board = write(tmp_path / "it", submission()), tmp_path / "boards"
    with pytest.raises(InputError, match="https://"):
        accept(root, tmp_path / "other", references=REFERENCES, judge=JUDGE, weights_at="ftp://example.org")
    accept(root, board, references=REFERENCES, judge=JUDGE, weights_at="https://example.org/mine/")
    paths = list((board / "toy_v1" / "objects").glob("*.safetensors.ref"))
    assert len(paths) == 3
    for path in paths:
        found = json.loads(path.read_bytes())
        assert found["url"].startswith("https://example.org/mine/weights/")
        assert found["sha256"] == path.name.partition(".")[0]
    assert list(Objects(board / "toy_v1").check()) == []


def test_store_that_was_tampered_with(tmp_path: Path) -> None:
    """A changed object, one under a forged name, a stray file, a reference to something else: a finding each."""
    root, board = write(tmp_path / "it", submission()), tmp_path / "boards"
    accept(root, board, references=REFERENCES, judge=JUDGE)
    folder = board / "toy_v1" / "objects"
    (changed, *_) = sorted(folder.glob("*.csv"))
    changed.write_bytes(changed.read_bytes() + b" ")
    (folder / f"{'0' * 64}.json").write_bytes(b"{}")
    (folder / "notes.txt").write_bytes(b"x")
    reference = {"sha256": "1" * 64, "bytes": 1, "url": "https://example.org/x"}
    (folder / f"{'2' * 64}.csv.ref").write_text(json.dumps(reference))
    reasons = [finding.reason for finding in Objects(board / "toy_v1").check()]
    assert len(reasons) == 4
    assert sum("another hash" in reason for reason in reasons) == 3


def allowing(count: int | None) -> ProtocolReference:
    return replace(reference(), protocol=protocol().model_copy(update={"tuning_trials": count}))


def test_budget_is_the_protocols() -> None:
    """Two settings where one is allowed, and where two are."""
    other = method(parameters={"surrogate": {"width_fwhm": 2.0}})
    trials = [trial(method(), method(), 0), trial(other, method(), 0, loss=0.5)]
    tree = {"schema_version": 1, "protocol": "toy_v1", "method_id": method_id(method()), "trials": trials}
    log = TuningLog.model_validate_json(json.dumps(tree), strict=True)
    allowed = {count: list(log_problems(log, method(), allowing(count))) for count in (1, 2, None)}
    ((code, message),) = allowed.pop(1)
    assert code == "budget"
    assert missing(message, "2", "toy_v1", "1") == []
    assert allowed == {2: [], None: []}


def test_twenty_thousand_trials_are_counted_once_each() -> None:
    """A log as long as it may be: sorted into settings in one pass, and the best of them found."""
    one = trial(method(), method(), 0)
    trials = [one | {"method_id": f"{number:012x}", "validation_loss": number + 1.0} for number in range(20_000)]
    tree = {"schema_version": 1, "protocol": "toy_v1", "method_id": "0" * 12, "trials": trials}
    log = TuningLog.model_validate_json(json.dumps(tree), strict=True)
    assert best(log.trials, protocol()) == "0" * 12
    assert [code for code, _ in log_problems(log, method(), reference())] == ["tuning"]


@pytest.mark.parametrize(
    ("changes", "division"),
    [
        ({"surrogate": "triangle"}, "closed"),
        ({"parameters": {"surrogate": {"width_fwhm": 3.0}}}, "closed"),
        ({"parameters": {"optimizer": {"lr": 0.1}}}, "closed"),
        ({"choices": {"rule": "eprop"}}, "open"),
        ({"parameters": {"network": {"recurrence": "all_to_all"}}}, "open"),
        ({"parameters": {"neuron": {"reset": "zero"}}}, "open"),
        ({"clip_norm": 1.0}, "open"),
    ],
)
def test_division(changes: dict[str, Any], division: str) -> None:
    """By the rules: surrogate, slope, the neuron's numbers and the learning rate alone are free in closed."""
    assert division_of(method(**changes), reference()) == division


def test_resealing_changes_nothing() -> None:
    """The factory's own seal is the one that a check recomputes."""
    files = submission()
    assert reseal(files) == files


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Reference of the sgbench authors, verified, rank 1", ["Reference", "sgbench", "authors", "verified", "rank"]),
        ("V\u00c9RIFI\u00c9 net", ["V\u00c9RIFI\u00c9"]),
        ("re-inferred by sgbench, officially", ["sgbench", "officially", "reinferred"]),
        ("Rank 1, retrained, passed all tiers", ["Rank", "retrained", "passed", "all tiers"]),
        ("sgbench maintainers", ["sgbench", "maintainers"]),
        ("1st place", ["1st place"]),
        ("No. 1, the state-of-the-art, best of all", ["No. 1", "state of the art", "best of all"]),
        ("audited winner, top-1", ["audited", "winner", "top 1"]),
        ("Frank's deep preferences, franked twice", []),
        ("our network", []),
        ("first spikes, second-order LIF, local losses, topology", []),
    ],
)
@pytest.mark.parametrize("division", ["external", "open"])
def test_a_name_says_nothing_that_a_board_says(name: str, said: list[str], division: str) -> None:
    """Words by which a reader would take it for checked, ranked or ours; within other words they are letters.

    Of code outside and of methods of the catalogue alike.
    """
    tree = json.loads(submission()["submission.json"])
    if division != "external":
        handed_in = Submission.model_validate_json(json.dumps(tree | {"name": name}))
        found = [each for each in problems_of(handed_in, REFERENCES.of("toy_v1")) if each.code == "name"]
        assert [each.message.split("'")[1] for each in found] == said
        return
    code = "https://example.org/mine"
    tree |= {"division": "external", "method": None, "environment": None, "name": name, "code": code}
    tree |= {"method_id": external_id("toy_v1", name, code)}
    handed_in = Submission.model_validate_json(json.dumps(tree))
    found = [problem for problem in problems_of(handed_in, REFERENCES.of("toy_v1")) if problem.code == "name"]
    assert [problem.message.split("'")[1] for problem in found] == said
    assert all(problem.level == "error" for problem in found)


def git(folder: Path, *words: str) -> str:
    """What the user's own git prints."""
    who = ["-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *who, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def committed(folder: Path, path: str) -> str:
    """A commit with one more file, of a repository that is made if needed."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet")
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text("")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "one")
    return git(folder, "rev-parse", "HEAD")


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_commits_are_looked_for_in_the_repository(tmp_path: Path) -> None:
    """By hand: a commit of its history is known, others are not; a branch beside it, a clone cut short, none."""
    ours, board = tmp_path / "ours", tmp_path / "ours" / "leaderboards"
    ours.mkdir()
    first = committed(ours, "fastspiking/version.py")
    second = committed(ours, "leaderboards/x")
    git(ours, "checkout", "--quiet", "--orphan", "beside")
    beside = committed(ours, "sgbench/y")
    git(ours, "checkout", "--quiet", second)
    stated = ["a" * 40, first, beside, second, "a" * 40]
    assert list(unknown_commits(stated, board)) == ["a" * 40, beside]
    files = submission()
    (problem,) = check(write(tmp_path / "it", files), references=REFERENCES, judge=JUDGE, board=board).problems
    assert (problem.code, problem.level) == ("commit", "warning")
    assert missing(problem.message, "a" * 12) == []
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{ours}", "cut")
    (tmp_path / "cut" / "leaderboards").mkdir(exist_ok=True)
    (tmp_path / "theirs").mkdir()
    committed(tmp_path / "theirs", "notes.txt")
    for unknown in (tmp_path / "cut" / "leaderboards", tmp_path / "theirs", tmp_path, tmp_path / "none"):
        assert list(unknown_commits(stated, unknown)) == []
