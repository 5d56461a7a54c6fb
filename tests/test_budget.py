"""The budget of the default run: what is counted, and that more than was agreed is noticed.

Expected: counts by hand.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import budget
from tests.budget import Ledger, Report
from tests.messages import lines_naming

ROOT = Path(__file__).parent.parent


def report(ledger: Ledger, markers: str = "not slow and not gpu") -> Report:
    """The plugin of the first process."""
    return Report(ledger, SimpleNamespace(option=SimpleNamespace(markexpr=markers)))  # type: ignore[arg-type]


def test_more_than_agreed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Must differ: two names under a limit of one; the same under two, or with other markers, are fine."""
    ledger = Ledger()
    for name in ("a", "b", "b"):
        ledger.charged.append(name)
        ledger.note("trains")
    monkeypatch.setattr(budget, "AGREED", {"trains": 1, "starts": 0})
    (line,) = report(ledger).overspent()
    assert line.startswith("2 tests of the default run train a network, 1 were agreed: share a finished run")
    assert report(ledger, "slow").overspent() == []
    monkeypatch.setattr(budget, "AGREED", {"trains": 2, "starts": 0})
    assert report(ledger).overspent() == []


def test_workers_are_counted_together_and_a_name_once() -> None:
    """By hand: of {a, b} and {b, c} three; a worker that ended without a word adds nothing."""
    whole = report(Ledger())
    for names in (["a", "b"], ["b", "c"]):
        whole.pytest_testnodedown(SimpleNamespace(workeroutput={"ledger": {"trains": names, "starts": []}}))
    whole.pytest_testnodedown(SimpleNamespace())
    assert whole.names == {"trains": {"a", "b", "c"}, "starts": set()}


def test_this_session_counts(request: pytest.FixtureRequest) -> None:
    """Must differ: this test, once it starts a process; asking git for a commit is none."""
    ledger = request.config.pluginmanager.get_plugin("sgbench-ledger")
    name = request.node.nodeid
    subprocess.run(["git", "--version"], check=False, capture_output=True)  # noqa: S607 - the user's own
    assert name not in ledger.names["starts"]
    subprocess.run([sys.executable, "-S", "-c", ""], check=True)
    assert name in ledger.names["starts"]
    assert name not in ledger.names["trains"]


TESTS = """
import subprocess, sys
import pytest
import sgbench
from tests.run.tiny import WORDS

@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return sgbench.run(*WORDS, f"paths.runs_dir={tmp_path_factory.mktemp('shared')}")

@pytest.mark.parametrize("number", range(6))
def test_that_reads(shared, number):
    assert shared.status == "finished"

def test_that_trains():
    assert sgbench.run(*WORDS).status == "finished"

def test_that_starts():
    subprocess.run([sys.executable, "-c", ""], check=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("agreed", [{"trains": 2, "starts": 1}, {"trains": 1, "starts": 1}], ids=str)
def test_a_session_that_overspends_fails(workers: int, agreed: dict[str, int], tmp_path: Path) -> None:
    """By hand: one shared fixture and one test train, one test starts a process; in one process and in two."""
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow: nothing here\n")
    (tmp_path / "conftest.py").write_text(
        f"from tests import budget\nbudget.AGREED.update({agreed!r})\n{(ROOT / 'conftest.py').read_text()}"
    )
    command = [sys.executable, "-m", "pytest", "-n", str(workers), "-m", "not slow", str(tmp_path)]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"], capture_output=True, text=True, check=False, cwd=ROOT, timeout=300
    )
    fine = agreed["trains"] == 2
    assert lines_naming(done.stdout, "2 train", f"{agreed['trains']} agreed", "1 start"), done.stdout
    assert (done.returncode == 0) == fine, done.stdout
    assert ("2 tests of the default run train a network, 1 were agreed" in done.stdout) == (not fine)
