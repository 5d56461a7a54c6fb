"""Checks a user's own entry against the contracts of its group, each failure with a remedy."""

import itertools
import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import scipy.integrate
import scipy.optimize
import torch
from torch import Tensor

from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.records.spec import RunSpec
from sgbench.surrogates.base import Surrogate
from sgbench.surrogates.bell import BellSurrogate
from sgbench.training.build import Parts, build, construct

PEAK_TOLERANCE, WIDTH_TOLERANCE, AREA_TOLERANCE = 1e-12, 1e-9, 1e-11
"""Relative tolerances of declared values; for an area the quadrature's own error is added."""
EPS = torch.finfo(torch.float64).eps
INNER_ENDS = (-10.0, -1.0, -0.5, 0.0, 0.5, 1.0, 10.0)
"""Points, in widths, at which the interval of a quadrature is divided."""


def unit_of_u(surrogate: Surrogate) -> float:
    """Return the length scale of the u axis: the width, or 1 without one [threshold units]."""
    return surrogate.fwhm or 1.0


def evaluate_at(function: Callable[[Tensor], Tensor], u: float) -> float:
    return function(torch.tensor(u, dtype=torch.float64)).item()


def grid(surrogate: Surrogate, reach: float = 50.0) -> Tensor:
    """Return a dense grid of u [threshold units], `reach` widths to either side of the threshold u = 0."""
    return torch.arange(-10_000, 10_001).double() * (reach / 10_000 * unit_of_u(surrogate))


def measured_peak(surrogate: Surrogate) -> tuple[float, float]:
    """Return (u, value) of the largest absolute slope, searched on a grid and near kinks, then refined."""
    kinks = np.array(surrogate.kinks or (0.0,))
    beside_kinks = [torch.from_numpy(np.nextafter(kinks, end)) for end in (-math.inf, math.inf)]
    u = torch.cat([grid(surrogate), grid(surrogate, 4.0), *beside_kinks, torch.from_numpy(kinks)])
    heights = surrogate.derivative(u).abs()
    best = u[heights.argmax()].item()
    unit = unit_of_u(surrogate)
    refined = scipy.optimize.minimize_scalar(
        lambda x: -abs(evaluate_at(surrogate.derivative, x)),
        bounds=(best - 1e-3 * unit, best + 1e-3 * unit),
        method="bounded",
        options={"xatol": 1e-12 * unit},
    )
    height, u = max((heights.max().item(), best), (float(-refined.fun), float(refined.x)))
    return u, height


def measured_area(surrogate: Surrogate, reach: float = math.inf) -> tuple[float, float]:
    """Integrate the slope over `reach` widths to either side of u = 0; return (area, bound of its error)."""
    unit = unit_of_u(surrogate)
    low, high = (max(-reach, min(reach, end / unit)) for end in surrogate.support)
    inner = {*INNER_ENDS} | {kink / unit for kink in surrogate.kinks}
    ends = [low, *sorted(end for end in inner if low < end < high), high]
    total = error = 0.0
    for left, right in itertools.pairwise(ends):
        part, bound = scipy.integrate.quad(
            lambda x: evaluate_at(surrogate.derivative, x * unit), left, right, epsabs=1e-12, epsrel=1e-11, limit=200
        )
        total, error = total + part * unit, error + bound * unit
    return total, error


def measured_fwhm(surrogate: Surrogate) -> float | None:
    """Measure the full width at half maximum [threshold units]; None if the slope stays above half its peak."""
    unit = unit_of_u(surrogate)
    top, peak = measured_peak(surrogate)
    # Distances from the top [threshold units], dense near it: in steps of 0.001 up to 4 widths, then of 1 width.
    distances = torch.cat([torch.arange(1, 4001) * 1e-3, torch.arange(5, 10_000)]).double() * unit

    def above_half(distance: float) -> float:
        return abs(evaluate_at(surrogate.derivative, top + distance)) - peak / 2

    half_widths = []
    for side in (1, -1):
        is_below = surrogate.derivative(top + side * distances).abs() - peak / 2 < 0
        if not is_below.any():
            return None
        first = int(is_below.nonzero()[0])
        half_widths.append(
            scipy.optimize.brentq(
                lambda distance, side=side: above_half(side * distance),
                0.0 if first == 0 else distances[first - 1].item(),
                distances[first].item(),
                xtol=1e-14,
                rtol=np.float64(4 * EPS),
            )
        )
    return float(sum(half_widths))


CHECKED = ("surrogate", "neuron", "loss", "rule", "regulariser", "init", "optimizer", "normalisation", "dropout",
           "steepness", "firing", "network")  # fmt: skip
"""Groups whose entries are checked; data sets have `sgbench data check`."""
TOLERANCE = 1e-3
COPIED_KEYS = ("formula", "line")
"""Keys of `meta` that must not be copied from a shipped entry."""


