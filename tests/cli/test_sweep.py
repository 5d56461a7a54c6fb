"""`sgbench sweep`: every shipped sweep is usable; tables and pictures say what the records say."""

from __future__ import annotations

import functools
import itertools
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from scipy import stats

import sgbench
from sgbench.cli.main import main
from sgbench.composition import catalogue
from sgbench.composition.plan import plan
from sgbench.leaderboard.deviation import References, method_deviations
from sgbench.plots import style
from sgbench.plots.sweep import sweep_figure
from sgbench.records.method import method_id
from sgbench.records.spec import RunSpec
from sgbench.sweeps.picture import axis_label, picture_of
from sgbench.sweeps.points import count_runs, read_grid
from sgbench.sweeps.results import read_results
from sgbench.training.build import build
from tests.cli.test_browse import HEAVY
from tests.leaderboard import factory
from tests.run.tiny import WORDS
from tests.thinned import thinned_rows

Capture = pytest.CaptureFixture[str]
SWEEPS = catalogue.entries("sweep")
TUNING = ["surrogate=atan,triangle", "optimizer.lr=0.01,0.002", "width_fwhm=0.5,1,2", "seed=0,1"]
SLOPES = ["surrogate=atan,triangle", "width_fwhm=0.5,1,2", "seed=0,1,2"]
SHAPES = ["surrogate=atan,triangle,zero", "seed=0,1,2"]


@functools.cache
def planned_points(name: str, *words: str) -> tuple[RunSpec, ...]:
    """The runs of a sweep, planned once."""
    return plan([f"sweep={name}", *words], multirun=True).specs


def fill(name: str, words: list[str], root: Path, accuracies: Sequence[float | None]) -> list[RunSpec]:
    """Give the runs of a sweep, in its order, made-up records; those beyond the list stay missing."""
    specs = planned_points(name, *words)
    for spec, accuracy in zip(specs, accuracies, strict=False):
        factory.write_run(root, factory.record(of=spec.method, seed=spec.seed, accuracy=accuracy))
    return list(specs)


def shown(capsys: Capture, *words: str) -> dict[str, Any]:
    """The JSON of `sweep show`."""
    capsys.readouterr()
    assert main(["sweep", "show", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def reached(percent: float, samples: int = 359) -> float:
    """The nearest accuracy that whole samples of the validation set give."""
    return round(percent / 100 * samples) / samples


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "quickstart" else pytest.mark.slow) for name in SWEEPS],
)
def test_every_combination_of_a_sweep_composes_and_builds(name: str) -> None:
    """Each combination with its first seed is a method of its own, builds, and keeps to its protocol."""
    grid = read_grid(name, [])
    ids = set()
    for point in grid.points:
        build(point.spec)
        ids.add(method_id(point.spec.method))
    assert len(ids) == len(grid.points) > 1
    assert sum(len(point.seeds) for point in grid.points) == count_runs(SWEEPS[name])
    first = grid.points[0]
    reference = References().of(first.spec.method.protocol.name)
    assert list(method_deviations(first.spec.method, first.seeds[0], reference)) == []


@pytest.mark.parametrize("name", SWEEPS)
def test_every_sweep_says_what_it_is(name: str) -> None:
    """One line, and all seeds are of the protocol."""
    entry = SWEEPS[name]
    assert entry.line.endswith(".")
    assert len(entry.line) < 115
    assert entry.parameters["group"] == name
    assert entry.parameters["trainer"] == {"progress": False}


def test_grid_is_what_runs() -> None:
    """Combinations times seeds are the points of the plan, in its order; a given value is no axis."""
    grid = read_grid("surrogate_x_lr", [*TUNING, "clip_norm=1"])
    planned = plan(["sweep=surrogate_x_lr", *TUNING, "clip_norm=1"], multirun=True).specs
    ours = [(method_id(point.spec.method), seed) for point in grid.points for seed in point.seeds]
    assert ours == [(method_id(spec.method), spec.seed) for spec in planned]
    assert [axis.key for axis in grid.axes] == ["surrogate", "optimizer.lr", "width_fwhm"]
    assert grid.axes[1].numbers == (0.01, 0.002)
    assert grid.axes[0].numbers is None
    assert read_grid("quickstart", ["surrogate=atan", "seed=7"]).points[0].seeds == (7,)


