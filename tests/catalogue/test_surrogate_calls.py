"""A surrogate as it is called: forward, backward, function transforms, compilation, copies, in snnTorch's neurons.

Legend: see `shapes`.
"""

import copy
import math
import pickle

import pytest
import snntorch as snn
import torch
from torch import Tensor

import sgbench
from fastspiking.signals.streams import generator
from sgbench.composition import catalogue
from sgbench.surrogates.activation_derivative import ACTIVATIONS
from sgbench.surrogates.base import Surrogate
from sgbench.yours.entry_check import grid
from tests.catalogue.shapes import (
    NAMES,
    PLAIN,
    central_slope,
    composed,
    every_entry,
    every_plain,
    make,
    nth_derivative,
    smooth_points,
    unit_of_u,
    variants,
)
from tests.thinned import thinned

STEPS = [name for name in NAMES if composed(name)[0].fire is Surrogate.fire]

# --- forward and backward


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", STEPS)
def test_forward_is_a_strict_step(name):
    """Expected: 1 only above threshold, as in snnTorch; 0, -0 and NaN are silent, the least number fires."""
    tiny = torch.finfo(torch.float64).smallest_normal
    u = torch.tensor([-1.0, -tiny, -0.0, 0.0, math.nan, tiny, 1.0, math.inf], dtype=torch.float64)
    assert make(name)(u).tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert make(name).output == "binary"


@pytest.mark.one_in(5)
@every_plain
def test_gradient_of_forward_is_derivative(name):
    """Expected: upstream gradient times psi, bit for bit."""
    for label, surrogate in variants(name):
        u = grid(surrogate, reach=3.0)[::7].requires_grad_()
        upstream = torch.linspace(-2, 2, u.numel(), dtype=torch.float64)
        (gradient,) = torch.autograd.grad(surrogate(u), u, upstream)
        assert torch.equal(gradient, upstream * surrogate.derivative(u.detach())), label


@pytest.mark.one_in(10)
@every_plain
def test_double_backward_is_slope_of_derivative(name):
    """Expected: central differences of psi in float64, away from kinks, within their own error bound."""
    for label, surrogate in variants(name):
        u = smooth_points(surrogate).requires_grad_()
        upstream = torch.linspace(-2, 2, u.numel(), dtype=torch.float64).requires_grad_()
        (gradient,) = torch.autograd.grad(surrogate(u), u, upstream, create_graph=True)
        second_u, second_upstream = torch.autograd.grad(gradient.sum(), (u, upstream), materialize_grads=True)
        slope, bound = central_slope(surrogate.derivative, u.detach(), 1e-5 * unit_of_u(surrogate))
        error = (second_u - upstream.detach() * slope).abs()
        assert (error <= upstream.detach().abs() * bound + 1e-300).all(), label
        torch.testing.assert_close(second_upstream, surrogate.derivative(u.detach()), rtol=0, atol=0)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(NAMES, id="entries"),
        pytest.param(catalogue.entries("surrogate"), id="and presets", marks=pytest.mark.slow),
    ],
)
def test_an_undefined_potential_has_an_undefined_gradient(names):
    """Expected: NaN for NaN from every entry, presets included, and from what its steepness would learn by."""
    undefined = {}
    for name in names:
        surrogate = make(name)
        for dtype in (torch.float32, torch.float64):
            u = torch.tensor([[math.nan, 0.3]], dtype=dtype).requires_grad_()
            (gradient,) = torch.autograd.grad(surrogate(u).sum(), u)
            undefined[name, dtype] = gradient[0, 0].isnan().item()
            if surrogate.has_primitive:
                undefined[name, dtype] &= surrogate.primitive(u.detach())[0, 0].isnan().item()
    for activation in ACTIVATIONS:
        surrogate = make("activation_derivative", activation=activation)
        undefined[activation] = surrogate.derivative(torch.tensor([math.nan])).isnan().all().item()
    assert [name for name, passed_on in undefined.items() if not passed_on] == []


# --- function transforms, compilation, copies


@pytest.mark.one_in(5)
@every_plain
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_function_transforms(name):
    """Expected: vmap equals the plain call; grad, jvp and jacobians psi; forward over reverse psi'."""
    surrogate = make(name)
    u = smooth_points(surrogate)[::3]
    tangent = torch.linspace(0.5, 1.5, u.numel(), dtype=torch.float64)
    psi = surrogate.derivative(u)
    assert torch.equal(torch.func.vmap(surrogate)(u), surrogate(u))
    assert torch.equal(torch.func.vmap(torch.func.grad(surrogate))(u), psi)
    spikes, moved = torch.func.jvp(surrogate, (u,), (tangent,))
    assert torch.equal(spikes, surrogate(u))
    assert torch.equal(moved, tangent * psi)
    assert torch.equal(torch.func.jacrev(surrogate)(u), torch.diag(psi))
    assert torch.equal(torch.func.jacfwd(surrogate)(u), torch.diag(psi))
    _, curvature = torch.func.jvp(torch.func.vmap(torch.func.grad(surrogate)), (u,), (torch.ones_like(u),))
    torch.testing.assert_close(curvature, nth_derivative(surrogate.derivative, u, 1), rtol=1e-12, atol=1e-300)


