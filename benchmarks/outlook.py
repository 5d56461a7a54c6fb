r"""Does a diagnosis before training predict which runs will die or explode, better than a rule of thumb?

    python -m benchmarks.outlook --pilots RUNS.csv pilots.jsonl --study study/surrogates A1=a1.jsonl A2=a2.jsonl \
        --also-fit A1 --to benchmarks/results/outlook.json

The lines of features are those of `benchmarks/outlook_features.py`. Half of the pilots' settings fix the two
thresholds; the other half and the study's blocks judge them, beside the rule "quiet, deep and compact: dead;
recurrent and width of at least 1: explodes". Balanced accuracy is the mean over outcomes of the share predicted
correctly; the interval of the difference is a bootstrap in which settings are drawn whole.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.outlook_features import Finished, of_study, pilots
from sgbench.diagnosis.advice import VANISHED

OUTCOMES = ("fine", "dead", "explodes")
DEPTH, QUIET_GAIN, COMPACT, WIDE = 3, 1.0, ("triangle",), 1.0
"""Of the rule of thumb: a depth from which, a gain up to which, shapes without tails, and a width."""
DRAWS = 2000


class Case(NamedTuple):
    """Holds one run: the diagnosis before it, and its outcome."""

    setting: str  # equal for runs that differ in seed or learning rate alone
    outcome: str  # one of `OUTCOMES`
    rule: str  # outcome that the rule of thumb expects
    passing_steps: float  # of the recurrent layer that has most
    points: float  # with a gradient, of the hidden layer that has fewest
    share: float  # of the gradient of the last layer, in the hidden layer that has least
    overflows: bool


class Limits(NamedTuple):
    """Thresholds of the outlook."""

    passing_steps: float
    points: float


def rule_of_thumb(facts: dict[str, Any]) -> str:
    """Return the outcome that the rule of thumb expects; `facts`: those of a `Finished` run."""
    if facts["recurrent"] and facts["width"] >= WIDE:
        return "explodes"
    deep_and_quiet = facts["depth"] >= DEPTH and facts["gain"] <= QUIET_GAIN
    return "dead" if deep_and_quiet and facts["shape"] in COMPACT and facts["width"] <= WIDE else "fine"


def _case(run: Finished, layers: list[dict[str, Any]]) -> Case:
    """Condense the diagnosis of a run's layers, the last of which is the readout."""
    hidden = layers[:-1]
    passing = max(layer["passing_steps"] or 0.0 for layer in hidden)
    points = min(layer["nonzero_points"] or 0.0 for layer in hidden)
    last = layers[-1]["grad_norm"]
    share = min(layer["grad_norm"] or 0.0 for layer in hidden) / last if last else 0.0
    overflows = any(layer["overflows"] for layer in layers)
    return Case(run.setting, run.outcome, rule_of_thumb(run.facts), passing, points, share, overflows)


def joined(runs: Iterable[Finished], path: Path) -> list[Case]:
    """Join runs with the lines of features in a file; runs without a line are left out."""
    lines = map(json.loads, path.read_text().splitlines())
    layers = {(line["setting"], line["seed"]): line["layers"] for line in lines}
    return [_case(run, layers[run.setting, run.seed]) for run in runs if (run.setting, run.seed) in layers]


def predicted(cases: list[Case], limits: Limits, *, vanished: float = VANISHED) -> np.ndarray:
    """Predict the outcome of each case by the thresholds; `vanished`, the rounding of float32, is not fitted."""
    outcomes = []
    for run_case in cases:
        explodes = run_case.overflows or run_case.passing_steps > limits.passing_steps
        dead = run_case.points < limits.points or run_case.share < vanished
        outcomes.append("explodes" if explodes else "dead" if dead else "fine")
    return np.array(outcomes)


def _balanced(truth: np.ndarray, predictions: np.ndarray) -> float:
    """Compute the balanced accuracy: the mean over outcomes of the share of their runs that is predicted right."""
    shares = [(predictions[truth == outcome] == outcome).mean() for outcome in OUTCOMES if (truth == outcome).any()]
    return float(np.mean(shares))


