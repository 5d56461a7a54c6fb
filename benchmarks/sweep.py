"""`sweep`: sixteen runs as sixteen snnTorch processes, with Hydra's own launcher, and as replicas.

All start from the same weights, see the same batches in the same order, and score validation and test. What is
timed is everything: start of the processes, imports, training, scoring, records.
"""

import contextlib
import copy
import dataclasses
import io
import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from torch import Tensor

from benchmarks import report
from benchmarks.gate import GateError
from benchmarks.measure import Spread, interleave, limited, ratios
from benchmarks.sweep_runs import (
    BASIC,
    FULL,
    LIGHT,
    REPLICAS,
    SEEDS,
    STEPS,
    SweepSettings,
    Taken,
    adopt_grandchildren,
    contenders,
    export,
    sweep_words,
)
from benchmarks.sweep_snntorch import SPIKE_GRADS
from benchmarks.whole_run import CONF, TARGET
from benchmarks.whole_run_data import W1Like
from fastspiking.signals.trajectory import Batch
from sgbench.composition.plan import plan
from sgbench.errors import InputError
from sgbench.records.spec import RunSpec
from sgbench.replicas.grouping import groups
from sgbench.replicas.lockstep import Lockstep
from sgbench.replicas.messages import WorkerMessage
from sgbench.replicas.passes import Stack
from sgbench.replicas.replica import Replica
from sgbench.replicas.view import SweepView
from sgbench.training.build import Parts, build
from sgbench.training.memory import keep_freed_memory
from sgbench.training.provenance import Code
from sgbench.training.run_folder import finished_record

BATCHES = 10  # of one timed round
ALONE, AMONG = "bare engine and optimiser", "replicas"


def overhead(specs: Sequence[RunSpec], rounds: int) -> dict[str, Any]:
    """Measure the CPU time of a training step of one run [ms], on the bare engine and as a replica among others."""
    with limited(1), _lockstep(specs) as lockstep:
        keep_freed_memory()
        alone = [build(spec) for spec in specs]
        beginning = [copy.deepcopy((parts.network.state_dict(), parts.optimizer.state_dict())) for parts in alone]
        first = lockstep.stack.snapshot()
        streams = [itertools.islice(member.parts.data.epoch(0), BATCHES) for member in lockstep.members]
        batches = list(zip(*streams, strict=True))
        steps = {
            ALONE: lambda: [
                _bare(parts, own) for batch_row in batches for parts, own in zip(alone, batch_row, strict=True)
            ],
            AMONG: lambda: _together(lockstep, batches),
        }
        resets = {ALONE: lambda: _reset_alone(alone, beginning), AMONG: lambda: _reset(lockstep, first)}
        times = interleave(steps, rounds, resets=resets)
    count = BATCHES * len(specs)
    rounds_ms = {name: [total_ms / count for total_ms in own.cpu_ms] for name, own in times.items()}
    step_ms = {name: min(each_ms) for name, each_ms in rounds_ms.items()}
    return {"step_ms": step_ms, "overhead_ms": step_ms[AMONG] - step_ms[ALONE], "rounds": rounds_ms}


@contextlib.contextmanager
def _lockstep(specs: Sequence[RunSpec]) -> Iterator[Lockstep]:
    """Yield replicas of these runs that train in lockstep; all share the data of the first."""
    with tempfile.TemporaryDirectory() as folder:
        code, members = Code.here(), []
        for place, spec in enumerate(specs):
            paths = spec.paths.model_copy(update={"runs_dir": folder})
            own = spec.model_copy(update={"paths": paths})
            members.append(Replica(place, own, members[0].parts.data if members else None, code))
        yield Lockstep(members)


def _bare(parts: Parts, batch: Batch) -> None:
    """Train one batch with forward, loss, backward and optimiser alone."""
    parts.optimizer.zero_grad()
    trajectory = parts.network.unroll(batch.x, batch.lengths)
    parts.objective.whole(trajectory, batch.target).backward()
    parts.optimizer.step()


