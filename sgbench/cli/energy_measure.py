"""`sgbench energy validate | train | decide | meter`: prices beside measurements, and what this machine spent."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import load

from sgbench.cli import energy
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.energy.decision import Decision, DecisionTimes
from sgbench.energy.interval import BoundedValue
from sgbench.energy.meter import Metered, meters
from sgbench.energy.price import price
from sgbench.energy.text import amount, joules_interval
from sgbench.energy.training_cost import TrainingCost, training_cost
from sgbench.energy.validate import EnergyVerdict, load_cases, validate
from sgbench.errors import InputError, require_number
from sgbench.inspection.stored_run import run_of
from sgbench.paths import WEIGHTS
from sgbench.records.files import read_bytes, write_atomic
from sgbench.records.learning import Learning
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.tables import aligned, markdown
from sgbench.training.build import build
from sgbench.training.course import Training
from sgbench.training.learning import learning_of
from sgbench.training.run_folder import finished_record, folder_of

BEGIN, END = "<!-- energy:validate -->", "<!-- /energy -->"


def answer_validate(args: argparse.Namespace) -> int:
    """Print predictions beside measurements; a case that fails is a finding about prices, not an error."""
    verdicts = validate(load_cases(args.config_dir), energy.pick([], args.config_dir))
    if args.json:
        energy.say_json([{**asdict(each), "ratio": each.ratio, "inside": each.inside} for each in verdicts])
    elif args.update is not None:
        update(args.update, validation_markdown(verdicts))
    elif args.markdown:
        energy.say(validation_markdown(verdicts))
    else:
        energy.say([*aligned(rows(verdicts), words=8), "", summary(verdicts)])
    return 0


def rows(verdicts: Sequence[EnergyVerdict]) -> list[list[str]]:
    """Build the rows of the table of predictions beside measurements, its head first."""
    head = ["case", "what", "target", "predicted", "measured", "ratio", "inside", "likely missing"]
    return [
        head,
        *[
            [
                each.case,
                each.label,
                each.target,
                amount(each.predicted_nj, each.per),
                amount(each.measured_nj, each.per),
                f"{each.ratio:.3g}",
                "yes" if each.inside else "NO",
                each.why or "",
            ]
            for each in verdicts
        ],
    ]


def summary(verdicts: Sequence[EnergyVerdict]) -> str:
    """Describe how many published measurements the predictions agree with."""
    inside = sum(each.inside for each in verdicts)
    return f"{inside} of {len(verdicts)} predictions hold; ratio: predicted over measured"


def validation_markdown(verdicts: Sequence[EnergyVerdict]) -> list[str]:
    """Write the table of predictions beside measurements in Markdown, as the documentation shows it."""
    head, *body = rows(verdicts)
    return [*markdown(head, body, numbers=[5]).splitlines(), "", summary(verdicts) + "."]


def update(path: Path, lines: Sequence[str]) -> None:
    """Write the table between its markers in a document.

    Raises:
        InputError: the document cannot be read, or has no markers.
    """
    text = read_bytes(path).decode()
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise InputError(f"{path}: the markers {BEGIN} and {END} are needed, the table goes between them")
    table = "".join(f"{line}\n" for line in lines)
    write_atomic(path, f"{head}{BEGIN}\n{table}{END}{tail}".encode())


def answer_train(args: argparse.Namespace) -> int:
    """Print the products, seconds and bytes that a record's training took."""
    record, _ = energy.read_record(args.record)
    found = training_cost(record, _learning(record, args), _sizes(record, args))
    if args.json:
        host = [each.model_dump() for each in record.host_energy or ()]
        tree = {"total": found.total, "per_second": found.per_second, "host_energy": host}
        energy.say_json({**asdict(found), **tree})
    else:
        energy.say([*report(found), *_host(record)])
    return 0


def _learning(record: RunRecord, args: argparse.Namespace) -> Learning | None:
    """Return what the rule takes to learn; for a record older than that field, by rebuilding its network."""
    if record.learning is not None or record.counts is None:
        return record.learning
    parts = run_of(args.record, record, config_dirs=args.config_dir).parts
    return learning_of(parts.network, parts.rule, record.method, record.counts)


def _sizes(record: RunRecord, args: argparse.Namespace) -> dict[str, int]:
    """Count the samples of each split, as the catalogue states them."""
    name = record.method.choices["dataset"]
    sizes = catalogue.entry("dataset", name, args.config_dir).meta.get("sizes")
    if not isinstance(sizes, dict) or not {"train", "validation"} <= set(sizes):
        raise InputError(f"data set '{name}': its entry does not state meta.sizes")
    return sizes


