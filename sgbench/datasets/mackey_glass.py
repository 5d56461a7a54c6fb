"""Mackey-Glass: predict a chaotic series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sgbench.datasets.base import SPLITS, Samples, Split
from sgbench.datasets.generated import Generated
from sgbench.errors import require_count

GROWTH, DECAY = 0.2, 0.1
PER_UNIT = 10  # Runge-Kutta steps in a unit of time
START = 1.2
SETTLING = 300  # units of time that are dropped at the start


class MackeyGlass(Generated, entry="mackey_glass"):
    r"""Generates windows of the Mackey-Glass series; the target of each step is the value some steps later.

    .. math:: \dot x = \frac{0.2\, x(t - \tau)}{1 + x(t - \tau)^{10}} - 0.1\, x(t)

    with x = 1.2 before the start; one step is one unit of time. Values are stretched so that the series of all
    splits lies in [0, 1]. The windows of train, validation and test follow each other in time, with a gap of the
    horizon. Always answering with the last value is the baseline to beat.

    Args:
        tau: delay, in units of time; from 17 on the series is chaotic.
        horizon: steps between a value and its prediction.
        window: steps of a sample.
        samples: of train, validation and test.
        seed: shifts the start by so many units of time.

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
        """Return 1, as one value is predicted."""
        return 1

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Integrate the series and cut it into the windows of all splits, one after the other."""
        spans: dict[Split, int] = {name: self.sizes[name] * self.window + self.horizon for name in SPLITS}
        first = SETTLING + self.seed
        values = np.array(series(self.tau, first + sum(spans.values()))[first:])
        values = (values - values.min()) / (values.max() - values.min())
        splits: dict[Split, Samples] = {}
        for name, span in spans.items():
            own, values = values[:span], values[span:]
            seen, asked = (
                torch.from_numpy(part.reshape(-1, self.window, 1).copy())
                for part in (
                    own[: -self.horizon],
                    own[self.horizon :],
                )
            )
            splits[name] = Samples(seen, asked, None)
        return splits


def series(tau: int, units: int, per_unit: int = PER_UNIT) -> list[float]:
    """Integrate the equation to each whole unit of time, by Runge-Kutta of order four and Hermite's cubic between.

    Sums and products alone, so that the same bits come out on every machine, which a chaotic series needs.
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
    """Return the right-hand side of the equation."""
    square = delayed * delayed
    fourth = square * square
    return GROWTH * delayed / (1 + fourth * fourth * square) - DECAY * now
