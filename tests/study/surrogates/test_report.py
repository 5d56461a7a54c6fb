"""The report from a store to its pages: same bytes, stale ones named, and numbers that follow the records."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sgbench.recommendation.summary import SUMMARY
from sgbench.study_runner.cells import Cell, StudyPoint
from sgbench.study_runner.extension import extended
from sgbench.study_runner.scores import write_settled
from sgbench.study_runner.store import Store
from study import __main__ as command
from study.__main__ import main
from study.reporting.report import UNVERIFIED, Report, gather, make_report
from study.surrogates.analysis.comparisons import Rules
from study.surrogates.analysis.report import find
from tests.rooms import ROOT
from tests.study.truth import SETTLED, Outcome, Truth, entries, noise, planned, study

SHAPES = ("triangle", "atan", "fast_sigmoid", "log_abs")
WIDTHS = (0.1, 0.5, 1)


def truth(run: StudyPoint, settings: Cell) -> Outcome:
    """Four quiet layers: triangle does not learn, others reach 92 points; one run of triangle fails."""
    if settings["surrogate"] == "triangle":
        return Outcome(10.0, 10.0, spikes=2.0, failed=(run.seed, run.cell["width_fwhm"]) == (304, 1))
    points = 92 + noise(run, 0.5)
    return Outcome(points, points, spikes=300.0)


def make_store(folder: Path, what: Truth) -> Store:
    """A store with the cells of H2 alone: four shapes, three widths, ten seeds."""
    runs = [
        run
        for run in planned(study().study, ["A2"], SETTLED, ["T2d4"])
        if run.cell["surrogate"] in SHAPES
        and run.cell["width_fwhm"] in WIDTHS
        and set(run.cell) == {"surrogate", "width_fwhm"}
    ]
    assert len(runs) == 120
    store = Store(folder, "surrogates")
    write_settled(folder, "A1", {task: list(cells) for task, cells in SETTLED["A1"].items()})
    store.append("A2", entries(runs, what), study_sha256=study().sha256)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The store of `truth`, made once."""
    return make_store(tmp_path_factory.mktemp("study") / "store", truth)


@pytest.fixture(scope="module")
def made(store: Store) -> Report:
    """Its report."""
    return make_report(study(), store, checkout=None)


