"""What a surrogate declares is what is measured, for every entry of conf/surrogate; its height and its precision.

Legend: see `shapes`.
"""

import functools
import itertools
import math

import numpy as np
import pytest
import torch

from sgbench.composition import catalogue
from sgbench.errors import InputError
from sgbench.surrogates.base import NORMALISATIONS
from sgbench.yours.entry_check import (
    AREA_TOLERANCE,
    PEAK_TOLERANCE,
    WIDTH_TOLERANCE,
    grid,
    measured_area,
    measured_fwhm,
    measured_peak,
    unit_of_u,
)
from tests.catalogue.shapes import (
    EPS,
    PLAIN,
    WIDTHS,
    WITH_WIDTH,
    accepts,
    away_from_kinks,
    central_slope,
    composed,
    every_bell,
    every_plain,
    every_width,
    has_width,
    make,
    nth_derivative,
    smooth_points,
    variants,
)
from tests.messages import raises_naming

MANY_KINKS = ("multi_spike",)  # their quadrature takes as long as that of all others


@pytest.mark.one_in(5)
@every_plain
def test_derivative_is_slope_of_primitive(name):
    """Expected: central differences of the primitive in float64, within their own error bound."""
    for label, surrogate in variants(name):
        if not surrogate.has_primitive:
            with pytest.raises(NotImplementedError, match=type(surrogate).__name__):
                surrogate.primitive(torch.zeros(1))
            continue
        u = smooth_points(surrogate)
        slope, bound = central_slope(surrogate.primitive, u, 1e-4 * unit_of_u(surrogate))
        error = (slope - surrogate.derivative(u)).abs()
        assert (error <= bound).all(), f"{label}: {(error - bound).max():.3g} beyond the bound"
        peak = surrogate.peak or 1.0
        assert bound.max() < 2e-5 * peak, f"{label}: the bound {bound.max():.3g} is too wide to say anything"


@pytest.mark.one_in(10)
@every_plain
def test_declared_peak_is_largest_slope(name):
    """Expected: the maximum over a dense grid, beside all kinks, and refined between grid points."""
    for label, surrogate in variants(name):
        _, largest = measured_peak(surrogate)
        assert largest == pytest.approx(surrogate.peak, rel=PEAK_TOLERANCE, abs=0), label


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in MANY_KINKS or place % 3 > 0))
        for place, name in enumerate(PLAIN)
    ],
)
def test_declared_area_is_integral_of_slope(name):
    """Expected: quadrature within its own error bound; where infinite, decades that do not shrink."""
    for label, surrogate in variants(name):
        if surrogate.area is None:
            continue
        if math.isinf(surrogate.area):
            farthest = max((abs(kink) for kink in surrogate.kinks), default=0.0) / unit_of_u(surrogate)
            most = farthest if len(surrogate.kinks) > 50 else 100.0  # periodic: as far as declared
            small, middle, large = (measured_area(surrogate, most * part)[0] for part in (0.01, 0.1, 1))
            assert large - middle >= (middle - small) * (1 - 1e-9) > 0, label
            continue
        area, error = measured_area(surrogate)
        assert error <= 1e-7 * max(abs(area), surrogate.peak * unit_of_u(surrogate)), f"{label}: quadrature failed"
        assert abs(area - surrogate.area) <= error + AREA_TOLERANCE * abs(area), label


@pytest.mark.one_in(10)
@every_plain
def test_declared_width_is_measured_width(name):
    """Expected: root finding on half the maximum; null only where the slope never falls to half, or is 0."""
    for label, surrogate in variants(name):
        if surrogate.fwhm is not None:
            assert measured_fwhm(surrogate) == pytest.approx(surrogate.fwhm, rel=WIDTH_TOLERANCE), label
        elif surrogate.peak:
            assert measured_fwhm(surrogate) is None, label


@pytest.mark.one_in(5)
@every_width
@pytest.mark.parametrize("width", WIDTHS)
def test_asked_width_is_measured_width(name, width):
    """Expected: the number asked for, found again by root finding; so with the word for every surrogate."""
    surrogate = make(name, width_fwhm=width)
    assert measured_fwhm(surrogate) == pytest.approx(width, rel=WIDTH_TOLERANCE)
    target, parameters = composed(name, width)
    assert target(**parameters).fwhm == pytest.approx(width, rel=4 * EPS)


@pytest.mark.one_in(5)
@every_plain
def test_declared_support_is_where_slope_is_not_zero(name):
    """Expected: exactly 0 outside, not 0 just inside; without an edge, not 0 within 10 widths.

    Ten widths of a Gaussian are 1e-120 of its peak; much further out even float64 has only 0 left.
    """
    for label, surrogate in variants(name):
        low, high = surrogate.support
        for edge, sign in ((low, -1), (high, 1)):
            if math.isinf(edge):
                near = torch.arange(1, 200).double() * (sign * 0.05 * unit_of_u(surrogate))
                near = near[(near > low) & (near < high)]
                assert (surrogate.derivative(near) != 0).all(), label
                continue
            unit = unit_of_u(surrogate)
            beyond = np.nextafter(edge, sign * math.inf) + sign * unit * np.array([0.0, 0.5, 10.0, 1e4])
            assert not surrogate.derivative(torch.from_numpy(beyond)).any(), label
            inside = torch.tensor([edge - sign * 1e-9 * unit], dtype=torch.float64)
            assert low == high or (surrogate.derivative(inside) != 0).all(), label


