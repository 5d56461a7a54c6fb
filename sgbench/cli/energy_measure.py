"""`sgbench energy validate | train | decide | meter`: prices beside measurements, and what this machine spent."""

import argparse
import math
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sgbench.cli import energy
from sgbench.cli.common import answer, print_json, print_lines, screen
from sgbench.composition import catalogue
from sgbench.energy.decision import Decision, DecisionTimes
from sgbench.energy.interval import BoundedValue
from sgbench.energy.meter import Metered, meters
from sgbench.energy.price import chosen_targets, price
from sgbench.energy.text import amount, joules_interval
from sgbench.energy.training_cost import TrainingCost, training_cost
from sgbench.energy.validate import EnergyVerdict, load_cases, validate, verdicts_figure
from sgbench.errors import InputError, require_number
from sgbench.records.content import Learning
from sgbench.records.files import read_bytes, write_atomic
from sgbench.records.record import RunRecord
from sgbench.tables import aligned
from sgbench.tables.markup import markdown
from sgbench.training.epoch_loop import Training
from sgbench.training.run_diagnosis import learning_of
from sgbench.training.stored_run import StoredRun, load_selected, rebuild_run, stored_run

NEAR_FACTOR = 2.0  # predictions within this factor of the measurement are counted as near
TABLE_BEGIN, TABLE_END = "<!-- energy:validate -->", "<!-- /energy -->"


def answer_validate(args: argparse.Namespace) -> int:
    """Print predicted beside measured energies, or draw them, or write them into the document of --update.

    Return 0 even if some disagree, since that is a result.
    """
    verdicts = validate(load_cases(args.config_dir), chosen_targets([], args.config_dir))
    if args.json:
        print_json([{**asdict(verdict), "ratio": verdict.ratio, "inside": verdict.inside} for verdict in verdicts])
    elif args.plot is not None:
        _plot(verdicts, args.plot)
    elif args.update is not None:
        update(args.update, validation_markdown(verdicts))
    elif args.markdown:
        print_lines(validation_markdown(verdicts))
    else:
        print_lines([*aligned(verdict_rows(verdicts), text_columns=8, width=screen(args)), "", summary(verdicts)])
    return 0


def _plot(verdicts: Sequence[EnergyVerdict], path: Path) -> None:
    """Draw each predicted energy as a multiple of the measured one into a file."""
    from sgbench.plots import style

    style.save(lambda: verdicts_figure(verdicts), path)


def verdict_rows(verdicts: Sequence[EnergyVerdict]) -> list[list[str]]:
    """Build the rows of cells of the table of predictions beside measurements, the header first."""
    head = ["case", "what", "target", "predicted", "measured", "ratio", "inside", "likely missing"]
    return [
        head,
        *[
            [
                verdict.case,
                verdict.label,
                verdict.target,
                amount(verdict.predicted_nj, verdict.per),
                amount(verdict.measured_nj, verdict.per),
                f"{verdict.ratio:.3g}",
                "yes" if verdict.inside else "NO",
                verdict.why or "",
            ]
            for verdict in verdicts
        ],
    ]


def summary(verdicts: Sequence[EnergyVerdict]) -> str:
    """Write how many predictions agree with measurements, and how far off the others are."""
    failed = [verdict for verdict in verdicts if not verdict.inside]
    low = sum(verdict.ratio < 1 for verdict in failed)
    near = sum(1 / NEAR_FACTOR < verdict.ratio < NEAR_FACTOR for verdict in failed)
    shares = []
    for fitted in (False, True):
        same_kind = [verdict for verdict in verdicts if verdict.is_fitted is fitted]
        shares.append(f"{sum(verdict.inside for verdict in same_kind)} of {len(same_kind)}")
    alone, with_fit = shares
    apart = "whose interval does not overlap that of the measurement"
    return (
        f"{len(verdicts) - len(failed)} of {len(verdicts)} predictions hold, which means that their interval "
        f"overlaps that of the measurement. Of the predictions from energies per operation alone, {alone} hold. Of "
        f"the predictions that were fitted to other measurements of the same chip, {with_fit} hold. Of the "
        f"{len(failed)} predictions {apart}, {low} are too low and {len(failed) - low} are too high. Of the "
        f"{len(failed)} predictions {apart}, {near} differ from the measured value by less than a "
        f"factor of {NEAR_FACTOR:g}."
    )


