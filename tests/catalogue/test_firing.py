"""How neurons fire: the step, both signs, chance, analog values; contracts of all entries and each one's own."""

import copy
import math
import pickle
import re

import pytest
import torch

import sgbench
from fastspiking import fused, scan
from fastspiking.signals.streams import generator
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.firing.base import Firing
from sgbench.records.method import method_id
from sgbench.surrogates.base import NORMALISATIONS, Surrogate
from tests.catalogue.shapes import BELLS, make
from tests.messages import raises_naming
from tests.run.tiny import WORDS
from tests.thinned import thinned

NAMES = list(catalogue.entries("firing"))
every_firing = pytest.mark.parametrize("name", NAMES)


def surrogate_firing(name: str, surrogate: str = "sigmoid", **parameters: object) -> Surrogate:
    """A surrogate of the catalogue that fires by this entry."""
    made = make(surrogate, **({"normalisation": "area1"} if name == "soft" else {}))
    sgbench.create(f"firing/{name}", **parameters).begin(made)
    return made


@pytest.mark.one_in(8)
@every_firing
def test_shape_and_dtype_are_kept_and_a_gradient_arrives(name):
    """Expected: upstream times the entry's slope, whatever was drawn."""
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        u = torch.linspace(-4, 4, 60).reshape(3, 4, 5).to(dtype).requires_grad_()
        surrogate = surrogate_firing(name)
        spikes = surrogate(u)
        spikes.backward(torch.full_like(spikes, 2.0))
        slope = surrogate.derivative(u) if surrogate.firing is None else surrogate.firing.slope(u, surrogate)
        assert (spikes.shape, spikes.dtype) == (u.shape, dtype)
        assert torch.equal(u.grad, 2 * slope)


@pytest.mark.one_in(4)
@every_firing
def test_copies_and_pickles(name):
    """Expected: the same spikes from the same generator, also from a copy after use."""
    surrogate = surrogate_firing(name)
    u = torch.linspace(-2, 2, 101)
    surrogate(u)
    for again in (copy.deepcopy(surrogate), pickle.loads(pickle.dumps(surrogate))):  # noqa: S301 - our own bytes
        for each in (again, surrogate):
            each.generator = generator(5, "noise")
        assert torch.equal(again(u), surrogate(u))


@pytest.mark.one_in(5)
@every_firing
def test_only_the_step_runs_compiled(name):
    """Expected: `reference` for all that replace the step, with a reason; must differ for the step itself."""
    layer = type("L", (), {"neuron": sgbench.create("neuron/leaky", surrogate=surrogate_firing(name))})()
    layer.recurrence, layer.synapses = "none", lambda: None
    reasons = [engine.refusal(layer, torch.device("cpu")) for engine in (scan, fused)]
    assert all(reason is None for reason in reasons) == (name == "step")


NARROW = ("surrogate=sigmoid", "surrogate.normalisation=area1")


@pytest.fixture(scope="module")
def plain_id():
    """The method without a word about firing."""
    return method_id(compose([*WORDS, *NARROW]).method)


@pytest.mark.parametrize("name", thinned(NAMES, len(NAMES)))
def test_trains_and_is_named_in_the_record(name, plain_id):
    """Expected: a finished record; it tells the entry unless that is the neutral one, and an id of its own."""
    record = sgbench.run(*WORDS, *NARROW, f"firing={name}", "engine=reference")
    assert record.status == "finished", record.failure
    told = record.model_dump(mode="json")["method"]["choices"]
    assert told.get("firing") == (None if name == "step" else name)
    assert (record.method_id == plain_id) == (name == "step")


@pytest.mark.slow
def test_noise_is_a_function_of_seed_and_epoch():
    """Must match: two runs with noise of one seed. Must differ: another seed."""
    words = (*WORDS, "surrogate=sigmoid", "firing=bernoulli", "protocol.epochs=2")
    first = sgbench.run(*words, "seed=1")
    again = sgbench.run(*words, "seed=1", "force=true")
    assert first.weights_sha256 == again.weights_sha256
    assert first.test == again.test
    assert first.validation.accuracy == first.curve[first.best_epoch].validation_accuracy
    assert first.weights_sha256 != sgbench.run(*words, "seed=2").weights_sha256


