"""The Mackey-Glass task: predict a chaotic series."""

from pathlib import Path

import numpy as np
import torch

from sgbench.datasets.base import SPLITS, Samples, Split
from sgbench.datasets.generated import Generated
from sgbench.errors import require_count

GROWTH, DECAY = 0.2, 0.1
PER_UNIT = 10  # Runge-Kutta steps in a unit of time
START = 1.2  # value of x up to time 0
TRANSIENT = 300  # units of time dropped at the start


class MackeyGlass(Generated, entry="mackey_glass"):
    r"""Generates windows of the Mackey-Glass series; the target of each step is the value `horizon` steps later.

    .. math:: \dot x = \frac{0.2\, x(t - \tau)}{1 + x(t - \tau)^{10}} - 0.1\, x(t)

    with x = 1.2 up to time 0; one step is one unit of time. The first 300 units are dropped. Values are scaled
    linearly so that the series of all splits spans [0, 1]. The windows of train, validation and test follow each
    other in time, with a gap of `horizon` between splits. Predicting the present value is the baseline to beat.

    Args:
        tau: delay of the equation, in units of time; the series is chaotic from 17 on.
        horizon: steps from a value to the one to be predicted from it.
        window: steps of a sample.
        seed: further units of time that are dropped at the start.

    Source: Mackey & Glass 1977, Science 197; Yik et al. 2025, Nature Communications 16 (NeuroBench).

    >>> task = MackeyGlass(tau=17, horizon=5, window=20, samples=[2, 1, 1], seed=0)
    >>> train = task.load(Path())["train"]
    >>> bool((train.values[:, 5:] == train.target[:, :-5]).all())
    True
    """

    n_inputs: int = 1

    def __init__(self, *, tau: int, horizon: int, window: int, samples: list[int], seed: int) -> None:
        self.tau = require_count("dataset.tau", tau)
        self.horizon = require_count("dataset.horizon", horizon)
        self.window = require_count("dataset.window", window)
        super().__init__(samples=samples, seed=seed)

    def outputs(self) -> int:
        return 1

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Integrate the series and cut it into the windows [samples, window, 1] of all splits, in order of time."""
        spans: dict[Split, int] = {name: self.sizes[name] * self.window + self.horizon for name in SPLITS}
        first = TRANSIENT + self.seed
        values = np.array(series(self.tau, first + sum(spans.values()))[first:])
        values = (values - values.min()) / (values.max() - values.min())
        splits: dict[Split, Samples] = {}
        for name, span in spans.items():
            of_split, values = values[:span], values[span:]
            inputs, target = (
                torch.from_numpy(part.reshape(-1, self.window, 1).copy())
                for part in (of_split[: -self.horizon], of_split[self.horizon :])
            )
            splits[name] = Samples(inputs, target, None)
        return splits


def series(tau: int, units: int, per_unit: int = PER_UNIT) -> list[float]:
    """Integrate the Mackey-Glass equation, and return x at the times 0 to units - 1.

    Runge-Kutta of order four with `per_unit` steps in a unit of time; delayed values halfway between steps by
    Hermite's cubic. The code uses only sums, products and quotients, so that every machine computes the same bits.

    `tau`: delay, in units of time. `units`: number of values returned. `per_unit`: steps in a unit of time.
    """
    lag, h = tau * per_unit, 1 / per_unit
    x, halfway = [START] * (lag + 1), [START] * lag
    k1 = _slope(START, START)
    for step in range((units - 1) * per_unit):
        now, between, after = x[-1], halfway[step], x[step + 1]
        k2 = _slope(now + h / 2 * k1, between)
        k3 = _slope(now + h / 2 * k2, between)
        k4 = _slope(now + h * k3, after)
        then = now + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        next_k1 = _slope(then, after)
        x.append(then)
        halfway.append((now + then) / 2 + h / 8 * (k1 - next_k1))
        k1 = next_k1
    return x[lag::per_unit]


def _slope(now: float, delayed: float) -> float:
    """Return dx/dt of the Mackey-Glass equation, with the tenth power as products: `pow` is not exact everywhere."""
    square = delayed * delayed
    fourth = square * square
    return GROWTH * delayed / (1 + fourth * fourth * square) - DECAY * now