LIGHT = [[], ["--help"], ["quickstart", "--help"], ["show", "--help"], ["show", "quickstart", "seed=0"]]


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    """Neither for the list nor to find that there is no record; one process after another, in one."""
    code = (
        "import sys\nfrom sgbench.cli.main import main\n"
        f"for words in {LIGHT!r}:\n"
        "    try:\n        main(['sweep', *words])\n"
        "    except SystemExit as stop:\n        assert not stop.code\n"
        f"    assert not [name for name in {HEAVY!r} if name in sys.modules], words\n"
        "print('LOADED []')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_list_has_every_sweep(capsys: Capture) -> None:
    """With its number of runs and its line, after the usage."""
    assert main(["sweep"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: sgbench sweep NAME")
    for name, entry in SWEEPS.items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"  {name} ")]
        assert line.split()[1] == str(count_runs(entry))
        assert line.endswith(entry.line)


def test_run_is_the_run_of_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words of `sgbench run`, whose exit code is passed on."""
    seen: list[list[str]] = []

    def run_command(words: list[str]) -> int:
        seen.append(words)
        return 130

    monkeypatch.setattr("sgbench.cli.run.run_command", run_command)
    assert main(["sweep", "quickstart", "seed=0,1", "--config-dir", "."]) == 130
    assert seen == [["sweep=quickstart", "seed=0,1", "--config-dir", "."]]


@pytest.mark.slow
def test_show_after_runs(runs_dir: Path, capsys: Capture) -> None:
    """Tiny runs: the records are found where runs write them, and the table has the means of what they hold."""
    words = [*WORDS[1:], "surrogate=atan"]
    found = {
        width: [
            sgbench.run("sweep=surrogate_x_slope", *words, f"width_fwhm={width}", f"seed={seed}")
            for seed in (0, 1)
        ]
        for width in ("1", "2")
    }
    words += ["width_fwhm=1,2", "seed=0,1"]
    tree = shown(capsys, "surrogate_x_slope", *words)
    assert tree["runs"] == {"done": 4, "failed": 0, "missing": 0}
    assert tree["root"] == str(runs_dir)
    for row, (width, records) in zip(tree["combinations"], found.items(), strict=True):
        assert row["settings"] == {"width_fwhm": width}
        assert row["method_id"] == records[0].method_id
        selected = [record.validation.accuracy for record in records if record.validation]
        tested = [record.test.accuracy for record in records if record.test]
        assert row["validation"]["mean"] == pytest.approx(np.mean(selected))
        assert row["test"]["mean"] == pytest.approx(np.mean(tested))
    assert main(["sweep", "show", "surrogate_x_slope", *words]) == 0
    assert "4 runs of digits_v1" in capsys.readouterr().out


@pytest.mark.slow
def test_intervals_are_those_of_scipy(tmp_path: Path, capsys: Capture) -> None:
    """Mean and half-width of the 95 % t-interval of the seeds' validation and test accuracies."""
    given = [0.91, 0.94, 0.95, 0.52, 0.63, 0.55, 0.2, 0.3, 0.25]
    fill("quickstart", SHAPES, tmp_path, given)
    rows = shown(capsys, "quickstart", *SHAPES, "--root", str(tmp_path))["combinations"]
    assert [row["surrogate"] for row in rows] == ["atan", "triangle", "zero"]
    for row, values in zip(rows, zip(*[iter(given)] * 3, strict=True), strict=True):
        for split, samples in (("validation", 359), ("test", 360)):
            seen = [reached(100 * value, samples) for value in values]
            low, high = stats.t.interval(0.95, 2, loc=np.mean(seen), scale=stats.sem(seen))
            assert row[split]["mean"] == pytest.approx(np.mean(seen))
            assert row[split]["half_width"] == pytest.approx((high - low) / 2)
            assert row[split]["n"] == 3


@pytest.mark.slow
def test_failed_seeds_count_at_chance_and_missing_ones_not(tmp_path: Path, capsys: Capture) -> None:
    """A failed seed of ten classes is 10 %; a missing one is told with the command that makes it."""
    fill("quickstart", SHAPES, tmp_path, [0.9, None, 0.8, 0.7])
    tree = shown(capsys, "quickstart", *SHAPES, "--root", str(tmp_path))
    atan, triangle, zero = tree["combinations"]
    assert atan["seeds"] == {"done": [0, 2], "failed": [1], "missing": []}
    assert atan["validation"]["mean"] == pytest.approx((reached(90) + 0.1 + reached(80)) / 3)
    assert triangle["seeds"] == {"done": [0], "failed": [], "missing": [1, 2]}
    assert triangle["validation"] == {"mean": pytest.approx(reached(70)), "half_width": None, "n": 1}
    assert zero["validation"] is zero["test"] is None
    assert tree["runs"] == {"done": 3, "failed": 1, "missing": 5}
    assert main(["sweep", "show", "quickstart", *SHAPES, "--root", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "9 runs of digits_v1" in text
    assert "3 done, 1 failed, 5 missing" in text
    assert f"sgbench sweep quickstart {' '.join(SHAPES)} paths.runs_dir={tmp_path}" in text
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert lines["zero"] == ["zero", "-", "-", "-", "-", "3"]
    assert lines["triangle"][-3:] == ["1", "-", "2"]


def test_unreadable_record_is_named_and_counts_as_missing(tmp_path: Path, capsys: Capture) -> None:
    """A broken file, and a record of another run in its place."""
    first, second, *_ = fill("quickstart", SHAPES, tmp_path, [0.9, 0.9, 0.9])
    folder = tmp_path / "digits_v1" / method_id(first.method)
    (folder / "0" / "record.json").write_text("{")
    (folder / "1" / "record.json").write_bytes((folder / "2" / "record.json").read_bytes())
    assert second.seed == 1
    assert main(["sweep", "show", "quickstart", *SHAPES, "--root", str(tmp_path), "--json"]) == 0
    out, err = capsys.readouterr()
    tree = json.loads(out)
    assert tree["combinations"][0]["seeds"] == {"done": [2], "failed": [], "missing": [0, 1]}
    assert len(tree["unreadable"]) == len(err.splitlines()) == 2
    assert "the record of another run" in err


def test_json_has_stable_keys(tmp_path: Path, capsys: Capture) -> None:
    """The same for runs that are done and missing; strict JSON."""
    fill("quickstart", SHAPES, tmp_path, [0.9])
    tree = shown(capsys, "quickstart", *SHAPES, "--root", str(tmp_path))
    assert set(tree) == {"sweep", "protocol", "root", "axes", "runs", "unreadable", "combinations"}
    assert tree["axes"] == {"surrogate": ["atan", "triangle", "zero"]}
    keys = {"settings", "surrogate", "method_id", "score", "chance", "validation", "test", "seeds"}
    assert all(set(row) == keys for row in tree["combinations"])


def test_best_is_what_validation_selects(tmp_path: Path, capsys: Capture) -> None:
    """One line for each surrogate where other axes are swept too."""
    fill("surrogate_x_slope", SLOPES, tmp_path, [0.5] * 3 + [0.9] * 3 + [0.6] * 6 + [0.8] * 3 + [0.7] * 3)
    assert main(["sweep", "show", "surrogate_x_slope", *SLOPES, "--root", str(tmp_path)]) == 0
    best = [line for line in capsys.readouterr().out.splitlines() if line.startswith("best by validation")]
    assert [line.split(": ")[1] for line in best] == [
        "surrogate=atan, width_fwhm=1",
        "surrogate=triangle, width_fwhm=1",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    thinned_rows(
        [
            (["quickstrat"], "did you mean 'quickstart'"),
            (["show", "quickstrat"], "did you mean 'quickstart'"),
            (["null"], "does not exist"),
            (["surrogate=atan"], "the name of a sweep comes first"),
            (["-m", "quickstart"], "the name of a sweep comes first"),
            (["quickstart", "--config-dir"], "--config-dir"),
            (["show", "quickstart", "surogate=atan,zero", "seed=0"], "did you mean 'surrogate'"),
            (["show", "quickstart", "surrogate=atann,zero", "seed=0"], "did you mean 'atan'"),
            (["show", "quickstart", "surrogate=atan", "seed=first,1"], "seed"),
            (["show", "quickstart", "seed=0"], "make them with: sgbench sweep quickstart seed=0"),
            (["show", "quickstart", "--root", "/nowhere"], "--root /nowhere: no such folder"),
            (["show", "quickstart", "--plot", "x.jpg"], ".png"),
            (["show", "quickstart", "--plot", "/nowhere/x.png"], "does not exist"),
        ],
        3,
    ),
)
def test_what_cannot_be_shown(words: list[str], said: str, capsys: Capture) -> None:
    """One line, exit code 2."""
    assert main(["sweep", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


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
    with mpl.rc_context(style.STYLE):
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
    assert [len([patch for patch in axes.patches if patch.get_hatch()]) for axes in (atan, triangle)] == [
        0,
        1,
    ]
    assert len(atan.texts) == 6
    assert atan.get_ylabel() == "learning rate"
    assert "threshold units" in atan.get_xlabel()


def test_curves(tmp_path: Path) -> None:
    """A line each over a logarithmic width, in a band from the lower to the upper end of the interval."""
    given = [0.5, 0.6, 0.7, 0.8, 0.8, 0.9] + [0.6] * 11
    fill("surrogate_x_slope", SLOPES, tmp_path, given)
    figure = drawn("surrogate_x_slope", SLOPES, tmp_path)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == axis_label("width_fwhm")
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert set(lines) == {"atan", "triangle"}
    assert list(lines["atan"].get_xdata()) == [0.5, 1, 2]
    assert lines["atan"].get_ydata()[0] == pytest.approx(
        100 * np.mean([reached(50), reached(60), reached(70)])
    )
    seen = [reached(percent) for percent in (50, 60, 70)]
    ends = stats.t.interval(0.95, 2, loc=np.mean(seen), scale=stats.sem(seen))
    band = axes.collections[0].get_paths()[0].vertices
    assert sorted({round(y, 6) for x, y in band if x == 0.5}) == pytest.approx(
        [100 * end for end in ends], abs=1e-5
    )
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
    assert "1 failed run counts at chance." in caption


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [("surrogate_x_lr", TUNING), ("surrogate_x_slope", SLOPES), ("quickstart", SHAPES)],
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
