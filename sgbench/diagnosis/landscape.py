"""Scan the loss and its surrogate gradient along lines, loops and planes in the space of weights.

Legend: P weights of all layers.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch
from sgbench.diagnosis.agreement import LossAt, as_vector, bptt_gradients, layer_weights, put
from sgbench.errors import InputError, require_count, require_number
from sgbench.networks.base import Network
from sgbench.records.diagnosis import LinePoint, Loop
from sgbench.rules.base import Objective

FEWEST_POINTS, MOST_POINTS = 3, 1001
MOST_ON_A_SIDE = 101


class WeightLoss(NamedTuple):
    """Computes a loss as a function of all weights, and its surrogate gradient."""

    value: Callable[[Tensor], float]  # from weights [P] to the loss
    gradient: Callable[[Tensor], Tensor]  # from weights [P] to the surrogate gradient [P]
    weights: Callable[[], Tensor]  # returns the initial weights [P]
    weights_of: Callable[[Network], Tensor]  # from a network to its weights as one vector [P]


def whole_loss(network: Network, batches: Sequence[Batch], objective: Objective) -> WeightLoss:
    """Return the loss of the batches, and its gradient, as functions of all layers' weights in one vector."""
    loss_at = LossAt(network, batches, objective)

    def weights_of(of: Network) -> Tensor:
        return as_vector(layer_weights(of))

    def value(weights: Tensor) -> float:
        put(layer_weights(loss_at.network), weights)
        return loss_at()

    def gradient(weights: Tensor) -> Tensor:
        put(layer_weights(loss_at.network), weights)
        gradients = bptt_gradients(loss_at.network, batches, objective)
        return torch.cat(list(gradients.values())).cpu()

    start = weights_of(network)
    return WeightLoss(value, gradient, lambda: start, weights_of)


def line_between(
    loss: WeightLoss, start: Tensor, end: Tensor, *, points: int, first: float = 0.0, last: float = 1.0
) -> tuple[LinePoint, ...]:
    r"""Scan a loss along the line through two sets of weights.

    .. math:: w(\alpha) = w_0 + \alpha (w_1 - w_0), \qquad
              \frac{dL}{d\alpha} = g(w(\alpha)) \cdot (w_1 - w_0)

    Each point has the loss L, its slope by the surrogate gradient g, and its slope by the difference of L between
    the point's neighbours. Values that are not finite are None.

    `loss`: the loss as a function of all weights. `start`: w_0 [P]. `end`: w_1 [P]. `points`: count of evenly spaced
    points. `first`: alpha of the first point. `last`: alpha of the last point.

    Source: Neftci, Mostafa & Zenke 2019, IEEE Signal Processing Magazine 36(6), figure 4.
    """
    if require_count("--points", points, low=FEWEST_POINTS) > MOST_POINTS:
        raise InputError(f"--points {points}: at most {MOST_POINTS} are allowed")
    first, last = require_number("--from", first, low=-1e3), require_number("--to", last, high=1e3)
    if not first < last:
        raise InputError(f"--from {first:g} --to {last:g}: the line has to go up, e.g. --from -0.25 --to 1.25")
    direction = end - start
    if not bool(direction.any()):
        raise InputError("line: both ends have the same weights, so there is no line between them")
    alphas = torch.linspace(first, last, points, dtype=torch.float64).tolist()
    losses = [loss.value(start + alpha * direction) for alpha in alphas]
    slopes = [(loss.gradient(start + alpha * direction) @ direction).item() for alpha in alphas]
    return tuple(
        LinePoint(
            alpha=alpha,
            loss=_finite(losses[index]),
            surrogate_slope=_finite(slopes[index]),
            macroscopic_slope=_finite(_difference_quotient(alphas, losses, index)),
        )
        for index, alpha in enumerate(alphas)
    )


def _difference_quotient(alphas: Sequence[float], losses: Sequence[float], index: int) -> float:
    """Compute the slope of the loss between both neighbours of a point, or to its one neighbour at an end."""
    before, after = max(0, index - 1), min(len(alphas) - 1, index + 1)
    return (losses[after] - losses[before]) / (alphas[after] - alphas[before])


def _finite(value: float) -> float | None:
    """Replace NaN and infinite numbers by None."""
    return value if math.isfinite(value) else None


def integral(line: Sequence[LinePoint]) -> float:
    """Integrate the surrogate slope along a line by the trapezoidal rule; a missing slope counts as 0."""
    return sum(
        0.5 * ((left.surrogate_slope or 0.0) + (right.surrogate_slope or 0.0)) * (right.alpha - left.alpha)
        for left, right in pairwise(line)
    )


