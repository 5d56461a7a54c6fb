"""The way in, walked: a stranger's result from an empty folder to a row that ranks, then disputed and withdrawn.

The commands are those of docs/handing_in.md, and the steps of the pull request those of .github/workflows, as they
stand. Two things are left out, which need an index of packages: `make setup` and the installing of the checker. In
their place `sgbench` on the path is the package under test. One board is kept, so that it is short.
"""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.rooms import ROOT

DOCS = ROOT / "docs" / "handing_in.md"
WORKFLOW = ROOT / ".github" / "workflows" / "submission.yml"
STRANGERS, MAINTAINERS = "# Hand in a result", "## For maintainers"
FROM_AN_INDEX = ("make setup", ". .venv/bin/activate")
INSTALLS = "bash base/.github/install_checker.sh base"
MOST = 10
"""Commands that a stranger types."""
BOARD = Path("leaderboards/digits_v1")
WAIT_S = 1800
OWN = '''"""A surrogate in a file of a stranger, which tells when somebody imports it."""

import math
import os
from pathlib import Path

import torch

from sgbench.surrogates.bell import BellSurrogate

with Path(os.environ["IMPORTED"]).open("a") as file:
    file.write("imported\\n")


class Mine(BellSurrogate):
    native = "slope"
    bell_area = 4 / 3
    bell_fwhm = math.sqrt(2)
    bell_support = 1.0

    def __init__(self, *, slope, width_fwhm, normalisation, scale):
        super().__init__(native_value=slope, width_fwhm=width_fwhm, normalisation=normalisation, scale=scale)

    def bell(self, z):
        return torch.relu(1 - z.square())

    def bell_integral(self, z):
        inside = z.clamp(-1, 1)
        return inside - inside * inside.square() / 3
'''
ENTRY = """_target_: mine.Mine
slope: ${unless:${.width_fwhm},1.0}
width_fwhm: ${width_fwhm}
normalisation: peak1
scale: 1.0
meta:
  line: A slope of one's own.
  family: bell
  formula: "max(0, 1 - (slope u)^2)"
  sources: ["the user's own"]
"""
OWN_WORDS = ["--config-dir", "my_conf", "--allow-target", "mine.Mine"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not in a checkout, whose history is cloned"),
]


def commands(heading: str) -> list[str]:
    """The lines of the blocks of commands of a section of the page."""
    section = re.split(r"\n##", DOCS.read_text().partition(f"{heading}\n")[2])[0]
    found = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)
    assert found
    return [line.partition("  #")[0].strip() for block in found for line in block.splitlines()]


