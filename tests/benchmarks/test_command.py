"""The benchmark's command from end to end; what is fast is never tested, only what is true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import comparison, memory, peers, whole_run
from benchmarks.__main__ import main
from benchmarks.counting import CASES, SPIKING
from benchmarks.rules import FEED_FORWARD, RULES
from benchmarks.whole_run_data import W1Like
from benchmarks.workloads import WORKLOADS
from sgbench.composition import catalogue
from sgbench.composition.data_facts import facts_of
from sgbench.datasets.base import fingerprint
from tests.benchmarks.tiny import QUICK, TINY, TINY_W1, bench
from tests.messages import lines_naming


@pytest.mark.parametrize(
    "workload", [pytest.param(each, marks=[pytest.mark.slow] * (each != "w2")) for each in WORKLOADS]
)
def test_tiny_comparison_from_end_to_end(workload: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "times.json"
    assert bench(f"engine --workload {workload} {TINY[workload]} {QUICK} --json {file}") == 0
    out = capsys.readouterr().out
    tree = json.loads(file.read_text())
    names = ["snntorch", "snntorch, hoisted", "sgbench fused", "sgbench scan", "sgbench reference"]
    assert list(tree["contenders"]) == names + (["products alone"] if workload == "w2" else [])
    for name, entry in tree["contenders"].items():
        assert f"\n{name} " in out
        assert len(entry["rounds"]["cpu_ms"]) == len(entry["rounds"]["wall_ms"]) == 2
        assert entry["wall_ms"]["low"] <= entry["wall_ms"]["median"] <= entry["wall_ms"]["high"]
        assert ("share_of_limit_cpu" in entry) == (workload == "w2")
    assert tree["contenders"]["snntorch"]["ratio_cpu"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert tree["sizes"]["steps"] == int(TINY[workload].split()[1])
    assert tree["settings"]["freed_memory_kept"] is False
    assert {"torch", "snntorch", "numba", "numpy"} <= set(tree["environment"]["versions"])
    assert tree["roofline"]["gemm_gflop_per_s"] > 0
    assert min(tree["firing_rates"]["snntorch"]) > 0
    assert all(finding["fine"] for finding in tree["gate"])
    assert {finding["contender"] for finding in tree["gate"]} == set(names[1:])
    assert tree["load_before"]
    assert tree["load_after"]


@pytest.mark.slow
def test_precision_threads_and_neighbour_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "times.json"
    words = f"engine --workload w2 {TINY['w2']} {QUICK} --precision float64 --busy --seed 3 --json {file}"
    assert bench(words) == 0
    used = json.loads(file.read_text())["settings"]
    assert (used["precision"], used["busy"], used["seed"], used["threads"]) == ("float64", True, 3, 1)


@pytest.mark.slow
def test_absent_peer_is_listed_and_passed_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = peers.Peer(peers.spikingjelly, "no_such_framework", "pip install no_such_framework")
    monkeypatch.setattr(peers, "PEERS", {"someone": absent})
    assert bench(f"peers --workload w1_ff {TINY_W1} {QUICK}") == 0
    out = capsys.readouterr().out
    assert lines_naming(out, "someone", "pip install no_such_framework")
    assert "sgbench fused" in out


@pytest.mark.slow
def test_memory_is_measured_in_a_fresh_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """100 steps of 64 samples of 400 neurons are 10 MB in float32; a loop keeps them at least once."""
    only = {"snntorch": comparison.every_build()["snntorch"]}
    monkeypatch.setattr(memory, "builds", lambda with_peers: only)
    file = tmp_path / "memory.json"
    words = "--steps 100 --batch 64 --inputs 40 --hidden 400 --density 0.1 --default-allocator"
    assert bench(f"memory --workload w1_ff {words} --json {file}") == 0
    (entry,) = json.loads(file.read_text())["contenders"].values()
    assert 10e6 < entry["added_bytes"] < 300e6
    assert "snntorch" in capsys.readouterr().out


@pytest.mark.slow
def test_whole_run_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.json"
    words = "--steps 10 --hidden 8 --batch 512 --epochs 2 --rounds 1 --default-allocator"
    assert bench(f"run {words} --json {file}") == 0
    tree = json.loads(file.read_text())
    assert set(tree["per_batch"]) == {"whole run", "bare engine", "training loop", "data and encoding"}
    assert tree["batches_per_epoch"] == 7
    assert tree["engine"] == "fused"
    assert "times the bare engine" in capsys.readouterr().out


def test_whole_run_is_gated(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(whole_run._Bench, "run", lambda self: setattr(self, "run_losses", (9.0,)))
    assert bench("run --steps 10 --hidden 8 --batch 512 --epochs 1 --default-allocator") == 1
    assert lines_naming(capsys.readouterr().err, "epoch 0", "9.000000")


def test_data_of_the_whole_run_are_those_published() -> None:
    facts = facts_of(catalogue.entry("dataset", "w1_like", [Path(whole_run.__file__).parent / "conf"]))
    assert fingerprint(W1Like().load(Path())) == W1Like.sha256 == facts.sha256
    assert (facts.sizes, facts.classes) == (W1Like.sizes, W1Like.n_classes)


@pytest.mark.slow
def test_counting_from_end_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Every case has a share; what is counted is what the evaluation saw."""
    assert main(["counting", "--rounds", "1", "--batch", "359"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in (*CASES, SPIKING))


@pytest.mark.slow
def test_rules_from_end_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Every rule has a time and a memory on the kinds of layer that it takes; back-propagation's own ratio is 1."""
    sizes = ["--batch", "2", "--hidden", "4", "--inputs", "5", "--steps", "12"]
    assert main(["rules", "--rounds", "1", *sizes]) == 0
    lines = capsys.readouterr().out.splitlines()
    times_timed = {name: sum(line.startswith(f"{name} ") for line in lines) for name in RULES}
    assert times_timed == {name: 1 if name in FEED_FORWARD else 2 for name in RULES}
    assert [line.split()[2] for line in lines if line.startswith("bptt  ")] == ["1.00", "1.00"]


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("engine --workload w1_f", "did you mean 'w1_ff'"),
        ("engine", "--workload"),
        ("engin --workload w2", "engin"),
        ("engine --workload w2 --inputs 5", "--inputs: this workload has no such size"),
        ("engine --workload w3 --hidden 5", "--hidden: this workload has no such size"),
        ("engine --workload w2 --density 0.5", "--density: this workload has no such size"),
        ("engine --workload w1_ff --density 1.5", "--density=1.5"),
        ("engine --workload w1_ff --density 0", "--density=0"),
        ("engine --workload w1_ff --batch 0", "--batch=0"),
        ("engine --workload w1_ff --rounds 0", "--rounds=0"),
        ("engine --workload w1_ff --seed -1", "--seed=-1"),
        ("engine --workload w1_ff --threads 99999", "--threads=99999"),
        ("engine --workload w1_ff --precision float16", "float16"),
        ("peers --workload w1_ff --precision float64", "--precision"),
        ("run --epochs 0", "--epochs=0"),
        ("run --engine fast", "fast"),
        ("engine --workload w1_ff --json no/such/folder/x.json", "no such folder"),
        ("engine --workload w1_ff --json .", "is a folder"),
        ("memory --workload w1_ff --json .", "is a folder"),
        ("run --json /proc/x.json", "/proc"),
        ("sweep --batch 48", "--batch=48: 100 steps have to be whole epochs"),
        ("sweep --workers 0", "--workers=0"),
        ("long_sweep --seeds 1 --processes 11", "--processes 11: at most the 10 points"),
        ("basic_sweep --seeds 1", "--basic-seeds 10: at most the 1 seeds"),
    ],
)
def test_bad_input_is_told_in_one_line(
    words: str, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is measured."""

    def never(*_: object) -> None:
        raise AssertionError("something was measured")

    for module in ("comparison", "whole_run"):
        monkeypatch.setattr(f"benchmarks.{module}.neighbour", never)
    assert bench(words) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert err.count("\n") == 1
    assert out == ""
