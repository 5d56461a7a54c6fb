"""Display of a sweep's progress: a line for each point that ends, and a table that is redrawn where possible."""

import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sgbench.leaderboard.differing_settings import names_apart
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method, RunSpec
from sgbench.replicas.messages import WorkerMessage

EVERY_S = 30.0  # between two lines of status where nothing can be redrawn
REDRAWN_S = 0.25  # shortest time between two redraws
NOTEBOOK_WIDTH = 120  # characters
MOST_ROWS = 12  # most rows of the table, for a terminal of 24 lines
MOST_SETTINGS = 40  # most rows of the last table, which may scroll
KNOWN_FROM = 0.05  # share of all epochs done from which the time left is estimated


class BestSoFar(NamedTuple):
    """Holds the best validation score of a point so far."""

    rank: float  # accuracy, or minus the loss without classes: larger is better
    is_loss: bool
    name: str  # of the point

    @property
    def text(self) -> str:
        return _score_text(self.rank, is_loss=self.is_loss)


@dataclass
class PointRow:
    """Counts the points of a sweep of one kind by their state."""

    points: int = 0
    done: int = 0
    running: int = 0
    failed: int = 0


class SweepView:
    """Shows how many points of a sweep are done, running and failed, epochs, the best score, and the time left.

    The best score is on validation, and includes running points from their first epoch on.

    `specs`: all points. `finished`: records of the points that need not run, by index. `headline`: function that
    returns a record as one line. `console`: console to print to; None is standard output. `redraw`: function that shows
    a text in place of all shown before; None: that of a notebook, if this is one.
    """

    def __init__(
        self,
        specs: Sequence[RunSpec],
        finished: dict[int, RunRecord],
        headline: Callable[[RunRecord], str],
        console: Console | None = None,
        redraw: Callable[[str], object] | None = None,
    ) -> None:
        self.specs, self.headline = specs, headline
        self.kinds = kinds(specs)
        self.rows = {kind: PointRow() for kind in self.kinds}
        for kind in self.kinds:
            self.rows[kind].points += 1
        self.open: set[int] = set()
        self.bests: dict[int, BestSoFar] = {}  # by point
        self.finished: set[int] = set()
        self.failed: set[int] = set()
        self.problems: list[str] = []
        for point, record in finished.items():
            self._count(point, record)
        planned = [spec.method.protocol.epochs for spec in specs]
        self.epochs = {point: 0 for point in range(len(specs)) if point not in finished}  # done by each
        self.planned = sum(planned[point] for point in self.epochs)
        self.began_s = self.printed_s = time.perf_counter()
        self.drawn_s = 0.0
        self.console = console or Console()
        self.redraw = redraw or (InNotebook() if self.console.is_jupyter else None)
        self.lines: list[str] = []  # printed so far, if all is redrawn
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        if self.console.is_terminal and self.redraw is None:
            self.live.start()

    def hear(self, message: WorkerMessage) -> None:
        """Update the table, and print a line where a point has ended, by a worker's message.

        A message "noted" only prints its line. "began" and "epoch" bring the epochs done and the best scores so far
        of a running point. "ended", "refused" (no record) and "pruned" (stopped early) end the point.
        """
        if message.kind == "noted":
            self.say(message.line)
        elif message.kind in ("began", "epoch"):
            self._update(message)
        else:
            self._end(message)

    def _update(self, message: WorkerMessage) -> None:
        """Count a running point, and take over its epochs and its best scores."""
        point, scores = message.point, message.selected
        self.rows[self.kinds[point]].running += point not in self.open
        self.open.add(point)
        self.epochs[point] = message.epochs
        if scores is not None:
            self._score(point, scores.validation_accuracy, scores.validation_loss)

    def _end(self, message: WorkerMessage) -> None:
        """Count a point that has ended, and print a line about it."""
        point, record = message.point, message.record
        row = self.rows[self.kinds[point]]
        row.running -= point in self.open
        self.open.discard(point)
        self.epochs[point] = self.specs[point].method.protocol.epochs
        self.bests.pop(point, None)
        if record is not None and message.kind != "pruned":
            self._count(point, record)
            self.say(f"{self._number()} {self.headline(record)}")
            return
        if message.kind == "pruned":
            row.done += 1
        else:
            row.failed += 1
            self.failed.add(point)
            self.problems.append(message.line)
        self.say(f"{self._number()} {self._name(point)}: {message.line}")

    def _count(self, point: int, record: RunRecord) -> None:
        """Count a point by the status of its record, with its validation scores."""
        row = self.rows[self.kinds[point]]
        is_finished = record.status == "finished"
        row.failed += not is_finished
        row.done += is_finished
        (self.finished if is_finished else self.failed).add(point)
        if record.validation is not None:
            self._score(point, record.validation.accuracy, record.validation.loss)

    def _score(self, point: int, accuracy: float | None, loss: float) -> None:
        """Take over a point's validation score: its accuracy, or its loss if it has no classes."""
        is_loss = accuracy is None
        self.bests[point] = BestSoFar(-loss if is_loss else accuracy, is_loss, self._name(point))

    def _best(self, kind: str | None = None) -> BestSoFar | None:
        """Return the best score of the points of a kind, or of all points."""
        return max((best for point, best in self.bests.items() if kind in (None, self.kinds[point])), default=None)

    def _epoch(self, kind: str) -> str:
        """Write which epochs the running points of a kind have reached, e.g. "3 to 5 of 10"."""
        running = [point for point in self.open if self.kinds[point] == kind]
        if not running:
            return "-"
        least, most = min(self.epochs[point] for point in running), max(self.epochs[point] for point in running)
        reached = str(least) if least == most else f"{least} to {most}"
        return f"{reached} of {max(self.specs[point].method.protocol.epochs for point in running)}"

    def _name(self, point: int) -> str:
        """Name a point by its kind, its method's label if that says more, and its seed."""
        spec, kind = self.specs[point], self.kinds[point]
        label = spec.method.label
        name = label if kind == label else f"{kind} {label}"
        return f"{name} seed {spec.seed}"

    def _number(self) -> str:
        """Write how many points have ended, e.g. "[3/8]"."""
        return f"[{self._sum('done') + self._sum('failed')}/{len(self.specs)}]"

    def _sum(self, column: str) -> int:
        return sum(getattr(row, column) for row in self.rows.values())

    def tick(self) -> None:
        """Show the table anew if that is due; without a terminal print a line of status every `EVERY_S` seconds."""
        now_s = time.perf_counter()
        if self.redraw is not None or self.console.is_terminal:
            if now_s - self.drawn_s < REDRAWN_S:
                return
            self.drawn_s = now_s
            shown = Group(self.table(), Text(self.status(), overflow="ellipsis"))
            if self.redraw is None:
                self.live.update(shown, refresh=True)
            else:
                self.redraw(self._text(shown))
        elif now_s - self.printed_s > EVERY_S:
            self.say(self.status())

    def status(self) -> str:
        """Write in one line the counts of points, the best score, and the time used and left."""
        used_s = time.perf_counter() - self.began_s
        best = self._best()
        best_text = "" if best is None else f" | best {best.text} {best.name}"
        counts = ", ".join(f"{self._sum(column)} {column}" for column in ("running", "failed"))
        share = sum(self.epochs.values()) / max(1, self.planned)  # of all epochs done
        left = f", {clock(used_s * (1 - share) / share)} left" if share >= KNOWN_FROM else ""
        return f"{self._sum('done')}/{len(self.specs)} done, {counts}{best_text} | {clock(used_s)}{left}"

    def table(self) -> Table:
        """Return the table of progress, with a row for each kind of point; running ones if not all fit."""
        table = Table(box=None, pad_edge=False, header_style="")
        table.add_column("", overflow="ellipsis", no_wrap=True)
        for head in ("done", "running", "failed", "epoch", "best validation"):
            table.add_column(head, justify="right", no_wrap=True)
        rows = list(self.rows.items())
        if len(rows) > MOST_ROWS:  # the last row says how many are left out
            rows = sorted(rows, key=lambda kind_and_row: -kind_and_row[1].running)[: MOST_ROWS - 1]
        for kind, row in rows:
            best = self._best(kind)
            done = f"{row.done}/{row.points}"
            counts = (done, str(row.running), str(row.failed), self._epoch(kind))
            table.add_row(Text(kind), *counts, "-" if best is None else best.text)
        if len(rows) < len(self.rows):
            table.add_row(Text(f"and {len(self.rows) - len(rows)} more"), *[""] * 5)
        return table

    def results(self) -> Table:
        """Return the table of means over finished seeds, with a row for each setting; the best if not all fit."""
        table = Table(box=None, pad_edge=False, header_style="")
        table.add_column("", overflow="fold")
        for head in ("done", "failed", "mean validation"):
            table.add_column(head, justify="right", no_wrap=True)
        means_and_cells = [self._result(name, points) for name, points in _points_by_setting(self.specs).items()]
        left_out = len(means_and_cells) - MOST_SETTINGS
        if left_out > 0:
            means_and_cells = sorted(means_and_cells, key=lambda pair: -pair[0])[:MOST_SETTINGS]
        for _, cells in means_and_cells:
            table.add_row(*map(Text, cells))
        if left_out > 0:
            table.add_row(f"and {left_out} more, none of them better", *[""] * 3)
        return table

    def _result(self, name: str, points: Sequence[int]) -> tuple[float, tuple[str, str, str, str]]:
        """Return the mean score of a setting's finished points, larger is better, and the cells of its row."""
        scores = [self.bests[point] for point in points if point in self.finished and point in self.bests]
        mean = math.fsum(score.rank for score in scores) / len(scores) if scores else -math.inf
        text = _score_text(mean, is_loss=scores[0].is_loss) if scores else "-"
        done, failed = (len(ended.intersection(points)) for ended in (self.finished, self.failed))
        return mean, (name, f"{done}/{len(points)}", str(failed), text)

    def say(self, line: str) -> None:
        """Print a line above the table, or in a notebook redraw all lines and the table."""
        self.printed_s = time.perf_counter()
        if self.redraw is None:
            self.console.print(Text(line), soft_wrap="sgbench " in line or not self.console.is_terminal)
        else:
            self.lines.append(line)
            self.redraw(self._text())

    def close(self) -> None:
        """Show the table of results, if there are several points, in place of that of progress."""
        self.live.stop()
        shown = [self.results()] if len(self.specs) > 1 else []
        if self.redraw is None:
            for table in shown:
                self.console.print(table)
        else:
            self.redraw(self._text(*shown))

    def _text(self, *shown: RenderableType) -> str:
        """Return all lines so far, and tables below them, as plain text for a notebook."""
        console = Console(file=io.StringIO(), width=NOTEBOOK_WIDTH, force_jupyter=False, color_system=None)
        with console.capture() as captured:
            console.print(*shown)
        return "\n".join([*self.lines, captured.get().rstrip()]).rstrip()