def check_entry(path: Path, allow_targets: Sequence[str] = ()) -> list[str]:
    """Check an entry against the contracts of its group and list each failure.

    Returns a line for each failure, with the remedy; empty if all contracts hold.
    """
    group, folder = path.parent.name, path.resolve().parent.parent
    if not path.is_file() or path.suffix != ".yaml":
        raise InputError(f"{path}: no such YAML file; name one, e.g. my_conf/surrogate/mine.yaml")
    if group not in CHECKED:
        raise InputError(f"{path}: lies in a folder '{group}'; entries of {', '.join(CHECKED)} can be checked")
    entry = catalogue.entry(group, path.stem, [folder])
    missing = [key for key in ("line", "sources") if not entry.meta.get(key)]
    problems = [f"meta.{key}: is missing; add it to {path}, see docs/worked_entries.md" for key in missing]
    spec = compose([f"{group}={path.stem}"], config_dirs=[folder], allow_targets=allow_targets)
    problems += _gradient_problems(spec)
    problems += _copied_texts(entry)
    if group == "surrogate":
        surrogate = construct(group, spec.targets[group], spec.method.parameters[group]).double()
        problems += [*surrogate_problems(surrogate), *_support_claims(entry, surrogate)]
    return problems


def _copied_texts(entry: catalogue.Entry) -> Iterator[str]:
    """Yield a problem for each shipped entry whose formula or line the user's entry repeats."""
    for name, other in catalogue.entries(entry.group).items():
        same = [key for key in COPIED_KEYS if entry.meta.get(key) and entry.meta[key] == other.meta.get(key)]
        if same and name != entry.name:
            yield f"meta.{' and meta.'.join(same)}: said of {entry.group}/{name} too; say it of yours"


def _support_claims(entry: catalogue.Entry, surrogate: Surrogate) -> Iterator[str]:
    """Yield a problem if `meta.compact_support` and the slope disagree on whether the slope ends on both sides."""
    claims_ends = bool(entry.meta.get("compact_support", False))
    has_ends = all(map(math.isfinite, surrogate.support))
    if claims_ends != has_ends:
        remedy = f"the slope has {'two ends' if has_ends else 'no end'}; set it to {str(has_ends).lower()}"
        yield f"meta.compact_support: {str(claims_ends).lower()}, but {remedy}"


def _gradient_problems(spec: RunSpec) -> Iterator[str]:
    """Yield a problem for each gradient that is not finite, or that differs when the run is built again."""
    gradients, gradients_again = (_gradients(build(spec)) for _ in range(2))
    for name, gradient in gradients.items():
        if not torch.isfinite(gradient).all():
            yield f"network: the gradient of {name} is not finite on a first batch; look far from threshold"
        elif not torch.equal(gradient, gradients_again[name]):
            yield f"network: the gradient of {name} differs from build to build; draw from the generator passed"


def _gradients(parts: Parts) -> dict[str, Tensor]:
    """Map the name of each weight to its gradient on the first training batch."""
    parts.data.setup()
    batch = next(iter(parts.data.epoch(0)))
    for _ in parts.rule.gradients(parts.network, batch, parts.objective):
        pass  # each item is an update of the weights, which are not changed here
    named = parts.network.named_parameters()
    return {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}


def surrogate_problems(surrogate: Surrogate) -> list[str]:
    """List the contradictions between a surrogate's slope and what it declares.

    >>> from sgbench.surrogates.triangle import Triangle
    >>> surrogate_problems(Triangle(slope=1.0, width_fwhm=None, normalisation="peak1", scale=1.0))
    []
    """
    problems = [*_value_problems(surrogate)]
    if surrogate.elementwise and not surrogate.stochastic:  # others have no curve that could be measured
        problems += [*_declaration_problems(surrogate), *_primitive_problems(surrogate)]
    return [*problems, *_pickle_problems(surrogate)]


def _value_problems(surrogate: Surrogate) -> Iterator[str]:
    """Yield problems of forward, of backward, and of the slope far from threshold in single precision."""
    u = torch.linspace(-3, 3, 1201, dtype=torch.float64).requires_grad_()
    spikes = surrogate(u)
    if surrogate.output == "binary" and not torch.equal(spikes.detach(), (u > 0).double()):
        yield "forward: is no step at u > 0; leave forward to the base class, and give the slope alone"
    if not surrogate.stochastic:
        spikes.sum().backward()
        if u.grad is None or not torch.allclose(u.grad, surrogate.derivative(u.detach()), rtol=1e-6, atol=1e-9):
            yield "backward: is not the slope; leave it to the base class"
    far = surrogate.derivative(torch.tensor([-1e30, -1e4, 1e4, 1e30], dtype=torch.float32))
    if not torch.isfinite(far).all():
        yield "bell: is not finite far from threshold in single precision; write it so that no number overflows"
    if far.dtype != torch.float32:
        yield f"bell: makes {far.dtype} of torch.float32; use no numbers of another type"


