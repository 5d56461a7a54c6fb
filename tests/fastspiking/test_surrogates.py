"""Surrogates that the compiled loops do not know, that learn, or that no engine but `reference` may run.

Expected: the engine `reference`; where a surrogate is refused, the reason.
"""

import math
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from fastspiking import recursion, scan
from fastspiking.choose import Engine
from fastspiking.codegen import slopes
from fastspiking.numba_steps import slope_of
from fastspiking.signals.spikes import dense
from sgbench.errors import InputError
from sgbench.surrogates.atan import Atan
from sgbench.surrogates.base import Surrogate
from sgbench.surrogates.formula import Formula
from sgbench.surrogates.triangle import Triangle
from tests.fastspiking.cases import (
    BY_HAND,
    FAST,
    NEURONS,
    SHAPES,
    WIRINGS,
    Given,
    Wired,
    assert_clear,
    assert_same,
    catalogued,
    error,
    fires,
    gain_of,
    neuron,
    packed,
    result,
    spikes,
)
from tests.messages import raises_naming
from tests.thinned import thinned

compiled_loop = slopes._loop  # before a fixture replaces it
KINDS = [kind for kind in NEURONS if fires(kind)]
BELL = {"width_fwhm": None, "normalisation": "peak1", "scale": 1.0}


class Gaussian(Surrogate):
    """A surrogate of a user's own: exp(-u^2), with nothing but the contract."""

    shape_peak, shape_area, shape_fwhm = 1.0, math.sqrt(math.pi), 2 * math.sqrt(math.log(2))

    def shape(self, u: Tensor) -> Tensor:
        return torch.exp(-u.square())


class Skewed(Atan):
    """An `Atan` whose form somebody has changed."""

    def bell(self, z: Tensor) -> Tensor:
        return 1 / (1 + z.square() + 0.5 * torch.relu(z))


class Learning(Surrogate):
    """A triangle whose steepness learns."""

    shape_peak, shape_area, shape_fwhm = 1.0, None, None

    def __init__(self, steepness: float = 0.6) -> None:
        super().__init__(normalisation="peak1", scale=0.7)
        self.steepness = nn.Parameter(torch.tensor(steepness, dtype=torch.float64))
        self.unused = nn.Parameter(torch.ones(2, dtype=torch.float64))

    def shape(self, u: Tensor) -> Tensor:
        return torch.relu(1 - (self.steepness * u).abs())

    def shape_integral(self, u: Tensor) -> Tensor:
        inside = (self.steepness * u).clamp(-1, 1)
        return (inside - inside * inside.abs() / 2) / self.steepness


class PerNeuron(Learning):
    """The same with a steepness of each neuron."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.steepness = nn.Parameter(torch.linspace(0.4, 0.9, size, dtype=torch.float64))


class Normalised(Gaussian):
    """A slope that depends on the other neurons."""

    elementwise: ClassVar[bool] = False

    def shape(self, u: Tensor) -> Tensor:
        return torch.softmax(-u.square(), -1)


class Signed(Gaussian):
    """Spikes of -1, 0 and 1."""

    output = "signed"

    def fire(self, u: Tensor) -> Tensor:
        return (u > 0).to(u.dtype) - (u < -2).to(u.dtype)


class Late(Gaussian):
    """A step elsewhere."""

    def fire(self, u: Tensor) -> Tensor:
        return (u > 0.1).to(u.dtype)


class Soft(Gaussian):
    """A forward pass of its own: no step at all."""

    def forward(self, u: Tensor) -> Tensor:
        return torch.sigmoid(4 * u)


@pytest.fixture(autouse=True)
def _no_backward_within_a_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients of a surrogate's parameters must not walk into the pass that asks for them: it would never end."""
    depth = []
    original = recursion.Chunks.backward

    def watched(*given: object) -> object:
        assert not depth, "a backward pass began within a backward pass"
        depth.append(1)
        try:
            return original(*given)
        finally:
            depth.clear()

    monkeypatch.setattr(recursion.Chunks, "backward", watched)


def network(surrogate: Surrogate, kind: str = "leaky", wiring: tuple[str, str] = WIRINGS[3]) -> list[Wired]:
    """A spiking layer with this surrogate, one with an ordinary one, and a readout."""
    changes = {"reset_gradient": "attached", "learn": "shared"}
    return [
        Wired(6, neuron(kind, 5, surrogate=surrogate, **changes), 5, gain=gain_of(kind), wiring=wiring),
        Wired(5, neuron("leaky", 4), 4, gain=gain_of("leaky"), name="hidden1"),
        Wired(4, neuron("leaky_readout", 3), 3, gain=1.0, name="readout"),
    ]