# --- a steepness that learns, and forward mode


def sent(name: str, surrogate: Surrogate, u: torch.Tensor) -> torch.Tensor:
    """The curve that stands in for what an entry sends, by its own page's equation (threshold 1)."""
    curve = {
        "step": surrogate.primitive,
        "ternary": lambda u: surrogate.primitive(u) - surrogate.primitive(-u - 2),
        "bernoulli": surrogate.escape_probability,
        "masked": surrogate.escape_probability,
        "soft": surrogate.escape_probability,
        "escape": surrogate.primitive,
    }
    return curve[name](u)


@pytest.mark.one_in(5)
@pytest.mark.parametrize("surrogate", thinned(["sigmoid", "triangle", "atan"], 3))
@pytest.mark.parametrize("normalisation", thinned(NORMALISATIONS, 2))
@every_firing
def test_a_learnt_steepness_follows_the_curve_of_what_is_sent(name, normalisation, surrogate):
    """Expected: the gradient of ln c is that of central differences of the curve over schedules' stretches."""
    u = torch.tensor([-2.3, -1.7, -0.6, 0.2, 0.45], dtype=torch.float64)
    upstream = torch.tensor([1.0, -2.0, 3.0, 0.5, -1.0], dtype=torch.float64)
    learns = make(surrogate, normalisation=normalisation)
    if name == "soft" and not math.isclose(learns.area, 1):
        with pytest.raises(InputError, match=r"use surrogate\.normalisation=area1$"):
            sgbench.create("firing/soft").begin(learns)
        return
    sgbench.create(f"firing/{name}").begin(learns)
    learns.learn_stretch()
    learns.log_stretch.data.fill_(0.3)
    learns(u).backward(upstream)

    def value(log_stretch: float) -> float:
        scheduled = make(surrogate, normalisation=normalisation)
        scheduled.stretch = math.exp(log_stretch)
        return (upstream * sent(name, scheduled, u)).sum().item()

    slope = (value(0.3 + 1e-5) - value(0.3 - 1e-5)) / 2e-5
    assert slope != 0
    assert learns.log_stretch.grad.item() == pytest.approx(slope, rel=1e-7, abs=1e-8)


class _Doubled(Firing):
    """A firing of somebody's own: another slope, and no word on the curve that belongs to it."""

    def fire(self, u, surrogate):
        return 2 * (u > 0).to(u.dtype)

    def slope(self, u, surrogate):
        return 2 * surrogate.derivative(u)


def test_a_firing_with_a_slope_of_its_own_learns_by_its_own_curve_alone():
    """Expected: refused in either order with the remedy. Must differ: it learns once the curve is named."""
    fires, learns = make("sigmoid"), make("sigmoid")
    _Doubled().begin(fires)
    learns.learn_stretch()
    for refused in (fires.learn_stretch, lambda: _Doubled().begin(learns)):
        with raises_naming(InputError, "primitive", "steepness=fixed"):
            refused()
    named = type("Named", (_Doubled,), {"primitive": lambda _, u, surrogate: 2 * surrogate.primitive(u)})
    named().begin(fires)
    fires.learn_stretch()
    assert fires.log_stretch is not None


@pytest.mark.one_in(4)
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@every_firing
def test_forward_mode_has_the_slope_of_what_is_sent(name):
    """Must match: forward mode and the backward pass, also below minus the threshold of signed spikes."""
    surrogate = surrogate_firing(name, "triangle")
    u = torch.linspace(-3, 1, 41, dtype=torch.float64).requires_grad_()
    (backward,) = torch.autograd.grad(surrogate(u).sum(), u)
    _, forward = torch.func.jvp(surrogate, (u.detach(),), (torch.ones_like(u),))
    assert torch.equal(forward, backward)
    assert (forward[u < -1.5] != 0).any() == (name == "ternary")


@pytest.mark.parametrize("surrogate", thinned(["graded", "multilevel", "multi_spike"], 3))
@pytest.mark.parametrize("name", [name for name in NAMES if name != "step"])
def test_a_surrogate_with_spikes_of_its_own_is_not_told_to_fire_otherwise(name, surrogate):
    """Expected: one line with the remedy; the firing would have changed the slope and left the spikes."""
    with raises_naming(InputError, "firing=step"):
        sgbench.create(f"firing/{name}").begin(make(surrogate))


