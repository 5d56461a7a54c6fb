"""`engine` and `peers`: gate, then times in turn, then a table."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from benchmarks import contenders, gate, peers, report
from benchmarks.contenders import Build, Contender
from benchmarks.measure import Spread, Times, interleave, limited, neighbour, ratios
from benchmarks.workloads import Sizes, Task, make_task
from fastspiking import matmul
from sgbench.training.memory import keep_freed_memory

GEMM_SIZE = 2048
TRIAD_BYTES = 64 * 2**20  # of each of three arrays, larger than any cache
REPEATS = 7


def machine(dtype: torch.dtype) -> dict[str, float | str]:
    """Measure what the machine can do: the best of some repeats of two simple computations.

    They are a large product of matrices [GFLOP/s], by torch.mm and by the library that sgbench multiplies with, and
    the triad a = b + 1.5 c [GB/s].
    """
    size = GEMM_SIZE
    left, right, product = (torch.ones(size, size, dtype=dtype) for _ in range(3))
    torch_s = _best_s(lambda: torch.mm(left, right, out=product))
    gemm_s = _best_s(lambda: matmul.multiply(left, right))
    b, c, a = (torch.ones(TRIAD_BYTES // dtype.itemsize, dtype=dtype) for _ in range(3))
    triad_s = _best_s(lambda: torch.add(b, c, alpha=1.5, out=a))
    return {
        "library": matmul.library(dtype),
        "gemm_gflop_per_s": 2 * size**3 / gemm_s / 1e9,
        "torch_mm_gflop_per_s": 2 * size**3 / torch_s / 1e9,
        "triad_gb_per_s": 3 * TRIAD_BYTES / triad_s / 1e9,
    }


def products_of(task: Task) -> Callable[[], None]:
    """Return a function that makes the products of w2 alone: the current, and the gradient of the weights.

    No layer can be faster. They are made by the faster library, so that the limit is not easier to reach than it is.
    """
    weight = task.stages[0].weight
    x = task.x.flatten(0, 1)

    def run() -> None:
        current = matmul.multiply(x, weight.T)
        matmul.multiply(current.T, x)

    return run


def _best_s(run: Callable[[], object]) -> float:
    """Return the least time of some repeats [s]; of CPU on one thread, which a busy machine hardly stretches."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times_s = []
    for _ in range(REPEATS):
        began_s = clock()
        run()
        times_s.append(max(clock() - began_s, 1e-9))
    return min(times_s)


