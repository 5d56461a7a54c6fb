"""What one Ctrl-C does to a run, at moments spread over all of it: `python -m tests.run.interrupts` measures.

Moments are drawn from a seed, a tenth of them within the start, where modules are imported.
"""

import dataclasses
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks import report
from sgbench.cli import STOPPED_CODE

AIM_S = 5.0
STUCK_S = 300.0
"""After which a process counts as one that does not stop."""
LONGEST_S = 20.0
"""From the first line of the command to the signal."""
EARLY = 0.1
"""Share of the tries that are within the first second."""
BEGIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import sgbench.__main__ as start; "
    "import sys; sys.stdout.write('begun\\n'); sys.stdout.flush(); sys.exit(start.command())"
)
WORDS = ("run", "-m", "experiment=digits", "surrogate=atan,triangle", "seed=0,1,2,3,4", "protocol.epochs=100")


@dataclasses.dataclass(frozen=True)
class Try:
    """What came of one signal."""

    after_s: float  # from the first line of the command
    took_s: float  # from the signal to the end
    code: int  # negative: ended by that signal
    said: str  # its last line


def moments(tries: int, seed: int = 0) -> list[float]:
    """When to send the signals [s], the same for the same seed."""
    generator = random.Random(seed)  # noqa: S311 - moments, no secrets
    return [generator.uniform(0, 1 if generator.random() < EARLY else LONGEST_S) for _ in range(tries)]


def interrupt(after_s: float) -> Try:
    """Start a sweep in a folder of its own, send one SIGINT and wait."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-c", BEGIN, *WORDS, f"paths.runs_dir={Path(folder) / 'runs'}"]
        with (Path(folder) / "said").open("w+") as said:
            process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=said)
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(after_s)
            sent_s = time.perf_counter()
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=STUCK_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            took_s = time.perf_counter() - sent_s
            said.seek(0)
            lines = said.read().strip().splitlines() or [""]
    return Try(after_s, took_s, process.returncode, lines[-1][:200])


def show(tries: list[Try]) -> str:
    """The result as a table."""
    times = sorted(attempt.took_s for attempt in tries)
    counts = Counter(attempt.code for attempt in tries)
    rows = [
        [f"exit code {code}", str(count), "all" if code == STOPPED_CODE else "0"]
        for code, count in sorted(counts.items())
    ]
    rows += [
        ["median, s", f"{times[len(times) // 2]:.2f}", ""],
        ["longest, s", f"{times[-1]:.2f}", f"{AIM_S:g}"],
        [f"longer than {AIM_S:g} s", str(sum(took > AIM_S for took in times)), "0"],
    ]
    others = [
        f"{attempt.after_s:.3f} s: {attempt.code}: {attempt.said}" for attempt in tries if attempt.code != STOPPED_CODE
    ]
    return "\n".join([report.table([f"one Ctrl-C, {len(tries)} tries", "found", "aim"], rows), *others])


if __name__ == "__main__":
    sys.stdout.write(show([interrupt(after_s) for after_s in moments(200)]) + "\n")