@every_plain
def test_the_list_shows_as_compact_what_has_two_ends(name):
    """Expected: `meta.compact_support` of the file, which `sgbench list` reads, is what the class declares."""
    says = catalogue.entry("surrogate", name).meta.get("compact_support", False)
    assert says == all(map(math.isfinite, make(name).support))


@every_bell
def test_slope_of_a_bell_falls_with_distance_and_is_even_where_declared(name):
    """Expected: psi >= 0, never larger further from threshold; psi(-u) = psi(u) exactly where half lies below."""
    for label, surrogate in variants(name):
        above = grid(surrogate)[10_000:]
        slopes, mirrored = surrogate.derivative(above), surrogate.derivative(-above)
        assert torch.equal(slopes, mirrored) == (surrogate.share_below == 0.5), label
        for side in (slopes, mirrored):
            assert (side >= 0).all(), label
            assert (side.diff() <= 0).all(), label
        if surrogate.share_below != 0.5:  # by quadrature
            below = torch.trapezoid(mirrored, above) / surrogate.area
            assert below.item() == pytest.approx(surrogate.share_below, rel=1e-3), label


def test_a_split_gaussian_has_the_width_area_and_limit_of_the_gaussian():
    """Expected: at skew 0 the Gaussian to the bit; at 0.5 half maxima at 1/4 and 3/4 of the width."""
    u = torch.linspace(-2, 2, 401, dtype=torch.float64)
    gaussian = make("gaussian", slope=None, width_fwhm=0.8)
    assert torch.equal(
        make("split_gaussian", slope=None, width_fwhm=0.8, skew=0.0).derivative(u), gaussian.derivative(u)
    )
    skewed = make("split_gaussian", slope=None, width_fwhm=0.8, skew=0.5)
    ends = skewed.derivative(torch.tensor([-0.2, 0.6], dtype=torch.float64))
    torch.testing.assert_close(ends, torch.full((2,), 0.5, dtype=torch.float64))
    assert skewed.area == gaussian.area
    mirrored = make("split_gaussian", slope=None, width_fwhm=0.8, skew=-0.5)
    assert torch.equal(mirrored.derivative(u), skewed.derivative(-u))


# --- height: normalisation, scale, stretch


@pytest.mark.one_in(5)
@every_plain
def test_normalisation_makes_its_quantity_one(name):
    """Expected: 1, measured (peak) and by quadrature (area), at every width."""
    widths = WIDTHS if has_width(name) else (None,)
    for width in widths:
        changes = {"scale": 1.0} | ({} if width is None else {"width_fwhm": width})
        if accepts(name, "peak1"):
            surrogate = make(name, normalisation="peak1", **changes)
            assert measured_peak(surrogate)[1] == pytest.approx(1, rel=1e-12)
        if accepts(name, "area1"):
            area, error = measured_area(make(name, normalisation="area1", **changes))
            assert abs(area - 1) <= error + 1e-11


@every_plain
def test_accepted_normalisations_are_those_of_finite_quantities(name):
    """Expected: refused, naming normalisation, exactly where the peak or area cannot become 1."""
    for normalisation in NORMALISATIONS:
        if accepts(name, normalisation):
            assert make(name, normalisation=normalisation).normalisation == normalisation
        else:
            with raises_naming(InputError, f"surrogate.normalisation={normalisation}", "raw"):
                make(name, normalisation=normalisation)


@pytest.mark.one_in(5)
@every_plain
def test_scale_multiplies(name):
    """Expected: slope and curve at scale 1 times the scale, to rounding of two products."""
    for normalisation in filter(functools.partial(accepts, name), NORMALISATIONS):
        one = make(name, normalisation=normalisation, scale=1.0)
        third = make(name, normalisation=normalisation, scale=0.3)
        for quantity in ("derivative", "primitive") if one.has_primitive else ("derivative",):
            u = grid(one, reach=5.0)
            expected = 0.3 * getattr(one, quantity)(u)
            torch.testing.assert_close(getattr(third, quantity)(u), expected, rtol=8 * EPS, atol=0)


@pytest.mark.one_in(5)
@every_plain
def test_a_stretch_makes_steeper_and_keeps_what_is_normalised(name):
    """Expected by substitution: psi(3u), times 3 where the area is kept; must differ from the plain slope."""
    for normalisation in filter(functools.partial(accepts, name), NORMALISATIONS):
        plain, steep = (make(name, normalisation=normalisation) for _ in range(2))
        steep.stretch = 3.0
        u = away_from_kinks(steep, grid(plain, reach=2.0), 1e-6)
        keeps_area = normalisation == "area1" or (normalisation == "raw" and plain.raw_keeps_area)
        expected = plain.derivative(3 * u) * (3.0 if keeps_area else 1.0)
        torch.testing.assert_close(steep.derivative(u), expected, rtol=8 * EPS, atol=0)
        flat = plain.derivative(u).unique().numel() <= 2 and plain.fwhm is None
        assert flat or not torch.equal(steep.derivative(u), plain.derivative(u))