# --- ternary


def test_ternary_fires_by_hand():
    """By hand: v = u + 1; -1 below v = -1, 1 above v = 1, both borders silent."""
    u = torch.tensor([-3.0, -2.0001, -2.0, -1.0, 0.0, 0.0001, 2.0])
    assert surrogate_firing("ternary")(u).tolist() == [-1, -1, 0, 0, 0, 1, 1]


def test_ternary_has_the_slope_of_both_flanks():
    """By hand: the sum of two triangles, one around v = 1, one around v = -1; even in v."""
    surrogate = surrogate_firing("ternary", "triangle")
    v = torch.linspace(-3, 3, 601, dtype=torch.float64)
    slope = surrogate.firing.slope(v - 1, surrogate)
    expected = (1 - (v - 1).abs()).clamp(min=0) + (1 - (v + 1).abs()).clamp(min=0)
    torch.testing.assert_close(slope, expected)
    torch.testing.assert_close(slope, slope.flip(0))


def test_ternary_refuses_a_reset_to_zero():
    """Expected: one line with the remedy."""
    with raises_naming(InputError, "neuron.reset=zero", "signed", "neuron.reset=subtract"):
        sgbench.run(*WORDS, "firing=ternary", "neuron.reset=zero")


@pytest.mark.slow
def test_a_spike_of_either_sign_costs_an_addition():
    """Expected: accumulations for signed spikes, multiplications for graded ones; rates count both signs."""
    signed = sgbench.run(*WORDS, "firing=ternary", "init.gain=8")
    graded = sgbench.run(*WORDS, "surrogate=graded", "init.gain=8")
    assert signed.counts.layers[1].synapses[0].operation == "accumulate"
    assert graded.counts.layers[1].synapses[0].operation == "multiply_accumulate"
    assert 0 < signed.test.activity[0].rate_per_step <= 1


# --- chance


@pytest.mark.parametrize("surrogate", thinned(BELLS, 4))
def test_spikes_come_with_the_escape_probability(surrogate):
    """Expected: frequencies within 5 standard errors of F, and F from 0 to 1 with the slope psi / area."""
    made = make(surrogate)
    if math.isinf(made.area):
        with pytest.raises(InputError, match="no escape probability"):
            sgbench.create("firing/bernoulli").begin(made)
        return
    sgbench.create("firing/bernoulli").begin(made)
    made.generator = generator(0, "noise")
    draws = 40_000
    for at in (-1.0, -0.2, 0.0, 0.3, 2.0):
        u = torch.full((draws,), at * made.fwhm, dtype=torch.float64)
        chance = made.escape_probability(u[:1]).item()
        error = 5 * math.sqrt(max(chance * (1 - chance), 1e-9) / draws)
        assert abs(made(u).mean().item() - chance) <= error
    far = torch.tensor([-1e6, 0.0, 1e6], dtype=torch.float64)
    torch.testing.assert_close(
        made.escape_probability(far), torch.tensor([0.0, made.share_below, 1.0], dtype=torch.float64), rtol=0, atol=1e-3
    )
    u = torch.linspace(-0.4, 0.4, 8, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(made.escape_probability(u).sum(), u)
    torch.testing.assert_close(slope, made.derivative(u.detach()) / made.area)


def test_chance_is_drawn_from_the_surrogates_own_generator():
    """Must match: torch's global generator moves nothing. Must differ: two calls."""
    surrogate, u = surrogate_firing("bernoulli"), torch.zeros(1000)
    surrogate.generator = generator(3, "noise")
    torch.manual_seed(0)
    first = surrogate(u)
    assert not torch.equal(first, surrogate(u))
    surrogate.generator = generator(3, "noise")
    torch.manual_seed(1)
    assert torch.equal(first, surrogate(u))


# --- analog values


def test_a_share_of_masked_neurons_is_analog_while_training():
    """Expected: a quarter within 5 standard errors, with the primitive's value; none in evaluation."""
    surrogate = surrogate_firing("masked", share=0.25)
    u = torch.full((20_000,), 0.3, dtype=torch.float64)
    sent = surrogate(u)
    analog = sent != 1
    assert torch.equal(sent[analog], surrogate.escape_probability(u[analog]))
    assert abs(analog.double().mean().item() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 20_000)
    assert (surrogate.eval()(u) == 1).all()


# --- the smooth curve itself


@pytest.mark.parametrize("surrogate", thinned(["sigmoid", "triangle", "gaussian", "fast_sigmoid"], 2))
def test_soft_sends_the_curve_whose_slope_it_has(surrogate):
    """Expected: central differences of what is sent, in training and in evaluation; values from 0 to 1."""
    made = surrogate_firing("soft", surrogate)
    u = torch.tensor([-1.3, -0.31, 0.02, 0.4, 2.0], dtype=torch.float64)
    slope = (made(u + 1e-6) - made(u - 1e-6)) / 2e-6
    torch.testing.assert_close(made.firing.slope(u, made), slope, rtol=1e-7, atol=1e-8)
    assert torch.equal(made(u), made.eval()(u))
    assert made(torch.tensor([-1e9, 1e9], dtype=torch.float64)).tolist() == pytest.approx(
        [0, 1],
        abs=3e-11,  # the heaviest tail, that of fast_sigmoid, leaves 1 / (2 k |u|) = 2e-11
    )


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ({"normalisation": "peak1"}, "surrogate.normalisation=area1"),
        ({"normalisation": "peak1", "scale": 2.0}, "surrogate.normalisation=area1 and surrogate.scale=1"),
        ({"normalisation": "area1", "scale": 2.0}, "surrogate.scale=1"),
    ],
)
def test_a_curve_with_the_slope_of_another_is_refused(words, remedy):
    """Expected: one line with the remedy for `soft`, and for `masked` where all are analog; the rest is free."""
    made = make("fast_sigmoid", **words)
    with pytest.raises(InputError, match=re.escape(f"use {remedy}") + "$"):
        sgbench.create("firing/soft").begin(made)
    with pytest.raises(InputError, match=re.escape(f"use {remedy}, or firing.share=0.5")):
        sgbench.create("firing/masked", share=1.0).begin(made)
    sgbench.create("firing/masked", share=0.9).begin(made)