class InNotebook:
    """Shows text below a notebook's cell, each in place of the one before."""

    def __init__(self) -> None:
        self.handle: Any = None

    def __call__(self, text: str) -> None:
        content = {"text/plain": text}
        if self.handle is None:
            display: Any = import_module("IPython.display").display  # installed wherever notebooks run
            self.handle = display(content, raw=True, display_id=True)
        else:
            self.handle.update(content, raw=True)


def kinds(specs: Sequence[RunSpec]) -> list[str]:
    """Return the kind of each point, which is the name of the table's row in which it is counted.

    If the data set varies in the sweep, the kind is its name; else if the surrogate varies, or nothing does, it is
    the method's label. Otherwise it is the value of one varying setting, such as "network=mlp". A choice of an
    entry is preferred to a parameter, then the setting with the fewest values; the seed is taken last.

    >>> kinds([])
    []
    """
    if not specs:
        return []
    labels = [_labels(spec) for spec in specs]
    names = sorted({name for labels_of_point in labels for name in labels_of_point})
    values = {name: {labels_of_point.get(name, "-") for labels_of_point in labels} for name in names}
    differing = {name: len(distinct) for name, distinct in values.items() if len(distinct) > 1}  # number of values
    if "dataset" in differing:
        return [spec.method.choices["dataset"] for spec in specs]
    if "surrogate" in differing or not differing:
        return [spec.method.label for spec in specs]
    chosen = specs[0].method.choices  # an entry's name is preferred to parameters that only it has
    axis = min(differing, key=lambda name: (name == "seed", name not in chosen, differing[name]))
    return [f"{axis}={labels_of_point.get(axis, '-')}" for labels_of_point in labels]


