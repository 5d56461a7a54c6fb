"""Profile of a run's time: data, forward, backward, rule, optimiser, and all around the step.

Parts are timed by wrapping methods of the run's objects, so a run without a profile is not slower.
"""

import contextlib
import functools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from sgbench.datasets.batches import Batches
from sgbench.records.files import parse_tree, read_bytes, write_atomic
from sgbench.rules.base import LearningRule, Progress
from sgbench.training import memory
from sgbench.training.build import Parts
from sgbench.training.epoch_loop import Training

PROFILE, TRACE = "profile.json", "trace.json"
STEP = ("data", "forward", "backward", "rule", "optimiser")
"""Parts of a training step that a plain training loop has, too."""
ROUND = ("checks", "logging", "checkpoint", "other")
"""Parts around the step; "other" is all that no part measures."""
WHOLE = ("validation",)
"""Parts inside of which nothing is timed."""
MOST_EVENTS = 20_000  # most events of a trace, 2 MB


class Profile:
    """Measures the time of parts of a fit; the time of a part excludes that of parts within it.

    `device`: device of the network; a CUDA device is waited for at every border of a part. `clock`: function that
    returns the time [s].
    """

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> None:
        self.device, self.clock = device, clock
        self.times_s: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self.fit_s, self.steps = 0.0, 0
        self.events: list[tuple[str, float, float]] = []  # name of the part, begin and duration [s]
        self._open: list[list[Any]] = []  # name of each open part, and time of parts within it [s]

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure the time of the body as that of a part, and not of the part around it."""
        outermost = self._open[0][0] if self._open else None
        if outermost in WHOLE:
            yield
            return
        self._open.append([name, 0.0])
        began_s = self._now()
        try:
            yield
        finally:
            took_s = self._now() - began_s
            _, inside_s = self._open.pop()
            self.times_s[name] = self.times_s.get(name, 0.0) + took_s - inside_s
            self.calls[name] = self.calls.get(name, 0) + 1
            if self._open:
                self._open[-1][1] += took_s
            if len(self.events) < MOST_EVENTS:
                self.events.append((name, began_s, took_s))

    def _now(self) -> float:
        """Return the time [s], after all queued work of a CUDA device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return self.clock()

    def time_calls(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, and whose calls are measured as a part of this name."""

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return called

    def attach(self, parts: Parts, training: Training, loggers: Sequence[Any]) -> None:
        """Wrap methods of a run's objects, so that the calls of each part are measured."""
        loop = training.loop
        pairs: list[tuple[str, Any, str]] = [
            ("forward", parts.network, "unroll"),
            ("optimiser", parts.optimizer, "step"),
            ("optimiser", parts.optimizer, "zero_grad"),
            ("checks", loop, "check"),
            ("validation", training, "score"),
            *(("logging", logger, "log_metrics") for logger in loggers),
        ]
        for name, owner, method in pairs:
            setattr(owner, method, self.time_calls(name, getattr(owner, method)))
        self._attach_rule(parts.rule)
        for name in ("epoch", "evaluation"):
            self._attach_batches(parts.data, name)

    def _attach_rule(self, rule: LearningRule) -> None:
        """Wrap the rule's iterator, so that the time between its yields counts as "rule", and each yield as a step."""
        original = rule.gradients

        def gradients(*args: Any) -> Iterator[Progress]:
            yields = original(*args)
            while True:
                with self.part("rule"):
                    progress = next(yields, None)
                if progress is None:
                    return
                self.steps += 1
                yield progress

        rule.gradients = gradients  # type: ignore[method-assign]

    def _attach_batches(self, data: Any, method: str) -> None:
        original = getattr(data, method)
        setattr(data, method, lambda *args: TimedBatches(original(*args), self))

    @contextlib.contextmanager
    def fitting(self) -> Iterator[None]:
        """Measure the body as the fit; torch's functions of back-propagation are wrapped until it ends."""
        originals = {name: getattr(torch.autograd, name) for name in ("backward", "grad")}
        for name, function in originals.items():
            setattr(torch.autograd, name, self.time_calls("backward", function))
        began_s = self._now()
        try:
            yield
        finally:
            self.fit_s += self._now() - began_s
            for name, function in originals.items():
                setattr(torch.autograd, name, function)

    def tree(self) -> dict[str, Any]:
        """Return the profile as a tree: times of all parts [s], time around a step [s], and memory [bytes]."""
        measured = [name for name in (*STEP, *WHOLE, *ROUND) if name != "other"]
        times_s = {name: self.times_s.get(name, 0.0) for name in measured}
        times_s["other"] = max(0.0, self.fit_s - sum(times_s.values()))
        round_s = sum(times_s[name] for name in ROUND)
        is_cuda = self.device.type == "cuda"
        return {
            "fit_s": self.fit_s,
            "steps": self.steps,
            "times_s": times_s,
            "calls": self.calls,
            "round_a_step_s": round_s / self.steps if self.steps else None,
            "round_share": round_s / self.fit_s if self.fit_s else None,
            "peak_memory_bytes": memory.peak_bytes(),
            "peak_device_bytes": torch.cuda.max_memory_allocated(self.device) if is_cuda else None,
        }

    def write(self, folder: Path) -> None:
        """Write `profile.json`, and `trace.json` in Chrome's format, for ui.perfetto.dev or chrome://tracing."""
        write_atomic(folder / PROFILE, json.dumps(self.tree(), indent=1).encode() + b"\n")
        begin_s = min((began_s for _, began_s, _ in self.events), default=0.0)
        events = [
            {"name": name, "ph": "X", "ts": round(1e6 * (began_s - begin_s), 1), "dur": round(1e6 * took_s, 1)}
            | {"pid": 0, "tid": 0}
            for name, began_s, took_s in self.events
        ]
        write_atomic(folder / TRACE, json.dumps({"traceEvents": events}).encode())


class TimedBatches:
    """Yields batches, and measures the time of making them as "data"."""

    def __init__(self, batches: Batches, profile: Profile) -> None:
        self.batches, self.profile = batches, profile

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.batches)
        while True:
            with self.profile.part("data"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


def profile_lines(folder: Path) -> list[str]:
    """Return lines that describe the profile of a run's folder, largest part first; none without a profile."""
    path = folder / PROFILE
    if not path.exists():
        return []
    tree: Any = parse_tree(read_bytes(path), str(path))
    fit_s, times_s = tree["fit_s"], tree["times_s"]
    lines = [f"fit of {tree['steps']} steps, {fit_s:.2f} s:"]
    for name, time_s in sorted(times_s.items(), key=lambda pair: -pair[1]):
        lines.append(f"  {name:<10} {time_s:8.3f} s {100 * time_s / max(fit_s, 1e-9):5.1f} %")
    if tree["round_a_step_s"] is not None:
        lines.append(
            f"round a step ({', '.join(ROUND)}): {1e3 * tree['round_a_step_s']:.2f} ms, "
            f"{100 * tree['round_share']:.0f} % of the fit"
        )
    for name, place in (("peak_memory_bytes", "process"), ("peak_device_bytes", "accelerator")):
        if tree[name] is not None:
            lines.append(f"most memory of the {place}: {tree[name] / (1 << 20):.0f} MiB")
    return [*lines, f"trace: {folder / TRACE} (open it in ui.perfetto.dev)"]
