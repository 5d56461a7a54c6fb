"""A converted network: counts by hand, answers against its training's, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import sgbench
from fastspiking.choose import Engine
from fastspiking.signals.trajectory import SPIKES, Batch
from sgbench.composition.compose import compose
from sgbench.energy.count import OperationCounter
from sgbench.errors import InputError
from sgbench.exchange.nir_export import to_nir
from sgbench.inits.kaiming import Kaiming
from sgbench.networks.base import Provided
from sgbench.networks.converted import Converted
from sgbench.training.build import build
from tests.messages import raises_naming
from tests.networks.parts import leaky, readout
from tests.run.tiny import WORDS

SPIKING = frozenset({SPIKES})


def network(n_inputs: int, hidden: list[int], outputs: int, *, levels: int, threshold: float = 1.0) -> Converted:
    """Return a network in float64 with drawn weights, biases of a tenth, and one threshold for all."""
    random = torch.Generator().manual_seed(3)
    made = Converted(
        Provided(n_inputs, outputs, leaky, readout, Kaiming(gain=1.5, recurrent_gain=1.0), random, Engine("reference")),
        hidden=hidden,
        levels=levels,
        bias=True,
    )
    for layer in made.layers:
        layer.bias.data.fill_(0.1)
    for layer in made.hidden_layers:
        layer.neuron.threshold.logarithm.data.fill_(math.log(threshold))
    return made.double()


def constant(rates: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return the same input in every step [T, B, N], and the lengths of samples."""
    return rates.expand(steps, -1, -1), torch.full((len(rates),), steps)


@pytest.mark.parametrize("steps", [1, 4, 16])
@pytest.mark.parametrize("threshold", [1.0, 0.7])
def test_a_constant_current_fires_as_often_as_the_formula_says(steps: int, threshold: float) -> None:
    """By hand: clip(floor(z T / theta + 1/2), 0, T) spikes, of currents below 0 and above theta too."""
    made = network(1, [1], 1, levels=4, threshold=threshold).eval()
    made.layers[0].weight.data.fill_(1.0)
    currents = torch.tensor([-0.4, 0.013, 0.21, 0.4444, 0.68, 0.93, 1.7], dtype=torch.float64)
    found = made.unroll(*constant(currents[:, None] - 0.1, steps), keep=SPIKING).spikes[0].sum((0, 2))
    expected = [min(max(math.floor(each.item() * steps / threshold + 0.5), 0), steps) for each in currents]
    assert found.tolist() == expected


def test_a_neuron_exactly_at_threshold_stays_silent() -> None:
    """By hand: z = theta / 2 in one step reaches theta, which does not fire; a little more does."""
    made = network(1, [1], 1, levels=1).eval()
    made.layers[0].weight.data.fill_(1.0)
    made.layers[0].bias.data.fill_(0.0)
    rates = torch.tensor([[0.5], [0.5001]], dtype=torch.float64)
    assert made.unroll(*constant(rates, 1), keep=SPIKING).spikes[0].flatten().tolist() == [0, 1]


def test_answers_are_those_of_training_where_currents_are_even() -> None:
    """Must match: one hidden layer, L = T, to 1e-12. Must differ: other numbers of steps, and a second layer."""
    rates = torch.rand(5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def apart(hidden: list[int], steps: int) -> float:
        made = network(6, hidden, 3, levels=8)
        trained = made.unroll(*constant(rates, steps)).output
        return (made.eval().unroll(*constant(rates, steps)).output - trained).abs().max().item()

    assert apart([9], 8) < 1e-12
    assert apart([9], 5) > 1e-3
    assert apart([9, 9], 8) > 1e-3


def test_the_error_of_a_rate_falls_with_the_number_of_steps() -> None:
    """Expected: every rate within 1 / (2 T) of the clipped current over threshold; at T = 4 not within 1 / 64."""
    rates = torch.rand(20, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made = network(6, [9], 3, levels=8, threshold=1.3).eval()
    wanted = (made.layers[0].current(rates) / 1.3).clamp(0, 1)
    worst = {}
    for steps in (4, 32, 256):
        found = made.unroll(*constant(rates, steps), keep=SPIKING).spikes[0].mean(0)
        worst[steps] = (found - wanted).abs().max().item()
        assert worst[steps] <= 0.5 / steps + 1e-12
    assert worst[4] > 1 / 64


def test_steps_behind_a_samples_end_say_nothing() -> None:
    """Must match: a padded sample and the same one alone, in training and in answers."""
    made = network(4, [5], 2, levels=4)
    x = (torch.rand(6, 1, 4, generator=torch.Generator().manual_seed(2)) < 0.5).double()
    padded = torch.cat([x[:4], torch.ones(2, 1, 4).double()])
    for _ in range(2):
        alone = made.unroll(x[:4], torch.tensor([4])).output[0]
        assert torch.equal(made.unroll(padded, torch.tensor([4])).output[0], alone)
        made.eval()


def test_operations_are_those_of_spikes() -> None:
    """By hand: spikes of the hidden layer times outputs, and events of the input times hidden neurons."""
    made = network(4, [5], 2, levels=4).eval()
    x = (torch.rand(6, 3, 4, generator=torch.Generator().manual_seed(2)) < 0.5).double()
    lengths = torch.full((3,), 6)
    trajectory = made.unroll(x, lengths, keep=SPIKING)
    counter = OperationCounter(made, "binary", bits=64)
    counter.update(Batch(x, torch.zeros(3), lengths, torch.arange(3)), trajectory)
    hidden, readout = counter.result().layers
    fired = int(trajectory.spikes[0].sum())
    assert fired > 0
    assert hidden.synapses[0].effective.total == int(x.sum()) * 5
    assert (hidden.spikes_sent.total, readout.synapses[0].effective.total) == (fired, fired * 2)
    assert readout.synapses[0].operation == "accumulate"


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("normalisation=tdbn",), r"normalisation: .*use normalisation=none$"),
        (("dropout=shared_mask",), r"dropout: .*use dropout=none$"),
        (("rule.window=2",), r"use rule\.window=null$"),
        (("network.levels=0",), r"network\.levels"),
        (("rule=eprop", "loss=per_step"), r"use rule=bptt$"),
    ],
)
def test_what_goes_step_by_step_is_refused(words: tuple[str, ...], says: str) -> None:
    """Expected: one line that names the option and the remedy."""
    with pytest.raises(InputError, match=says):
        build(compose([*WORDS, "network=converted", *words]))


def test_nir_is_told_no_half_threshold() -> None:
    """Expected: refused, since NIR's neurons start at rest."""
    with raises_naming(InputError, "NIR", "Converted"):
        to_nir(network(4, [5], 2, levels=4), dt_s=1e-3)


@pytest.mark.slow
def test_a_record_says_that_it_was_converted() -> None:
    """Expected: no surrogate, rates and operations of spikes, better than chance."""
    record = sgbench.run(
        *WORDS, "protocol.epochs=8", "network=converted", "encoder=direct", "optimizer.lr=0.02", "engine=reference"
    )
    assert record.status == "finished", record.failure
    assert record.method.is_baseline
    assert record.method.label == "converted"
    assert 0 < record.test.activity[0].rate_per_step < 1
    assert record.counts.layers[0].spikes_sent.total > 0
    assert record.test.accuracy > 0.5
