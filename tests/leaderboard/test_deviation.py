"""What a record says of entries, parameters and data, against the catalogue."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sgbench.composition import catalogue
from sgbench.composition.data_facts import facts_of
from sgbench.datasets.base import fingerprint
from sgbench.datasets.redrawn import draw
from sgbench.leaderboard.deviation import ProtocolReference, compose_reference, deviation
from sgbench.records.files import to_json
from sgbench.training.build import construct
from tests.entries import made
from tests.leaderboard.factory import record, reference, toy_entry
from tests.leaderboard.lies import Tree, at, parsed
from tests.messages import lines_naming

FOREIGN: dict[str, tuple[tuple[Callable[[Tree], None], bool], str]] = {
    "surrogate": (at("method.choices.surrogate", "zzz"), 'surrogate "zzz" is not in the catalogue'),
    "no_parameters": (at("method.parameters.surrogate", {}), "surrogate.alpha is missing"),
    "extra": (at("method.parameters.surrogate.extra", 1), "surrogate.extra is no parameter of atan"),
    "text_alpha": (at("method.parameters.surrogate.alpha", "x"), 'surrogate.alpha is "x", not of the kind'),
    "true_scale": (at("method.parameters.surrogate.scale", True), "surrogate.scale is true, not of the kind"),
    "number_as_text": (at("method.parameters.surrogate.normalisation", 1), "surrogate.normalisation is 1, not of"),
    "free_parameter": (at("method.parameters.network.recurrence", 1), "network.recurrence is 1, not of the kind"),
    "no_data": (at("provenance.data_sha256", None), "provenance.data_sha256 is null, data set digits says"),
    "other_data": (at("provenance.data_sha256", "0" * 64), 'provenance.data_sha256 is "000'),
    "validation_size": (at("validation.samples", 10), "validation.samples is 10, data set digits says 50"),
    "classes": (at("classes", 10**9, failed=True), "classes is 1000000000, data set digits says 10"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_the_catalogue_does_not_know_deviates(name: str) -> None:
    """Free groups are free among entries; data are those of the data set."""
    (change, failed), words = FOREIGN[name]
    tree = json.loads(to_json(record(accuracy=None if failed else 0.9)))
    change(tree)
    reason = deviation(parsed(tree), reference())
    assert reason is not None
    assert words in reason


def test_text_as_decay_deviates_from_the_shipped_protocol() -> None:
    """The catalogue's decay is computed from a time constant; its kind is known all the same."""
    shipped = compose_reference("digits_v1")
    tree = json.loads(to_json(record(of=shipped.method)))
    assert deviation(parsed(tree), shipped) is None
    tree["method"]["parameters"]["neuron"]["beta"] = "x"
    reason = deviation(parsed(tree), shipped)
    assert reason is not None
    assert lines_naming(reason, "neuron.beta", '"x"', "leaky")


def test_failed_run_without_data_is_comparable() -> None:
    """A run may fail before its data are read."""
    tree = json.loads(to_json(record(accuracy=None)))
    tree["provenance"]["data_sha256"] = tree["classes"] = None
    assert deviation(parsed(tree), reference()) is None


@pytest.mark.parametrize("key", ["classes", "sizes", "sha256"])
@pytest.mark.parametrize("value", [None, "x", True, {"train": 1}])
def test_data_set_without_facts_says_which_key_to_add(key: str, value: object) -> None:
    """A data set of the user's own: the file and the key stand in the finding."""
    toy = reference()
    meta = toy.entries["dataset"]["digits"].meta | {key: value}
    entries = {**toy.entries, "dataset": {"digits": toy_entry("dataset", "digits", meta=meta)}}
    reason = deviation(record(), ProtocolReference(toy.protocol, toy.method, entries))
    assert reason is not None
    assert lines_naming(reason, "'digits'", f"meta.{key}", "conf/dataset/digits.yaml")


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", catalogue.entries("dataset"))
def test_facts_of_the_catalogue_are_those_of_the_class(name: str) -> None:
    """The YAML file is read without torch and must not drift from the code; 0 is a size that nobody published."""
    shipped, found = catalogue.entry("dataset", name), made("dataset", name)
    facts = facts_of(shipped)
    sizes = {split: size for split, size in found.sizes.items() if size}
    assert (facts.sizes, facts.sha256) == (sizes, found.sha256)
    assert facts.is_accepted == (found.sha256 is not None)
    if name != "tonic":  # which names its classes once it has read
        assert (facts.classes or 0) == found.n_classes
    assert (facts.classes is None) == (found.target in ("trace", "spikes"))


def test_a_failure_of_the_machine_is_no_row() -> None:
    """Out of memory says nothing of a method, so it is left out; numbers that left the finite count at chance."""
    of_method = record(accuracy=None)
    assert deviation(of_method, reference()) is None
    assert of_method.failure is not None
    failure = of_method.failure.model_copy(update={"kind": "MemoryError"})
    found = deviation(of_method.model_copy(update={"failure": failure}), reference())
    assert found is not None
    assert lines_naming(found, "MemoryError", "repeat the run")


STATED = (
    "braille_delta_v2",
    "delayed_xor_rules_v1",
    "delayed_xor_v2",
    "digits_deep_v1",
    "fsdd_v2",
    "randman_rules_v1",
    "randman_v2",
    "sequential_digits_v2",
    "yin_yang_v2",
)
"""Protocols whose seeds draw data of their own."""
RECORDED = ("braille_delta_v2", "fsdd_v2")
"""Of recordings, which are not at hand everywhere."""


@pytest.mark.parametrize("name", STATED)
def test_every_seed_has_data_of_its_own(name: str) -> None:
    """A hash for each of the seeds, no two alike: without it no record of the protocol could enter its board.

    Those of tuning seeds stand before them: without them no run enters a log of tuning.
    """
    entry = catalogue.entry("protocol", name)
    stated, seeds = entry.meta["data_sha256"], tuple(entry.parameters["seeds"])
    assert tuple(stated) == (*(entry.parameters["tuning_seeds"] or ()), *seeds)
    assert len(set(stated.values())) == len(stated)


def test_a_seed_is_held_to_the_data_that_it_draws() -> None:
    """The first split is drawn here, by numpy's generator; another seed with the same data deviates."""
    shipped = compose_reference("sequential_digits_v2")
    drawn = fingerprint(draw(made("dataset", "sequential_digits"), 200).load(Path()))
    found = {}
    for seed in (200, 201):
        tree = json.loads(to_json(record(of=shipped.method, seed=seed)))
        tree["provenance"]["data_sha256"] = drawn
        found[seed] = deviation(parsed(tree), shipped)
    assert found[200] is None
    assert found[201] is not None
    assert "provenance.data_sha256" in found[201]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STATED if name not in RECORDED])
def test_stated_data_are_drawn_here(name: str) -> None:
    """The first and the last seed, and the last for choosing, drawn anew, of data that are generated or bundled."""
    shipped = compose_reference(name)
    chosen = shipped.method.choices["dataset"]
    target = str(catalogue.entry("dataset", chosen).target)
    data_set = construct("dataset", target, dict(shipped.method.parameters["dataset"]))
    seeds = shipped.protocol.seeds
    for seed in (seeds[0], seeds[-1], *(shipped.protocol.tuning_seeds or ())[-1:]):
        assert fingerprint(draw(data_set, seed).load(Path())) == shipped.data_sha256(seed)
