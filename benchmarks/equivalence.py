"""`equivalence`: in float32, do replicas come to the same accuracy as runs alone?

Weights that move together are rounded in another order than weights that move alone, and a spike that rounding
turns over changes everything after it. In float64 the tests compare digit by digit; here two one-sided t-tests
(Schuirmann 1987) on test accuracies, paired by seed, ask whether the mean difference lies within a margin.
"""

import dataclasses
import tempfile
from typing import Any

import numpy as np
from scipy import stats

from benchmarks import report
from sgbench.composition.plan import plan
from sgbench.errors import InputError, require_count
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.replicas.group_worker import GroupWorker
from sgbench.replicas.messages import WorkerMessage
from sgbench.training.runner import run_spec

LEVEL = 0.05


@dataclasses.dataclass(frozen=True)
class EquivalenceSettings:
    """What is compared."""

    seeds: int = 20
    epochs: int = 30
    margin: float = 0.01


def compare(settings: EquivalenceSettings) -> dict[str, Any]:
    """Train every seed alone and among the others."""
    require_count("--seeds", settings.seeds, low=2)
    if not settings.margin > 0:
        raise InputError(f"--margin={settings.margin:g}: a difference above 0 is needed, e.g. 0.01")
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        together = _together(_specs(settings, one))
        alone = [run_spec(spec) for spec in _specs(settings, other)]
    accuracies = [[_accuracy(record) for record in records] for records in (alone, together)]
    differences = np.subtract(accuracies[1], accuracies[0])
    return {
        "command": "equivalence",
        "settings": dataclasses.asdict(settings),
        "environment": report.environment(),
        "alone": accuracies[0],
        "together": accuracies[1],
        **verdict(differences, settings.margin),
    }


def _specs(settings: EquivalenceSettings, folder: str) -> tuple[RunSpec, ...]:
    words = ["experiment=digits", "trainer.progress=false", f"paths.runs_dir={folder}"]
    words += [f"protocol.epochs={settings.epochs}", f"seed={','.join(map(str, range(settings.seeds)))}"]
    return plan(words, multirun=True).specs


def _together(specs: tuple[RunSpec, ...]) -> list[RunRecord]:
    messages: list[WorkerMessage] = []
    GroupWorker(list(enumerate(specs)), messages.append, lambda: False).run()
    records = {message.point: message.record for message in messages if message.record is not None}
    return [records[place] for place in range(len(specs))]


def _accuracy(record: RunRecord) -> float:
    if record.test is None:
        raise RuntimeError(f"a run failed: {record.failure}")
    return record.test.accuracy


def verdict(differences: np.ndarray, margin: float) -> dict[str, Any]:
    """Mean, its 90 % interval, and whether both one-sided tests at 5 % reject a difference beyond the margin.

    >>> verdict(np.array([0.001, -0.001, 0.0, 0.002]), 0.01)["equivalent"]
    True
    >>> verdict(np.array([0.02, -0.03, 0.04, -0.01]), 0.01)["equivalent"]
    False
    """
    mean, error = float(differences.mean()), float(stats.sem(differences))
    half = float(stats.t.ppf(1 - LEVEL, len(differences) - 1)) * error
    return {
        "mean_difference": mean,
        "interval_90": [mean - half, mean + half],
        "margin": margin,
        "equal_runs": int((differences == 0).sum()),
        "equivalent": bool(-margin < mean - half and mean + half < margin),
    }


def show(tree: dict[str, Any]) -> str:
    """The verdict in words."""
    low, high = (100 * end for end in tree["interval_90"])
    settings = tree["settings"]
    alone, together = (100 * float(np.mean(tree[name])) for name in ("alone", "together"))
    answer = "equivalent" if tree["equivalent"] else "NOT shown to be equivalent"
    return "\n".join(
        [
            f"digits, float32, {settings['epochs']} epochs, {settings['seeds']} seeds, alone and among the others",
            report.head_line(tree),
            "",
            f"test accuracy alone {alone:.2f} %, together {together:.2f} %; {tree['equal_runs']} of "
            f"{settings['seeds']} pairs are equal",
            f"mean difference {100 * tree['mean_difference']:+.3f} points, 90 % interval [{low:+.3f}, {high:+.3f}]",
            f"within {100 * tree['margin']:g} points (two one-sided t-tests at 5 %): {answer}",
        ]
    )
