"""Does a diagnosis before training tell which runs will die or explode? Measured on finished runs.

    python benchmarks/diagnose_pilots.py RUNS.csv --out features.csv [--data-dir DIR]

Each line of RUNS.csv is a run: proto, depth, rec, rg, shape, width, gain, beta, window, seed, status,
acc. The network of each is made anew with its initial weights, and one batch of its validation split passes through
it. Half of the settings fix three thresholds; the confusion matrix is that of the other half, beside the rule
"quiet, deep and compact: dead; recurrent and width of at least 1: explodes".
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = ("fine", "dead", "explodes")
SETTING = ("proto", "depth", "rec", "rg", "shape", "width", "gain", "beta", "window")
EXPERIMENTS = {
    "digits_v1": "digits",
    "randman_v1": "randman",
    "delayed_xor_v1": "delayed_xor",
    "braille_delta_v1": "braille_delta",
    "fsdd_v1": "fsdd",
    "sequential_digits_v1": "sequential_digits",
}
CHANCE = {
    "digits_v1": 10.0,
    "randman_v1": 10.0,
    "braille_delta_v1": 100 / 27,
    "fsdd_v1": 10.0,
    "sequential_digits_v1": 10.0,
}
"""Accuracy of guessing [%]; with two classes it tells nothing of dead networks."""


def outcome(row: dict[str, str]) -> str:
    """Say what came of a run: a failure, silence at the level of guessing, or anything else."""
    if row["status"] == "failed":
        return "explodes"
    chance = CHANCE.get(row["proto"])
    if chance is not None and row["acc"] and float(row["acc"]) <= chance + 2:
        return "dead"
    return "fine"


def trivial(row: dict[str, str]) -> str:
    """Say what the rule of thumb expects."""
    if row["rec"] != "none" and row["rg"] == "full" and float(row["width"]) >= 1:
        return "explodes"
    if int(row["depth"]) >= 3 and float(row["gain"]) <= 1 and row["shape"] == "triangle":  # noqa: PLR2004
        return "dead" if float(row["width"]) <= 1 else "fine"
    return "fine"


def features(row: dict[str, str], data_dir: str | None) -> dict[str, Any]:
    """Diagnose the initial weights of one run with one batch."""
    from sgbench.composition.compose import compose
    from sgbench.diagnosis.panels import diagnose_network
    from sgbench.signals.streams import generator
    from sgbench.training.build import build
    from sgbench.training.epochs import Epochs

    words = [f"experiment={EXPERIMENTS[row['proto']]}", f"surrogate={row['shape']}", f"seed={row['seed']}"]
    words += [f"width_fwhm={row['width']}", f"init.gain={row['gain']}", f"network.recurrence={row['rec']}"]
    words += [f"network.recurrence_gradient={row['rg']}", f"neuron.beta={row['beta']}"]
    if data_dir:
        words.append(f"paths.data_dir={data_dir}")
    plain = compose(words)
    (size, *_) = plain.method.protocol.hidden or (128,)
    spec = compose([*words, f"protocol.hidden={[size] * int(row['depth'])}"])
    parts = build(spec)
    parts.data.setup()
    batches = list(itertools.islice(parts.data.evaluation("validation"), 1))
    Epochs(parts.steepness, 1, spec.seed).begin(parts.network, "train", 0)
    found = diagnose_network(
        parts.network,
        None,
        batches,
        parts.objective,
        generator=generator(spec.seed, "diagnosis"),
        panels=("flow", "activity"),
        weights_name="initial",
        split="validation",
    )
    hidden = found.layers[:-1]
    return {
        "growth": max(layer.log_slope_per_step or -9.0 for layer in hidden),
        "reached": min(layer.nonzero_parameters or 0.0 for layer in hidden),
        "points": min(layer.nonzero_points or 0.0 for layer in hidden),
        "radius": max(layer.jacobian_radius or 0.0 for layer in hidden),
        "norm": max((layer.jacobian_norm or 0.0) * bool(layer.recurrent) for layer in hidden),
        "first_norm": hidden[0].grad_norm if hidden[0].grad_norm is not None else float("inf"),
        "last_norm": found.layers[-1].grad_norm or 0.0,
        "slope": max(layer.mean_slope or 0.0 for layer in hidden),
        "quiet": min(layer.rate_per_step or 0.0 for layer in hidden),
        "steps": spec.method.protocol.steps,
        "told": found.outlook,
    }


def collect(rows: list[dict[str, str]], out: Path, data_dir: str | None) -> list[dict[str, Any]]:
    """Diagnose every network once, going on from what is in the file."""
    known: dict[str, dict[str, Any]] = {}
    if out.is_file():
        known = {line["key"]: line for line in map(json.loads, out.read_text().splitlines())}
    with out.open("a") as file:
        for row in rows:
            key = "/".join([*(row[name] for name in SETTING), row["seed"]])
            if key not in known:
                known[key] = {"key": key, **features(row, data_dir)}
                file.write(json.dumps(known[key]) + "\n")
                file.flush()
    return [known["/".join([*(row[name] for name in SETTING), row["seed"]])] for row in rows]


def balanced(truth: np.ndarray, told: np.ndarray) -> float:
    """Return the mean over classes of the share that is told right."""
    return float(np.mean([(told[truth == each] == each).mean() for each in CLASSES if (truth == each).any()]))


def predicted(found: list[dict[str, Any]], limits: tuple[float, float, float]) -> np.ndarray:
    """Apply three thresholds: of the Jacobian's norm, of the mean slope and of the points with a gradient."""
    norm, slope, points = limits
    told = []
    for each in found:
        explodes = (each["norm"] > norm and each["slope"] > slope) or not np.isfinite(each["first_norm"])
        told.append("explodes" if explodes else "dead" if each["points"] < points else "fine")
    return np.array(told)


