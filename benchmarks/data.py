"""`data`: batches of recorded spikes from a warm cache, against tonic's own way and against the training step.

The recordings are made from a seed in SHD's format: as many samples, channels and spikes. Tonic reads them with
ToFrame and PadTensors in a DataLoader, we from the prepared form; both hand on one batch after another in random
order. The training step is that of the fused engine on input of the same density.
"""

import dataclasses
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import torch

from benchmarks import contenders, report
from benchmarks.gate import GateError
from benchmarks.measure import Spread, Times, interleave, limited, ratios
from benchmarks.memory import MIB, give_back, in_child
from benchmarks.workloads import WORKLOADS, make_task
from fastspiking.signals.spikes import SparseSpikes
from fastspiking.signals.trajectory import Batch
from sgbench.datasets.base import SPLITS, Samples, Split
from sgbench.datasets.batches import Batches
from sgbench.datasets.event_files import EventFiles, present
from sgbench.datasets.formats.event_store import Recording
from sgbench.datasets.formats.spike_hdf5 import recordings
from sgbench.encoders.event_bins import EventBins
from sgbench.errors import InputError, SgbenchError
from sgbench.training.memory import keep_freed_memory, peak_bytes, reset_peak

CHANNELS, CLASSES, SPEAKERS = 700, 20, 12
SECONDS = 1.0  # that a recording lasts
FILE = "shd_train.h5"


class Recorded(EventFiles):
    """Has `count` recordings for training; the other splits are the first one of them each."""

    name: ClassVar[str] = "recorded"
    folder: ClassVar[str] = "SHD"
    n_inputs: int = CHANNELS
    n_classes: int = CLASSES
    source: str = "made from a seed by numpy"
    licence: str = "MIT"

    def __init__(self, count: int) -> None:
        super().__init__()
        self.sizes: Mapping[Split, int] = dict(zip(SPLITS, (count, 1, 1), strict=True))

    def originals(self, root: Path) -> list[str]:
        return present(root, [FILE], "write it")

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        return {split: recordings(root / FILE, range(self.sizes[split]), self.n_classes) for split in SPLITS}


def write(root: Path, count: int, spikes: int, seed: int) -> int:
    """Write recordings as an HDF5 file below a data root; return the count of all spikes."""
    try:
        import h5py
    except ImportError as error:
        raise InputError("benchmarks data writes HDF5; run: pip install 'sgbench[events]'") from error
    random = np.random.default_rng(seed)
    folder = root / Recorded.folder
    folder.mkdir(parents=True)
    lengths = random.poisson(spikes, count)
    with h5py.File(folder / FILE, "w") as file:
        times = file.create_dataset("spikes/times", (count,), dtype=h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (count,), dtype=h5py.vlen_dtype(np.uint16))
        for row, length in enumerate(lengths.tolist()):
            # The largest number of half precision below one second.
            times_s = np.minimum(random.random(length).astype(np.float16), np.float16(0.9995))
            times[row] = np.sort(times_s)
            units[row] = random.integers(0, CHANNELS, length).astype(np.uint16)
        file["labels"] = (np.arange(count) % CLASSES).astype(np.uint16)
        file["extra/speaker"] = (np.arange(count) % SPEAKERS).astype(np.uint16)
        file["extra/keys"] = np.array([f"word {number}".encode() for number in range(CLASSES)])
    (folder / f"{FILE}.zip").touch()  # tonic looks for the archive's name
    return int(lengths.sum())


def by_tonic(root: Path, steps: int, batch: int, workers: int) -> Iterator[Any] | None:
    """Return tonic's batches without end; None if tonic is not installed."""
    try:
        from tonic import datasets, transforms
        from tonic.collation import PadTensors
    except ImportError:
        return None
    from torch.utils.data import DataLoader

    to_frame = transforms.ToFrame(
        sensor_size=datasets.SHD.sensor_size, time_window=SECONDS * 1e6 / steps, include_incomplete=True
    )
    loader = DataLoader(
        datasets.SHD(str(root), train=True, transform=to_frame),  # pyright: ignore[reportArgumentType] - as documented
        batch_size=batch,
        shuffle=True,
        num_workers=workers,
        collate_fn=PadTensors(batch_first=False),
        persistent_workers=workers > 0,
    )
    return itertools.chain.from_iterable(itertools.repeat(loader))


