"""What Hydra keeps to itself stands in one file, and its own `hydra.main` says how a task must be called."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
from omegaconf import OmegaConf

from sgbench.composition.compose import raw_config, register_resolvers
from sgbench.composition.hydra_internals import run_as_job
from sgbench.composition.overrides import Overrides
from sgbench.errors import InputError
from sgbench.paths import conf_dir
from tests.rooms import ROOT, syntax


def imported(path: Path, *, at_import: bool = False) -> Iterator[str]:
    """Modules that a file imports, or those that it imports when it is imported itself."""
    tree = syntax(path.read_text())
    for node in tree.body if at_import else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_private_imports_stand_in_one_file() -> None:
    """One more is in the folder that Hydra loads into every application."""
    files = [*(ROOT / "sgbench").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py")]
    private = {
        path.relative_to(ROOT).as_posix()
        for path in files
        if "hydra" in path.read_text() and any(n.startswith("hydra._internal") for n in imported(path))
    }
    assert private == {"sgbench/composition/hydra_internals.py", "hydra_plugins/sgbench_replicas/sweeper.py"}


def test_plugins_leave_other_applications_alone() -> None:
    """Hydra imports them everywhere; the folder is a namespace that other packages share."""
    assert not (ROOT / "hydra_plugins" / "__init__.py").exists()
    for path in (ROOT / "hydra_plugins").rglob("*.py"):
        assert not [name for name in imported(path, at_import=True) if name.startswith("sgbench")], path


@pytest.mark.slow
def test_an_application_of_somebody_else(tmp_path: Path) -> None:
    """It starts without sgbench in memory, runs with the planned sweeper, and is told not to use replicas."""
    app = tmp_path / "app.py"
    app.write_text(
        "import sys\nimport hydra\n\n\n"
        "@hydra.main(version_base=None, config_path=None)\n"
        "def main(config):\n"
        "    print([name for name in sys.modules if name == 'sgbench'], config)\n\n\n"
        "main()\n"
    )

    def told(*words: str) -> tuple[int, str]:
        command = [sys.executable, str(app), *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment, timeout=300
        )
        return done.returncode, done.stdout + done.stderr

    assert told() == (0, "[] {}\n")
    code, text = told("-m", "hydra/sweeper=planned", "+a=1,2")
    assert (code, text.count("[] {'a': ")) == (0, 2)
    code, text = told("-m", "hydra/launcher=replicas", "+a=1,2")
    assert code == 1
    assert "use another launcher here" in text


def surroundings(folder: Path) -> dict[str, Any]:
    """What a task can see of the job that it is, and the files that its job has left."""
    written = {
        path.relative_to(folder).as_posix(): OmegaConf.to_container(OmegaConf.load(path))
        for path in folder.rglob("*.yaml")
    }
    node = written.pop(".hydra/hydra.yaml", None)
    # Hydra's own command adds two words to those of the user.
    kept = None if node is None else {key: node["hydra"][key] for key in ("job", "mode", "run", "runtime")}
    return {"files": written, "hydra": kept}


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "words",
    [
        [],
        ["hydra.output_subdir=.hydra", "surrogate=triangle", "seed=3"],
        ["hydra.job.chdir=true", "+hydra.job.env_set.OF_THE_JOB=yes", "hydra.run.dir=${paths.runs_dir}/inner"],
    ],
    ids=["plain", "written down", "elsewhere"],
)
def test_a_task_is_called_as_hydra_calls_it(words: list[str], runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: folder, environment, choices and written files as with `hydra.main` and the same words."""
    from hydra.core.hydra_config import HydraConfig

    seen: list[Any] = []

    def look(*_: Any) -> str:
        choices = OmegaConf.to_container(HydraConfig.get().runtime.choices)
        seen.append((Path.cwd(), os.environ.get("OF_THE_JOB"), HydraConfig.get().job.name, choices))
        return "done"

    register_resolvers()
    here = Path.cwd()
    left = []
    for kind in ("ours", "hydra's"):
        if kind == "ours":
            assert run_as_job(raw_config(Overrides.of(words)), look) == "done"
        else:
            monkeypatch.setattr(sys, "argv", ["sgbench", *words])
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(look)()
        left.append(surroundings(runs_dir))
        assert Path.cwd() == here
        assert "OF_THE_JOB" not in os.environ
    assert seen[0] == seen[1]
    assert left[0] == left[1]
    assert (seen[0][0] == here) == ("hydra.job.chdir=true" not in words)
    assert (left[0]["hydra"] is not None) == ("hydra.output_subdir=.hydra" in words)


@pytest.mark.parametrize("error", [InputError("not this"), OSError(28, "full"), KeyboardInterrupt()])
def test_an_error_of_a_task_comes_out_as_it_is(error: BaseException, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed about it on the way, and Hydra is as it was."""
    from hydra.core.hydra_config import HydraConfig

    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as told:
        run_as_job(raw_config(Overrides.of([])), fail)
    assert told.value is error
    assert capfd.readouterr() == ("", "")
    assert not HydraConfig.initialized()
