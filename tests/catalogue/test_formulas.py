"""A slope as a formula: equal to the catalogue's, named by what it says, measured, learnt, or refused.

Expected values are the entries of the catalogue, closed forms, and scipy's quadrature in their contract tests.
"""

import math

import pytest
import torch

from fastspiking.formula import MOST_NODES, canonical_formula, nodes, parse_formula
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.records.method import method_id
from sgbench.surrogates.curve import measure, primitive
from sgbench.surrogates.formula import Formula
from sgbench.yours.entry_check import unit_of_u
from tests.catalogue.formulas import HOSTILE, WRITTEN
from tests.catalogue.shapes import make
from tests.messages import raises_naming

PLAIN = {"learn_a": False, "width_fwhm": None, "normalisation": "peak1", "scale": 1.0}


def made(formula: str, a: float = 1.0, **changes: object) -> Formula:
    """A formula as it is."""
    return Formula(formula=formula, a=a, **{**PLAIN, **changes})


def test_there_are_as_many_of_both_as_promised():
    assert len(WRITTEN) >= 30
    assert len(set(HOSTILE)) >= 100


@pytest.mark.one_in(10)
@pytest.mark.parametrize("name", WRITTEN)
def test_an_entry_as_a_formula_is_the_entry(name):
    """Expected: the entry's slope to 1e-12 of its peak, and its peak, area, width and support."""
    entry = make(name)
    formula = made(*WRITTEN[name], normalisation="peak1", scale=entry.peak)
    unit = unit_of_u(entry)
    u = torch.cat([torch.linspace(-50, 50, 4001), torch.linspace(-3, 3, 4001)]).double() * unit
    slope, expected = formula.derivative(u), entry.derivative(u)
    beside = torch.stack([(u - kink).abs() < 1e-12 * unit for kink in entry.kinks or (math.inf,)]).any(0)
    assert (slope - expected)[~beside].abs().max() <= 1e-12 * entry.peak
    assert formula.peak == pytest.approx(entry.peak, rel=1e-12)
    if entry.area is None or not math.isfinite(entry.area):
        assert formula.area == entry.area
    else:
        assert formula.area in (None, pytest.approx(entry.area, rel=1e-11))  # None: a tail of the power 1.5 or less
    assert formula.fwhm == (None if entry.fwhm is None else pytest.approx(entry.fwhm, rel=1e-9))
    assert formula.support == pytest.approx(entry.support, rel=1e-12)


@pytest.mark.one_in(5)
@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_formula_is_refused_in_one_line(text):
    with pytest.raises(InputError) as refused:
        made(text)
    assert "\n" not in str(refused.value).removeprefix(f"surrogate.formula={text.strip()}")
    assert "formula" in str(refused.value)
    assert len(str(refused.value)) < 700


@pytest.mark.parametrize("given", [None, 3, ["u"], {"u": 1}, True])
def test_what_is_no_text_is_refused(given):
    with pytest.raises(InputError, match="a formula in quotes"):
        made(given)


@pytest.mark.parametrize("name", WRITTEN)
def test_the_text_of_a_formula_is_read_as_the_formula(name):
    """Expected: the same tree, and a text that is its own."""
    text = canonical_formula(WRITTEN[name][0])
    assert parse_formula(text) == parse_formula(WRITTEN[name][0])
    assert canonical_formula(text) == text
    assert " " not in text


