"""Records: read strictly, consistent in themselves, and readable after the schema has grown."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sgbench.errors import InputError, SgbenchError
from sgbench.records import spec
from sgbench.records.base import MAX_NUMBER, Strict, Value
from sgbench.records.files import parse_model, read_bytes, to_json
from sgbench.records.method import canonical, identity, method_id, same
from sgbench.records.record import RunRecord
from sgbench.records.spec import Protocol
from tests.leaderboard.factory import method, protocol, record
from tests.leaderboard.gallery import gallery
from tests.leaderboard.lies import Tree, at, parsed
from tests.messages import raises_naming

PUBLISHED = sorted((Path(__file__).resolve().parents[2] / "leaderboards").glob("digits_v1/records/*/*.json"))


def test_a_finished_run_has_scores_and_a_failed_one_says_why() -> None:
    """Must match: the record's own fields. Must differ: a run that failed."""
    finished = next(each for each in gallery() if each.status == "finished")
    assert finished.scored.test is finished.test
    assert finished.scored.best_epoch == finished.best_epoch
    failed = next(each for each in gallery() if each.status == "failed")
    assert failed.failure is not None
    with raises_naming(SgbenchError, f"{failed.failure.kind}"):
        failed.scored  # noqa: B018 - the access is the test


def scaled(tree: Tree) -> None:
    """A thousand times the samples: every cost a thousandth."""
    tree["counts"]["samples"] *= 1000


def dropped(index: int) -> Callable[[Tree], None]:
    """One layer less."""
    return lambda tree: tree["counts"]["layers"].pop(index)


def silent(tree: Tree) -> None:
    """No spikes, though the test set's activity is stated."""
    tree["counts"]["layers"][0]["spikes_sent"]["total"] = 0
    tree["counts"]["layers"][1]["synapses"][0]["effective"]["total"] = 0


def doubled(tree: Tree) -> None:
    """A layer that never fires, before what it really does."""
    honest = tree["test"]["activity"][0]
    tree["test"]["activity"].insert(0, honest | {"rate_per_step": 0.0, "rate_hz": 0.0})


def scored(tree: Tree) -> None:
    """A failed run with the scores of another."""
    tree["test"] = json.loads(to_json(record()))["test"]


