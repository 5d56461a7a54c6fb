"""The Randman task: spike times that are points on smooth random manifolds."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.base import SPLITS, Samples, Split
from sgbench.datasets.generated import Generated, permutation
from sgbench.errors import require_choice, require_count, require_number

SPECTRA = ("printed", "released")
MAX_TERMS = 1000  # of the sum over k
PRECISION = 1e-3  # the released spectrum ends where k^-alpha falls to this
TINY = 1e-7  # keeps a division by zero away
IN_CACHE = 32  # points computed at a time, whose sines fit the processor's cache
Points = NDArray[np.float64]


class Randman(Generated, entry="randman"):
    r"""Generates a smooth random manifold for each class; the spike times of a sample are a point on it.

    .. math:: f_i(x) = \prod_{j=1}^{D} \sum_k w_k A_{ijk} \sin 2\pi (\kappa_k x_j B_{ijk} + C_{ijk}),
       \qquad A, B, C \sim U(0, 1)

    with x uniform in the D-dimensional unit cube. Each coordinate f_i is scaled to [0, 1] over the samples of its
    class, and channel i fires once, at the time f_i tau. Two spectra w, kappa are in use, which make two tasks:

    - `printed`, the formula of the paper: w_k = k^-alpha, kappa_k = k, k = 1..1000;
    - `released`, the code: w_k = 1 / (k^alpha + 1), kappa_k = k - 1, the first amplitude 0, and as many terms as
      10^(3 / alpha), at most 1000. It is harder.

    Args:
        classes: number of classes, each with a manifold.
        channels: input channels, each with one spike a sample; the dimension in which the manifolds lie.
        dimension: D of the manifolds.
        alpha: exponent of the spectrum; larger values make smoother manifolds.
        spectrum: "printed" or "released".
        tau_s: spike time of the coordinate 1 [s].
        duration_s: duration of a sample, at least `tau_s` [s].
        samples: numbers of train, validation and test samples of each class.
        seed: of the manifolds and the points on them.

    Source: Zenke & Vogels 2021, Neural Computation 33(4), section 4.1.1; fzenke/randman.
    """

    redraws_task: bool = True

    def __init__(  # noqa: PLR0913 - the task has so many numbers
        self,
        *,
        classes: int,
        channels: int,
        dimension: int,
        alpha: float,
        spectrum: str,
        tau_s: float,
        duration_s: float,
        samples: list[int],
        seed: int,
    ) -> None:
        self.n_classes: int = require_count("dataset.classes", classes, low=2)
        self.n_inputs: int = require_count("dataset.channels", channels)
        self.dimension = require_count("dataset.dimension", dimension)
        self.alpha = require_number("dataset.alpha", alpha, low=0, open_low=True)
        self.spectrum = require_choice("dataset.spectrum", spectrum, SPECTRA)
        self.tau_s = require_number("dataset.tau_s", tau_s, low=0, open_low=True)
        self.duration_s = require_number("dataset.duration_s", duration_s, low=self.tau_s)
        super().__init__(samples=samples, seed=seed)
        self.per_class = dict(self.sizes)
        self.sizes: Mapping[Split, int] = {name: self.n_classes * size for name, size in self.per_class.items()}

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Draw the samples of all splits, sorted by class; `data_dir` is not used."""
        count = sum(self.per_class.values())
        parts: dict[Split, list[Points]] = {name: [] for name in SPLITS}
        for label in range(self.n_classes):
            random = self.random(label)
            points = self._unit_points(random, count)[permutation(random, count)]
            first, second = self.per_class["train"], self.per_class["train"] + self.per_class["validation"]
            for name, part in zip(SPLITS, np.split(points, [first, second]), strict=True):
                parts[name].append(part)
        return {name: self._samples(np.concatenate(parts[name]), self.per_class[name]) for name in SPLITS}

    def _samples(self, points: Points, per_class: int) -> Samples:
        """Make a sample of each point [samples, channels]: one spike a channel, at a time in whole microseconds.

        `points` has `per_class` points of class 0, then of class 1, and so on.
        """
        count = len(points)
        trains = SpikeTrains.of(
            np.repeat(np.arange(count), self.n_inputs),
            np.tile(np.arange(self.n_inputs), count),
            np.floor(points * self.tau_s * 1e6).ravel(),
            np.full(count, round(self.duration_s * 1e6)),
            self.n_inputs,
        )
        return Samples(trains, torch.arange(self.n_classes).repeat_interleave(per_class), None)

    def _unit_points(self, random: np.random.Generator, count: int) -> Points:
        """Draw `count` points of one random manifold [count, channels], each coordinate scaled to [0, 1)."""
        weights, frequencies = self._terms()
        a, b, c = np.moveaxis(random.random((self.n_inputs, self.dimension, 3, len(weights))), 2, 0)
        x = random.random((count, self.dimension))
        points = np.ones((count, self.n_inputs))
        for i in range(self.n_inputs):
            for j in range(self.dimension):
                points[:, i] *= _series(x[:, j], weights * a[i, j], frequencies * b[i, j], c[i, j])
        low, high = points.min(0), points.max(0)
        return (points - low) / (high - low + TINY)

    def _terms(self) -> tuple[Points, Points]:
        """Return the weights w_k and the frequencies kappa_k of the spectrum, both [terms]."""
        if self.spectrum == "printed":
            k = np.arange(1.0, MAX_TERMS + 1)
            return k**-self.alpha, k
        k = np.arange(1.0, min(math.ceil(PRECISION ** (-1 / self.alpha)), MAX_TERMS) + 1)
        weights = 1 / (k**self.alpha + 1)
        weights[0] = 0  # its amplitude is switched off in the released code
        return weights, k - 1


def _series(x: Points, amplitude: Points, frequency: Points, phase: Points) -> Points:
    """Compute sum_k amplitude_k sin 2 pi (frequency_k x + phase_k) for each x [points]; the others are [terms].

    In torch, as its sine takes a third of NumPy's time.
    """
    turn, start = torch.from_numpy(2 * math.pi * frequency), torch.from_numpy(2 * math.pi * phase)
    parts = torch.from_numpy(x).split(IN_CACHE)
    sums = [torch.addcmul(start, part[:, None], turn).sin_() @ torch.from_numpy(amplitude) for part in parts]
    return torch.cat(sums).numpy()
