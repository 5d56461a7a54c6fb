"""Memory of a run on data of one's own that are larger than memory, from the array to the record.

    python -m benchmarks.large_data [--form traces|spikes] [--gigabytes 10] [--folder DIR]

An array [samples, 1000 steps, channels] is made as a file with holes, prepared by `sgbench.benchmark`, and learnt
from for one epoch with eight neurons. Told is the most that is held, without pages of files, which the system takes
back when it needs them; for traces DIR needs room for twice the array.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

STEPS, MARKED_STEPS = 1000, 20
CHANNELS = {"traces": 250, "spikes": 1000}
TYPES = {"traces": "float32", "spikes": "uint8"}
CHILD = """
import sys

import numpy as np

import sgbench

dtype, *shape = sys.argv[1:]
x = np.memmap("x.numbers", dtype, mode="r", shape=tuple(map(int, shape)))
y = np.arange(len(x)) % 2
table = sgbench.benchmark(
    (x, y), surrogates=["atan"], seeds=1, epochs=1, hidden=(8,), workers=1, overrides=["trainer.progress=false"]
)
print(table)
sys.exit(0 if table.best else 1)
"""


def _write_array(folder: Path, form: str, shape: tuple[int, int, int]) -> None:
    """Write an array [samples, steps, channels] with noise in the first steps, larger in the second of two classes.

    The other steps are never written, so that the file takes little room.
    """
    random = np.random.default_rng(0)
    x = np.memmap(folder / "x.numbers", TYPES[form], mode="w+", shape=shape)
    for place in range(len(x)):
        noise, size = random.random((MARKED_STEPS, shape[2]), np.float32), 1 + place % 2
        x[place, :MARKED_STEPS] = noise * size if form == "traces" else noise < 0.01 * size
    x.flush()


def held_bytes(pid: int) -> int:
    """Add up what a process and its children hold apart from pages of files; what they share counts for each."""
    total = 0
    for number in (pid, *_children(pid)):
        try:
            text = Path(f"/proc/{number}/status").read_text(encoding="utf-8")
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("RssAnon:"))
    return total


def _children(pid: int) -> list[int]:
    """List the ids of all descendants of a process; none if it has ended."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    except OSError:
        return []
    own = [int(word) for word in text.split()]
    return [*own, *(descendant for child in own for descendant in _children(child))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, help="where there is room, default: the system's own")
    parser.add_argument("--form", choices=sorted(TYPES), default="traces")
    args = parser.parse_args()
    row_bytes = STEPS * CHANNELS[args.form] * np.dtype(TYPES[args.form]).itemsize
    shape = (int(args.gigabytes * 1e9 / row_bytes), STEPS, CHANNELS[args.form])
    folder = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        _write_array(folder, args.form, shape)
        places = {f"SGBENCH_{name}": str(folder / name.lower()) for name in ("DATA", "RUNS", "CONF")}
        began_s, peak_bytes = time.perf_counter(), 0
        command = [sys.executable, "-c", CHILD, TYPES[args.form], *map(str, shape)]
        with subprocess.Popen(command, cwd=folder, env={**os.environ, **places}) as child:  # noqa: S603 - our own
            while child.poll() is None:
                peak_bytes = max(peak_bytes, held_bytes(child.pid))
                time.sleep(1.0)
        took_s = time.perf_counter() - began_s
        size = f"{args.form}, {shape[0]} samples, {shape[0] * row_bytes / 1e9:.3g} GB"
        memory = f"held at most {peak_bytes / 1e9:.2f} GB"
        sys.stdout.write(f"{size}: {memory}, {took_s:.0f} s, exit code {child.returncode}\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
