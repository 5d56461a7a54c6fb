"""The targets of passing steps and the fixed setting, chosen on the first study's tasks as the registration says.

python -m study.passing_steps.analysis.targets
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from sgbench.records.calibration import Reset
from sgbench.study_runner.definition import load_study
from study.passing_steps.analysis.evidence import FIRST, SHAPES, TaskEvidence, first_entries, read_evidence, read_runs

CANDIDATES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.7, 8.0)
FIXED_WIDTHS = (0.1, 0.2, 0.5, 1.0)
Evidence = Mapping[str, TaskEvidence]


def mean_loss(evidence: Evidence, target: float) -> float:
    return sum(task.loss_at(target) for task in evidence.values()) / len(evidence)


def chosen_target(evidence: Evidence) -> float:
    """Choose the candidate with the least mean loss; of equal ones the least."""
    return min(CANDIDATES, key=lambda target: (round(mean_loss(evidence, target), 9), target))


def without_each(evidence: Evidence) -> Iterator[tuple[str, float, float]]:
    """Yield each task with the target that the others choose, and the points lost with it there."""
    for left_out in evidence:
        target = chosen_target({name: task for name, task in evidence.items() if name != left_out})
        yield left_out, target, evidence[left_out].loss_at(target)


def fixed_losses(evidence: Evidence) -> dict[tuple[str, float], list[float]]:
    """Return what each fixed shape and width loses on each task, where all tasks have it."""
    found = {
        (shape, width): [task.loss(shape, width) for task in evidence.values()]
        for shape in SHAPES
        for width in FIXED_WIDTHS
    }
    return {
        setting: [loss for loss in losses if loss is not None]
        for setting, losses in found.items()
        if None not in losses
    }


def chosen_fixed(evidence: Evidence) -> tuple[str, float]:
    losses = fixed_losses(evidence)
    return min(losses, key=lambda setting: (sum(losses[setting]) / len(losses[setting]), setting))


def lines(evidence: Mapping[Reset, Evidence]) -> Iterator[str]:
    """Yield what targets of passing steps and fixed settings lose, and which are chosen."""
    for reset, tasks in evidence.items():
        yield f"reset {reset}: points lost by target"
        for name, task in tasks.items():
            yield f"  {name}  " + "  ".join(f"{task.loss_at(target):5.1f}" for target in CANDIDATES)
        yield "  mean" + "  ".join(f"{mean_loss(tasks, target):5.2f}" for target in CANDIDATES)
        yield f"  target {chosen_target(tasks):g} of {', '.join(f'{target:g}' for target in CANDIDATES)}"
        for name, target, loss in without_each(tasks):
            yield f"  without {name}: target {target:g}, which loses {loss:.1f} there"
        for (shape, width), losses in fixed_losses(tasks).items():
            each = ", ".join(f"{loss:.1f}" for loss in losses)
            yield f"  fixed {shape} {width:g}: {sum(losses) / len(losses):.2f} ({each})"
    shape, width = chosen_fixed(evidence["attached"])
    yield f"fixed setting: {shape} at {width:g}, reset attached"


def main() -> int:
    """Print what targets of passing steps lose on the first study."""
    root = Path(__file__).resolve().parents[3]
    study = load_study(FIRST).study
    runs = read_runs(root, study, first_entries(root))
    sys.stdout.write("".join(f"{line}\n" for line in lines(read_evidence(root, runs))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