@pytest.mark.one_in(5)
@every_width
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_a_stretch_is_a_smaller_width(name, normalisation):
    """Expected: the entry with a third of the width, whatever is normalised."""
    if accepts(name, normalisation):
        stretched = make(name, normalisation=normalisation, width_fwhm=1.2)
        stretched.stretch = 3.0
        narrow = make(name, normalisation=normalisation, width_fwhm=0.4)
        u = away_from_kinks(narrow, grid(narrow, reach=3.0), 1e-6)
        torch.testing.assert_close(
            stretched.derivative(u), narrow.derivative(u), rtol=1e-12, atol=8 * EPS * narrow.peak
        )
        assert stretched.fwhm == pytest.approx(0.4, rel=4 * EPS)


@pytest.mark.one_in(4)
@every_plain
def test_a_stretch_learns_from_the_primitive(name):
    """Expected: d primitive / d log stretch by central differences; refused where there is no primitive."""
    surrogate = make(name)
    if not surrogate.has_primitive:
        with pytest.raises(InputError, match="has no primitive"):
            surrogate.learn_stretch()
        return
    surrogate.learn_stretch()
    u = smooth_points(surrogate)[::3]
    surrogate(u).sum().backward()
    found = surrogate.log_stretch.grad.item()
    curves = []
    for sign in (1, -1):
        other = make(name)
        other.stretch = math.exp(sign * 1e-5)
        curves.append(other.primitive(u).sum().item())
    assert found == pytest.approx((curves[0] - curves[1]) / 2e-5, rel=1e-4, abs=1e-6)


def test_shapes_differ_at_equal_width_and_peak():
    """Must differ: at the same width and height what remains is the form."""
    u = torch.linspace(-2, 2, 401, dtype=torch.float64)
    slopes = {name: make(name, width_fwhm=0.5, normalisation="peak1", scale=1.0).derivative(u) for name in WITH_WIDTH}
    slopes |= {name: make(name).derivative(u) for name in PLAIN if name not in WITH_WIDTH}
    assert (slopes.pop("formula") - slopes["fast_sigmoid"]).abs().max() < 1e-12  # the formula that it ships with
    for position, (name, one) in enumerate(slopes.items()):
        for other in list(slopes)[:position]:
            assert (one - slopes[other]).abs().max() > 1e-4, f"{name} and {other}"


@every_bell
def test_peak_one_and_area_one_differ(name):
    """Must differ: their ratio is the area at peak 1, which grows with the width."""
    narrow, wide = (make(name, width_fwhm=width, normalisation="peak1") for width in (0.5, 2.0))
    if math.isfinite(wide.area):
        assert wide.area == pytest.approx(4 * narrow.area)
        assert make(name, width_fwhm=2.0, normalisation="area1").peak == pytest.approx(1 / wide.area)


# --- numbers: range, precision


@pytest.mark.one_in(5)
@every_plain
def test_finite_and_of_the_given_dtype_far_from_threshold(name):
    """Expected: for |u| up to 1e4 slope, curve, spikes and gradient are finite; dtype and shape kept."""
    distances = torch.cat([torch.zeros(1), torch.logspace(-6, 4, 200)])
    dtypes = (torch.float64, torch.float32, torch.bfloat16)
    for dtype, (label, surrogate) in itertools.product(dtypes, variants(name)):
        right, case = distances.to(dtype), f"{label}, {dtype}"
        u = torch.cat([-right.flip(0), right]).reshape(2, -1).requires_grad_()
        spikes = surrogate(u)
        (gradient,) = torch.autograd.grad(spikes.sum(), u)
        curves = [surrogate.primitive(u)] if surrogate.has_primitive else []
        for value in (spikes, gradient, surrogate.derivative(u), *curves):
            assert value.dtype == dtype, case
            assert value.shape == u.shape, case
            assert torch.isfinite(value).all(), case


@pytest.mark.one_in(10)
@every_plain
def test_low_precision_slope_is_the_float64_slope_rounded(name):
    """Expected: the float64 slope at the same u.

    Bound: each shape is a chain of at most sixteen roundings of numbers no larger than the peak, and a relative
    error of u moves psi by |u psi'|. Kinks are left out: rounding may step over them.
    """
    for dtype, (label, surrogate) in itertools.product((torch.float32, torch.bfloat16), variants(name)):
        eps = torch.finfo(dtype).eps
        points = grid(surrogate, reach=10.0)[::37].to(dtype)
        u = away_from_kinks(surrogate, points, 8 * eps)
        u = u[(u == 0) | (u.abs() > 1e-30)]
        expected = surrogate.derivative(u.double())
        moved = (u.double() * nth_derivative(surrogate.derivative, u.double(), 1)).abs()
        error = (surrogate.derivative(u).double() - expected).abs()
        assert (error <= eps * (16 * surrogate.peak + 8 * moved)).all(), f"{label}, {dtype}"
