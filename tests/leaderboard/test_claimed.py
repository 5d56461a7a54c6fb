"""What came by submission and was not run again stands below the line: shown, and ranked nowhere.

The published board of digits_v1 has eight methods; one, gaussian, came by submission and passed all tiers.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from sgbench.cli.main import main
from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.pages.table import to_csv, to_markdown
from sgbench.leaderboard.rows import Board
from sgbench.leaderboard.store.integrity import forged_verifications
from sgbench.leaderboard.store.method_provenance import read_provenances
from sgbench.leaderboard.store.tree import RecordTree
from tests.messages import lines_naming

PUBLISHED = Path(__file__).resolve().parents[2] / "leaderboards" / "digits_v1"
SUBMITTED = "e3367789b010"
REFERENCES = References()


def board(root: Path) -> Board:
    (found,) = show(RecordTree(root, "leaderboards", REFERENCES, only="digits_v1")).boards
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A leaderboards folder with the published board of digits_v1, and one verification of each tier."""
    shutil.copytree(PUBLISHED, tmp_path / "digits_v1", ignore=shutil.ignore_patterns("reinferred-*.json"))
    return tmp_path


def verification(root: Path, tier: str) -> Path:
    return root / "digits_v1" / "verifications" / SUBMITTED / f"{tier}.json"


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_published_board_has_no_row_below_the_line() -> None:
    """Must differ: everything handed in was run again with success."""
    found = board(PUBLISHED.parent)
    assert found.claimed == ()
    assert len(found.rows) == 8
    assert "## Below the line" not in to_markdown(found, layout="leaderboards")
    assert "claimed" not in to_csv(found).partition("\n")[0].split(",")


@pytest.mark.one_in(8)
@pytest.mark.parametrize("how", ["never", "failed", "one_seed", "rescored_failed"])
def test_not_run_again(copy: Path, how: str) -> None:
    """Seven ranks are given without it, and its own line says by what it is there."""
    path = verification(copy, "reinferred")
    if how == "never":
        path.unlink()
    elif how == "failed":
        change(path, passed=False)
    elif how == "one_seed":
        change(path, seeds=[0])
    else:
        change(verification(copy, "rescored"), passed=False)
    found = board(copy)
    assert [row.method_id for row in found.claimed] == [SUBMITTED]
    assert found.claimed[0].rank is None
    assert SUBMITTED not in {row.method_id for row in found.rows}
    assert max(row.rank.high for row in found.rows if row.rank) == 7
    above, _, below = to_markdown(found, layout="leaderboards").partition(
        "## Below the line: claimed, and not repeated"
    )
    assert SUBMITTED not in above
    assert f"records/{SUBMITTED}/" in below
    assert "as claimed" in below


def test_values_say_so(copy: Path) -> None:
    """The line in table.csv has no rank, and a column that tells it."""
    verification(copy, "reinferred").unlink()
    lines = {line["method_id"]: line for line in csv.DictReader(io.StringIO(to_csv(board(copy))))}
    assert (lines[SUBMITTED]["claimed"], lines[SUBMITTED]["rank_low"]) == ("yes", "")
    assert {line["claimed"] for name, line in lines.items() if name != SUBMITTED} == {"no"}


def test_own_rows_need_no_submission(copy: Path) -> None:
    """Records without a submission are self-reported by the maintainers, and stay in the ranking."""
    for name in ("submissions", "verifications"):
        shutil.rmtree(copy / "digits_v1" / name)
    found = board(copy)
    assert (len(found.rows), found.claimed) == (8, ())


def test_perfect_answers_have_no_first_rank(copy: Path) -> None:
    """Labels copied into the answers score 100 % and pass as rescored; the row is below all that were run."""
    for path in (copy / "digits_v1" / "records" / SUBMITTED).iterdir():
        tree = json.loads(path.read_text())
        tree["test"]["accuracy"] = 1.0
        path.write_text(json.dumps(tree))
    verification(copy, "reinferred").unlink()
    verification(copy, "retrained").unlink()
    found = board(copy)
    assert found.claimed[0].score.mean == 1.0
    assert found.rows[0].method_id != SUBMITTED


def test_commands_show_it_apart(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the terminal's table without a rank, told in a note; in comparisons over methods not at all."""
    verification(copy, "reinferred").unlink()
    where = ["--from", "leaderboards", "--root", str(copy), "--protocol", "digits_v1"]
    assert main(["board", "show", *where]) == 0
    out = capsys.readouterr().out
    assert lines_naming(out, "claimed", "gaussian(width_fwhm=4)")
    assert main(["board", "across", *where, "--json"]) == 0
    told = {each["name"] for each in json.loads(capsys.readouterr().out)["standings"]}
    assert "gaussian" not in told
    assert "atan" in told


def findings_of(root: Path, name: str) -> list[str]:
    """What `board check` says of the verifications of a row."""
    folder = root / "digits_v1"
    (content,) = show(RecordTree(root, "leaderboards", REFERENCES, only="digits_v1")).measured.values()
    scores = {method.method_id: method.scores for method in content}
    found = forged_verifications(folder, read_provenances(folder), scores, REFERENCES.of("digits_v1"))
    return [each.reason for each in found if name in each.path]


def test_published_verifications_are_of_what_lies_there(copy: Path) -> None:
    """Must differ: none of the published ones is found."""
    assert findings_of(copy, SUBMITTED) == []


@pytest.mark.parametrize(
    ("tier", "changes", "words"),
    [
        ("rescored", {"claimed_accuracy": 0.95, "verified_accuracy": 0.95}, ["0.95", "0.927777778"]),
        ("rescored", {"verified_accuracy": 0.95}, ["0.95", "stored predictions", "0.927777778"]),
        ("rescored", {"seeds": [0, 1, 2, 3, 4, 5]}, ["seeds 5", "no finished record"]),
        ("reinferred", {"claimed_accuracy": 0.95, "verified_accuracy": 0.95}, ["0.95", "0.927777778"]),
        ("reinferred", {"verified_accuracy": 0.90, "agreement": 0.999}, ["0.0277778", "0.999"]),
        ("reinferred", {"agreement": None}, ["how many answers agree"]),
    ],
)
def test_forged_verifications_are_found(copy: Path, tier: str, changes: dict[str, object], words: list[str]) -> None:
    """In the maintainers' name: what is computed again from records and answers beside it says otherwise.

    By hand: the five records claim 334, 334, 333, 334 and 335 of 360 images, .92778 on average; answers that agree
    in 99.9 of 100 cases cannot score 2.8 points apart.
    """
    change(verification(copy, tier), **changes)
    (reason,) = findings_of(copy, SUBMITTED)
    assert lines_naming(reason, *words)


@pytest.mark.parametrize("tier", ["rescored", "reinferred"])
def test_verifications_of_another_row_copied_are_found(copy: Path, tier: str) -> None:
    """Ids and scores edited to those of a row that nobody handed in: there is nothing that could be repeated."""
    other = "94a7c9b747a4"
    (scored,) = show(RecordTree(copy, "leaderboards", REFERENCES, only="digits_v1")).measured.values()
    scores = next(method.scores for method in scored if method.method_id == other)
    mean = sum(scores.values()) / len(scores)
    stored = verification(copy, tier)
    forged = stored.parent.with_name(other) / stored.name
    forged.parent.mkdir()
    shutil.copy(stored, forged)
    change(forged, method_id=other, claimed_accuracy=mean, verified_accuracy=mean)
    (reason,) = findings_of(copy, other)
    assert "nobody handed in" in reason
