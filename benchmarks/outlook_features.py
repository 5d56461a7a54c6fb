"""What a diagnosis of the initial weights says of the networks of finished runs, a JSON line for each network.

    python benchmarks/outlook_features.py pilots RUNS.csv --to pilots.jsonl [--data-dir DIR]
    python benchmarks/outlook_features.py study study/surrogates --block A2 --to a2.jsonl [--data-dir DIR]

The network of each run is made anew with its initial weights, and one batch of its validation split passes
through it forwards and backwards. `benchmarks/outlook.py` judges these lines by what became of the runs. A call
goes on from the lines that are there; runs that differ in their learning rate alone share a network.

Each line of RUNS.csv is a run: proto, depth, rec, rg, shape, width, gain, beta, window, seed, status, acc.
"""

import argparse
import csv
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

SETTING = ("proto", "depth", "rec", "rg", "shape", "width", "gain", "beta", "window")
EXPERIMENTS = {
    "digits_v1": "digits",
    "randman_v1": "randman",
    "delayed_xor_v1": "delayed_xor",
    "braille_delta_v1": "braille_delta",
    "fsdd_v1": "fsdd",
    "sequential_digits_v1": "sequential_digits",
}
CLASSES = {"digits_v1": 10, "randman_v1": 10, "braille_delta_v1": 27, "fsdd_v1": 10, "sequential_digits_v1": 10}
"""Of protocols in which guessing tells dead networks; of two classes it does not."""
ABOVE_CHANCE = 0.02
"""Accuracy beyond that of guessing up to which a run counts as dead."""
OF_LAYERS = (
    "grad_norm",
    "grad_norm_by_step",
    "log_slope_per_step",
    "nonzero_parameters",
    "nonzero_points",
    "gradient_dead_fraction",
    "jacobian_norm",
    "jacobian_radius",
    "in_window_fraction",
    "mean_slope",
    "passing_steps",
    "rate_per_step",
    "dead_fraction",
    "recurrent",
)


class Finished(NamedTuple):
    """One run: what is known of it before and after training, and how it is made again."""

    setting: str  # the same for runs that differ in their seed or learning rate alone
    seed: int
    facts: dict[str, Any]  # depth, gain, width, shape, and whether recurrent gradients flow
    outcome: str
    make: Callable[[], Any]  # a stored run


def outcome(*, failed: bool, accuracy: float | None, classes: int | None) -> str:
    """Return the outcome of a run: "explodes" if it failed, "dead" if it does not beat guessing, else "fine"."""
    if failed:
        return "explodes"
    if classes is not None and accuracy is not None and accuracy <= 1 / classes + ABOVE_CHANCE:
        return "dead"
    return "fine"


def pilots(path: Path, data_dir: str | None) -> Iterator[Finished]:
    """Read a table of runs that were made for another purpose."""
    from sgbench.training.stored_run import stored_run

    with path.open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["proto"] not in EXPERIMENTS or not (row["shape"] and row["width"] and row["beta"]):
            continue
        words = [f"experiment={EXPERIMENTS[row['proto']]}", f"surrogate={row['shape']}"]
        words += [f"seed={row['seed']}", f"width_fwhm={row['width']}", f"init.gain={row['gain']}"]
        words += [f"network.recurrence={row['rec']}", f"network.recurrence_gradient={row['rg']}"]
        words += [f"neuron.beta={row['beta']}", *([f"paths.data_dir={data_dir}"] if data_dir else [])]

        def make(words: list[str] = words, depth: int = int(row["depth"])) -> Any:
            from sgbench.composition.compose import compose

            size = (compose(words).method.protocol.hidden or (128,))[0]
            return stored_run([*words, f"protocol.hidden={[size] * depth}"])

        accuracy = float(row["acc"]) / 100 if row["acc"] else None
        facts = {
            "depth": int(row["depth"]),
            "gain": float(row["gain"]),
            "width": float(row["width"]),
            "shape": row["shape"],
            "recurrent": row["rec"] != "none" and row["rg"] == "full",
        }
        result = outcome(failed=row["status"] == "failed", accuracy=accuracy, classes=CLASSES.get(row["proto"]))
        yield Finished("/".join(row[name] for name in SETTING), int(row["seed"]), facts, result, make)


