"""What the check of pull requests looks at: git repositories made here, and the workflow files as text.

Expected: by hand; a submission adds or changes plain files below submissions/<protocol>/<method_id>, nothing else.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.rooms import ROOT

GITHUB = ROOT / ".github"
SCRIPT = GITHUB / "changed_submissions.sh"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
OLD, NEW = "submissions/digits_v1/aaaa", "submissions/digits_v1/bbbb"
RECORD = "".join(f'"line {number}": {number},\n' for number in range(40))
WAIT_S = 300

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


class Repository:
    """A git repository with a target branch that holds one submission, and a branch of a pull request."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {
            **os.environ,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_NAME": "somebody" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "somebody@example.org" for who in ("AUTHOR", "COMMITTER")},
        }
        self.environment.pop("GIT_DIR", None)
        root.mkdir()
        self.git("init", "--quiet", "--initial-branch", "main")
        self.write("README.md", "about\n")
        for seed in range(2):
            self.write(f"{OLD}/records/{seed}.json", f"{RECORD}{seed}\n")
        self.base = self.commit()
        self.git("checkout", "--quiet", "-b", "hand-in")

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words],  # noqa: S607
            cwd=self.root,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")
        return self.git("rev-parse", "HEAD")

    def listed(self, base: str | None = None) -> tuple[int, list[str], str]:
        """The exit code of the script, the folders that it names, and what it says."""
        done = subprocess.run(
            ["bash", str(SCRIPT), base or self.base],  # noqa: S607
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
        )
        return done.returncode, done.stdout.split("\0")[:-1], done.stderr


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "head")


@needs_git
@pytest.mark.slow
def test_added_submissions_are_listed_once(repository: Repository) -> None:
    """Two files added to one folder and one to another; what the target branch did since is not theirs."""
    for name in ("submission.json", "records/with a blank.json"):
        repository.write(f"{NEW}/{name}", "{}\n")
    repository.write(f"{NEW}c/submission.json", "{}\n")
    head = repository.commit()
    repository.git("checkout", "--quiet", "main")
    repository.write("README.md", "about more\n")
    repository.git("rm", "--quiet", f"{OLD}/records/1.json")
    later = repository.commit()
    repository.git("checkout", "--quiet", head)
    assert repository.listed(later) == (0, [NEW, f"{NEW}c"], "")


def delete_record(repository: Repository) -> None:
    repository.git("rm", "--quiet", f"{OLD}/records/1.json")
    repository.commit()


def delete_and_add(repository: Repository) -> None:
    repository.git("rm", "--quiet", f"{OLD}/records/1.json")
    repository.write(f"{OLD}/records/2.json", "{}\n")
    repository.commit()


def rename_record(repository: Repository) -> None:
    """More than half of the lines stay, so that git calls it a rename unless it is told not to."""
    path = f"{OLD}/records/1.json"
    text = (repository.root / path).read_text()
    repository.git("rm", "--quiet", path)
    repository.write(f"{NEW}/records/1.json", text.replace('"line 1"', '"changed 1"'))
    repository.commit()


def make_executable(repository: Repository) -> None:
    (repository.root / OLD / "records" / "0.json").chmod(0o755)
    repository.commit()


def add_link(repository: Repository) -> None:
    (repository.root / OLD / "tuning.json").symlink_to("/etc/passwd")
    repository.commit()


def replace_by_link(repository: Repository) -> None:
    path = repository.root / OLD / "records" / "0.json"
    path.unlink()
    path.symlink_to("1.json")
    repository.commit()


def link_whole_folder(repository: Repository) -> None:
    (repository.root / NEW).symlink_to("aaaa")
    repository.commit()


def add_submodule(repository: Repository) -> None:
    """A commit in place of a folder, which needs no file outside of submissions/."""
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{repository.base},{NEW}/records")
    repository.git("commit", "--quiet", "--message", "submodule")


def hide_submodule(repository: Repository) -> None:
    """Told to be ignored by the pull request itself."""
    repository.write(".gitmodules", f'[submodule "x"]\npath = {NEW}\nurl = ./x\nignore = all\n')
    repository.git("add", ".gitmodules")
    add_submodule(repository)


def touch_readme(repository: Repository) -> None:
    repository.write(f"{NEW}/submission.json", "{}\n")
    repository.write("README.md", "buy\n")
    repository.commit()


def lie_loose(repository: Repository) -> None:
    repository.write("submissions/digits_v1/notes.txt", "hello\n")
    repository.commit()


def edit_anothers(repository: Repository) -> None:
    """A name or a contact in a submission that waits to be accepted."""
    repository.write(f"{OLD}/records/0.json", "other\n")
    repository.commit()


def add_to_anothers(repository: Repository) -> None:
    repository.write(f"{NEW}/submission.json", "{}\n")
    repository.write(f"{OLD}/verification.json", "{}\n")
    repository.commit()


def change_nothing(repository: Repository) -> None:
    repository.git("commit", "--quiet", "--allow-empty", "--message", "nothing")


