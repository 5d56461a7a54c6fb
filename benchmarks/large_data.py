"""Memory of a run on data of one's own that are larger than memory, from the array to the record.

    python -m benchmarks.large_data [--gigabytes 10] [--folder DIR]

An array of recordings [samples, 1000 steps, 250 channels] is made as a file with holes, prepared by
`sgbench.benchmark` and trained on for one epoch with eight neurons. Told is the most that is held, without pages of
files, which the system takes back when it needs them; DIR needs room for twice the array.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

STEPS, CHANNELS = 1000, 250
MARKED_STEPS = 20
CHILD = """
import sys

import numpy as np

import sgbench

samples = int(sys.argv[1])
x = np.memmap("x.f32", np.float32, mode="r", shape=(samples, {steps}, {channels}))
y = np.arange(samples) % 2
table = sgbench.benchmark(
    (x, y), surrogates=["atan"], seeds=1, epochs=1, hidden=(8,), workers=1, overrides=["trainer.progress=false"]
)
print(table)
sys.exit(0 if table.best else 1)
"""


def make(folder: Path, samples: int) -> None:
    """Write an array with holes: noise in the first steps, which tells two classes."""
    random = np.random.default_rng(0)
    x = np.memmap(folder / "x.f32", np.float32, mode="w+", shape=(samples, STEPS, CHANNELS))
    for place in range(samples):
        x[place, :MARKED_STEPS] = random.random((MARKED_STEPS, CHANNELS), np.float32) * (1 + place % 2)
    x.flush()


def held_bytes(pid: int) -> int:
    """Add up what a process and its children hold apart from pages of files; shared pages count by their share."""
    total = 0
    for number in (pid, *_children(pid)):
        try:
            text = Path(f"/proc/{number}/smaps_rollup").read_text(encoding="utf-8")
        except OSError:
            continue
        total += sum(
            int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss_Anon:")
        )
    return total


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    except OSError:
        return []
    own = [int(word) for word in text.split()]
    return [*own, *(each for child in own for each in _children(child))]


def main() -> None:
    """Make the array, run the child and tell the most that it held."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, help="where there is room, default: the system's own")
    args = parser.parse_args()
    samples = int(args.gigabytes * 1e9 / (4 * STEPS * CHANNELS))
    folder = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        make(folder, samples)
        places = {f"SGBENCH_{name}": str(folder / name.lower()) for name in ("DATA", "RUNS", "CONF")}
        began_s, most = time.perf_counter(), 0
        words = [sys.executable, "-c", CHILD.format(steps=STEPS, channels=CHANNELS), str(samples)]
        with subprocess.Popen(words, cwd=folder, env={**os.environ, **places}) as child:  # noqa: S603 - our own
            while child.poll() is None:
                most = max(most, held_bytes(child.pid))
                time.sleep(0.2)
        took_s = time.perf_counter() - began_s
        sys.stdout.write(
            f"{samples} samples, {samples * 4 * STEPS * CHANNELS / 1e9:.3g} GB: held at most {most / 1e9:.2f} GB, "
            f"{took_s:.0f} s, exit code {child.returncode}\n"
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