def test_a_large_formula_ends_at_the_limit():
    assert len(list(nodes(parse_formula("u" + "+u" * ((MOST_NODES - 1) // 2))))) <= MOST_NODES


def ids(*words: str) -> str:
    """The method's id with these words."""
    return method_id(compose(["surrogate=formula", *words]).method)


@pytest.mark.slow
def test_a_method_is_named_by_what_its_formula_says():
    """Expected: one id whatever the blanks and brackets; must differ: another number, another operation."""
    first = ids("surrogate.formula='1/(1+abs(a*u))**2'")
    assert ids("surrogate.formula='(1.0) / (1 + abs((a * u))) ** 2.0'") == first
    for other in ("1/(1+abs(a*u))**3", "1/(1+abs(a*u))", "1/(1-abs(a*u))**2"):
        assert ids(f"surrogate.formula='{other}'") != first
    assert ids("surrogate.a=26") != first
    with pytest.raises(InputError, match=r"surrogate\.formula=os"):
        ids("surrogate.formula='os'")


def test_a_width_stretches_the_formula():
    """Expected: the width asked for, at half height; must differ: a slope without width."""
    surrogate = made("exp(-u**2)", width_fwhm=0.3)
    half = surrogate.derivative(torch.tensor([-0.15, 0.0, 0.15], dtype=torch.float64))
    assert half.tolist() == pytest.approx([0.5, 1, 0.5], rel=1e-12)
    with pytest.raises(InputError, match="has no width"):
        made("u >= -a", width_fwhm=0.3)


def test_a_learns_by_the_slope_of_the_primitive():
    """Expected: d/da of u / (1 + a|u|), which is -u|u| / (1 + a|u|)^2; nothing learns unless asked."""
    u = torch.linspace(-2, 2, 81, dtype=torch.float64)
    surrogate = made("1/(1+a*abs(u))**2", 3.0, learn_a=True)
    weights = torch.linspace(-1, 1, 81, dtype=torch.float64)
    (surrogate(u) * weights).sum().backward()
    expected = (weights * -u * u.abs() / (1 + 3 * u.abs()) ** 2).sum()
    assert surrogate.a.grad.item() == pytest.approx(expected.item(), rel=1e-9)
    assert not list(made("1/(1+a*abs(u))**2").parameters())
    with pytest.raises(InputError, match="has no a"):
        made("exp(-u**2)", learn_a=True)


@pytest.mark.parametrize(
    ("formula", "by_hand"),
    [
        ("0.5+exp(-abs(u))", lambda u: 0.5 * u + u.sign() * -torch.expm1(-u.abs())),
        ("0.2+1/(1+u**2)", lambda u: 0.2 * u + u.atan()),
        ("0.1+0.9*(abs(u)<0.5)", lambda u: 0.1 * u + 0.9 * u.clamp(-0.5, 0.5)),
        ("1/sqrt(1+abs(u))", lambda u: 2 * u.sign() * ((1 + u.abs()).sqrt() - 1)),
    ],
)
def test_a_primitive_is_exact_where_the_area_is_infinite(formula, by_hand):
    """Expected: closed forms to rounding, which the area up to |u| = 10^13 must not hide."""
    u = torch.linspace(-30, 30, 601, dtype=torch.float64)
    tree = parse_formula(formula)
    ours = primitive(tree, measure(tree).breaks, u, 0.0)
    torch.testing.assert_close(ours, by_hand(u), rtol=1e-13, atol=1e-13)


def test_a_chance_is_the_share_below():
    """Expected: the distribution of a standard Gaussian of variance 1/2, by erf."""
    u = torch.linspace(-3, 3, 31, dtype=torch.float64)
    assert torch.allclose(made("exp(-u**2)").escape_probability(u), (1 + torch.erf(u)) / 2, atol=1e-13)


@pytest.mark.parametrize("a", [2.0, 8.0])
def test_what_oscillates_below_rounding_is_no_corner(a):
    """By hand: peak 2 at 0, area sqrt(pi) (1 + exp(-a^2 / 4)); exp(-u^2) is rounded to 0 from |u| = 28 on."""
    formula = made("exp(-u**2)*(1+cos(a*u))", a, normalisation="raw")
    assert formula.peak == pytest.approx(2.0, rel=1e-12)
    assert formula.area == pytest.approx(math.pi**0.5 * (1 + math.exp(-(a**2) / 4)), rel=1e-11)
    with raises_naming(InputError, "corners or zeros", "cut it to an interval"):
        made("2+cos(a*u)*(2+cos(3*u))", 8.0)