HIDDEN, READOUT = "counts.layers.0", "counts.layers.1"
CONTRADICTIONS: dict[str, tuple[tuple[Callable[[Tree], None], bool], str]] = {
    "text_accuracy": (at("test.accuracy", "0.9"), "test.accuracy: Input should be a valid number"),
    "true_accuracy": (at("test.accuracy", True), "test.accuracy: Input should be a valid number"),
    "text_seed": (at("seed", "0"), "seed: Input should be a valid integer"),
    "float_seed": (at("seed", 0.0), "seed: Input should be a valid integer"),
    "number_as_text": (at("provenance.engine", 1), "provenance.engine: Input should be a valid string"),
    "number_as_switch": (at("provenance.clean", 1), "provenance.clean: Input should be a valid boolean"),
    "true_version": (at("schema_version", True), "schema_version: a whole number is needed"),
    "float_version": (at("schema_version", 1.0), "schema_version: a whole number is needed"),
    "odd_accuracy": (at("test.accuracy", 0.9999), "test.accuracy 0.9999 is no whole number of 100 samples"),
    "odd_validation": (at("validation.accuracy", 0.001), "validation.accuracy 0.001 is no whole number of 50"),
    "other_test_samples": (at("test.samples", 10), "counts.samples is 100, test.samples 10"),
    "scaled_samples": ((scaled, False), "counts.samples is 100000, test.samples 100"),
    "too_many_steps": (at("counts.steps", 1001), "counts.steps is 1001; 100 samples have 100 to 1000 steps"),
    "too_few_steps": (at("counts.steps", 99), "counts.steps is 99; 100 samples have 100 to 1000 steps"),
    "no_hidden_layer": ((dropped(0), False), "not the layers of the method, hidden0 of 4, and readout"),
    "no_readout": ((dropped(1), False), "the last is 'hidden0' of 4 neurons, not 'readout' of 10 classes"),
    "renamed_layer": (at(f"{HIDDEN}.name", "x"), "not the layers of the method, hidden0 of 4, and readout"),
    "other_classes": (at("classes", 10**9), "the last is 'readout' of 10 neurons, not 'readout' of 1000000000"),
    "updates": (at(f"{HIDDEN}.neuron_updates.total", 1), "hidden0: neuron_updates is 1, neurons x steps is 4000"),
    "spikes": (at(f"{HIDDEN}.spikes_sent.total", 4001), "hidden0: spikes_sent 4001 is more than neurons x steps"),
    "reached": (
        at(f"{HIDDEN}.neuron_updates_with_input.total", 4001),
        "hidden0: neuron_updates_with_input 4001 is more than neurons x steps",
    ),
    "effective_above_dense": (
        at(f"{HIDDEN}.synapses.0.effective.total", 10**7),
        "hidden0: effective 10000000 is more than dense 1000000 from input",
    ),
    "nothing_effective": (
        at(f"{HIDDEN}.synapses.0.effective.total", 0),
        "hidden0: effective 0 is not what 10000 events from input trigger, 40000",
    ),
    "nothing_effective_in_readout": (
        at(f"{READOUT}.synapses.0.effective.total", 0),
        "readout: effective 0 is not what 1500 events from hidden0 trigger, 15000",
    ),
    "no_synapses": (at(f"{READOUT}.synapses", []), "readout: no synapses from hidden0"),
    "silent": ((silent, False), "hidden0: spikes_sent 0 is not its rate_per_step in test, 0.375"),
    "no_activity": (at("test.activity", []), "hidden0: spikes_sent 1500 is not its rate_per_step in test, 0"),
    "activity_of_nothing": (at("test.activity.0.name", "x"), "test.activity names x, which counts.layers does"),
    "layer_twice": ((doubled, False), "test.activity states a layer more than once"),
    "other_rate_hz": (at("test.activity.0.rate_hz", 1), "test: rate_hz of hidden0 is not its rate_per_step over"),
    "empty_curve": (at("curve", []), "best_epoch 1 is not an epoch of the curve"),
    "no_best_epoch": (at("best_epoch", None), "a finished run needs best_epoch"),
    "later_best_epoch": (at("best_epoch", 10**6), "best_epoch 1000000 is not an epoch of the curve"),
    "gap_in_curve": (at("curve.1.epoch", 5), "curve: the epochs are not 0, 1, 2 and so on"),
    "stale_loss": (
        at("curve.1.validation_loss", 0.1001),
        "validation.loss 0.1 is not that of epoch 1 of the curve, 0.1001",
    ),
    "stale_accuracy": (
        at("curve.1.validation_accuracy", 0.8),
        "validation.accuracy 0.9 is not that of epoch 1 of the curve, 0.8",
    ),
    "longer_curve": (at("method.protocol.epochs", 1), "curve has 2 epochs, the protocol 1"),
    "no_test": (at("test", None), "a finished run needs test"),
    "no_counts": (at("counts", None), "a finished run needs counts"),
    "escape_as_commit": (at("provenance.commit", "\x1b[31mevil"), "provenance.commit: String should match"),
    "escape_as_device": (at("provenance.device", "\x1b[31m"), "provenance.device: text without control char"),
    "line_end_in_version": (at("provenance.versions", {"a": "1\n2"}), "text without control characters"),
    "direction_mark": (at("provenance.processor", "\u202e"), "text without control characters is needed"),
    "yesterday": (at("provenance.created_utc", "yesterday"), "provenance.created_utc: an ISO 8601 time in UTC"),
    "local_time": (at("provenance.created_utc", "2026-01-01T00:00:00+02:00"), "an ISO 8601 time in UTC"),
    "time_without_zone": (at("provenance.created_utc", "2026-01-01"), "an ISO 8601 time in UTC"),
    "failed_with_test": ((scored, True), "a failed run has no test"),
    "failed_with_weights": (at("weights_sha256", "0" * 64, failed=True), "a failed run has no weights_sha256"),
    "failed_without_reason": (at("failure", None, failed=True), "a failure is stated exactly when status is failed"),
    "finished_as_failed": (at("status", "failed"), "a failure is stated exactly when status is failed"),
    "huge_samples": (at("test.samples", 10**400), "test.samples: Input should be less than or equal to"),
}


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradiction_is_refused(name: str) -> None:
    """One place changed: refused on one line that names it."""
    (change, failed), words = CONTRADICTIONS[name]
    tree = json.loads(to_json(record(accuracy=None if failed else 0.9)))
    change(tree)
    with pytest.raises(InputError) as caught:
        parsed(tree)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_second_scoring_may_differ_by_rounding() -> None:
    """Must match: a loss in its last digits, one sample; after a resumption 1 %. Must differ: more than that."""
    made = record(accuracy=0.9)
    assert made.validation is not None
    last, least = made.curve[-1], 1 / made.validation.samples

    def reads(resumed: int = 0, **scores: float) -> bool:
        curve = (made.curve[0], last.model_copy(update=scores))
        timing = made.timing.model_copy(update={"resumed": resumed})
        tree = made.model_copy(update={"curve": curve, "timing": timing}).model_dump()
        try:
            RunRecord.model_validate(tree)
        except ValidationError:
            return False
        return True

    assert reads(validation_loss=last.validation_loss * (1 + 1e-6))
    assert reads(validation_accuracy=made.validation.accuracy - least)
    assert not reads(validation_accuracy=made.validation.accuracy - 2.5 * least)
    loss = last.validation_loss * 1.005
    assert [reads(resumed, validation_loss=loss) for resumed in (0, 1)] == [False, True]
    assert not reads(1, validation_loss=last.validation_loss * 1.035)  # as stale thresholds do


