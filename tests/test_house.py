"""The package as a product: what is installed is what runs, from any folder."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

import sgbench
from sgbench.cli.main import parser
from sgbench.composition import catalogue
from sgbench.composition.citations import cite_package
from sgbench.paths import conf_dir
from sgbench.training import provenance
from tests.rooms import ROOT, catalogue_folders, syntax
from tests.run.tiny import WORDS
from tests.verbs import CLASS_VERBS, VERBS, third_person

OF_CLASSES = {*CLASS_VERBS, *map(third_person, VERBS)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def assert_whole(names: Collection[str]) -> None:
    """Every YAML of conf/ is there; so are the launcher and the site's templates; no test is."""
    shipped = {name.removeprefix("sgbench/conf/") for name in names if name.startswith("sgbench/conf/")}
    assert shipped == {path.relative_to(conf_dir()).as_posix() for path in conf_dir().rglob("*.yaml")}
    site = ROOT / "sgbench" / "leaderboard" / "site"
    beside = [path for folder in ("templates", "static") for path in (site / folder).iterdir()]
    assert {path.relative_to(ROOT).as_posix() for path in beside} <= {*names}
    assert {name.split("/")[0] for name in names} == {"sgbench", "hydra_plugins"}


def test_a_wheel_takes_the_whole_catalogue() -> None:
    """What the builder finds in this checkout; boards, which take it half a minute to read, are left out."""
    assert_whole({file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()})


def test_an_sdist_ships_what_its_modules_import_and_what_the_wheel_is_made_of() -> None:
    """Must match: folders of the checkout that a shipped module names in an import are shipped; stores are not."""
    shipped = {file.relative_path for file in SdistBuilder(str(ROOT)).recurse_included_files()}
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"hatch_build", "conftest"}
    tops = {Path(name).parts[0].removesuffix(".py") for name in shipped}
    code = [(ROOT / name).read_text(encoding="utf-8") for name in shipped if name.endswith(".py")]
    named = {
        name
        for text in code
        for name in re.findall(r"^\s*(?:from|import) (\w+)(?=[. ].*\bimport\b|\.|$)", text, re.M)
    }
    assert {"registry", "study", "sgbench", "tests", "tools"} <= rooms
    assert "sgbench" in named & rooms <= tops
    wheel = [Path(file.path) for file in WheelBuilder(str(ROOT)).recurse_included_files()]
    assert {path.relative_to(ROOT).as_posix() for path in wheel} <= shipped
    assert not [name for name in shipped if name.endswith(".jsonl.xz")]


@pytest.mark.slow
def test_wheel_ships_the_whole_catalogue(wheel: Path) -> None:
    """The same of the wheel itself, which has its metadata beside it."""
    about = f"sgbench-{sgbench.__version__}.dist-info/"
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.startswith(about) for name in names)
    assert_whole([name for name in names if not name.startswith(about)])


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The wheel in an environment of its own with --no-deps: its packages, and the variables to run it with."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "venv" / "lib" / version / "site-packages"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(command, check=True)
    # Behind the wheel on the path; an editable install's finder is a .pth file, which PYTHONPATH does not read.
    paths = os.pathsep.join([str(site), sysconfig.get_path("purelib")])
    words = os.pathsep.join([str(site / "bin"), str(folder / "venv" / "bin"), os.environ["PATH"]])
    environment = {**os.environ, "PYTHONPATH": paths, "PATH": words}
    for name in ("SGBENCH_RUNS", "SGBENCH_DATA", "SGBENCH_CONF"):
        environment.pop(name, None)
    return site, environment


