"""The benchmark of building boards: what it builds from are records that count; how fast it is, is never tested."""

from __future__ import annotations

import pytest

from benchmarks import board
from benchmarks.__main__ import main
from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.store.tree import RecordTree


def test_its_records_are_rows_of_the_board(tmp_path) -> None:
    """By hand: three methods of five seeds; must differ: their scores, and those of another seed."""
    found = []
    for seed in (0, 0, 1):
        root = tmp_path / str(len(found))
        assert len(list(board.write_records(root, board.BoardSettings(methods=3, seed=seed)))) == 15
        boards = show(RecordTree(root, "leaderboards", References()))
        assert not boards.findings
        found.append([row.scores for row in boards.boards[0].rows])
    assert found[0] == found[1] != found[2]
    assert len({tuple(scores.values()) for scores in found[0]}) == 3


@pytest.mark.slow
def test_the_command_from_end_to_end(tmp_path, capsys) -> None:
    """Expected: exit code 0, and the number of records in the table."""
    assert main(["board", "--methods", "3", "--rounds", "1", "--json", str(tmp_path / "board.json")]) == 0
    out = capsys.readouterr().out
    assert "board build, 15 records" in out
    assert "start to end, s" in out