def _labels(spec: RunSpec) -> dict[str, str]:
    """Return all settings of a point that a sweep may vary, by their override keys."""
    method = spec.method
    numbers = {
        f"{group}.{name}": str(value)
        for group, parameters in method.parameters.items()
        for name, value in parameters.items()
    }
    protocol = {f"protocol.{name}": str(value) for name, value in method.protocol.model_dump().items()}
    return {**numbers, **protocol, **method.choices, "seed": str(spec.seed)}


def _points_by_setting(specs: Sequence[RunSpec]) -> dict[str, list[int]]:
    """Map the name of each setting to its points; names are those of boards, behind the protocol if it varies."""
    methods: dict[str, dict[str, Method]] = {}  # by protocol and id
    keys = [(spec.method.protocol.name, method_id(spec.method)) for spec in specs]
    for (protocol, key), spec in zip(keys, specs, strict=True):
        methods.setdefault(protocol, {})[key] = spec.method
    names = {protocol: names_apart(of_protocol) for protocol, of_protocol in methods.items()}
    points_of: dict[str, list[int]] = {}
    for point, (protocol, key) in enumerate(keys):
        name = names[protocol][key]
        points_of.setdefault(f"{protocol} {name}" if len(methods) > 1 else name, []).append(point)
    return points_of


def _score_text(rank: float, *, is_loss: bool) -> str:
    return f"loss {-rank:.4g}" if is_loss else f"{100 * rank:.1f} %"


def clock(time_s: float) -> str:
    """Return a time as text in minutes and seconds.

    >>> clock(75.4)
    '1:15'
    """
    return f"{int(time_s) // 60}:{int(time_s) % 60:02d}"
