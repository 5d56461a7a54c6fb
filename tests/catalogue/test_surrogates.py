"""Contract of a surrogate, checked for every entry of conf/surrogate, and equality with snnTorch.

Legend: u = membrane potential minus threshold; width = full width at half maximum; psi = `derivative`;
eps = machine epsilon.
"""

import copy
import functools
import importlib
import itertools
import math
import pickle
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import snntorch as snn
import snntorch.surrogate
import torch
from torch import Tensor

from sgbench import catalogue
from sgbench.compose import compose
from sgbench.errors import InputError
from sgbench.surrogates.base import NORMALISATIONS, Surrogate

NAMES = list(catalogue.entries("surrogate"))
WITH_WIDTH = [name for name in NAMES if "width_fwhm" in catalogue.entry("surrogate", name).parameters]
WIDTHS = (0.05, 0.6, 4.0)
EPS = torch.finfo(torch.float64).eps
every_entry = pytest.mark.parametrize("name", NAMES)
every_bell = pytest.mark.parametrize("name", WITH_WIDTH)


@functools.cache
def composed(name: str, *words: str) -> tuple[type[Surrogate], dict]:
    """Class and parameters of an entry as a run would get them."""
    spec = compose([f"surrogate={name}", *words])
    module, _, callee = spec.targets["surrogate"].rpartition(".")
    return getattr(importlib.import_module(module), callee), spec.method.parameters["surrogate"]


def make(name: str, **changes: object) -> Surrogate:
    """An entry with its YAML's values, some of them changed; a width replaces the native steepness."""
    word = ("surrogate.width_fwhm=0.5",) if changes.get("width_fwhm") is not None else ()
    target, parameters = composed(name, *word)
    return target(**{**parameters, **changes})


def native_name(name: str) -> str:
    """The parameter that a width replaces: the one that is null where a width is given."""
    _, parameters = composed(name, "surrogate.width_fwhm=0.5")
    (native,) = [key for key, value in parameters.items() if value is None]
    return native


def accepts(name: str, normalisation: str) -> bool:
    """Whether the quantity that becomes 1 is a positive number, by what the raw shape declares."""
    raw = make(name, normalisation="raw")
    unit = {"peak1": raw.peak, "area1": raw.area, "raw": 1.0}[normalisation]
    return unit is not None and 0 < unit < math.inf


def variants(name: str) -> Iterator[tuple[str, Surrogate]]:
    """Every accepted normalisation at the default and several widths, with a label for messages."""
    widths = (None, *WIDTHS) if name in WITH_WIDTH else (None,)
    for normalisation in filter(functools.partial(accepts, name), NORMALISATIONS):
        for width in widths:
            changes = {"normalisation": normalisation, "scale": 0.7}
            changes |= {} if width is None else {"width_fwhm": width}
            yield f"{name} {changes}", make(name, **changes)


def unit_of_u(surrogate: Surrogate) -> float:
    """The natural length of the u axis: the width, or 1 where there is none."""
    return surrogate.fwhm or 1.0


def kinks(surrogate: Surrogate) -> list[float]:
    """Where a slope may be not differentiable: at threshold and at the ends of its support."""
    edge = surrogate.support
    return [0.0] if edge is None else [-edge, 0.0, edge]


def smooth_points(surrogate: Surrogate) -> Tensor:
    """Points on both sides, up to ten widths away, at least a hundredth of a width from every kink."""
    unit = unit_of_u(surrogate)
    right = torch.cat([torch.arange(0.013, 2, 0.0937), torch.arange(2.03, 10, 0.717)]).double() * unit
    u = torch.cat([-right.flip(0), right])
    distance = torch.stack([(u - kink).abs() for kink in kinks(surrogate)]).amin(0)
    return u[distance > 0.01 * unit]


def at(function: Callable[[Tensor], Tensor], u: float) -> float:
    """The value at one point in float64."""
    return function(torch.tensor(u, dtype=torch.float64)).item()


