"""Energies and energy estimates as text and as JSON."""

from dataclasses import asdict
from typing import Any

from sgbench.energy.interval import BoundedValue
from sgbench.energy.price import EnergyEstimate, Term, evidence_of
from sgbench.records.energy import EnergyTarget, MemoryPrice

PREFIXES = ((1e9, "J"), (1e6, "mJ"), (1e3, "uJ"), (1.0, "nJ"), (1e-3, "pJ"))
WATTS = {"J": "W", "mJ": "mW", "uJ": "uW", "nJ": "nW", "pJ": "pW"}
NONE = "-"


def joules(energy_nj: float) -> str:
    """Write an energy [nJ] with three digits in a fitting unit.

    >>> joules(12345.6), joules(0.0451), joules(0.0)
    ('12.3 uJ', '45.1 pJ', '0 pJ')
    """
    for size, unit in PREFIXES:
        if abs(energy_nj) >= size:
            return f"{energy_nj / size:.3g} {unit}"
    return f"{energy_nj * 1e3:.3g} pJ"


def joules_interval(energy: BoundedValue | None) -> str:
    """Write an energy [nJ] with its bounds, if they differ as written.

    >>> joules_interval(BoundedValue(2000, 1000, 3000)), joules_interval(BoundedValue(5, 5, 5))
    ('2 uJ (1 uJ to 3 uJ)', '5 nJ')
    >>> joules_interval(None)
    '-'
    """
    if energy is None:
        return NONE
    if joules(energy.low) == joules(energy.high):
        return joules(energy.value)
    return f"{joules(energy.value)} ({joules(energy.low)} to {joules(energy.high)})"


def amount(energy: BoundedValue, per: str) -> str:
    """Write an energy [nJ]; if `per` is "second", as a power.

    >>> amount(BoundedValue(68e6, 68e6, 68e6), "second")
    '68 mW'
    """
    text = joules_interval(energy)
    if per != "second":
        return text
    for joule, watt in WATTS.items():
        text = text.replace(f" {joule}", f" {watt}")
    return text


def percent(share: BoundedValue) -> str:
    """Write a share in percent with its bounds, if they differ as written.

    >>> percent(BoundedValue(0.051, 0.04, 0.06))
    '5.1 % (4 to 6)'
    """
    value, low, high = (f"{100 * bound:.3g}" for bound in (share.value, share.low, share.high))
    return f"{value} %" if low == high else f"{value} % ({low} to {high})"


def marked(target: EnergyTarget) -> str:
    """Return the weakest grade of evidence of a target's values, e.g. "derived"."""
    order = ("verified", "derived", "secondary", "memory")
    return max((evidence.mark for evidence in evidence_of(target)), key=order.index, default=NONE)


def scope_of(target: EnergyTarget) -> str:
    return next((evidence.scope for evidence in evidence_of(target)), NONE)


def price_pj(target: EnergyTarget, *operations: str) -> str:
    """Write the first of a target's prices [pJ] that is for one of these operations, with its bounds."""
    for price in target.prices:
        if price.operation in operations:
            bounds = "" if price.low_pj == price.high_pj else f" ({price.low_pj:g} to {price.high_pj:g})"
            return f"{price.value_pj:g}{bounds}"
    return NONE


def term_tree(term: Term) -> dict[str, Any]:
    """Convert a term to plain values for JSON."""
    return {
        "operation": term.operation,
        "layer": term.layer,
        "count_per_inference": term.count_per_inference,
        "energy_nj": asdict(term.energy_nj),
        "price": term.price.model_dump(mode="json"),
    }


def estimate_tree(estimate: EnergyEstimate) -> dict[str, Any]:
    """Convert an estimate to plain values for JSON."""
    return {
        "target": estimate.target,
        "latency_s": estimate.latency_s,
        "dynamic_nj": None if estimate.dynamic_nj is None else asdict(estimate.dynamic_nj),
        "static_nj": None if estimate.static_nj is None else asdict(estimate.static_nj),
        "mark": estimate.mark,
        "missing": list(estimate.missing),
        "assumptions": list(estimate.assumptions),
        "reasons": list(estimate.reasons),
        "by_layer": [term_tree(term) for term in estimate.by_layer],
    }


def price_words(term: Term) -> str:
    """Write a price with its unit, e.g. "0.9 (0.5 to 1.2) pJ/bit"; one of memory as its range over sizes."""
    price = term.price
    if isinstance(price, MemoryPrice):
        span = f"{price.sizes[0].access_pj:g} to {price.sizes[-1].access_pj:g}"
        return f"{span} pJ/{price.per} by size"
    bounds = "" if price.low_pj == price.high_pj else f" ({price.low_pj:g} to {price.high_pj:g})"
    return f"{price.value_pj:g}{bounds} pJ{f'/{price.per}' if price.per else ''}"
