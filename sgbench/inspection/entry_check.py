"""Contracts of an entry in a folder of one's own, each failure with what to do about it."""

from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import quad
from torch import Tensor

from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.records.spec import RunSpec
from sgbench.surrogates.base import Surrogate
from sgbench.surrogates.bell import BellSurrogate
from sgbench.training.build import Parts, build, construct

CHECKED = ("surrogate", "neuron", "loss", "rule", "regulariser", "init", "optimizer", "normalisation", "dropout",
           "steepness", "firing", "network")  # fmt: skip
"""Groups whose entries are checked; data sets have `sgbench data check`."""
TOLERANCE = 1e-3
REACH = 60.0
"""Half-widths at half maximum within which slopes are compared with declared numbers."""


def check_entry(path: Path, allow_targets: Sequence[str] = ()) -> list[str]:
    """Check an entry against the contracts of its group and list each failure.

    Args:
        path: of the YAML file, in a folder laid out like `conf/`, e.g. my_conf/surrogate/mine.yaml.
        allow_targets: exact names of classes outside the catalogue that may be imported.

    Returns:
        A line for each failure, with the remedy; none where all is well.

    Raises:
        InputError: the file is not where an entry lies, or cannot be composed or built.
    """
    group, folder = path.parent.name, path.resolve().parent.parent
    if not path.is_file() or path.suffix != ".yaml":
        raise InputError(f"{path}: no such YAML file; name one, e.g. my_conf/surrogate/mine.yaml")
    if group not in CHECKED:
        raise InputError(
            f"{path}: lies in a folder '{group}'; entries of {', '.join(CHECKED)} can be checked"
        )
    entry = catalogue.entry(group, path.stem, [folder])
    missing = [key for key in ("line", "sources") if not entry.meta.get(key)]
    problems = [f"meta.{key}: is missing; add it to {path}, see docs/worked_entries.md" for key in missing]
    spec = compose([f"{group}={path.stem}"], config_dirs=[folder], allow_targets=allow_targets)
    problems += _in_a_network(spec)
    if group == "surrogate":
        surrogate = construct(group, spec.targets[group], spec.method.parameters[group]).double()
        problems += surrogate_problems(surrogate)
    return problems


def _in_a_network(spec: RunSpec) -> Iterator[str]:
    """Check that one batch's gradients in the reference network are finite, and the same each time."""
    gradients = [_gradients(build(spec)) for _ in range(2)]
    for name, gradient in gradients[0].items():
        if not torch.isfinite(gradient).all():
            yield f"network: the gradient of {name} is not finite on a first batch; look far from threshold"
        elif not torch.equal(gradient, gradients[1][name]):
            yield f"network: the gradient of {name} differs from build to build; draw from the generator passed"


def _gradients(parts: Parts) -> dict[str, Tensor]:
    parts.data.setup()
    for _ in parts.rule.gradients(parts.network, next(iter(parts.data.epoch(0))), parts.objective):
        pass
    named = parts.network.named_parameters()
    return {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}


def surrogate_problems(surrogate: Surrogate) -> list[str]:
    """List the contradictions between a surrogate's slope and what it declares.

    Args:
        surrogate: in double precision.

    >>> from sgbench.surrogates.triangle import Triangle
    >>> surrogate_problems(Triangle(slope=1.0, width_fwhm=None, normalisation="peak1", scale=1.0))
    []
    """
    return [
        *_values(surrogate),
        *(
            ()
            if surrogate.stochastic or not surrogate.elementwise
            else (*_declared(surrogate), *_primitive(surrogate))
        ),
        *_pickled(surrogate),
    ]


def _slope(surrogate: Surrogate) -> Callable[[float], float]:
    return lambda u: float(surrogate.derivative(torch.tensor([u], dtype=torch.float64)))


def _values(surrogate: Surrogate) -> Iterator[str]:
    """Check that forward is a step and backward the slope, finite everywhere, in the given dtype."""
    u = torch.linspace(-3, 3, 1201, dtype=torch.float64).requires_grad_()
    spikes = surrogate(u)
    if surrogate.output == "binary" and not torch.equal(spikes.detach(), (u > 0).double()):
        yield "forward: is no step at u > 0; leave forward to the base class, and give the slope alone"
    if not surrogate.stochastic:
        spikes.sum().backward()
        if u.grad is None or not torch.allclose(
            u.grad, surrogate.derivative(u.detach()), rtol=1e-6, atol=1e-9
        ):
            yield "backward: is not the slope; leave it to the base class"
    far = surrogate.derivative(torch.tensor([-1e30, -1e4, 1e4, 1e30], dtype=torch.float32))
    if not torch.isfinite(far).all():
        yield "bell: is not finite far from threshold in single precision; write it so that no number overflows"
    if far.dtype != torch.float32:
        yield f"bell: makes {far.dtype} of torch.float32; use no numbers of another type"


