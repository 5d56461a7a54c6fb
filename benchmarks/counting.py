"""`counting`: what exact counts of operations add to an evaluation, encoding and scores included.

Each batch is evaluated and then counted, so that both meet the same moment of the machine; a round is a pass over
a validation split: that of digits, or 256 samples of as many channels and steps as a spiking data set has.
"""

import dataclasses
from typing import Any

from benchmarks import report
from benchmarks.measure import Clock, Spread, Times, limited, ratios
from benchmarks.whole_run import CONF, TARGET
from benchmarks.whole_run_data import task_words
from sgbench.composition.compose import compose
from sgbench.records.spec import RunSpec
from sgbench.training.build import build
from sgbench.training.epoch_loop import Training
from sgbench.training.memory import keep_freed_memory

AIM = 0.1  # of the evaluation
CASES = {
    "latency code, dense layers": (),
    "analogue input": ("encoder=direct",),
    "recurrent": ("network.recurrence=all_to_all",),
    "three layers": ("protocol.hidden=[64,64,64]",),
    "256 neurons": ("protocol.hidden=[256]",),
    "convolutions": ("network=conv",),
    "convolutions, analogue input": ("network=conv", "encoder=direct"),
    "delays": ("network=delayed",),
}
SPIKING = "100 steps of 700 channels"
"""A case with the sizes of a spiking data set, 1 % of whose inputs fire."""


@dataclasses.dataclass(frozen=True)
class CountingSettings:
    """How it is measured."""

    batch: int = 64
    rounds: int = 30
    threads: int = 1
    default_allocator: bool = False


def compare(settings: CountingSettings) -> dict[str, Any]:
    """Measure all of `CASES`, and one of the size of a spiking data set."""
    with limited(settings.threads) as cores:
        memory_kept = not settings.default_allocator and keep_freed_memory()
        load_before = report.load_average()
        digits = ["experiment=digits", f"protocol.batch_size={settings.batch}"]
        cases = {name: _case(words, compose([*digits, *words]), settings) for name, words in CASES.items()}
        words = tuple(task_words(settings.batch, hidden=64, epochs=1))
        spec = compose(words, config_dirs=[CONF], allow_targets=[TARGET])
        cases[SPIKING] = _case(words, spec, settings)
    return {
        "settings": dataclasses.asdict(settings),
        "environment": report.environment(),
        "conditions": {"cores": cores, "freed_memory_kept": memory_kept, "load_before": load_before},
        "cases": cases,
    }


def _case(words: tuple[str, ...], spec: RunSpec, settings: CountingSettings) -> dict[str, Any]:
    """Measure the CPU time [ms] of a validation and of its counts in each round, and the ratio of the two."""
    parts = build(spec)
    parts.data.setup()
    training = Training(parts, spec.method, spec.seed, made_by={})
    training.begin_epoch(0)
    evaluation, counts = Times(), Times()
    for _ in range(settings.rounds + 1):
        training.begin_scoring("validation", selected=False)
        evaluation_ms = counting_ms = 0.0
        clock = Clock()
        for batch in parts.data.evaluation("validation"):
            trajectory, logits, loss = training.loop.evaluate(batch)
            training.evaluation.update(batch, trajectory, logits, loss)
            evaluation_ms += clock.read_ms()[0]
            clock = Clock()
            training.counter.update(batch, trajectory)
            counting_ms += clock.read_ms()[0]
            clock = Clock()  # making the next batch belongs to the evaluation
        evaluation.cpu_ms.append(evaluation_ms)
        counts.cpu_ms.append(counting_ms)
    warm = slice(1, None)  # without the first round, which compiles
    share = ratios(counts.cpu_ms[warm], evaluation.cpu_ms[warm])
    return {
        "words": list(words),
        "evaluation_ms": evaluation.cpu_ms[warm],
        "counting_ms": counts.cpu_ms[warm],
        "share": dataclasses.asdict(share),
    }


def show(result: dict[str, Any]) -> str:
    """Write the result of `compare` as the table that the command prints."""
    rows = []
    for name, case in result["cases"].items():
        evaluation, counting = (Spread.of(case[f"{part}_ms"]) for part in ("evaluation", "counting"))
        share = Spread(**case["share"])
        rows.append(
            [
                name,
                f"{evaluation.median:.2f}",
                f"{counting.median:.2f}",
                f"{100 * share.median:.1f}",
                f"{100 * share.low:.1f}-{100 * share.high:.1f}",
            ]
        )
    head = ["of a validation, CPU", "evaluation, ms", "counting, ms", "share, %", "of rounds, %"]
    return f"{report.table(head, rows)}\n\nat most {100 * AIM:g} % is the aim"
