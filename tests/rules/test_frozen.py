"""Controls of learning: nothing, the readout alone, the true gradient; against back-propagation through time."""

import pytest
import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch
from sgbench.errors import InputError
from sgbench.losses.max_over_time import MaxOverTime
from sgbench.networks.mlp import Mlp
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import LearningRule, Objective
from sgbench.rules.bptt import Bptt
from sgbench.rules.frozen import Frozen
from sgbench.surrogates.zero import Zero
from sgbench.training.train_step import TrainLoop
from tests.networks.small_mlp import BATCH, STEPS, full_lengths, inputs, network

OBJECTIVE = Objective(loss=MaxOverTime(), regulariser=NoPenalty())


def batch() -> Batch:
    """Random spikes with classes in turn."""
    target = torch.arange(BATCH) % 3
    return Batch(x=inputs(STEPS), target=target, lengths=full_lengths(), position=torch.arange(BATCH))


def gradients(rule: LearningRule, net: Mlp) -> dict[str, Tensor | None]:
    """By parameter, and None where there is none."""
    for _ in rule.gradients(net, batch(), OBJECTIVE):
        pass
    return {name: parameter.grad for name, parameter in net.named_parameters()}


def readout(name: str) -> bool:
    """Whether a parameter is the readout's."""
    return name.startswith("layers.2.")


def test_a_readout_that_learns_alone_has_the_gradient_of_bptt():
    """Expected: bit for bit that of BPTT in the readout, none elsewhere; BPTT has some in every layer."""
    alone, full = (gradients(rule, network([7, 5])) for rule in (Frozen(learn="readout"), Bptt(window=None)))
    for name, slope in full.items():
        if readout(name):
            torch.testing.assert_close(alone[name], slope, rtol=0, atol=0)
        else:
            assert alone[name] is None, name
        assert name.endswith("threshold") or slope.abs().max() > 0, name


@pytest.mark.parametrize("learn", ["none", "readout"])
def test_weight_decay_and_steps_leave_what_is_frozen(learn):
    """Expected: after ten steps of Adam with decay, frozen weights are bit-equal, those that learn are not."""
    net = network([7, 5], recurrence="all_to_all")
    before = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=0.1)
    loop = TrainLoop(net, Frozen(learn=learn), OBJECTIVE, clip_norm=1.0)
    losses = [loop.train_batch(batch(), optimizer).item() for _ in range(10)]
    for name, weight in net.named_parameters():
        assert torch.equal(weight, before[name]) == (learn == "none" or not readout(name)), name
    assert (losses[0] == losses[-1]) == (learn == "none")


def test_the_true_gradient_teaches_the_readout_alone():
    """Expected: under surrogate zero, BPTT's slope is exactly 0 in hidden layers, and the readout's as ever."""
    net = network([7, 5])
    for layer in net.hidden_layers:
        layer.neuron.surrogate = Zero(normalisation="raw", scale=1.0)
    true, usual = gradients(Bptt(window=None), net), gradients(Bptt(window=None), network([7, 5]))
    for name, slope in true.items():
        if readout(name):
            torch.testing.assert_close(slope, usual[name], rtol=0, atol=1e-14)
        else:
            assert slope is None or bool((slope == 0).all()), name


def test_another_word_is_refused():
    """Expected: one line that names the option and what there is."""
    with pytest.raises(InputError, match=r"^rule\.learn='hidden'"):
        Frozen(learn="hidden")
