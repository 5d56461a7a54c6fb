"""A surrogate as the numbers of its picture."""

from __future__ import annotations

import torch

from sgbench.inspection import surrogate_curves as curves
from sgbench.inspection.surrogate_facts import headline
from sgbench.plots.surrogate import CurveBand, HalfWidth, ReferenceCurves, SurrogatePicture
from sgbench.surrogates.base import Surrogate

POINTS = 1201
RANDOM_POINTS = 41  # of random spikes: fewer points, joined, show their mean without its jitter
SAME_WIDTH = 0.02  # of the width, up to which half the peak is where the width says
FORWARD = {
    "binary": "spike (forward)",
    "signed": "signed spike (forward)",
    "integer": "spike count (forward)",
    "real": "output (forward)",
}


def surrogate_picture(name: str, surrogate: Surrogate, points: int = POINTS) -> SurrogatePicture:
    """Collect what the picture of a surrogate shows.

    Args:
        name: of the entry.
        surrogate: at whose parameters the curves are.
        points: of each curve.
    """
    low, high = curves.window(surrogate)
    u = curves.grid(low, high, surrogate.kinks, points)
    reference = curves.reference(surrogate)
    if reference is not None and curves.same_curve(surrogate, reference.surrogate):
        reference = None
    slope = curves.slope_of(surrogate, u, curves.DRAWS)
    beside = None if reference is None else curves.slope_of(reference.surrogate, u).mean
    half_width = _half_width(surrogate)
    forward = curves.forward_of(surrogate, u)
    is_random, at = forward.low is not None, u
    if is_random:
        at = torch.linspace(float(u[0]), float(u[-1]), RANDOM_POINTS, dtype=u.dtype)
        forward = curves.forward_of(surrogate, at)
    primitive = curves.primitive_of(surrogate, u)
    return SurrogatePicture(
        name=name,
        headline=headline(surrogate),
        slope=_curve(u, slope),
        slope_label=name if slope.low is None else f"{name}: mean of {curves.DRAWS} draws",
        peak=surrogate.peak,
        half_width=half_width,
        forward=_curve(at, forward),
        forward_label="mean spike (forward, random)" if is_random else FORWARD[surrogate.output],
        is_staircase=surrogate.output == "integer",
        primitive=None if primitive is None else primitive.numpy(),
        reference=None if reference is None or beside is None else _reference(reference, u, beside),
    )


def _curve(u: torch.Tensor, samples: curves.SampledCurve) -> CurveBand:
    low = None if samples.low is None else samples.low.numpy()
    high = None if samples.high is None else samples.high.numpy()
    return CurveBand(u.numpy(), samples.mean.numpy(), low, high)


def _half_width(surrogate: Surrogate) -> HalfWidth | None:
    """Return the interval of slopes above half the peak, if it has the width that the surrogate declares."""
    width = surrogate.fwhm
    ends = None if width is None else curves.extent(surrogate, 0.5)
    if width is None or ends is None or abs(ends[1] - ends[0] - width) > SAME_WIDTH * width:
        return None
    return HalfWidth(*ends, height=curves.top(surrogate) / 2)


def _reference(reference: curves.ReferenceCurve, u: torch.Tensor, slope: torch.Tensor) -> ReferenceCurves:
    primitive = curves.primitive_of(reference.surrogate, u)
    return ReferenceCurves(reference.label, slope.numpy(), None if primitive is None else primitive.numpy())