@pytest.mark.slow
def test_commands_of_the_documents_work_in_order_in_an_empty_folder(
    installed: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """Those below "Run your own", word for word, from the wheel: about two minutes of two processors."""
    _, environment = installed
    text = (ROOT / "docs" / "commands.md").read_text()
    found = re.search(r"## Run your own\n\n```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    lines = [line.partition(" #")[0].strip() for line in found[1].splitlines()]
    assert len(lines) > 10
    for line in lines:
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"


@pytest.mark.slow
def test_installed_wheel_runs_from_an_empty_folder(
    installed: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """Its record names the commit it was built from, and its catalogue lies in it."""
    site, environment = installed
    python = site.parents[2] / "bin" / "python"
    empty = tmp_path / "empty"
    empty.mkdir()

    def command(*words: str) -> str:
        done = subprocess.run(
            [str(python), "-m", "sgbench", *words],
            cwd=empty,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    report = command("doctor", "--json")
    assert str(site / "sgbench" / "conf") in report
    assert "test " in command("run", *WORDS, "engine=reference")  # compiles no loops for one more place
    (record,) = (empty / "runs").rglob("record.json")
    if (ROOT / ".git").exists():
        head = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "HEAD"],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(record.read_text())["provenance"]["commit"] == head.stdout.strip()
    assert "atan" in command("list", "surrogate")


def test_version_stands_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of pyproject.toml is cited and recorded, whatever an older installation in the environment says."""
    assert f'version = "{sgbench.__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert f"\nversion: {sgbench.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    monkeypatch.setattr(provenance, "version", lambda name: "0.0.1")
    assert provenance.versions()["sgbench"] == cite_package().fields["version"] == sgbench.__version__
    assert provenance.versions()["torch"] == "0.0.1"


def test_catalogue_folders_hold_no_code() -> None:
    """`__init__.py` of a catalogue folder is empty: the YAML's target is the registration."""
    assert {"surrogates", "neurons", "steepness", "firing", "losses", "inits"} <= catalogue_folders()
    for folder in catalogue_folders():
        assert (ROOT / "sgbench" / folder / "__init__.py").read_text() == "", folder


def own_code() -> list[Path]:
    """The files of the package, of the launcher, and of studies and the registry outside of both."""
    outside = [*(ROOT / "study").rglob("*.py"), *(ROOT / "registry").rglob("*.py")]
    analyses = [path for path in outside if "tests" not in path.parts]
    return [*(ROOT / "sgbench").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py"), *analyses]


def test_files_stay_short() -> None:
    """No file of the package or of a study's analysis has more than 400 lines."""
    lengths = {path: len(path.read_text().splitlines()) for path in own_code()}
    assert {str(path): length for path, length in lengths.items() if length > 400} == {}


def length_of(function: ast.FunctionDef) -> int:
    """The lines of a function below its docstring, which may be as long as its equation needs."""
    first, *others = function.body
    above = first.end_lineno if others and ast.get_docstring(function) else first.lineno - 1
    assert above is not None
    assert function.end_lineno is not None
    return function.end_lineno - above


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("def f():\n    return 1\n", 1),
        ('def f():\n    """One\n\n    two."""\n    a = 1\n\n    return a\n', 3),
    ],
)
def test_lengths_of_functions(text: str, length: int) -> None:
    """By hand: docstring and signature do not count, blank lines do."""
    (function,) = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    assert length_of(function) == length


def test_functions_stay_short() -> None:
    """No function of our own code has more than 60 lines below its docstring."""
    functions = [
        (f"{path.relative_to(ROOT)}:{node.name}", length_of(node))
        for path in own_code()
        for node in ast.walk(syntax(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]
    assert {name for name, length in functions if length > 60} == set()


def test_verbs_are_listed_in_order_and_once() -> None:
    """By the order of the alphabet."""
    assert list(VERBS) == sorted(set(VERBS))


def begins_with_a_verb(docstring: str, verbs: Collection[str] = VERBS) -> bool:
    """Say whether a docstring begins with a verb of the list that is no noun in its place."""
    first = re.match(r"(\w+)( of\b)?", docstring)
    return first is not None and first[1] in verbs and first[2] is None


def documented(*kinds: type[ast.AST]) -> Iterator[tuple[str, str]]:
    """Yield the place and the docstring of each function or class of our own code that has one."""
    for path in own_code():
        for node in ast.walk(syntax(path.read_text())):
            text = ast.get_docstring(node) if isinstance(node, kinds) else None  # type: ignore[arg-type]
            if text:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Draw spikes.", True),
        ("Compose, train and test a run.", True),
        ("Sum of the weights.", False),
        ("Of each step, its spikes.", False),
        ("The spikes.", False),
        (":math:`x`.", False),
        ("", False),
    ],
)
def test_fragments_are_told_from_sentences(docstring: str, expected: bool) -> None:
    """By hand: a clause, a noun and a symbol are no verbs, though ruff (D401) lets many of them pass."""
    assert begins_with_a_verb(docstring) == expected


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    """Of tests/verbs.py, to which a new one is added on purpose."""
    places = documented(ast.FunctionDef, ast.AsyncFunctionDef)
    assert [(place, text.splitlines()[0]) for place, text in places if not begins_with_a_verb(text)] == []


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [("Holds one row.", True), ("Passes names on.", True), ("One row.", False), ("What is held.", False)],
)
def test_fragments_of_classes_are_told_from_sentences(docstring: str, expected: bool) -> None:
    """By hand: two verbs in the third person, a noun and a clause."""
    assert begins_with_a_verb(docstring, OF_CLASSES) == expected


def test_docstrings_of_classes_begin_with_a_verb() -> None:
    """In the third person, of tests/verbs.py, so that each is a sentence without the name of its class."""
    places = documented(ast.ClassDef)
    assert [(p, text.splitlines()[0]) for p, text in places if not begins_with_a_verb(text, OF_CLASSES)] == []


def shared_names(classes: Iterable[str], entries: set[str]) -> set[str]:
    """Find the last names that several paths of classes share, unless all of them are entries of the catalogue.

    An entry's class is named after the entry in its own group, and records hold its path.
    """
    paths: dict[str, set[str]] = {}
    for path in classes:
        paths.setdefault(path.rpartition(".")[2], set()).add(path)
    return {name for name, alike in paths.items() if len(alike) > 1 and not alike <= entries}


@pytest.mark.parametrize(
    ("classes", "entries", "expected"),
    [
        (["a.Step", "b.Step", "b.Walk"], set(), {"Step"}),
        (["a.Step", "b.Step"], {"a.Step"}, {"Step"}),
        (["a.Step", "b.Step"], {"a.Step", "b.Step"}, set()),
        (["a.Step", "b.Walk"], set(), set()),
    ],
)
def test_shared_names_are_those_of_other_classes_than_entries(
    classes: list[str], entries: set[str], expected: set[str]
) -> None:
    """By hand: one name in two files, of which none, one or both are entries."""
    assert shared_names(classes, entries) == expected


def test_no_two_public_classes_share_a_name() -> None:
    """A name means one thing in the whole package."""
    classes = []
    for path in own_code():
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        nodes = syntax(path.read_text()).body
        classes += [f"{module}.{node.name}" for node in nodes if isinstance(node, ast.ClassDef)]
    public = [name for name in classes if not name.rpartition(".")[2].startswith("_")]
    groups = catalogue.TARGET_GROUPS
    targets = {str(entry.target) for group in groups for entry in catalogue.entries(group).values()}
    assert shared_names(public, targets) == set()


def test_few_modules_lie_loose() -> None:
    """At most six modules lie beside the rooms, and at most seven files of the command are no command's own."""
    assert len(list((ROOT / "sgbench").glob("*.py"))) <= 6
    (commands,) = (action.choices for action in parser()._actions if isinstance(action.choices, dict))
    files = {path.stem for path in (ROOT / "sgbench" / "cli").rglob("*.py")} - {"__init__", "main"}
    assert len(files - set(commands) - {"browse"}) <= 7  # browse is list and show


def test_tonic_is_imported_in_one_file_when_it_is_asked_for() -> None:
    """Its licence is GPL-3.0-only; the package stays MIT and runs without it."""
    for path in (ROOT / "sgbench").rglob("*.py"):
        text = path.read_text()
        assert "import tonic" not in text
        assert "from tonic " not in text
        assert ('import_module("tonic' in text) == (path.name == "tonic_sets.py"), path
