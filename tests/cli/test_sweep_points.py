"""Points beside the grid, and sweeps found again by their words or their group; expected words are by hand."""

from __future__ import annotations

import contextlib
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins

from sgbench.cli.main import main
from sgbench.composition.overrides import Overrides
from sgbench.composition.plan import plan, sweep_points
from sgbench.composition.points import combine_points, extra_points
from sgbench.errors import InputError
from sgbench.paths import RECORD, run_dir
from sgbench.plots.sweep import sweep_figure
from sgbench.plots.sweep_panels import spikes_figure
from sgbench.records.files import to_json
from sgbench.records.method import method_id
from sgbench.sweeps.api import failed_map, picture_of
from sgbench.sweeps.notes import notes_before_running
from sgbench.sweeps.points import grid_of
from sgbench.sweeps.results import read_results
from sgbench.sweeps.saved import remember, to_remember
from sgbench.training.run_folder import folder_of, keeps_locks, locked
from tests.leaderboard import factory
from tests.leaderboard.test_loss_boards import with_loss
from tests.messages import lines_naming, raises_naming

Capture = pytest.CaptureFixture[str]
ZIP = "hydra.sweeper.points={zip:{surrogate:[atan,triangle],optimizer.lr:[0.01,0.02]}}"
GROUP = ["group=mine", "surrogate=atan,triangle", "seed=0,1"]


@pytest.mark.slow
def test_values_in_step_meet_the_grid() -> None:
    """Two settings x two seeds, where a grid of the same would be eight points; each is composed and checked."""
    words = ["seed=0,1", ZIP]
    assert [point.texts[:3] for point in sweep_points(Overrides.of(words))] == [
        ["surrogate=atan", "optimizer.lr=0.01", "seed=0"],
        ["surrogate=atan", "optimizer.lr=0.01", "seed=1"],
        ["surrogate=triangle", "optimizer.lr=0.02", "seed=0"],
        ["surrogate=triangle", "optimizer.lr=0.02", "seed=1"],
    ]
    planned = plan(words, multirun=True)
    told = [(spec.method.label, spec.method.parameters["optimizer"]["lr"], spec.seed) for spec in planned.specs]
    assert told == [("atan", 0.01, 0), ("atan", 0.01, 1), ("triangle", 0.02, 0), ("triangle", 0.02, 1)]
    with pytest.raises(InputError, match="did you mean 'triangle'"):
        plan([ZIP.replace("triangle", "triangel")], multirun=True)


@pytest.mark.slow
def test_points_of_a_list_may_name_different_keys() -> None:
    """By hand: the rule tells both apart, and the form is named by one of them alone."""
    words = ["hydra.sweeper.points={list:['rule=bptt','rule=eprop rule.form=unrolled']}", "seed=0,1"]
    grid = grid_of("mine", [*words, "network.recurrence_gradient=cut"])
    assert [point.settings for point in grid.points] == [
        {"rule": "bptt", "rule.form": "-"},
        {"rule": "eprop", "rule.form": "unrolled"},
    ]
    assert [point.seeds for point in grid.points] == [(0, 1), (0, 1)]


def test_what_runs_is_what_was_planned() -> None:
    """Must match: the words that Hydra's side launches; batches hold them in order."""
    Plugins.instance()  # Hydra imports its plugins anew
    sweeper = import_module("hydra_plugins.sgbench_replicas.sweeper").PlannedSweeper
    points = {"sobol": {"count": 3, "seed": 1, "ranges": {"optimizer.lr": {"low": 0.01, "high": 1, "scale": "log"}}}}
    overrides = OverridesParser.create().parse_overrides(["seed=0,1"])
    for size, batches in ((None, 1), (4, 2)):
        made = sweeper(size, {}, points).split_arguments(overrides, size)
        assert len(made) == batches
        assert [words for batch in made for words in batch] == combine_points(
            [["seed=0"], ["seed=1"]], extra_points(points)
        )
    assert sweeper(None).split_arguments(overrides, None) == [[["seed=0"], ["seed=1"]]]


