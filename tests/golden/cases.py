"""What the golden files hold, computed from today's code."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.records.method import identity, method_id
from sgbench.records.record import RunRecord
from tests.entries import spec_with

FOLDER = Path(__file__).parent
TINY = (
    "experiment=digits",
    "protocol.epochs=2",
    "protocol.steps=8",
    "protocol.hidden=[6]",
    "protocol.batch_size=128",
    "protocol.precision=float64",
    "network.recurrence=all_to_all",
    "init.gain=2.0",
    "trainer.progress=false",
)
CUT = "network.recurrence_gradient=cut"
RULES = {"bptt": ("rule=bptt",), "eprop": ("rule=eprop", "loss=per_step", CUT)}
EXAMPLES = ("delayed_xor_rules", "digits", "digits_tuned_v3", "dvs_gesture_v2", "shd_v2")
"""Experiments whose whole composition is a file to read; of the others the id and a digest are kept."""
VARIED = ("surrogate", "neuron", "encoder", "rule", "loss", "regulariser", "init", "optimizer")


def experiments() -> list[str]:
    """All shipped experiments but the reproductions, which have tests of their own."""
    return own("experiment")


def composed(name: str) -> dict[str, Any]:
    """The method of an experiment and the text that is hashed."""
    spec = compose([f"experiment={name}"])
    return {
        "method": spec.method.model_dump(mode="json"),
        "identity": identity(spec.method),
        "method_id": method_id(spec.method),
        "targets": spec.targets,
    }


def digests() -> dict[str, dict[str, str]]:
    """The method id of each experiment, and the SHA-256 of all that is composed of it."""
    return {name: digest(composed(name)) for name in experiments()}


def digest(tree: dict[str, Any]) -> dict[str, str]:
    """The id in a composition, and the first 16 digits of the hash of all of it."""
    text = json.dumps(tree, sort_keys=True)
    return {"method_id": tree["method_id"], "sha256": hashlib.sha256(text.encode()).hexdigest()[:16]}


def own(group: str) -> list[str]:
    """Entries that are not settings of another library."""
    return [name for name in catalogue.entries(group) if "/" not in name]


def method_ids() -> dict[str, str]:
    """Id of the reference run with each entry of each group in turn, and at a common width."""
    ids = {f"{group}={name}": spec_with({group: name}) for group in VARIED for name in own(group)}
    for name in own("surrogate"):
        ids[f"surrogate={name} width_fwhm=1.0"] = spec_with({"surrogate": name}, {"width_fwhm": 1.0})
    return {words: method_id(spec.method) for words, spec in ids.items()}


def tiny_record(rule: str) -> dict[str, Any]:
    """What a small run came to: numbers that a refactoring must not move."""
    from sgbench.training.runner import run_spec

    record = run_spec(compose((*TINY, *RULES[rule])))
    return _essence(record)


def _essence(record: RunRecord) -> dict[str, Any]:
    if record.test is None or record.validation is None or record.counts is None:
        raise AssertionError(record.failure)
    hidden = record.counts.layers[0]
    last = record.curve[-1]
    return {
        "train_loss": last.train_loss,
        "validation_loss": last.validation_loss,
        "test_loss": record.test.loss,
        "test_accuracy": record.test.accuracy,
        "rate_hz": record.test.activity[0].rate_hz,
        "spikes_sent": hidden.spikes_sent.total,
        "synaptic_operations": [group.effective.total for group in hidden.synapses],
        "input_events": record.counts.input_events.total,
        "parameters": record.parameters,
        "best_epoch": record.best_epoch,
        "schema_version": record.schema_version,
    }


def two_steps(name: str) -> list[float] | None:
    """Losses of the first two batches; None where the data set's files are not on this machine."""
    from sgbench.training.build import build
    from sgbench.training.train_step import TrainLoop

    spec = compose([f"experiment={name}"])
    parts = build(spec)
    if parts.data.data_set.missing(parts.data.data_dir):
        return None
    parts.data.setup()
    loop = TrainLoop(parts.network, parts.rule, parts.objective, clip_norm=spec.method.clip_norm)
    batches = itertools.islice(parts.data.epoch(0), 2)
    return [loop.train_batch(batch, parts.optimizer).item() for batch in batches]