def validation_markdown(verdicts: Sequence[EnergyVerdict]) -> list[str]:
    """Write the table of predictions and measurements in Markdown, as the documentation shows it."""
    head, *body = verdict_rows(verdicts)
    return [*markdown(head, body, numbers=[5]).splitlines(), "", summary(verdicts)]


def update(path: Path, lines: Sequence[str]) -> None:
    """Put lines between the two markers of a document; InputError if it lacks them."""
    text = read_bytes(path).decode()
    head, begin, rest = text.partition(TABLE_BEGIN)
    _, end, tail = rest.partition(TABLE_END)
    if not begin or not end:
        raise InputError(f"{path}: the markers {TABLE_BEGIN} and {TABLE_END} are needed, the table goes between them")
    table = "".join(f"{line}\n" for line in lines)
    write_atomic(path, f"{head}{TABLE_BEGIN}\n{table}{TABLE_END}{tail}".encode())


def answer_train(args: argparse.Namespace) -> int:
    """Print the multiply-accumulates, seconds and peak memory that the training of a recorded run took."""
    record, _ = energy.read_record(args.record)
    cost = training_cost(record, _learning(record, args), _sizes(record, args))
    host = [energy_reading.model_dump() for energy_reading in record.host_energy or ()]
    tree = {"total": cost.total, "per_second": cost.per_second, "host_energy": host}
    return answer(args, {**asdict(cost), **tree}, [*report(cost, screen(args)), *_host(record)])


def _learning(record: RunRecord, args: argparse.Namespace) -> Learning | None:
    if record.learning is not None or record.counts is None:
        return record.learning
    parts = rebuild_run(args.record, record, config_dirs=args.config_dir).parts
    return learning_of(parts.network, parts.rule, record.method, record.counts)


def _sizes(record: RunRecord, args: argparse.Namespace) -> dict[str, int]:
    name = record.method.choices["dataset"]
    sizes = catalogue.entry("dataset", name, args.config_dir).meta.get("sizes")
    if not isinstance(sizes, dict) or not {"train", "validation"} <= set(sizes):
        raise InputError(f"data set '{name}': its entry does not state meta.sizes")
    return sizes


def report(cost: TrainingCost, width: int | None = None) -> list[str]:
    """Write the cost of a training: operations by purpose, time and memory."""
    rows = [["multiply-accumulates", "of the whole training", "share, %"]]
    for name in ("forward", "weight_gradients", "input_gradients", "validation", "total"):
        number = getattr(cost, name)
        share = f"{100 * number / cost.total:.1f}" if cost.total else "-"
        rows.append([name.replace("_", " "), f"{number:.4g}", share])
    rate = "" if cost.per_second is None else f", {cost.per_second:.3g} multiply-accumulates a second"
    memory = "not measured" if cost.peak_bytes is None else f"{cost.peak_bytes / 2**20:.0f} MiB"
    backward = f"{cost.adjoint_updates:.4g} updates of neurons backward"
    return [
        *aligned(rows, text_columns=1, width=width),
        "",
        f"{cost.epochs} epochs of {cost.samples} samples, {backward}",
        f"took {cost.seconds:.3g} s{rate}; peak memory {memory}",
        f"the rule holds {cost.memory_bytes / 2**20:.3g} MiB to learn from a batch",
    ]


def _host(record: RunRecord) -> list[str]:
    """Write a line for each power meter of the host with the energy of training and test [J], idle included."""
    if record.host_energy is None:
        return ["host energy: not available (no meter that could be read, or not this run alone from its start)"]
    return [
        f"host energy, {reading.meter}: {reading.fit_j:.4g} J to train, {reading.test_j:.4g} J to test, idle included"
        for reading in record.host_energy
    ]