def of_study(folder: Path, block: str, data_dir: str | None) -> Iterator[Finished]:
    """Read the runs of a block of a study from its store."""
    from sgbench.study_runner.store import Store
    from sgbench.training.stored_run import rebuild_run

    words = [f"paths.data_dir={data_dir}"] if data_dir else []
    for entry in Store(folder, folder.name).entries([block]):
        record, parameters = entry.record, entry.record.method.parameters
        network = parameters["network"]
        is_recurrent = network.get("recurrence", "none") != "none"
        facts = {
            "depth": len(record.method.protocol.hidden or (0,)),
            "gain": parameters["init"].get("gain", 1.0),
            "width": entry.cell["width_fwhm"],
            "shape": entry.cell["surrogate"],
            "recurrent": is_recurrent and network.get("recurrence_gradient", "full") == "full",
        }
        result = outcome(
            failed=record.status == "failed",
            accuracy=None if record.test is None else record.test.accuracy,
            classes=record.classes if record.classes != 2 else None,  # noqa: PLR2004 - see CLASSES
        )

        def make(record: Any = record) -> Any:
            return rebuild_run(Path("stored"), record, overrides=words)

        cell = ",".join(f"{name}={value}" for name, value in sorted(entry.cell.items()) if name != "optimizer.lr")
        yield Finished(f"{entry.task}/{cell}", record.seed, facts, result, make)


def first_seeds(runs: Iterable[Finished], count: int) -> Iterator[Finished]:
    """Yield the runs of the first `count` seeds of each setting."""
    seeds: dict[str, set[int]] = defaultdict(set)
    for run in runs:
        own = seeds[run.setting]
        if run.seed in own or len(own) < count:
            own.add(run.seed)
            yield run


def features(finished: Finished) -> dict[str, Any]:
    """Diagnose a run's initial weights; return the measures `OF_LAYERS` of each layer, and the outlook."""
    from sgbench.training.diagnose import diagnose_run

    diagnosis = diagnose_run(finished.make(), "initial", ("flow", "activity"), 1)
    layers = [{name: getattr(layer, name) for name in OF_LAYERS} for layer in diagnosis.layers]
    for layer, layer_diagnosis in zip(layers, diagnosis.layers, strict=True):
        layer["overflows"] = "not finite" in layer_diagnosis.reasons.get("grad_norm", "")
    return {"layers": layers, "outlook": diagnosis.outlook}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("pilots", "study"))
    parser.add_argument("runs", type=Path)
    parser.add_argument("--block", default="A2", help="of a study, default: A2")
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--data-dir")
    parser.add_argument("--tasks", nargs="*", help="of a study, all by default")
    parser.add_argument("--seeds", type=int, default=2, help="of each setting of a study, default: 2")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    if args.kind == "pilots":
        runs = pilots(args.runs, args.data_dir)
    else:
        runs = first_seeds(of_study(args.runs, args.block, args.data_dir), args.seeds)
        runs = (run for run in runs if not args.tasks or run.setting.split("/")[0] in args.tasks)
    known = set()
    if args.to.is_file():
        lines = map(json.loads, args.to.read_text().splitlines())
        known = {(line["setting"], line["seed"]) for line in lines}
    with args.to.open("a") as file:
        for run in runs:
            if (run.setting, run.seed) not in known:
                known.add((run.setting, run.seed))
                line = {"setting": run.setting, "seed": run.seed, **features(run)}
                file.write(json.dumps(line) + "\n")
                file.flush()


if __name__ == "__main__":
    main()