def _declared(surrogate: Surrogate) -> Iterator[str]:
    """List where the peak, area, width or support that a surrogate declares differs from what its slope gives."""
    half_width = (surrogate.fwhm or 1.0) / 2
    grid = np.linspace(-REACH, REACH, 240_001) * half_width
    slope = surrogate.derivative(torch.from_numpy(grid)).numpy()
    factor = _form_factor(surrogate)
    if (
        surrogate.peak is not None
        and surrogate.fwhm is not None
        and not math.isclose(slope.max(), surrogate.peak, rel_tol=TOLERANCE)
    ):
        yield _told("peak", surrogate.peak, float(slope.max()), "make bell(0) = 1, or shape_peak this")
    if surrogate.area is not None and math.isfinite(surrogate.area):
        measured = _area(surrogate, half_width)
        if not math.isclose(measured, surrogate.area, rel_tol=TOLERANCE):
            name, scale = (
                ("bell_area", factor) if isinstance(surrogate, BellSurrogate) else ("shape_area", 1.0)
            )
            yield _told(name, surrogate.area * scale, measured * scale, f"set {name} to what was measured")
    if surrogate.fwhm is not None and slope.max() > 0:
        measured = _width(grid, slope)
        if not math.isclose(measured, surrogate.fwhm, rel_tol=2 * TOLERANCE):
            name, scale = (
                ("bell_fwhm", surrogate.steepness)
                if isinstance(surrogate, BellSurrogate)
                else ("shape_fwhm", 1.0)
            )
            yield _told(name, surrogate.fwhm * scale, measured * scale, f"set {name} to what was measured")
    low, high = surrogate.support
    outside = grid[((grid < low - 1e-9) | (grid > high + 1e-9)) & (np.abs(slope) > 0)]
    if len(outside):
        yield f"support: declared [{low:.3g}, {high:.3g}], but not 0 at {outside[0]:.3g}; set bell_support"


def _area(surrogate: Surrogate, half_width: float) -> float:
    """Integrate the slope, in pieces that grow away from threshold and end at kinks."""
    reach = [0.0, *(half_width * 4.0**power for power in range(-1, 14))]
    low, high = surrogate.support
    edges = sorted({*reach, *(-place for place in reach), *map(float, surrogate.kinks)})
    inside = [edge for edge in edges if low <= edge <= high]
    return sum(quad(_slope(surrogate), *pair, limit=200)[0] for pair in itertools.pairwise(inside))


def _width(grid: NDArray[np.float64], slope: NDArray[np.float64]) -> float:
    """Compute the full width at half maximum of the peak nearest to the threshold."""
    peaks = np.flatnonzero(slope >= slope.max() * (1 - TOLERANCE))
    top = peaks[np.argmin(np.abs(grid[peaks]))]
    below = np.flatnonzero(slope < slope.max() / 2)
    left, right = below[below < top], below[below > top]
    first = grid[left[-1]] if len(left) else grid[0]
    last = grid[right[0]] if len(right) else grid[-1]
    return float(last - first)


def _form_factor(surrogate: Surrogate) -> float:
    """Return the factor that turns an area of the slope into that of the bell or shape."""
    return surrogate.steepness / surrogate.height if isinstance(surrogate, BellSurrogate) else 1.0


def _primitive(surrogate: Surrogate) -> Iterator[str]:
    """Compare the slope of the primitive with the surrogate's, away from kinks."""
    if not surrogate.has_primitive:
        return
    u = torch.linspace(-2, 2, 401, dtype=torch.float64) * (surrogate.fwhm or 1.0)
    away = torch.ones(len(u), dtype=torch.bool)
    step = 1e-5 * (surrogate.fwhm or 1.0)
    for kink in (0.0, *surrogate.kinks):
        away &= (u - kink).abs() > 10 * step
    rise = (surrogate.primitive(u + step) - surrogate.primitive(u - step)) / (2 * step)
    apart = (rise - surrogate.derivative(u)).abs()[away]
    if len(apart) and float(apart.max()) > TOLERANCE * max(1.0, float(surrogate.derivative(u).abs().max())):
        yield (
            f"bell_integral: its slope misses bell by up to {float(apart.max()):.3g}; integrate bell from 0, or "
            f"leave bell_integral out"
        )


def _pickled(surrogate: Surrogate) -> Iterator[str]:
    try:
        pickle.loads(pickle.dumps(surrogate))  # noqa: S301 - written in the same line
    except Exception as error:  # of somebody's own class
        yield f"pickle: {type(error).__name__}: {error}; sweeps send it to other processes, so keep no lambda in it"


def _told(name: str, declared: float, measured: float, remedy: str) -> str:
    return f"{name}: declared {declared:.4g}, measured {measured:.4g}; {remedy}"
