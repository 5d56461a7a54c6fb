"""How steep a surrogate is in the course of training: contracts of all entries, and each one's path by hand."""

import functools
import math

import pytest

import sgbench
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.networks.base import surrogates
from sgbench.training.build import build
from sgbench.training.epoch_loop import Epochs, Training
from tests.entries import made
from tests.messages import raises_naming
from tests.run.tiny import WORDS
from tests.thinned import thinned

NAMES = list(catalogue.entries("steepness"))
SCHEDULES = {
    "linear": lambda p: 1 + 3 * p,
    "cosine": lambda p: 1 + 3 * math.sin(math.pi * p / 2) ** 2,
    "exponential": lambda p: math.exp(p * math.log(4)),
}
every_entry = pytest.mark.parametrize("name", NAMES)


@pytest.mark.one_in(8)
@every_entry
def test_begins_at_the_surrogates_own_steepness(name):
    """Expected: stretch 1 at first; a share outside of [0, 1] is refused by what depends on it."""
    steepness = sgbench.create(f"steepness/{name}")
    assert steepness.factor(0.0) == 1.0
    if name in SCHEDULES:
        for wrong in (-0.1, 1.1, math.nan):
            with pytest.raises(InputError, match="share of training"):
                steepness.factor(wrong)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("name", "path"), SCHEDULES.items(), ids=SCHEDULES)
def test_paths_by_hand(name, path):
    """Expected: the curve written here another way, at seven places; the last is `final`."""
    steepness = sgbench.create(f"steepness/{name}", final=4.0)
    for progress in (0, 0.1, 0.25, 0.5, 0.7, 0.9, 1):
        assert steepness.factor(progress) == pytest.approx(path(progress), rel=1e-12)
    assert steepness.factor(1) == pytest.approx(4.0)


def test_schedules_differ():
    """Must differ: a quarter of the way."""
    assert len({round(path(0.25), 6) for path in SCHEDULES.values()}) == 3


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", thinned(NAMES, 3))
def test_trains_and_is_named_in_the_record(name):
    """Expected: a finished record that tells it unless it is the neutral one; ids and weights of their own."""
    record = sgbench.run(*WORDS, f"steepness={name}")
    plain = sgbench.run(*WORDS)
    assert record.status == "finished", record.failure
    neutral = name == "fixed"
    assert ("steepness" in record.model_dump(mode="json")["method"]["choices"]) != neutral
    assert (record.method_id == plain.method_id) == neutral
    assert (record.weights_sha256 == plain.weights_sha256) == neutral


def test_each_epoch_has_its_stretch(monkeypatch):
    """By hand: three epochs from 1 to 5 in equal steps are 1, 3, 5."""
    seen = []
    original = Training.train

    def watched(self, batch, optimizer):
        seen.append({each.stretch for each in surrogates(self.network)})
        return original(self, batch, optimizer)

    monkeypatch.setattr(Training, "train", watched)
    sgbench.run(*WORDS, "steepness=linear", "steepness.final=5", "protocol.epochs=3")
    assert [next(iter(one)) for one in dict.fromkeys(frozenset(each) for each in seen)] == [1, 3, 5]


def test_one_epoch_has_no_path():
    """Expected: stretch 1, not a division by zero."""
    network = build(compose(WORDS)).network
    Epochs(sgbench.create("steepness/linear"), 1, 0).begin(network, "train", 0)
    assert surrogates(network)[0].stretch == 1


@pytest.mark.parametrize("engine", thinned(["fused", "scan", "reference"], 3))
def test_a_learnt_steepness_moves_on_every_engine(engine):
    """Must match: the parameter after training, on all engines in float64. Must differ: from where it began."""
    words = (*WORDS, "steepness=learned", "protocol.precision=float64", "protocol.epochs=2")
    record = sgbench.run(*words, f"engine={engine}")
    reference = sgbench.run(*words, "engine=reference")
    assert record.provenance.engine.startswith(engine)
    assert record.curve[-1].train_loss == pytest.approx(reference.curve[-1].train_loss, rel=1e-9)
    assert record.curve[-1].train_loss != sgbench.run(*words[:-2], "protocol.precision=float64").curve[-1].train_loss


def test_a_surrogate_without_primitive_does_not_learn_its_steepness():
    """Expected: one line with the remedy, before anything runs."""
    with raises_naming(InputError, "primitive", "steepness=fixed"):
        sgbench.run(*WORDS, "surrogate=multi_spike", "steepness=learned")


@functools.cache
def kind_of(name):
    """The class of an entry."""
    return type(made("steepness", name))


@pytest.mark.parametrize("value", [0, -1, 1e5, math.nan, math.inf, "5", None, True])
@pytest.mark.parametrize("name", SCHEDULES)
def test_bad_ends_are_refused_by_name(name, value):
    """Expected: the parameter, its value and the range."""
    with pytest.raises(InputError, match=r"steepness\.final"):
        kind_of(name)(final=value)