@pytest.mark.parametrize("found", gallery(), ids=lambda found: f"{found.method_id}-{found.seed}")
def test_gallery_reads_back_equal(found: RunRecord) -> None:
    """What is written is read, to the bit."""
    again = parse_model(to_json(found), RunRecord, "it")
    assert again == found
    assert to_json(again) == to_json(found)


def test_published_records_read_back_equal() -> None:
    """Every committed record is valid and keeps its bytes."""
    assert PUBLISHED
    for path in PUBLISHED:
        data = path.read_bytes()
        assert to_json(parse_model(data, RunRecord, str(path))) == data


class Box(Strict):
    """One value."""

    value: Value
    number: float


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**100), 10**100)
    | st.floats(-MAX_NUMBER, MAX_NUMBER)
    | st.text(st.characters(exclude_categories=["Cs"]))
)


@given(SCALARS | st.lists(SCALARS).map(tuple), st.floats(allow_nan=False, allow_infinity=False))
def test_values_read_back_equal(value: Any, number: float) -> None:
    """Property: no value changes its type or its last bit on the way through a file."""
    box = Box(value=value, number=number)
    again = parse_model(to_json(box), Box, "it")
    assert repr(again) == repr(box)


def test_nested_list_is_no_value() -> None:
    """One complaint, not one for each type that a value may have."""
    with raises_naming(InputError, "it: value", "null", "[[1]]") as caught:
        parse_model(b'{"value": [[1]], "number": 2}', Box, "it")
    assert "more" not in str(caught.value)


def test_whole_number_is_a_number() -> None:
    """JSON writers drop .0; no other type is taken for a number."""
    assert parse_model(b'{"value": null, "number": 2}', Box, "it").number == 2.0


def test_record_from_before_a_group_existed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record without a later group loads, keeps its id, and equals the neutral choice; others differ."""
    data, name = to_json(record()), method().choices
    old_id = method_id(method())
    monkeypatch.setattr(spec, "GROUPS", (*spec.GROUPS, "delay"))
    with raises_naming(InputError, "it: method.choices", "delay"):
        parse_model(data, RunRecord, "it")
    monkeypatch.setitem(spec.NEUTRAL_CHOICES, "delay", "none")
    found = parse_model(data, RunRecord, "it")
    assert found.method.choices == name | {"delay": "none"}
    assert found.method.parameters["delay"] == {}
    assert found.method_id == method_id(found.method) == old_id
    assert "delay" not in identity(found.method)
    other = found.method.model_copy(update={"choices": name | {"delay": "axonal"}})
    assert method_id(other) != old_id
    assert identity(other)["delay"] == '"axonal"'


@pytest.mark.parametrize(("first", "second"), [(-0.0, 0.0), (1, 1.0), ((-0.0,), (0,))])
def test_equal_numbers_have_one_text(first: Value, second: Value) -> None:
    """No second name for a method by the sign of nothing."""
    assert canonical(first) == canonical(second)


SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, -0.0, 1.0, 1 / 3, "1", "a", "µ"])
VALUES = SCALARS | st.lists(SCALARS, max_size=2).map(tuple)


@given(first=VALUES, second=VALUES)
def test_the_short_way_to_compare_is_the_long_one(first: Value, second: Value) -> None:
    """Must match: equal text, over pairs of which many are equal and of other types."""
    assert same(first, second) == (canonical(first) == canonical(second))


@given(st.text())
def test_text_is_written_as_json(text: str) -> None:
    """Against the standard library."""
    assert canonical(text) == json.dumps(text)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """Opening one to read would wait for a writer for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="a regular file is needed"):
        read_bytes(tmp_path / "pipe")
    with pytest.raises(InputError, match="a regular file is needed"):
        read_bytes(tmp_path)


def test_whole_number_beyond_floats_has_a_text() -> None:
    """By hand: 10^400 is a one and 400 zeros."""
    assert canonical(10**400) == "1" + "0" * 400
    assert canonical(-(10**400)) == "-1" + "0" * 400


def test_protocol_without_layer_sizes() -> None:
    """Null where no list describes the network; the key itself is needed."""
    tree = protocol().model_dump()
    assert Protocol.model_validate(tree | {"hidden": None}).hidden is None
    for wrong in ((), (0,)):
        with pytest.raises(ValidationError, match="hidden"):
            Protocol.model_validate(tree | {"hidden": wrong})
    del tree["hidden"]
    with pytest.raises(ValidationError, match="hidden"):
        Protocol.model_validate(tree)
