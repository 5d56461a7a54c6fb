"""From where to where the networks of both studies' recurrent tasks reach: length, input, size, passing steps.

python -m study.passing_steps.analysis.reach DATA measures them anew
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from sgbench.composition.compose import compose
from sgbench.recommendation.start import FIRST_TRY, measured_start
from sgbench.recommendation.tries import Reach
from sgbench.records.base import Amount, Positive, Strict, Text
from sgbench.records.files import read_model, to_json, write_atomic
from sgbench.study.definition import load_study
from sgbench.training.calibration import measure_first_pass
from study.passing_steps.analysis.evidence import FIRST, TASKS, reference_words

FILE, SECOND = "networks.json", "passing_steps"


class TaskNetwork(Strict):
    """Holds what the network of one task is like at the setting that is tried first."""

    steps: Positive
    channels: Positive
    neurons: Positive
    layers: Positive
    passing_steps: Amount
    analogue: bool


class NetworksFile(Strict):
    """Holds the networks of tasks, by study and name."""

    studies: dict[Text, dict[Text, TaskNetwork]]


def reach_of(root: Path, *, decided: bool) -> Reach:
    """Return how far the tasks reach whose losses are told: the first study's, and then the second's.

    Args:
        root: of the checkout.
        decided: whether the second study has decided which way is the rule.

    Raises:
        InputError: the file is damaged or missing.
    """
    known = read_model(root / "study" / SECOND / FILE, NetworksFile).studies
    tasks = [*known[FIRST].values(), *(known[SECOND].values() if decided else ())]

    def ends(name: str) -> tuple[float, float]:
        values = [getattr(task, name) for task in tasks]
        return min(values), max(values)

    names = ("steps", "channels", "neurons", "layers", "passing_steps")
    return Reach.model_validate(
        {**{name: ends(name) for name in names}, "analogue": any(task.analogue for task in tasks)}
    )


def measure(words: Iterable[str]) -> TaskNetwork:
    """Measure the network of a task in one forward pass before training.

    Args:
        words: of a run.

    Raises:
        InputError: data are missing.
    """
    spec = compose([*words, *FIRST_TRY])
    seen = measure_first_pass(spec)
    start = measured_start(seen, spec.method.protocol.steps, len(spec.method.protocol.hidden or ()))
    return TaskNetwork(
        steps=start.steps,
        channels=start.channels or 1,
        neurons=start.neurons or 1,
        layers=start.layers or 1,
        passing_steps=float(f"{start.passing_steps or 0.0:.4g}"),
        analogue=bool(start.analogue),
    )


def main() -> int:
    """Measure all networks with data from the folder that is named, and write them beside the records."""
    root = Path(__file__).resolve().parents[3]
    found: dict[str, dict[str, TaskNetwork]] = {}
    counting = load_study(SECOND).study.blocks["G"].tasks
    for name, tasks in ((FIRST, TASKS), (SECOND, counting)):
        study = load_study(name).study
        found[name] = {
            task: measure(
                [
                    *study.tasks[task].words,
                    *(reference_words(study, root / "study" / FIRST, task) if name == FIRST else ()),
                    f"paths.data_dir={sys.argv[1]}",
                ]
            )
            for task in tasks
        }
    write_atomic(root / "study" / SECOND / FILE, to_json(NetworksFile(studies=found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
