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
from sgbench.leaderboard.pages.table import to_markdown
from sgbench.leaderboard.pages.values import to_csv
from sgbench.leaderboard.rows import Board
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
