"""Every case of the corpus is refused with its own line, and nothing else happens; the lines are the rules' own."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import pytest

from registry.accept import accept
from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.submissions.check import Checked, check
from tests.leaderboard.factory import method
from tests.messages import lines_naming
from tests.submission.corpus import CONTENT, FOLDER
from tests.submission.factory import (
    JUDGE,
    REFERENCES,
    Files,
    edit,
    head,
    logits,
    predictions,
    rerecord,
    submission,
    write,
)

HONEST = submission()


def checked(root: Path) -> Checked:
    """What a check says, in words that hold on one printable line."""
    found = check(root, references=REFERENCES, judge=JUDGE)
    for problem in found.problems:
        assert problem.message
        assert problem.message.isprintable()
        assert len(problem.message) < 500
        assert problem.path.isprintable()
    return found


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", FOLDER)
def test_hostile_folder(tmp_path: Path, name: str) -> None:
    """What a file system can do: links, pipes, holes, numbers."""
    place, words = FOLDER[name]
    place(write(tmp_path / "it", HONEST))
    found = checked(tmp_path / "it")
    assert found.refused(strict=False)
    assert any(words in problem.message for problem in found.problems), found.problems[:5]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", CONTENT)
def test_hostile_content(tmp_path: Path, name: str) -> None:
    """One lie: refused, by its own words."""
    change, words = CONTENT[name]
    found = checked(write(tmp_path, change(HONEST)))
    lines = [f"{problem.path}: {problem.message}" for problem in found.problems if problem.level == "error"]
    assert found.refused(strict=False)
    assert any(words in line for line in lines), lines[:5]


def test_corpus_is_large_and_its_lines_differ() -> None:
    """At least sixty cases, and no line of two words that would match anything."""
    assert len(CONTENT) + len(FOLDER) >= 150
    assert all(len(words) >= 4 for _, words in [*CONTENT.values(), *FOLDER.values()])


def test_archive_is_not_opened(tmp_path: Path) -> None:
    """A zip bomb in place of a folder: one line, no byte unpacked."""
    bomb = tmp_path / "submission.zip"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("records/0.json", b"0" * 10_000_000)
    bomb.write_bytes(data.getvalue())
    with pytest.raises(InputError, match="archives are not opened"):
        check(bomb, references=REFERENCES, judge=JUDGE)


def test_link_in_place_of_the_folder(tmp_path: Path) -> None:
    """The folder itself may be none either."""
    write(tmp_path / "it", HONEST)
    (tmp_path / "link").symlink_to(tmp_path / "it")
    with pytest.raises(InputError, match="is a link"):
        check(tmp_path / "link", references=REFERENCES, judge=JUDGE)


def on_board(tmp_path: Path, files: Files) -> Path:
    """A leaderboards folder that holds a submission."""
    accept(write(tmp_path / "theirs", files), tmp_path / "boards", references=REFERENCES, judge=JUDGE)
    return tmp_path / "boards"


WIDE = method(parameters={"surrogate": {"width_fwhm": 2.0}})


@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_predictions_of_another_method(tmp_path: Path, noise: float) -> None:
    """Copied, with and without noise on the logits: the other is named."""
    board = on_board(tmp_path, HONEST)
    stolen = submission(of=WIDE)
    for seed in range(3):
        data = predictions(logits(seed) + noise * logits(seed, 99), 90 - seed)
        stolen = rerecord(stolen, seed, predictions=data)
    found = check(write(tmp_path / "mine", stolen), references=REFERENCES, judge=JUDGE, board=board)
    lines = [problem.message for problem in found.problems if problem.code == "copy"]
    assert len(lines) == 3
    honest = json.loads(HONEST["submission.json"])["method_id"]
    assert all(f"answers like method {honest}" in line for line in lines)


def test_another_methods_predictions_of_its_own_are_fine(tmp_path: Path) -> None:
    """Must differ: the same board, honest answers."""
    board = on_board(tmp_path, HONEST)
    honest = submission(of=WIDE, family=1)
    found = check(write(tmp_path / "mine", honest), references=REFERENCES, judge=JUDGE, board=board)
    assert found.problems == ()


@pytest.mark.parametrize("changes", [{"name": "stolen", "contact": "@thief"}, {"code": "https://example.org/mine"}])
def test_an_accepted_row_under_another_name(tmp_path: Path, changes: dict[str, str]) -> None:
    """Whoever handed it in first is named; must differ: handed in again as it was it is fine, as for a repeat."""
    board = on_board(tmp_path, HONEST)
    found = check(write(tmp_path / "again", HONEST), references=REFERENCES, judge=JUDGE, board=board)
    assert found.problems == ()
    stolen = write(tmp_path / "mine", head(HONEST, **changes))
    (problem,) = check(stolen, references=REFERENCES, judge=JUDGE, board=board).problems
    assert (problem.code, problem.level) == ("known", "error")
    assert lines_naming(problem.message, "atan at width 1", "someone@example.org")


def test_weights_of_another_method(tmp_path: Path) -> None:
    """Answers of one's own with weights that lie on the board: the other is named, in every seed."""
    board = on_board(tmp_path, HONEST)
    stolen = submission(of=WIDE, family=1)
    for seed in range(3):
        stolen = rerecord(stolen, seed, weights=HONEST[f"weights/{seed}.safetensors"])
    found = check(write(tmp_path / "mine", stolen), references=REFERENCES, judge=JUDGE, board=board)
    honest = json.loads(HONEST["submission.json"])["method_id"]
    said = [(problem.path, problem.message) for problem in found.problems]
    assert [path for path, _ in said] == [f"weights/{seed}.safetensors" for seed in range(3)]
    assert all(f"weights of method {honest}" in line for _, line in said)


def test_labels_against_the_board(tmp_path: Path) -> None:
    """Labels that say what was answered give any accuracy; those on the board are the test set's."""
    board = on_board(tmp_path, HONEST)
    files = submission(of=WIDE, family=1)
    for seed in range(3):
        lines = files[f"predictions/{seed}.csv"].decode().split("\n")
        cells = [line.split(",") for line in lines[1:-1]]
        swapped = [",".join([row[0], str((int(row[1]) + 1) % 10), *row[2:]]) for row in cells]
        right = sum(row.split(",")[1] == row.split(",")[2] for row in swapped)
        test = json.loads(files[f"records/{seed}.json"])["test"] | {"accuracy": right / 100}
        files = edit(files, f"records/{seed}.json", test=test)
        files = rerecord(files, seed, predictions="\n".join([lines[0], *swapped, ""]).encode())
    found = check(write(tmp_path / "mine", files), references=REFERENCES, judge=JUDGE, board=board)
    assert {problem.code for problem in found.problems} == {"labels"}


def test_nothing_of_a_submission_is_imported(tmp_path: Path) -> None:
    """Names of modules and targets in every text field: no module more after the check than before."""
    files = head(HONEST, name="tests.submission.evil", code="https://example.org/os.system")
    root = write(tmp_path, files)
    check(root, references=REFERENCES, judge=JUDGE)
    before = set(sys.modules)
    check(root, references=REFERENCES, judge=JUDGE)
    assert set(sys.modules) == before


def test_command_says_one_line_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; with --json one object, and the toy protocol is unknown to the shipped catalogue."""
    root = write(tmp_path / "it", HONEST)
    words = ["submit", "check", str(root), "--board", str(tmp_path / "none")]
    assert main([*words, "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out).values()
    assert not found["ok"]
    assert [problem["code"] for problem in found["problems"]] == ["protocol"]
    assert main(words) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("error: ")
    assert lines_naming(out[0], "'toy_v1'")
    assert len(out) == 2
