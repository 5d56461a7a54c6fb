"""Two methods in sentences; figures by hand on the toy board."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.leaderboard.pages.explain import explain_rows, find_row
from sgbench.leaderboard.rows import Board
from tests.cli.filled_sweeps import SLOPES, fill
from tests.leaderboard.factory import CLASSES, make_board, method, network_counts, protocol, record, target
from tests.messages import lines_naming, raises_naming
from tests.rooms import ROOT

ACCURACIES = {
    "atan": (0.95, 0.96, 0.97, 0.96, 0.95),
    "triangle": (0.90, 0.92, 0.91, 0.92, 0.90),
    "sigmoid": (0.95, 0.95, 0.97, 0.97, 0.94),
}


@pytest.fixture(scope="module")
def board() -> Board:
    """Three methods of five seeds: one clearly worse, two alike; B fires half as much."""
    records = [
        record(
            seed=seed,
            accuracy=value,
            of=method(surrogate=name),
            found=network_counts(spikes_sent=750) if name == "triangle" else None,
        )
        for name, values in ACCURACIES.items()
        for seed, value in enumerate(values)
    ]
    return make_board(records, protocol=protocol(), targets={"toy": target()}, classes=CLASSES)


def said(board: Board, a: str, b: str, hits=None) -> str:
    """All sentences."""
    return " ".join(explain_rows(board, find_row(board, a), find_row(board, b), hits=hits or {}).sentences)


def test_better(board: Board) -> None:
    """By hand: differences 5, 4, 6, 4, 5 points: mean 4.8, s 0.837, t = 12.83, p = 0.00021; of 3 pairs 0.00064."""
    text = said(board, "atan", "triangle")
    assert lines_naming(text, "A is better than B", "4.80 points", "3.76 to 5.84")
    assert lines_naming(text, "5 seeds", "p < 0.001", "Holm's", "3 pairs")
    assert lines_naming(text, "1.00", "0.48 to 1.00", "5 comparisons")
    assert lines_naming(text, "15 spikes", "7.5", "2.00")


def test_in_short_it_is_a_table_and_three_sentences(board: Board) -> None:
    """By hand: the means of the five seeds, 15 spikes against half as many, and no price list tells the loss."""
    found = explain_rows(board, find_row(board, "atan"), find_row(board, "triangle"), hits={})
    figures = {name: (a, b) for name, a, b in found.table}
    assert figures["test accuracy, %"] == ("95.80", "91.00")
    assert figures["spikes"] == ("15", "7.5")
    assert figures["seeds"] == ("5", "5")
    assert len(found.short) == 3
    assert set(found.short) <= set(found.sentences) | {found.short[2]}
    assert found.short[2] in " ".join(found.sentences)


def test_the_other_way_round(board: Board) -> None:
    """Must differ: worse, and the sign with it."""
    assert lines_naming(said(board, "triangle", "atan"), "A is worse than B", "-4.80 points")


def test_not_told_apart_says_what_would_settle_it(board: Board) -> None:
    """By hand: differences 0, 1, 0, -1, 1 points; 139.3 seeds (statsmodels, TTestPower)."""
    text = said(board, "atan", "sigmoid")
    assert lines_naming(text, "not differ significantly", "0.20 points")
    assert lines_naming(text, "140 seeds", "8 of 10")
    assert "29 pairs of runs" in text


def test_sample_by_sample(board: Board) -> None:
    """By hand: in each seed A alone is right on ten samples, B alone on none: p = 2 / 2^10 each."""
    a, b = np.ones(100, dtype=bool), np.ones(100, dtype=bool)
    b[:10] = False
    stored = {
        find_row(board, name).method_id: dict.fromkeys(range(5), hits) for name, hits in (("atan", a), ("triangle", b))
    }
    text = said(board, "atan", "triangle", stored)
    assert ", ".join(["10 against 0"] * 5) in text
    assert lines_naming(text, "5 of 5 seeds")
    assert lines_naming(text, "5.00 to 16.00 points", "95 %")


def test_names(board: Board) -> None:
    """By id, its beginning, or the surrogate; otherwise the nearest."""
    row = find_row(board, "atan")
    assert find_row(board, row.method_id) == find_row(board, row.method_id[:6]) == row
    assert row.label.startswith("atan(")
    assert find_row(board, row.label) == find_row(board, row.label.replace("(", " (")) == row  # as tables write it
    with pytest.raises(InputError, match="did you mean 'atan'"):
        find_row(board, "atann")
    with pytest.raises(InputError, match="both are method"):
        explain_rows(board, row, row, hits={})


def test_command_on_the_committed_board(capsys: pytest.CaptureFixture[str]) -> None:
    """In short, in sentences, and as one object."""
    root = str(Path(__file__).resolve().parent.parent.parent / "leaderboards")
    words = ["board", "explain", "exponential", "zero", "--protocol", "digits_v1", "--root", root]
    assert main(words) == 0
    assert "A is better than B" in capsys.readouterr().out
    assert main([*words, "--full"]) == 0
    assert "Noether's formula" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "better"
    assert found["low"] < found["difference"] < found["high"]


def test_a_number_tells_settings_of_one_surrogate_apart() -> None:
    """By hand: two widths of atan; must differ: the name alone, which is of both, and a number of neither."""
    widths = {width: method(parameters={"surrogate": {"width_fwhm": width}}) for width in (0.5, 1.0)}
    records = [record(seed=seed, of=each) for each in widths.values() for seed in range(3)]
    found = make_board(records, protocol=protocol(), targets={"toy": target()}, classes=CLASSES)
    assert find_row(found, "atan:0.5").surrogate == "atan(width_fwhm=0.5)"
    assert find_row(found, "atan:1").surrogate == "atan(width_fwhm=1)"
    with raises_naming(InputError, "atan", "atan:1"):
        find_row(found, "atan")
    with raises_naming(InputError, "atan:2"):
        find_row(found, "atan:2")


def test_explain_as_typed_from_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    """Must match: the board's name before the methods, and --protocol; a folder of boards needs no --from."""
    words = ["board", "explain", "--root", str(ROOT / "leaderboards")]
    assert main([*words, "digits_v1", "atan:1", "triangle"]) == 0
    first = capsys.readouterr().out
    assert main([*words, "--from", "leaderboards", "--protocol", "digits_v1", "atan", "triangle"]) == 0
    assert first == capsys.readouterr().out
    assert main(["board", "explain", "atan"]) == 2
    assert "sgbench board explain digits_v1 atan triangle" in capsys.readouterr().err
    assert main(["board", "show", "--root", str(ROOT / "leaderboards"), "--protocol", "digits_v1"]) == 0
    assert "triangle(width_fwhm=1)" in capsys.readouterr().out


