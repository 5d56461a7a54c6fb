"""One drawn seed that anybody repeats: what draws it, what is taken, and what a board says of it.

The board is the published one of digits_v1, of which nothing was repeated elsewhere; runs are published records.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from registry.__main__ import main as keep
from sgbench.cli.main import main
from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.pages.checked import repeats_text
from sgbench.leaderboard.store.audits import AUDIT
from sgbench.leaderboard.store.tree import RecordTree
from sgbench.records.audit import Audit, Repetition
from sgbench.records.files import read_model
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.submissions import draws
from sgbench.submissions.verify import one as one_module
from tests.messages import lines_naming
from tests.submission.conftest import BOARD

REFERENCES = References()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A leaderboards folder with the published board alone."""
    shutil.copytree(BOARD, tmp_path / "boards" / "digits_v1", ignore=shutil.ignore_patterns("objects"))
    return tmp_path / "boards"


@pytest.fixture
def line(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `sgbench audit --one` writes for Ada, with the published record as the run."""

    def published(spec: RunSpec) -> RunRecord:
        return read_model(BOARD / "records" / method_id(spec.method) / f"{spec.seed}.json", RunRecord)

    monkeypatch.setattr(one_module, "run_spec", published)
    path = tmp_path / "line.json"
    words = ["audit", "--one", "--by", "Ada", "--from", "leaderboards", "--root", str(root), "--to", str(path)]
    assert main(words) == 0
    return path


def changed(line: Path, **changes: Any) -> Path:
    """The line with other values of its session, or of the seed in it."""
    tree = json.loads(line.read_text())
    for key, value in changes.items():
        place = tree["session"] if key in tree["session"] else tree["session"]["retrainings"][0]
        place[key] = value
    line.write_text(json.dumps(tree))
    return line


def test_name_and_day_draw(line: Path) -> None:
    """By hand: the first of all rows, then of its five seeds, by SHA-256 of "N digits_v1 ID" and "N ... SEED"."""
    session = read_model(line, Repetition).session
    (one,) = session.retrainings
    number = int(hashlib.sha256(f"Ada {session.created_utc[:10]}".encode()).hexdigest()[:12], 16)
    assert session.draw == number

    def place(name: str) -> str:
        return hashlib.sha256(f"{number} {name}".encode()).hexdigest()

    rows = sorted({path.name for path in (BOARD / "records").iterdir()}, key=lambda each: place(f"digits_v1 {each}"))
    assert one.method_id == rows[0]
    assert one.seed == min(range(5), key=lambda seed: place(f"digits_v1 {one.method_id} {seed}"))
    assert one.again == one.claimed


def test_another_processor_is_elsewhere(line: Path, root: Path) -> None:
    """Taken once, beside what the maintainers repeated: the cell says so, and no rank moves."""

    def board() -> Any:
        return show(RecordTree(root, "leaderboards", REFERENCES, only="digits_v1")).boards[0]

    before = board()
    changed(line, processor="Apple M3")
    for _ in range(2):
        assert keep(["accept-repeat", str(line), "--root", str(root)]) == 0
    (session,) = read_model(root / "digits_v1" / AUDIT, Audit).elsewhere or ()
    (one,) = session.retrainings
    after = board()
    assert [row.rank for row in after.rows] == [row.rank for row in before.rows]
    row = next(row for row in after.rows if row.method_id == one.method_id)
    told = repeats_text(row, after.measure)
    assert lines_naming(told, "retrained", "repeated elsewhere", f"seed {one.seed}", "Ada", "Apple M3", "0.00 points")
    assert not any("elsewhere" in repeats_text(other, after.measure) for other in after.rows if other != row)


def test_a_score_that_differs_says_so(line: Path, root: Path) -> None:
    """Thirty points apart: told, and neither refuses nor gives a rank, since anybody may have written it."""
    again = json.loads(line.read_text())["session"]["retrainings"][0]["claimed"] - 0.3
    changed(line, processor="Apple M3", again=again)
    assert keep(["accept-repeat", str(line), "--root", str(root)]) == 0
    (board,) = show(RecordTree(root, "leaderboards", REFERENCES, only="digits_v1")).boards
    assert len(board.rows) == 8
    told = [repeats_text(row, board.measure) for row in board.rows]
    assert len(lines_naming("\n".join(told), "differs elsewhere", "30.00 points")) == 1


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "another processor"),
        ({"processor": "Apple M3", "verifier": "sgbench maintainers", "draw": "theirs"}, "another name"),
        ({"processor": "Apple M3", "draw": 7}, "not the number"),
        ({"processor": "Apple M3", "claimed": 0.5}, "not what its record claims"),
        ({"processor": "Apple M3", "created_utc": "2026-01-01T00:00:00Z"}, "not the number"),
        ({"processor": "Apple M3", "method_id": "0" * 12}, "has no row"),
        ({"processor": "Apple M3", "seed": "another"}, "another seed"),
    ],
)
def test_what_is_not_elsewhere(
    line: Path, root: Path, changes: dict[str, Any], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written where processor or name are the record's, or the seed was picked instead of drawn."""
    session = read_model(line, Repetition).session
    (one,) = session.retrainings
    if changes.get("draw") == "theirs":
        number = draws.number_for("sgbench maintainers", session.created_utc[:10])
        finished = range(5)
        seed = draws.seed_for("digits_v1", one.method_id, finished, number)
        record = json.loads((BOARD / "records" / one.method_id / f"{seed}.json").read_text())
        changes = changes | {"draw": number, "seed": seed, "claimed": record["test"]["accuracy"]}
    elif changes.get("seed") == "another":
        seed = (one.seed + 1) % 5
        record = json.loads((BOARD / "records" / one.method_id / f"{seed}.json").read_text())
        changes = changes | {"seed": seed, "claimed": record["test"]["accuracy"]}
    if not changes:
        kind = json.loads((BOARD / "records" / one.method_id / f"{one.seed}.json").read_text())
        changes = {"processor": kind["provenance"]["processor"]}
    changed(line, **changes)
    before = (root / "digits_v1" / AUDIT).read_bytes()
    assert keep(["accept-repeat", str(line), "--root", str(root)]) == 2
    assert word in capsys.readouterr().err
    assert (root / "digits_v1" / AUDIT).read_bytes() == before
