"""The benchmark's gate: a wrong gradient, loss or firing rate stops it before anything is timed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks import comparison, gate, generated
from benchmarks.contenders import TorchContender, build_sgbench
from benchmarks.workloads import Sizes, Task, make_task
from fastspiking.generated_run import BackwardPass
from tests.benchmarks.tiny import QUICK, TINY_W1, bench
from tests.messages import lines_naming, raises_naming


def wrong_by(factor: float, task: Task) -> TorchContender:
    """An engine whose gradient of one tensor is a little off."""
    contender = build_sgbench(task, engine="scan")
    contender.weights["readout.bias"].register_hook(lambda grad: grad * factor)
    return contender


def test_gate_stops_a_wrong_gradient_before_any_timing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    builds = {**comparison.every_build(), "impostor": partial(wrong_by, 1 + 1e-6)}
    monkeypatch.setattr(comparison, "every_build", lambda: builds)
    file = tmp_path / "times.json"
    assert bench(f"engine --workload w1_ff {TINY_W1} {QUICK} --json {file}") == 1
    out, err = capsys.readouterr()
    assert lines_naming(err, "impostor", "readout.bias", "float64", "1.0e-06")
    assert "nothing was timed" in err
    assert err.count("\n") == 1
    assert "fused" not in err
    assert out == ""
    assert not file.exists()


@pytest.mark.parametrize(
    ("losses", "gradients", "what"),
    [
        ([1.0, 2.0], {"w": torch.tensor([1.0, 0.0])}, None),
        ([1.1, 2.0], {"w": torch.tensor([1.0, 0.0])}, "loss of step 1"),
        ([1.0, float("nan")], {"w": torch.tensor([1.0, 0.0])}, "loss of step 2"),
        ([1.0, 2.0], {"w": torch.tensor([1.0, 0.01])}, "gradient of w"),
        ([1.0, 2.0], {"w": torch.tensor([float("nan"), 0.0])}, "gradient of w"),
        ([1.0, 2.0], {"w": torch.tensor([[1.0, 0.0]])}, "gradient of w"),
        ([1.0, 2.0], {}, "gradient of w"),
    ],
)
def test_gate_names_what_differs(losses: list[float], gradients: dict[str, torch.Tensor], what: str | None) -> None:
    wanted = gate.Start([1.0, 2.0], {"w": torch.tensor([1.0, 0.0])})
    findings = gate.compare("x", "copy", wanted, gate.Start(losses, gradients), torch.float32)
    if what is None:
        assert gate.require(findings) == findings
    else:
        with pytest.raises(gate.GateError, match=f"x: {what}"):
            gate.require(findings)


def test_gate_refuses_to_compare_silence() -> None:
    builds = comparison.builds(with_peers=False)
    sizes = Sizes(steps=3, batch=2, inputs=10, hidden=4, classes=3, density=1e-9)
    with pytest.raises(gate.GateError, match="never fires"):
        gate.check_copies("w1_ff", sizes, builds, seed=0)


@pytest.mark.parametrize(("rate", "fine"), [(0.1, True), (0.29, True), (0.31, False), (0.03, False), (0.0, False)])
def test_near_models_have_to_fire_about_as_often(rate: float, fine: bool) -> None:
    task = make_task("w2", Sizes(steps=4, batch=2, hidden=5))
    build = comparison.every_build()
    near = build["sgbench scan"](task)
    near.same_model = False
    contenders = {gate.BASELINE: build[gate.BASELINE](task), "near": near}
    rates = {gate.BASELINE: [0.1], "near": [rate]}
    if fine:
        assert all(finding.fine for finding in gate.check_real(task, contenders, rates))
    else:
        with pytest.raises(gate.GateError, match="near: firing rate"):
            gate.check_real(task, contenders, rates)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.0, 1 + 1e-6])
def test_written_loops_are_gated_batch_by_batch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, factor: float) -> None:
    """Must match: both engines on each of two batches from equal weights. Must differ: a gradient off by 1e-6."""
    monkeypatch.setenv("SGBENCH_LOOPS", str(tmp_path / "loops"))
    exact = BackwardPass.gradients
    monkeypatch.setattr(
        BackwardPass, "gradients", lambda self: [None if one is None else one * factor for one in exact(self)]
    )
    few = generated.GeneratedSettings(steps=100, batch=1600, hidden=16)
    if factor == 1:
        generated.gate_in_double("izhikevich", few, tmp_path)
        return
    with raises_naming(gate.GateError, "izhikevich", "batch 0", "float64"):
        generated.gate_in_double("izhikevich", few, tmp_path)