def test_runs_just_made_as_a_newcomer_asks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Must match: the runs of this folder, shown without an option; what is typed wrong ends in what to type."""
    fill("surrogate_x_slope", SLOPES, tmp_path / "runs", [0.9] * 18)
    monkeypatch.delenv("SGBENCH_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["board", "show", "digits_v1"]) == 0
    out = capsys.readouterr().out
    assert "triangle(width_fwhm=0.5)" in out
    for words in (["--root", "runs"], ["--from", "runs"], ["--from", "runs", "--root", "runs"], []):
        assert main(["board", "show", *words]) == 0
        assert capsys.readouterr().out == out
    assert main(["board", "explain", "atan:1", "triangle(width_fwhm=2)"]) == 0
    assert "A: atan(width_fwhm=1)  B: triangle(width_fwhm=2)" in capsys.readouterr().out
    for words, remedy in (
        (["board", "show", "--root", "runs/digits_v1"], "give --root runs --protocol digits_v1"),
        (["board", "explain", "atan", "triangle"], "error: in your own runs: 'atan' names 3 methods"),
        (["explain", "atan", "triangle"], "did you mean: sgbench board explain"),
    ):
        assert main(words) == 2
        assert remedy in capsys.readouterr().err


@pytest.mark.parametrize("spelling", ["--to", "--out"])
def test_where_to_write_has_one_spelling_and_the_old_one(
    spelling: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Must match: `--to`, as everywhere, and the former `--out` of `board export`, which `--help` does not name."""
    with pytest.raises(SystemExit):
        main(["board", "export", "--help"])
    assert (spelling in capsys.readouterr().out) == (spelling == "--to")
    path = tmp_path / "rows.csv"
    words = ["--root", str(ROOT / "leaderboards"), "--protocol", "digits_v1", "--rows"]
    assert main(["board", "export", *words, spelling, str(path)]) == 0
    assert path.read_text().startswith("board,id,")