def test_drawn_points_lie_in_their_ranges_and_repeat() -> None:
    """A function of the seed; half of a Sobol sequence lies below the geometric mean. Must differ: other seeds."""
    for kind in ("random", "sobol"):
        content = {"count": 8, "seed": 3, "ranges": {"a.b": {"low": 0.01, "high": 1.0, "scale": "log"}}}
        values = [float(word.partition("=")[2]) for (word,) in extra_points({kind: content})]
        assert extra_points({kind: content}) == extra_points({kind: content})
        assert extra_points({kind: content}) != extra_points({kind: content | {"seed": 4}})
        assert all(0.01 <= value <= 1 for value in values)
        assert all(value == float(f"{value:.3g}") for value in values)
    assert sum(value < 0.1 for value in values) == 4


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ({"zipp": {}}, "points.zipp: is not known; did you mean 'zip'"),
        ({"zip": {"a": [1], "b": [1, 2]}}, "a has 1, b has 2; as many values"),
        ({"zip": {"a": []}}, "points.zip.a: a list of values"),
        ({"list": ["atan"]}, "points.list: atan: overrides of the form key=value"),
        ({"random": {"count": 0, "ranges": {}}}, "count=0: a whole number of at least 1"),
        ({"random": {"count": 2}}, "random.ranges: is needed"),
        ({"sobol": {"count": 2, "ranges": {"a": {"low": 0, "high": 1, "scale": "log"}}}}, "low above 0"),
        ({"sobol": {"count": 2, "ranges": {"a": {"low": 1, "high": 2, "scale": "lg"}}}}, "did you mean 'log'"),
        ("atan", "a mapping with keys among zip, list, random, sobol"),
    ],
)
def test_points_that_are_none(points: Any, said: str) -> None:
    """One line that names the key and the remedy."""
    with pytest.raises(InputError) as caught:
        extra_points(points)
    assert said in str(caught.value)


def test_a_key_has_its_values_in_one_place() -> None:
    """A word for a key that the points have too is refused, rather than one of them winning; so is glob."""
    with raises_naming(InputError, "surrogate=sigmoid", "hydra.sweeper.points"):
        plan([ZIP, "surrogate=sigmoid"], multirun=True)
    with raises_naming(InputError, "glob(...)", "write the names"):
        plan(["surrogate=glob(*)"], multirun=True)


def runs(root: Path, accuracies: list[float | None]) -> list[Any]:
    """Made-up records of the sweep `GROUP`, in its order; further runs are missing."""
    specs = plan([*GROUP, f"paths.runs_dir={root}"], multirun=True).specs
    for spec, accuracy in zip(specs, accuracies, strict=False):
        factory.write_run(root, factory.record(of=spec.method, seed=spec.seed, accuracy=accuracy))
    return list(specs)


