"""Tables as LaTeX: what is escaped, and that the numbers are those of table.csv."""

from __future__ import annotations

import csv
import re
import string
from pathlib import Path

import pytest

import sgbench
from sgbench.cli.main import main
from sgbench.tables.markup import ESCAPES, as_latex, escape
from sgbench.tables.table import Cell, Note, Table, number, numbers, texts
from tests.rooms import ROOT

BOARDS = ROOT / "leaderboards"
UNESCAPED = {text.removesuffix("{}"): sign for sign, text in ESCAPES.items()}


def read_back(text: str) -> str:
    """What a reader sees of escaped text, by a table of its own."""
    pattern = "|".join(re.escape(word) for word in sorted(UNESCAPED, key=len, reverse=True))
    return re.sub(rf"({pattern})(?:\{{\}})?", lambda match: UNESCAPED[match[1]], text).replace("$-$", "-")


@pytest.mark.parametrize(
    "text",
    [
        string.punctuation + string.ascii_letters,
        "\\input{/etc/passwd} & x \\\\ y",
        "5 % of $10 #1 a_b^c ~ 1 ± 2 µJ",
        "-3.0 (-4.2 to -1)",
    ],
)
def test_every_sign_is_read_back(text: str) -> None:
    """Must match: what was escaped; no sign that LaTeX runs is left alone."""
    escaped = escape(text)
    assert read_back(escaped) == text
    bare = escaped
    for word in sorted(UNESCAPED, key=len, reverse=True):
        bare = bare.replace(word, "")
    assert not set(bare.replace("{}", "").replace("$-$", "")) & set("\\{}$&%#_~^")


def test_lines_have_as_many_cells_as_the_head() -> None:
    """By hand: two columns, a stranger's ampersand and line break, a cell that would end the line before it."""
    rows = ((Cell("a & b\nc", is_code=True), number(1.0, "1")), (Cell("[x]"), number(None, "")))
    lines = as_latex(Table("t", (*texts("name"), *numbers("n")), rows, notes=(Note("5 %"),)), ["more"]).splitlines()
    body = lines[lines.index("\\midrule") + 1 : lines.index("\\bottomrule")]
    assert body == [r"\texttt{a \& b c} & 1 \\", r"{}[x] & -- \\"]
    assert lines[1] == r"\begin{tabular}{lr}"
    assert lines[-4:] == [r"{\footnotesize", r"\textsuperscript{1}5 \%\par", r"more\par", "}"]


def cells(latex: str) -> list[list[str]]:
    """The rows of the first tabular, read back."""
    body = latex.split("\\midrule\n")[1].split("\\bottomrule", maxsplit=1)[0]
    lines = [line.removesuffix(r" \\") for line in body.splitlines()]
    return [[read_back(cell) for cell in re.split(r"(?<!\\) & ", line)] for line in lines]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("protocol", ["digits_v1", "mackey_glass_v1"])
def test_numbers_are_those_of_the_csv(protocol: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Reference: the committed table.csv; accuracies in points, losses as they stand, spikes and seeds."""
    root = ["--from", "leaderboards", "--root", str(BOARDS), "--protocol", protocol]
    assert main(["board", "show", *root, "--latex"]) == 0
    shown = cells(capsys.readouterr().out)
    with (BOARDS / protocol / "table.csv").open() as file:
        stored = [row for row in csv.DictReader(file) if row.get("claimed", "no") == "no"]
    ranked = [row for row in stored if row.get("baseline", "no") == "no"]
    assert len(shown) >= len(ranked) > 5
    kind, unit = ("loss", 1) if "test_loss_mean" in stored[0] else ("accuracy", 100)
    for line, row in zip(shown, ranked, strict=False):
        mean = re.match(r"-?[\d.]+", line[3])
        assert mean is not None
        digits = len(mean[0].partition(".")[2])
        assert float(mean[0]) == pytest.approx(unit * float(row[f"test_{kind}_mean"]), abs=0.51 * 10**-digits)
        assert line[4].split()[0] == row["seeds"]
        spikes = row["spikes_per_inference"]
        if not spikes:
            assert line[5] == "--"
        else:
            assert float(line[5].replace(",", "")) == pytest.approx(float(spikes), rel=6e-3)
        low = row["rank_low"] if row["rank_low"] == row["rank_high"] else f"{row['rank_low']} to {row['rank_high']}"
        assert line[0] == low


def test_markdown_and_latex_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["board", "show", "--markdown", "--latex"])
    assert "not allowed with" in capsys.readouterr().err


def test_every_table_object_writes_latex(tmp_path: Path) -> None:
    """A board, its records, a list of entries and an entry: as many rows as each has."""
    where = {"root": BOARDS, "layout": "leaderboards"}
    board = sgbench.board("digits_v1", **where)
    assert len(cells(board.to_latex())) == len(board.board.shown)
    names = sgbench.list("firing")
    assert len(cells(names.to_latex())) == len(names)
    entry = sgbench.show("surrogate/atan")
    assert len(cells(entry.to_latex())) == len(entry.entry.parameters)
