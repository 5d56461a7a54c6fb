"""Decays that are learnt, and decays, thresholds and options that neurons refuse by name."""

import math

import pytest
import snntorch as snn
import torch

from sgbench.errors import InputError
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.quantity import LOGIT_BOUND, Decay
from tests.catalogue.leaky_cases import KINDS, OPTIMISERS, SIZE, make_neuron
from tests.messages import missing, raises_naming
from tests.thinned import thinned

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")

# --- learnable decays


@pytest.mark.one_in(8)
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("optimiser", thinned(OPTIMISERS, 4))
def test_learnt_decay_stays_inside_and_alive(optimiser, dtype, direction):
    """Expected from the parametrisation: 0 < beta < 1 and a gradient that is not 0, however large the steps."""
    decay = Decay("beta", 0.9, learn="per_neuron", features=2).to(dtype)
    steps = OPTIMISERS[optimiser](decay.parameters())
    for _ in range(300):
        steps.zero_grad()
        (direction * decay().sum()).backward()
        assert (decay.logit.grad * direction > 0).all()
        steps.step()
        assert ((decay() > 0) & (decay() < 1)).all()
    assert ((decay() < 0.01) if direction == 1 else (decay() > 0.99)).all()


@pytest.mark.parametrize("far", [20.0, 1e4, 1e9, 1e30])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_decay_beyond_the_bound_keeps_the_bounds_value_and_slope(far, sign, dtype):
    """Expected: sigma(+-16) and sigma(16) (1 - sigma(16)), to rounding of 1 - sigma."""
    decay = Decay("beta", 0.5, learn="shared", features=None).to(dtype)
    decay.logit.data.fill_(sign * far)
    decay().backward()
    sigma = 1 / (1 + math.exp(-sign * LOGIT_BOUND))
    eps = torch.finfo(dtype).eps
    assert decay().item() == pytest.approx(sigma, abs=eps)
    assert decay.logit.grad.item() == pytest.approx(sigma * (1 - sigma), abs=eps)


def test_snntorch_decay_dies_outside_its_clamp():
    """Must differ. Pinned: snnTorch 1.0 clamps a raw beta, whose gradient is 0 once it has left [0, 1].

    If this fails, snnTorch has another parametrisation: compare `Decay` with it.
    """
    neuron = snn.Leaky(beta=torch.tensor(1.1), learn_beta=True)
    membrane = torch.ones(1, 1)
    for _ in range(3):
        _, membrane = neuron(torch.full((1, 1), 0.1), membrane)
    membrane.sum().backward()
    assert neuron.beta.grad.item() == 0


@pytest.mark.parametrize("learn", ["shared", "per_neuron"])
@pytest.mark.parametrize("value", [1.2e-7, 0.01, 0.5, 0.9048, 0.999999])
def test_learnt_decay_starts_where_it_was_told(value, learn):
    """Expected: the given value; the logit's rounding moves it by at most |w| eps beta (1 - beta), w < 16."""
    decay = Decay("beta", value, learn=learn, features=SIZE)
    eps = torch.finfo(torch.float64).eps
    expected = torch.full((SIZE,) if learn == "per_neuron" else (), value, dtype=torch.float64)
    assert decay().shape == decay.logit.shape == expected.shape
    torch.testing.assert_close(decay(), expected, rtol=32 * eps, atol=0)


def test_fixed_decay_is_a_number_without_parameters():
    """Expected: the number itself, exactly, and nothing for an optimiser; also 0 and 1."""
    for value in (0, 0.3, 1):
        decay = Decay("beta", value, learn="none", features=None)
        assert decay() == value
        assert not list(decay.parameters())


# --- refusals by name


@pytest.mark.parametrize(
    ("kind", "name"), [("leaky", "beta"), ("synaptic", "alpha"), ("synaptic", "beta"), ("leaky_readout", "beta")]
)
def test_decay_outside_zero_to_one_is_refused(kind, name):
    """Expected: an InputError that names the decay and its value."""
    for value in (-0.1, 1.1, math.nan, math.inf, "0.9", None, True):
        with pytest.raises(InputError) as caught:
            make_neuron(kind, **{name: value})
        assert str(caught.value).startswith(f"neuron.{name}={value!r}: ")
        assert missing(caught.value, "[0, 1]") == []


@pytest.mark.parametrize("kind", KINDS)
def test_threshold_that_is_not_positive_is_refused(kind):
    """Expected: an InputError that names the threshold and its value."""
    for value in (0, -1.0, math.nan, math.inf, "1"):
        with pytest.raises(InputError) as caught:
            make_neuron(kind, threshold=value)
        assert str(caught.value).startswith(f"neuron.threshold={value!r}: ")
        assert missing(caught.value, "(0, inf") == []


@pytest.mark.parametrize("name", ["reset", "reset_gradient", "learn_beta", "learn_threshold"])
@pytest.mark.parametrize("kind", KINDS)
def test_unknown_choice_is_refused(kind, name):
    """Expected: an InputError that names the option and lists its values."""
    for value in ("hard", "", None, 1):
        with pytest.raises(InputError, match=rf"neuron\.{name}={value!r}: one of .* is needed"):
            make_neuron(kind, **{name: value})


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-9, 1 - 1e-9])
@pytest.mark.parametrize("learn", ["shared", "per_neuron"])
@pytest.mark.parametrize(("kind", "name"), [("leaky", "beta"), ("synaptic", "alpha"), ("synaptic", "beta")])
def test_decay_to_be_learnt_at_a_bound_is_refused(kind, name, learn, value):
    """Expected: an InputError; a logit of 0 or 1 is infinite."""
    with raises_naming(InputError, f"neuron.{name}={value}", "between 0 and 1"):
        make_neuron(kind, **{name: value, f"learn_{name}": learn})


def test_decay_per_neuron_needs_their_number():
    """Expected: an InputError that says so."""
    with pytest.raises(InputError) as caught:
        LeakyReadout(beta=0.9, learn_beta="per_neuron")
    assert missing(caught.value, "neuron.learn_beta=per_neuron", "features") == []