def fitted(found: list[dict[str, Any]], truth: np.ndarray) -> tuple[float, float, float]:
    """Return the thresholds of the best balanced accuracy; of equal ones the median of each."""
    norms, slopes = np.arange(0.90, 1.11, 0.02), np.arange(0.0, 0.91, 0.05)
    grid = list(itertools.product(norms, slopes, (1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 5e-2)))
    scores = np.array([balanced(truth, predicted(found, limits)) for limits in grid])
    best = np.array(grid)[scores >= scores.max() - 1e-9]
    norm, slope, points = np.quantile(best, 0.5, axis=0, method="lower")
    return float(norm), float(slope), float(points)


def matrix(truth: np.ndarray, told: np.ndarray) -> str:
    """Write a confusion matrix, a line for each outcome."""
    lines = ["outcome    " + "".join(f"{each:>10}" for each in CLASSES)]
    for each in CLASSES:
        counts = "".join(f"{int(((truth == each) & (told == other)).sum()):>10}" for other in CLASSES)
        lines.append(f"{each:<11}{counts}")
    return "\n".join(lines)


def difference(
    truth: np.ndarray, first: np.ndarray, second: np.ndarray, groups: np.ndarray
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the difference in balanced accuracy, settings drawn whole."""
    draws = np.random.default_rng(0)
    names = np.unique(groups)
    members = {name: np.flatnonzero(groups == name) for name in names}
    found = []
    for _ in range(2000):
        drawn = np.concatenate([members[name] for name in draws.choice(names, len(names))])
        found.append(balanced(truth[drawn], first[drawn]) - balanced(truth[drawn], second[drawn]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Collect, fit on one half, tell on the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data-dir")
    args = parser.parse_args()
    with args.runs.open() as file:
        every = list(csv.DictReader(file))
    rows = [
        row for row in every if row["proto"] in EXPERIMENTS and row["shape"] and row["width"] and row["beta"]
    ]
    found = collect(rows, args.out, args.data_dir)
    truth = np.array([outcome(row) for row in rows])
    groups = np.array(["/".join(row[name] for name in SETTING) for row in rows])
    half = {name: place % 2 for place, name in enumerate(sorted(set(groups)))}
    first = np.array([half[name] == 0 for name in groups])
    limits = fitted([each for each, own in zip(found, first, strict=True) if own], truth[first])
    told = predicted(found, limits)
    rule = np.array([trivial(row) for row in rows])
    low, high = difference(truth[~first], told[~first], rule[~first], groups[~first])
    write = sys.stdout.write
    write(
        f"{len(rows)} runs of {len(half)} settings; thresholds: norm of the Jacobian {limits[0]:.2f}, "
        f"mean slope {limits[1]:.2f}, points {limits[2]:g}\n"
    )
    for name, values in (("diagnosis", told), ("rule of thumb", rule)):
        write(
            f"\n{name}: balanced accuracy {balanced(truth[~first], values[~first]):.3f} on the other half\n"
        )
        write(matrix(truth[~first], values[~first]) + "\n")
    write(f"\ndifference in balanced accuracy, 95 %: {low:+.3f} to {high:+.3f}\n")


if __name__ == "__main__":
    main()
