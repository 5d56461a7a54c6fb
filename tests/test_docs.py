"""What the documents show runs as it stands."""

from __future__ import annotations

import doctest
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import sgbench
from sgbench.cli.main import main, parser
from tests.documents import CONTRIBUTING, ROOT, WORKED_ENTRIES, blocks, files_shown, sections
from tests.golden import screens
from tests.run.tiny import WORDS

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


SHOWS = r"^```python\n((?:(?!```).*\n)*)```\n(?:\n```text\n((?:(?!```|\$ ).*\n)+)```)?"
IN_ORDER = (WORKED_ENTRIES.name, "a_network_for_a_chip.md")
"""Pages that tests of their own follow from the first block to the last."""
SNIPPETS = [
    pytest.param(block, shown, id=f"{path.name}-{number}", marks=[pytest.mark.slow] * (number > 0))
    for path in DOCUMENTS
    if path.name not in IN_ORDER
    for number, (block, shown) in enumerate(re.findall(SHOWS, path.read_text(), re.MULTILINE))
]
"""The first block of each page by default, the others too in `make test-slow`."""


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("snippet", "shown"), SNIPPETS)
def test_every_snippet_runs(
    snippet: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a module and a folder of its own, without an error or a warning; it prints what the page shows below it."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SGBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SGBENCH_RUNS", str(tmp_path / "runs"))
    exec(compile(snippet, "snippet", "exec"), {"__name__": "__main__"})  # noqa: S102 - our own documents
    assert shown in capsys.readouterr().out


PROGRAMS = {"!", ".", "$EDITOR", "cd", "eval", "for", "git", "make", "mkdir", "pip", "python", "python3", "sgbench"}
"""With which a command of a shell block may begin, beside a program of an environment's folder `bin`."""


@pytest.mark.parametrize("page", [*DOCUMENTS, CONTRIBUTING], ids=lambda page: page.stem)
def test_commands_stand_one_a_line(page: Path) -> None:
    """No line of a shell block begins in the midst of a command; must differ: a block flowed like prose."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    assert [line for line in lines if begun(line) not in PROGRAMS and "bin/" not in begun(line)] == []
    assert begun("surrogate=atan seed=0 sgbench submit make") not in PROGRAMS


def begun(line: str) -> str:
    """The first word."""
    return line.split(maxsplit=1)[0]


@pytest.mark.slow
def test_type_checkers_have_nothing_to_say_of_the_snippets(tmp_path: Path) -> None:
    """basedpyright as users have it, on all at once; must differ: a surrogate is no text, `rum` no name."""
    checker = shutil.which("basedpyright", path=Path(sys.executable).parent)
    if checker is None:
        pytest.skip("basedpyright is not installed: pip install 'sgbench[dev]'")
    for number, snippet in enumerate(SNIPPETS):
        (tmp_path / f"snippet_{number}.py").write_text(str(snippet.values[0]))
    words = ["--level", "error", "--pythonpath", sys.executable]
    (tmp_path / "pyproject.toml").write_text('[tool.basedpyright]\ntypeCheckingMode = "standard"\n')
    told = subprocess.run([checker, *words, "."], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.stdout.splitlines()[-1].startswith("0 errors"), told.stdout
    wrong = 'import sgbench\n\nname: str = sgbench.create("surrogate/atan")\nsgbench.rum()\n'
    (tmp_path / "wrong.py").write_text(wrong)
    told = subprocess.run([checker, *words, "."], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.stdout.splitlines()[-1].startswith("2 errors"), told.stdout


PUBLIC = [name for name in sgbench.__all__ if inspect.isfunction(getattr(sgbench, name))]
TRAINS = ("run", "load_records", "plot", "diagnose", "sweep", "compare_in", "benchmark")
"""Functions whose examples train, or read what has been trained, in the order in which they can be run."""

WITHOUT = ("accelerate", "compile", "create", "data", "diagnose_module", "energy_of", "list", "show", "unroll", "use")
"""Functions whose first sentence or example says what they return."""


class Told(doctest.OutputChecker):
    """Holds an example to what it tells; lines of progress that a command prints on its way are not told."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return not want or super().check_output(want, got, optionflags)


