"""The three tiers on the committed sample submission; what passes and what must not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from registry.__main__ import main as keep
from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import References, compose_reference
from sgbench.leaderboard.pages.table import to_markdown
from sgbench.leaderboard.store.tree import RecordTree
from sgbench.records.files import read_model
from sgbench.records.method import identity
from sgbench.records.submission import Submission, Verification
from sgbench.submissions.check import check
from sgbench.submissions.verify.verdict import DataJudge, recompose
from tests.leaderboard.factory import record, write_board_record
from tests.messages import lines_naming, raises_naming
from tests.submission.conftest import BOARD, SAMPLE
from tests.submission.factory import Files, edit, head, rerecord, reseal, write


def verify(root: Path, tier: str, *words: str) -> int:
    """The exit code of the command."""
    return main(["verify", str(root), "--tier", tier, *words])


def test_store_gives_back_what_was_handed_in(files: Files, tmp_path: Path) -> None:
    """Every byte of the folder is in the store, and it checks clean."""
    root = write(tmp_path, files)
    assert main(["submit", "check", str(root), "--strict", "--board", str(BOARD.parent)]) == 0


def test_restored_only_where_all_is_there(files: Files, tmp_path: Path, capsys) -> None:
    """The nearest id is offered; nothing is overwritten; weights kept by reference are named."""
    words = ["restore", "--protocol", "digits_v1", "--board", str(BOARD.parent), "--to", str(tmp_path)]
    assert keep([*words, "e3367789b011"]) == 2
    assert lines_naming(capsys.readouterr().err, f"'{SAMPLE.stem}'")
    assert keep([*words, SAMPLE.stem]) == 0
    assert keep([*words, SAMPLE.stem]) == 2
    root, board = write(tmp_path / "it", files), tmp_path / "boards"
    far = ["accept", str(root), "--board", str(board), "--weights-at", "https://example.org/x"]
    assert keep(far) == 0
    capsys.readouterr()
    again = ["restore", SAMPLE.stem, "--protocol", "digits_v1", "--board", str(board)]
    assert keep([*again, "--to", str(tmp_path / "again")]) == 2
    assert "weights/0.safetensors" in capsys.readouterr().err


def test_rescored(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Labels from scikit-learn, not from the file."""
    assert verify(write(tmp_path, files), "rescored", "--seeds", "2") == 0
    assert lines_naming(capsys.readouterr().out, "2 of 2 seeds", "0 labels")


def with_labels(files: Files, seed: int) -> Files:
    """A seed whose labels say what was answered, and whose record claims it."""
    lines = files[f"predictions/{seed}.csv"].decode().split("\n")
    cells = [line.split(",") for line in lines[1:-1]]
    data = "\n".join([lines[0], *(",".join([row[0], row[2], *row[2:]]) for row in cells), ""]).encode()
    test = json.loads(files[f"records/{seed}.json"])["test"] | {"accuracy": 1.0}
    return rerecord(edit(files, f"records/{seed}.json", test=test), seed, predictions=data)


