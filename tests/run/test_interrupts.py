"""Ctrl-C at any moment: exit code 130, which is what the command promises; a second one kills (minus the signal).

Processes tell when they are at the place in question, so nothing here depends on how fast they are.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sgbench.cli import STOPPED
from tests.run.interrupts import Try, interrupt, moments, show

WAIT_S = 300
START = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.{handler})
import sgbench.__main__ as start
import sgbench.cli.main as command

def here():
    print("here", flush=True)
    time.sleep(600)
"""
SWALLOWED = """
import time
try:
    print("here", flush=True)
    time.sleep(600)
except BaseException:
    time.sleep(600)  # as compiled code does that takes it for a failure of its own
"""
DROPPED = """
class Deleted:
    def __del__(self):
        here()

def work(words=None):
    Deleted()
    time.sleep(600)
"""
IMPORTING = """
def work(words=None):
    import swallowed
"""
SLOW_TO_STOP = """
def work(words=None):
    try:
        here()
    finally:
        print("again", flush=True)
        time.sleep(600)
"""
FINISHED = """
import atexit
atexit.register(here)

def work(words=None):
    return 0
"""
RUN = """
command.main = work
sys.exit(start.command())
"""


def end_of(tmp_path: Path, body: str, *, signals: int = 1, handler: str = "default_int_handler") -> tuple[int, str]:
    """The exit code and the words of a command that does `body`, and gets a signal at each line that it prints."""
    (tmp_path / "swallowed.py").write_text(SWALLOWED)
    (tmp_path / "body.py").write_text(START.format(handler=handler) + body + RUN)
    process = subprocess.Popen(
        [sys.executable, "body.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(signals):
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
    return end_of_process(process)


def end_of_process(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code and the words of a process, which is killed if it does not end, so that no other test hears it."""
    with process:
        try:
            _, told = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
    return process.returncode, told


@pytest.mark.slow
@pytest.mark.parametrize("body", [IMPORTING, DROPPED, SLOW_TO_STOP, FINISHED])
def test_one_stops(body: str, tmp_path: Path) -> None:
    """In an import that swallows it, where Python drops it, in an endless clean-up, and after the command's end."""
    assert end_of(tmp_path, body) == (130, STOPPED)


@pytest.mark.slow
@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_within_the_first_import(tmp_path: Path) -> None:
    """Before the command's own handler stands, which takes `signal` to be imported: one line, and no traceback.

    Must differ: the same import by a process that is not the command, whose own handler stays Python's.
    """
    (tmp_path / "signal.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(600)\n")
    ends = []
    for module in ("sgbench.__main__", "signal"):
        process = subprocess.Popen(
            [sys.executable, "-c", f"import {module}"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGINT)
        ends.append(end_of_process(process))
    assert ends[0] == (130, STOPPED)
    assert ends[1][0] == -signal.SIGINT
    assert "Traceback" in ends[1][1]


@pytest.mark.slow
def test_two_kill(tmp_path: Path) -> None:
    """In the clean-up after the first one."""
    assert end_of(tmp_path, SLOW_TO_STOP, signals=2) == (-signal.SIGINT, "")


@pytest.mark.slow
def test_where_it_is_ignored_it_stays_so(tmp_path: Path) -> None:
    """As in a shell's background: the command ends by itself, and well."""
    body = 'def work(words=None):\n    print("here", flush=True)\n    time.sleep(1)\n    return 0\n'
    assert end_of(tmp_path, body, handler="SIG_IGN") == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("after_s", moments(10, seed=1))
def test_a_sweep_stops_at_any_moment(after_s: float) -> None:
    """Ten moments of a sweep with Hydra's basic launcher, drawn from a seed, the start included."""
    assert interrupt(after_s).code == 130


def test_moments_follow_from_the_seed() -> None:
    """Must match: the same seed; must differ: another. Of 200 some are in the first second, none beyond the end."""
    found = moments(200)
    assert found == moments(200) != moments(200, seed=1)
    assert len(found) == 200
    assert 10 <= sum(after_s < 1 for after_s in found) <= 50
    assert max(found) < 20


def test_the_table_counts_and_names_others() -> None:
    """Hand count: two of three stopped with 130; the third was ended by a signal and is named."""
    tries = [Try(1.0, 0.5, 130, "stopped"), Try(2.0, 6.0, 130, "stopped"), Try(3.25, 0.1, -6, "abort")]
    told = show(tries)
    assert "one Ctrl-C, 3 tries" in told
    assert "3.250 s: -6: abort" in told
    assert [line.split()[-2:] for line in told.splitlines() if "longer than" in line] == [["1", "0"]]
