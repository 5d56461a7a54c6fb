"""An honest submission passes, on the toy protocol; expected outcomes follow from the rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sgbench.errors import InputError
from sgbench.leaderboard.board import show
from sgbench.leaderboard.objects import Objects
from sgbench.submission.accept import accept
from sgbench.submission.check import check
from tests.leaderboard.factory import method
from tests.submission.factory import (
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
    found = check(write(tmp_path, submission()), references=REFERENCES)
    assert found.problems == ()
    assert [record.seed for record in found.records] == list(SEEDS)
    assert not found.refused(strict=True)


def test_failed_seed_is_handed_in_like_others(tmp_path: Path) -> None:
    """It has a record, and neither predictions nor weights."""
    assert check(write(tmp_path, failing(submission(), 1)), references=REFERENCES).problems == ()


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
    assert check(write(tmp_path, tuned(files, trials)), references=REFERENCES).problems == ()


def test_warnings_refuse_only_when_strict(tmp_path: Path) -> None:
    """Neither paper nor code, and changed code: two warnings."""
    files = head(submission(), paper=None)
    environment = json.loads(files["submission.json"])["environment"] | {"clean": False}
    found = check(write(tmp_path, head(files, environment=environment)), references=REFERENCES)
    assert [problem.code for problem in found.problems] == ["source", "commit"]
    assert found.refused(strict=True)
    assert not found.refused(strict=False)


def test_accepted_submission_is_on_the_board(tmp_path: Path) -> None:
    """Records, and predictions, weights and log under their hashes; accepting again changes nothing."""
    root, board = write(tmp_path / "it", submission()), tmp_path / "boards"
    accept(root, board, references=REFERENCES)
    before = {path: path.read_bytes() for path in board.rglob("*") if path.is_file()}
    # Three records, predictions, one submission and one empty log; all three weights are the same bytes here.
    assert len(before) == 3 + 3 + 1 + 1 + 1
    accept(root, board, references=REFERENCES)
    assert {path: path.read_bytes() for path in board.rglob("*") if path.is_file()} == before
    assert list(Objects(board / "toy_v1").check()) == []
    (found,) = show(board, layout="leaderboards", references=REFERENCES).boards
    (row,) = found.rows
    assert row.standing is not None
    assert row.standing.division == "closed"
    assert row.standing.dossier.submission is not None


def test_refused_submission_leaves_the_board_alone(tmp_path: Path) -> None:
    """An error: nothing is copied."""
    root = write(tmp_path / "it", head(submission(), division="open"))
    with pytest.raises(InputError, match="the method is closed, not open"):
        accept(root, tmp_path / "boards", references=REFERENCES)
    assert not (tmp_path / "boards").exists()


def test_another_record_is_never_overwritten(tmp_path: Path) -> None:
    """The same method and seeds with other results: refused, and the old ones stay."""
    board = tmp_path / "boards"
    accept(write(tmp_path / "first", submission()), board, references=REFERENCES)
    second = write(tmp_path / "second", submission(hits=80, family=5))
    with pytest.raises(InputError, match="never overwritten"):
        accept(second, board, references=REFERENCES)


def test_resealing_changes_nothing() -> None:
    """The factory's own seal is the one that a check recomputes."""
    files = submission()
    assert reseal(files) == files