class LoopSamples(NamedTuple):
    """Holds what each point of a closed loop adds to the integral of a gradient g along the loop."""

    shares: tuple[float, ...]  # g . dr at evenly spaced points

    @property
    def loop(self) -> Loop:
        """Sum g . dr around the loop (`integral`), and its absolute values (`path`)."""
        return Loop(integral=sum(self.shares), path=sum(map(abs, self.shares)))


def closed_loop(
    gradient: Callable[[Tensor], Tensor], centre: Tensor, first: Tensor, second: Tensor, *, points: int
) -> LoopSamples:
    r"""Compute the parts of a vector field's integral around an ellipse; they sum to 0 if the field is a gradient.

    .. math:: \oint g(r) \cdot dr, \qquad r(\phi) = c + a \cos\phi + b \sin\phi

    The trapezoidal rule is used, which converges exponentially for smooth fields.

    `gradient`: the field g, from weights [P] to a vector [P]. `centre`: c [P]. `first`: a [P]. `second`: b [P].
    `points`: count of points on the loop.

    Source: Gygax & Zenke 2025, Neural Computation 37(5):886-925.

    >>> bowl = closed_loop(lambda w: 2 * w, torch.zeros(2), torch.eye(2)[0], torch.eye(2)[1], points=8)
    >>> round(bowl.loop.integral, 6), round(bowl.loop.path, 6)
    (0.0, 0.0)
    """
    shares = []
    for number in range(points):
        angle = 2 * math.pi * number / points
        weights = centre + math.cos(angle) * first + math.sin(angle) * second
        step = (math.cos(angle) * second - math.sin(angle) * first) * (2 * math.pi / points)
        shares.append((gradient(weights) @ step).item())
    return LoopSamples(tuple(shares))


def closed_loops(
    loss: WeightLoss, generator: torch.Generator, *, radius: float, points: int, planes: int
) -> list[LoopSamples]:
    """Integrate the surrogate gradient around circles in random planes of all weights.

    `loss`: its gradient is integrated; its initial weights [P] are the centre of all circles. `generator`: draws the
    planes. `radius`: of the circles, as a fraction of the norm of all weights; absolute if that norm is 0. `points`:
    count of points on each circle, at least 3. `planes`: count of random planes, with one circle in each.
    """
    require_number("--radius", radius, low=0, open_low=True)
    require_count("--points", points, low=FEWEST_POINTS)
    centre = loss.weights()
    absolute_radius = radius * (centre.norm().item() or 1.0)
    loops = []
    for _ in range(require_count("--planes", planes)):
        first, second = absolute_radius * two_directions(len(centre), generator)
        loops.append(closed_loop(loss.gradient, centre, first, second, points=points))
    return loops


def two_directions(size: int, generator: torch.Generator, first: Tensor | None = None) -> Tensor:
    """Draw two orthogonal directions of length 1 in a space of P = `size` dimensions [2, P].

    The first one points along `first` [P]; None draws it too.
    """
    drawn = torch.randn(size, 2, generator=generator, dtype=torch.float64)
    if first is not None:
        drawn[:, 0] = first
    directions, upper = torch.linalg.qr(drawn)
    return (directions * upper.diagonal().sign()).T  # the sign, so that the first points along `first`


class Plane(NamedTuple):
    """Holds the loss over a plane of weights w(a, b) = w_0 + a d_1 + b d_2."""

    first: tuple[float, ...]  # a of each column
    second: tuple[float, ...]  # b of each row
    losses: tuple[tuple[float | None, ...], ...]  # one tuple for each row; None: not finite


def plane(
    loss: WeightLoss,
    centre: Tensor,
    first: Tensor,
    second: Tensor,
    *,
    points: int,
    ends: tuple[float, float] = (-1.0, 1.0),
) -> Plane:
    """Scan a loss over a plane of weights w(a, b) = w_0 + a d_1 + b d_2, on a square grid.

    `loss`: the loss as a function of all weights. `centre`: w_0 [P]. `first`: d_1 [P]. `second`: d_2 [P]. `points`:
    count of points along each side, 3 to 101. `ends`: least and largest value of a and b.

    Source: Li et al. 2018, NeurIPS 31, section 3, for pictures of losses over planes; theirs scale by filters.

    >>> zero = torch.zeros(2)
    >>> bowl = WeightLoss(lambda w: float(w @ w), lambda w: 2 * w, lambda: zero, lambda of: zero)
    >>> plane(bowl, zero, torch.eye(2)[0], torch.eye(2)[1], points=3).losses[0]
    (2.0, 1.0, 2.0)
    """
    if require_count("--points", points, low=FEWEST_POINTS) > MOST_ON_A_SIDE:
        raise InputError(f"--points {points}: at most {MOST_ON_A_SIDE} a side are scanned")
    side = torch.linspace(*ends, points, dtype=torch.float64).tolist()
    losses = tuple(tuple(_finite(loss.value(centre + a * first + b * second)) for a in side) for b in side)
    return Plane(tuple(side), tuple(side), losses)
