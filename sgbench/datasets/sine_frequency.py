"""Which of several frequencies a noisy sine has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sgbench.datasets.base import Samples, Split
from sgbench.datasets.generated import NATIVE_STEP_US, Generated, permutation
from sgbench.errors import InputError, require_count, require_number

MIN_CLASSES = 2
DIGITS = 6
"""Decimals that are kept, fewer than a sine differs in between machines."""


class SineFrequency(Generated, entry="sine_frequency"):
    r"""Generates a sine of random phase and amplitude in noise; the class is its frequency, one of several.

    .. math:: x[t] = \tfrac12 + \tfrac12 (1 - n)\, a \sin(2 \pi f t + \varphi) + n (r[t] - \tfrac12)

    with a even in [1/2, 1], r even in [0, 1] and n the noise, so that values lie in [0, 1].

    Args:
        frequencies_hz: a class each [Hz].
        duration_ms: of a sample, in steps of 1 ms [ms].
        noise: share of the noise, 0 to 1.
        samples: of train, validation and test.
        seed: of everything random.

    Raises:
        InputError: frequencies that are fewer than two or not different from each other, or another value out of
            range.

    Source: Romo & Salinas 2003, Nature Reviews Neuroscience 4 (frequencies of flutter); this form is sgbench's own.
    """

    n_inputs: int = 1

    def __init__(
        self, *, frequencies_hz: list[float], duration_ms: int, noise: float, samples: list[int], seed: int
    ) -> None:
        given = frequencies_hz
        if isinstance(given, str) or not hasattr(given, "__len__") or len(given) < MIN_CLASSES:
            raise InputError(
                f"dataset.frequencies_hz={given!r}: two or more frequencies are needed, e.g. [10, 20]"
            )
        self.frequencies_hz = tuple(
            require_number("dataset.frequencies_hz", one, low=0, open_low=True) for one in given
        )
        if len(set(self.frequencies_hz)) < len(self.frequencies_hz):
            raise InputError(f"dataset.frequencies_hz={list(given)}: each class needs one of its own")
        self.duration_ms = require_count("dataset.duration_ms", duration_ms)
        self.noise = require_number("dataset.noise", noise, low=0, high=1)
        super().__init__(samples=samples, seed=seed)

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Draw each split by a generator of its own, see `each_split`; `data_dir` is not read."""
        return {name: self._generate(size, random) for name, size, random in self.each_split()}

    def _generate(self, count: int, random: np.random.Generator) -> Samples:
        target = permutation(random, count) % len(self.frequencies_hz)
        cycles = np.array(self.frequencies_hz)[target, None] * NATIVE_STEP_US * 1e-6  # a step
        phase, size = random.random((2, count, 1))
        noise = random.random((count, self.duration_ms)) - 1 / 2
        sine = (1 + size) / 2 * np.sin(2 * np.pi * (cycles * np.arange(self.duration_ms) + phase))
        values = np.round(1 / 2 + (1 - self.noise) / 2 * sine + self.noise * noise, DIGITS)
        return Samples(torch.from_numpy(values[..., None]), torch.from_numpy(target), None)
