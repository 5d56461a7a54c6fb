"""The random search over engines: what it draws, what it says, and that it finds what once was wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from fastspiking import generated
from fastspiking.codegen.snapshot import Snapshot
from fastspiking.codegen.source import LoopSource
from tests.search_engines import __main__ as command
from tests.search_engines.outcome import Outcome
from tests.search_engines.random_runs import SMALL, SPIKES
from tests.search_engines.runs import Run

SHORT = (
    "protocol.batch_size=2",
    "optimizer=sgd",
    "optimizer.lr=0.01",
    "loss=per_step",
    "network=mlp",
    "clip_norm=null",
)


def test_cases_are_functions_of_seed_and_number() -> None:
    """Must match: the same place twice. Must differ: others; all kinds of networks come in a hundred cases."""
    first = [str(command.case_of(0, number)) for number in range(100)]
    assert first == [str(command.case_of(0, number)) for number in range(100)]
    assert len({*first, str(command.case_of(1, 0))}) == len(first) + 1
    for word in ("accelerate", "RLeaky(reset=none", "neuron=ramped", "one_to_one", "replicas", "conv", "compiled"):
        assert any(word in case for case in first), word


def test_a_difference_is_told_with_its_repro_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expected: exit 1, the command that does it again and its words; 0 where nothing differs."""
    outcomes = iter([Outcome(2), Outcome(refusal="does not fit"), Outcome(3, "engine=auto: logits off by 1.0e-02")])
    monkeypatch.setattr(Run, "check", lambda _: next(outcomes))
    monkeypatch.setattr(command, "CHAINS", 0.0)
    assert command.main(["--cases", "2", "--seed", "4"]) == 0
    counts = re.search(r"(\d+) cases, (\d+) .*, (\d+) comparisons, (\d+) differ$", capsys.readouterr().out)
    assert counts is not None
    assert counts.groups() == ("2", "1", "2", "0")
    assert command.main(["--case", "4:17"]) == 1
    out = capsys.readouterr().out
    finding, again, words = out.splitlines()[-4:-1]
    assert finding.endswith("engine=auto: logits off by 1.0e-02")
    assert again.endswith("tests.search_engines --case 4:17")
    assert words == f"  words: {command.case_of(4, 17)}"


def test_an_error_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: its kind and line, and where it was raised."""

    def fail(_: Run) -> Outcome:
        raise AttributeError("'ReadoutState' object has no attribute 's'")

    monkeypatch.setattr(Run, "check", fail)
    outcome, trace = command.checked(Run((), 1, compiled=False))
    assert outcome.finding == "AttributeError: 'ReadoutState' object has no attribute 's'"
    assert "in fail" in trace


def by_place(neuron: nn.Module, key: tuple[Any, ...], write: Callable[[Snapshot], LoopSource]) -> LoopSource:
    """Recall what was written by where a neuron's gain lies and by torch's version of it."""
    gain = getattr(neuron, "gain", None)
    kept = neuron.__dict__.setdefault("written", {})
    place = key, id(gain), gain is not None and gain._version
    if place not in kept:
        kept[place] = write(Snapshot(nn.Module()))
    return kept[place]


def test_a_new_tensor_in_the_place_of_an_old_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Must match: a neuron of somebody's own on every engine. Must differ: where it is recalled by identity."""
    words = (*SMALL, *SPIKES.split(), "neuron=ramped", "protocol.hidden=[5]", "protocol.epochs=2", *SHORT)
    run = Run(words, 1, compiled=False)
    right = run.check()
    assert right.compared
    assert right.finding is None
    monkeypatch.setattr(generated, "stored_source", by_place)
    assert run.check().finding is not None


@pytest.mark.slow
def test_a_short_search_finds_nothing() -> None:
    """Must match: the reference on every engine and as replicas in sixty cases."""
    assert command.main(["--cases", "60", "--seed", "1", "--minutes", "60"]) == 0