def nth_derivative(function: Callable[[Tensor], Tensor], u: Tensor, order: int) -> Tensor:
    """Elementwise n-th derivative by autograd; 0 where the function does not depend on u."""
    u = u.clone().requires_grad_()
    value = function(u)
    for _ in range(order):
        if not value.requires_grad:
            return torch.zeros_like(u)
        (value,) = torch.autograd.grad(value.sum(), u, create_graph=True, materialize_grads=True)
    return value.detach()


def central_slope(function: Callable[[Tensor], Tensor], u: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """Central differences and a bound of their error.

    Error <= h^2/6 max|f'''| (truncation; doubled, because the third derivative is read at u alone) +
    4 eps max|f| / h (rounding of two values of f, each good to 2 eps of the largest value of f).
    """
    above, below = u + step, u - step
    slope = (function(above) - function(below)) / (above - below)
    largest = function(above).abs().max()
    truncation = step**2 / 3 * nth_derivative(function, u, 3).abs()
    return slope, truncation + 4 * EPS * largest / step


def grid(surrogate: Surrogate, reach: float = 50.0) -> Tensor:
    """Dense grid of u, threshold included, `reach` widths to either side."""
    return torch.arange(-10_000, 10_001).double() * (reach / 10_000 * unit_of_u(surrogate))


def measured_area(surrogate: Surrogate, reach: float = math.inf) -> tuple[float, float]:
    """Integral of the slope over |u| < reach widths and the quadrature's own bound of its error."""
    unit = unit_of_u(surrogate)
    ends = [end for end in (0.0, 0.5, 1.0, 10.0) if end < reach] + [reach]
    if surrogate.support is not None:
        ends = sorted({0.0, min(surrogate.support / unit, reach), reach})
    total = error = 0.0
    for sign in (-1, 1):
        for low, high in itertools.pairwise(ends):
            part, bound = scipy.integrate.quad(
                lambda x, sign=sign: at(surrogate.derivative, sign * x * unit),
                low,
                high,
                epsabs=1e-12,
                epsrel=1e-11,
            )
            total, error = total + part * unit, error + bound * unit
    return total, error


def measured_fwhm(surrogate: Surrogate) -> float:
    """Distance between the points at which the slope crosses half of its largest value on the grid."""
    half = surrogate.derivative(grid(surrogate)).max().item() / 2
    unit = unit_of_u(surrogate)
    right, left = (
        scipy.optimize.brentq(
            lambda x, sign=sign: at(surrogate.derivative, sign * x * unit) - half,
            0.0,
            20.0,
            xtol=1e-14,
            rtol=4 * EPS,
        )
        for sign in (1, -1)
    )
    return (right + left) * unit


# --- the slope is the slope of the curve, and what is declared is what is measured


@every_entry
def test_derivative_is_slope_of_primitive(name):
    """Expected: central differences of the primitive in float64, within their own error bound."""
    for label, surrogate in variants(name):
        u = smooth_points(surrogate)
        slope, bound = central_slope(surrogate.primitive, u, 1e-4 * unit_of_u(surrogate))
        error = (slope - surrogate.derivative(u)).abs()
        assert (error <= bound).all(), f"{label}: {(error - bound).max():.3g} beyond the bound"
        peak = surrogate.peak or 1.0
        assert bound.max() < 1e-6 * peak, f"{label}: the bound {bound.max():.3g} is too wide to say anything"


@every_entry
def test_declared_peak_is_largest_slope(name):
    """Expected: the maximum over a dense grid that contains the threshold."""
    for label, surrogate in variants(name):
        largest = surrogate.derivative(grid(surrogate)).abs().max().item()
        assert largest == pytest.approx(surrogate.peak, rel=4 * EPS, abs=0), label


@every_entry
def test_declared_area_is_integral_of_slope(name):
    """Expected: quadrature within its own error bound; where infinite, decades that do not shrink."""
    for label, surrogate in variants(name):
        if surrogate.area == math.inf:
            small, middle, large = (measured_area(surrogate, reach)[0] for reach in (10, 100, 1000))
            assert large - middle >= middle - small > 0, label
            continue
        area, error = measured_area(surrogate)
        assert error <= 1e-8 * area, f"{label}: quadrature failed"
        assert abs(area - surrogate.area) <= error + 1e-12 * area, label


@every_entry
def test_declared_width_is_measured_width(name):
    """Expected: root finding on half the maximum; null only where the slope never falls to half, or is 0."""
    for label, surrogate in variants(name):
        if surrogate.fwhm is not None:
            assert measured_fwhm(surrogate) == pytest.approx(surrogate.fwhm, rel=1e-12), label
            continue
        slopes = surrogate.derivative(grid(surrogate, reach=1e4))
        assert (slopes > slopes.max() / 2).all() or not slopes.any(), label


@every_bell
@pytest.mark.parametrize("width", WIDTHS)
def test_asked_width_is_measured_width(name, width):
    """Expected: the number asked for, found again by root finding and by hand on the command line's path."""
    surrogate = make(name, width_fwhm=width)
    assert measured_fwhm(surrogate) == pytest.approx(width, rel=1e-12)
    target, parameters = composed(name, f"width_fwhm={width}")
    assert target(**parameters).fwhm == pytest.approx(width, rel=4 * EPS)


@every_entry
def test_declared_support_is_where_slope_is_not_zero(name):
    """Expected: exactly 0 outside, not 0 just inside; without an edge, not 0 within 10 widths.

    Ten widths of a Gaussian are 1e-120 of its peak; much further out even float64 has only 0 left.
    """
    for label, surrogate in variants(name):
        edge = surrogate.support
        if edge is None:
            near = grid(surrogate)
            near = near[near.abs() <= 10 * (surrogate.fwhm or 1.0)]
            assert (surrogate.derivative(near) != 0).all(), label
            continue
        beyond = np.nextafter(edge, math.inf) * np.array([1.0, 1.5, 10.0, 1e4])
        outside = torch.from_numpy(np.concatenate([-beyond, beyond]))
        assert not surrogate.derivative(outside).any(), label
        inside = torch.tensor([-1.0, 1.0], dtype=torch.float64) * edge * (1 - 1e-9)
        assert edge == 0 or (surrogate.derivative(inside) != 0).all(), label


@every_entry
def test_slope_is_even_and_falls_with_distance(name):
    """Expected, of all bells and controls: psi(-u) = psi(u) >= 0, never larger further from threshold."""
    for label, surrogate in variants(name):
        slopes = surrogate.derivative(grid(surrogate)[10_000:])
        assert torch.equal(slopes, surrogate.derivative(-grid(surrogate)[10_000:])), label
        assert (slopes >= 0).all(), label
        assert (slopes.diff() <= 0).all(), label


# --- height: normalisation and scale


@every_entry
def test_normalisation_makes_its_quantity_one(name):
    """Expected: 1, measured on the grid (peak) and by quadrature (area), at every width."""
    widths = WIDTHS if name in WITH_WIDTH else (None,)
    for width in widths:
        changes = {"scale": 1.0} | ({} if width is None else {"width_fwhm": width})
        if accepts(name, "peak1"):
            surrogate = make(name, normalisation="peak1", **changes)
            assert surrogate.derivative(grid(surrogate)).max().item() == pytest.approx(1, rel=4 * EPS)
        if accepts(name, "area1"):
            area, error = measured_area(make(name, normalisation="area1", **changes))
            assert abs(area - 1) <= error + 1e-12


@every_entry
def test_accepted_normalisations_are_those_of_finite_quantities(name):
    """Expected: refused, naming normalisation, exactly where the peak or area cannot become 1."""
    for normalisation in NORMALISATIONS:
        if accepts(name, normalisation):
            assert make(name, normalisation=normalisation).normalisation == normalisation
        else:
            with pytest.raises(InputError, match=f"surrogate.normalisation={normalisation}.*use raw"):
                make(name, normalisation=normalisation)


@every_entry
def test_scale_multiplies(name):
    """Expected: slope and curve at scale 1 times the scale, to rounding of two products."""
    for normalisation in filter(functools.partial(accepts, name), NORMALISATIONS):
        one = make(name, normalisation=normalisation, scale=1.0)
        third = make(name, normalisation=normalisation, scale=0.3)
        for quantity in ("derivative", "primitive"):
            u = grid(one, reach=5.0)
            expected = 0.3 * getattr(one, quantity)(u)
            torch.testing.assert_close(getattr(third, quantity)(u), expected, rtol=8 * EPS, atol=0)


def test_shapes_differ_at_equal_width_and_peak():
    """Must differ: at the same width and height what remains is the form."""
    u = torch.linspace(-2, 2, 401, dtype=torch.float64)
    slopes = [
        make(name, width_fwhm=0.5, normalisation="peak1", scale=1.0).derivative(u) for name in WITH_WIDTH
    ]
    slopes += [make(name, normalisation="raw").derivative(u) for name in NAMES if name not in WITH_WIDTH]
    for position, one in enumerate(slopes):
        for other in slopes[:position]:
            assert (one - other).abs().max() > 0.05


@every_bell
def test_peak_one_and_area_one_differ(name):
    """Must differ: their ratio is the area at peak 1, which grows with the width."""
    narrow, wide = (make(name, width_fwhm=width, normalisation="peak1") for width in (0.5, 2.0))
    assert wide.area == pytest.approx(4 * narrow.area)
    assert make(name, width_fwhm=2.0, normalisation="area1").peak == pytest.approx(1 / wide.area)


# --- numbers: range, precision


@every_entry
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_finite_and_of_the_given_dtype_far_from_threshold(name, dtype):
    """Expected: for |u| up to 1e4 slope, curve, spikes and gradient are finite; dtype and shape kept."""
    right = torch.cat([torch.zeros(1), torch.logspace(-6, 4, 200)]).to(dtype)
    for label, surrogate in variants(name):
        u = torch.cat([-right.flip(0), right]).reshape(2, -1).requires_grad_()
        spikes = surrogate(u)
        (gradient,) = torch.autograd.grad(spikes.sum(), u)
        for value in (spikes, gradient, surrogate.derivative(u), surrogate.primitive(u)):
            assert value.dtype == dtype, label
            assert value.shape == u.shape, label
            assert torch.isfinite(value).all(), label


@every_entry
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_low_precision_slope_is_the_float64_slope_rounded(name, dtype):
    """Expected: the float64 slope at the same u.

    Bound 8 eps of the peak: each shape is a chain of at most six roundings, and |u psi'| <= peak for all of
    them, so that a relative error of k u moves psi by no more than that fraction of the peak.
    """
    for label, surrogate in variants(name):
        u = (grid(surrogate, reach=10.0)[::37]).to(dtype)
        expected = surrogate.derivative(u.double())
        error = (surrogate.derivative(u).double() - expected).abs().max().item()
        assert error <= 8 * torch.finfo(dtype).eps * surrogate.peak, label


# --- forward and backward


@every_entry
def test_forward_is_a_strict_step(name):
    """Expected: 1 only above threshold, as in snnTorch; 0, -0 and NaN are silent, the least number fires."""
    tiny = torch.finfo(torch.float64).smallest_normal
    u = torch.tensor([-1.0, -tiny, -0.0, 0.0, math.nan, tiny, 1.0, math.inf], dtype=torch.float64)
    assert make(name)(u).tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert make(name).output == "binary"


@every_entry
def test_gradient_of_forward_is_derivative(name):
    """Expected: upstream gradient times psi, bit for bit."""
    for label, surrogate in variants(name):
        u = grid(surrogate, reach=3.0)[::7].requires_grad_()
        upstream = torch.linspace(-2, 2, u.numel(), dtype=torch.float64)
        (gradient,) = torch.autograd.grad(surrogate(u), u, upstream)
        assert torch.equal(gradient, upstream * surrogate.derivative(u.detach())), label


@every_entry
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


# --- function transforms, compilation, copies


@every_entry
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


@every_entry
@pytest.mark.filterwarnings(
    "ignore:.*Function'> should not be instantiated:DeprecationWarning"
)  # torch's own
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


@every_entry
def test_pickles_and_copies_after_use(name):
    """Expected: a copy with the same slope, also after a backward pass; snnTorch's closures cannot do it."""
    surrogate = make(name)
    u = grid(surrogate)[::101].requires_grad_()
    surrogate(u).sum().backward()
    for again in (pickle.loads(pickle.dumps(surrogate)), copy.deepcopy(surrogate)):  # noqa: S301 - our own bytes
        assert torch.equal(again.derivative(u), surrogate.derivative(u))
        assert (again.peak, again.area, again.fwhm) == (surrogate.peak, surrogate.area, surrogate.fwhm)


# --- snnTorch


@pytest.fixture
def no_snntorch_neurons_left() -> Iterator[None]:
    """snnTorch keeps every neuron of the process in a list; give it back as it was."""
    before = list(snn.SpikingNeuron.instances)
    yield
    snn.SpikingNeuron.instances[:] = before


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
        spikes, membrane = neuron(3 * weights(torch.rand(3, 6)), membrane)
        count = count + spikes
    assert 0 < count.sum() < count.numel() * 5
    optimizer = torch.optim.SGD(weights.parameters(), lr=0.1)
    (count - 1).square().sum().backward()
    optimizer.step()
    assert torch.isfinite(weights.weight).all()
    assert torch.equal(weights.weight, before) == (surrogate.peak == 0)


def gradient_of(spike_grad: Callable[[Tensor], Tensor], u: Tensor) -> Tensor:
    """Gradient of the summed spikes."""
    u = u.clone().requires_grad_()
    return torch.autograd.grad(spike_grad(u).sum(), u)[0]


TWINS = {
    "fast_sigmoid": ({"slope": 25.0}, snntorch.surrogate.fast_sigmoid(slope=25.0)),
    "atan": ({"alpha": 2.0}, snntorch.surrogate.atan(alpha=2.0)),
    "sigmoid": ({"slope": 25.0}, snntorch.surrogate.sigmoid(slope=25.0)),
    "constant": ({}, snntorch.surrogate.straight_through_estimator()),
}


@pytest.mark.parametrize(("name", "twin"), TWINS.items(), ids=TWINS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_equals_snntorch_where_it_is_right(name, twin, dtype):
    """Expected: snnTorch 1.0's gradient and spikes on |u| <= 1.7, to rounding.

    The range keeps exp(-k u)^2 of its sigmoid finite in float32 (k|u| < 44). Relative bound: eps times the
    roundings of both (8) plus k|u| for the exponent's own rounding.
    """
    parameters, theirs = twin
    surrogate = make(name, **parameters, normalisation="raw", scale=1.0)
    u = torch.linspace(-1.7, 1.7, 20_001, dtype=torch.float64).to(dtype)
    assert torch.equal(surrogate(u), theirs(u).to(dtype))
    bound = torch.finfo(dtype).eps * (8 + 25 * u.abs())
    expected = gradient_of(theirs, u)
    assert ((surrogate.derivative(u) - expected).abs() <= bound * expected).all()


def test_snntorch_triangular_is_no_triangle():
    """Must differ. Pinned: snnTorch 1.0's `triangular` has slope +1 below and -1 above threshold.

    If this fails, snnTorch has changed: compare the new slope with ours, move it to TWINS if equal, and edit
    the docstring of `Triangle`.
    """
    u = torch.tensor([-3.0, -0.5, 0.0, 0.5, 3.0])
    theirs = gradient_of(snntorch.surrogate.triangular(threshold=1), u)
    assert theirs.tolist() == [1, 1, -1, -1, -1]
    assert make("triangle", slope=1.0, normalisation="raw", scale=1.0).derivative(u).tolist() == [
        0,
        0.5,
        1,
        0.5,
        0,
    ]


def test_snntorch_sigmoid_is_not_finite_far_below_threshold():
    """Must differ. Pinned: snnTorch 1.0's `sigmoid` gives NaN for k u < -88 in float32, and 0 below -44.4.

    If this fails, snnTorch has been repaired: widen the range of `test_equals_snntorch_where_it_is_right` and
    edit the docstring of `Sigmoid`.
    """
    u = torch.tensor([-2.0, -4.0])  # k u = -50 and -100
    theirs = gradient_of(snntorch.surrogate.sigmoid(slope=25.0), u)
    assert theirs[0] == 0
    assert torch.isnan(theirs[1])
    ours = make("sigmoid", slope=25.0, normalisation="raw", scale=1.0).derivative(u)
    expected = torch.tensor([25 * math.exp(-50), 25 * math.exp(-100)], dtype=torch.float64)
    spacing = 25 * 2.0**-149  # of the subnormal exp(-100) in float32, times the slope
    torch.testing.assert_close(
        ours.double(), expected, rtol=50 * torch.finfo(torch.float32).eps, atol=spacing
    )


def test_snntorch_atan_is_not_its_documented_formula():
    """Must differ. Pinned: snnTorch 1.0 documents the height 1/pi of `atan`; its code, and ours, has alpha/2.

    If this fails, snnTorch's code has changed: `raw` of `Atan` must follow or its docstring must say so.
    """
    theirs = gradient_of(snntorch.surrogate.atan(alpha=2.0), torch.zeros(1)).item()
    assert theirs == 1.0
    assert theirs == make("atan", alpha=2.0, normalisation="raw", scale=1.0).peak
    assert abs(theirs - 1 / math.pi) > 0.5


# --- refusals

BAD_NUMBERS = [1e300, 10**400, 1e-320, -1.0, 0, 0.0, math.nan, math.inf, -math.inf, "5", True, [1.0]]


@every_bell
@pytest.mark.parametrize("value", BAD_NUMBERS, ids=repr)
def test_bad_steepness_and_width_are_refused_by_name(name, value):
    """Expected: an InputError that names the parameter and its value."""
    native = native_name(name)
    for key, other in ((native, "width_fwhm"), ("width_fwhm", native)):
        with pytest.raises(InputError) as caught:
            make(name, **{"width_fwhm": None, native: None, key: value, other: None})
        assert str(caught.value).startswith(f"surrogate.{key}={value!r}: a number in [1e-06, 1e+06]")


@every_entry
@pytest.mark.parametrize("value", BAD_NUMBERS, ids=repr)
def test_bad_scale_is_refused_by_name(name, value):
    """Expected: an InputError that names scale and its value."""
    with pytest.raises(InputError) as caught:
        make(name, scale=value)
    assert str(caught.value).startswith(f"surrogate.scale={value!r}: a number in [1e-06, 1e+06]")


@every_entry
@pytest.mark.parametrize("value", ["peak", "", None, 1, ["peak1"]], ids=repr)
def test_unknown_normalisation_is_refused_by_name(name, value):
    """Expected: an InputError that lists the known ones."""
    with pytest.raises(InputError, match=r"surrogate\.normalisation=.*one of peak1, area1, raw is needed"):
        make(name, normalisation=value)


@every_bell
def test_exactly_one_of_steepness_and_width(name):
    """Expected: both and neither are refused, naming both parameters."""
    native = native_name(name)
    for steepness, width in ((2.0, 0.5), (None, None)):
        with pytest.raises(
            InputError, match=f"surrogate.{native}=.*surrogate.width_fwhm=.*give one of the two"
        ):
            make(name, **{native: steepness, "width_fwhm": width})


@pytest.mark.parametrize(("name", "refused"), [("constant", {"area1"}), ("zero", {"peak1", "area1"})])
def test_controls_refuse_what_cannot_be_one(name, refused):
    """Expected from mathematics: a constant's area is infinite; the zero slope has neither peak nor area."""
    for normalisation in NORMALISATIONS:
        if normalisation in refused:
            with pytest.raises(InputError, match=f"normalisation={normalisation}"):
                make(name, normalisation=normalisation)
        else:
            make(name, normalisation=normalisation)