def _reset_alone(alone: Sequence[Parts], beginning: Sequence[tuple[Any, Any]]) -> None:
    """Load the initial states of networks and optimisers."""
    for parts, (weights, optimizer_state) in zip(alone, beginning, strict=True):
        parts.network.load_state_dict(weights)
        parts.optimizer.load_state_dict(copy.deepcopy(optimizer_state))


def _reset(lockstep: Lockstep, first: dict[str, Tensor]) -> None:
    """Load the initial state `first` of all replicas, which a snapshot of their stack holds."""
    for row in range(len(lockstep.members)):
        lockstep.stack.load_row(row, Stack.row_of(first, row))


def _together(lockstep: Lockstep, batches: Sequence[Sequence[Batch]]) -> None:
    """Train all replicas; each element of `batches` has a batch for each of them."""
    for batch_row in batches:
        if lockstep.train_batch(batch_row):
            raise RuntimeError("a replica failed")


SURROGATES = "atan,triangle,fast_sigmoid,sigmoid,gaussian"
EPOCHS = 30  # of which each point reports the end


def per_point_ms(points: int) -> float:
    """Measure the CPU time of a sweep's bookkeeping for each of its points [ms]: all that is not training.

    It composes the points, looks for their records, groups them, and shows the progress of every epoch.
    """
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.process_time()
        seeds = ",".join(map(str, range(points // 5)))
        words = ["experiment=digits", f"surrogate={SURROGATES}", f"seed={seeds}", f"paths.runs_dir={folder}"]
        specs = plan(words, multirun=True).specs
        left = [place for place, spec in enumerate(specs) if finished_record(spec) is None]
        work_groups = groups(specs, left, workers=2)
        view = SweepView(specs, {}, str, Console(file=io.StringIO(), force_terminal=True, width=80))
        for group in work_groups:
            for place in group.points:
                for epoch in range(EPOCHS):
                    view.hear(WorkerMessage(place, "epoch", epochs=epoch))
                    view.tick()
                view.hear(WorkerMessage(place, "refused", line="counted, not run"))
        view.close()
        return (time.process_time() - began_s) / points * 1e3


STEP_ROUNDS = 9
STEP_AIM_MS = 0.3
POINTS = (50, 500)  # of sweeps whose bookkeeping is timed; one of 5 loads what is loaded once
BOOKKEEPING_AIM_MS = 100
LOSS_ALLOWED = 3e-3  # relative, of an epoch's mean: one spike that rounding turns over changes all that follows
TYPICAL = 1e-3  # of half of the runs
AIMS = {FULL: 14.0, BASIC: 5.0}


def compare(settings: SweepSettings) -> dict[str, Any]:
    """Train the same runs as processes, by Hydra's launcher and as replicas, and check that their results agree."""
    if settings.epochs * W1Like.sizes["train"] != STEPS * settings.batch:
        raise InputError(f"--batch={settings.batch}: {STEPS} steps have to be whole epochs; 32, 64, 96, 128 are")
    adopt_grandchildren()
    sweeps: dict[str, list[Taken]] = {}
    load_before = report.load_average()
    with tempfile.TemporaryDirectory() as folder:
        export(settings, Path(folder))
        for turn in range(settings.rounds):
            timed = list(contenders(settings, Path(folder)).items())
            for name, once in timed if turn % 2 == 0 else timed[::-1]:
                sweeps.setdefault(name, []).append(once())
    _gate({name: taken[0].losses for name, taken in sweeps.items()})
    specs = plan(sweep_words(settings), multirun=True, config_dirs=[CONF], allow_targets=[TARGET]).specs
    return {
        "command": "sweep",
        "sizes": {"steps": 100, "batch": settings.batch, "inputs": 700, "hidden": settings.hidden},
        "settings": dataclasses.asdict(settings),
        **report.conditions(load_before),
        "runs": len(SPIKE_GRADS) * SEEDS,
        "training_steps": STEPS,
        "bookkeeping_ms": {points: per_point_ms(points) for points in (5, *POINTS)},
        "step": overhead(specs, STEP_ROUNDS),
        "sweeps": {name: _entry(taken, sweeps[REPLICAS]) for name, taken in sweeps.items()},
    }


def _gate(losses: dict[str, dict[tuple[str, int], list[float]]]) -> None:
    """Check that all ways to run the sweep reach equal losses, relative to those of plain snnTorch.

    `losses`: by way, then by surrogate and seed, the training losses of the epochs.
    """
    for name, own in losses.items():
        differences = []  # largest relative difference of each run
        for (surrogate, seed), expected in losses[LIGHT].items():
            own_losses, difference = own.get((surrogate, seed), []), np.inf
            if len(own_losses) == len(expected):
                difference = float(np.max(np.abs(np.subtract(own_losses, expected)) / np.abs(expected)))
            if not difference <= LOSS_ALLOWED:  # NaN is refused too
                raise GateError(
                    f"gate: {name}, {surrogate} seed {seed}: training losses {own_losses}, but {expected} in "
                    f"{LIGHT}; the times mean nothing"
                )
            differences.append(difference)
        if not (median := np.median(differences)) <= TYPICAL:
            raise GateError(f"gate: {name}: half of the runs differ by {median:.1e} or more from {LIGHT}")


def _entry(own: Sequence[Taken], replicas: Sequence[Taken]) -> dict[str, Any]:
    """Return the times of one way to run the sweep, and how many times faster replicas are."""
    cpu_s, wall_s = [taken.cpu_s for taken in own], [taken.wall_s for taken in own]
    ours_cpu_s, ours_wall_s = [taken.cpu_s for taken in replicas], [taken.wall_s for taken in replicas]
    return {
        "rounds": {"cpu_s": cpu_s, "wall_s": wall_s},
        "cpu_s": dataclasses.asdict(Spread.of(cpu_s)),
        "wall_s": dataclasses.asdict(Spread.of(wall_s)),
        "times_replicas_cpu": dataclasses.asdict(ratios(cpu_s, ours_cpu_s)),
        "times_replicas_wall": dataclasses.asdict(ratios(wall_s, ours_wall_s)),
    }


def show(result: dict[str, Any]) -> str:
    """Write the result of `compare` as the table that the command prints."""
    rows = []
    for name, entry in result["sweeps"].items():
        cpu, wall = entry["cpu_s"], entry["wall_s"]
        ratio, wall_ratio = entry["times_replicas_cpu"], entry["times_replicas_wall"]
        aim = f">= {AIMS[name]:g}" if name in AIMS else ""
        rows.append(
            [
                name,
                *(f"{cpu[key]:.1f}" for key in ("low", "median", "high")),
                f"{wall['median']:.1f}",
                f"{ratio['median']:.2f}",
                aim,
                f"{wall_ratio['median']:.2f}",
            ]
        )
    costs = ", ".join(f"{result['bookkeeping_ms'][points]:.0f} ms a point of {points}" for points in POINTS)
    head = ["a whole sweep", "CPU s: min", "median", "max", "wall s", "x replicas, CPU", "aim", "wall"]
    return "\n".join(
        [
            f"{result['runs']} runs of {result['training_steps']} training steps: "
            f"{report.sizes_line(result['sizes'])}; {result['settings']['workers']} processes at a time, "
            f"one thread each",
            report.head_line(result),
            f"load average before {result['load_before'][0]:.2f}, after {result['load_after'][0]:.2f}",
            "",
            report.table(head, rows),
            "",
            _step_line(result["step"]),
            f"composing, looking for records, grouping and telling: {costs}; at most {BOOKKEEPING_AIM_MS} is the aim",
        ]
    )


def _step_line(step: dict[str, Any]) -> str:
    alone, among = (step["step_ms"][name] for name in (ALONE, AMONG))
    return (
        f"a training step: {alone:.2f} ms on the bare engine with its own optimiser, {among:.2f} ms as a replica: "
        f"{step['overhead_ms']:+.2f} ms; at most {STEP_AIM_MS:+g} is the aim"
    )
