"""A third study brings its own analysis beside it: the command calls it, and nothing of the package knows it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.study.analysis import find_analysis, read_functions
from sgbench.study.definition import Loaded
from sgbench.study.pages import extension
from sgbench.study.report import UNVERIFIED, make_report
from sgbench.study.store import Store
from tests.study.toy import TREE
from tests.study.toy import loaded as toy

REPORT = """
from sgbench.study.pages.text import StudyPage
from sgbench.study.report import Report
from study.toy.analysis.words import TITLE


def pages(given):
    title = given.findings.loaded.study.tasks["A"].title
    page = StudyPage("README.md", TITLE, (f"Task A is {title}.", f"{len(given.entries)} runs."))
    return Report((page,), beside={"answer.json": b"42"})


def measure(loaded, place, *, gradients):
    yield f"{loaded.name}: {place.store.study}, gradients {gradients}"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with study `toy`: its file in `conf`, its analysis of two modules beside its records."""
    root = tmp_path / "checkout"
    write(root, "What a toy says")
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)  # noqa: S607 - the user's own git
    return root


def write(root: Path, title: str) -> None:
    """Write the study and its analysis, with this title, into a folder."""
    toy(root / "conf")
    package = root / "study" / "toy" / "analysis"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "words.py").write_text(f"TITLE = {title!r}\n")
    (package / "report.py").write_text(REPORT)
    (package.parent / "analysis.yaml").write_text("report: report:pages\nmeasure: report:measure\n")


def command(root: Path, *words: str) -> int:
    """Run an action on the toy study, its entries in `conf`."""
    return main(["study", words[0], "toy", "--config-dir", str(root / "conf"), *words[1:]])


def test_a_study_brings_its_own_report(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pages, a file beside the records, and a measurement, from code that lies in the study's folder alone."""
    monkeypatch.chdir(checkout)
    words = ("report", "--unverified", "--to", "pages")
    assert command(checkout, *words) == 0
    assert Path("pages/README.md").read_text() == (
        f"# What a toy says\n\n{UNVERIFIED}\n\nTask A is digits.\n\n0 runs.\n"
    )
    assert Path("study/toy/answer.json").read_bytes() == b"42"
    assert command(checkout, *words, "--check") == 0
    Path("study/toy/answer.json").write_bytes(b"41")
    assert command(checkout, *words, "--check") == 1
    assert "answer.json is stale" in capsys.readouterr().out
    assert command(checkout, "measure", "--gradients") == 0
    assert capsys.readouterr().out == "toy: toy, gradients True\n"


def test_the_analysis_is_that_of_the_checkout_at_hand(tmp_path: Path) -> None:
    """Two checkouts with a study of one name: each report is written by its own code."""
    titles = []
    for title in ("one", "another", "one"):
        root = tmp_path / f"{title}{len(titles)}"
        write(root, title)
        plan = toy(root / "conf")
        report = make_report(plan, Store(root / "study" / "toy", "toy"), checkout=None, root=root)
        titles.append(report.pages[0].title)
    assert titles == ["one", "another", "one"]


def test_without_its_analysis_a_study_has_no_report(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Outside of the checkout: one line with the remedy, for the report as for the measurement."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "GIT_CEILING_DIRECTORIES", str(tmp_path))
    for words in (("report", "--unverified"), ("measure",)):
        assert command(checkout, *words) == 2
        line = "study toy: its analysis is not here; run inside a checkout that has study/toy/analysis.yaml\n"
        assert capsys.readouterr().err.endswith(line)


def test_an_extension_has_the_shipped_pages_without_a_checkout(tmp_path: Path) -> None:
    """Must differ: with the checkout of the study that it extends, that one's analysis writes the report."""
    plan = toy(tmp_path / "conf", {**TREE, "extends": "mother"}).model_copy(update={"name": "toy_mine"})
    store = Store(tmp_path / "store", "toy_mine")
    names = [page.name for page in make_report(plan, store, checkout=None, root=None).pages]
    assert names == ["README.md", *(module.NAME for module in extension.PAGES)]
    write(tmp_path / "root", "of toy")
    other = plan.model_copy(update={"study": plan.study.model_copy(update={"extends": "toy"})})
    assert make_report(other, store, checkout=None, root=tmp_path / "root").pages[0].title == "of toy"


@pytest.mark.parametrize("what", ["analysis.yaml", "analysis", "analysis/report.py"])
def test_links_are_refused(checkout: Path, tmp_path: Path, what: str) -> None:
    """A file or folder that lies elsewhere is never run, nor is what a link inside of the package points at."""
    place = checkout / "study" / "toy" / what
    elsewhere = tmp_path / "elsewhere"
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
    with pytest.raises(InputError, match="behind a link"):
        find_analysis(toy(checkout / "conf"), checkout)


def test_a_linked_folder_of_a_study_is_refused(checkout: Path, tmp_path: Path) -> None:
    """The study's folder itself may not be a link either."""
    place = checkout / "study" / "toy"
    place.rename(tmp_path / "toy")
    place.symlink_to(tmp_path / "toy")
    with pytest.raises(InputError, match="behind a link"):
        find_analysis(toy(checkout / "conf"), checkout)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("report: os.path:exists", "report"),
        ("report: ../other:pages", "report"),
        ("measure: report:measure", "report"),
        ("report: report:pages\nrun: report:pages", "run"),
        ("- report:pages", "valid dictionary"),
        ("report: [", "no readable YAML"),
        ("!!python/object/apply:os.getcwd []", "no readable YAML"),
    ],
)
def test_files_that_name_anything_else_are_refused(tmp_path: Path, text: str, says: str) -> None:
    """Only functions of the package's own modules can be named; each refusal is one line."""
    path = tmp_path / "analysis.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=says) as error:
        read_functions(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"), [("report: os:getcwd", "has no os.py"), ("report: report:lost", "has no lost")]
)
def test_functions_that_are_not_there(checkout: Path, text: str, says: str) -> None:
    """A module of Python's own is none of the package's."""
    (checkout / "study" / "toy" / "analysis.yaml").write_text(text)
    plan: Loaded = toy(checkout / "conf")
    with pytest.raises(InputError, match=says):
        make_report(plan, Store(checkout / "study" / "toy", "toy"), checkout=None, root=checkout)
    (checkout / "study" / "toy" / "analysis.yaml").write_text("report: report:pages")
    analysis = find_analysis(plan, checkout)
    assert analysis is not None
    with pytest.raises(InputError, match="names nothing for sgbench study measure"):
        analysis.function("measure")
