"""`rules`: the time of a batch under each learning rule against back-propagation, and the memory that a batch adds.

All rules run on the same network and the same random spikes, in turn in one process. Memory is measured in a
process of its own for each rule, behind a batch of ten steps that warms it up.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch

from benchmarks import report
from benchmarks.measure import Spread, interleave, limited, ratios
from benchmarks.memory import MIB, ROOT
from sgbench.composition.compose import compose
from sgbench.errors import SgbenchError
from sgbench.signals.spikes import Events
from sgbench.signals.trajectory import Batch
from sgbench.training.build import build
from sgbench.training.memory import peak_bytes, reset_peak

DENSITY = 0.02  # share of input entries that fire
CURRENTS = ("neuron=synaptic", "neuron@readout=synaptic_readout")
CUT = "network.recurrence_gradient=cut"
RULES: dict[str, tuple[str, ...]] = {
    "bptt": ("rule=bptt",),
    "bptt, recurrence cut": ("rule=bptt", CUT),
    "sltt": ("rule=sltt",),
    "bptt, window 10": ("rule=bptt", "rule.window=10"),
    "feedback_alignment": ("rule=feedback_alignment",),
    "dfa": ("rule=dfa",),
    "drtp": ("rule=drtp",),
    "erbp": ("rule=erbp", CUT),
    "etlp": ("rule=etlp", CUT),
    "eprop, unrolled": ("rule=eprop", "rule.form=unrolled", CUT),
    "eprop, random, unrolled": ("rule=eprop", "rule.form=unrolled", "rule.feedback=random", CUT),
    "eprop, online": ("rule=eprop", CUT),
    "local": ("rule=local",),
    "reinforce": ("rule=reinforce", "firing=escape"),
    "forward_gradient": ("rule=forward_gradient",),
    "bptt, synaptic": ("rule=bptt", *CURRENTS),
    "eventprop": ("rule=eventprop", *CURRENTS),
    "event_driven": ("network=event_driven", "init=shifted"),
    "first_spike": ("network=first_spike", "init=shifted"),
}
FEED_FORWARD = ("first_spike",)
"""Networks without recurrence."""
BASELINE = "bptt"
Step = Callable[[], None]


@dataclasses.dataclass(frozen=True)
class RulesSettings:
    """How it is measured."""

    batch: int = 16
    hidden: int = 128
    inputs: int = 100
    steps: int = 100
    rounds: int = 9
    threads: int = 1
    seed: int = 0


def compare(settings: RulesSettings) -> dict[str, Any]:
    """Time and memory of all rules, on a layer without recurrence and on one that is joined all to all.

    Raises:
        SgbenchError: a child failed.
    """
    found = {}
    with limited(settings.threads) as cores:
        load_before = report.load_average()
        for recurrence in ("none", "all_to_all"):
            names = [name for name in RULES if recurrence == "none" or name not in FEED_FORWARD]
            steps = {name: step_of(settings, name, recurrence) for name in names}
            times = interleave(steps, settings.rounds)
            base = times[BASELINE].cpu_ms
            found[recurrence] = {
                name: {
                    "cpu_ms": each.cpu_ms,
                    "times_baseline": dataclasses.asdict(ratios(each.cpu_ms, base)),
                    "added_bytes": _in_child(settings, name, recurrence),
                }
                for name, each in times.items()
            }
    return {
        "settings": dataclasses.asdict(settings),
        "environment": report.environment(),
        "conditions": {"cores": cores, "load_before": load_before},
        "recurrence": found,
    }


def step_of(settings: RulesSettings, name: str, recurrence: str) -> Step:
    """One batch under a rule, gradients only."""
    parts = build(
        compose(
            [
                "dataset=randman",
                "encoder=binned",
                "loss=per_step",
                f"dataset.channels={settings.inputs}",
                f"protocol.steps={settings.steps}",
                f"protocol.batch_size={settings.batch}",
                f"protocol.hidden=[{settings.hidden}]",
                *([] if name in FEED_FORWARD else [f"network.recurrence={recurrence}"]),
                *RULES[name],
            ]
        )
    )
    random = torch.Generator().manual_seed(settings.seed)
    shape = (settings.steps, settings.batch, settings.inputs)
    x = Events.of((torch.rand(shape, generator=random) < DENSITY).float())
    target = torch.randint(parts.network.readout.neurons, (settings.batch,), generator=random)
    lengths = torch.full((settings.batch,), settings.steps)
    batch = Batch(x, target, lengths, torch.arange(settings.batch))

    def step() -> None:
        parts.network.zero_grad()
        for _ in parts.rule.gradients(parts.network, batch, parts.objective):
            pass

    return step


def _in_child(settings: RulesSettings, name: str, recurrence: str) -> int:
    request = json.dumps({"name": name, "recurrence": recurrence, **dataclasses.asdict(settings)})
    command = [sys.executable, "-m", "benchmarks.rules", request]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise SgbenchError(f"memory of {name}: {reason}")
    return int(done.stdout.splitlines()[-1])


def added_bytes(name: str, recurrence: str, settings: RulesSettings) -> int:
    """What a batch adds to the peak of this process."""
    with limited(settings.threads):
        step_of(dataclasses.replace(settings, steps=10), name, recurrence)()
        step = step_of(settings, name, recurrence)
        gc.collect()
        reset_peak()
        before = peak_bytes()
        step()
        return peak_bytes() - before  # type: ignore[operator]


def show(tree: dict[str, Any]) -> str:
    """The result as a table for each recurrence."""
    tables = []
    for recurrence, rules in tree["recurrence"].items():
        rows = []
        for name, each in rules.items():
            times = Spread(**each["times_baseline"])
            rows.append(
                [
                    name,
                    f"{Spread.of(each['cpu_ms']).median:.1f}",
                    f"{times.median:.2f}",
                    f"{times.low:.2f}-{times.high:.2f}",
                    f"{each['added_bytes'] / MIB:.1f}",
                ]
            )
        head = [f"recurrence {recurrence}", "CPU, ms", f"times {BASELINE}", "of rounds", "MiB added"]
        tables.append(report.table(head, rows))
    return "\n\n".join(tables)


def main() -> None:
    """Measure one rule's memory; its request is the only argument."""
    request = json.loads(sys.argv[1])
    name, recurrence = request.pop("name"), request.pop("recurrence")
    print(added_bytes(name, recurrence, RulesSettings(**request)))


if __name__ == "__main__":
    main()
