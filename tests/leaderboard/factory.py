"""Valid records in memory, with every number under the test's control."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from sgbench.composition.catalogue import Entry, entry
from sgbench.composition.data_facts import facts_of
from sgbench.leaderboard.deviation import ProtocolReference, References
from sgbench.leaderboard.rows import Board, board_of, measure
from sgbench.leaderboard.score import measure_of
from sgbench.records.content import EpochScores, Failure, LayerActivity, Provenance, Scores, Timing
from sgbench.records.counts import Count, LayerCounts, OpCounts, SynapseCounts
from sgbench.records.energy import EnergyTarget
from sgbench.records.files import to_json
from sgbench.records.method import by_method, method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import GROUPS, NEUTRAL_CHOICES, Method, Protocol, entry_group

SAMPLES = 100
STEPS_EACH = 10
CLASSES = 10
TOY_FACTS = {"classes": CLASSES, "sizes": {"train": 200, "validation": 50, "test": SAMPLES}, "sha256": "d" * 64}


@lru_cache(maxsize=1)
def protocol() -> Protocol:
    """A protocol of ten steps of 1 ms and three seeds; only the surrogate, rule and recurrence are free."""
    return Protocol(
        name="toy_v1",
        about="A toy board near its ceiling.",
        dt_s=0.001,
        steps=STEPS_EACH,
        hidden=(4,),
        epochs=20,
        batch_size=16,
        patience=None,
        monitor="validation_loss",
        precision="float32",
        data_order="seed_epoch",
        seeds=(0, 1, 2),
        fixed={"dataset": "digits", "network": "mlp"},
        free=("surrogate", "rule", "clip_norm", "network.recurrence"),
        superseded_by=None,
    )


def method(
    *,
    surrogate: str = "atan",
    parameters: dict[str, dict[str, Any]] | None = None,
    choices: dict[str, str] | None = None,
    protocol_changes: dict[str, Any] | None = None,
    clip_norm: float | None = None,
) -> Method:
    """A method of the toy protocol; changes are merged into the reference."""
    picked = dict.fromkeys(GROUPS, "plain") | {"dataset": "digits", "network": "mlp", "optimizer": "adam"}
    picked |= NEUTRAL_CHOICES
    values: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
    values["surrogate"] = {"alpha": None, "width_fwhm": 1.0, "normalisation": "peak1", "scale": 1.0}
    values["network"] = {"hidden": (4,), "recurrence": "none", "bias": False}
    values["optimizer"] = {"lr": 0.002}
    for group, changes in (parameters or {}).items():
        values[group] = values[group] | changes
    tree = protocol().model_dump() | (protocol_changes or {})
    return Method.model_validate(
        {
            "choices": picked | {"surrogate": surrogate} | (choices or {}),
            "parameters": values,
            "protocol": tree,
            "clip_norm": clip_norm,
        }
    )


def toy_entry(group: str, name: str, *, meta: dict[str, Any] | None = None, **parameters: Any) -> Entry:
    """An entry of the toy catalogue."""
    return Entry(group, name, Path(f"conf/{group}/{name}.yaml"), None, parameters, meta or {})


def reference() -> ProtocolReference:
    """The toy protocol, a method that follows it, and a catalogue that holds what tests choose."""
    shape = {"width_fwhm": "${width_fwhm}", "normalisation": "peak1", "scale": 1.0}
    names = {group: NEUTRAL_CHOICES.get(group, "plain") for group in GROUPS}
    found = {entry_group(group): [toy_entry(entry_group(group), name)] for group, name in names.items()}
    found["surrogate"] = [
        toy_entry("surrogate", name, alpha="${unless:${.width_fwhm},2.0}", **shape)
        for name in ("atan", "triangle", "sigmoid", "zero")
    ]
    found["dataset"] = [toy_entry("dataset", "digits", meta=TOY_FACTS)]
    found["network"] = [toy_entry("network", "mlp", hidden="${protocol.hidden}", recurrence="none", bias=False)]
    found["optimizer"] = [toy_entry("optimizer", "adam", lr=0.002)]
    found["rule"] += [toy_entry("rule", "eprop", update="per_sequence")]
    entries = {group: {item.name: item for item in items} for group, items in found.items()}
    return ProtocolReference(protocol(), method(), entries)


class ToyReferences(References):
    """References that know the toy protocol without a file in `conf/`."""

    def of(self, name: str) -> ProtocolReference:
        """The toy reference, or what the catalogue says."""
        return reference() if name == "toy_v1" else super().of(name)


def layer(name: str, **changes: Any) -> LayerCounts:
    """Counts of one layer, zero where the test does not say otherwise."""
    zero = {field: Count(total=0) for field, info in LayerCounts.model_fields.items() if info.annotation is Count}
    given = {
        key: Count(total=value) if key in zero and isinstance(value, int) else value for key, value in changes.items()
    }
    plain: dict[str, Any] = {"name": name, "neuron": "Leaky", "neurons": 4, "state_bits": 32, "synapses": ()}
    return LayerCounts(**(plain | zero | given))


def synapses(effective: int | Count, *, operation: str = "accumulate", source: str = "input") -> SynapseCounts:
    """One group of connections."""
    found = Count(total=effective) if isinstance(effective, int) else effective
    return SynapseCounts.model_validate(
        {
            "source": source,
            "wiring": "all_to_all",
            "operation": operation,
            "weight_bits": 32,
            "effective": found,
            "dense": Count(total=10**6),
        }
    )


def counts(*layers: LayerCounts, samples: int = SAMPLES) -> OpCounts:
    """Counts of a network over `samples` samples of ten steps."""
    default = layer(
        "hidden",
        synapses=(synapses(40_000),),
        neuron_updates=4_000,
        neuron_multiplications=4_000,
        neuron_additions=8_000,
        neuron_comparisons=4_000,
        spikes_sent=1_500,
    )
    return OpCounts(
        samples=samples, steps=samples * STEPS_EACH, input_events=Count(total=10_000), layers=layers or (default,)
    )


def network_counts(of: Method | None = None, *, samples: int = SAMPLES, **changes: Any) -> OpCounts:
    """Consistent counts of a method's network with one hidden layer: 400 events and 15 spikes a sample.

    Args:
        of: the method.
        samples: in the test set.
        changes: to the hidden layer's counts; `events` and `operation` are those of its synapses.
    """
    chosen = of or method()
    steps = samples * chosen.protocol.steps
    (neurons,) = chosen.parameters["network"]["hidden"]
    events = changes.pop("events", 400 * samples)
    spikes = changes.get("spikes_sent", 15 * samples)
    heard = spikes if isinstance(spikes, Count) else spikes * CLASSES
    first = synapses(events, operation=changes.pop("operation", "accumulate"))
    updates = neurons * steps
    plain = {
        "neurons": neurons,
        "neuron_updates": updates,
        "neuron_multiplications": updates,
        "neuron_additions": 2 * updates,
        "neuron_comparisons": updates,
        "spikes_sent": spikes,
    }
    hidden = layer("hidden0", synapses=(first,), **(plain | changes))
    readout = layer(
        "readout", neurons=CLASSES, synapses=(synapses(heard, source="hidden0"),), neuron_updates=CLASSES * steps
    )
    return OpCounts(samples=samples, steps=steps, input_events=Count(total=events // neurons), layers=(hidden, readout))


def activity(counts: OpCounts, dt_s: float) -> tuple[LayerActivity, ...]:
    """The activity that the hidden layer's spikes mean."""
    hidden = counts.layers[0]
    rate = (hidden.spikes_sent.total or 0) / (hidden.neurons * counts.steps)
    return (
        LayerActivity(
            name=hidden.name, rate_per_step=rate, rate_hz=rate / dt_s, dead_fraction=0.0, saturated_fraction=0.0
        ),
    )


