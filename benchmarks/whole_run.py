"""`run`: what a whole `sgbench run` takes per training batch, against the bare engine on the same batches.

Both train the same network from the same weights on the same batches in the same order; in between lie the data
pipeline, the checks of the training loop, and Lightning.
"""

import contextlib
import dataclasses
import gc
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks import report
from benchmarks.gate import GateError
from benchmarks.measure import Clock, Spread, Times, limited, neighbour, ratios
from benchmarks.whole_run_data import task_words
from fastspiking.choose import ENGINES
from fastspiking.signals.spikes import SparseSpikes
from fastspiking.signals.trajectory import SPIKES, Batch
from sgbench.composition.compose import compose as compose_spec
from sgbench.records.spec import RunSpec
from sgbench.training.build import Parts, build
from sgbench.training.epoch_loop import Part, Training
from sgbench.training.memory import keep_freed_memory
from sgbench.training.runner import run_spec
from sgbench.training.train_step import TrainLoop

CONF = Path(__file__).resolve().parent / "conf"
TARGET = "benchmarks.whole_run_data.W1Like"
LOSS_ALLOWED = 1e-4  # relative, of an epoch's mean: in float32 single spikes are lost to rounding
AIM = 1.25  # times the bare engine
BARE, LOOP, DATA, RUN = "bare engine", "training loop", "data and encoding", "whole run"
PARTS = (BARE, LOOP, DATA)


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """How the run is measured."""

    steps: int = 100
    batch: int = 128
    hidden: int = 256
    epochs: int = 2
    engine: str = dataclasses.field(default="auto", metadata={"choices": ("auto", *ENGINES)})
    threads: int = 1
    rounds: int = 5
    seed: int = 0
    busy: bool = False
    default_allocator: bool = False


class EpochClock:
    """Times the training part of each epoch: from its start to that of validation."""

    def __init__(self) -> None:
        self.times = Times()

    @contextlib.contextmanager
    def ticking(self) -> Iterator[None]:
        """Note the times of all epochs that are trained in this context."""
        begin, score = Training.begin_epoch, Training.begin_scoring

        def begin_epoch(training: Training, epoch: int) -> None:
            self.clock = Clock()
            begin(training, epoch)

        def begin_scoring(training: Training, part: Part, *, selected: bool) -> None:
            if not selected:
                self.times.add(*self.clock.read_ms())
            score(training, part, selected=selected)

        with (
            mock.patch.object(Training, "begin_epoch", begin_epoch),
            mock.patch.object(Training, "begin_scoring", begin_scoring),
        ):
            yield


def compare(settings: RunSettings) -> dict[str, Any]:
    """Measure in turn: the run, and its parts without it."""
    times = {name: Times() for name in (RUN, *PARTS)}
    with limited(settings.threads) as cores, neighbour(busy=settings.busy), tempfile.TemporaryDirectory() as folder:
        spec = _spec(settings, Path(folder))
        memory_kept = not settings.default_allocator and keep_freed_memory()
        load_before = report.load_average()
        bench = _Bench(spec)
        _gate(bench)  # also the warm-up
        for turn in range(settings.rounds):
            gc.collect()
            timed: list[tuple[str, Callable[[], Times]]] = [(RUN, bench.run), *bench.parts()]
            for name, once in timed if turn % 2 == 0 else timed[::-1]:
                turn_times = once()
                times[name].cpu_ms.append(statistics.fmean(turn_times.cpu_ms) / bench.batches)
                times[name].wall_ms.append(statistics.fmean(turn_times.wall_ms) / bench.batches)
    return {
        "command": "run",
        "sizes": {"steps": settings.steps, "batch": settings.batch, "inputs": 700, "hidden": settings.hidden},
        "settings": {**dataclasses.asdict(settings), "freed_memory_kept": memory_kept, "cores": cores},
        **report.conditions(load_before),
        "batches_per_epoch": bench.batches,
        "engine": bench.engine,
        "density": bench.density,
        "firing_rate": bench.rate,
        "per_batch": {name: _entry(own, times[BARE]) for name, own in times.items()},
    }


def _spec(settings: RunSettings, folder: Path) -> RunSpec:
    """Compose the run as the command line does with --config-dir and --allow-target."""
    words = [
        *task_words(settings.batch, settings.hidden, settings.epochs, settings.steps),
        f"seed={settings.seed}",
        f"engine={settings.engine}",
        f"trainer.threads={settings.threads}",
        f"paths.runs_dir={folder}",
        "force=true",
    ]
    return compose_spec(words, config_dirs=[CONF], allow_targets=[TARGET])


