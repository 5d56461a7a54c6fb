"""The random search over engines: what it draws, what it says, and that it finds what once was wrong."""

from __future__ import annotations

import re

import pytest

from tools.search_engines import __main__ as command
from tools.search_engines.outcome import Outcome
from tools.search_engines.runs import Run


def test_cases_are_functions_of_seed_and_number() -> None:
    """Must match: the same place twice. Must differ: others; all kinds of networks come in a hundred cases."""
    first = [str(command.case_of(0, number)) for number in range(100)]
    assert first == [str(command.case_of(0, number)) for number in range(100)]
    assert len({*first, str(command.case_of(1, 0))}) == len(first) + 1
    for word in (
        "accelerate",
        "RLeaky(reset=none",
        "neuron=ramped",
        "one_to_one",
        "replicas",
        "conv",
        "compiled",
    ):
        assert any(word in case for case in first), word


def test_a_difference_is_told_with_its_repro_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expected: exit 1, the command that does it again and its words; 0 where nothing differs."""
    outcomes = iter(
        [Outcome(2), Outcome(refusal="does not fit"), Outcome(3, "engine=auto: logits off by 1.0e-02")]
    )
    monkeypatch.setattr(Run, "check", lambda _: next(outcomes))
    monkeypatch.setattr(command, "CHAINS", 0.0)
    assert command.main(["--cases", "2", "--seed", "4"]) == 0
    assert re.search(r"^\d+ s: 2 cases, 1 of them refused, 2 comparisons, 0 differ$", capsys.readouterr().out)
    assert command.main(["--case", "4:17"]) == 1
    out = capsys.readouterr().out
    assert "engine=auto: logits off by 1.0e-02\n  again: python -m tools.search_engines --case 4:17\n" in out
    assert f"  words: {command.case_of(4, 17)}\n" in out


def test_an_error_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: its kind and line, and where it was raised."""

    def fail(_: Run) -> Outcome:
        raise AttributeError("'ReadoutState' object has no attribute 's'")

    monkeypatch.setattr(Run, "check", fail)
    outcome, trace = command.checked(Run((), 1, compiled=False))
    assert outcome.finding == "AttributeError: 'ReadoutState' object has no attribute 's'"
    assert "in fail" in trace


@pytest.mark.slow
def test_a_short_search_finds_nothing() -> None:
    """Must match: the reference on every engine and as replicas in sixty cases."""
    assert command.main(["--cases", "60", "--seed", "1", "--minutes", "60"]) == 0