OURS, TONIC, STEP = "sgbench", "tonic, ToFrame, PadTensors", "fused training step"
AIM, SHARE = 10, 0.1  # times tonic; of a training step
FEW = 2000  # samples, beside the full number, of which memory is measured


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """What is made and how it is measured."""

    samples: int = 8156
    spikes: int = 8000
    steps: int = 100
    batch: int = 128
    hidden: int = 256
    batches: int = 10
    workers: int = 0
    threads: int = 1
    rounds: int = 5
    seed: int = 0
    default_allocator: bool = False


def compare(settings: DataSettings) -> dict[str, Any]:
    """Measure times in turn, then the memory that a pass adds, in a process of its own for each number of samples."""
    settings_tree = dataclasses.asdict(settings)
    with tempfile.TemporaryDirectory() as folder, limited(settings.threads) as cores:
        root = Path(folder)
        memory_kept = not settings.default_allocator and keep_freed_memory()
        load_before = report.load_average()
        with mock.patch.dict(os.environ, {"SGBENCH_CACHE": str(root / "cache")}):
            spikes = write(root, settings.samples, settings.spikes, settings.seed)
            samples, seconds = _prepared(root, settings.samples)
            _gate(settings, samples, spikes)
            times = interleave(_steps(settings, root, samples), settings.rounds)
            memory = {
                count: in_child("benchmarks.data", settings_tree | {"samples": count}, f"memory of {count} samples")
                for count in sorted({min(FEW, settings.samples), settings.samples})
            }
    return {
        "command": "data",
        "sizes": {"samples": settings.samples, "spikes": spikes, "channels": CHANNELS},
        "settings": {**settings_tree, "freed_memory_kept": memory_kept, "cores": cores},
        **report.conditions(load_before),
        "prepare_s": seconds,
        "per_batch": _entries(settings, times),
        "memory_bytes": memory,
    }


def _entries(settings: DataSettings, times: dict[str, Times]) -> dict[str, Any]:
    """Return by contender the time of one batch [ms], and how many times faster sgbench is."""
    ours = times[OURS]
    entries: dict[str, Any] = {}
    for name, own in times.items():
        cpu_ms, wall_ms = ([total_ms / settings.batches for total_ms in part] for part in (own.cpu_ms, own.wall_ms))
        entries[name] = {
            "cpu_ms": dataclasses.asdict(Spread.of(cpu_ms)),
            "wall_ms": dataclasses.asdict(Spread.of(wall_ms)),
            "ratio_cpu": dataclasses.asdict(ratios(own.cpu_ms, ours.cpu_ms)),
            "ratio_wall": dataclasses.asdict(ratios(own.wall_ms, ours.wall_ms)),
        }
    return entries


def _prepared(root: Path, count: int) -> tuple[Samples, dict[str, float]]:
    """Load the samples; return how long it took to prepare them, and to find them prepared [s], too."""
    seconds = {}
    for name in ("first", "warm"):
        began = time.perf_counter()
        samples = Recorded(count).load(root)["train"]
        seconds[name] = time.perf_counter() - began
    return samples, seconds


def _batches(settings: DataSettings, samples: Samples, form: str = "binary") -> Iterator[Batch]:
    """Yield batches of one epoch after another, without end."""
    encoder = EventBins(
        steps=settings.steps, dt_s=SECONDS / settings.steps, crop=True, form=form, polarity="separate", pool=1
    )
    generator = torch.Generator().manual_seed(settings.seed)
    while True:
        order = torch.randperm(len(samples.target), generator=generator)
        yield from Batches(
            samples, encoder, batch_size=settings.batch, order=order, noise=generator, dtype=torch.float32
        )


def _gate(settings: DataSettings, samples: Samples, spikes: int) -> None:
    """Check that all spikes of all samples arrive in the batches of an epoch."""
    spike_sum, seen = 0.0, 0
    for batch in _batches(settings, samples, form="count"):
        if not isinstance(batch.x, SparseSpikes) or batch.x.value is None:
            raise GateError("sgbench: counts are not packed")
        spike_sum += float(batch.x.value.sum(dtype=torch.float64))
        seen += len(batch.target)
        if seen >= settings.samples:
            break
    if (spike_sum, seen) != (spikes, settings.samples):
        raise GateError(f"sgbench: {spike_sum:.0f} of {spikes} spikes arrive in {seen} samples")


