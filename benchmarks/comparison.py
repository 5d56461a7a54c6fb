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
    """Speed of a large product of matrices [GFLOP/s], by torch.mm and by the library that sgbench multiplies with.

    And of a = b + c * 1.5 [GB/s]; the best of some repeats.
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
    """The products that a layer of w2 cannot do without: the current, and the gradient of the weights.

    By the faster library where there are two: no share of the limit is won by slowing it down.
    """
    weight = task.stages[0].weight
    x = task.x.flatten(0, 1)

    def run() -> None:
        current = matmul.multiply(x, weight.T)
        matmul.multiply(current.T, x)

    return run


def _best_s(run: Callable[[], object]) -> float:
    """In CPU time on one thread, where a busy machine does not show in it."""
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
    """All contenders by name, the baseline first, whether they can run here or not."""
    return {
        BASELINE: partial(contenders.build_snntorch, hoisted=False),
        "snntorch, hoisted": partial(contenders.build_snntorch, hoisted=True),
        **{name: peer.build for name, peer in peers.PEERS.items()},
        **{f"sgbench {name}": partial(contenders.build_sgbench, engine=name) for name in ENGINES},
    }


def builds(*, with_peers: bool) -> dict[str, Build]:
    left_out = peers.missing() if with_peers else peers.PEERS
    return {name: build for name, build in every_build().items() if name not in left_out}


def compare(settings: Settings, *, with_peers: bool) -> dict[str, Any]:
    """Check all contenders against snnTorch, then time them in turn."""
    with limited(settings.threads) as cores, neighbour(busy=settings.busy):
        memory_kept = not settings.default_allocator and keep_freed_memory()
        load_before = report.load_average()
        chosen = builds(with_peers=with_peers)
        task, contenders, rates, findings = _checked(settings, chosen)
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
    settings: Settings, chosen: Mapping[str, Build]
) -> tuple[Task, dict[str, Contender], dict[str, list[float]], list[gate.Finding]]:
    task = make_task(settings.workload, settings.sizes, precision=settings.precision, seed=settings.seed)
    contenders = {name: build(task) for name, build in chosen.items()}
    same = {name: chosen[name] for name, contender in contenders.items() if contender.same_model}
    findings = gate.check_copies(settings.workload, settings.sizes, same, settings.seed)
    rates = {name: contender.rates() for name, contender in contenders.items()}
    findings += gate.check_real(task, contenders, rates)
    return task, contenders, rates, findings


def _entries(contenders: Mapping[str, Contender], times: Mapping[str, Times]) -> dict[str, Any]:
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


def show(tree: dict[str, Any]) -> str:
    """The table, with what is needed to believe it."""
    one_thread = tree["settings"]["threads"] == 1
    headline = "CPU time" if one_thread else "wall time"
    used = tree["settings"]
    rates = ", ".join(f"{rate:.1%}" for rate in tree["firing_rates"][BASELINE])
    limits = tree["roofline"]
    lines = [
        f"{tree['workload']}: {report.sizes_line(tree['sizes'])}; {used['precision']}; firing rate {rates}",
        report.head_line(tree),
        report.settings_line(tree),
        f"machine: {limits['gemm_gflop_per_s']:.0f} GFLOP/s in {used['precision']} by {limits['library']} "
        f"({limits['torch_mm_gflop_per_s']:.0f} with torch.mm), {limits['triad_gb_per_s']:.0f} GB/s in a triad",
        "",
        _table(tree),
        "",
        f"x: times faster than {BASELINE}, median over {used['rounds']} rounds; the headline is {headline}",
    ]
    lines += _gate_lines(tree)
    lines += [f"not compared: {name}, {why}" for name, why in tree["not_compared"].items()]
    return "\n".join(lines)


def _table(tree: dict[str, Any]) -> str:
    head = ["one training step", "CPU ms: min", "median", "max", "wall ms", "x CPU", "[min..max]", "x wall"]
    limited_by = LIMIT in tree["contenders"]
    share = "share_of_limit_cpu" if tree["settings"]["threads"] == 1 else "share_of_limit_wall"
    rows = []
    for name, entry in tree["contenders"].items():
        cpu, ratio = entry["cpu_ms"], entry["ratio_cpu"]
        row = [name, *(f"{cpu[key]:.1f}" for key in ("low", "median", "high"))]
        row += [f"{entry['wall_ms']['median']:.1f}", f"{ratio['median']:.2f}"]
        row += [f"[{ratio['low']:.2f}..{ratio['high']:.2f}]", f"{entry['ratio_wall']['median']:.2f}"]
        row += [f"{entry[share]:.0%}"] if limited_by else []
        rows.append([*row, {"same": "= model", "near": "≈ model", None: ""}[entry["model"]]])
    return report.table([*head, *(["of limit"] if limited_by else []), "gate"], rows)


def _gate_lines(tree: dict[str, Any]) -> list[str]:
    largest: dict[tuple[str, str], float] = {}
    for finding in tree["gate"]:
        kind = finding["what"].split(" of ")[0]
        if kind in ("loss", "gradient"):
            key = (finding["where"], kind if finding["allowed"] is not None else f"{kind} (told, not gated)")
            largest[key] = max(largest.get(key, 0.0), finding["difference"])
    copies = {where: "" for where, _ in largest}
    for (where, kind), difference in largest.items():
        copies[where] += f", {kind} {difference:.0e}"
    return [f"gate, {where}: largest differences{text}" for where, text in copies.items()]