def record(
    *,
    seed: int = 0,
    accuracy: float | None = 0.9,
    of: Method | None = None,
    found: OpCounts | None = None,
    loss: float = 0.1,
) -> RunRecord:
    """A record; an accuracy of None makes a failed one, others are rounded to whole samples."""
    chosen = of or method()
    failed = accuracy is None
    toy = chosen.protocol.name == "toy_v1"
    facts = facts_of(reference().entries["dataset"]["digits"] if toy else entry("dataset", "digits"))
    counted = found or network_counts(chosen, samples=facts.sizes["test"])
    lines = activity(counted, chosen.protocol.dt_s)
    validation, test = (
        None if failed else Scores(samples=size, accuracy=round(accuracy * size) / size, loss=loss, activity=lines)
        for size in (facts.sizes["validation"], facts.sizes["test"])
    )
    first = EpochScores(epoch=0, train_loss=1.0, validation_loss=1.0, validation_accuracy=0.5)
    curve = () if validation is None else (first, epoch_of(validation))
    return RunRecord(
        schema_version=1,
        protocol=chosen.protocol.name,
        method_id=method_id(chosen),
        seed=seed,
        status="failed" if failed else "finished",
        failure=Failure(kind="NonFiniteError", message="layer hidden") if failed else None,
        method=chosen,
        classes=CLASSES,
        parameters=296,
        best_epoch=None if failed else 1,
        validation=validation,
        test=test,
        curve=curve,
        counts=None if failed else counted,
        predictions_sha256=None if test is None else hashlib.sha256(predictions(test)).hexdigest(),
        weights_sha256=None,
        timing=Timing(fit_s=2.0 + seed, test_s=0.1, total_s=2.5 + seed, resumed=0),
        peak_memory_bytes=None,
        provenance=Provenance(
            commit=None,
            clean=None,
            versions={},
            python="3.11",
            platform="linux",
            processor="x86",
            device="cpu",
            threads=1,
            engine="reference",
            engine_reason="asked for",
            data_sha256=facts.sha256,
            created_utc="2026-01-01T00:00:00Z",
        ),
    )


