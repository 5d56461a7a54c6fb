"""`engine` and `peers`: gate, then times in turn, then a table."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks import contenders_sgbench, contenders_snntorch, gate, peers, report, roofline
from benchmarks.contender import Build, Contender
from benchmarks.measure import Spread, Times, interleave, limited, neighbour, ratios
from benchmarks.workloads import Sizes, Task, make_task
from sgbench.training.memory import keep_freed_memory

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
        BASELINE: partial(contenders_snntorch.build, hoisted=False),
        "snntorch, hoisted": partial(contenders_snntorch.build, hoisted=True),
        **{name: peer.build for name, peer in peers.PEERS.items()},
        **{f"sgbench {name}": partial(contenders_sgbench.build, engine=name) for name in ENGINES},
    }


def builds(*, with_peers: bool) -> dict[str, Build]:
    left_out = peers.missing() if with_peers else peers.PEERS
    return {name: build for name, build in every_build().items() if name not in left_out}


def compare(settings: Settings, *, with_peers: bool) -> dict[str, Any]:
    with limited(settings.threads) as cores, neighbour(busy=settings.busy):
        memory_kept = not settings.default_allocator and keep_freed_memory()
        load_before = report.load_average()
        chosen = builds(with_peers=with_peers)
        task, contenders, rates, findings = _checked(settings, chosen)
        steps: dict[str, Any] = {name: contender.step for name, contender in contenders.items()}
        if settings.workload == "w2":
            steps[LIMIT] = roofline.products_of(task)
        resets = {name: contender.reset for name, contender in contenders.items()}
        times = interleave(steps, settings.rounds, resets=resets)
        limits = roofline.machine(task.dtype)
        load_after = report.load_average()
    return {
        "command": "peers" if with_peers else "engine",
        "workload": settings.workload,
        "sizes": dataclasses.asdict(settings.sizes),
        "settings": {
            **{name: getattr(settings, name) for name in ("threads", "rounds", "precision", "seed", "busy")},
            "freed_memory_kept": memory_kept,
            "cores": cores,
        },
        "environment": report.environment(),
        "load_before": load_before,
        "load_after": load_after,
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
