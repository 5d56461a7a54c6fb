"""The interval task: which of several times lies between two volleys of spikes?"""

import numpy as np
import torch

from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.base import Samples
from sgbench.datasets.generated import NATIVE_STEP_US, ActiveBlocks, DrawnBySplit, fire, permutation, whole
from sgbench.errors import InputError, require_count, require_number

MIN_CLASSES = 2


class Intervals(DrawnBySplit, entry="intervals"):
    """Generates two volleys, short bursts of all channels; the class is the time between them, one of several.

    The first volley begins at a random time, so the time from one volley to the other has to be measured. Outside
    the volleys all channels fire at the noise rate.

    Args:
        channels: input channels N, which all fire in both volleys.
        volley_ms: duration of a volley [ms].
        volley_hz: firing rate of a channel in a volley [Hz], at most 1000.
        gaps_ms: times from the end of the first volley to the start of the second, one for each class [ms].
        onset_ms: the first volley starts at a random time from 0 to onset_ms - 1 [ms].
        answer_ms: least time from the end of the second volley to the end of the sample [ms].
        noise_hz: firing rate of a channel outside the volleys [Hz].
        seed: of all random numbers.

    Raises:
        InputError: there are fewer than two gaps, or two equal ones, or another value is out of range.

    Source: interval discrimination, a task of psychophysics; this form is sgbench's own.
    """

    def __init__(  # noqa: PLR0913 - the task has so many numbers
        self,
        *,
        channels: int,
        volley_ms: int,
        volley_hz: float,
        gaps_ms: list[int],
        onset_ms: int,
        answer_ms: int,
        noise_hz: float,
        samples: list[int],
        seed: int,
    ) -> None:
        self.n_inputs: int = require_count("dataset.channels", channels)
        self.volley_ms = require_count("dataset.volley_ms", volley_ms)
        self.volley_hz = require_number("dataset.volley_hz", volley_hz, low=0, high=1000)
        if isinstance(gaps_ms, str) or not hasattr(gaps_ms, "__len__") or len(gaps_ms) < MIN_CLASSES:
            raise InputError(f"dataset.gaps_ms={gaps_ms!r}: two or more times are needed, e.g. [5, 15]")
        self.gaps_ms = tuple(require_count("dataset.gaps_ms", gap, low=0) for gap in gaps_ms)
        if len(set(self.gaps_ms)) < len(self.gaps_ms):
            raise InputError(f"dataset.gaps_ms={list(gaps_ms)}: each class needs a time of its own")
        self.onset_ms = require_count("dataset.onset_ms", onset_ms)
        self.answer_ms = require_count("dataset.answer_ms", answer_ms, low=0)
        self.noise_hz = require_number("dataset.noise_hz", noise_hz, low=0, high=1000)
        super().__init__(samples=samples, seed=seed)

    @property
    def duration_ms(self) -> int:
        """Compute the duration of a sample, the same for all [ms]."""
        return self.onset_ms - 1 + 2 * self.volley_ms + max(self.gaps_ms) + self.answer_ms

    def _generate(self, count: int, random: np.random.Generator) -> Samples:
        """Draw two volleys with noise around them; the class is the gap between them."""
        target = permutation(random, count) % len(self.gaps_ms)
        first = whole(random, self.onset_ms, count)
        second = first + self.volley_ms + np.array(self.gaps_ms)[target]
        after = second + self.volley_ms
        parts = [
            (self._blocks(first, np.full(count, self.volley_ms)), self.volley_hz),
            (self._blocks(second, np.full(count, self.volley_ms)), self.volley_hz),
            (self._blocks(0 * first, first), self.noise_hz),
            (self._blocks(first + self.volley_ms, second - first - self.volley_ms), self.noise_hz),
            (self._blocks(after, self.duration_ms - after), self.noise_hz),
        ]
        duration_us = np.full(count, self.duration_ms * NATIVE_STEP_US)
        trains = SpikeTrains.of(*fire(random, parts), duration_us, self.n_inputs)
        return Samples(trains, torch.from_numpy(target), None)

    def _blocks(self, step: np.ndarray, steps: np.ndarray) -> ActiveBlocks:
        """Return a block of all channels for each sample with steps > 0, from `step` on; both are [samples]."""
        sample = np.flatnonzero(steps > 0)
        ones = np.ones_like(sample)
        return ActiveBlocks(sample, 0 * ones, self.n_inputs * ones, step[sample], steps[sample])
