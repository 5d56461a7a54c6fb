"""`rules`: the time of a batch under each learning rule against back-propagation, and the memory that a batch adds.

All rules run on the same network and the same random spikes, in turn in one process. Memory is measured in a
process of its own for each rule, forked from that one, behind a batch of ten steps that warms it up.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from timeit import timeit
from typing import Any

import torch

from benchmarks import report
from benchmarks.measure import Spread, forked, interleave, limited, ratios
from benchmarks.memory import MIB, give_back
from fastspiking.signals.spikes import SparseSpikes
from fastspiking.signals.trajectory import Batch
from sgbench.composition.compose import compose
from sgbench.training.build import build
from sgbench.training.memory import peak_bytes, reset_peak

WARMING = 3  # batches of a rule before the one that is timed
DENSITY = 0.02  # share of input entries that fire
CURRENTS = ("neuron=synaptic", "neuron@readout=synaptic_readout")
CUT = "network.recurrence_gradient=cut"
SPIKE_TRAINS = ("dataset=spike_patterns", "loss=van_rossum", "neuron@readout=leaky")
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
    "ostl": ("rule=ostl",),
    "ottt": ("rule=ottt", CUT),
    "ottt, online": ("rule=ottt", "rule.form=online", CUT),
    "s_tllr": ("rule=s_tllr", CUT),
    "superspike": ("rule=superspike", *SPIKE_TRAINS, CUT),
    "superspike, online": ("rule=superspike", "rule.form=online", *SPIKE_TRAINS, CUT),
    "local": ("rule=local",),
    "local, online": ("rule=local", "rule.form=online", CUT),
    "frozen": ("rule=frozen",),
    "reinforce": ("rule=reinforce", "firing=escape"),
    "forward_gradient": ("rule=forward_gradient",),
    "bptt, synaptic": ("rule=bptt", *CURRENTS),
    "eventprop": ("rule=eventprop", *CURRENTS),
    "event_driven": ("network=event_driven", "init=shifted"),
    "first_spike": ("network=first_spike", "init=shifted"),
}
"""Of the catalogue all but `rtrl` and `snap1`, oracles for up to 50 neurons, and networks of spike times."""
FEED_FORWARD = ("first_spike",)
"""Networks without recurrence."""
BASELINE = "bptt"
RECURRENCES = ("none", "all_to_all")
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
    recurrence: str | None = dataclasses.field(default=None, metadata={"choices": ("none", "all_to_all")})  # None: both
    lengths: tuple[int, ...] = dataclasses.field(default=(), metadata={"type": int, "nargs": "+", "metavar": "N"})
    """Steps at which memory is measured; none: `steps`."""


def compare(settings: RulesSettings) -> dict[str, Any]:
    """Measure time and memory of all rules, on a layer without recurrence, one that is joined all to all, or both."""
    entries = {}
    with limited(settings.threads) as cores:
        load_before = report.load_average()
        for recurrence in RECURRENCES if settings.recurrence is None else (settings.recurrence,):
            names = [name for name in RULES if recurrence == "none" or name not in FEED_FORWARD]
            steps = {name: step_of(settings, name, recurrence) for name in names}
            # A step of a millisecond is nearly twice as long behind another rule's, whose arrays fill the caches.
            warmed = {name: partial(timeit, step, number=WARMING) for name, step in steps.items()}
            times = interleave(steps, settings.rounds, resets=warmed)
            base = times[BASELINE].cpu_ms
            entries[recurrence] = {
                name: {
                    "cpu_ms": own.cpu_ms,
                    "times_baseline": dataclasses.asdict(ratios(own.cpu_ms, base)),
                    "added_bytes": forked(added_bytes, name, recurrence, settings),  # by number of steps
                }
                for name, own in times.items()
            }
    return {
        "settings": dataclasses.asdict(settings),
        "environment": report.environment(),
        "conditions": {"cores": cores, "load_before": load_before},
        "recurrence": entries,
    }


def step_of(settings: RulesSettings, name: str, recurrence: str) -> Step:
    """Return a function that computes the gradients of one batch under a rule of `RULES`."""
    joined = () if name in FEED_FORWARD else (f"network.recurrence={recurrence}",)
    return step_with(settings, (*joined, *RULES[name]))


def step_with(settings: RulesSettings, words: Sequence[str]) -> Step:
    """Return a function that computes the gradients of one batch; overrides choose the network and the rule."""
    parts = build(
        compose(
            [
                "dataset=randman",
                "encoder=binned",
                "loss=per_step",
                f"protocol.steps={settings.steps}",
                f"protocol.batch_size={settings.batch}",
                f"protocol.hidden=[{settings.hidden}]",
                *words,
                f"dataset.channels={settings.inputs}",
            ]
        )
    )
    random = torch.Generator().manual_seed(settings.seed)
    shape = (settings.steps, settings.batch, settings.inputs)
    x = SparseSpikes.of((torch.rand(shape, generator=random) < DENSITY).float())
    outputs = parts.network.readout.neurons
    target = torch.randint(outputs, (settings.batch,), generator=random)
    if "spikes" in parts.objective.loss.targets:
        trains = (settings.batch, settings.steps, outputs)
        target = (torch.rand(trains, generator=random) < DENSITY).float()
    lengths = torch.full((settings.batch,), settings.steps)
    batch = Batch(x, target, lengths, torch.arange(settings.batch))

    def step() -> None:
        parts.network.zero_grad()
        for _ in parts.rule.gradients(parts.network, batch, parts.objective):
            pass

    return step


def added_bytes(name: str, recurrence: str, settings: RulesSettings) -> dict[str, int]:
    """Measure what a batch adds to the peak memory of this process [bytes], by its number of time steps.

    A batch of ten steps comes first, so that what is loaded or compiled once does not count.
    """
    with limited(settings.threads):
        step_of(dataclasses.replace(settings, steps=10), name, recurrence)()
        return {
            str(steps): added_by(step_of(dataclasses.replace(settings, steps=steps), name, recurrence))
            for steps in settings.lengths or (settings.steps,)
        }


def added_by(step: Step) -> int:
    """Measure what a step adds to the peak memory of this process [bytes]."""
    give_back()
    reset_peak()
    before = peak_bytes()
    step()
    return peak_bytes() - before  # type: ignore[operator]


def show(result: dict[str, Any]) -> str:
    """Write the result of `compare` as the table that the command prints."""
    tables = []
    for recurrence, rules in result["recurrence"].items():
        rows = []
        for name, entry in rules.items():
            times = Spread(**entry["times_baseline"])
            rows.append(
                [
                    name,
                    f"{Spread.of(entry['cpu_ms']).median:.1f}",
                    f"{times.median:.2f}",
                    f"{times.low:.2f}-{times.high:.2f}",
                    *(f"{added / MIB:.1f}" for added in entry["added_bytes"].values()),
                ]
            )
        lengths = rules[BASELINE]["added_bytes"]
        head = [f"recurrence {recurrence}", "CPU, ms", f"times {BASELINE}", "of rounds"]
        head += [f"MiB added, {steps} steps" for steps in lengths]
        tables.append(report.table(head, rows))
    return "\n\n".join(tables)
