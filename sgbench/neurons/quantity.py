"""Parameters of neurons: fixed or learnt, one per layer or one per neuron, always within their range."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sgbench.errors import InputError, require_choice, require_number
from sgbench.neurons.arguments import require_argument

LEARN = ("none", "shared", "per_neuron")
PAIR = 2
Value = float | Sequence[float]
LOGIT_BOUND = 16.0  # sigmoid(16) = 1 - 1.1e-7, which float32 distinguishes from 1
NEAREST_TO_BOUND = 1.2e-7  # least distance of a learnt decay from 0 and 1, a little above sigmoid(-16)


class Quantity(nn.Module):
    """Holds a parameter of a layer's neurons, fixed or learnt; the base class of the kinds below.

    One value is that of all neurons. A pair [first, last] is interpolated linearly from the layer's first neuron to
    its last. A longer list divides the neurons, in their order, into as many equal groups, and gives each group one
    value: [0, 0, 1, 1] is 0 in the first half and 1 in the second.

    `name`: name of the parameter, for messages. `value`: initial value, pair or list. `learn`: "none", "shared" (one
    for the layer) or "per_neuron". `features`: number of neurons, needed for a value per neuron. `low`, `high`,
    `open_low`: allowed range, as in `require_number`.

    Raises:
        InputError: a value out of range; several values with learn="shared", or a list whose length does not divide
            the number of neurons; no `features` where they are needed.

    >>> Quantity("a", [0, 0, 1, 1], learn="none", features=8).initial_value().tolist()
    [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    """

    spread: Tensor | None

    def __init__(
        self,
        name: str,
        value: Value,
        *,
        learn: str,
        features: int | None,
        low: float = -math.inf,
        high: float = math.inf,
        open_low: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.learn = name, require_choice(f"neuron.learn_{name}", learn, LEARN)
        pair = isinstance(value, Sequence) and not isinstance(value, str) and len(value) >= PAIR
        ends = [
            require_number(f"neuron.{name}", end, low=low, high=high, open_low=open_low)
            for end in (value if pair else (value,))  # type: ignore[union-attr]
        ]
        if pair and learn == "shared":
            raise InputError(f"neuron.{name}={value!r}: a range over neurons needs learn_{name}=per_neuron or none")
        if features is None and (pair or learn == "per_neuron"):
            asked = f"neuron.{name}={value!r}" if pair else f"neuron.learn_{name}=per_neuron"
            raise InputError(f"{asked}: the number of neurons (features) is needed")
        self.fixed = ends[0]
        if len(ends) > PAIR and (features or 0) % len(ends):
            raise InputError(
                f"neuron.{name}={value!r}: {len(ends)} values are no equal shares of {features} neurons; give as "
                f"many as divide them"
            )
        spread = _spread(ends, features or 1) if pair else None
        self.register_buffer("spread", spread, persistent=False)

    def initial_value(self) -> Tensor | float:
        """Return the initial value: one number, or one per neuron [N]."""
        return self.fixed if self.spread is None else self.spread

    given = initial_value  # its old name, for one release

    def initial_parameter(self, features: int | None) -> Tensor | None:
        """Return the initial values of the learnt parameter, a scalar or [N] in float64; None if it is fixed."""
        if self.learn == "none":
            return None
        if self.spread is not None:
            return self.spread.clone()
        shape = () if self.learn == "shared" else (features or 1,)
        return torch.full(shape, self.fixed, dtype=torch.float64)


def _spread(values: list[float], features: int) -> Tensor:
    """Return one value per neuron [N]: two values interpolated, more values each repeated for an equal group."""
    if len(values) == PAIR:
        return torch.linspace(values[0], values[-1], features, dtype=torch.float64)
    return torch.tensor(values, dtype=torch.float64).repeat_interleave(features // len(values))


class Decay(Quantity):
    r"""Holds a decay per step in [0, 1], fixed or learnable.

    A learnt decay is stored as its logit w, :math:`\beta = \sigma(w)`, so that no gradient step can leave (0, 1).
    Beyond :math:`|w| = 16` float32 would round the decay to 1 and its gradient to 0. There the decay and its slope
    stay those at the bound, so that gradients can still bring w back.

    `value`: initial decay per step, or a pair; see `Quantity`.

    Raises:
        InputError: a value outside [0, 1], or nearer than 1.2e-7 to 0 or 1 where it is to be learnt.

    >>> Decay("beta", 0.9, learn="none", features=None)()
    0.9
    >>> Decay("beta", [0.5, 0.9], learn="none", features=3)()
    tensor([0.5000, 0.7000, 0.9000], dtype=torch.float64)
    """

    def __init__(self, name: str, value: Value, *, learn: str = "none", features: int | None = None) -> None:
        super().__init__(name, value, learn=learn, features=features, low=0, high=1)
        self.logit: nn.Parameter | None = None
        start = self.initial_parameter(features)
        if start is None:
            return
        if not ((start >= NEAREST_TO_BOUND) & (start <= 1 - NEAREST_TO_BOUND)).all():
            raise InputError(
                f"neuron.{name}={value}: a decay to be learnt starts strictly between 0 and 1, "
                f"at least {NEAREST_TO_BOUND} away from either"
            )
        self.logit = nn.Parameter(torch.logit(start))

    def forward(self) -> Tensor | float:
        """Return the decay per step: a number, or a tensor, which carries gradient if it is learnt."""
        if self.logit is None:
            return self.initial_value()
        return bounded_sigmoid(self.logit)


class EulerRate(Quantity):
    r"""Holds the rate dt/tau of a forward Euler step in (0, 1), given as a time constant, fixed or learnable.

    A learnt rate is stored as its logit w, :math:`dt/\tau = \sigma(w)`, as in `Decay`, so that tau stays above dt.

    `name`: name of the time constant, for messages. `tau_s`: initial time constant [s], or a pair; see `Quantity`.
    `dt_s`: time step [s].

    Raises:
        InputError: a time constant that is not above the time step.

    >>> EulerRate("tau_mem_s", 0.02, dt_s=0.001)()
    0.05
    """

    def __init__(
        self, name: str, tau_s: Value, *, dt_s: float, learn: str = "none", features: int | None = None
    ) -> None:
        step_s = require_argument("dt_s", dt_s)
        super().__init__(name, tau_s, learn=learn, features=features, low=step_s, open_low=True)
        self.dt_s = step_s
        start = self.initial_parameter(features)
        self.logit = None if start is None else nn.Parameter(torch.logit(self.dt_s / start))

    def forward(self) -> Tensor | float:
        """Return the rate dt/tau of a step: a number, or a tensor, which carries gradient if it is learnt."""
        return self.dt_s / self.initial_value() if self.logit is None else bounded_sigmoid(self.logit)


def bounded_sigmoid(logit: Tensor) -> Tensor:
    """Compute the sigmoid of a logit; beyond +-16 its value and its slope stay those at the bound."""
    bounded = logit.clamp(-LOGIT_BOUND, LOGIT_BOUND).detach()
    return torch.sigmoid(bounded + (logit - logit.detach()))


class Number(Quantity):
    """Holds a parameter of neurons without bounds, fixed or learnt.

    `value`: initial value, or a pair; see `Quantity`.

    >>> Number("a", 0.5, learn="none", features=None)()
    0.5
    """

    def __init__(self, name: str, value: Value, *, learn: str = "none", features: int | None = None) -> None:
        super().__init__(name, value, learn=learn, features=features)
        start = self.initial_parameter(features)
        self.value = None if start is None else nn.Parameter(start)

    def forward(self) -> Tensor | float:
        """Return the value: a number, or a tensor, which carries gradient if it is learnt."""
        return self.initial_value() if self.value is None else self.value


class Positive(Quantity):
    r"""Holds a parameter above 0, fixed or learnable: a threshold, a time constant, a frequency.

    A learnt value is stored as its logarithm w, :math:`\theta = e^w`: no gradient step can make it negative.

    `value`: initial value, or a pair; see `Quantity`.

    Raises:
        InputError: a value that is not above 0.

    >>> round(Positive("tau_mem_s", 0.02, learn="shared", features=None)().item(), 6)
    0.02
    """

    def __init__(self, name: str, value: Value, *, learn: str = "none", features: int | None = None) -> None:
        super().__init__(name, value, learn=learn, features=features, low=0, open_low=True)
        start = self.initial_parameter(features)
        self.logarithm = None if start is None else nn.Parameter(start.log())

    def forward(self) -> Tensor | float:
        """Return the value: a number, or a tensor, which carries gradient if it is learnt."""
        return self.initial_value() if self.logarithm is None else self.logarithm.exp()


class Threshold(Positive):
    """Holds a firing threshold above 0; see `Positive`.

    `value`: initial threshold [units of the potential].

    >>> Threshold(1.0, learn="shared", features=None)().item()
    1.0
    """

    def __init__(self, value: Value, *, learn: str, features: int | None) -> None:
        super().__init__("threshold", value, learn=learn, features=features)
