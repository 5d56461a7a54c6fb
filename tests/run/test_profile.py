"""Where the time of a fit goes: parts add up by hand with a clock of our own, and change nothing."""

from __future__ import annotations

import json

import pytest
import torch

from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.replicas.grouping import why_alone
from sgbench.training.profile import PROFILE, TRACE, Profile
from sgbench.training.run_folder import folder_of
from tests.run.tiny import WORDS


class Clock:
    """Seconds that go by when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now_s


def test_a_part_does_not_count_what_is_inside_it() -> None:
    """By hand: a rule of 7 s with 3 s of forward and 2 s of backward inside has 2 s; validation is not divided."""
    clock = Clock()
    profile = Profile(torch.device("cpu"), clock)
    with profile.fitting():
        clock.now_s += 1
        with profile.part("rule"):
            clock.now_s += 2
            with profile.part("forward"):
                clock.now_s += 3
            with profile.part("backward"):
                clock.now_s += 2
        profile.steps = 2
        with profile.part("validation"):
            with profile.part("forward"):
                clock.now_s += 4
            clock.now_s += 1
        with profile.part("checks"):
            clock.now_s += 3
    tree = profile.tree()
    wanted = {"rule": 2, "forward": 3, "backward": 2, "validation": 5, "checks": 3, "other": 1}
    assert {name: time_s for name, time_s in tree["times_s"].items() if time_s} == wanted
    assert tree["fit_s"] == sum(wanted.values()) == 16
    assert tree["round_a_step_s"] == (3 + 1) / 2
    assert tree["round_share"] == (3 + 1) / 16
    assert [event[0] for event in profile.events] == ["forward", "backward", "rule", "validation", "checks"]


def test_torchs_own_way_back_is_as_before_afterwards() -> None:
    """Must differ: during a fit it is timed."""
    before = torch.autograd.backward, torch.autograd.grad
    profile = Profile(torch.device("cpu"))
    weight = torch.ones(1, requires_grad=True)
    with profile.fitting():
        assert torch.autograd.backward is not before[0]
        (weight * 2).sum().backward()
        torch.autograd.grad((weight * 2).sum(), weight)
    assert (torch.autograd.backward, torch.autograd.grad) == before
    assert profile.calls == {"backward": 2}


def test_a_profiled_run_is_the_run(finished: RunRecord, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights, id and scores of a run without; parts add up to the fit; the trace is in Chrome's form."""
    words = [*WORDS, f"paths.runs_dir={tmp_path / 'profiled'}", "trainer.profile=true", "logger=csv"]
    assert main(["run", *words]) == 0
    said = capsys.readouterr().out
    spec = compose(words)
    assert method_id(spec.method) == finished.method_id
    folder = folder_of(spec)
    record = RunRecord.model_validate_json((folder / "record.json").read_bytes())
    assert (record.weights_sha256, record.test) == (finished.weights_sha256, finished.test)
    tree = json.loads((folder / PROFILE).read_text())
    assert sum(tree["times_s"].values()) == pytest.approx(tree["fit_s"])
    assert tree["calls"]["backward"] == tree["calls"]["checks"] == tree["steps"] > 0
    for name in ("data", "forward", "backward", "rule", "optimiser", "validation", "logging", "checkpoint"):
        assert tree["times_s"][name] > 0, name
        assert name in said
    events = json.loads((folder / TRACE).read_text())["traceEvents"]
    assert {event["ph"] for event in events} == {"X"}
    assert {"forward", "backward", "data"} <= {event["name"] for event in events}
    assert "round a step" in said


def test_a_profiled_point_runs_alone() -> None:
    assert why_alone(compose([*WORDS, "trainer.profile=true"])) is not None
