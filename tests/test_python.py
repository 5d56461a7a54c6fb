"""Python has what the command has: the same numbers, as objects that print and convert themselves."""

from __future__ import annotations

import ast
import csv
import io
import math
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import sgbench
from sgbench import errors
from sgbench.cli.main import main
from sgbench.leaderboard.pages.table import to_csv
from sgbench.paths import RECORD
from sgbench.sweeps.api import SweepTable
from sgbench.sweeps.points import grid_of
from sgbench.sweeps.results import read_results
from tests.messages import raises_naming
from tests.rooms import ROOT
from tools.known_names import FILE, text

BOARDS = ROOT / "leaderboards"


def test_every_name_is_there_and_no_other() -> None:
    """Each exported name is imported when it is asked for."""
    for name in sgbench.__all__:
        assert getattr(sgbench, name) is not None
    assert sgbench.InputError is errors.InputError
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sgbench.nothing  # noqa: B018 - the access is the test


def test_type_checkers_see_the_same_names() -> None:
    """Expected: the names of `HOMES`, of which the stub says the types."""
    stub = ast.parse(Path(sgbench.__file__).with_suffix(".pyi").read_text())
    (names,) = [node.value for node in stub.body if isinstance(node, ast.Assign)]
    imported = [
        alias.asname or alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    assert set(ast.literal_eval(names)) == set(imported) == set(sgbench.__all__)


def test_entries_print_as_the_command_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: the command's own text."""
    assert main(["show", "surrogate/atan"]) == 0
    assert str(sgbench.show("surrogate/atan")) == capsys.readouterr().out.rstrip("\n")
    assert main(["list", "firing"]) == 0
    assert str(sgbench.list("firing")) == capsys.readouterr().out.rstrip("\n")
    assert "<td>step</td>" in sgbench.list("firing")._repr_html_()
    assert "surrogate" in sgbench.list()


@pytest.mark.slow
def test_a_board_and_its_sentences_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: `board show --markdown` and `board explain` on the committed records."""
    source = ["--from", "leaderboards", "--root", str(BOARDS), "--protocol", "digits_v1"]
    assert main(["board", "show", *source, "--markdown"]) == 0
    board = sgbench.board("digits_v1", root=BOARDS, layout="leaderboards")
    assert str(board) == capsys.readouterr().out.rstrip("\n")
    assert "<th>rank</th>" in board._repr_html_()
    told = sgbench.explain("atan", "zero", protocol="digits_v1", root=BOARDS, layout="leaderboards")
    assert main(["board", "explain", "atan", "zero", *source, "--full"]) == 0
    assert " ".join(told.split()) == " ".join(capsys.readouterr().out.split())
    assert told.explanation.p is not None
    with pytest.raises(sgbench.InputError, match="did you mean 'digits_v1'"):
        sgbench.board("digit_v1", root=BOARDS, layout="leaderboards")


def test_names_for_type_checkers_are_those_of_the_catalogue() -> None:
    """Expected: what `make entry` writes."""
    assert FILE.read_text() == text()


def test_a_surrogate_shows_its_numbers() -> None:
    """By hand: the width of a Cauchy bell is 4 / (pi alpha)."""
    assert repr(sgbench.create("surrogate/atan", alpha=2.0)) == "Atan(alpha=2, width=0.637, peak=1)"
    assert repr(sgbench.create("surrogate/triangle", width_fwhm=0.5)) == "Triangle(slope=2, width=0.5, peak=1)"


def test_run_refuses_a_sweep_of_many_runs() -> None:
    """It used to run one point in silence."""
    with pytest.raises(sgbench.InputError, match=r"use sgbench\.sweep\('quickstart'\)"):
        sgbench.run("sweep=quickstart")
    with pytest.raises(sgbench.InputError, match="overrides are needed"):
        sgbench.sweep()
    with raises_naming(sgbench.InputError, "'quikstart'", "'quickstart'"):
        sgbench.sweep("quikstart")


def test_records_say_what_was_left_out(tmp_path: Path) -> None:
    """A damaged file is named, and the others are read."""
    folder = tmp_path / "digits_v1" / ("0" * 12) / "0"
    folder.mkdir(parents=True)
    (folder / RECORD).write_text("{")
    records = sgbench.load_records(tmp_path)
    assert len(records) == 0
    assert RECORD in records.left_out[0]
    assert repr(records) == "0 records of no protocol; 1 files left out"


def test_tables_convert_to_pandas_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Expected: a row a combination; without pandas, one line with the remedy. The library itself is not needed."""
    grid = grid_of("two", ["surrogate=atan,triangle", "seed=0,1", f"paths.runs_dir={tmp_path}"])
    table = SweepTable(read_results(grid), ("a note",))
    assert str(table).startswith("a note\n\ntwo: 4 runs of digits_v1")
    assert "<td>atan</td>" in table._repr_html_()
    frames: list[tuple[list[list[Any]], list[str]]] = []
    pandas = types.SimpleNamespace(DataFrame=lambda rows, columns: frames.append((rows, columns)))
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    table.to_pandas()
    ((rows, columns),) = frames
    assert [dict(zip(columns, row, strict=True))["surrogate"] for row in rows] == ["atan", "triangle"]
    assert [dict(zip(columns, row, strict=True))["missing"] for row in rows] == [2, 2]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(sgbench.InputError, match="pip install pandas"):
        table.to_pandas()


def test_a_board_in_pandas_is_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Must match: ranks, letters, scores and energies of `table.csv` of the same board, row by row.

    Its interval is Student's, here it is that half-width on the logit.
    """
    frames: list[tuple[list[list[Any]], list[str]]] = []
    pandas = types.SimpleNamespace(DataFrame=lambda rows, columns: frames.append((rows, columns)))
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    board = sgbench.board("digits_v1", root=BOARDS, layout="leaderboards")
    board.to_pandas()
    ((values, columns),) = frames
    found = [dict(zip(columns, row, strict=True)) for row in values]
    expected = list(csv.DictReader(io.StringIO(to_csv(board.board))))
    assert len(found) == len(expected) > 5
    names = {
        "rank_low": "rank_low",
        "rank_high": "rank_high",
        "score": "test_accuracy_mean",
        "spikes": "spikes_per_inference",
        **{f"{target.name}_nj": f"{target.name}_dynamic_value_nj" for target in board.board.targets},
    }
    assert len(board.board.targets) > 1
    for row, cells in zip(found, expected, strict=True):
        assert (row["alike"], row["method_id"]) == (cells["alike"], cells["method_id"])
        for name, column in names.items():
            assert row[name] == (pytest.approx(float(cells[column]), rel=1e-11) if cells[column] else None)
        mean, half = float(cells["test_accuracy_mean"]), float(cells["test_accuracy_high"]) - row["score"]
        ends = [math.log(mean / (1 - mean)) + sign * half / (mean * (1 - mean)) for sign in (-1, 1)]
        assert [row["low"], row["high"]] == pytest.approx([1 / (1 + math.exp(-end)) for end in ends], rel=1e-9)


@pytest.mark.slow
def test_a_sweep_from_python_is_that_of_the_command() -> None:
    """The same records, read and not repeated."""
    words = ("protocol.epochs=1", "protocol.steps=6", "protocol.hidden=[8]", "trainer.progress=false")
    table = sgbench.sweep("surrogate=atan,triangle", "seed=0,1", *words)
    assert [row.done for row in table] == [(0, 1), (0, 1)]
    before = {path: path.stat().st_mtime_ns for path in Path(table.results.root).rglob(RECORD)}
    assert main(["run", "-m", "surrogate=atan,triangle", "seed=0,1", *words]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(sgbench.load_records()) == 4


@pytest.mark.slow
def test_importing_the_package_imports_nothing_heavy() -> None:
    """Neither torch nor what names are made of."""
    heavy = "[name for name in ('torch', 'pydantic', 'yaml', 'hydra', 'wandb', 'tonic') if name in sys.modules]"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, sgbench; print({heavy})"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