def _fitted(cases: list[Case]) -> Limits:
    """Find the thresholds with the best balanced accuracy on a grid; of equally good ones the median of each."""
    truth = np.array([run_case.outcome for run_case in cases])
    points = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 5e-2)
    grid = [Limits(*pair) for pair in itertools.product(np.arange(10.0, 80.0, 2.0), points)]
    scores = np.array([_balanced(truth, predicted(cases, limits)) for limits in grid])
    best = np.array(grid)[scores >= scores.max() - 1e-9]
    return Limits(*map(float, np.quantile(best, 0.5, axis=0, method="lower")))


def _difference(truth: np.ndarray, first: np.ndarray, second: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Compute the 95 % bootstrap interval of the difference in balanced accuracy of two predictions.

    All arrays have an entry for each run; `groups` are settings, which are drawn with all of their runs.
    """
    generator = np.random.default_rng(0)
    names = np.unique(groups)
    members = {name: np.flatnonzero(groups == name) for name in names}
    differences = []
    for _ in range(DRAWS):
        drawn = np.concatenate([members[name] for name in generator.choice(names, len(names))])
        differences.append(_balanced(truth[drawn], first[drawn]) - _balanced(truth[drawn], second[drawn]))
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(low), float(high)


def _matrix(truth: np.ndarray, predictions: np.ndarray) -> dict[str, dict[str, int]]:
    """Count the runs by true outcome, then by predicted outcome."""
    return {
        outcome: {other: int(((truth == outcome) & (predictions == other)).sum()) for other in OUTCOMES}
        for outcome in OUTCOMES
        if (truth == outcome).any()
    }


def _judged(cases: list[Case], limits: Limits) -> dict[str, Any]:
    """Compare the outlook, with and without the sizes of gradients, and the rule of thumb with the outcomes."""
    truth, rule, groups = (np.array([getattr(case, name) for case in cases]) for name in ("outcome", "rule", "setting"))
    without_sizes = predicted(cases, limits, vanished=0.0)
    return against_thumb(groups, truth, predicted(cases, limits), rule) | {
        "without_the_size_of_gradients": {
            "balanced_accuracy": _balanced(truth, without_sizes),
            "difference_95": _difference(truth, without_sizes, rule, groups),
        }
    }


def against_thumb(groups: np.ndarray, truth: np.ndarray, outlook: np.ndarray, rule: np.ndarray) -> dict[str, Any]:
    """Compare the predictions of the outlook and of the rule of thumb with the outcomes; `groups`: settings of runs."""
    return {
        "runs": len(truth),
        "settings": len(set(groups)),
        "outlook": {"balanced_accuracy": _balanced(truth, outlook), "told": _matrix(truth, outlook)},
        "rule_of_thumb": {"balanced_accuracy": _balanced(truth, rule), "told": _matrix(truth, rule)},
        "difference_95": _difference(truth, outlook, rule, groups),
    }


def write(results: dict[str, Any], path: Path | None) -> None:
    """Print results as JSON, and write them to a file unless it is None."""
    text = json.dumps(results, indent=1) + "\n"
    if path:
        path.write_text(text)
    sys.stdout.write(text)


def _fitted_and_judged(fitting: list[Case], judging: dict[str, list[Case]]) -> dict[str, Any]:
    """Fix the thresholds on some runs and judge them on others."""
    limits = _fitted(fitting)
    return {"limits": limits._asdict()} | {name: _judged(cases, limits) for name, cases in judging.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pilots", type=Path, nargs=2, required=True, metavar=("RUNS", "FEATURES"))
    parser.add_argument("--study", nargs="+", default=[], metavar="FOLDER BLOCK=FEATURES")
    parser.add_argument("--to", type=Path)
    parser.add_argument("--also-fit", metavar="BLOCK", help="a block that then fixes the thresholds too")
    args = parser.parse_args()
    cases = joined(pilots(args.pilots[0], None), args.pilots[1])
    settings = sorted({run_case.setting for run_case in cases})
    first, other = ([case for case in cases if case.setting in settings[start::2]] for start in (0, 1))
    judging = {"pilots, other half": other}
    for block, path in (pair.split("=", 1) for pair in args.study[1:]):
        judging[f"study, block {block}"] = joined(of_study(Path(args.study[0]), block, None), Path(path))
    results = {"half of the pilots": _fitted_and_judged(first, judging)}
    if args.also_fit:
        fitting = judging.pop(f"study, block {args.also_fit}")
        results[f"half of the pilots, and {args.also_fit}"] = _fitted_and_judged([*first, *fitting], judging)
    write(results, args.to)


if __name__ == "__main__":
    main()
