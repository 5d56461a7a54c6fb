"""`sgbench sweep`: every shipped sweep is listed, usable and light until it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sgbench.cli.main import main
from sgbench.composition import catalogue
from sgbench.composition.plan import plan
from sgbench.leaderboard.deviation import References, method_deviations
from sgbench.records.method import method_id
from sgbench.sweeps.points import count_runs, read_grid
from sgbench.training.build import build
from tests.cli.filled_sweeps import TUNING, Capture
from tests.cli.test_browse import HEAVY

SWEEPS = catalogue.entries("sweep")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "quickstart" else pytest.mark.slow) for name in SWEEPS]
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_list_has_every_sweep(capsys: Capture) -> None:
    """With its number of runs and its line, after the usage."""
    assert main(["sweep"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: sgbench sweep NAME")
    for name, entry in SWEEPS.items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
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
