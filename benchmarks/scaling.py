"""`scaling`: time and memory of a batch against neurons and steps, for five ways to a gradient.

Those of Neftci, Mostafa & Zenke 2019, section III: back-propagation through time, real-time recurrent learning, a
factored rule and two local ones, on one layer that is joined all to all and takes as many inputs as it has neurons.
All sizes are timed in turn in one process; memory is measured in a process of its own for each, forked from it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import report
from benchmarks.measure import forked, interleave, limited
from benchmarks.memory import MIB, ROOT, map_arrays
from benchmarks.rules import CUT, RulesSettings, added_by, step_with
from sgbench.errors import InputError
from sgbench.plots.style import COLOURS, GRID, INK, MARKERS, save
from sgbench.tables.markup import markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULT = Path(__file__).resolve().parent / "results" / "scaling.json"
PICTURE = ROOT / "docs" / "scaling.png"
JOINED = "network.recurrence=all_to_all"
FITTED = 3  # largest sizes through which an exponent is fitted; below them fixed costs of a call weigh in
TITLES = {"neurons": "neurons N", "steps": "steps T"}
UNITS = {"memory": "added memory [MiB]", "time": "CPU time of a batch [ms]"}
KEYS = ("memory neurons", "memory steps", "time neurons", "time steps")


class Way(NamedTuple):
    """One way to a gradient, and at which sizes it is measured."""

    words: tuple[str, ...]
    neurons: tuple[int, ...]  # at `steps_fixed` steps
    steps_fixed: int
    steps: tuple[int, ...]  # of `neurons_fixed` neurons
    neurons_fixed: int
    expected: tuple[int, int, int, int]  # exponents, in the order of `KEYS`


LARGE, LONG = (64, 128, 256, 512), (100, 200, 400, 800)
WAYS = {
    "back-propagation through time": Way(("rule=bptt",), LARGE, 200, LONG, 64, (1, 1, 2, 1)),
    "real-time recurrent learning": Way(("rule=rtrl",), (20, 30, 40, 50), 10, (10, 20, 40, 80), 20, (3, 0, 4, 1)),
    "factored: e-prop, adaptive thresholds": Way(("rule=eprop", "neuron=alif", CUT), LARGE, 50, LONG, 64, (2, 0, 2, 1)),
    "local: losses of each layer's own": Way(
        ("rule=local", "rule.form=online", CUT), LARGE, 50, LONG, 64, (1, 0, 2, 1)
    ),
    "local, behind readouts that forget at once": Way(
        ("rule=local", "rule.form=online", "readout.beta=0", CUT), LARGE, 50, LONG, 64, (1, 0, 2, 1)
    ),
}


@dataclasses.dataclass(frozen=True)
class ScalingSettings:
    """How it is measured."""

    batch: int = 16
    rounds: int = 5
    threads: int = 1
    seed: int = 0


def compare(settings: ScalingSettings, ways: Mapping[str, Way] = WAYS) -> dict[str, Any]:
    """Measure the CPU time [ms] and the added memory [bytes] of a batch, for every way to a gradient at every size."""
    points = {
        (name, axis, size): _settings_of(settings, way, axis, size)
        for name, way in ways.items()
        for axis in TITLES
        for size in getattr(way, axis)
    }
    with limited(settings.threads) as cores:
        load_before = report.load_average()
        # Before the timing, which leaves gaps between arrays that a forked process would fill.
        added = {key: forked(added_bytes, sizes, ways[key[0]].words) for key, sizes in points.items()}
        steps = {
            " | ".join(map(str, key)): step_with(sizes, (JOINED, *ways[key[0]].words)) for key, sizes in points.items()
        }
        times = interleave(steps, settings.rounds)
    measured: dict[str, Any] = {name: {axis: {} for axis in TITLES} for name in ways}
    for (name, axis, size), sizes in points.items():
        measured[name][axis][str(size)] = {
            "neurons": sizes.hidden,
            "steps": sizes.steps,
            "cpu_ms": times[f"{name} | {axis} | {size}"].cpu_ms,
            "added_bytes": added[name, axis, size],
        }
    return {
        "settings": dataclasses.asdict(settings),
        "environment": report.environment(),
        "conditions": {"cores": cores, "load_before": load_before},
        "ways": measured,
    }


def _settings_of(settings: ScalingSettings, way: Way, axis: str, size: int) -> RulesSettings:
    """Return the settings of one measurement, whose `axis` (neurons or steps) has this size; inputs equal neurons."""
    neurons = size if axis == "neurons" else way.neurons_fixed
    steps = size if axis == "steps" else way.steps_fixed
    return RulesSettings(
        batch=settings.batch, hidden=neurons, inputs=neurons, steps=steps, threads=settings.threads, seed=settings.seed
    )


def added_bytes(settings: RulesSettings, words: tuple[str, ...]) -> int:
    """Measure what a batch adds to the peak of this process [bytes], after a small one that warms it up."""
    map_arrays()
    with limited(settings.threads):
        small = dataclasses.replace(settings, hidden=4, inputs=4, steps=2)
        step_with(small, (JOINED, *words))()
        return added_by(step_with(settings, (JOINED, *words)))


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Fit the power by which values grow with sizes: a straight line through logarithms of the three largest sizes.

    >>> round(exponent([1, 10, 20, 40], [7, 200, 800, 3200]), 6)
    2.0
    """
    points = sorted(zip(sizes, values, strict=True))[-FITTED:]
    x, y = ([math.log(max(point[place], 1e-9)) for point in points] for place in (0, 1))
    return statistics.linear_regression(x, y).slope


