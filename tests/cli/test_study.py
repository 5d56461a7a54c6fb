"""`sgbench study`: what may run, what is paused, and what is said instead of a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.paths import conf_dir
from sgbench.study_runner.run import PID_FILE
from sgbench.study_runner.scores import SETTLED, read_settled, require_committed, require_registered_file
from tests.messages import lines_naming, raises_naming

STUDY = """
import multiprocessing, sys, time
from pathlib import Path
from sgbench.study_runner.run import only_one

with only_one(Path(sys.argv[1]), "toy"):
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(300,), daemon=True)
    worker.start()
    print(worker.pid, flush=True)
    sys.stdin.read()
"""


def git(folder: Path, *words: str) -> None:
    """One command, by nobody in particular."""
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)  # noqa: S607


def state(process: int) -> str:
    """One letter of the kernel: T is stopped."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def wait_for(process: int, *, stopped: bool) -> None:
    """Until a process is stopped, or goes on."""
    until = time.monotonic() + 300
    while (state(process) == "T") != stopped:
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_pause_holds_the_study_and_its_workers_alone(tmp_path: Path) -> None:
    """By the kernel's word; this process is of the same group as the study and must not be stopped with it."""
    study = subprocess.Popen(
        [sys.executable, "-c", STUDY, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert study.stdout is not None
        worker = int(study.stdout.readline())
        assert os.getpgid(study.pid) == os.getpgid(0)
        with pytest.raises(InputError, match="another study runs there"):
            study_again(tmp_path)
        for _ in range(2):
            assert main(["study", "pause", "toy", "--runs-dir", str(tmp_path)]) == 0
            wait_for(study.pid, stopped=True)
            wait_for(worker, stopped=True)
            assert main(["study", "resume", "toy", "--runs-dir", str(tmp_path)]) == 0
            wait_for(study.pid, stopped=False)
            wait_for(worker, stopped=False)
        assert main(["study", "pause", "other", "--runs-dir", str(tmp_path)]) == 2
        assert state(study.pid) != "T"
        study.communicate("", timeout=300)
    finally:
        study.send_signal(signal.SIGCONT)
        study.terminate()
        study.wait(300)
    assert not (tmp_path / PID_FILE).exists()


def study_again(runs_dir: Path) -> None:
    """A second study in the same folder."""
    from sgbench.study_runner.run import only_one

    with only_one(runs_dir, "toy"):
        pass


def test_the_number_of_a_killed_study_is_nobodys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A killed study leaves its file behind; that number, here this very process, is not signalled."""
    (tmp_path / PID_FILE).write_text(f"{os.getpid()} toy\n")
    assert main(["study", "pause", "toy", "--runs-dir", str(tmp_path)]) == 2
    assert main(["study", "resume", "toy", "--runs-dir", str(tmp_path / "none")]) == 2
    assert lines_naming(capsys.readouterr().err, "toy")


def test_settled_cells_have_to_be_committed(tmp_path: Path) -> None:
    """Ignored by git, not yet added, added, committed, changed; outside of a repository nothing is asked."""
    (tmp_path / SETTLED).write_text("{}\n")
    require_committed(tmp_path, ["A1"])
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("*.json\n")
    with pytest.raises(InputError, match="commit it first"):
        require_committed(tmp_path, ["A1"])
    (tmp_path / ".gitignore").write_text("")
    with pytest.raises(InputError, match="commit it first"):
        require_committed(tmp_path, ["A1"])
    git(tmp_path, "add", ".")
    with pytest.raises(InputError, match="commit it first"):
        require_committed(tmp_path, ["A1"])
    git(tmp_path, "commit", "-qm", "cells")
    require_committed(tmp_path, ["A1"])
    (tmp_path / SETTLED).write_text("{ }\n")
    require_committed(tmp_path, [])
    with pytest.raises(InputError, match="commit it first"):
        require_committed(tmp_path, ["A1"])


def test_a_repository_that_git_cannot_read_is_no_excuse(tmp_path: Path) -> None:
    """A .git that is none: what is committed there is not known."""
    (tmp_path / SETTLED).write_text("{}\n")
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(InputError, match="git cannot say"):
        require_committed(tmp_path, ["A1"])


def test_a_study_of_ones_own_has_to_be_committed(tmp_path: Path) -> None:
    """The shipped one is part of sgbench's commit, which is looked at elsewhere."""
    require_registered_file(conf_dir() / "study" / "surrogates.yaml")
    path = tmp_path / "mine.yaml"
    path.write_text("about: mine\n")
    with raises_naming(InputError, "mine.yaml", "commit"):
        require_registered_file(path)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "registered")
    require_registered_file(path)


@pytest.mark.parametrize(
    "text", ["[]", '{"A1": []}', '{"A1": {"T1": []}}', '{"A1": {"T1": {"a": 1}}}', '{"A1": {"T1": [{"a": []}]}}']
)
def test_settled_cells_of_another_form_are_refused(text: str, tmp_path: Path) -> None:
    """One line, whatever stands there."""
    (tmp_path / SETTLED).write_text(text)
    with raises_naming(InputError, SETTLED, "blocks", "cells"):
        read_settled(tmp_path)
