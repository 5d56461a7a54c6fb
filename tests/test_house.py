"""The package as a product: what is installed is what runs, from any folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Collection
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

import sgbench
from sgbench.cli.main import parser
from sgbench.composition.citations import cite_package
from sgbench.paths import conf_dir
from sgbench.training import provenance
from tests.rooms import ROOT, catalogue_folders
from tests.run.tiny import WORDS


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def assert_whole(names: Collection[str]) -> None:
    """Every YAML of conf/ is there, and the launcher; no test is, and nothing of what keepers run."""
    shipped = {name.removeprefix("sgbench/conf/") for name in names if name.startswith("sgbench/conf/")}
    assert shipped == {path.relative_to(conf_dir()).as_posix() for path in conf_dir().rglob("*.yaml")}
    assert not [name for name in names if name.endswith((".html", ".css", ".js"))]
    assert {name.split("/")[0] for name in names} == {"sgbench", "fastspiking", "hydra_plugins"}


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
        name for text in code for name in re.findall(r"^\s*(?:from|import) (\w+)(?=[. ].*\bimport\b|\.|$)", text, re.M)
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
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
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
    own = text.partition("## Run your own\n")[2].partition("\n## ")[0]
    found = re.findall(r"^```sh\n(.*?)^```", own, re.DOTALL | re.MULTILINE)
    lines = [line.partition(" #")[0].strip() for block in found for line in block.splitlines()]
    assert len(lines) > 10
    for line in lines:
        done = subprocess.run(
            ["/bin/sh", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"


@pytest.mark.slow
def test_installed_wheel_runs_from_an_empty_folder(installed: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
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


def test_few_modules_lie_loose() -> None:
    """At most seven modules lie beside the rooms, and at most seven files of the command are no command's own."""
    assert len(list((ROOT / "sgbench").glob("*.py"))) <= 7
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
