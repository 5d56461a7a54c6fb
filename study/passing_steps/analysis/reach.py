"""How far the networks of recurrent tasks reach: length, input, size, spikes and potentials before training.

python -m study.passing_steps.analysis.reach DATA measures them anew
"""

import sys
from pathlib import Path

from sgbench.composition.compose import compose
from sgbench.recommendation.start import measure_spec
from sgbench.records.base import Amount, Strict, Text
from sgbench.records.files import read_model, to_json, write_atomic
from sgbench.study_runner.definition import load_study
from study.passing_steps.analysis.effects import LONG
from study.passing_steps.analysis.evidence import FIRST, reference_words

FILE, SECOND = "networks.json", "passing_steps"
DIGITS = 4


class NetworksFile(Strict):
    """Holds least and largest value of each property of a task's network, by study and name."""

    studies: dict[Text, dict[Text, dict[Text, tuple[Amount, Amount]]]]


def reach_of(root: Path, study: str, *tasks: str) -> dict[str, tuple[float, float]]:
    """Return the least and the largest value of each property over a study's tasks."""
    known = read_model(root / "study" / SECOND / FILE, NetworksFile).studies[study]
    found = [known[task] for task in tasks or known]
    shared = [name for name in found[0] if all(name in one for one in found)]
    return {name: (min(one[name][0] for one in found), max(one[name][1] for one in found)) for name in shared}


def measure(words: list[str]) -> dict[str, tuple[float, float]]:
    properties = measure_spec(compose(words)).properties
    return {
        name: (float(f"{min(values):.{DIGITS}g}"), float(f"{max(values):.{DIGITS}g}"))
        for name, values in properties.items()
    }


def main() -> int:
    """Measure the networks of both studies with data below the given folder, and write the numbers beside the study."""
    root = Path(__file__).resolve().parents[3]
    first, second = load_study(FIRST).study, load_study(SECOND).study
    data = f"paths.data_dir={sys.argv[1]}"
    long = [*first.tasks[LONG].words, *reference_words(first, root / "study" / FIRST, LONG), data]
    found = {
        FIRST: {LONG: measure(long)},
        SECOND: {task: measure([*second.tasks[task].words, data]) for task in second.blocks["G"].tasks},
    }
    write_atomic(root / "study" / SECOND / FILE, to_json(NetworksFile(studies=found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