ENGINES = ("fused", "scan", "reference")
LIMIT = "products alone"
BASELINE = gate.BASELINE


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a workload is measured."""

    workload: str
    sizes: Sizes
    threads: int = 1
    rounds: int = 9
    precision: str = "float32"
    seed: int = 0
    busy: bool = False
    default_allocator: bool = False


def every_build() -> dict[str, Build]:
    """Map the name of each contender to what builds it, the baseline first, whether it can run here or not."""
    return {
        BASELINE: partial(contenders.build_snntorch, hoisted=False),
        "snntorch, hoisted": partial(contenders.build_snntorch, hoisted=True),
        **{name: peer.build for name, peer in peers.PEERS.items()},
        **{f"sgbench {name}": partial(contenders.build_sgbench, engine=name) for name in ENGINES},
    }


def builds(*, with_peers: bool) -> dict[str, Build]:
    """Select the contenders of `every_build` that can run here, with other frameworks or without."""
    left_out = peers.missing() if with_peers else peers.PEERS
    return {name: build for name, build in every_build().items() if name not in left_out}


def compare(settings: Settings, *, with_peers: bool) -> dict[str, Any]:
    """Check all contenders against snnTorch, then time them in turn."""
    with limited(settings.threads) as cores, neighbour(busy=settings.busy):
        memory_kept = not settings.default_allocator and keep_freed_memory()
        load_before = report.load_average()
        task, contenders, rates, findings = _checked(settings, builds(with_peers=with_peers))
        steps: dict[str, Any] = {name: contender.step for name, contender in contenders.items()}
        if settings.workload == "w2":
            steps[LIMIT] = products_of(task)
        resets = {name: contender.reset for name, contender in contenders.items()}
        times = interleave(steps, settings.rounds, resets=resets)
        limits = machine(task.dtype)
    return {
        "command": "peers" if with_peers else "engine",
        "workload": settings.workload,
        "sizes": dataclasses.asdict(settings.sizes),
        "settings": {
            **{name: getattr(settings, name) for name in ("threads", "rounds", "precision", "seed", "busy")},
            "freed_memory_kept": memory_kept,
            "cores": cores,
        },
        **report.conditions(load_before),
        "firing_rates": rates,
        "firing_rates_after": {name: contender.rates() for name, contender in contenders.items()},
        "gate": [{**dataclasses.asdict(finding), "fine": finding.fine} for finding in findings],
        "roofline": limits,
        "contenders": _entries(contenders, times),
        "not_compared": peers.missing() if with_peers else {},
    }


def _checked(
    settings: Settings, builders: Mapping[str, Build]
) -> tuple[Task, dict[str, Contender], dict[str, list[float]], list[gate.Finding]]:
    """Build all contenders and check that they compute what snnTorch does; a `GateError` if one does not.

    Return the task, the contenders, the firing rates of the layers of each, and what the checks found.
    """
    task = make_task(settings.workload, settings.sizes, precision=settings.precision, seed=settings.seed)
    contenders = {name: build(task) for name, build in builders.items()}
    equal_models = {name: builders[name] for name, contender in contenders.items() if contender.same_model}
    findings = gate.check_copies(settings.workload, settings.sizes, equal_models, settings.seed)
    rates = {name: contender.rates() for name, contender in contenders.items()}
    findings += gate.check_real(task, contenders, rates)
    return task, contenders, rates, findings


def _entries(contenders: Mapping[str, Contender], times: Mapping[str, Times]) -> dict[str, Any]:
    """Return by contender its times, how many times faster than snnTorch it is, and of w2 its share of the limit."""
    base = times[BASELINE]
    entries: dict[str, Any] = {}
    for name, own in times.items():
        entries[name] = {
            "model": None if name == LIMIT else "same" if contenders[name].same_model else "near",
            "rounds": dataclasses.asdict(own),
            "cpu_ms": dataclasses.asdict(Spread.of(own.cpu_ms)),
            "wall_ms": dataclasses.asdict(Spread.of(own.wall_ms)),
            "ratio_cpu": dataclasses.asdict(ratios(base.cpu_ms, own.cpu_ms)),
            "ratio_wall": dataclasses.asdict(ratios(base.wall_ms, own.wall_ms)),
        }
        if LIMIT in times:
            limit = times[LIMIT]
            entries[name]["share_of_limit_cpu"] = ratios(limit.cpu_ms, own.cpu_ms).median
            entries[name]["share_of_limit_wall"] = ratios(limit.wall_ms, own.wall_ms).median
    return entries


def show(result: dict[str, Any]) -> str:
    """Write the table, with the machine, the settings and the results of the checks."""
    one_thread = result["settings"]["threads"] == 1
    headline = "CPU time" if one_thread else "wall time"
    used = result["settings"]
    rates = ", ".join(f"{rate:.1%}" for rate in result["firing_rates"][BASELINE])
    limits = result["roofline"]
    lines = [
        f"{result['workload']}: {report.sizes_line(result['sizes'])}; {used['precision']}; firing rate {rates}",
        report.head_line(result),
        report.settings_line(result),
        f"machine: {limits['gemm_gflop_per_s']:.0f} GFLOP/s in {used['precision']} by {limits['library']} "
        f"({limits['torch_mm_gflop_per_s']:.0f} with torch.mm), {limits['triad_gb_per_s']:.0f} GB/s in a triad",
        "",
        _table(result),
        "",
        f"x: times faster than {BASELINE}, median over {used['rounds']} rounds; the headline is {headline}",
    ]
    lines += _gate_lines(result)
    lines += [f"not compared: {name}, {why}" for name, why in result["not_compared"].items()]
    return "\n".join(lines)


def _table(result: dict[str, Any]) -> str:
    head = ["one training step", "CPU ms: min", "median", "max", "wall ms", "x CPU", "[min..max]", "x wall"]
    has_limit = LIMIT in result["contenders"]
    share = "share_of_limit_cpu" if result["settings"]["threads"] == 1 else "share_of_limit_wall"
    rows = []
    for name, entry in result["contenders"].items():
        cpu, ratio = entry["cpu_ms"], entry["ratio_cpu"]
        row = [name, *(f"{cpu[key]:.1f}" for key in ("low", "median", "high"))]
        row += [f"{entry['wall_ms']['median']:.1f}", f"{ratio['median']:.2f}"]
        row += [f"[{ratio['low']:.2f}..{ratio['high']:.2f}]", f"{entry['ratio_wall']['median']:.2f}"]
        row += [f"{entry[share]:.0%}"] if has_limit else []
        rows.append([*row, {"same": "= model", "near": "≈ model", None: ""}[entry["model"]]])
    return report.table([*head, *(["of limit"] if has_limit else []), "gate"], rows)


def _gate_lines(result: dict[str, Any]) -> list[str]:
    """Write for each copy of the workload the largest differences of losses and of gradients from snnTorch's."""
    largest: dict[tuple[str, str], float] = {}  # by copy and kind of difference
    for finding in result["gate"]:
        kind, _, _ = finding["what"].partition(" of ")  # e.g. "gradient of hidden0.weight"
        if kind in ("loss", "gradient"):
            key = (finding["where"], kind if finding["allowed"] is not None else f"{kind} (told, not gated)")
            largest[key] = max(largest.get(key, 0.0), finding["difference"])
    texts = {where: "" for where, _ in largest}
    for (where, kind), difference in largest.items():
        texts[where] += f", {kind} {difference:.0e}"
    return [f"gate, {where}: largest differences{text}" for where, text in texts.items()]
