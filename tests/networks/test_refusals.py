"""Values and combinations that convolutional, delayed and sequence networks refuse before anything runs."""

from __future__ import annotations

import pytest

from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.training.build import build
from tests.networks.sequence_parts import conv, delayed, dh_lif

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: conv(kernel_size=2), r"network\.kernel_size=2: an odd number of pixels"),
        (lambda: conv(stride=0), r"network\.stride=0: a whole number of at least 1"),
        (lambda: conv(channels=[]), r"network\.channels=\[\]: a list such as \[8, 16\]"),
        (lambda: conv(channels=[0]), r"network\.channels=0: a whole number of at least 1"),
        (lambda: conv(recurrence="conv"), r"network\.recurrence='conv': one of none, one_to_one, all_to_all"),
        (lambda: conv(bias=1), r"network\.bias=1: true or false"),
        (lambda: conv(dh_lif), r"neuron\.inputs=split: .* use neuron\.inputs=all"),
        (lambda: delayed(max_delay_steps=0), r"network\.max_delay_steps=0: a whole number of at least 1"),
        (lambda: delayed(kernel="box"), r"network\.kernel='box': one of gaussian, triangle, rounded"),
        (lambda: delayed(sigma_steps=[1.0]), r"network\.sigma_steps=\[1\.0\]: two numbers such as \[2\.0, 0\.5\]"),
        (lambda: delayed(sigma_steps=[1.0, 0.0]), r"network\.sigma_steps=0\.0: a number in \[0\.1, inf"),
        (lambda: delayed(hidden=[]), r"network\.hidden=\[\]: a list of layer sizes"),
        (lambda: delayed(readout_delays="no"), r"network\.readout_delays='no': true or false"),
        (lambda: delayed(recurrent_delays=1), r"network\.recurrent_delays=1: true or false"),
    ],
)
def test_bad_values_are_refused_by_name(make, message):
    """Expected: an InputError that names the parameter, its value and what is needed."""
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("neuron=psn", "network.recurrence=all_to_all"), r"network\.recurrence=all_to_all: .* all time steps at once"),
        (("neuron=sliding_psn", "rule.window=5"), r"rule\.window=5: .* use rule\.window=null"),
        (("network=delayed", "rule.window=5"), r"rule\.window=5: the synapses of layer 'hidden0' delay"),
        (("neuron=psn", "rule=eprop", "loss=per_step"), r"rule=eprop: goes step by step, .* use rule=bptt"),
        (
            ("neuron=slstm", "rule=eprop", "loss=per_step"),
            r"rule=eprop: .* Slstm takes several; use rule.form=unrolled",
        ),
        (
            ("neuron=three_compartment", "rule=eprop", "loss=per_step"),
            r"rule=eprop: .* ThreeCompartment takes several; use rule.form=unrolled",
        ),
        (("network=delayed", "rule=eprop", "loss=per_step"), r"rule=eprop: goes step by step"),
        (("neuron=spiking_gru", "firing=ternary"), r"neuron=spiking_gru: its gates are open or shut"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_runs(words, message):
    """Expected: an InputError of the builder, with the remedy."""
    with pytest.raises(InputError, match=message):
        build(compose(["experiment=digits", *words]))
