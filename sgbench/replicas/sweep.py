"""A whole sweep: what is finished is skipped, the rest runs as replicas, and one line says how far it is."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence

from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.replicas.crew import Told
from sgbench.replicas.grouping import groups
from sgbench.replicas.pool import Pool
from sgbench.run_folder import finished_record

EVERY_S = 30.0  # between two lines where nothing can be rewritten


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_sweep(
    specs: Sequence[RunSpec],
    places: Sequence[int],
    *,
    workers: int | None,
    largest: int,
    headline: Callable[[RunRecord], str],
) -> list[str]:
    """Run points of a sweep; returns a line for each that could not be run at all.

    Args:
        specs: all points, checked.
        places: of those to run.
        workers: processes, or None for one a core.
        largest: replicas of one process.
        headline: a record in one line.
    """
    left = [place for place in places if finished_record(specs[place]) is None]
    count = max(1, min(workers or cores(), len(left)))
    made = groups(specs, left, count, largest)
    view = View(specs, len(places) - len(left), headline)
    reasons = Counter(group.alone for group in made if group.alone is not None)
    for reason, points in reasons.items():
        view.say(f"{points} points run alone: {reason}")
    if left:
        Pool(specs, count, view.hear, view.tick).run(made)
    view.close()
    return view.problems


class View:
    """How far a sweep is: a line for each end, and one that is rewritten where that is possible.

    Args:
        specs: all points.
        finished: how many need not be run.
        headline: a record in one line.
    """

    def __init__(self, specs: Sequence[RunSpec], finished: int, headline: Callable[[RunRecord], str]) -> None:
        self.specs = specs
        self.finished = finished
        self.headline = headline
        self.ended = 0
        self.failed = 0
        self.running = 0
        self.epochs = dict.fromkeys(range(len(specs)), 0)
        self.best: tuple[float, str] | None = None
        self.problems: list[str] = []
        self.began_s = self.said_s = time.perf_counter()
        self.live = sys.stdout.isatty()

    def hear(self, told: Told) -> None:
        """A word of a worker."""
        spec = self.specs[told.place]
        if told.kind == "epoch":
            self.epochs[told.place] = told.epochs
            return
        self.ended += 1
        self.epochs[told.place] = spec.method.protocol.epochs
        number = f"[{self.finished + self.ended}/{len(self.specs)}]"
        if told.record is None:
            self.failed += 1
            self.problems.append(told.line)
            self.say(f"{number} {spec.method.choices['surrogate']} seed {spec.seed}: {told.line}")
            return
        self.failed += told.record.status != "finished"
        if told.record.validation is not None:
            found = (told.record.validation.accuracy, f"{spec.method.choices['surrogate']} seed {spec.seed}")
            self.best = max(self.best or found, found)
        self.say(f"{number} {self.headline(told.record)}")

    def tick(self, running: int) -> None:
        """Time goes by."""
        self.running = running
        now_s = time.perf_counter()
        if self.live:
            self._rewrite(self.status())
        elif now_s - self.said_s > EVERY_S:
            self.say(self.status())

    def status(self) -> str:
        """The sweep in one line."""
        used_s = time.perf_counter() - self.began_s
        best = "" if self.best is None else f" | best {100 * self.best[0]:.1f} % {self.best[1]}"
        done = self.finished + self.ended - self.failed
        return (
            f"{done}/{len(self.specs)} done, {self.running} running, {self.failed} failed{best}"
            f" | {_clock(used_s)}{self._left(used_s)}"
        )

    def _left(self, used_s: float) -> str:
        wanted = sum(spec.method.protocol.epochs for spec in self.specs)
        skipped = wanted * self.finished / len(self.specs)
        share = sum(self.epochs.values()) / max(1.0, wanted - skipped)
        return f", {_clock(used_s * (1 - share) / share)} left" if share > 0 else ""

    def say(self, line: str) -> None:
        """A line that stays."""
        self.close()
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        self.said_s = time.perf_counter()

    def close(self) -> None:
        """The rewritten line goes."""
        if self.live:
            self._rewrite("")

    def _rewrite(self, line: str) -> None:
        """Put this where the status was."""
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write(f"\r{line[:width]:<{width}}\r")
        sys.stdout.flush()


def _clock(time_s: float) -> str:
    """Minutes and seconds.

    >>> _clock(75.4)
    '1:15'
    """
    return f"{int(time_s) // 60}:{int(time_s) % 60:02d}"