@pytest.fixture(scope="module")
def written(made: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with its pages."""
    folder = tmp_path_factory.mktemp("pages")
    made.write(folder)
    return folder


def page(made: Report, name: str) -> str:
    """The text of one page."""
    return next(one for one in made.pages if one.name == name).text(made.banner)


def test_the_front_page_says_what_was_put_in(made: Report) -> None:
    """H2 is confirmed by 0 of 30 against 30 of 30; everything else is open, with its reason."""
    text = page(made, "README.md")
    assert "1 confirmed, 0 refuted, 8 open" in text
    assert "triangle 0 of 30, atan 30 of 30" in text
    row = next(line for line in text.splitlines() if line.startswith("| H2 |"))
    assert "| **confirmed** | 10 | 0.0016 | 0.0016 |" in row
    assert "- **H3**: 40 runs missing (T2d4g)." in text
    assert all(f"({one.name})" in text for one in made.pages[1:])


def test_the_map_begins_with_its_message(made: Report) -> None:
    """By hand: ten runs of each shape at width 1, none of them of triangle above one half."""
    text = page(made, "regime_map.md")
    assert (
        "With four quiet layers at width 1, the compact triangle does not learn: 0 of 10 runs score above 50 %. "
        "Shapes with tails: atan in 10 of 10, fast_sigmoid in 10 of 10, log_abs in 10 of 10." in text
    )
    assert "| T2d4 | triangle | 1 | 10.0 (10.0 to 10.0) | 10 | 1 |" in text


def test_failures_are_counted(made: Report) -> None:
    """One of 120 runs failed, at width 1."""
    text = page(made, "safety.md")
    assert "1 of 120 runs failed" in text
    assert "NonFiniteError 1" in text
    assert "| T2d4 | 0/40 | 0/40 | 1/40 |" in text


@pytest.mark.slow
def test_a_study_that_extends_another_has_its_pages_and_no_verdicts(tmp_path: Path) -> None:
    """The runs of four quiet layers under another name: the same numbers, and not one hypothesis."""
    plan = study()
    task = plan.study.tasks["T2d4"].model_copy(update={"like": "T2d4", "title": "mine"})
    runs = [
        run
        for run in planned(plan.study, ["A2"], SETTLED, ["T2d4"])
        if run.seed < 305 and set(run.cell) == {"surrogate", "width_fwhm"}
    ]
    other = extended(plan.study, {"mine": task}).model_copy(update={"extends": plan.name})
    store = Store(tmp_path / "store", "surrogates_mine")
    made_up = [replace(entry, task="mine") for entry in entries(runs, truth)]
    store.append("A2", made_up, study_sha256=plan.sha256)
    loaded = plan.model_copy(update={"name": "surrogates_mine", "study": other})
    found = make_report(loaded, store, checkout=None)
    assert "| mine | triangle | 1 | 10.0 (10.0 to 10.0) | 5 | 1 |" in page(found, "regime_map.md")
    front = page(found, "README.md")
    assert "240 runs are stored, of blocks A2" in front
    assert "H1" not in front


def test_a_page_without_its_block_says_so_in_one_line(made: Report) -> None:
    """A title, the banner and one line; still a page."""
    assert page(made, "depth.md").splitlines()[-1] == "Not known yet: block B1 is not stored."
    assert page(made, "tuned.md").count("\n") == 5


def test_every_page_says_that_it_was_not_verified(made: Report) -> None:
    """Must differ: with a checkout no page has the banner."""
    assert all(UNVERIFIED in page(made, one.name) for one in made.pages)
    assert UNVERIFIED not in Report(made.pages).pages[0].text()


@pytest.mark.slow
def test_the_same_bytes_from_the_same_store(made: Report, store: Store, written: Path, tmp_path: Path) -> None:
    """A second report of the store, written elsewhere, is the same in every file, pictures included."""
    make_report(study(), Store(store.folder, "surrogates"), checkout=None).write(tmp_path)
    files = sorted(path.name for path in written.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    assert "regime_map.png" in files
    assert all((tmp_path / name).read_bytes() == (written / name).read_bytes() for name in files)
    assert made.stale(tmp_path) == []


def test_a_changed_record_moves_its_numbers_and_makes_its_pages_stale(written: Path, tmp_path: Path) -> None:
    """Triangle learns in four of ten seeds: the share moves, H2 is open, and the pages that show it are stale."""

    def learns(run: StudyPoint, settings: Cell) -> Outcome:
        if settings["surrogate"] == "triangle" and run.seed >= 306:
            return Outcome(91.0, 91.0, spikes=300.0)
        return truth(run, settings)

    other = make_report(study(), make_store(tmp_path / "store", learns), checkout=None)
    text = page(other, "README.md")
    assert "triangle 12 of 30" in text
    assert next(line for line in text.splitlines() if line.startswith("| H2 |")).count("**open**") == 1
    stale = other.stale(written)
    assert {"README.md", "regime_map.md", "regime_map.png"} <= set(stale)
    assert "depth.md" not in stale


@pytest.mark.slow
def test_a_picture_is_compared_by_its_numbers(made: Report, written: Path, tmp_path: Path) -> None:
    """Other bytes with the same hash of numbers are current, a picture without it is stale."""
    made.write(tmp_path)
    path = tmp_path / "regime_map.png"
    path.write_bytes(path.read_bytes() + b"another encoder")
    assert made.stale(tmp_path) == []
    path.write_bytes(b"no picture of these numbers")
    assert made.stale(tmp_path) == ["regime_map.png"]


def test_another_processor_makes_no_picture_stale(made: Report, written: Path) -> None:
    """Every number of every picture a bit larger, as another order of additions leaves it: none is stale."""
    pages = tuple(
        replace(one, pictures=tuple(replace(it, numbers=beside(it.numbers)) for it in one.pictures))
        for one in made.pages
    )
    pictures = [it for one in pages for it in one.pictures]
    assert pictures
    assert pictures != [it for one in made.pages for it in one.pictures]
    assert Report(pages, made.banner).stale(written) == []


def beside(numbers: Any) -> Any:
    """Move every double to its neighbour."""
    if is_dataclass(numbers) and not isinstance(numbers, type):
        return replace(numbers, **{one.name: beside(getattr(numbers, one.name)) for one in fields(numbers) if one.init})
    if isinstance(numbers, tuple | list):
        values = [beside(one) for one in numbers]
        return type(numbers)(*values) if hasattr(numbers, "_fields") else type(numbers)(values)
    if isinstance(numbers, Mapping):
        return {key: beside(value) for key, value in numbers.items()}
    return math.nextafter(numbers, math.inf) if isinstance(numbers, float) else numbers


def test_no_table_is_broken(made: Report) -> None:
    """Every row of a Markdown table has as many cells as its head."""
    for one in made.pages:
        for block in re.findall(r"(?:^\|.*\|\n)+", one.text(), flags=re.MULTILINE):
            assert len({line.count("|") for line in block.splitlines()}) == 1, block


def test_the_error_term_reaches_the_pages(store: Store) -> None:
    """The rules are one argument of a report."""
    evidence = find(gather(study(), store, checkout=None), Rules(error="pooled"))
    assert evidence.rules.error == "pooled"


@pytest.mark.slow
def test_the_command(
    made: Report,
    store: Store,
    written: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Outside of a checkout it says so and exits 2; unverified it checks, exits 0, and 1 once a page is stale."""
    words = ["report", "surrogates", "--store", str(store.folder), "--to", str(written)]
    with monkeypatch.context() as outside:
        outside.chdir(tmp_path)
        outside.setitem(os.environ, "GIT_CEILING_DIRECTORIES", str(tmp_path))
        assert main(words) == 2
        assert "go on with --unverified" in capsys.readouterr().err
    monkeypatch.setattr(command, "checkout_root", lambda folder: ROOT)  # also where a tree has no .git
    made.write_beside(store.folder)
    assert main([*words, "--unverified", "--check"]) == 0
    (store.folder / SUMMARY).unlink()
    assert main([*words, "--unverified", "--check"]) == 1
    assert f"{SUMMARY} is stale" in capsys.readouterr().out
    made.write_beside(store.folder)
    (written / "depth.md").write_text("edited")
    try:
        assert main([*words, "--unverified", "--check"]) == 1
        assert "depth.md is stale" in capsys.readouterr().out
    finally:
        assert main([*words, "--unverified"]) == 0
    assert "1 files written" in capsys.readouterr().out
