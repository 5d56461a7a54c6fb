"""`sgbench energy decide`: accuracy and energy of a run's answers before the end."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from safetensors.torch import load

from sgbench.cli import energy
from sgbench.composition.compose import compose
from sgbench.energy.decision import Decision, DecisionTimes
from sgbench.energy.interval import Interval
from sgbench.energy.price import price
from sgbench.energy.text import joules_interval
from sgbench.errors import InputError
from sgbench.records.files import read_bytes
from sgbench.records.spec import RunSpec
from sgbench.tables import aligned
from sgbench.training.attempt import WEIGHTS
from sgbench.training.build import build
from sgbench.training.course import Training
from sgbench.training.run_folder import finished_record, folder_of

MOST_ROWS = 12


def answer(args: argparse.Namespace) -> int:
    """Print what an answer after each step, and at each confidence, is worth and costs."""
    spec = compose(args.words, config_dirs=args.config_dir, allow_targets=())
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
    """Evaluate a finished run's weights on its test split.

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


def _tree(each: Decision, cost: Interval | None) -> dict[str, object]:
    return {
        "rule": each.rule,
        "accuracy": each.accuracy,
        "steps": each.steps,
        "dynamic_nj": None if cost is None else asdict(cost),
    }
