"""Every rule of the generated engine against torch: an operation inside a step, forward and back.

Expected: torch's own operation under autograd, by the engine `reference`; in float64 to 1e-12, NaN and infinities
at the same places.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fastspiking.codegen.rules import RULES
from fastspiking.kernels import functions
from sgbench.neurons.base import Neuron, Operations
from tests.fastspiking.cases import Given, assert_same, result

ENDS = torch.tensor([-math.inf, -90.0, -3.0, -0.5, 0.0, 0.5, 3.0, 90.0, math.inf, math.nan], dtype=torch.float64)


class State(NamedTuple):
    """What an `Applied` layer carries."""

    u: Tensor


class Applied(Neuron):
    """A neuron whose potential is a function of its current and of a part of its last potential."""

    output: ClassVar[Any] = "real"

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def initial_state(self, like: Tensor) -> State:
        return State(torch.zeros_like(like))

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:
        u = self.function(current, 0.25 * state.u)
        return u, State(u)

    def centred(self, state: State) -> Tensor:
        return state.u

    @property
    def operations(self) -> Operations:
        return Operations(0, 0, 0, state_words=1)


SMOOTH: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "alpha": lambda x, u: torch.add(x, u, alpha=0.3) - torch.sub(u, x, alpha=2),
    "from the right": lambda x, u: 2.5 - x + 3.0 / (2 + u * u),
    "powers": lambda x, u: x**2 + u**3 + (1 + x * x) ** 0.5 + (2 + u * u) ** -1 + (2 + x * x) ** -2,
    "other powers": lambda x, u: (1 + x * x) ** 1.7 + (1 + x * x) ** (0.1 * u) + (3 + u * u) ** -0.5,
    "exp": lambda x, u: torch.exp(-x * x) + torch.expm1(-u * u) + torch.log(1 + x * x) + torch.log1p(u * u),
    "angles": lambda x, u: torch.sin(x) * torch.cos(u) + torch.atan(x) + torch.tan(0.3 * torch.tanh(u)),
    "hyperbolic": lambda x, u: torch.tanh(x) + torch.sigmoid(u) + torch.sinh(0.1 * x) + torch.cosh(0.1 * u),
    "erf": lambda x, u: torch.erf(x) + torch.sqrt(1 + u * u) + torch.rsqrt(1 + x * x) + torch.reciprocal(2 + u * u),
    "ends": lambda x, u: x.clamp(-0.5, 0.7) + u.clamp(min=-0.2) + x.clamp(max=0.3) + torch.clamp_min(u, 0.01),
    "between": lambda x, u: torch.minimum(x, u) - torch.maximum(x, 2 * u) + torch.lerp(x, u, 0.3),
    "kinks": lambda x, u: torch.relu(x) + functional.leaky_relu(u, 0.2) + functional.hardtanh(x, -0.4, 0.6),
    "softplus": lambda x, u: functional.softplus(x) + functional.softplus(30 * u, beta=2.0, threshold=5.0),
    "where": lambda x, u: torch.where((x > 0) & ~(u > 0.1) | (x < -1), x * u, x - u),
    "masks": lambda x, u: x.masked_fill(x > 0.5, 0.0) + (u > 0) * x + (x >= 0).to(x.dtype) * (u <= 0).to(x.dtype),
    "truths": lambda x, u: torch.logical_xor(x > 0, u > 0) * x + torch.logical_or(x > 1, u < 0) * 2.0,
    "signs": lambda x, u: torch.sign(x) * u + torch.heaviside(x.detach(), torch.full_like(x, 0.5)) + (x != 0) * u,
    "rounded": lambda x, u: torch.floor(3 * x) + torch.ceil(u) + torch.round(5 * x) + torch.trunc(2 * u) + x,
    "products": lambda x, u: torch.addcmul(x, x, u, value=0.5) + torch.addcdiv(u, x, 2 + u * u, value=-1.5),
    "in place": lambda x, u: (x * 1).add_(u).mul_(2).clamp_(-3, 3) + (u + 0).masked_fill_(x > 0, 1.0),
    "made here": lambda x, u: x + torch.zeros_like(u) + u.new_ones(u.shape) + torch.ones(u.shape, dtype=u.dtype),
    "seen again": lambda x, u: x.view(x.shape) + u.unsqueeze(-1).squeeze(-1) + x.clone() + u.detach(),
    "parts": lambda x, u: torch.cat([x, u], -1).chunk(2, -1)[1] + x,
}


@pytest.mark.parametrize("name", SMOOTH)
def test_operations_of_a_step(name):
    """Expected: torch's values and gradients."""
    random = torch.Generator().manual_seed(len(name))
    x = 1.3 * torch.randn(4, 3, 5, generator=random, dtype=torch.float64)
    layer = Given(Applied(SMOOTH[name]))
    expected = result("reference", [layer], x)
    assert_same(result("generated", [layer], x), expected, name)


ONE = {name: rule for name, rule in RULES.items() if hasattr(torch, name) and name in (
    "neg", "abs", "exp", "log", "sqrt", "tanh", "sigmoid", "relu", "floor", "reciprocal", "sin", "atan", "isnan",
)}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [*ONE, "clamp", "minimum", "maximum", "where"])
def test_what_is_not_finite(name):
    """Expected: NaN and infinities where torch has them."""
    functions_of = {
        "clamp": lambda x, u: x.clamp(-1, 1) + 0 * u,
        "minimum": lambda x, u: torch.minimum(x, u + 0.1),
        "maximum": lambda x, u: torch.maximum(u + 0.1, x),
        "where": lambda x, u: torch.where(x > 0, x, u),
        "isnan": lambda x, u: torch.where(torch.isnan(x), 1.0, x),
    }
    function = functions_of.get(name, lambda x, u: getattr(torch, name)(x))
    layer = Given(Applied(function))
    x = ENDS.view(1, 2, 5)
    found, expected = (result(engine, [layer], x).output[0] for engine in ("generated", "reference"))
    assert torch.allclose(found, expected, rtol=1e-12, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(functions.exp, np.exp), (functions.tanh, np.tanh), (functions.sigmoid, None)]
)
def test_functions_of_float32(ours, theirs):
    """Expected: NumPy in float64, to four units of the last place; 0, infinity and NaN where they belong."""
    x = np.concatenate([np.linspace(-87, 88, 3001), np.linspace(-1, 1, 2001), 10.0 ** np.arange(-30, 0)])
    x = x.astype(np.float32)
    theirs = theirs or (lambda x: 1 / (1 + np.exp(-x)))
    found, expected = np.array([ours(each) for each in x], np.float64), theirs(x.astype(np.float64))
    assert (np.abs(found - expected) <= 4 * 6e-8 * np.abs(expected)).all()
    assert math.isnan(ours(np.float32(math.nan)))
    with np.errstate(all="ignore"):
        for end in (-np.inf, -200, 200, np.inf):
            assert ours(np.float32(end)) == pytest.approx(theirs(np.float32(end)), abs=1e-37)