@pytest.mark.parametrize("name", [*PUBLIC, "CustomSurrogate"])
def test_every_public_function_has_an_example_and_says_what_it_returns(name: str) -> None:
    """Expected: an example with what it prints (`judge` takes minutes), and `Returns:` or a sentence that says it."""
    text = inspect.getdoc(getattr(sgbench, name)) or ""
    examples = doctest.DocTestParser().get_examples(text)
    assert examples
    assert any(each.want for each in examples) or name == "judge"
    assert "Returns:" in text or name in (*WITHOUT, "CustomSurrogate")


@pytest.mark.slow
def test_examples_that_train_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the default run skips, one after another in an empty folder; `judge` alone takes minutes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SGBENCH_RUNS", str(tmp_path / "runs"))
    skipped = {name for name in PUBLIC if "+SKIP" in (inspect.getdoc(getattr(sgbench, name)) or "")}
    assert skipped == {*TRAINS, "judge"}
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    for name in TRAINS:
        text = (inspect.getdoc(getattr(sgbench, name)) or "").replace("  # doctest: +SKIP", "")
        names = {**vars(sys.modules[getattr(sgbench, name).__module__])}
        test = doctest.DocTestParser().get_doctest(text, names, name, None, None)
        assert doctest.DocTestRunner(Told(), optionflags=flags).run(test).failed == 0, name


@pytest.mark.slow
def test_the_worked_surrogate_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two files of the page on worked entries, laid out as it says, train as an entry of one's own."""
    code, entry = files_shown(sections(WORKED_ENTRIES)["A surrogate: the biweight"]).values()
    (tmp_path / "biweight.py").write_text(code)
    folder = tmp_path / "conf" / "surrogate"
    folder.mkdir(parents=True)
    (folder / "biweight.yaml").write_text(entry.replace("sgbench.surrogates.biweight.", "biweight."))
    monkeypatch.syspath_prepend(tmp_path)
    words = [f"--config-dir={folder.parent}", "--allow-target=biweight.Biweight", "surrogate=biweight"]
    assert main(["run", *WORDS, *words, "width_fwhm=1.0"]) == 0


def test_commands_of_the_documents_exist() -> None:
    """Every `sgbench WORD` in a document is a subcommand, every `make WORD` a target."""
    (commands,) = (set(action.choices) for action in parser()._actions if isinstance(action.choices, dict))
    shells = [block for path in [*DOCUMENTS, CONTRIBUTING] for block in blocks(path, "sh")]
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert shells
    for text in shells:
        assert set(re.findall(r"^sgbench ([a-z-]+)", text, flags=re.MULTILINE)) <= commands
        assert set(re.findall(r"^make ([a-z]+)", text, flags=re.MULTILINE)) <= targets


SHOWN = [
    pytest.param(command, lines.splitlines(), id=f"{path.stem}-{command}")
    for path in DOCUMENTS
    for command, lines in re.findall(r"^```text\n\$ sgbench (.*)\n((?:.*\n)*?)```$", path.read_text(), re.MULTILINE)
]
"""Commands whose output a page shows, with what it shows of it."""


@pytest.mark.parametrize(("command", "lines"), SHOWN)
def test_a_shown_output_is_what_the_command_prints(command: str, lines: list[str]) -> None:
    """Must match: in a terminal of 80 columns, line after line; `...` stands for lines that are left out."""
    printed = iter(screens.printed(command).splitlines())
    skips = False
    for line in lines:
        if line == "...":
            skips = True
            continue
        found = next((each for each in printed if each == line), None) if skips else next(printed, None)
        assert found == line
        skips = False
    assert skips or next(printed, None) is None


def test_workflow_files_are_yaml() -> None:
    """Hooks and shipped configuration parse."""
    assert yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]


def test_the_first_board_is_the_committed_one(capsys: pytest.CaptureFixture[str]) -> None:
    """The table between the markers is what `sgbench board show --markdown` prints today."""
    boards = str(ROOT / "leaderboards")
    words = ["board", "show", "--from", "leaderboards", "--root", boards, "--protocol", "digits_v1", "--markdown"]
    assert main(words) == 0
    text = (ROOT / "docs" / "tutorial" / "1_which_surrogate.md").read_text()
    found = re.search(r"<!-- board:digits_v1 -->\n(.*?)<!-- /board -->", text, re.DOTALL)
    assert found is not None
    assert found.group(1).strip() == capsys.readouterr().out.strip()


