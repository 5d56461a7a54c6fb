"""What is built from a checkout names the checkout's commit, and an installed package reads it back."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from sgbench.training.provenance import Code, built_from, source_sha256

ROOT = Path(__file__).resolve().parents[1]
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "sgbench"
version = "0"
[tool.hatch.build.targets.wheel]
packages = ["sgbench"]
[tool.hatch.build.targets.wheel.hooks.custom]
[tool.hatch.build.targets.sdist.hooks.custom]
"""


def git(folder: Path, *words: str) -> str:
    """What one command answers, by nobody in particular."""
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    command = ["git", "-C", str(folder), *who, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def built(folder: Path, target: str) -> Path:
    """The file that hatchling makes of a project."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder / "dist")]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    return next((folder / "dist").glob("*.whl" if target == "wheel" else "*.tar.gz"))


def commit_in(wheel: Path) -> object:
    """What its commit.json says, or None."""
    with zipfile.ZipFile(wheel) as archive:
        name = "sgbench/commit.json"
        return json.loads(archive.read(name)) if name in archive.namelist() else None


@pytest.mark.slow
def test_wheel_and_sdist_name_the_commit(tmp_path: Path) -> None:
    """Against `git rev-parse`: a clean checkout, its sdist without a repository, and a checkout with a new file."""
    project = tmp_path / "project"
    (project / "sgbench").mkdir(parents=True)
    (project / "sgbench" / "__init__.py").write_text("")
    (project / "pyproject.toml").write_text(PROJECT)
    (project / ".gitignore").write_text("dist/\n")
    shutil.copy(ROOT / "hatch_build.py", project)
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-qm", "first")
    head = git(project, "rev-parse", "HEAD")
    assert commit_in(built(project, "wheel")) == {"commit": head, "clean": True}
    with tarfile.open(built(project, "sdist")) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert commit_in(built(next((tmp_path / "unpacked").iterdir()), "wheel")) == {"commit": head, "clean": True}
    git(project, "config", "status.showUntrackedFiles", "no")
    (project / "sgbench" / "more.py").write_text("")
    assert commit_in(built(project, "wheel")) == {"commit": head, "clean": False}


@pytest.mark.slow
def test_the_package_index_gets_whole_addresses_of_the_checkout(tmp_path: Path) -> None:
    """Expected: README's links and pictures under the address of `origin`, no password; without one, as written."""
    project = tmp_path / "project"
    (project / "sgbench").mkdir(parents=True)
    (project / "sgbench" / "__init__.py").write_text("")
    (project / "README.md").write_text("[docs](docs/index.md) ![board](leaderboards/board.png) [x](https://x.org)")
    text = PROJECT.replace('version = "0"', 'version = "0"\ndynamic = ["readme", "urls"]')
    (project / "pyproject.toml").write_text(text + "[tool.hatch.metadata.hooks.custom]\n")
    shutil.copy(ROOT / "hatch_build.py", project)
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-qm", "first")
    assert "[docs](docs/index.md)" in metadata_of(built(project, "wheel"))
    git(project, "remote", "add", "origin", "https://me:secret@example.org/us/sgbench.git")
    head, found = git(project, "rev-parse", "HEAD"), metadata_of(built(project, "wheel"))
    assert f"[docs](https://example.org/us/sgbench/blob/{head}/docs/index.md)" in found
    assert f"![board](https://example.org/us/sgbench/raw/{head}/leaderboards/board.png)" in found
    assert "[x](https://x.org)" in found
    assert "Project-URL: Repository, https://example.org/us/sgbench\n" in found
    assert "secret" not in found


def metadata_of(wheel: Path) -> str:
    """What a package index reads."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("METADATA"))).decode()


def test_the_file_is_read_back(tmp_path: Path) -> None:
    """What was written, and nothing where it is not such a file."""
    path = tmp_path / "commit.json"
    assert built_from(path) is None
    for text in ("{", "[]", '{"commit": "a"}'):
        path.write_text(text)
        assert built_from(path) is None
    path.write_text('{"commit": "abc", "clean": true}')
    assert built_from(path) == ("abc", True)


def test_a_checkout_says_its_own_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit.json that somebody left in a checkout would let it pass for another, unchanged commit."""
    from sgbench.training import provenance

    package = tmp_path / "sgbench"
    (package / "training").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    (package / "commit.json").write_text('{"commit": "abc", "clean": true}')
    monkeypatch.setattr(provenance, "__file__", str(package / "training" / "provenance.py"))
    code = Code.here()
    assert (code.commit, code.clean) == (git(tmp_path, "rev-parse", "HEAD"), False)


CLASS = """
class Triweight:
    def bell(self, u):
        return 1 - u
"""


def test_comments_and_docstrings_do_not_change_the_hash_of_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Must match: comments, docstrings, layout. Must differ: a number, an added default; None without a source."""
    monkeypatch.syspath_prepend(tmp_path)
    described = CLASS.replace("class Triweight:", 'class Triweight:\n    """Mine."""\n')
    texts = {
        "plain": CLASS,
        "remarked": described.replace("1 - u", "(1 - u)  # x"),
        "other": CLASS.replace("1", "2"),
        "more": CLASS.replace("u)", "u=0)"),
    }
    found = {}
    for name, text in texts.items():
        (tmp_path / f"triweight_{name}.py").write_text(text)
        importlib.import_module(f"triweight_{name}")
        found[name] = source_sha256(f"triweight_{name}.Triweight")
    assert found["plain"] == found["remarked"]
    assert len({*found.values(), None}) == 4
    assert source_sha256("triweight_plain.Nothing") is None
