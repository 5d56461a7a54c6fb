"""The benchmark's tables: their columns, and that of docs/engine.md, which follows the stored results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import headline, report
from benchmarks.__main__ import parser
from benchmarks.memory import ROOT
from tests.benchmarks.tiny import bench


def test_table_is_aligned() -> None:
    lines = report.table(["a", "b"], [["long name", "1"], ["x", "100"]]).splitlines()
    assert lines == ["a            b", "long name    1", "x          100"]


def test_the_page_shows_the_stored_results() -> None:
    """Expected: `python -m benchmarks table`, which reads result files and nothing else."""
    page = (Path(__file__).parents[2] / "docs" / "engine.md").read_text()
    shown = page.split(headline.START)[1].split(headline.END)[0].strip()
    assert shown == headline.table()


def test_the_readme_tells_the_range_on_sparse_input(tmp_path: Path) -> None:
    """Must match: the README is what is written of stored results. Must differ: a README of other numbers."""
    (tmp_path / "docs").mkdir()
    for page in ("docs/engine.md", "README.md"):
        (tmp_path / page).write_text((ROOT / page).read_text())
    written = (ROOT / "README.md").read_text()
    other = headline.SENTENCE.sub(r"\g<1>1 to 2\g<2>", written)
    assert other != written
    (tmp_path / "README.md").write_text(other)
    headline.rewrite(tmp_path)
    assert (tmp_path / "README.md").read_text() == written
    assert (tmp_path / "docs" / "engine.md").read_text() == (ROOT / "docs" / "engine.md").read_text()


def test_each_result_of_the_table_is_measured() -> None:
    """Expected: one command for each file that the table reads; without peers, none of theirs."""
    with_peers = headline.measurements(headline.HeadlineSettings(None, headline.RESULTS, peers=True))
    read = [f"{line.name}.json" for line in headline.LINES]
    of_peers = [f"peers_{line.name}.json" for line in headline.LINES if line.with_peers]
    assert [each.file for each in with_peers] == [*read, *of_peers, "memory_w1_ff.json"]
    few = headline.measurements(headline.HeadlineSettings(2, headline.RESULTS, peers=False))
    assert [each.file for each in few] == [*read, "memory_w1_ff.json"]
    assert all(each.words.endswith("--rounds 2") for each in few[:-1])
    for each in with_peers:
        parser().parse_args(each.words.split())


def test_a_table_follows_its_files(tmp_path: Path) -> None:
    """By hand: other medians in the files, other numbers in the table."""
    for line in headline.LINES:
        for name in [f"{line.name}.json"] + [f"peers_{line.name}.json"] * line.with_peers:
            tree = json.loads((headline.RESULTS / name).read_text())
            tree["contenders"][headline.BASE]["cpu_ms"]["median"] = 1234.5
            tree["contenders"][headline.OURS]["cpu_ms"]["median"] = 5.67
            tree["contenders"][headline.OURS]["ratio_cpu"] = {"median": 2.04, "low": 1.96, "high": 2.13}
            (tmp_path / name).write_text(json.dumps(tree))
    row = headline.table(tmp_path).splitlines()[3]
    assert row.startswith("| the same, 10 % of inputs | 1,234 ms | 5.7 ms | **2.0** (2.0 to 2.1) |")


@pytest.mark.parametrize("content", [None, "{", "[]", '{"contenders": {}}'])
def test_a_table_of_broken_results_is_refused(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "w1_ff.json").write_text(content)
    assert bench(f"table --from {tmp_path}") == 2
    out, err = capsys.readouterr()
    assert "w1_ff.json" in err
    assert err.count("\n") == 1
    assert out == ""