MOST_ROWS = 12  # time steps in the table of `answer_decide`


def answer_decide(args: argparse.Namespace) -> int:
    """Answer `sgbench energy decide`: accuracy and energy if the network answers before the end."""
    (target,) = chosen_targets([args.target], args.config_dir).values()
    run = stored_run(args.overrides, config_dirs=args.config_dir, allow_targets=args.allow_target)
    decisions = decide(run, tuple(args.confidence or (0.5, 0.9, 0.99)))
    dt_s = run.spec.method.protocol.dt_s
    costs = [price(decision.counts, target=target, dt_s=dt_s).dynamic_nj for decision in decisions]
    if args.json:
        print_json([_tree(decision, cost) for decision, cost in zip(decisions, costs, strict=True)])
        return 0
    rows = [["answer", "accuracy, %", "mean steps", f"dynamic energy on {target.name}"]]
    steps = sum(decision.rule.startswith("step") for decision in decisions)
    spacing = math.ceil(steps / MOST_ROWS)
    for index, (decision, cost) in enumerate(zip(decisions, costs, strict=True)):
        if index >= steps or (index + 1) % spacing == 0 or index + 1 == steps:
            rows.append(
                [decision.rule, f"{100 * decision.accuracy:.2f}", f"{decision.steps:.4g}", joules_interval(cost)]
            )
    print_lines(aligned(rows, text_columns=1, width=screen(args)))
    return 0


def decide(run: StoredRun, confidences: tuple[float, ...]) -> list[Decision]:
    """Evaluate predictions made before the last time step, with a finished run's weights on its test split.

    `confidences`: probabilities of the predicted class, each in 0..1, at which a prediction is final.
    """
    record, parts, spec = run.record, run.parts, run.spec
    if record is None or record.status != "finished":
        raise InputError(f"{run.folder}: no finished run; make it with sgbench run and the same overrides")
    for confidence in confidences:
        if not 0 < confidence < 1:
            raise InputError(f"--confidence {confidence:g}: a number between 0 and 1 is needed")
    load_selected(run)
    parts.data.setup()
    training = Training(parts, spec.method, spec.seed, made_by={})
    # The stored test score has the spike noise and slope schedule of the selected epoch, so they are set here too.
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


def _tree(decision: Decision, cost: BoundedValue | None) -> dict[str, object]:
    """Convert a decision and its dynamic energy [nJ] to a dictionary for JSON."""
    return {
        "rule": decision.rule,
        "accuracy": decision.accuracy,
        "steps": decision.steps,
        "dynamic_nj": None if cost is None else asdict(cost),
    }


def answer_meter(args: argparse.Namespace) -> int:
    """Answer `sgbench energy meter`: run a command and print what the host's meters say; its exit code is returned."""
    available, missing = meters()
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        names = [meter.name for meter in available]
        return answer(args, {"meters": names, "not_available": missing}, [*names, *missing])
    idle_s = require_number("--idle", args.idle, low=0, open_low=True)
    if not available:
        raise InputError(f"no meter of energy on this machine: {'; '.join(missing)}")
    codes: list[int] = []

    def run_command() -> None:
        codes.append(subprocess.run(command, check=False).returncode)  # noqa: S603 - the user's own command

    try:
        readings = Metered(available, idle_s=idle_s).run(run_command)
    except FileNotFoundError as error:
        raise InputError(f"{command[0]}: no such command") from error
    if args.json:
        print_json([{**asdict(reading), "net_j": reading.net_j} for reading in readings])
    else:
        rows = [["meter", "energy, J", "above idle, J", "seconds", "idle, W"]]
        rows += [
            [
                reading.meter,
                f"{reading.energy_j:.4g}",
                f"{reading.net_j:.4g}",
                f"{reading.seconds:.4g}",
                f"{reading.idle_w:.3g}",
            ]
            for reading in readings
        ]
        print_lines([*aligned(rows, text_columns=1, width=screen(args)), *missing])
    return codes[0]