def curves(result: dict[str, Any], name: str) -> dict[str, tuple[list[int], list[float]]]:
    """Return sizes and values of a way to a gradient by `KEYS`: median CPU time [ms] and added memory [MiB]."""
    by_key = {}
    for axis, entries in result["ways"][name].items():
        sizes = [int(size) for size in entries]
        by_key[f"memory {axis}"] = (sizes, [entry["added_bytes"] / MIB for entry in entries.values()])
        by_key[f"time {axis}"] = (sizes, [statistics.median(entry["cpu_ms"]) for entry in entries.values()])
    return by_key


def show(result: dict[str, Any]) -> str:
    """Write the fitted exponents beside those of the paper, as a table of Markdown."""
    head = ["way to the gradient", "memory by N", "theory", "memory by T", "theory"]
    head += ["time by N", "theory", "time by T", "theory"]
    rows = []
    for name in result["ways"]:
        by_key, cells = curves(result, name), [name]
        for key, power in zip(KEYS, WAYS[name].expected, strict=True):
            cells += [f"{exponent(*by_key[key]):.2f}", str(power)]
        rows.append(cells)
    return markdown(head, rows, numbers=range(1, len(head)))


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw the curves on logarithmic axes, a dashed line of the paper's exponent through each largest size."""
    save(lambda: _figure(result), path)


def _figure(result: dict[str, Any]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(11, 9.5), layout="constrained")
    for column, axes in enumerate(figure.subplots(2, 2).flat):
        quantity, axis = KEYS[column].split()  # e.g. memory and neurons
        for place, name in enumerate(result["ways"]):
            sizes, values = curves(result, name)[KEYS[column]]
            colour, power = COLOURS[place], WAYS[name].expected[column]
            label = f"{name}: {exponent(sizes, values):.1f}"
            axes.plot(sizes, values, color=colour, marker=MARKERS[place], label=label)
            theory = [values[-1] * (size / sizes[-1]) ** power for size in sizes]
            axes.plot(sizes, theory, color=colour, linestyle="--", linewidth=1)
        axes.set(xscale="log", yscale="log", xlabel=TITLES[axis], ylabel=UNITS[quantity])
        axes.grid(color=GRID, linewidth=0.8)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        above: Any = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 1, "frameon": False}
        axes.legend(fontsize=9, title="fitted exponent; dashed: expected", title_fontsize=10, labelcolor=INK, **above)
    return figure


def rewrite(stored: Path = RESULT, picture: Path = PICTURE) -> str:
    """Draw the picture from the stored result, and return the table."""
    if not stored.is_file():
        raise InputError(f"{stored}: is missing; run: python -m benchmarks scaling --json {stored}")
    result = json.loads(stored.read_text(encoding="utf-8"))
    draw(result, picture)
    return show(result)
