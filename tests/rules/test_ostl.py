"""OSTL and OTTT: against traces written forward in time, and against back-propagation where a path is missing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.losses.per_step import PerStep
from sgbench.networks.base import Provided
from sgbench.networks.mlp import Mlp
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import LearningRule, Objective
from sgbench.rules.bptt import Bptt
from sgbench.rules.ostl import Ostl
from sgbench.training.build import build
from tests.networks.parts import BATCH, CLASSES, LENGTHS, STEPS, given, leaky, spikes
from tests.run.tiny import WORDS

PLAIN = Objective(loss=PerStep(), regulariser=NoPenalty())
DECAY = 0.8  # of `leaky`


def network(hidden: tuple[int, ...], recurrence: str = "none", beta: float = 0.9) -> Mlp:
    options = {"recurrence": recurrence, "recurrence_gradient": "full", "bias": False}
    return Mlp(
        Provided(6, CLASSES, leaky, lambda n: LeakyReadout(n, beta=beta, learn_beta="none"), *given()),
        hidden=hidden,
        **options,
    )


def batch() -> Batch:
    return Batch(spikes(6), torch.arange(BATCH) % CLASSES, LENGTHS, torch.arange(BATCH))


def gradients(rule: LearningRule, net: Mlp) -> dict[str, Tensor]:
    net.zero_grad()
    list(rule.gradients(net, batch(), PLAIN))
    return {name: weight.grad.clone() for name, weight in net.named_parameters()}


def forward_in_time(net: Mlp) -> dict[str, Tensor]:
    """OTTT's sums: in each step an error that went down the layers at once, times a filtered input."""
    samples, wanted = batch(), torch.nn.functional.one_hot(batch().target, CLASSES)
    layers, kappa = list(net.hidden_layers), net.readout.neuron.beta()
    total = [torch.zeros_like(layer.weight) for layer in net.layers]
    traces = [samples.x.new_zeros(BATCH, layer.weight.shape[1]) for layer in net.layers]
    states, output = [None] * len(layers), samples.x.new_zeros(BATCH, CLASSES)
    with torch.no_grad():
        for t in range(STEPS):
            signal, slopes = samples.x[t], []
            for place, layer in enumerate(layers):
                traces[place] = DECAY * traces[place] + signal
                current = signal @ layer.weight.T
                begin = states[place] or layer.neuron.initial_state(current)
                signal, states[place] = layer.neuron.step(current, begin)
                slopes.append(layer.neuron.surrogate.derivative(layer.neuron.centred(states[place])))
            traces[-1] = kappa * traces[-1] + signal
            output = kappa * output + signal @ net.readout.weight.T
            share = ((t < LENGTHS).double() / LENGTHS / BATCH)[:, None]
            error = share * (output.softmax(1) - wanted)
            total[-1] += error.T @ traces[-1]
            behind = net.readout.weight
            for place in range(len(layers) - 1, -1, -1):
                error = slopes[place] * (error @ behind)
                total[place] += error.T @ traces[place]
                behind = layers[place].weight
    return {f"layers.{place}.weight": value for place, value in enumerate(total)}


@pytest.mark.parametrize("hidden", [(7,), (7, 5), (7, 5, 6)])
def test_without_recurrence_it_is_ottt(hidden):
    """Must match: the paper's algorithm, forward in time with one trace for each input, in up to three layers."""
    net = network(hidden)
    found = gradients(Ostl(), net)
    for name, expected in forward_in_time(net).items():
        assert expected.any()
        assert (found[name] - expected).abs().max() < 1e-10 * expected.abs().max(), name


@pytest.mark.parametrize("recurrence", ["none", "all_to_all"])
def test_the_last_hidden_layer_is_exact_behind_a_readout_that_forgets(recurrence):
    """Must match: back-propagation in the last two layers. Must differ: in the first, or behind a leaky readout."""
    for beta in (0.0, 0.9):
        net = network((7, 5), recurrence, beta)
        found, expected = gradients(Ostl(), net), gradients(Bptt(window=None), net)
        errors = {n: ((found[n] - v).abs().max() / v.abs().max()).item() for n, v in expected.items()}
        assert errors["layers.2.weight"] < 1e-10
        assert (errors["layers.1.weight"] < 1e-10) == (beta == 0.0)
        assert errors["layers.0.weight"] > 1e-3
        first = [each["layers.0.weight"].flatten() for each in (found, expected)]
        assert torch.nn.functional.cosine_similarity(*first, dim=0) > 0


def test_it_is_not_windows_of_one_step():
    """Must differ: windows of one step have the same errors without the traces."""
    net = network((7, 5), beta=0.0)
    found, other = gradients(Ostl(), net), gradients(Bptt(window=1), net)
    for name, value in other.items():
        if name != "layers.2.weight":
            assert (found[name] - value).abs().max() > 1e-2 * value.abs().max()


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("network=spiking_resnet",), "rule=ostl: needs layers one behind the other"),
        (("network=delayed",), "within a step, but the synapses .* delay what they transmit; use rule=bptt"),
        (("firing=bernoulli",), "draw otherwise the second time; use rule=bptt"),
    ],
)
def test_what_does_not_go_together_is_refused(words, message):
    """Expected: an InputError that names the mend."""
    with pytest.raises(InputError, match=message):
        build(compose([*WORDS, "rule=ottt", *words]))
