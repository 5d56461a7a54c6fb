"""The selection of the best epoch, patience, and both across an interruption."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch

from sgbench.training.epoch_loop import BestEpoch
from tests.run.two_layers import make_network


def run_through(best: BestEpoch, losses: list[float], accuracies: list[float]) -> Iterator[tuple[bool, bool]]:
    """Whether each epoch is the best so far, and whether to stop after it; epoch k has weights k."""
    network = make_network()
    for epoch, (loss, accuracy) in enumerate(zip(losses, accuracies, strict=True)):
        with torch.no_grad():
            for weight in network.parameters():
                weight.fill_(float(epoch))
        scores = {"validation_loss": loss, "validation_accuracy": accuracy, "train_loss": -float(epoch)}
        yield best.update(epoch, scores, network), best.should_stop


LOSSES = [0.9, 0.7, 0.7, 0.8, 0.6, 0.6, 0.65]
ACCURACIES = [0.5, 0.5, 0.8, 0.7, 0.8, 0.8, 0.1]


@pytest.mark.parametrize(
    ("monitor", "better", "value"), [("validation_loss", [0, 1, 4], 0.6), ("validation_accuracy", [0, 2], 0.8)]
)
def test_the_best_epoch_is_the_first_of_equals(monitor, better, value):
    """Expected by hand: the least loss is first in epoch 4, the largest accuracy in epoch 2; weights are kept."""
    best = BestEpoch(monitor, None)
    found = [is_best for is_best, _ in run_through(best, LOSSES, ACCURACIES)]
    assert [epoch for epoch, is_best in enumerate(found) if is_best] == better
    assert (best.epoch, best.value) == (better[-1], value)
    assert all((weight == better[-1]).all() for weight in best.weights.values())
    assert set(best.weights) == set(make_network().state_dict())


@pytest.mark.parametrize(("patience", "stops_after"), [(1, 2), (2, 3), (3, None), (None, None)])
def test_patience_counts_epochs_without_improvement(patience, stops_after):
    """Expected by hand, for losses .9 .7 .7 .8 .6 .6 .65: an equal epoch is no improvement.

    Patience 1 ends after epoch 2, 2 after epoch 3; 3 would end after epoch 4, which is better.
    """
    stops = [stop for _, stop in run_through(BestEpoch("validation_loss", patience), LOSSES, ACCURACIES)]
    assert (stops.index(True) if True in stops else None) == stops_after


def test_the_selection_goes_on_from_a_checkpoint():
    """Expected: interrupted after any epoch, state and decisions are those of an undisturbed run."""
    undisturbed = BestEpoch("validation_loss", 2)
    expected = list(run_through(undisturbed, LOSSES, ACCURACIES))
    for cut in range(len(LOSSES)):
        first, second = BestEpoch("validation_loss", 2), BestEpoch("validation_loss", 2)
        found = list(run_through(first, LOSSES[:cut], ACCURACIES[:cut]))
        second.load_state_dict(first.state_dict())
        assert second.should_stop == first.should_stop
        later = zip(LOSSES, ACCURACIES, strict=True)
        for epoch, (loss, accuracy) in itertools.islice(enumerate(later), cut, None):
            network = make_network()
            with torch.no_grad():
                for weight in network.parameters():
                    weight.fill_(float(epoch))
            scores = {"validation_loss": loss, "validation_accuracy": accuracy}
            found.append((second.update(epoch, scores, network), second.should_stop))
        assert found == expected
        assert (second.epoch, second.value) == (undisturbed.epoch, undisturbed.value)
        for name, weight in undisturbed.weights.items():
            assert torch.equal(second.weights[name], weight)


def test_kept_weights_do_not_follow_the_network():
    """Expected: copies; training on in place leaves the best weights as they were."""
    network, best = make_network(), BestEpoch("validation_loss", None)
    best.update(0, {"validation_loss": 1.0}, network)
    kept = {name: weight.clone() for name, weight in best.weights.items()}
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(1.0)
    assert all(torch.equal(best.weights[name], weight) for name, weight in kept.items())