class _Bench:
    """Runs one spec as a whole, and its parts one by one on batches made beforehand."""

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.made = build(spec)
        self.made.data.setup()
        self.epochs = [list(self.made.data.epoch(number)) for number in range(spec.method.protocol.epochs)]
        self.packed = [
            [
                batch if isinstance(batch.x, SparseSpikes) else batch._replace(x=SparseSpikes.of(batch.x))
                for batch in epoch
            ]
            for epoch in self.epochs
        ]
        self.batches = len(self.epochs[0])
        self.engine = self.made.engine.name
        self.density = statistics.fmean(batch.x.density for batch in self.packed[0])  # type: ignore[union-attr]
        self.rate = _firing_rate(self.made, self.packed[0][0])
        self.run_losses: tuple[float, ...] = ()

    def run(self) -> Times:
        """Run the whole `sgbench run`, keep its losses, and return the times of its epochs."""
        clock = EpochClock()
        with clock.ticking():
            record = run_spec(self.spec)
        if record.status != "finished":
            raise GateError(f"gate: the run failed: {record.failure}")
        self.run_losses = tuple(line.train_loss for line in record.curve)
        return clock.times

    def parts(self) -> list[tuple[str, Callable[[], Times]]]:
        """List the names of the parts, and functions that run each and return its times by epoch."""
        return [(BARE, lambda: self.bare()[0]), (LOOP, self.loop), (DATA, self.data)]

    def bare(self) -> tuple[Times, list[float]]:
        """Train with forward, loss, backward and step alone; return the times and the mean loss of each epoch."""
        parts = build(self.spec)

        def train(batch: Batch) -> torch.Tensor:
            parts.optimizer.zero_grad()
            trajectory = parts.network.unroll(batch.x, batch.lengths)
            loss = parts.objective.loss.whole(trajectory, batch.target)
            loss.backward()
            parts.optimizer.step()
            return loss.detach() * len(batch.target)

        times, losses = Times(), []
        for epoch in self.packed:
            batch_losses = _timed(times, lambda epoch=epoch: [train(batch) for batch in epoch])
            samples = sum(len(batch.target) for batch in epoch)
            losses.append(sum(batch_loss.item() for batch_loss in batch_losses) / samples)
        return times, losses

    def loop(self) -> Times:
        """Train through the learning rule with its checks, without Lightning."""
        parts = build(self.spec)
        loop = TrainLoop(parts.network, parts.rule, parts.objective, clip_norm=self.spec.method.clip_norm)
        times = Times()
        for epoch in self.epochs:
            _timed(times, lambda epoch=epoch: [loop.train_batch(batch, parts.optimizer) for batch in epoch])
        return times

    def data(self) -> Times:
        """Make the batches alone, as a run does; return the times of the epochs."""
        times = Times()
        for number in range(len(self.epochs)):
            _timed(times, lambda number=number: [None for _ in self.made.data.epoch(number)])
        return times


def _timed(times: Times, once: Callable[[], list[Any]]) -> list[Any]:
    """Call a function, add its time to `times`, and return what it returns."""
    clock = Clock()
    outputs = once()
    times.add(*clock.read_ms())
    return outputs


@torch.no_grad()
def _firing_rate(parts: Parts, batch: Batch) -> float:
    """Compute spikes per hidden neuron and step, with the weights at the start."""
    trajectory = parts.network.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES}))
    return trajectory.spikes[0].mean().item()


def _gate(bench: _Bench) -> None:
    """Check that the run and the bare engine reach equal losses."""
    bench.run()
    _, losses = bench.bare()
    for epoch, (ours, theirs) in enumerate(zip(losses, bench.run_losses, strict=True)):
        difference = abs(ours - theirs) / abs(theirs)
        if not difference <= LOSS_ALLOWED:
            raise GateError(
                f"gate: the training loss of epoch {epoch} is {theirs:.6f} in the run and {ours:.6f} on the bare "
                f"engine; nothing was timed"
            )
    bench.loop()


def _entry(own: Times, bare: Times) -> dict[str, Any]:
    """Return the times of a way to train, and their ratios to those of the bare engine."""
    return {
        "rounds": dataclasses.asdict(own),
        "cpu_ms": dataclasses.asdict(Spread.of(own.cpu_ms)),
        "wall_ms": dataclasses.asdict(Spread.of(own.wall_ms)),
        "times_bare_cpu": dataclasses.asdict(ratios(own.cpu_ms, bare.cpu_ms)),
        "times_bare_wall": dataclasses.asdict(ratios(own.wall_ms, bare.wall_ms)),
    }


def show(result: dict[str, Any]) -> str:
    """Write the table of times per training batch, and where the time of the run goes."""
    per_batch = result["per_batch"]
    rows = []
    for name, entry in per_batch.items():
        cpu, ratio = entry["cpu_ms"], entry["times_bare_cpu"]
        row = [name, *(f"{cpu[key]:.2f}" for key in ("low", "median", "high"))]
        row += [f"{entry['wall_ms']['median']:.2f}", f"{ratio['median']:.2f}"]
        rows.append([*row, f"[{ratio['low']:.2f}..{ratio['high']:.2f}]"])
    head = ["per training batch", "CPU ms: min", "median", "max", "wall ms", "x bare, CPU", "[min..max]"]
    bare, loop, data, run = (per_batch[name]["cpu_ms"]["median"] for name in (BARE, LOOP, DATA, RUN))
    shares = {BARE: bare, "checks and clipping": loop - bare, DATA: data, "Lightning and rest": run - loop - data}
    return "\n".join(
        [
            f"a run of {result['settings']['epochs']} epochs of {result['batches_per_epoch']} batches: "
            f"{report.sizes_line(result['sizes'])}; input density {result['density']:.2%}; "
            f"firing rate {result['firing_rate']:.1%}; engine {result['engine']}",
            report.head_line(result),
            report.settings_line(result),
            "",
            report.table(head, rows),
            "",
            "where it goes: " + ", ".join(f"{name} {share:.2f} ms" for name, share in shares.items()),
            f"the run takes {per_batch[RUN]['times_bare_cpu']['median']:.2f} times the bare engine; at most {AIM} "
            f"is the aim",
        ]
    )
