"""A third study brings its own analysis beside it: commands call it, and nothing else of the tree knows it."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import study
from sgbench.cli.main import MAINTAINERS_COMMANDS
from sgbench.cli.main import main as sgbench_main
from sgbench.errors import InputError
from sgbench.study_runner.store import Store
from study.__main__ import main
from study.reporting.analysis import FUNCTIONS, function_of
from study.reporting.pages import extension
from study.reporting.report import UNVERIFIED, make_report, pages_folder
from tests.messages import missing, raises_naming
from tests.study.toy import TREE
from tests.study.toy import loaded as toy

REPORT = """
from study.reporting.pages.text import StudyPage
from study.reporting.report import Report
from study.toy.analysis.words import TITLE


def make_report(given):
    title = given.evidence.loaded.study.tasks["A"].title
    page = StudyPage("README.md", TITLE, (f"Task A is {title}.", f"{len(given.entries)} runs."))
    return Report((page,), beside={"answer.json": b"42"})
"""
MEASURE = """
def measure_study(loaded, place, *, gradients):
    yield f"{loaded.name}: {place.store.study}, gradients {gradients}"
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with study `toy`: its file in `conf`, its analysis of three modules beside its records."""
    folder = tmp_path / "checkout"
    toy(folder / "conf")
    package = folder / "study" / "toy" / "analysis"
    package.mkdir(parents=True)
    (package / "words.py").write_text("TITLE = 'What a toy says'\n")
    (package / "report.py").write_text(REPORT)
    (package / "measure.py").write_text(MEASURE)
    monkeypatch.setattr(study, "__path__", [*study.__path__, str(folder / "study")])
    monkeypatch.chdir(folder)
    yield folder
    for name in [name for name in sys.modules if name.startswith("study.toy")]:
        del sys.modules[name]


def command(root: Path, *words: str) -> int:
    """Run a command on the toy study, its entries in `conf`."""
    return main([words[0], "toy", "--config-dir", str(root / "conf"), *words[1:]])


def test_a_study_brings_its_own_report(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pages, a file beside the records, and a measurement, from code that lies in the study's folder alone."""
    words = ("report", "--unverified", "--to", "pages")
    assert command(root, *words) == 0
    assert Path("pages/README.md").read_text() == (
        f"# What a toy says\n\n{UNVERIFIED}\n\nTask A is digits.\n\n0 runs.\n"
    )
    assert Path("study/toy/answer.json").read_bytes() == b"42"
    assert command(root, *words, "--check") == 0
    Path("study/toy/answer.json").write_bytes(b"41")
    assert command(root, *words, "--check") == 1
    assert "answer.json is stale" in capsys.readouterr().out
    assert command(root, "measure", "--gradients") == 0
    assert capsys.readouterr().out == "toy: toy, gradients True\n"


def test_pages_lie_in_a_folder_of_the_study_and_a_stale_one_is_written_by_the_same_words(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Must differ: without `--to` no study writes the first one's folder; the printed remedy is one."""
    Path("docs/study").mkdir(parents=True)
    assert command(root, "report", "--unverified", "--store", "a store") == 0
    assert [path.as_posix() for path in Path("docs").rglob("*.md")] == ["docs/toy/README.md"]
    Path("docs/toy/README.md").unlink()
    capsys.readouterr()
    assert command(root, "report", "--check", "--unverified", "--store", "a store") == 1
    (line,) = capsys.readouterr().out.splitlines()
    remedy = line.removeprefix("docs/toy/README.md is stale; write it with python -m study ")
    assert main(shlex.split(remedy)) == 0
    assert command(root, "report", "--check", "--unverified", "--store", "a store") == 0


def test_each_published_study_has_pages_of_its_own_and_is_checked_with_the_documents() -> None:
    """Must match: studies with a report of their own, folders with its pages, and what `make docs` checks."""
    root = Path(study.__path__[0]).parent
    names = sorted(path.parts[-3] for path in root.glob("study/*/analysis/report.py"))
    folders = {pages_folder(name) for name in names}
    assert len(folders) == len(names) > 2
    assert pages_folder("surrogates") == Path("docs/study")
    assert all((root / folder / "README.md").is_file() for folder in folders)
    (line,) = re.findall(r"^STUDIES := (.*)$", (root / "Makefile").read_text(), flags=re.MULTILINE)
    assert sorted(line.split()) == names
    (recipe,) = re.findall(r"^docs:.*\n((?:\t.*\n)+)", (root / "Makefile").read_text(), flags=re.MULTILINE)
    assert missing(" ".join(recipe.split()), "$(STUDIES)", "study report $(study) --check") == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_without_an_analysis_a_command_names_the_file(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Must differ: where nothing lies beside the records, one line with the path of what is missing."""
    toy(tmp_path / "conf")
    unverified = ("--unverified",) if name == "report" else ()
    assert command(tmp_path, name, *unverified) == 2
    assert f"study/toy/analysis/{name}.py" in capsys.readouterr().err


def test_an_extension_has_the_pages_of_its_mother_or_those_of_any_study(root: Path, tmp_path: Path) -> None:
    """Must differ: with the analysis of the study that it extends, that one's writes the report."""
    plan = toy(tmp_path / "conf", {**TREE, "extends": "mother"}).model_copy(update={"name": "toy_mine"})
    store = Store(tmp_path / "store", "toy_mine")
    names = [page.name for page in make_report(plan, store, checkout=None).pages]
    assert names == ["README.md", *(module.NAME for module in extension.PAGES)]
    other = plan.model_copy(update={"study": plan.study.model_copy(update={"extends": "toy"})})
    assert make_report(other, store, checkout=None).pages[0].title == "What a toy says"


def test_a_module_without_its_function_is_refused(root: Path) -> None:
    """Must differ: a module of the right name that lacks what the command calls."""
    Path("study/toy/analysis/plan.py").write_text("planned = ()\n")
    with raises_naming(InputError, "study/toy/analysis/plan.py", "function plan"):
        function_of(toy(root / "conf"), "plan")


@pytest.mark.parametrize(("words", "where"), MAINTAINERS_COMMANDS.items())
def test_the_package_says_where_a_command_is(
    words: tuple[str, ...], where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expected: exit code 2 and one line that names the command of a clone, whatever stands behind the words."""
    assert sgbench_main([*words, "--check", "surrogates"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(where)
