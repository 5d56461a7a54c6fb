"""Boards and pictures at their edges: nothing ranked, a single setting, prices that no share of events matters to.

Expected values are worked out by hand; each says from what.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from registry.__main__ import main as keep
from sgbench.cli.main import main
from sgbench.leaderboard.deviation import compose_reference
from sgbench.leaderboard.families import AcrossTasks, FamilySummary, Tuned
from sgbench.leaderboard.pages.brief import energy_lines
from sgbench.leaderboard.pages.explain import explain_rows
from sgbench.leaderboard.pages.picture import mean_ranks, profiles, tuning_curves
from sgbench.leaderboard.pages.table import to_markdown
from sgbench.leaderboard.rows import Board
from sgbench.leaderboard.score import Measure
from sgbench.plots import style
from sgbench.plots.board_charts import across_figure, tuning_figure
from sgbench.statistics.across_tasks import RankTest
from tests.leaderboard.factory import record, write_board_record, write_run
from tests.leaderboard.handed_in import sgbench
from tests.leaderboard.test_matched import Prices, board, chip
from tests.messages import lines_naming


@pytest.mark.slow
def test_board_that_a_withdrawal_empties(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The picture goes with the last row, one that lies there is a finding, and a line says why there is none."""
    found = record(of=compose_reference("digits_v1").method)
    write_board_record(tmp_path, found)
    picture = tmp_path / "digits_v1" / "board.png"
    assert sgbench("build", root=tmp_path) == 0
    drawn = picture.read_bytes()
    words = ["withdraw", found.method_id, "--protocol", "digits_v1", "--reason", "wrong data"]
    assert keep([*words, "--root", str(tmp_path)]) == 0
    assert sgbench("build", root=tmp_path) == 0
    assert not picture.exists()
    assert sgbench("check", root=tmp_path) == 0
    capsys.readouterr()
    assert sgbench("show", root=tmp_path) == 0
    assert lines_naming(capsys.readouterr().out, "1 withdrawn", "table.md")
    page = (tmp_path / "digits_v1" / "table.md").read_text()
    assert lines_naming(page, "1 withdrawn")
    assert "| rank |" not in page
    picture.write_bytes(drawn)
    assert sgbench("check", root=tmp_path) == 1
    assert lines_naming(capsys.readouterr().out, f"{picture}", "without rows")


ALWAYS: Prices = {"accumulate": (1, 1, 1), "multiply_accumulate": (100, 90, 110), "neuron_update": (2, 1, 4)}
NEVER: Prices = {"accumulate": (1, 1, 1), "multiply_accumulate": (3, 3, 3), "neuron_update": (300, 200, 400)}
TORN: Prices = {"accumulate": (1, 1, 1), "multiply_accumulate": (40, 3, 100), "neuron_update": (2, 2, 300)}


def words_of(found: Board) -> tuple[str, str, str]:
    """What the page, the terminal and the sentences say of atan's crossover."""
    page = to_markdown(found, layout="runs").split("## Beside networks without spikes")[1].split("## ")[0]
    (line,) = [line for line in page.splitlines() if "`atan(width_fwhm=1)`" in line]
    (shown,) = [line for line in energy_lines(found, None) if line.startswith("atan")]
    sentences = " ".join(explain_rows(found, found.rows[0], found.rows[1], hits={}).sentences)
    return [cell.strip() for cell in line.split("|")][5], shown.split()[5], sentences


def test_crossovers_that_no_share_decides() -> None:
    """By hand, 2000 connections of which 27.5 a step are used, 14 units: E(0) = 140 u, ANN 2000 m + 14 u.

    m = 100, u = 2: (200028 - 280) / 550 x 2.75 % = 999 %, at both ends above 100. m = 3, u = 300: 10200 less than
    42000 pJ, at both ends. m = 40, u = 2: (80028 - 280) / 550 x 2.75 % = 399 %; low prices (6028 - 280) / 550 x
    2.75 % = 28.7 %, high ones 204200 - 42000: 811 %.
    """
    page, shown, sentences = words_of(board(chip("wide", ALWAYS)))
    assert (page, shown) == ("always", "always")
    other = "without spikes (run once a sample)"
    assert lines_naming(sentences.replace(". ", "\n"), "less energy", other, "however many", "wide")
    page, shown, sentences = words_of(board(chip("wide", NEVER)))
    assert (page, shown) == ("never", "never")
    assert lines_naming(sentences.replace(". ", "\n"), "more energy", other, "however few", "wide")
    page, shown, _ = words_of(board(chip("wide", TORN)))
    assert (page, shown) == ("always (28.7 to always)", "28.7-always")