@pytest.mark.one_in(64)
@pytest.mark.parametrize("name", thinned(PLAIN, 4))
@pytest.mark.filterwarnings("ignore:.*Function'> should not be instantiated:DeprecationWarning")  # torch's own
def test_compiles_without_graph_break(name):
    """Expected: a compiled membrane-to-spike step gives the plain one's spikes and gradient, in one graph."""
    torch._dynamo.reset()
    surrogate = make(name)

    def fire(v: Tensor) -> Tensor:
        return surrogate(v - 1.0)

    compiled = torch.compile(fire, backend="eager", fullgraph=True)
    results = []
    for function in (fire, compiled):
        v = torch.linspace(0, 2, 41).requires_grad_()
        spikes = function(v)
        (gradient,) = torch.autograd.grad(spikes, v, torch.ones_like(v))
        results.append((spikes, gradient))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    torch._dynamo.reset()


@pytest.mark.one_in(8)
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.filterwarnings("ignore:.*Function'> should not be instantiated:DeprecationWarning")  # torch's own
@pytest.mark.parametrize("firing", thinned(["step", "masked", "bernoulli"], 2))
def test_chance_compiles_without_graph_break(firing, backend):
    """Must match: two calls in one graph draw what the plain ones draw from one state. Must differ: the calls."""
    torch._dynamo.reset()
    surrogate = make("stochastic_backward" if firing == "step" else "sigmoid")
    sgbench.create(f"firing/{firing}").begin(surrogate)
    assert surrogate.stochastic

    def fire(v: Tensor) -> tuple[Tensor, Tensor]:
        return surrogate(v - 1.0), surrogate(v - 1.0)

    results = []
    for function in (fire, torch.compile(fire, backend=backend, fullgraph=True)):
        surrogate.generator = generator(3, "noise")
        for _ in range(2):
            v = torch.linspace(0, 2, 41).requires_grad_()
            spikes = function(v)
            results.append([*spikes, *torch.autograd.grad(sum(each.sum() for each in spikes), v)])
    for plain, compiled in zip(results[:2], results[2:], strict=True):
        assert all(map(torch.equal, plain, compiled))
    drawn = 2 if firing == "step" else 0
    assert not torch.equal(results[0][drawn], results[1][drawn])
    torch._dynamo.reset()


@pytest.mark.one_in(4)
@every_plain
def test_pickles_and_copies_after_use(name):
    """Expected: a copy with the same slope, also after a backward pass; snnTorch's closures cannot do it."""
    surrogate = make(name)
    u = grid(surrogate)[::101].requires_grad_()
    surrogate(u).sum().backward()
    for again in (pickle.loads(pickle.dumps(surrogate)), copy.deepcopy(surrogate)):  # noqa: S301 - our own bytes
        assert torch.equal(again.derivative(u), surrogate.derivative(u))
        assert (again.peak, again.area, again.fwhm) == (surrogate.peak, surrogate.area, surrogate.fwhm)


# --- in snnTorch's neurons


@pytest.mark.one_in(5)
@every_entry
@pytest.mark.usefixtures("no_snntorch_neurons_left")
def test_serves_as_spike_grad_of_snntorch(name):
    """Expected: one optimiser step through snn.Leaky changes the input weights, unless the slope is 0."""
    surrogate = make(name)
    torch.manual_seed(0)
    weights = torch.nn.Linear(6, 4, bias=False)
    neuron = snn.Leaky(beta=0.9, spike_grad=surrogate)
    before = weights.weight.detach().clone()
    membrane, count = torch.zeros(3, 4), torch.zeros(3, 4)
    for _ in range(5):
        spikes, membrane = neuron(9 * weights(torch.rand(3, 6)), membrane)
        count = count + spikes
    assert 0 < count.sum() < count.numel() * 5
    optimizer = torch.optim.SGD(weights.parameters(), lr=0.1)
    (count - 1).square().sum().backward()
    optimizer.step()
    assert torch.isfinite(weights.weight).all()
    assert torch.equal(weights.weight, before) == (surrogate.peak == 0)
