"""What a newcomer does with submissions, and what the commands say; outcomes follow from the rules."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest

from registry.__main__ import main as keep
from sgbench.cli.main import main
from sgbench.leaderboard.score import Measure
from sgbench.leaderboard.store.method_provenance import place, read_provenances, without_other_scores
from sgbench.records.files import read_model
from sgbench.records.submission import Verification
from sgbench.submissions.stored_runs import restore
from tests.messages import lines_naming, missing
from tests.submission.factory import submission, write

BOARD = Path(__file__).resolve().parents[2] / "leaderboards" / "digits_v1"
(SAMPLE,) = sorted((BOARD / "submissions").glob("*.json"))[:1]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that was handed in."""
    return restore(BOARD, SAMPLE.stem, tmp_path_factory.mktemp("restored"))


@pytest.fixture(scope="module")
def outside(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its answers as those of code outside."""
    root = tmp_path_factory.mktemp("outside")
    words = ["submit", "make", str(sample / "predictions"), "--external", "--protocol", "digits_v1"]
    words += ["--name", "mine", "--contact", "@me", "--code", "https://example.org/x", "--to", str(root)]
    assert main(words) == 0
    (folder,) = (root / "digits_v1").iterdir()
    return folder


def test_the_folder_above_is_no_submission(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: one line with the names of those in it."""
    assert main(["submit", "check", str(sample.parent)]) == 2
    assert missing(capsys.readouterr().err, str(sample.parent), sample.name) == []


def test_more_seeds_than_there_are(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Five finished; a sixth is no quiet five."""
    assert main(["verify", str(sample), "--tier", "rescored", "--seeds", "6"]) == 2
    assert missing(capsys.readouterr().err, "--seeds 6", "1", "5") == []


def test_a_failed_seed_of_another_protocol(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The protocol's seeds are 0 to 4."""
    words = ["submit", "make", str(sample / "predictions"), "--external", "--protocol", "digits_v1"]
    words += ["--name", "mine", "--contact", "@me", "--code", "https://example.org/x", "--to", str(tmp_path)]
    assert main([*words, "--failed", "7"]) == 2
    assert missing(capsys.readouterr().err, "--failed 7", "digits_v1", "0", "4") == []


@pytest.mark.slow
def test_the_next_command_has_the_words_that_it_needs(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expected: what is printed can be typed as it stands and finds the folder fine; own entries are in it."""
    own = tmp_path / "my conf"
    own.mkdir()
    words = ["submit", "make", str(sample / "predictions"), "--external", "--protocol", "digits_v1"]
    words += ["--name", "mine", "--contact", "@me", "--code", "https://example.org/x", "--to", str(tmp_path)]
    assert main([*words, "--config-dir", str(own), "--allow-target", "mine.Mine"]) == 0
    (command,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("next: ")]
    typed = shlex.split(command.removeprefix("next: "))
    assert typed[:3] == ["sgbench", "submit", "check"]
    assert typed[-5:] == ["--strict", "--config-dir", str(own), "--allow-target", "mine.Mine"]
    assert main([*typed[1:], "--board", str(tmp_path / "boards")]) == 0


def test_one_cause_is_one_line(
    sample: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five records of an entry that is not known here: one line, and no advice to remove what belongs to them."""
    reason = "deviates from digits_v1: surrogate 'mine' is not in the catalogue"
    monkeypatch.setattr("sgbench.submissions.check.deviation", lambda *_: reason)
    assert main(["submit", "check", str(sample)]) == 1
    errors = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {sample}/records/0.json: ")
    assert missing(errors[0], "mine", "4") == []
    assert main(["submit", "check", str(sample), "--json"]) == 1
    (verdict,) = json.loads(capsys.readouterr().out).values()
    assert [one["path"] for one in verdict["problems"] if one["level"] == "error"] == [
        f"records/{seed}.json" for seed in range(5)
    ]


def test_refused_for_warnings_alone_says_so(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A submission without paper and code: fine without --strict, and with it the word of why."""
    folder = shutil.copytree(sample, tmp_path / sample.parent.name / sample.name)
    head = json.loads((folder / "submission.json").read_text())
    (folder / "submission.json").write_text(json.dumps({**head, "paper": None, "code": None}))
    nowhere = ["--board", str(tmp_path / "none")]  # the board has it with an address
    assert main(["submit", "check", str(folder), *nowhere]) == 0
    assert f"{folder}: fine; " in capsys.readouterr().out
    assert main(["submit", "check", str(folder), "--strict", *nowhere]) == 1
    text = capsys.readouterr().out
    assert "warning: " in text
    (last,) = [line for line in text.splitlines() if "--strict" in line]
    assert missing(last, str(folder)) == []


@pytest.mark.slow
def test_code_outside_is_withdrawn_too(outside: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: accepted once, there already the second time; withdrawn by its id, and the page says why."""
    board = ["--board", str(tmp_path)]
    assert keep(["accept", str(outside), *board]) == 0
    assert "accepted" in capsys.readouterr().out
    assert keep(["accept", str(outside), *board]) == 0
    assert "was there already" in capsys.readouterr().out
    words = ["withdraw", outside.name, "--protocol", "digits_v1", "--root", str(tmp_path)]
    assert keep([*words, "--reason", "wrong labels"]) == 0
    assert main(["board", "build", "--from", "leaderboards", "--root", str(tmp_path)]) == 0
    assert "withdrawn: wrong labels" in (tmp_path / "digits_v1" / "table.md").read_text()


@pytest.mark.slow
def test_seeds_that_answer_alike_may_be_of_code_that_draws_nothing(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A warning for code outside, which a strict check refuses and a person may pass."""
    for seed in range(5):
        (tmp_path / f"{seed}.csv").write_bytes((sample / "predictions" / "0.csv").read_bytes())
    words = ["submit", "make", str(tmp_path), "--external", "--protocol", "digits_v1", "--name", "mine"]
    words += ["--contact", "@me", "--code", "https://example.org/x", "--to", str(tmp_path / "to")]
    assert main(words) == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith("warning: predictions/1.csv: ")]
    assert missing(line, "seed 0") == []
    (folder,) = (tmp_path / "to" / "digits_v1").iterdir()
    none = ["--board", str(tmp_path / "none")]
    assert main(["submit", "check", str(folder), *none]) == 0
    assert main(["submit", "check", str(folder), "--strict", *none]) == 1


def test_a_folder_that_will_be_refused_is_said_at_once(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels that are not the data set's: made, and exit code 1 with the line of the check."""
    for seed in range(5):
        table = (sample / "predictions" / f"{seed}.csv").read_text()
        lines = table.split("\n")
        index, label, rest = lines[1].split(",", 2)
        lines[1] = f"{index},{(int(label) + 1) % 10},{rest}"
        (tmp_path / f"{seed}.csv").write_text("\n".join(lines))
    words = ["submit", "make", str(tmp_path), "--external", "--protocol", "digits_v1", "--name", "mine"]
    words += ["--contact", "@me", "--code", "https://example.org/x", "--to", str(tmp_path / "to")]
    assert main(words) == 1
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if "predictions/0.csv" in line]
    assert missing(line, "1") == []


def test_a_second_verification_lies_beside_the_first(tmp_path: Path) -> None:
    """Expected: the same one once, another one under a number, both read; must differ: under a wrong name."""
    found = read_model(BOARD / "verifications" / SAMPLE.stem / "rescored.json", Verification)
    folder = tmp_path / "digits_v1"
    other = found.model_copy(update={"verifier": "somebody else", "passed": False})
    paths = [place(folder, each) for each in (found, found, other)]
    assert [path.name for path in paths] == ["rescored.json", "rescored.json", "rescored-2.json"]
    provenance = read_provenances(folder).of(found.method_id)
    assert {each.verifier for each in provenance.verifications} == {found.verifier, "somebody else"}
    assert provenance.failed == other
    paths[2].rename(paths[2].with_name("retrained-2.json"))
    (finding,) = read_provenances(folder).findings
    assert "misplaced" in finding.reason


def test_a_verification_of_another_score_is_none_of_a_board(tmp_path: Path) -> None:
    """Must match: accuracies on a board of accuracies; must differ: on one of losses."""
    found = read_model(BOARD / "verifications" / SAMPLE.stem / "rescored.json", Verification)
    folder = tmp_path / "digits_v1"
    place(folder, found)
    provenances = read_provenances(folder)
    assert without_other_scores(provenances, folder, Measure("accuracy", 0.1)) == provenances
    strange = without_other_scores(provenances, folder, Measure("loss", 0.1))
    assert strange.of(found.method_id).verifications == ()
    (problem,) = strange.findings
    assert lines_naming(problem.reason, "no loss")


def test_toy_folders_are_no_exception(tmp_path: Path) -> None:
    """A folder with a file of its own is read as one, whatever lies in it."""
    files = submission()
    files["records/submission.json"] = files["submission.json"]
    assert main(["submit", "check", str(write(tmp_path, files))]) == 1
