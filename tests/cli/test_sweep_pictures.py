"""Pictures of sweeps: their values are the records', their words do not overlap, their bytes stay alike."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from scipy import special, stats

from sgbench.cli.main import main
from sgbench.plots import style
from sgbench.plots.sweep import sweep_figure
from sgbench.sweeps.api import axis_label, picture_of
from sgbench.sweeps.points import read_grid
from sgbench.sweeps.results import read_results
from tests.cli.filled_sweeps import SHAPES, SLOPES, TUNING, Capture, fill, reached
from tests.leaderboard import factory
from tests.messages import lines_naming


@pytest.mark.slow
def test_picture_that_cannot_be_written(tmp_path: Path, capsys: Capture) -> None:
    """One line, exit code 2."""
    fill("quickstart", SHAPES, tmp_path, [0.9])
    taken = tmp_path / "taken.png"
    taken.mkdir()
    words = ["sweep", "show", "quickstart", *SHAPES, "--root", str(tmp_path), "--plot", str(taken)]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written" in line


def drawn(name: str, words: list[str], root: Path) -> Any:
    """The figure of a sweep, laid out."""
    with mpl.rc_context(style.STYLE):  # type: ignore[arg-type]
        figure = sweep_figure(picture_of(read_results(read_grid(name, words), root=root)))
        figure.canvas.draw()
    return figure


@pytest.mark.slow
def test_heat_maps(tmp_path: Path) -> None:
    """A panel each, small values at the lower left, one scale, missing cells hatched, the best framed."""
    accuracies = [0.30 + 0.02 * number for number in range(22)]
    fill("surrogate_x_lr", TUNING, tmp_path, accuracies)
    figure = drawn("surrogate_x_lr", TUNING, tmp_path)
    atan, triangle, bar = figure.axes
    assert [axes.get_title() for axes in (atan, triangle)] == ["atan", "triangle"]
    values = atan.images[0].get_array().filled(math.nan)
    pairs = [50 * (reached(100 * a) + reached(100 * b)) for a, b in zip(*[iter(accuracies)] * 2, strict=True)]
    assert values == pytest.approx(np.array([pairs[3:6], pairs[0:3]]))  # 0.002 stands below 0.01
    assert [label.get_text() for label in atan.get_yticklabels()] == ["0.002", "0.01"]
    assert [label.get_text() for label in atan.get_xticklabels()] == ["0.5", "1", "2"]
    assert atan.images[0].norm is triangle.images[0].norm
    assert bar.get_ylabel() == "validation accuracy, %"
    assert [len([patch for patch in axes.patches if patch.get_hatch()]) for axes in (atan, triangle)] == [0, 1]
    assert len(atan.texts) == 6
    assert atan.get_ylabel() == "learning rate"
    assert "threshold units" in atan.get_xlabel()


@pytest.mark.slow
def test_curves(tmp_path: Path) -> None:
    """A line each over a logarithmic width, with whiskers from the lower to the upper end of the interval.

    The lines are moved apart, by as much to each side, and by a quarter of the way to the next width at most.
    """
    given = [0.5, 0.6, 0.7, 0.8, 0.8, 0.9] + [0.6] * 11
    fill("surrogate_x_slope", SLOPES, tmp_path, given)
    figure = drawn("surrogate_x_slope", SLOPES, tmp_path)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == axis_label("width_fwhm")
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert set(lines) == {"atan", "triangle"}
    left, right = (lines[name].get_xdata() / np.array([0.5, 1, 2]) for name in ("atan", "triangle"))
    assert left * right == pytest.approx(np.ones(3))
    assert 2**-0.125 <= left[0] < 1
    assert lines["atan"].get_ydata()[0] == pytest.approx(100 * np.mean([reached(50), reached(60), reached(70)]))
    seen = [reached(percent) for percent in (50, 60, 70)]
    error = stats.sem(seen) / (np.mean(seen) * (1 - np.mean(seen)))
    ends = special.expit(stats.t.interval(0.95, 2, loc=special.logit(np.mean(seen)), scale=error))
    whisker = axes.collections[0].get_segments()[0]
    assert whisker[:, 0] == pytest.approx(0.5 * left[0])
    assert sorted(whisker[:, 1]) == pytest.approx([100 * end for end in ends], abs=1e-5)
    assert "*" in [text.get_text() for text in axes.texts]  # one seed of the last setting is missing


@pytest.mark.slow
def test_dots(tmp_path: Path) -> None:
    """Best first; a failed seed is a cross, a setting without a run says so."""
    fill("quickstart", SHAPES, tmp_path, [0.7, None, 0.72, 0.9, 0.91, 0.92])
    figure = drawn("quickstart", SHAPES, tmp_path)
    (axes,) = figure.axes
    labels = [label.get_text().strip() for label in axes.get_yticklabels()]
    assert labels == ["surrogate", "triangle", "atan", "zero"]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["chance", "mean, 95 % interval", "one seed", "failed seed"]
    assert [text.get_text() for text in axes.texts] == ["no run yet"]
    caption = " ".join(" ".join(text.get_text() for text in figure.texts).split())
    assert "Validation accuracy on purpose" in caption
    assert lines_naming(caption, "1 failed run", "chance")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"), [("surrogate_x_lr", TUNING), ("surrogate_x_slope", SLOPES), ("quickstart", SHAPES)]
)
def test_words_of_a_picture_do_not_overlap(name: str, words: list[str], tmp_path: Path) -> None:
    """Boxes of titles, labels, legends and captions are apart and inside; the PNG has colours."""
    fill(name, words, tmp_path, [0.3, 0.5, None, 0.9, 0.95] * 4)
    figure = drawn(name, words, tmp_path)
    renderer = figure.canvas.get_renderer()
    words_of = [*figure.texts, *figure.legends]
    for axes in figure.axes:
        words_of += [axes.xaxis.label, axes.yaxis.label, axes.title]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            words_of += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            words_of += [tick.label2 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    boxes = [each.get_window_extent(renderer) for each in words_of if each.get_visible()]
    boxes = [box for box in boxes if box.width > 1 and box.height > 1]
    whole = figure.bbox.padded(1)
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 for box in boxes)
    assert all(whole.y0 <= box.y0 and box.y1 <= whole.y1 for box in boxes)
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].padded(-1).overlaps(pair[1])]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("surrogate_x_lr", TUNING, marks=pytest.mark.slow),
        pytest.param("surrogate_x_slope", SLOPES, marks=pytest.mark.slow),
        ("quickstart", SHAPES),
    ],
)
def test_pictures_are_the_same_bytes_each_time(name: str, words: list[str], tmp_path: Path) -> None:
    """SVG without a date and with fixed names; another record gives another picture, and a PNG has colours."""
    fill(name, words, tmp_path, [0.3, 0.5, None, 0.9, 0.95] * 4)
    paths = [tmp_path / f"{number}.svg" for number in range(3)]
    grid = read_grid(name, words)

    def draw(path: Path) -> None:
        picture = picture_of(read_results(grid, root=tmp_path))
        style.save(lambda: sweep_figure(picture), path)

    draw(paths[0])
    draw(paths[1])
    factory.write_run(tmp_path, factory.record(of=grid.points[0].spec.method, accuracy=0.35))
    draw(paths[2])
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    draw(tmp_path / "x.png")
    image = matplotlib.image.imread(tmp_path / "x.png")[..., :3]
    assert (image.max(-1) - image.min(-1) > 0.2).sum() > 1000


@pytest.mark.slow
def test_too_much_for_one_picture(tmp_path: Path, capsys: Capture) -> None:
    """More curves than colours and dashes, or more panels than a page takes: a line with the remedy."""
    betas = ",".join(f"0.{number}" for number in range(50, 70))
    words = ["surrogate=atan", "width_fwhm=1,2", f"neuron.beta={betas}", "seed=0"]
    fill("quickstart", words, tmp_path, [0.9])
    plot = ["--root", str(tmp_path), "--plot", str(tmp_path / "x.png")]
    for more, said in (([], "curves are too many"), (["optimizer.lr=0.1,0.002"], "heat maps are too many")):
        assert main(["sweep", "show", "quickstart", *words, "optimizer.lr=0.002", *more, *plot]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
