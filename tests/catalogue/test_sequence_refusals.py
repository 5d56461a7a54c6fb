"""Values that parallel, gated and compartment neurons refuse by name."""

from __future__ import annotations

import pytest

from sgbench.errors import InputError
from sgbench.neurons.psn import Psn
from tests.catalogue.sequence_cases import dh_lif, masked, parallel, psn, psu, sliding, slstm, surrogate, tc_lif

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: psn(start="zeros"), r"neuron\.start='zeros': one of leaky, uniform"),
        (lambda: Psn(surrogate(), steps=4, threshold=1.0, beta=0.5, start="uniform"), "a generator is needed"),
        (lambda: psn(steps=0), r"neuron\.steps=0: a whole number of at least 1"),
        (lambda: masked(order=0), r"neuron\.order=0: a whole number of at least 1"),
        (lambda: masked(mask=[0.0, 1.5]), r"neuron\.mask=1\.5: a number in \[0, 1\]"),
        (lambda: masked(mask=1.0), r"neuron\.mask=1\.0: two numbers such as"),
        (lambda: sliding(beta=2.0), r"neuron\.beta=2\.0: a number in \[0, 1\]"),
        (lambda: psu(learn="all"), r"neuron\.learn='all': one of none, integration, reset, both"),
        (lambda: psu(estimate="step"), r"neuron\.estimate='step': one of sigmoid, linear"),
        (lambda: parallel(iterations=-1), r"neuron\.iterations=-1: a whole number of at least 0"),
        (lambda: parallel(reset="zero"), r"neuron\.reset='zero': one of subtract, subtract_decayed"),
        (lambda: slstm(reset="subtract_decayed"), r"neuron\.reset='subtract_decayed': a gated value has no decay"),
        (lambda: slstm(reset="soft"), r"neuron\.reset='soft': one of"),
        (lambda: dh_lif(branches=0), r"neuron\.branches=0: a whole number of at least 1"),
        (lambda: dh_lif(fastest=0.95), r"neuron\.fastest=0\.95, neuron\.slowest=0\.9: 0 < fastest <= slowest < 1"),
        (lambda: dh_lif(inputs="some"), r"neuron\.inputs='some': one of split, all"),
        (lambda: tc_lif(soma_to_dendrite=1.5), r"neuron\.soma_to_dendrite=1\.5: a number in \[0, 1\]"),
    ],
)
def test_bad_values_are_refused_by_name(make, message):
    """Expected: an InputError that names the parameter, its value and what is needed."""
    with pytest.raises(InputError, match=message):
        make()
