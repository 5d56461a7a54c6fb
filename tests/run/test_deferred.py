"""What is not finite on an accelerator: found without waiting for it, told as on a CPU, and in time."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from fastspiking.signals.spikes import SparseSpikes
from fastspiking.signals.trajectory import Batch
from sgbench.composition.compose import compose
from sgbench.errors import NonFiniteError
from sgbench.losses.max_over_time import MaxOverTime
from sgbench.networks.mlp import Mlp
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Objective
from sgbench.rules.bptt import Bptt
from sgbench.training import train_step
from sgbench.training.build import build, optimizer_of
from sgbench.training.epoch_loop import Training
from sgbench.training.train_step import DeferredChecks, TrainLoop
from tests.messages import raises_naming
from tests.run.synchronisations import FAKE, Synchronisations
from tests.run.test_train_step import PLAIN, Infinite
from tests.run.tiny import WORDS
from tests.run.two_layers import make_batch, make_network


def loop_of(network: Mlp, objective: Objective = PLAIN, *, accumulates: bool = False) -> TrainLoop:
    """A loop that checks at once, as on a CPU."""
    return TrainLoop(network, Bptt(window=None), objective, clip_norm=1.0, accumulates=accumulates)


def told(loop: TrainLoop, batches: int = 1) -> str:
    """What stops training, at once or when it is asked for."""
    optimizer = torch.optim.SGD(loop.network.parameters(), lr=0.1)

    def train() -> None:
        for _ in range(batches):
            loop.train_batch(make_batch(), optimizer)
        loop.check_deferred()

    with pytest.raises(NonFiniteError) as caught:
        train()
    return str(caught.value)


def poisoned(layer: int, name: str, value: float) -> Mlp:
    """A network with one weight that is not finite."""
    network = make_network()
    with torch.no_grad():
        getattr(network.layers[layer], name).view(-1)[0] = value
    return network


CASES: dict[str, Callable[[], TrainLoop]] = {
    "gradient": lambda: loop_of(make_network(spoilt_layer=0)),
    "gradient_of_two": lambda: loop_of(make_network(spoilt_layer=1)),
    "potential": lambda: loop_of(poisoned(1, "bias", math.nan)),
    "readout": lambda: loop_of(poisoned(2, "bias", -math.inf)),
    "loss": lambda: loop_of(make_network(), Objective(Infinite(), NoPenalty())),
    "mean_of_two": lambda: loop_of(make_network(spoilt_layer=0), accumulates=True),
}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("batches", [1, 3])
def test_the_message_is_that_of_a_cpu(case, batches):
    """Expected: the line of a check in every step, also when later steps have NaN in every layer."""
    at_once, later = CASES[case](), CASES[case]()
    assert at_once.deferred is None
    later.deferred = DeferredChecks()
    assert told(later, batches) == told(at_once)


def test_training_goes_on_until_it_asks(monkeypatch):
    """Expected by hand: with a question every 6 looks, two a step, the third step stops; before, none does."""
    monkeypatch.setattr(train_step, "MOST_DEFERRED", 6)
    loop = loop_of(make_network(spoilt_layer=0))
    loop.deferred = DeferredChecks()
    optimizer = torch.optim.SGD(loop.network.parameters(), lr=0.1)
    for _ in range(2):
        loop.train_batch(make_batch(), optimizer)
    with pytest.raises(NonFiniteError, match="'hidden0', weight: the gradient"):
        loop.train_batch(make_batch(), optimizer)


def test_finite_steps_stop_nothing():
    """Must match: weights after two steps, to the bit, with and without waiting; large numbers are finite."""
    networks = make_network(), make_network()
    for network, deferred in zip(networks, (None, DeferredChecks()), strict=True):
        loop = loop_of(network)
        loop.deferred = deferred
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        for _ in range(2):
            loop.train_batch(make_batch(), optimizer)
        loop.check_deferred()
    for one, other in zip(*(network.parameters() for network in networks), strict=True):
        assert torch.equal(one, other)
    large = DeferredChecks()
    large.add([("largest", torch.full((9,), torch.finfo(torch.float32).max))])
    large.ask()


def test_nothing_is_scored_behind_a_step_that_was_not_finite():
    """Expected: the pass over validation does not begin, so no epoch is selected, logged or kept."""
    spec = compose(WORDS)
    parts = build(spec)
    parts.data.setup()
    training = Training(parts, spec.method, spec.seed, made_by={})
    training.loop.deferred = DeferredChecks()
    training.begin_epoch(0)
    first, second = list(parts.data.epoch(0))[:2]
    training.train(first, parts.optimizer)
    with torch.no_grad():
        parts.network.layers[0].weight[0] = math.nan
    training.train(second, parts.optimizer)
    with raises_naming(NonFiniteError, "'hidden0'", "membrane potential"):
        training.begin_scoring("validation", selected=False)
    assert training.best.epoch is None
    assert not training.curve


# --- how often the host waits


def waits(*words: str, at_once: bool = False) -> int:
    """Synchronisations of one training step on a device without numbers."""
    spec = compose([*WORDS, *words])
    parts = build(spec)
    parts.data.setup()
    batch = Batch(*(part.to(FAKE) for part in next(iter(parts.data.epoch(0)))))
    network = parts.network.to(FAKE)
    network.engine.device = FAKE
    optimizer = optimizer_of(spec, network.parameters(), FAKE)
    training = Training(parts, spec.method, spec.seed, made_by={})
    assert training.loop.deferred is not None
    if at_once:
        training.loop.deferred = None
    training.begin_epoch(0)
    with Synchronisations() as seen:
        training.train(batch, optimizer)
    return seen.count


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "words",
    [
        ("network.recurrence=all_to_all",),
        ("optimizer=sam",),
        ("optimizer=adamw", "clip_norm=1.0"),
        ("loss=per_step", "encoder=poisson"),
        ("engine=reference", "regulariser=total_activity"),
    ],
    ids=lambda words: words[0],
)
def test_a_step_on_an_accelerator_waits_for_nothing(words):
    """Expected: 0."""
    assert waits(*words) == 0


def test_what_is_counted():
    """Must differ, counted by hand: two potentials, three weights, the loss and the norm."""
    assert waits("network.recurrence=all_to_all", at_once=True) == 2 + 3 + 1 + 1


def test_a_normalised_layer_waits_once():
    """Expected: 1, whether all samples go to the last step; statistics are of the steps within them."""
    assert waits("normalisation=batch_norm") == 1


def test_packed_input_becomes_dense_without_waiting():
    """Expected: no size is asked of the device, which has none to tell."""
    events = SparseSpikes.of(torch.eye(6).view(3, 2, 6)).to(FAKE)
    with Synchronisations() as seen:
        assert events.dense().shape == (3, 2, 6)
    assert seen.count == 0


def test_a_mask_changes_no_logit_where_no_sample_ends_early():
    """Must match to the bit: the largest outputs with a mask of all steps, and without."""
    batch = make_batch()
    full = torch.full_like(batch.lengths, batch.x.shape[0])
    trajectory = make_network().unroll(batch.x, full)
    masked = trajectory.output.masked_fill(torch.zeros_like(trajectory.output, dtype=torch.bool), -math.inf)
    assert torch.equal(MaxOverTime().logits(trajectory), masked.amax(0))