def epoch_of(validation: Scores, epoch: int = 1) -> EpochScores:
    """The line of the curve of an epoch that scores this on validation."""
    return EpochScores(
        epoch=epoch, train_loss=1.0, validation_loss=validation.loss, validation_accuracy=validation.accuracy
    )


def target(name: str = "toy", **changes: Any) -> EnergyTarget:
    """A price list of 1 pJ for an addition and 2 (1 to 4) pJ for a neuron's update; the rest is inside these."""
    evidence = {
        "scope": "per_op",
        "basis": "measured",
        "node_nm": 28,
        "voltage_v": 0.8,
        "source": "a data sheet",
        "mark": "verified",
    }
    prices = [
        {"operation": "accumulate", "value_pj": 1, "low_pj": 1, "high_pj": 1, **evidence},
        {"operation": "neuron_update", "value_pj": 2, "low_pj": 1, "high_pj": 4, **evidence},
    ]
    inside = ("neuron_multiplication", "neuron_addition", "neuron_comparison", "spike_sent", "bias_addition")
    tree = {
        "name": name,
        "title": "a toy chip",
        "about": "For tests.",
        "prices": prices,
        "included_elsewhere": inside,
        "static": None,
        "missing": (),
    }
    return EnergyTarget.model_validate(tree | changes)


def predictions(test: Scores) -> bytes:
    """A file of predictions that scores to the accuracy: target 0 throughout, the first ones right."""
    hits = round(test.accuracy * test.samples)
    rows = [f"{index},0,{int(index >= hits)}" for index in range(test.samples)]
    return ("index,target,prediction\n" + "\n".join(rows) + "\n").encode()


def write_run(root: Path, found: RunRecord) -> Path:
    """Store a record where the runner does, with its predictions beside it."""
    path = root / found.protocol / found.method_id / str(found.seed) / "record.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_json(found))
    if found.test is not None:
        (path.parent / "predictions.csv").write_bytes(predictions(found.test))
    return path


def write_board_record(root: Path, found: RunRecord) -> Path:
    """Store a record where a board keeps it."""
    path = root / found.protocol / "records" / found.method_id / f"{found.seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_json(found))
    return path


def make_board(
    records: Iterable[RunRecord],
    *,
    protocol: Protocol,
    targets: Mapping[str, EnergyTarget],
    classes: int | None,
    guess_loss: float | None = None,
    guess_accuracy: float | None = None,
) -> Board:
    """Group, average, price and rank; the same board from the same records in whatever order.

    Args:
        records: of this protocol; each pair of method and seed once.
        protocol: the catalogue's own, not one that a record carries.
        targets: price lists by name.
        classes: of the protocol's data set, by the catalogue's word: no record can move the chance level.
        guess_loss: where there are none, the test loss without learning.
        guess_accuracy: where they are not equally frequent, the test accuracy without learning.
    """
    chosen = tuple(targets[name] for name in sorted(targets))
    measured = [
        measure(
            group,
            targets=chosen,
            dt_s=protocol.dt_s,
            classes=classes,
            guess_loss=guess_loss,
            guess_accuracy=guess_accuracy,
        )
        for group in by_method(records).values()
    ]
    score = measure_of(classes, guess_loss, guess_accuracy)
    return board_of(measured, protocol=protocol, targets=chosen, classes=classes, score=score)
