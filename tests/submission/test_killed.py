"""Commands that are killed while they write: what they leave is found, git does not commit it, repeating works.

Each is killed (SIGKILL) at every place where a file or folder gets its name, and repeated it must give what an
undisturbed one gives.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.accept import accept
from sgbench.leaderboard.store.integrity import hidden_files
from sgbench.leaderboard.store.tree import add
from sgbench.records.files import parse_model
from sgbench.records.submission import Submission
from sgbench.submissions.make import write as write_made
from sgbench.submissions.stored_runs import restore
from tests.messages import lines_naming
from tests.rooms import ROOT
from tests.submission.factory import JUDGE, REFERENCES, Files, submission, write

WAIT_S = 300
PROTOCOL = "toy_v1"
FILES = submission()
METHOD = parse_model(FILES["submission.json"], Submission, "submission.json").method_id
KILL_EVERYWHERE = """
import os, shutil, signal, sys
from pathlib import Path
from tests.submission.test_killed import COMMANDS

command, start, root = COMMANDS[sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3])
number, status = 0, signal.SIGKILL
while status == signal.SIGKILL:
    shutil.copytree(start, root / str(number))
    child = os.fork()
    if child == 0:
        left = number
        def fatal(rename):
            def renamed(self, target):
                global left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
                return rename(self, target)
            return renamed
        Path.replace, Path.rename = fatal(Path.replace), fatal(Path.rename)
        command(root / str(number))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    number += 1
assert status == 0, status
"""


def run_add(root: Path) -> None:
    """Records of a runs folder into the store."""
    done = add([root / "runs"], root / "boards", references=REFERENCES)
    assert not done.refused, done.refused


def run_accept(root: Path) -> None:
    """A submission into the store."""
    accept(root / "handed-in", root / "boards", references=REFERENCES, judge=JUDGE)


def run_make(root: Path) -> None:
    """A submission of records, as `submit make` writes it."""
    head = parse_model(FILES["submission.json"], Submission, "submission.json")
    rest = {path: data for path, data in FILES.items() if path != "submission.json"}
    write_made(root / "made", head, rest)


def run_restore(root: Path) -> None:
    """A submission out of the store."""
    restore(root / "boards" / PROTOCOL, METHOD, root / "restored")


COMMANDS: dict[str, Callable[[Path], object]] = {
    "add": run_add,
    "accept": run_accept,
    "make": run_make,
    "restore": run_restore,
}


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A folder of runs, and the submission that was made of them."""
    root = tmp_path / "start"
    write(root / "handed-in", FILES)
    for seed in (0, 1, 2):
        run = root / "runs" / PROTOCOL / METHOD / str(seed)
        run.mkdir(parents=True)
        (run / "record.json").write_bytes(FILES[f"records/{seed}.json"])
        (run / "predictions.csv").write_bytes(FILES[f"predictions/{seed}.csv"])
    return root


def contents(root: Path) -> Files:
    """All files below a folder, hidden ones too."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def committed(root: Path) -> set[str]:
    """What git would commit of a folder, with the ignore file of this repository."""
    shutil.copy(ROOT / ".gitignore", root)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True, timeout=WAIT_S)  # noqa: S607
    done = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", "-z"],  # noqa: S607
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    return {*done.stdout.split("\0")} - {"", ".gitignore"}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_anywhere_and_repeated(name: str, start: Path, tmp_path: Path) -> None:
    """Hand count of places; what is left is named, and at last there is what an undisturbed command gives."""
    if name == "restore":
        run_accept(start)
    words = [sys.executable, "-c", KILL_EVERYWHERE, name, str(start), str(tmp_path)]
    subprocess.run(words, check=True, cwd=ROOT, timeout=WAIT_S)
    *killed, undisturbed = sorted((path for path in tmp_path.iterdir() if path.name.isdigit()), key=_number)
    # Records alone; records, predictions, submission, tuning log and the one file of weights; a folder.
    assert len(killed) == {"add": 3, "accept": 3 + 3 + 3 + 1 + 1}.get(name, 1)
    whole = contents(undisturbed)
    for root in killed:
        left = {path for path in contents(root) if path not in whole}
        assert left, "a killed process cannot clean up"
        assert not left & committed(root)
        shutil.rmtree(root / ".git")
        (root / ".gitignore").unlink()
        if name in ("add", "accept"):
            found = [Path(item.path) for item in hidden_files(root / "boards" / PROTOCOL)]
            assert {path.relative_to(root).as_posix() for path in found} == left
        COMMANDS[name](root)
        assert contents(root) == whole


def _number(path: Path) -> int:
    return int(path.name)


def test_what_is_hidden_in_a_store_is_named(start: Path) -> None:
    """Hand count: three of four; one is not hidden."""
    run_add(start)
    folder = start / "boards" / PROTOCOL
    (folder / "records" / METHOD / ".0.json.abcdefgh").write_text("of an older version")
    (folder / "records" / METHOD / ".0.json.abcdefgh.part").write_text("half")
    (folder / ".secret").mkdir()
    (folder / ".secret" / "anything.json").write_text("{}")
    (folder / "notes.txt").write_text("seen by others")
    said = {Path(item.path).name: item.reason for item in hidden_files(folder)}
    assert {name: "was killed" in reason for name, reason in said.items()} == {
        ".secret": False,
        ".0.json.abcdefgh": False,
        ".0.json.abcdefgh.part": True,
    }
    assert all(lines_naming(reason, "remove it") for reason in said.values())