def report(found: TrainingCost) -> list[str]:
    """Write the table of a training's cost, and a line about what was measured."""
    rows = [["multiply-accumulates", "of the whole training", "share, %"]]
    for name in ("forward", "weight_gradients", "input_gradients", "validation", "total"):
        number = getattr(found, name)
        share = f"{100 * number / found.total:.1f}" if found.total else "-"
        rows.append([name.replace("_", " "), f"{number:.4g}", share])
    rate = "" if found.per_second is None else f", {found.per_second:.3g} multiply-accumulates a second"
    memory = "not measured" if found.peak_bytes is None else f"{found.peak_bytes / 2**20:.0f} MiB"
    backward = f"{found.adjoint_updates:.4g} updates of neurons backward"
    return [
        *aligned(rows, words=1),
        "",
        f"{found.epochs} epochs of {found.samples} samples, {backward}",
        f"took {found.seconds:.3g} s{rate}; peak memory {memory}",
        f"the rule holds {found.memory_bytes / 2**20:.3g} MiB to learn from a batch",
    ]


def _host(record: RunRecord) -> list[str]:
    """Describe what the host's meters counted, idle power included."""
    if record.host_energy is None:
        return [
            "host energy: not available (no meter that could be read, or not this run alone from its start)"
        ]
    return [
        f"host energy, {each.meter}: {each.fit_j:.4g} J to train, {each.test_j:.4g} J to test, idle included"
        for each in record.host_energy
    ]


MOST_ROWS = 12


def answer_decide(args: argparse.Namespace) -> int:
    """Print accuracy and cost of an answer after each step, and at each confidence."""
    spec = compose(args.words, config_dirs=args.config_dir, allow_targets=args.allow_target)
    (target,) = energy.pick([args.target], args.config_dir).values()
    found = decide(spec, tuple(args.confidence or (0.5, 0.9, 0.99)))
    dt_s = spec.method.protocol.dt_s
    costs = [price(each.counts, target=target, dt_s=dt_s).dynamic_nj for each in found]
    if args.json:
        energy.say_json([_tree(each, cost) for each, cost in zip(found, costs, strict=True)])
        return 0
    rows = [["answer", "accuracy, %", "mean steps", f"dynamic energy on {target.name}"]]
    last = sum(each.rule.startswith("step") for each in found)
    every = -(-last // MOST_ROWS)
    for index, (each, cost) in enumerate(zip(found, costs, strict=True)):
        if index >= last or (index + 1) % every == 0 or index + 1 == last:
            rows.append([each.rule, f"{100 * each.accuracy:.2f}", f"{each.steps:.4g}", joules_interval(cost)])
    energy.say(aligned(rows, words=1))
    return 0


def decide(spec: RunSpec, confidences: tuple[float, ...]) -> list[Decision]:
    """Evaluate answers before the end by a finished run's weights on its test split.

    Raises:
        InputError: the run is not finished here, or its weights are gone.
    """
    record = finished_record(spec.model_copy(update={"force": False}))
    if record is None:
        raise InputError(f"{folder_of(spec)}: no finished run; make it with sgbench run and the same words")
    for confidence in confidences:
        if not 0 < confidence < 1:
            raise InputError(f"--confidence {confidence:g}: a number between 0 and 1 is needed")
    parts = build(spec)
    parts.network.load_state_dict(load(read_bytes(folder_of(spec) / WEIGHTS)))
    parts.data.setup()
    training = Training(parts, spec.method, spec.seed, made_by={})
    # As the test was: noisy spikes and a steepness on its way are those of the selected epoch.
    training.epochs.begin(parts.network, "test", record.best_epoch or 0)
    times = DecisionTimes(
        parts.network,
        parts.objective.loss,
        training.input_kind,
        bits=training.bits,
        steps=spec.method.protocol.steps,
        confidences=confidences,
    )
    with parts.data.last_step():
        for batch in parts.data.evaluation("test"):
            times.update(batch)
    return times.decisions()


def _tree(each: Decision, cost: BoundedValue | None) -> dict[str, object]:
    return {
        "rule": each.rule,
        "accuracy": each.accuracy,
        "steps": each.steps,
        "dynamic_nj": None if cost is None else asdict(cost),
    }


def answer_meter(args: argparse.Namespace) -> int:
    """Run a command and print the energy that it took; without a command, list the meters of this machine."""
    found, missing = meters()
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not words:
        if args.json:
            energy.say_json({"meters": [meter.name for meter in found], "not_available": missing})
        else:
            energy.say([*(meter.name for meter in found), *missing])
        return 0
    idle_s = require_number("--idle", args.idle, low=0, open_low=True)
    if not found:
        raise InputError(f"no meter of energy on this machine: {'; '.join(missing)}")
    codes: list[int] = []

    def work() -> None:
        codes.append(subprocess.run(words, check=False).returncode)  # noqa: S603 - the user's own words

    try:
        readings = Metered(found, idle_s=idle_s).run(work)
    except FileNotFoundError as error:
        raise InputError(f"{words[0]}: no such command") from error
    if args.json:
        energy.say_json([{**asdict(each), "net_j": each.net_j} for each in readings])
    else:
        rows = [["meter", "energy, J", "above idle, J", "seconds", "idle, W"]]
        rows += [
            [
                each.meter,
                f"{each.energy_j:.4g}",
                f"{each.net_j:.4g}",
                f"{each.seconds:.4g}",
                f"{each.idle_w:.3g}",
            ]
            for each in readings
        ]
        energy.say([*aligned(rows, words=1), *missing])
    return codes[0]
