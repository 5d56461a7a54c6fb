"""The package as a product: what is installed is what runs, from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import sgbench
from sgbench.composition import catalogue
from sgbench.paths import conf_dir
from tests.run.tiny import WORDS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_ships_the_whole_catalogue(wheel: Path) -> None:
    """Every YAML of conf/ lies in the wheel; the launcher does; tests, records and benchmarks do not."""
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {name.removeprefix("sgbench/conf/") for name in names if name.startswith("sgbench/conf/")}
    assert shipped == {path.relative_to(conf_dir()).as_posix() for path in conf_dir().rglob("*.yaml")}
    assert {name.split("/")[0] for name in names} == {
        "sgbench",
        "hydra_plugins",
        f"sgbench-{sgbench.__version__}.dist-info",
    }


@pytest.mark.slow
def test_installed_wheel_runs_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """Installed with --no-deps into an environment of its own that sees the installed packages."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = tmp_path / "venv" / "lib" / version / "site-packages"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)],
        check=True,
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    # Behind the wheel on the path; an editable install's finder is a .pth file, which PYTHONPATH does not read.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), sysconfig.get_path("purelib")])}
    environment.pop("SGBENCH_RUNS")

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
    assert len(list((empty / "runs").rglob("record.json"))) == 1
    assert "atan" in command("list", "surrogate")


def test_version_stands_once() -> None:
    """The package's version is that of pyproject.toml."""
    assert f'version = "{sgbench.__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_catalogue_folders_hold_no_code() -> None:
    """`__init__.py` of a catalogue folder is empty: the YAML's target is the registration."""
    for group in catalogue.TARGET_GROUPS:
        folders = {"init": "inits", "loss": "losses"}
        folder = ROOT / "sgbench" / folders.get(group, f"{group}s")
        if folder.is_dir():
            assert (folder / "__init__.py").read_text() == ""


def test_files_stay_short() -> None:
    """No file of the package has more than 320 lines."""
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / "sgbench").rglob("*.py")}
    assert {str(path): length for path, length in lengths.items() if length > 320} == {}


def test_tonic_is_imported_in_tests_alone() -> None:
    """Its licence is GPL-3.0-only; the package stays MIT and runs without it."""
    for path in (ROOT / "sgbench").rglob("*.py"):
        text = path.read_text()
        assert "import tonic" not in text
        assert "from tonic" not in text
