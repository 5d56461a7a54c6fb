"""Which of several times lies between two volleys of spikes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sgbench.datasets.base import Samples, Split
from sgbench.datasets.generated import NATIVE_STEP_US, ActiveBlocks, Generated, fire, permutation, whole
from sgbench.errors import InputError, require_count, require_number
from sgbench.signals.spike_trains import SpikeTrains

MIN_CLASSES = 2


class Intervals(Generated, entry="intervals"):
    """Generates two volleys of all channels; the class is the time between them, one of several.

    The first volley begins at a random step, so that neither volley says anything by itself: the time from one to
    the other has to be measured. Everywhere else there is noise.

    Args:
        channels: input channels N, which all take part.
        volley_ms: duration of a volley [ms].
        volley_hz: rate in a volley [Hz], at most 1000.
        gaps_ms: from the end of the first volley to the begin of the second, a class each [ms].
        onset_ms: the first volley begins at a step below this one [ms].
        answer_ms: that a sample lasts at least after the second volley [ms].
        noise_hz: rate outside the volleys [Hz].
        samples: of train, validation and test.
        seed: of everything random.

    Raises:
        InputError: gaps that are fewer than two or not different from each other, or another value out of range.

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
        """Compute the duration that every sample has [ms]."""
        return self.onset_ms - 1 + 2 * self.volley_ms + max(self.gaps_ms) + self.answer_ms

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Draw each split by a generator of its own, see `each_split`; `data_dir` is not read."""
        return {name: self._generate(size, random) for name, size, random in self.each_split()}

    def _generate(self, count: int, random: np.random.Generator) -> Samples:
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
        lasts = np.full(count, self.duration_ms * NATIVE_STEP_US)
        trains = SpikeTrains.of(*fire(random, parts), lasts, self.n_inputs)
        return Samples(trains, torch.from_numpy(target), None)

    def _blocks(self, step: np.ndarray, steps: np.ndarray) -> ActiveBlocks:
        """Describe all channels as active from a step on for some steps, leaving out samples with none of these."""
        sample = np.flatnonzero(steps > 0)
        same = np.ones_like(sample)
        return ActiveBlocks(sample, 0 * same, self.n_inputs * same, step[sample], steps[sample])