X = spikes(15, 3, 6)
PLAIN = {"normalisation": "area1", "scale": 0.8}


@pytest.mark.one_in(5)
@pytest.mark.parametrize("engine", FAST)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [lambda: Gaussian(**PLAIN), lambda: Skewed(alpha=2.0, **BELL)], ids=["own", "changed"])
def test_a_surrogate_outside_the_catalogue(make, kind, engine):
    """Expected: `reference`; its slopes are made by torch, chunk by chunk."""
    layers = network(make(), kind)
    assert layers[0].neuron.surrogate.kernel() is None
    expected = result("reference", layers, X)
    assert_clear(expected)
    assert_same(result(engine, layers, packed(X)), expected)


def of_formula(formula: str, **changes: object) -> Formula:
    """A slope as a formula."""
    given = {"a": 2.0, "learn_a": False, "width_fwhm": None, "normalisation": "area1", "scale": 0.7}
    return Formula(formula=formula, **{**given, **changes})


FORMULAS = ["1/(1+abs(a*u))**2.5", "where(u<0,exp(min(a*u,0)),max(0,1-u))", "4*sigmoid(a*u)*(1-sigmoid(a*u))"]


@pytest.mark.one_in(16)
@pytest.mark.parametrize("engine", FAST)
@pytest.mark.parametrize("learn_a", [False, True])
@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_is_a_loop(formula, learn_a, engine, monkeypatch):
    """Expected: `reference`; on `fused` no slope comes from torch, and a stretch reaches the loop."""
    surrogate = of_formula(formula, learn_a=learn_a)
    for stretch in (1.0, 1.7):
        surrogate.stretch = stretch
        layers = network(surrogate)
        expected = result("reference", layers, X)
        with monkeypatch.context() as patch:
            if engine == "fused":
                patch.setattr(Formula, "derivative", None)
            if engine == "generated" and learn_a:  # whose primitive is no step of its own
                with pytest.raises(InputError, match="use engine=reference"):
                    result(engine, layers, packed(X))
                continue
            assert_same(result(engine, layers, packed(X)), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_compiled_loop_of_a_formula(dtype, monkeypatch, tmp_path):
    """Expected: torch's derivative, of samples 1 and 2 of four; NaN stays NaN, infinity is no accident."""
    monkeypatch.setenv("SGBENCH_LOOPS", str(tmp_path))
    monkeypatch.setattr(slopes, "_loop", compiled_loop)
    x = torch.linspace(-9, 9, 7 * 4 * 5, dtype=dtype).reshape(7, 4, 5)
    x[0, 1, 0], x[1, 1, 1], x[2, 2, 2] = math.nan, math.inf, -math.inf
    surrogate = of_formula(FORMULAS[1])
    found = slope_of(surrogate, dtype).of(x, 1, 3)
    torch.testing.assert_close(found, surrogate.derivative(x[:, 1:3]), rtol=1e-6, atol=1e-7, equal_nan=True)


@pytest.mark.parametrize("engine", FAST)
def test_a_changed_form_is_not_the_compiled_one(engine):
    """Must differ: a subclass of `Atan` with another `bell` from `Atan` itself, in the gradient alone."""
    own, plain = (result(engine, network(make(alpha=2.0, **BELL)), X) for make in (Skewed, Atan))
    assert torch.equal(own.u[0], plain.u[0])
    assert error(own.gradients["0.weight"], plain.gradients["0.weight"]) > 1e-3


@pytest.mark.one_in(5)
@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize("normalisation", ["peak1", "area1", "raw"])
@pytest.mark.parametrize("engine", FAST)
def test_width_and_height_reach_the_compiled_loops(engine, normalisation, scale):
    """Expected: `reference`, and must differ from the default; compiled shapes get both as numbers."""
    given = {"width_fwhm": 0.4, "normalisation": normalisation, "scale": scale}
    default = result(engine, network(Atan(alpha=2.0, **BELL)), X)
    for make in (lambda: Atan(alpha=None, **given), lambda: Triangle(slope=None, **given)):
        layers = network(make())
        found = result(engine, layers, X)
        assert_same(found, result("reference", layers, X))
        assert error(found.gradients["0.weight"], default.gradients["0.weight"]) > 1e-3


@pytest.mark.one_in(10)
@pytest.mark.parametrize("engine", FAST)
@pytest.mark.parametrize("wiring", thinned(WIRINGS, 3), ids="/".join)
@pytest.mark.parametrize("kind", KINDS)
def test_a_parameter_of_the_surrogate_learns(kind, wiring, engine, monkeypatch):
    """Expected: `reference`, ds/dk := d primitive/dk; shared and per neuron, over several chunks."""
    monkeypatch.setattr("fastspiking.plan.CHUNK_ENTRIES", 60)
    monkeypatch.setattr("fastspiking.plan.CHUNK_ROWS", 1)
    for surrogate in (Learning(), PerNeuron(5)):
        layers = network(surrogate, kind, wiring)
        expected = result("reference", layers, X)
        assert expected.gradients["0.neuron.surrogate.steepness"].abs().max() > 1e-3
        assert not expected.gradients["0.neuron.surrogate.unused"].any()
        assert_same(result(engine, layers, packed(X)), expected)


def test_gradient_of_a_steepness_by_hand():
    """Expected on paper: one neuron, one step; ds/dk = scale d/dk of the triangle's integral at u - theta.

    Integral (z - z |z| / 2) / k with z = k x, so x - k x |x| / 2; by k: -x |x| / 2. At x = 0.5: -0.125.
    """
    surrogate = Learning()
    layer = Wired(1, neuron("leaky", 1, surrogate=surrogate, threshold=1.0), 1, gain=1.0, bias=False)
    layer.weight.data.fill_(1.5)
    for engine in ("reference", *FAST):
        surrogate.steepness.grad = None
        Engine(engine).unroll([layer], torch.ones(1, 1, 1, dtype=torch.float64))[0].output.sum().backward()
        assert surrogate.steepness.grad.item() == pytest.approx(0.7 * -0.125, rel=1e-12)


@pytest.mark.parametrize("engine", FAST)
def test_one_surrogate_in_two_layers(engine):
    """Expected: `reference`; a parameter that both share gets the gradients of both."""
    shared = Learning()
    layers = [
        Wired(6, neuron("leaky", 5, surrogate=shared), 5, gain=gain_of("leaky")),
        Wired(5, neuron("alif", 4, surrogate=shared), 4, gain=gain_of("alif"), name="hidden1"),
    ]
    expected = result("reference", layers, X)
    assert_same(result(engine, layers, packed(X)), expected)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_an_undefined_potential_has_an_undefined_gradient(reset):
    """Expected, every shape and engine: NaN for the currents of that neuron and sample alone, whatever the step.

    Before it through the chain of time, after it because the potential stays undefined.
    """
    current = torch.rand(5, 2, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    current[3, 1, 2] = math.nan

    def loss(runs):
        return dense(runs[0].output)[3].sum()

    for name in SHAPES:
        layers = [Given(neuron("leaky", 3, surrogate=catalogued(name), reset=reset))]
        refused = scan.refusal(layers[0], torch.device("cpu"))
        for engine in ("reference",) if refused else ("reference", *FAST):
            undefined = result(engine, layers, current, loss=loss).gradients["input"].isnan()
            assert undefined[:, 1, 2].all(), f"{name} on {engine}"
            if name not in ("a2sg", "batch_normalised", "mpd_agl"):  # which see the whole batch
                assert undefined.sum() == 5, f"{name} on {engine}"


REFUSED = {
    "not elementwise": (Normalised, "its surrogate is not elementwise"),
    "signed": (Signed, "its spikes are not those of a step at threshold"),
    "another step": (Late, "its spikes are not those of a step at threshold"),
    "soft": (Soft, "its surrogate has a forward pass of its own"),
}


@pytest.mark.parametrize(("kind", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_no_other_engine_may_run(kind, reason):
    """Expected: a refusal with the reason; `auto` writes loops, or takes `reference` where neurons mix."""
    layers = network(kind(**PLAIN))
    for engine in BY_HAND:
        with raises_naming(InputError, "'hidden0'", reason, "engine=auto"):
            Engine(engine).unroll(layers, X)
    choice = Engine("auto").describe(layers)
    taken = "reference" if kind is Normalised else "generated"
    assert choice.name == f"{taken}+fused"
    assert f"hidden0 on {taken} (not fused: {reason}; not scan: {reason}" in choice.reason
    assert_same(result("auto", layers, packed(X)), result("reference", layers, X))
