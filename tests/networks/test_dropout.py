"""Dropout with a mask that all steps share: what is dropped, from which numbers, and when.

Expected values come from the definition and from the mean over many masks.
"""

from __future__ import annotations

import pytest
import torch

import sgbench
from fastspiking.signals.trajectory import SPIKES
from sgbench.composition.compose import compose
from sgbench.dropouts.base import masks
from sgbench.dropouts.shared_mask import SharedMask
from sgbench.errors import InputError
from sgbench.networks.mlp import Mlp
from sgbench.steepness.fixed import Fixed
from sgbench.training.build import build
from sgbench.training.run_folder import folder_of
from sgbench.training.train_step import Epochs
from tests.networks.parts import FULL, STEPS, conv, mlp, spikes
from tests.run.hooks import stop_after
from tests.run.tiny import WORDS, comparable

RATE = 0.4
COURSE = Epochs(Fixed(), 5, seed=3)


def dropping(rate: float = RATE) -> Mlp:
    """A network that drops hidden spikes, in training."""
    network = mlp()
    network.drop(SharedMask(rate=rate))
    return network.train()


def test_a_neuron_is_lost_for_all_steps_of_a_sample_or_for_none():
    """Expected: what is left of ones is 0 or 1/(1 - p) over all steps; both occur, and samples differ."""
    network = dropping()
    assert network.layers[0].dropout is None, "the input of the network is not dropped"
    mask = network.layers[1].dropout
    left = mask(torch.ones(STEPS, 50, 40, dtype=torch.float64))
    assert torch.equal(left, left[:1].expand_as(left))
    assert set(left.unique().tolist()) == {0.0, 1 / (1 - RATE)}
    assert not torch.equal(left[0, 0], left[0, 1])
    assert not torch.equal(left, mask(torch.ones(STEPS, 50, 40, dtype=torch.float64)))


def test_the_expectation_is_kept():
    """Expected: p of 200 000 neurons are dropped, and the mean stays 1, within 5 standard errors."""
    mask = SharedMask(rate=RATE).make()
    left = mask(torch.ones(1, 2000, 100, dtype=torch.float64))
    error = (RATE / (1 - RATE) / left.numel()) ** 0.5
    assert left.mean().item() == pytest.approx(1.0, abs=5 * error)
    assert (left == 0).double().mean().item() == pytest.approx(RATE, abs=5 * error)


def test_the_current_behind_is_that_of_the_masked_spikes():
    """Must match: weights times spikes times one mask, literally; spikes themselves are kept whole."""
    network = dropping()
    COURSE.begin(network, "train", 0)
    found = network.unroll(spikes(6), FULL, keep=frozenset({SPIKES}))
    COURSE.begin(network, "train", 0)
    first, last = (each.uniform(3, size) >= RATE for each, size in zip(masks(network), (7, 5), strict=True))
    assert torch.equal(found.spikes[0], mlp().unroll(spikes(6), FULL, keep=frozenset({SPIKES})).spikes[0])
    masked = found.spikes[0] * first / (1 - RATE)
    layer = network.layers[1]
    state, sent = layer.neuron.initial_state(masked[0] @ layer.weight.T), []
    for now in masked @ layer.weight.T:
        fired, state = layer.neuron.step(now, state)
        sent.append(fired)
    assert torch.equal(found.spikes[1], torch.stack(sent))
    state, outputs = network.readout.neuron.initial_state(found.output[0]), []
    for now in (found.spikes[1] * last / (1 - RATE)) @ network.readout.weight.T:
        out, state = network.readout.neuron.step(now, state)
        outputs.append(out)
    torch.testing.assert_close(found.output, torch.stack(outputs), rtol=1e-12, atol=1e-12)


def test_nothing_is_lost_in_evaluation_or_at_rate_0():
    """Must match: a network without dropout. Must differ: in training."""
    plain = mlp().unroll(spikes(6), FULL).output
    assert torch.equal(dropping().eval().unroll(spikes(6), FULL).output, plain)
    assert torch.equal(dropping(0.0).unroll(spikes(6), FULL).output, plain)
    assert (dropping().unroll(spikes(6), FULL).output - plain).abs().max() > 1e-3


def test_masks_are_a_function_of_seed_layer_and_epoch():
    """Must match: the same epoch of the same seed again. Must differ: another epoch, seed or layer."""

    def drawn(seed: int, epoch: int, layer: int = 0) -> torch.Tensor:
        network = dropping()
        Epochs(Fixed(), 5, seed).begin(network, "train", epoch)
        return masks(network)[layer].uniform(30)

    assert torch.equal(drawn(3, 1), drawn(3, 1))
    for other in (drawn(3, 2), drawn(4, 1), drawn(3, 1, layer=1)):
        assert not torch.equal(drawn(3, 1), other)


def test_gradient_reaches_no_dropped_synapse():
    """Expected: columns of the readout's gradient are 0 exactly where the sample's mask is or nothing fired."""
    network = dropping()
    COURSE.begin(network, "train", 0)
    found = network.unroll(spikes(6)[:, :1], FULL[:1], keep=frozenset({SPIKES}))
    found.output.square().sum().backward()
    COURSE.begin(network, "train", 0)
    kept = masks(network)[1].uniform(1, 5)[0] >= RATE
    heard = kept & found.spikes[1].any(0)[0]
    assert torch.equal(network.readout.weight.grad.abs().sum(0) > 0, heard)
    assert 0 < heard.sum() < 5


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("dropout=shared_mask", "dropout.rate=1"), r"dropout\.rate=1: nothing would be left"),
        (("dropout=shared_mask", "dropout.rate=-0.1"), r"dropout\.rate=-0\.1: a number in \[0, 1\]"),
        (("dropout=shared_mask", "rule.window=3"), r"rule\.window=3: the inputs of layer 'readout' share"),
        (
            ("dropout=shared_mask", "rule=eprop", "loss=per_step"),
            "rule.feedback=symmetric: what reaches the readout is pooled, dropped or delayed",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(words, message):
    """Expected: an InputError that names the option."""
    with pytest.raises(InputError, match=message):
        build(compose([*WORDS, *words]))


def test_images_are_dropped_behind_their_pooling():
    """Expected: a mask of as many neurons as the pooled image has pixels; it runs."""
    network = conv(pooling="max", pooling_of="spikes")
    network.drop(SharedMask(rate=0.5))
    network.train().unroll(spikes(48), FULL).output.sum().backward()
    assert network.layers[1].dropout(torch.ones(1, 3, 3 * 2 * 3)).shape == (1, 3, 18)


@pytest.mark.slow
def test_a_continued_run_draws_the_masks_of_an_undisturbed_one(monkeypatch: pytest.MonkeyPatch):
    """Interrupted after the first of two epochs: curves, scores, weights and statistics are equal to the byte."""
    words = (*WORDS, "protocol.epochs=2", "dropout=shared_mask", "normalisation=tdbn")
    undisturbed = sgbench.run(*words, "force=true")
    with monkeypatch.context() as patch:
        stop_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            sgbench.run(*words, "force=true")
    (folder_of(compose(words)) / "record.json").unlink()
    continued = sgbench.run(*words)
    assert continued.timing.resumed == 1
    assert comparable(continued) == comparable(undisturbed)
    assert continued.weights_sha256 == undisturbed.weights_sha256