def _steps(settings: DataSettings, root: Path, samples: Samples) -> dict[str, Callable[[], object]]:
    """Return by name what is timed: a function that takes some batches, or makes as many training steps."""
    ours, step = _batches(settings, samples), _training_step(settings)

    def take_some(batches: Iterator[Any]) -> Callable[[], object]:
        return lambda: [next(batches) is None for _ in range(settings.batches)]

    contenders: dict[str, Callable[[], object]] = {OURS: take_some(ours)}
    theirs = by_tonic(root, settings.steps, settings.batch, settings.workers)
    if theirs is not None:
        contenders[TONIC] = take_some(theirs)
    contenders[STEP] = lambda: [step() for _ in range(settings.batches)]
    return contenders


def _training_step(settings: DataSettings) -> Callable[[], object]:
    """Return a function that makes a training step of a recurrent layer, on input of the density of the recordings."""
    entries = settings.steps * CHANNELS
    density = 1 - np.exp(-settings.spikes / entries)  # of independent spikes
    sizes = WORKLOADS["w1_rec"].sizes.resized(
        steps=settings.steps, batch=settings.batch, hidden=settings.hidden, density=float(density)
    )
    return contenders.build_sgbench(make_task("w1_rec", sizes, seed=settings.seed), engine="fused").step


def added_bytes(settings: DataSettings) -> int:
    """Measure, in the child, how far the peak memory of an epoch lies above that after its first batch [bytes]."""
    with tempfile.TemporaryDirectory() as folder:
        cache = {"SGBENCH_CACHE": str(Path(folder) / "cache")}
        with mock.patch.dict(os.environ, cache), limited(settings.threads):
            write(Path(folder), settings.samples, settings.spikes, settings.seed)
            samples, _ = _prepared(Path(folder), settings.samples)
            batches = _batches(settings, samples)
            next(batches)
            give_back()
            reset_peak()
            before = peak_bytes()
            for _ in range(-(-settings.samples // settings.batch)):
                next(batches)
            after = peak_bytes()
    if before is None or after is None:
        raise SgbenchError("this system does not tell the memory of a process")
    return after - before


def show(result: dict[str, Any]) -> str:
    """Write the table, and whether the two aims are reached."""
    used, entries = result["settings"], result["per_batch"]
    clock = "cpu" if used["workers"] == 0 else "wall"  # the CPU time of worker processes is not seen
    rows = []
    for name, entry in entries.items():
        own, ratio = entry[f"{clock}_ms"], entry[f"ratio_{clock}"]
        row = [name, *(f"{own[key]:.2f}" for key in ("low", "median", "high"))]
        rows.append([*row, f"{1e3 / own['median']:.0f}", f"{ratio['median']:.1f}"])
    head = [f"a batch of {used['batch']}", f"{clock} ms: min", "median", "max", "a second", "x sgbench's time"]
    verdict = {True: "reached", False: "missed"}
    lines = [
        f"{result['sizes']['samples']} samples of {CHANNELS} channels, about {used['spikes']} spikes "
        f"each; {used['steps']} steps; {used['workers']} workers of the DataLoader; "
        f"recurrent layer of {used['hidden']}",
        report.head_line(result),
        report.settings_line(result),
        "",
        report.table(head, rows),
        "",
        f"prepared once in {result['prepare_s']['first']:.1f} s, found again in {result['prepare_s']['warm']:.2f} s",
        "memory that an epoch adds: "
        + ", ".join(f"{bytes_ / MIB:.0f} MiB at {count} samples" for count, bytes_ in result["memory_bytes"].items()),
    ]
    if TONIC in entries:
        times = entries[TONIC][f"ratio_{clock}"]["median"]
        lines.append(f"aim: {AIM} times tonic; found: {times:.1f} times, {verdict[times >= AIM]}")
    share = 1 / entries[STEP][f"ratio_{clock}"]["median"]
    lines.append(f"aim: below {SHARE:.0%} of a training step; found: {share:.1%}, {verdict[share < SHARE]}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(added_bytes(DataSettings(**json.loads(sys.argv[1]))))
