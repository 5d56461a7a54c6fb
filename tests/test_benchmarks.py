"""The benchmark's arithmetic, its gate and its command; what is fast is never tested, only what is true."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks import (
    comparison,
    contenders_sgbench,
    gate,
    headline,
    memory,
    peers,
    replica_step,
    report,
    sweep,
    sweep_basic,
    sweep_long,
    sweep_runs,
    whole_run,
)
from benchmarks.__main__ import main
from benchmarks.contender import TorchContender
from benchmarks.counting import CASES, SPIKING
from benchmarks.measure import Spread, interleave, limited, neighbour, ratios
from benchmarks.rules import RULES
from benchmarks.whole_run_data import W1Like
from benchmarks.workloads import WORKLOADS, Sizes, Task, make_task
from sgbench.composition.plan import plan
from sgbench.datasets.base import fingerprint
from sgbench.errors import InputError
from tests.run.tiny import WORDS as TINY_RUN

TINY_W1 = "--steps 12 --batch 4 --inputs 40 --hidden 12 --density 0.1"
TINY = {
    "w1_ff": TINY_W1,
    "w1_rec": TINY_W1,
    "w1_deep": TINY_W1,
    "w2": "--steps 12 --batch 4 --hidden 12",
    "w3": "--steps 8 --batch 2",
}
QUICK = "--rounds 2 --default-allocator"


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The roofline of a small product."""
    monkeypatch.setattr("benchmarks.roofline.GEMM_SIZE", 16)
    monkeypatch.setattr("benchmarks.roofline.TRIAD_BYTES", 1024)


def bench(words: str) -> int:
    return main(words.split())


def wrong_by(factor: float, task: Task) -> TorchContender:
    """An engine whose gradient of one tensor is a little off."""
    contender = contenders_sgbench.build(task, engine="scan")
    contender.weights["readout.bias"].register_hook(lambda grad: grad * factor)
    return contender


# --- arithmetic


@pytest.mark.parametrize(
    "name",
    [
        "workloads",
        "measure",
        "report",
        "gate",
        "comparison",
        "memory",
        "whole_run",
        "roofline",
        "equivalence",
    ],
)
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"benchmarks.{name}"), report=False).failed == 0


def test_ratio_is_the_median_of_each_rounds_own_ratio() -> None:
    """By hand: 10/5, 30/10, 100/20 are 2, 3, 5; of the means it would be 140/35 = 4."""
    assert ratios([10.0, 30.0, 100.0], [5.0, 10.0, 20.0]) == Spread(3.0, 2.0, 5.0)
    assert ratios([10.0, 30.0, 100.0, 7.0], [5.0, 10.0, 20.0, 7.0]) == Spread(2.5, 1.0, 5.0)


def test_all_are_timed_in_turn_and_back() -> None:
    seen: list[str] = []
    times = interleave({name: partial(seen.append, name) for name in "abc"}, rounds=3, warm_up=1)
    assert "".join(seen) == "abc" + "abc" + "cba" + "abc"
    assert all(len(own.cpu_ms) == len(own.wall_ms) == 3 for own in times.values())


def test_every_timed_run_begins_where_it_is_reset() -> None:
    """By hand: a resets to 0 and adds 1 each time; b, which has no reset, goes on."""
    reached = {"a": 0, "b": 0}
    seen: list[tuple[str, int]] = []

    def step(name: str) -> None:
        reached[name] += 1
        seen.append((name, reached[name]))

    steps = {name: partial(step, name) for name in reached}
    interleave(steps, rounds=2, resets={"a": lambda: reached.update(a=0)})
    assert seen == [("a", 1), ("b", 1), ("a", 1), ("b", 2), ("b", 3), ("a", 1)]


@pytest.mark.parametrize("engine", ["fused", "scan"])
def test_a_contender_that_is_reset_trains_once_more_from_the_beginning(engine: str) -> None:
    """Must match: losses of two trainings, Adam's steps included. Must differ: those of one that goes on."""
    task = make_task("w1_ff", Sizes(steps=12, batch=4, inputs=40, hidden=12, classes=3, density=0.1))
    contender = contenders_sgbench.build(task, engine=engine)
    first, second, third = (
        [contender.step() for _ in range(3)] for _ in range(3) if contender.reset() is None
    )
    assert first == second == third
    assert [contender.step() for _ in range(3)] != first


def test_limits_of_threads_and_cores_end_with_the_block() -> None:
    before = os.sched_getaffinity(0), torch.get_num_threads()
    with limited(1) as cores:
        assert os.sched_getaffinity(0) == set(cores)
        assert len(cores) == torch.get_num_threads() == 1
    assert (os.sched_getaffinity(0), torch.get_num_threads()) == before
    with pytest.raises(InputError, match="--threads=100000"), limited(100_000):
        pass