@pytest.mark.slow
def test_status_of_a_multirun_by_its_words_and_by_its_group(tmp_path: Path, capsys: Capture) -> None:
    """One done, one failed, one under way (its folder is held), one missing; both ways tell the same."""
    specs = runs(tmp_path, [0.9, None])
    remember(tmp_path, "mine", to_remember(Overrides.of(GROUP), [], []))
    with locked(folder_of(specs[2])):
        assert main(["sweep", "status", *GROUP[1:], "--root", str(tmp_path)]) == 0
        by_words = capsys.readouterr().out
        assert main(["sweep", "status", "group=mine", "--root", str(tmp_path)]) == 0
        by_group = capsys.readouterr().out
    counts = f"4 runs of digits_v1 in {tmp_path}: 1 done, 1 failed, 1 running, 1 missing"
    assert by_words.splitlines()[0] == f"sweep: {counts}"
    assert by_group.splitlines()[0] == f"mine: {counts}"
    assert by_words.splitlines()[1:] == by_group.splitlines()[1:]
    assert lines_naming(by_words, "best so far", "surrogate=atan: validation")
    assert main(["sweep", "status", "group=mine", "seed=5", "--root", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "2 runs of digits_v1" in told
    assert told.endswith(f"sgbench run -m group=mine surrogate=atan,triangle seed=5 paths.runs_dir={tmp_path}\n")


def test_a_group_that_was_never_run(tmp_path: Path, capsys: Capture) -> None:
    """One line: the nearest name, or how a sweep gets one."""
    assert main(["sweep", "show", "group=mine", "--root", str(tmp_path)]) == 2
    assert lines_naming(capsys.readouterr().err, "group=NAME")
    remember(tmp_path, "mine", to_remember(Overrides.of(GROUP), [], []))
    remember(tmp_path, "../x", to_remember(Overrides.of(GROUP), [], []))  # no file's name: not written
    assert [path.name for path in (tmp_path / ".sweeps").iterdir()] == ["mine.json"]
    assert main(["sweep", "show", "group=min", "--root", str(tmp_path)]) == 2
    assert "did you mean 'mine'" in capsys.readouterr().err


@pytest.mark.slow
def test_pictures_of_failures_of_spikes_and_of_losses(tmp_path: Path) -> None:
    """By hand: one of two runs failed is 50 %; dots stand at the spikes that the records count."""
    words = ["surrogate=atan", "width_fwhm=0.5,1", "optimizer.lr=0.01,0.02", "seed=0,1"]
    specs = plan([*words, f"paths.runs_dir={tmp_path}"], multirun=True).specs
    for spec, accuracy in zip(specs, [0.9, None, *[0.8] * 6], strict=True):
        factory.write_run(tmp_path, factory.record(of=spec.method, seed=spec.seed, accuracy=accuracy))
    results = read_results(grid_of("mine", words), root=tmp_path)
    shares = {tuple(row.settings.values()): row.mean for row in failed_map(results).rows}
    assert shares["0.5", "0.01"] == (50.0, 50.0, 50.0)
    assert [mean for place, mean in shares.items() if place != ("0.5", "0.01")] == [(0.0, 0.0, 0.0)] * 3
    figure = sweep_figure(failed_map(results))
    assert figure.axes[-1].get_ylabel() == "failed runs, %"
    counts = results.rows[1].spikes
    made = factory.record(of=specs[2].method, seed=0).counts
    assert made is not None
    assert counts == sum(layer.spikes_sent.total or 0 for layer in made.layers) / made.samples
    dots = spikes_figure(picture_of(results)).axes[0].collections
    assert {float(x) for each in dots for x in np.asarray(each.get_offsets())[:, 0]} >= {counts}
    dotless = grid_of("mine", ["surrogate=atan,triangle", "seed=0"])
    with raises_naming(InputError, "--of failed", "learning rate"):
        sweep_figure(failed_map(read_results(dotless, root=tmp_path)))


@pytest.mark.slow
def test_losses_are_drawn_with_the_least_first(tmp_path: Path) -> None:
    """By hand: of losses 0.2 and 0.1 the second stands on top; the label says loss. Must differ: mixed tasks."""
    words = ["experiment=mackey_glass", "surrogate=atan,triangle", "seed=0"]
    specs = plan([*words, f"paths.runs_dir={tmp_path}"], multirun=True).specs
    for spec, loss in zip(specs, [0.2, 0.1], strict=True):
        folder = run_dir(tmp_path, spec.method.protocol.name, method_id(spec.method), spec.seed)
        folder.mkdir(parents=True)
        (folder / RECORD).write_bytes(to_json(with_loss(spec.seed, loss, spec.method)))
    results = read_results(grid_of("mine", words), root=tmp_path)
    axes = sweep_figure(picture_of(results)).axes[0]
    assert "validation loss" in axes.get_xlabel()
    assert [label.get_text().strip() for label in axes.get_yticklabels()][1] == "triangle"
    assert len({method_id(spec.method) for spec in specs}) == 2
    with raises_naming(InputError, "--plot", "accuracies", "losses"):
        picture_of(read_results(grid_of("mine", ["experiment=mackey_glass,digits", "seed=0"]), root=tmp_path))


def test_a_folder_that_keeps_no_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that lets two handles in, as some shared file systems do; must differ: this file system."""
    planned = plan(["seed=0,1", f"paths.runs_dir={tmp_path}"], multirun=True)
    assert keeps_locks(tmp_path)
    assert not [line for line in notes_before_running(planned, Overrides.of([]), {}) if "keeps no locks" in line]
    monkeypatch.setattr("sgbench.training.run_folder.FileLock", lambda *_, **__: contextlib.nullcontext())
    assert not keeps_locks(tmp_path)
    assert [line for line in notes_before_running(planned, Overrides.of([]), {}) if "keeps no locks" in line]
    assert list(tmp_path.iterdir()) == []