REFUSED: dict[str, tuple[Callable[[Repository], None], str]] = {
    "deleted record": (delete_record, "1.json is deleted or renamed"),
    "deleted record beside a new one": (delete_and_add, "1.json is deleted or renamed"),
    "renamed record": (rename_record, "1.json is deleted or renamed"),
    "mode": (make_executable, "0.json is executable"),
    "link": (add_link, "tuning.json is a symbolic link"),
    "link in place of a file": (replace_by_link, "0.json is a symbolic link"),
    "link in place of a folder": (link_whole_folder, "bbbb is a symbolic link"),
    "submodule": (add_submodule, "records is a submodule"),
    "hidden submodule": (hide_submodule, "is no part of a submission|is a submodule"),
    "other files": (touch_readme, "README.md is no part of a submission"),
    "loose file": (lie_loose, "notes.txt lies in no folder"),
    "another's file": (edit_anothers, "aaaa is there already"),
    "a file for another": (add_to_anothers, "aaaa is there already"),
    "nothing": (change_nothing, "no submission is added"),
}


@needs_git
@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_anything_else_is_refused(name: str, repository: Repository) -> None:
    """Expected: exit code 1, one line that names the file, and no folder."""
    change, reason = REFUSED[name]
    change(repository)
    code, folders, said = repository.listed()
    assert (code, folders) == (1, [])
    assert re.fullmatch(rf"refused: .*({reason}).*\n", said), said


@needs_git
@pytest.mark.slow
def test_a_fork_without_a_common_ancestor_is_refused(repository: Repository) -> None:
    """A history of its own, with the same files and a submission more."""
    repository.git("checkout", "--quiet", "--orphan", "fork")
    repository.write(f"{NEW}/submission.json", "{}\n")
    repository.commit()
    code, folders, said = repository.listed()
    assert (code, folders) == (1, [])
    assert "no common ancestor" in said


@needs_git
@pytest.mark.slow
def test_an_unknown_target_is_refused(repository: Repository) -> None:
    """A commit that the checkout does not hold."""
    repository.write(f"{NEW}/submission.json", "{}\n")
    repository.commit()
    code, folders, _ = repository.listed("0" * 40)
    assert (code, folders) == (1, [])


@needs_git
@pytest.mark.slow
def test_criss_cross_histories_are_refused(repository: Repository) -> None:
    """Two common ancestors: a deletion may be seen from one and not from the other."""
    repository.write(f"{NEW}/submission.json", "{}\n")
    ours = repository.commit()
    repository.git("checkout", "--quiet", "main")
    repository.write("README.md", "about more\n")
    theirs = repository.commit()
    repository.git("merge", "--quiet", "--no-edit", ours)
    target = repository.git("rev-parse", "HEAD")
    repository.git("checkout", "--quiet", ours)
    repository.git("merge", "--quiet", "--no-edit", "--no-ff", theirs)
    repository.write(f"{NEW}/tuning.json", "{}\n")
    repository.commit()
    code, folders, said = repository.listed(target)
    assert (code, folders) == (1, [])
    assert "several common ancestors" in said


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_end_and_name_their_actions_by_hash(path: Path) -> None:
    """Each job has a time limit, each action 40 hex digits, and nothing may write."""
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert 1 <= job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert "uses" not in step or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"])


def test_the_check_of_submissions_stops_at_the_first_failure() -> None:
    """Every step runs in bash, which GitHub starts with pipefail if it is named; the list comes from the script."""
    workflow = yaml.safe_load((GITHUB / "workflows" / "submission.yml").read_text())
    assert workflow["defaults"]["run"]["shell"] == "bash"
    commands = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    assert f'bash ../base/.github/{SCRIPT.name} "$BASE" > ../changed' in commands
    for command in commands:
        assert not re.search(r"\|\||; true|no-run-if-empty|xargs -r", command)
    for script in GITHUB.glob("*.sh"):
        assert "set -euo pipefail" in script.read_text().splitlines(), script.name


def locked(name: str) -> dict[str, tuple[str, str]]:
    """Version and hashes of each package of a lock file."""
    pattern = r"^([a-z0-9][a-z0-9._-]*)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$"
    text = (GITHUB / name).read_text()
    lines = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    found = re.findall(pattern, lines, flags=re.MULTILINE)
    assert "".join(f"{package}=={version}{hashes}\n" for package, version, hashes in found) == lines
    return {canonicalize_name(package): (version, hashes) for package, version, hashes in found}


def test_the_lock_file_has_what_the_checker_needs() -> None:
    """Every dependency of the package in a version that it allows, and what builds it; hashes and nothing else."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    files = {
        "checker.lock": project["project"]["dependencies"],
        "build.lock": [*project["build-system"]["requires"], "setuptools"],
    }
    for name, wanted in files.items():
        packages = locked(name)
        for requirement in map(Requirement, wanted):
            version, _ = packages[canonicalize_name(requirement.name)]
            assert version in requirement.specifier, requirement