def family(name: str, *expected: float) -> Tuned:
    """A family with these expected scores of the best of 1, 2, ... settings, without a band."""
    return Tuned(name, len(expected), 0.0, expected[-1], expected[-1], None, 0, expected, expected, expected)


ACCURACY = Measure("accuracy", 0.1)


def tuned_figure(*found: Tuned) -> Figure:
    """The picture of families."""
    return tuning_figure(tuning_curves(found, ACCURACY), what=ACCURACY.title)


@pytest.mark.slow
def test_a_single_setting_is_drawn() -> None:
    """Its marker is in the picture, below the legend; without the family none of its colour is."""

    def coloured(*found: Tuned) -> int:
        pixels = image.imread(io.BytesIO(style.encode(lambda: tuned_figure(*found), ".png")))
        below = pixels[pixels.shape[0] // 5 :, :, :3]
        return int((np.abs(below - to_rgb(style.look_of("triangle", 1)["color"])).max(axis=2) < 0.01).sum())

    assert coloured(family("atan", 0.8, 0.9), family("triangle", 0.85)) > 50
    assert coloured(family("atan", 0.8, 0.9)) == 0


@pytest.mark.parametrize("most", [2, 3, 5, 30])
def test_numbers_of_settings_are_whole(most: int) -> None:
    """Nobody tries one and a half, or none."""
    figure = tuned_figure(family("atan", *np.linspace(0.5, 0.9, most)))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert len(ticks) >= 2
    assert all(tick == int(tick) >= 1 for tick in ticks)


@pytest.mark.slow
def test_no_curve_of_one_setting_each(runs_dir: Path, tmp_path: Path, capsys) -> None:
    """One line that says what to run, no file; the table alone needs no second setting."""
    write_run(runs_dir, record(of=compose_reference("digits_v1").method))
    assert main(["board", "tuning", "--plot", str(tmp_path / "t.png")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert lines_naming(said.err, "two settings", "sgbench run -m")
    assert not (tmp_path / "t.png").exists()
    assert main(["board", "tuning"]) == 0
    assert "settings here" in capsys.readouterr().out


def test_profile_falls_at_scores_and_the_difference_has_no_methods_colour() -> None:
    """By hand: runs at 0.2 and 0.8 are all above less than 0.2, half of them up to 0.8, none beyond."""
    tasks = [np.array([0.2, 0.8])] * 2
    standings = tuple(FamilySummary(name, 0.5, 0.4, 0.6, tasks, 1.5, (1, 1)) for name in ("atan", "triangle"))
    ranks = RankTest((1.5, 1.5), 0.0, 0.0, 1.0, 1.39)
    across = AcrossTasks(("a_v1", "b_v1"), standings, (), ranks)
    figure = across_figure(profiles(across), mean_ranks(across))
    figure.draw_without_rendering()
    above, below = figure.axes
    at, shares = above.lines[0].get_data()
    assert np.allclose(at, [0.18, 0.2, 0.2, 0.8, 0.8, 1.0, 1.0])
    assert np.allclose(shares, [100, 100, 50, 50, 0, 0, 0])
    methods = {to_rgb(line.get_color()) for line in above.lines}
    assert not methods & {to_rgb(line.get_color()) for line in below.lines}
    whiskers = [line.get_xdata() for line in below.lines if len(line.get_xdata()) == 2]
    assert np.allclose(whiskers[0], [1.5 - 1.39 / 2, 1.5 + 1.39 / 2])