@pytest.mark.slow
def test_forged_labels_are_found(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The data set knows better than five seeds that agree; a tier says so too, of what was taken unseen."""
    forged = files
    for seed in range(5):
        forged = with_labels(forged, seed)
    # Different labels a seed are a finding of the check, so all five get those of the first.
    first = forged["predictions/0.csv"].decode().split("\n")
    labels = [line.split(",")[1] for line in first[1:-1]]
    for seed in range(1, 5):
        lines = forged[f"predictions/{seed}.csv"].decode().split("\n")
        cells = [line.split(",") for line in lines[1:-1]]
        rows = [",".join([row[0], label, *row[2:]]) for row, label in zip(cells, labels, strict=True)]
        right = sum(row[2] == label for row, label in zip(cells, labels, strict=True)) / len(cells)
        test = json.loads(forged[f"records/{seed}.json"])["test"] | {"accuracy": right}
        forged = edit(forged, f"records/{seed}.json", test=test)
        forged = rerecord(forged, seed, predictions="\n".join([lines[0], *rows, ""]).encode())
    root = write(tmp_path, forged)
    references = References()
    unseen = check(root, references=references, judge=DataJudge(references, data=False))
    assert not unseen.refused(strict=False)
    assert main(["submit", "check", str(root), "--board", str(tmp_path / "none")]) == 1
    assert lines_naming(capsys.readouterr().out, "of its labels", "predictions/0.csv")
    assert verify(root, "rescored") == 1
    out = capsys.readouterr().out
    assert "rescored: FAILED" in out
    assert lines_naming(out, "0 of 5 seeds")


def test_reinferred(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The stored weights give the stored answers; weights with noise do not."""
    assert verify(write(tmp_path / "it", files), "reinferred", "--seeds", "1") == 0
    weights = load(files["weights/0.safetensors"])
    random = np.random.default_rng(0)
    noisy = {
        name: (value + 0.2 * random.normal(size=value.shape)).astype(value.dtype) for name, value in weights.items()
    }
    other = write(tmp_path / "other", rerecord(files, 0, weights=save(noisy)))
    capsys.readouterr()
    assert verify(other, "reinferred", "--seeds", "1") == 1
    assert "reinferred: FAILED" in capsys.readouterr().out


def test_weights_that_overflow_fail(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tier says FAILED, also beside the claim: a seed without numbers counts as guessing, 10 %."""
    weights = {name: np.full_like(value, 3e38) for name, value in load(files["weights/0.safetensors"]).items()}
    root = write(tmp_path / "it", rerecord(files, 0, weights=save(weights)))
    board = tmp_path / "boards"
    assert keep(["accept", str(root), "--board", str(board)]) == 0
    assert verify(root, "reinferred", "--seeds", "1", "--board", str(board), "--by", "somebody") == 1
    assert "reinferred: FAILED" in capsys.readouterr().out
    path = board / "digits_v1" / "verifications" / SAMPLE.stem / "reinferred.json"
    found = read_model(path, Verification)
    assert (found.passed, found.verified_accuracy, found.agreement) == (False, 0.1, 0.0)
    assert "seed 0: " in found.statement


def test_weights_of_another_network(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names that the catalogue's network has not: one line, no load."""
    renamed = {f"evil.{name}": value for name, value in load(files["weights/0.safetensors"]).items()}
    root = write(tmp_path, rerecord(files, 0, weights=save(renamed)))
    assert verify(root, "reinferred", "--seeds", "1") == 2
    assert lines_naming(capsys.readouterr().err, "does not fit")


def test_recomposed_from_names_alone(files: Files, tmp_path: Path) -> None:
    """Targets are the catalogue's; a name that is not in it is refused before anything is imported."""
    references = References()
    method = read_model(SAMPLE, Submission).method
    assert method is not None
    spec = recompose(method, 0, runs_dir=tmp_path, references=references)
    assert identity(spec.method) == identity(method)
    assert spec.targets["surrogate"] == "sgbench.surrogates.gaussian.Gaussian"
    strange = method.model_copy(update={"choices": method.choices | {"surrogate": "mine"}})
    with raises_naming(InputError, "mine", "catalogue"):
        recompose(strange, 0, runs_dir=tmp_path, references=references)


@pytest.mark.slow
def test_outcome_is_written_beside_the_claim(files: Files, tmp_path: Path, capsys) -> None:
    """Only where the submission is on the board, and only once."""
    root, board = write(tmp_path / "it", files), tmp_path / "boards"
    words = ["--seeds", "1", "--board", str(board), "--by"]
    assert verify(root, "rescored", *words, "someone") == 2
    assert "on the board yet" in capsys.readouterr().err
    assert keep(["accept", str(root), "--board", str(board)]) == 0
    assert verify(root, "rescored", *words, "a <b>") == 2
    assert verify(root, "rescored", *words, "someone") == 0
    path = board / "digits_v1" / "verifications" / SAMPLE.stem / "rescored.json"
    found = read_model(path, Verification)
    assert (found.verifier, found.passed, found.seeds) == ("someone", True, (0,))
    assert found.claimed_accuracy == found.verified_accuracy
    assert {"torch", "sgbench"} <= found.versions.keys()


@pytest.mark.slow
def test_code_outside_can_only_be_rescored(files: Files, tmp_path: Path, capsys) -> None:
    """Predictions of one's own network: handed in, checked, scored; nothing else is open to them."""
    source = tmp_path / "mine"
    source.mkdir()
    for seed in range(4):
        (source / f"{seed}.csv").write_bytes(files[f"predictions/{seed}.csv"])
    words = ["submit", "make", str(source), "--external", "--protocol", "digits_v1", "--name", "mine"]
    words += ["--contact", "@me", "--to", str(tmp_path / "subs")]
    assert main(words) == 2
    words += ["--code", "https://example.org/mine"]
    assert main(words) == 2
    assert "say --failed 4" in capsys.readouterr().err
    assert main([*words, "--failed", "4"]) == 0
    (folder,) = (tmp_path / "subs" / "digits_v1").iterdir()
    assert main(["submit", "check", str(folder), "--strict", "--board", str(tmp_path / "none")]) == 0
    assert main(["submit", "check", str(folder), "--board", str(BOARD.parent)]) == 1
    assert "answers like method" in capsys.readouterr().out
    assert verify(folder, "rescored") == 0
    assert verify(folder, "reinferred") == 2
    board = tmp_path / "boards"
    assert keep(["accept", str(folder), "--board", str(board)]) == 0
    write_board_record(board, record(of=compose_reference("digits_v1").method))
    (found,) = show(RecordTree(board, "leaderboards", References())).boards
    assert "## Code outside the catalogue" in to_markdown(found, layout="leaderboards")
    assert [each.failed_seeds for each in found.outsiders] == [(4,)]


def _wrong(row: list[str], seed: int) -> list[str]:
    """Every fifth sample answered wrongly, another fifth in each seed."""
    if int(row[0]) % 5 != seed:
        return row
    wrong = (int(row[1]) + 1) % 10
    logits = [*row[3:]]
    logits[wrong] = str(max(map(float, logits)) + 1)
    return [row[0], row[1], str(wrong), *logits]


@pytest.mark.slow
def test_retrained(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A repeated training meets the claim; one of 20 points less is as false as one more."""
    assert verify(write(tmp_path / "it", files), "retrained", "--board", str(BOARD.parent)) == 0
    assert lines_naming(capsys.readouterr().out, "means of 5 seeds")
    forged = files
    for seed in range(5):
        lines = files[f"predictions/{seed}.csv"].decode().split("\n")
        worse = [_wrong(line.split(","), seed) for line in lines[1:-1]]
        right = sum(row[1] == row[2] for row in worse) / len(worse)
        test = json.loads(forged[f"records/{seed}.json"])["test"] | {"accuracy": right}
        forged = edit(forged, f"records/{seed}.json", test=test)
        data = "\n".join([lines[0], *(",".join(row) for row in worse), ""]).encode()
        forged = rerecord(forged, seed, predictions=data)
    assert verify(write(tmp_path / "other", reseal(forged)), "retrained", "--board", str(BOARD.parent)) == 1


def test_hashes_of_the_store() -> None:
    """Independent: every object's name is the SHA-256 of its bytes."""
    for path in (BOARD / "objects").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name.partition(".")[0]


def test_head_is_untouched_by_the_helper(files: Files) -> None:
    """The helper that edits submission.json keeps what it does not name."""
    assert json.loads(head(files, name="x")["submission.json"])["contact"] == "@sgbench"