class Place:
    """A folder in which somebody types commands, with `sgbench` of this package on the path.

    Args:
        folder: that is empty or not there.
        tools: where `sgbench` lies.
    """

    def __init__(self, folder: Path, tools: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "SGBENCH_"))},
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_NAME": folder.name for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "somebody@example.org" for who in ("AUTHOR", "COMMITTER")},
            "IMPORTED": str(tools / "imported"),
        }

    def ask(self, command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """What a command says; its CPU time is printed, as the page tells it."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-ec", command],  # noqa: S607 - as the workflow's shell
            cwd=self.folder,
            env=self.environment | more,
            check=False,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        sys.stdout.write(f"{seconds:7.1f} CPU s  {self.folder.name}: {command.splitlines()[0][:110]}\n")
        return done

    def does(self, command: str, **more: str) -> str:
        """A command that has to end well, and what it says."""
        done = self.ask(command, **more)
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def at(self, below: str) -> Place:
        """The same person in a folder below."""
        place = Place.__new__(Place)
        place.folder, place.environment = self.folder / below, self.environment
        return place


class Forge:
    """Bare repositories as a forge has them: the project's, and forks of it, with the check of pull requests.

    Args:
        root: an empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.tools = root, root / "tools"
        self.tools.mkdir()
        for name, options in (("sgbench", " -P -m sgbench"), ("python", "")):
            script = self.tools / name
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{options} "$@"\n')
            script.chmod(0o755)
        self.bare = root / "project.git"
        self.maintainer = Place(root / "maintainer", self.tools)
        self.maintainer.does(f"git clone --quiet --bare {ROOT} {self.bare}")
        self.maintainer.does(
            f"git -C {self.bare} branch -f main HEAD && git -C {self.bare} symbolic-ref HEAD refs/heads/main"
        )
        self.maintainer.does(f"git clone --quiet {self.bare} sgbench")
        self.project = self.maintainer.at("sgbench")
        others = [path.name for path in (self.project.folder / "leaderboards").iterdir() if path.name != BOARD.name]
        self.project.does(f"git rm -r --quiet {' '.join(f'leaderboards/{name}' for name in others)}")
        self.project.does("git commit --quiet --message 'one board, for a short test' && git push --quiet origin main")

    def fork(self, name: str) -> Path:
        """A fork of the project, as a bare repository."""
        path = self.root / f"{name}.git"
        self.maintainer.does(f"git clone --quiet --bare {self.bare} {path}")
        return path

    def pull_request(self, fork: Path, branch: str) -> list[subprocess.CompletedProcess[str]]:
        """Run the workflow's commands in checkouts of both sides, up to the first that fails."""
        place = Place(self.root / f"check-{branch}", self.tools)
        for side, bare, wanted in (("base", self.bare, "main"), ("head", fork, branch)):
            place.does(f"git clone --quiet --branch {wanted} {bare} {side}")
        base = place.does("git -C base rev-parse HEAD").strip()
        done = []
        for step in yaml.safe_load(WORKFLOW.read_text())["jobs"]["check"]["steps"]:
            if "run" in step and step["run"] != INSTALLS:
                values = {
                    key: value.replace("${{ github.event.pull_request.base.sha }}", base)
                    for key, value in step.get("env", {}).items()
                }
                done.append(place.at(step.get("working-directory", ".")).ask(step["run"], **values))
                if done[-1].returncode:
                    break
        return done

    def merge(self, fork: Path, branch: str) -> None:
        """A maintainer's button."""
        self.project.does(f"git pull --quiet --no-ff --no-edit {fork} {branch} && git push --quiet origin main")


def row(project: Place, method: str) -> dict[str, str] | None:
    """The row of a method in the board's table, if it has one."""
    with (project.folder / BOARD / "table.csv").open() as file:
        return next((line for line in csv.DictReader(file) if line["method_id"] == method), None)


def handed_in(project: Place) -> str:
    """The id of the one submission of a checkout."""
    (path,) = project.folder.glob(f"submissions/{BOARD.name}/*")
    return path.name


def accept(project: Place, method: str) -> None:
    """Every command of the maintainers' block, as it stands."""
    for command in commands(MAINTAINERS):
        project.does(re.sub(r"\bID\b", method, command))
    project.does("git add --all leaderboards && git commit --quiet --message accept && git push --quiet origin main")


def test_a_result_ranks_is_disputed_and_withdrawn(tmp_path: Path) -> None:
    """By hand: ten commands; no rank before the maintainers' commands, one after, none once withdrawn."""
    forge = Forge(tmp_path)
    fork = forge.fork("stranger")
    typed = commands(STRANGERS)
    assert len(typed) <= MOST
    stranger = Place(tmp_path / "stranger", forge.tools)
    for command in typed:
        if command.startswith("cd "):
            stranger = stranger.at(command.removeprefix("cd "))
        elif command not in FROM_AN_INDEX:
            stranger.does(command.replace("https://example.org/you/sgbench", str(fork)))
    method = handed_in(stranger)

    checked = forge.pull_request(fork, "parabola")
    assert [step.returncode for step in checked] == [0, 0, 0, 0], checked[-1].stdout + checked[-1].stderr
    assert "rescored: passed" in checked[2].stdout
    assert "reinferred: passed" in checked[3].stdout

    forge.merge(fork, "parabola")
    project = forge.project
    assert row(project, method) is None
    project.does("python -m registry site --from leaderboards --to ../site")
    assert "@me" in (project.folder.parent / "site" / "pending.html").read_text()
    accept(project, method)
    ranked = row(project, method)
    assert ranked is not None
    assert (ranked["checked"], ranked["rank_low"] != "") == ("retrained", True)
    assert not list(project.folder.glob("submissions/*/*"))

    project.does(
        f"python -m registry audit --protocol {BOARD.name} --method {method} --seeds 2 --draw 20270101 "
        "--by 'somebody else'"
    )
    audit = json.loads((project.folder / BOARD / "audit.json").read_text())
    again = {
        done["seed"] for session in audit["sessions"] for done in session["retrainings"] if done["method_id"] == method
    }
    assert len(again) >= 2
    project.does(f"python -m registry withdraw {method} --protocol {BOARD.name} --reason 'the author asked'")
    project.does("sgbench board build --from leaderboards")
    assert row(project, method) is None
    assert "the author asked" in (project.folder / BOARD / "table.md").read_text()
    project.does("sgbench board check")


def write_own_surrogate(folder: Path, place: Place) -> Path:
    """A class of a stranger in a new folder, and its entry in the stranger's checkout; returns the folder."""
    folder.mkdir()
    (folder / "mine.py").write_text(OWN)
    entry = place.folder / "my_conf" / "surrogate" / "mine.yaml"
    entry.parent.mkdir(parents=True)
    entry.write_text(ENTRY)
    return folder


def test_a_class_of_a_stranger_is_never_imported_and_its_answers_do_not_rank(tmp_path: Path) -> None:
    """The check names the class and stops; by answers alone its runs stand beside the board, without a rank."""
    forge = Forge(tmp_path)
    fork = forge.fork("inventor")
    inventor = Place(tmp_path / "inventor", forge.tools)
    inventor.does(f"git clone --quiet {fork} sgbench")
    inventor = inventor.at("sgbench")
    imported = forge.tools / "imported"
    own = write_own_surrogate(tmp_path / "own", inventor)
    words = shlex.join(OWN_WORDS)
    inventor.does(
        f"PYTHONPATH={own} sgbench run -m {words} experiment=digits surrogate=mine "
        "seed=0,1,2,3,4 hydra/launcher=replicas"
    )
    inventor.does(f"PYTHONPATH={own} sgbench submit make runs/{BOARD.name} {words} --name 'my surrogate' --contact @me")
    assert imported.read_text()
    imported.unlink()
    method = handed_in(inventor)
    inventor.does("git checkout --quiet -b by-entry && git add submissions")
    inventor.does("git commit --quiet --message one && git push --quiet origin by-entry")
    checked = forge.pull_request(fork, "by-entry")
    assert [step.returncode for step in checked] == [0, 123]  # as xargs says that a command failed
    assert re.search(r"surrogate \W?mine\W? is not", checked[1].stdout), checked[1].stdout
    assert not imported.exists()
    by_hand = f"sgbench submit check submissions/{BOARD.name}/{method} {words}"
    assert ": fine" in inventor.does(f"PYTHONPATH={own} {by_hand}")  # a maintainer who has read the class
    assert imported.exists()
    imported.unlink()

    inventor.does("git checkout --quiet -b answers main && mkdir my_predictions")
    (example,) = re.findall(r"^for seed in .*$", DOCS.read_text(), flags=re.MULTILINE)
    inventor.does(re.sub(r"\bID\b", method, example))
    (line,) = re.findall(
        r'^sgbench submit make my_predictions .*"my surrogate".*$', DOCS.read_text(), flags=re.MULTILINE
    )
    inventor.does(line)
    outside = handed_in(inventor)
    inventor.does("git add submissions && git commit --quiet --message two && git push --quiet origin answers")
    checked = forge.pull_request(fork, "answers")
    assert [step.returncode for step in checked] == [0, 0, 0, 0], checked[-1].stdout + checked[-1].stderr
    assert "answers alone" in checked[3].stdout

    forge.merge(fork, "answers")
    project = forge.project
    project.does(f"python -m registry accept submissions/{BOARD.name}/{outside}")
    project.does(f"sgbench verify submissions/{BOARD.name}/{outside} --tier rescored --by 'sgbench maintainers'")
    project.does("sgbench board build --from leaderboards")
    assert row(project, outside) is None
    table = (project.folder / BOARD / "table.md").read_text()
    (said,) = [each for each in table.splitlines() if "my surrogate" in each and each.startswith("|")]
    assert "answers alone" in said
    assert not imported.exists()


@pytest.mark.parametrize(
    ("ends", "code", "said"),
    [(0, 0, ""), (1, 1, ""), (2, 1, ""), ("sleep", 0, "::warning::"), ("none", 0, "answers alone")],
)
def test_running_weights_again_has_a_limit(tmp_path: Path, ends: int | str, code: int, said: str) -> None:
    """By hand: a failure is one, more than a second is a warning, a folder without weights is passed by."""
    tools = tmp_path / "tools"
    tools.mkdir()
    script = tools / "sgbench"
    script.write_text(
        "#!/bin/sh\n" + ("exec sleep 60" if ends == "sleep" else f"exit {ends if ends != 'none' else 9}") + "\n"
    )
    script.chmod(0o755)
    place = Place(tmp_path / "check", tools)
    folder = place.folder / "submissions" / "p" / "m"
    (folder if ends == "none" else folder / "weights").mkdir(parents=True)
    (place.folder / "list").write_bytes(b"submissions/p/m\0")
    done = place.ask(f"bash {ROOT}/.github/reinfer.sh list 1")
    assert (done.returncode, said in done.stdout) == (code, True)
