"""How many default tests train a network or start a process: counted while they run, never in seconds.

A test that shares what another has trained costs nothing here. What a fixture of a module or a session does is put
down to that fixture, once, however many workers make it; so the counts do not depend on how tests are spread.
"""

from __future__ import annotations

import multiprocessing.process
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

AGREED = {"trains": 72, "starts": 10}
"""How many tests and shared fixtures of the default run do so. Raise them in the open, with a reason."""
WORDS = {"trains": "train a network", "starts": "start a process"}
DEFAULT = "not slow"
"""Part of the expression of markers that makes a run a default one."""
ASKED_BY_EVERY_RUN = ("git", "uname")
"""Short commands with which a run describes its machine and its code."""


class Ledger:
    """A plugin of one process: who trained and who started processes, by names of tests and of shared fixtures."""

    def __init__(self) -> None:
        self.names: dict[str, set[str]] = {kind: set() for kind in AGREED}
        self.charged = ["collection"]

    def note(self, kind: str) -> None:
        """Put one down to whoever runs now."""
        self.names[kind].add(self.charged[-1])

    # --- who runs now

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """A test and its own fixtures."""
        return (yield from self._charging(item.nodeid))

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[None]:
        """A fixture that several tests share."""
        if fixturedef.scope == "function":
            return (yield)
        index = getattr(request, "param_index", 0)
        return (yield from self._charging(f"{fixturedef.baseid}::{fixturedef.argname}, number {index}"))

    def _charging(self, name: str) -> Iterator[None]:
        self.charged.append(name)
        try:
            return (yield)
        finally:
            self.charged.pop()

    # --- what they do

    def pytest_runtestloop(self) -> None:
        """Begin to count: modules are imported by now, and collecting trains nothing."""
        from sgbench.training.base_run import BaseRun

        self._before(BaseRun, "__init__", lambda *_, **__: self.note("trains"))
        self._before(subprocess.Popen, "__init__", self._popen)
        self._before(multiprocessing.process.BaseProcess, "start", lambda *_, **__: self.note("starts"))

    def _popen(self, _: object, args: Any, *__: object, **___: object) -> None:
        first = args if isinstance(args, str | bytes | Path) else next(iter(args))
        if Path(str(first)).name not in ASKED_BY_EVERY_RUN:
            self.note("starts")

    def _before(self, owner: type, name: str, note: Callable[..., None]) -> None:
        original = getattr(owner, name)

        def noted(*given: Any, **named: Any) -> Any:
            note(*given, **named)
            return original(*given, **named)

        setattr(owner, name, noted)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand the names to the process that started this one."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["ledger"] = {kind: sorted(who) for kind, who in self.names.items()}


class Report:
    """A plugin of the first process: all ledgers together, and the end of a session that spent too much.

    Args:
        ledger: of this process, which runs the tests where there are no workers.
        config: whose markers tell whether this is a default run.
    """

    def __init__(self, ledger: Ledger, config: pytest.Config) -> None:
        self.names = ledger.names
        self.is_default = DEFAULT in config.option.markexpr

    def pytest_testnodedown(self, node: Any) -> None:
        """A worker ended."""
        for kind, who in getattr(node, "workeroutput", {}).get("ledger", {}).items():
            self.names[kind].update(who)

    def overspent(self) -> list[str]:
        """A line for each kind of which there is more than was agreed."""
        if not self.is_default:
            return []
        return [
            f"{len(self.names[kind])} tests of the default run {WORDS[kind]}, {most} were agreed: share a finished"
            f" run, mark one slow, or raise the number in tests/budget.py"
            for kind, most in AGREED.items()
            if len(self.names[kind]) > most
        ]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A failure that no single test is to blame for."""
        if session.exitstatus == pytest.ExitCode.OK and self.overspent():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """What was spent; by whom, where it was too much or asked for with -v."""
        spent = ", ".join(f"{len(who)} {WORDS[kind]} ({AGREED[kind]} agreed)" for kind, who in self.names.items())
        terminalreporter.write_line(f"budget: {spent}")
        lines = self.overspent()
        for line in lines:
            terminalreporter.write_line(line, red=True)
        if lines or terminalreporter.config.option.verbose > 0:
            for kind, who in self.names.items():
                for name in sorted(who):
                    terminalreporter.write_line(f"  {kind}: {name}")
