"""Results of code from outside: alone on a board, below the others, and in the measure's unit.

Expected values are worked out by hand; each says from what.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sgbench.leaderboard.deviation import compose_reference
from sgbench.leaderboard.pages.brief import outsider_cells
from sgbench.leaderboard.score import Measure
from sgbench.leaderboard.store.method_provenance import MethodProvenance, place
from sgbench.leaderboard.store.outside import Outsider
from sgbench.records.submission import Notice, Verification
from tests.leaderboard.factory import CLASSES, make_board, protocol, record, write_board_record
from tests.leaderboard.handed_in import CODE, hand_in, json_of, sgbench
from tests.messages import lines_naming


@pytest.mark.slow
def test_board_of_results_from_outside_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By hand: 0.90 and 0.92 have logit(0.91) +- 12.706 x 0.01 / (0.91 x 0.09); a page, no picture, no finding."""
    identity = hand_in(tmp_path, 0.90, 0.92)
    assert sgbench("build", root=tmp_path) == 0
    folder = tmp_path / "digits_v1"
    out = capsys.readouterr().out
    assert lines_naming(out, "digits_v1", "0 methods", "0 records", "1 from outside", str(folder / "table.md"))
    page = (folder / "table.md").read_text()
    assert lines_naming(page, "1 from outside")
    assert f"| `My net` | `{CODE}` | self-reported | 91.00 (68.18 to 97.95) | 2 | 90.00, 92.00 |" in page
    assert "| rank |" not in page
    assert not (folder / "board.png").exists()
    assert sgbench("show", root=tmp_path) == 0
    shown = capsys.readouterr().out
    (line,) = [line for line in shown.splitlines() if line.startswith("My net")]
    assert line.split()[2:] == ["91.00", "(68.18", "to", "97.95)", "2", "self-reported"]
    assert lines_naming(shown, "1 from outside")
    assert sgbench("check", root=tmp_path) == 0
    assert "1 board checked (digits_v1), 0 problems" in capsys.readouterr().out
    reason = {"protocol": "digits_v1", "method_id": identity, "kind": "withdrawn", "superseded_by": None}
    reason |= {"schema_version": 1, "reason": "wrong data", "created_utc": "2026-01-01T00:00:00Z"}
    place(folder, Notice.model_validate(reason))
    assert sgbench("show", root=tmp_path) == 0
    shown = capsys.readouterr().out
    assert "no method counts: 1 withdrawn\n" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("My net")]
    assert line.split()[-1] == "withdrawn"
    (folder / "external" / identity / "1.json").unlink()
    assert sgbench("check", root=tmp_path) == 1


@pytest.mark.slow
def test_results_from_outside_stand_below_the_others(tmp_path: Path, capsys) -> None:
    """Must differ: with a record there is a rank, and the block from outside follows; in Markdown too."""
    hand_in(tmp_path, 0.90, 0.92)
    write_board_record(tmp_path, record(of=compose_reference("digits_v1").method))
    assert sgbench("build", root=tmp_path) == 0
    assert lines_naming(capsys.readouterr().out, "digits_v1", "1 method", "1 record", "1 from outside")
    assert sgbench("show", root=tmp_path) == 0
    shown = capsys.readouterr().out
    assert shown.index("atan") < shown.index("My net")
    assert "no method counts" not in shown
    assert sgbench("show", "--markdown", root=tmp_path) == 0
    above, below = capsys.readouterr().out.split("\n\n")
    assert above.startswith("| rank |")
    assert below.splitlines()[2] == "| My net | 91.00 (68.18 to 97.95) | 2 | self-reported |"


def test_external_folder_of_an_unknown_protocol_is_named(tmp_path: Path, capsys) -> None:
    """A folder that no protocol of the catalogue has: one line, no trace of a crash."""
    hand_in(tmp_path, 0.9)
    (tmp_path / "digits_v1").rename(tmp_path / "mine_v1")
    assert sgbench("build", root=tmp_path) == 1
    assert "left out: " + str(tmp_path / "mine_v1" / "external") in capsys.readouterr().out


def test_block_from_outside_in_the_measures_unit() -> None:
    """A loss is no percentage: 0.03 and 0.05 have ln(0.04) +- 12.706 x 0.01 / 0.04; a failed check is said."""
    failed = Verification.model_validate_json(
        json_of(
            {"schema_version": 1, "protocol": "toy_v1", "method_id": "a" * 12, "tier": "rescored", "passed": False}
            | {"verifier": "someone", "seeds": [0], "claimed_accuracy": None, "verified_accuracy": None}
            | {"claimed_loss": 0.04, "verified_loss": 0.4, "agreement": None, "tolerance": None, "commit": None}
            | {"statement": "no", "versions": {}, "created_utc": "2026-01-01T00:00:00Z"}
        )
    )
    scores = {0: 0.03, 1: 0.05}
    loss = Measure("loss", 0.5)
    score = loss.summarise([*scores.values()])
    outsider = Outsider("a" * 12, score, scores, (), MethodProvenance(None, (failed,), None))
    plain = make_board([record()], protocol=protocol(), targets={}, classes=CLASSES)
    found = replace(plain, outsiders=(outsider,), measure=loss)
    head, line = outsider_cells(found)
    assert head[1] == "test loss"
    assert line == ["a" * 12, "0.04 (0.001669 to 0.9586)", "2", "failed: answers alone"]
