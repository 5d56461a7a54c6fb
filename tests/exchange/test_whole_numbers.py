"""Networks in whole numbers fire as their simulation does, and what cannot be told in them is refused by name."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from fastspiking.signals.spikes import dense
from fastspiking.signals.trajectory import SPIKES
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.exchange.chip_run import compare_with_simulation, find_chip, precision_of, require_chip
from sgbench.exchange.whole_numbers import Precision, WholeLayer, read_layers, run_layers, whole_layers
from sgbench.leaderboard.score import measures
from sgbench.records.energy import EnergyTarget
from sgbench.records.files import ShardLine, parse_model, read_shard, shard_lines
from sgbench.training.build import Parts, build
from sgbench.training.run_folder import folder_of
from sgbench.training.stored_run import StoredRun
from tests.messages import raises_naming

ROOT = Path(__file__).parents[2]
SMALL = (
    "experiment=delayed_xor_v2",
    "dataset.samples=[40,20,20]",
    "protocol.batch_size=20",
    "protocol.precision=float64",
    "init.gain=3",
    "seed=100",
    "trainer.progress=false",
)


def run(*words: str) -> StoredRun:
    """A run on a small task that was not trained."""
    spec = compose([*SMALL, *words])
    parts = build(spec)
    parts.network.eval()
    parts.data.setup()
    return StoredRun("a run", spec, parts, folder_of(spec), None, measures(())(spec.method))


def simulated(parts: Parts) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Input, spikes of each firing layer and the answer of one batch, by the run's own engine."""
    batch = next(iter(parts.data.epoch(0)))
    with torch.no_grad():
        seen = parts.network.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES}))
    return dense(batch.x).long().numpy(), [one.long().numpy() for one in seen.spikes], seen.output.numpy()


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    "words",
    [
        ("weights=int4", "network.recurrence=none"),
        ("weights=int8", "neuron.reset=zero"),
        ("weights=int8", "neuron=synaptic", "neuron.reset=subtract_decayed"),
        ("weights=ternary", "network.recurrence=one_to_one"),
        ("weights=rounded", "weights.bits=3", "protocol.hidden=[12,9]"),
    ],
)
def test_whole_numbers_fire_as_the_simulation_does(words: tuple[str, ...]) -> None:
    """Independent: the engine of the run in float64. Every spike of every layer; potentials to 1e-4.

    Must differ: decays of 4 bits lead to other potentials.
    """
    parts = run(*words).parts
    x, spikes, output = simulated(parts)
    layers = whole_layers(parts.network, "a chip")
    sent, answer = run_layers(layers, x)
    assert sum(one.sum() for one in spikes) > 0
    for own, theirs in zip(sent, spikes, strict=False):
        assert np.array_equal(own, theirs)
    assert np.allclose(answer, output, atol=1e-4)
    assert not np.allclose(run_layers(layers, x, Precision(6, 4, rounds_to_zero=True))[1], output, atol=1e-4)


def test_numbers_that_64_bits_cannot_hold_are_refused() -> None:
    """By hand: 16 x 2^40 with 20 bits behind the point is 2^64, which wraps to 0; 2^21 at rest doubles to 2^22."""
    one = np.ones(1)
    great = WholeLayer("great", np.full((1, 1), 16), 40, None, 40, one, None, None, "none")
    with raises_naming(InputError, "'great'", "too large"):
        great.run(np.ones((1, 1, 1), dtype=np.int64))
    grows = WholeLayer("grows", np.full((1, 1), 1), 21, None, 21, one, None, None, "none")
    assert grows.run(np.ones((1, 1, 1), dtype=np.int64))[1].tolist() == [[[2.0**21]]]
    for layer in (grows, WholeLayer("grows", np.full((1, 1), 1), 21, None, 21, one * 0, one, None, "none")):
        with pytest.raises(InputError, match="too large"):  # by its potential, then by its current
            layer.run(np.ones((2, 1, 1), dtype=np.int64))
    far = WholeLayer("far", np.full((1, 1), 1), 0, None, 0, one, None, np.array([2.0**45]), "subtract")
    with pytest.raises(InputError, match="too large"):
        far.run(np.ones((1, 1, 1), dtype=np.int64))


def test_decays_of_a_chip_by_hand() -> None:
    """-3 units are -192 / 64, and .9 is 3686 / 4096: 192 x 3686 / 4096 = 172.8, cut off to 172, and then 154."""
    layer = WholeLayer("one", np.array([[-3]]), 0, None, 0, np.array([0.9]), None, np.array([1.0]), "subtract")
    spikes, potentials = layer.run(np.array([[[1]], [[0]], [[0]]]), Precision(6, 12, rounds_to_zero=True))
    assert (potentials[:, 0, 0] * 64).tolist() == [-192, -172, -154]
    assert spikes.sum() == 0