def test_busy_neighbour_ends_with_the_block_whatever_happens() -> None:
    def children() -> set[str]:
        return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())

    before = children()

    def fail_beside_it() -> None:
        with neighbour(busy=True):
            assert len(children() - before) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_beside_it()
    assert children() == before


# --- gate


def test_gate_stops_a_wrong_gradient_before_any_timing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    builds = {**comparison.every_build(), "impostor": partial(wrong_by, 1 + 1e-6)}
    monkeypatch.setattr(comparison, "every_build", lambda: builds)
    file = tmp_path / "times.json"
    assert bench(f"engine --workload w1_ff {TINY_W1} {QUICK} --json {file}") == 1
    out, err = capsys.readouterr()
    assert "impostor: gradient of readout.bias on the float64 copy differs by 1.0e-06" in err
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
def test_gate_names_what_differs(
    losses: list[float], gradients: dict[str, torch.Tensor], what: str | None
) -> None:
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


@pytest.mark.parametrize(
    ("rate", "fine"), [(0.1, True), (0.29, True), (0.31, False), (0.03, False), (0.0, False)]
)
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


# --- command


@pytest.mark.parametrize(
    "workload", [pytest.param(each, marks=[pytest.mark.slow] * (each != "w2")) for each in WORKLOADS]
)
def test_tiny_comparison_from_end_to_end(
    workload: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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


def test_precision_threads_and_neighbour_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "times.json"
    words = f"engine --workload w2 {TINY['w2']} {QUICK} --precision float64 --busy --seed 3 --json {file}"
    assert bench(words) == 0
    used = json.loads(file.read_text())["settings"]
    assert (used["precision"], used["busy"], used["seed"], used["threads"]) == ("float64", True, 3, 1)


def test_absent_peer_is_listed_and_passed_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = peers.Peer(peers.spikingjelly, "no_such_framework", "pip install no_such_framework")
    monkeypatch.setattr(peers, "PEERS", {"someone": absent})
    assert bench(f"peers --workload w1_ff {TINY_W1} {QUICK}") == 0
    out = capsys.readouterr().out
    assert "not compared: someone, not installed: pip install no_such_framework" in out
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
    assert "gate: the training loss of epoch 0 is 9.000000 in the run" in capsys.readouterr().err


def test_data_of_the_whole_run_are_those_published() -> None:
    assert fingerprint(W1Like().load(Path())) == W1Like.sha256


@pytest.mark.slow
def test_counting_from_end_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Every case has a share; what is counted is what the evaluation saw."""
    assert main(["counting", "--rounds", "1", "--batch", "359"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in (*CASES, SPIKING))


@pytest.mark.slow
def test_rules_from_end_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Every rule has a time and a memory on either kind of layer; back-propagation's own ratio is 1."""
    sizes = ["--batch", "2", "--hidden", "4", "--inputs", "5", "--steps", "12"]
    assert main(["rules", "--rounds", "1", *sizes]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(sum(line.startswith(f"{name} ") for line in lines) == 2 for name in RULES)
    assert [line.split()[2] for line in lines if line.startswith("bptt  ")] == ["1.00", "1.00"]


# --- sweeps


@pytest.mark.slow
def test_what_a_process_needs_counts_though_its_parent_ended() -> None:
    """A child leaves a grandchild behind that works for half a second: all of it is counted, and no more.

    Expected: at least the grandchild's work, at most what the system counts for the whole.
    """
    work = "import time; [None for _ in iter(lambda: time.process_time() < 0.5, False)]"
    leave = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {work!r}])"
    script = (
        "import subprocess, sys\nfrom benchmarks.sweep_runs import Clock, adopt_grandchildren\n"
        f"adopt_grandchildren()\nwith Clock() as clock:\n    subprocess.run([sys.executable, '-c', {leave!r}])\n"
        "print(clock.cpu_s)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert 0.5 <= float(done.stdout) <= whole_s


def test_a_sweep_that_trains_something_else_is_not_told() -> None:
    """Must pass: a difference within rounding. Must not: another loss, or a run that is not there."""
    points = [("atan", seed) for seed in range(4)]
    base = {point: [3.0] for point in points}
    near, other = {**base, points[0]: [3.001]}, {**base, points[1]: [3.1]}
    sweep._gate({sweep_runs.LIGHT: base, sweep_runs.REPLICAS: near})
    for wrong in (other, {point: [3.0] for point in points[1:]}, {point: [3.006] for point in points}):
        with pytest.raises(gate.GateError, match="replicas"):
            sweep._gate({sweep_runs.LIGHT: base, sweep_runs.REPLICAS: wrong})


def test_a_long_sweep_is_held_against_the_runs_that_stand_for_it() -> None:
    """Of 100 points the first, the last and two between; the first epoch is compared, and no later one."""
    settings = sweep_long.LongSettings()
    assert settings.sampled == [(0.001, 0.5, 0), (0.001, 4.0, 3), (0.002, 1.0, 6), (0.002, 8.0, 9)]
    ours = {point: [3.0] * 30 for point in settings.points}
    theirs = {point: [3.0] + [2.0] * 29 for point in settings.sampled}
    sweep_long.gate(settings, ours, theirs)
    with pytest.raises(gate.GateError, match=r"alpha 4.0, seed 3"):
        sweep_long.gate(settings, {**ours, settings.sampled[1]: [3.1] * 30}, theirs)
    with pytest.raises(gate.GateError, match="99 of 100"):
        sweep_long.gate(settings, {point: ours[point] for point in settings.points[1:]}, theirs)


@pytest.mark.slow
def test_a_long_sweep_trains_as_snntorch_does_in_float64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred steps of a point on both sides agree to 1e-9; with another slope they do not."""
    settings = sweep_long.LongSettings(hidden=16, processes=1)
    sweep_long.gate_in_double(settings, tmp_path)
    alone = sweep_long.train_alone
    steeper = lambda settings, point, *rest: alone(settings, (point[0], 2 * point[1], point[2]), *rest)  # noqa: E731
    monkeypatch.setattr(sweep_long, "train_alone", steeper)
    with pytest.raises(gate.GateError, match=r"lr 0.001, alpha 0.5, seed 0"):
        sweep_long.gate_in_double(settings, tmp_path)


@pytest.mark.slow
def test_lightning_and_replicas_train_alike(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten points, each on both sides: a loss that differs would be refused, and a run that is not there."""
    words = ["--seeds", "2", "--basic-seeds", "1", "--hidden", "8", "--batch", "640"]
    assert main(["basic_sweep", *words]) == 0
    assert "20 runs of 1 epochs" in (told := capsys.readouterr().out)
    assert "the script ran 10 of them, which stand for all" in told


def test_points_that_stand_for_all_are_counted_beyond_their_start() -> None:
    """By hand: 2 s of start and 10 points in 12 s are 102 s for 100. Must differ: what was run whole."""
    taken, start = sweep_runs.Taken(12.0, 24.0, {}), sweep_runs.Taken(2.0, 4.0, {})
    some = sweep_basic.BasicSettings(seeds=10, basic_seeds=1)
    assert sweep_basic._of_all(taken, start, some) == sweep_runs.Taken(102.0, 204.0, {})
    assert sweep_basic._of_all(taken, start, sweep_basic.BasicSettings()) == taken


def test_a_replica_s_step_is_the_bare_engine_s(tmp_path: Path) -> None:
    """Both are timed on the same batches of the same two runs."""
    specs = plan([*TINY_RUN, "surrogate=atan,triangle", f"paths.runs_dir={tmp_path}"], multirun=True).specs
    found = replica_step.overhead(specs, rounds=2)
    bare, among = found["step_ms"].values()
    assert found["overhead_ms"] == among - bare
    assert {len(each) for each in found["rounds"].values()} == {2}


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
        ("equivalence --seeds 1", "--seeds=1"),
        ("equivalence --margin 0", "--margin=0"),
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


def test_table_is_aligned() -> None:
    lines = report.table(["a", "b"], [["long name", "1"], ["x", "100"]]).splitlines()
    assert lines == ["a            b", "long name    1", "x          100"]


def test_the_readme_shows_the_stored_results() -> None:
    """Expected: `python -m benchmarks table`, which reads result files and nothing else."""
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    shown = readme.split(headline.START)[1].split(headline.END)[0].strip()
    assert shown == headline.table()


def test_a_table_follows_its_files(tmp_path: Path) -> None:
    """By hand: other medians in the files, other numbers in the table."""
    for line in headline.LINES:
        for name in filter(None, (line.file, line.peers)):
            tree = json.loads((headline.RESULTS / name).read_text())
            tree["contenders"][headline.BASE]["cpu_ms"]["median"] = 1234.5
            tree["contenders"][headline.OURS]["cpu_ms"]["median"] = 5.67
            tree["contenders"][headline.OURS]["ratio_cpu"] = {"median": 2.04, "low": 1.96, "high": 2.13}
            (tmp_path / name).write_text(json.dumps(tree))
    row = headline.table(tmp_path).splitlines()[3]
    assert row.startswith("| the same, 10 % of inputs | 1,234 ms | 5.7 ms | **2.0** (2.0 to 2.1) |")


@pytest.mark.parametrize("content", [None, "{", "[]", '{"contenders": {}}'])
def test_a_table_of_broken_results_is_refused(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "w1_ff.json").write_text(content)
    assert bench(f"table --from {tmp_path}") == 2
    out, err = capsys.readouterr()
    assert "w1_ff.json" in err
    assert err.count("\n") == 1
    assert out == ""