def _declaration_problems(surrogate: Surrogate) -> Iterator[str]:
    """Yield a problem for each declared peak, area, width and support that differs from the measured one."""
    is_bell = isinstance(surrogate, BellSurrogate)
    if surrogate.peak is not None:
        _, measured = measured_peak(surrogate)
        if not math.isclose(measured, surrogate.peak, rel_tol=PEAK_TOLERANCE):
            yield _difference_text("peak", surrogate.peak, measured, "make bell(0) = 1, or shape_peak this")
    if surrogate.area is not None and math.isfinite(surrogate.area):
        measured, error = measured_area(surrogate)
        if abs(measured - surrogate.area) > error + AREA_TOLERANCE * abs(measured):
            # The declared area is that of the bell before it is scaled along u and in height.
            name, scale = ("bell_area", surrogate.steepness / surrogate.height) if is_bell else ("shape_area", 1.0)
            yield _difference_text(name, surrogate.area * scale, measured * scale, f"set {name} to what was measured")
    if surrogate.fwhm is not None:
        width = measured_fwhm(surrogate)
        name, scale = ("bell_fwhm", surrogate.steepness) if is_bell else ("shape_fwhm", 1.0)
        if width is None:
            yield f"{name}: declared {surrogate.fwhm * scale:.4g}, but the slope never falls to half its peak"
        elif not math.isclose(width, surrogate.fwhm, rel_tol=WIDTH_TOLERANCE):
            yield _difference_text(name, surrogate.fwhm * scale, width * scale, f"set {name} to what was measured")
    yield from _support_problems(surrogate)


def _support_problems(surrogate: Surrogate) -> Iterator[str]:
    """Yield a problem for each side where the slope is 0 inside its declared support, or not 0 beyond it."""
    unit = unit_of_u(surrogate)
    declared = f"support: declared [{surrogate.support[0]:.3g}, {surrogate.support[1]:.3g}]"
    for edge, sign in zip(surrogate.support, (-1, 1), strict=True):
        if math.isinf(edge):
            near = torch.arange(1, 200).double() * (sign * 0.05 * unit)
            near = near[(near > surrogate.support[0]) & (near < surrogate.support[1])]
            zeros = near[surrogate.derivative(near) == 0]
            if len(zeros):
                yield f"{declared}, but 0 at {float(zeros[0]):.3g}; set bell_support to where the slope ends"
            continue
        beyond = torch.tensor([edge + sign * unit * far for far in (1e-9, 0.5, 10.0, 1e4)], dtype=torch.float64)
        nonzero = beyond[surrogate.derivative(beyond) != 0]
        if len(nonzero):
            yield f"{declared}, but not 0 at {float(nonzero[0]):.3g}; set bell_support, or leave it out"


def _primitive_problems(surrogate: Surrogate) -> Iterator[str]:
    """Yield a problem if the derivative of the primitive, by central differences, is not the surrogate's slope."""
    if not surrogate.has_primitive:
        return
    unit = unit_of_u(surrogate)
    u, step = torch.linspace(-2, 2, 401, dtype=torch.float64) * unit, 1e-5 * unit
    is_smooth = torch.ones(len(u), dtype=torch.bool)  # whether a point is so far from kinks that differences hold
    for kink in (0.0, *surrogate.kinks):
        is_smooth &= (u - kink).abs() > 10 * step
    rise = (surrogate.primitive(u + step) - surrogate.primitive(u - step)) / (2 * step)
    errors = (rise - surrogate.derivative(u)).abs()[is_smooth]
    if len(errors) and float(errors.max()) > TOLERANCE * max(1.0, float(surrogate.derivative(u).abs().max())):
        is_bell = isinstance(surrogate, BellSurrogate)  # whose integral is needed
        form, instead = ("bell", "") if is_bell else ("shape", ", or leave shape_integral out")
        yield (
            f"{form}_integral: its slope misses {form} by up to {errors.max():.3g}; integrate {form} from 0{instead}"
        )


def _pickle_problems(surrogate: Surrogate) -> Iterator[str]:
    try:
        pickle.loads(pickle.dumps(surrogate))  # noqa: S301 - written in the same line
    except Exception as error:  # a user's class may raise anything
        yield f"pickle: {type(error).__name__}: {error}; sweeps send it to other processes, so keep no lambda in it"


def _difference_text(name: str, declared: float, measured: float, remedy: str) -> str:
    return f"{name}: declared {declared:.15g}, measured {measured:.15g}; {remedy}"
