"""A package that is not installed is one line with the remedy, without a traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import NoReturn

import pytest

from sgbench.cli.main import main
from sgbench.errors import missing_package

WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None  # Python then says what it says of a module that is not there
from sgbench.cli.main import main
sys.exit(main(["run", "engine=reference", "protocol.epochs=1", f"paths.runs_dir={sys.argv[1]}"]))
"""


@pytest.mark.slow
def test_a_run_without_numba_says_what_to_install(tmp_path):
    """Expected: exit code 2, and one line that names numba and the command that brings it."""
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMBA, str(tmp_path)], capture_output=True, text=True, check=False
    )
    last = ended.stderr.splitlines()[-1]
    assert ended.returncode == 2
    assert last.startswith("sgbench: error: ")
    assert "pip install numba" in last
    assert "Traceback" not in ended.stderr


def test_a_command_that_misses_a_package_ends_in_one_line(monkeypatch, capsys):
    """Expected: one line and exit code 2; must differ: a module of our own, whose traceback is kept."""

    def missing(name: str) -> Callable[[object], NoReturn]:
        def run(_: object) -> NoReturn:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

        return run

    monkeypatch.setattr("sgbench.cli.run.run_command", missing("numba"))
    assert main(["run"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setattr("sgbench.cli.run.run_command", missing("sgbench.nowhere"))
    with pytest.raises(ModuleNotFoundError):
        main(["run"])


@pytest.mark.parametrize(
    ("module", "package"),
    [("yaml.nodes", "pyyaml"), ("sklearn", "scikit-learn"), ("pytorch_lightning", "pytorch-lightning")],
)
def test_a_package_is_named_as_it_is_installed(module, package):
    """Expected: the name on PyPI, of a module that is called otherwise."""
    found = missing_package(ModuleNotFoundError(f"No module named '{module}'", name=module))
    assert f"pip install {package}," in str(found)


def test_an_import_of_our_own_that_fails_is_no_missing_package():
    """Must differ: a name that our own module lacks is a defect, which keeps its traceback."""
    assert missing_package(ImportError("cannot import name 'x'", name="sgbench.paths")) is None