# --- noise of its own


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("noise", "chance"),
    [
        ("logistic", lambda z: 1 / (1 + math.exp(-z))),
        ("gaussian", lambda z: 0.5 * math.erfc(-z / math.sqrt(2))),
        ("exponential", lambda z: 1 - math.exp(-math.exp(z))),
    ],
)
def test_escape_has_the_noise_it_is_told_whatever_the_surrogate(noise, chance):
    """Expected: the formula by Python's math, as a probability and as a logarithm; frequencies within 5 errors."""
    u = torch.tensor([-0.9, -0.2, 0.0, 0.15, 0.3], dtype=torch.float64)
    expected = torch.tensor([chance(4.0 * each.item()) for each in u], dtype=torch.float64)
    for surrogate in (make("triangle"), make("atan")):
        firing = sgbench.create("firing/escape", noise=noise, noise_slope=4.0)
        firing.begin(surrogate)
        torch.testing.assert_close(firing.probability(u, surrogate), expected)
        for spike, likely in ((1.0, expected), (0.0, 1 - expected)):
            spikes = torch.full_like(u, spike)
            torch.testing.assert_close(firing.log_probability(spikes, u, surrogate), likely.log())
        assert torch.equal(firing.slope(u, surrogate), surrogate.derivative(u))
        drawn = surrogate(u.expand(20_000, -1)).mean(0)
        assert ((drawn - expected).abs() <= 5 * (expected * (1 - expected) / 20_000).sqrt()).all()


@pytest.mark.one_in(8)
@pytest.mark.parametrize("noise", ["logistic", "gaussian", "exponential"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_escape_stays_finite_far_from_threshold(noise, dtype):
    """Expected: finite log-probabilities and gradients of the likely spike at 1,000 thresholds."""
    surrogate = make("atan")
    firing = sgbench.create("firing/escape", noise=noise, noise_slope=5.0)
    u = torch.tensor([-1e3, -20.0, 20.0, 1e3], dtype=dtype, requires_grad=True)
    likely = firing.log_probability((u > 0).to(dtype), u, surrogate)
    (slope,) = torch.autograd.grad(likely.sum(), u)
    assert likely.isfinite().all()
    assert slope.isfinite().all()
