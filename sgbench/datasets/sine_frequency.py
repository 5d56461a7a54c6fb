"""The frequency task: which of several frequencies has a noisy sine?"""

import numpy as np
import torch

from sgbench.datasets.base import Samples
from sgbench.datasets.generated import NATIVE_STEP_US, DrawnBySplit, permutation
from sgbench.errors import InputError, require_count, require_number

MIN_CLASSES = 2
DIGITS = 6  # decimals to which values are rounded, so that all machines compute the same


class SineFrequency(DrawnBySplit, entry="sine_frequency"):
    r"""Generates a sine of random phase and amplitude in noise; the class is its frequency, one of several.

    .. math:: x[t] = \tfrac12 + \tfrac12 (1 - n)\, a \sin(2 \pi f t + \varphi) + n (r[t] - \tfrac12)

    with the frequency f, the amplitude a uniform in [1/2, 1], the phase phi uniform, r[t] uniform in [0, 1] and
    the share n of the noise. Values lie in [0, 1].

    Args:
        frequencies_hz: f of each class [Hz].
        duration_ms: duration of a sample, in steps of 1 ms [ms].
        noise: share n of the noise, 0 to 1.
        seed: of all random numbers.

    Raises:
        InputError: there are fewer than two frequencies, or two equal ones, or another value is out of range.

    Source: Romo & Salinas 2003, Nature Reviews Neuroscience 4 (frequencies of flutter); this form is sgbench's own.
    """

    n_inputs: int = 1

    def __init__(
        self, *, frequencies_hz: list[float], duration_ms: int, noise: float, samples: list[int], seed: int
    ) -> None:
        name, listed = "dataset.frequencies_hz", frequencies_hz
        if isinstance(listed, str) or not hasattr(listed, "__len__") or len(listed) < MIN_CLASSES:
            raise InputError(f"{name}={listed!r}: two or more frequencies are needed, e.g. [10, 20]")
        self.frequencies_hz = tuple(require_number(name, hz, low=0, open_low=True) for hz in listed)
        if len(set(self.frequencies_hz)) < len(self.frequencies_hz):
            raise InputError(f"{name}={list(listed)}: each class needs one of its own")
        self.duration_ms = require_count("dataset.duration_ms", duration_ms)
        self.noise = require_number("dataset.noise", noise, low=0, high=1)
        super().__init__(samples=samples, seed=seed)

    def _generate(self, count: int, random: np.random.Generator) -> Samples:
        """Draw sines of random phase and size with noise; the class is the frequency."""
        target = permutation(random, count) % len(self.frequencies_hz)
        cycles_per_step = np.array(self.frequencies_hz)[target, None] * NATIVE_STEP_US * 1e-6
        phase, size = random.random((2, count, 1))
        noise = random.random((count, self.duration_ms)) - 1 / 2
        sine = (1 + size) / 2 * np.sin(2 * np.pi * (cycles_per_step * np.arange(self.duration_ms) + phase))
        values = np.round(1 / 2 + (1 - self.noise) / 2 * sine + self.noise * noise, DIGITS)
        return Samples(torch.from_numpy(values[..., None]), torch.from_numpy(target), None)