def test_the_changelog_is_short() -> None:
    """Expected: 2,500 words or fewer, and 60 lines or fewer a release; what moved has a page of its own."""
    text = (ROOT / "CHANGELOG.md").read_text()
    assert len(text.split()) <= 2500
    releases = re.split(r"^## (?=\d)", text, flags=re.MULTILINE)[1:]
    assert len(releases) >= 2
    assert max(len(release.splitlines()) for release in releases) <= 60


FENCED = re.compile(r"^(```+).*?^\1$", re.DOTALL | re.MULTILINE)
WRITTEN = re.compile(r"<!-- (\w+):.*?<!-- /\1 -->", re.DOTALL)


def prose(text: str) -> int:
    """Words that are neither code, nor the head of a notebook, nor a passage that a command writes, nor an address."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)", "]", WRITTEN.sub("", FENCED.sub("", text)))
    return len([word for word in text.split() if re.search(r"\w", word)])


def pages_for_users() -> list[Path]:
    """README, the notebooks, and the pages below "For users" in the sidebar that no build writes."""
    first = re.search(r":caption: For users\n\n(.*?)```", (ROOT / "docs" / "index.md").read_text(), re.DOTALL)
    assert first is not None
    names = [name for name in first[1].split() if name.partition("/")[0] not in APART]
    pages = [path for name in names if (path := ROOT / "docs" / f"{name}.md").is_file()]
    return sorted({ROOT / "README.md", *(ROOT / "docs" / "tutorial").glob("*.md"), *pages})


def test_a_page_for_users_ends_with_what_to_do_next() -> None:
    """Expected: a last paragraph that says so, but in README and in the list of notebooks."""
    pages = [path for path in pages_for_users() if path.stem not in ("README", "index")]
    assert [path.stem for path in pages if not path.read_text().split("\n\n")[-1].startswith("**Next:**")] == []


def test_the_part_for_users_has_at_most_15000_words() -> None:
    """Expected: of all pages together; by hand, a page of three words."""
    pages = pages_for_users()
    assert len(pages) > 15
    assert sum(prose(path.read_text()) for path in pages) <= 15_000
    assert prose("one [two](a.md)\n```sh\nrun it\n```\n<!-- b:x -->\n| 1 |\n<!-- /b -->\n| three |\n") == 3


PASSAGE = re.compile(r"<!-- (\w+)(?:: *[^>]*)? -->.*?<!-- /\1 -->", re.DOTALL)
TABLE = re.compile(r"^ *\|.*\n?", re.MULTILINE)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
BY_COMMAND = ("study", "passing_steps", "attached_reset", "advice_check", "chip", "recipes", "judged", "reproductions")
"""Folders of `docs`, and a page, whose tables a command writes."""
APART = ("adr", "api", "catalogue", "checkout", "doctrees")
MOST_WORDS = 45_000
"""Only falls."""


def words_to_read(text: str, *, by_command: bool = False) -> int:
    """As `prose`, with the sentences of passages that a command writes, without tables of such passages and pages."""
    text = TABLE.sub("", text) if by_command else PASSAGE.sub(lambda found: TABLE.sub("", found[0]), text)
    return prose(COMMENT.sub("", text))


def test_all_prose_is_what_a_reader_can_take() -> None:
    """Pages but registrations, decisions, the changelog and what a build writes; by hand, a text of four words."""
    docs = ROOT / "docs"
    pages = {path.relative_to(docs).parts: path for path in docs.rglob("*.md")}
    counts = {
        parts: words_to_read(path.read_text(), by_command=parts[0].removesuffix(".md") in BY_COMMAND)
        for parts, path in pages.items()
        if parts[0] not in APART and not parts[0].startswith("preregistration")
    }
    outside = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "fastspiking/README.md")]
    assert sum(counts.values()) + sum(words_to_read(path.read_text()) for path in outside) <= MOST_WORDS
    text = "one [two](a.md)\n<!-- b -->\n| 1 |\nthree\n<!-- /b -->\n| four |\n"
    assert (words_to_read(text), words_to_read(text, by_command=True)) == (4, 3)


def test_the_readme_is_read_in_a_minute() -> None:
    """Expected: 600 words or fewer, tables of four rows or fewer, and no line of a table over 200 characters."""
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 600
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert tables
    assert all(len(rows.splitlines()) <= 2 + 4 for rows in tables)
    assert max(map(len, "".join(tables).splitlines())) <= 200
