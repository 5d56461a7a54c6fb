"""Stored verifications are run again. Expected: the published ones of digits_v1, with and without a planted change."""

import json
import shutil
from pathlib import Path

import pytest

from sgbench.leaderboard.deviation import References
from sgbench.submissions.stored_runs import not_repeated
from tests.submission.conftest import BOARD


@pytest.mark.slow
def test_a_planted_verification_is_found_by_its_file(tmp_path: Path) -> None:
    """Must match: what is published. Must differ: the latest of a tier, which then says two points more."""
    board = tmp_path / "digits_v1"
    shutil.copytree(BOARD, board)
    references = References()
    assert [*not_repeated(tmp_path, references)] == []
    latest = next((board / "verifications").glob("*/reinferred-2.json"))
    stored = json.loads(latest.read_text())
    latest.write_text(json.dumps(stored | {"verified_accuracy": stored["verified_accuracy"] - 0.02}))
    (found,) = not_repeated(tmp_path, references)
    assert found.path == str(latest)
    assert found.reason.startswith("says 0.907778 and passed; repeated: 0.927778")