def test_a_file_gives_the_same_layers() -> None:
    """Must match: arrays through numpy's format without pickles, among them those that a layer has not."""
    parts = run("weights=int4", "neuron=synaptic").parts
    layers = whole_layers(parts.network, "a chip")
    data = io.BytesIO()
    np.savez_compressed(data, **{key: value for layer in layers for key, value in layer.arrays.items()})
    data.seek(0)
    with np.load(data, allow_pickle=False) as arrays:
        again = read_layers(arrays)
    x, _, _ = simulated(parts)
    assert [layer.name for layer in again] == [layer.name for layer in layers]
    assert np.array_equal(run_layers(again, x)[1], run_layers(layers, x)[1])
    with raises_naming(InputError, "weight_exponent"):
        read_layers({"hidden.weight": np.zeros((1, 1))})


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "all bits, so a chip cannot hold it; train with weights=int8, int4 or ternary"),
        (("weights=int4", "network.bias=true"), "train with network.bias=false"),
        (("weights=int4", "weights.power_of_two=false"), "weights.power_of_two=true"),
        (("weights=int4", "weights.scale=channel"), "weights.scale=layer"),
        (("weights=int4", "neuron=alif"), "none of a chip's neurons|adapts"),
    ],
)
def test_what_is_not_whole_is_refused_with_the_layer_and_the_remedy(words: tuple[str, ...], reason: str) -> None:
    with pytest.raises(InputError, match=reason) as refused:
        whole_layers(run(*words).parts.network, "a chip")
    assert "\n" not in str(refused.value)
    assert "layer 'hidden" in str(refused.value)


def test_agreement_is_counted_on_all_validation_samples() -> None:
    """Of 20 samples every count and answer is alike; must differ: decays of 3 bits have other counts."""
    stored = run("weights=int8")
    layers = whole_layers(stored.parts.network, "a chip")
    same = compare_with_simulation(stored, layers)
    assert (same.samples, same.differing, same.same_answers) == (20, 0, 20)
    assert same.spikes > 0
    assert compare_with_simulation(stored, layers, Precision(6, 3, rounds_to_zero=True)).differing > 0


def test_chips_without_published_precision_have_none() -> None:
    chips = {name: find_chip(name).chip for name in ("loihi1", "odin")}
    assert chips["loihi1"] is not None
    assert chips["odin"] is not None
    assert precision_of(chips["loihi1"]) == Precision(6, 12, rounds_to_zero=True)
    assert precision_of(chips["odin"]) is None


@pytest.fixture(scope="module")
def finished() -> StoredRun:
    """A finished run with float weights, 64 hidden neurons: the first of the study of surrogates."""
    path = ROOT / "study" / "surrogates" / "A1-000.jsonl.xz"
    line = shard_lines(path, read_shard(path))[0]
    return run()._replace(record=parse_model(line, ShardLine, str(path)).record)


def narrow(name: str, **limits: object) -> EnergyTarget:
    """A target whose chip has other limits."""
    target = find_chip(name)
    assert target.chip is not None
    return target.model_copy(update={"chip": target.chip.model_copy(update=limits)})


def test_a_chip_refuses_all_that_it_cannot_hold_on_one_line(finished: StoredRun) -> None:
    """Each limit by its name; must differ: a chip of enough bits holds the same network."""
    assert require_chip(finished, narrow("loihi1", weight_bits=32)).fits
    cases = {
        "weights of 32 bits have to be quantised to 9; train with weights=int8 or int4 or ternary": narrow("loihi1"),
        "have to be quantised to 4; train with weights=int4 or ternary$": narrow("loihi1", weight_bits=4),
        "neuron 'leaky': the hardware has synaptic": narrow("loihi1", weight_bits=32, neurons=("synaptic",)),
        "inputs to a neuron, 3 at most": narrow("loihi1", weight_bits=32, fan_in=3),
        "cores are needed, the chip has 1": narrow("loihi1", weight_bits=32, neurons_per_core=8, cores=1),
    }
    for reason, target in cases.items():
        with pytest.raises(InputError, match=reason) as refused:
            require_chip(finished, target)
        assert str(refused.value).startswith("loihi1 ")
        assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="has no operation counts"):
        require_chip(finished._replace(record=None), narrow("loihi1"))
