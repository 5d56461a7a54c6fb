"""The pattern-generation task: turn a fixed noisy spike pattern into smooth curves."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.base import Samples, Split
from sgbench.datasets.generated import NATIVE_STEP_US, ActiveBlocks, Generated, fire
from sgbench.errors import InputError, require_count, require_number


class PatternGeneration(Generated, entry="pattern_generation"):
    r"""Generates one fixed Poisson pattern as the input, and a sum of sines for each output as the target.

    .. math:: y(t) \propto \sum_k a_k \sin(2 \pi t / P_k + \phi_k), \qquad a \sim U(0.5, 2),\ \phi \sim U(0, 2\pi)

    scaled so that the largest |y| of each output is 1. The task is to memorise: there is one sample, the same in
    train, validation and test.

    Args:
        channels: input channels N.
        outputs: number of target curves.
        duration_ms: duration of the pattern, in steps of 1 ms [ms].
        rate_hz: firing rate of each channel [Hz].
        periods_ms: periods P_k of the sines [ms].
        seed: of the pattern and the curves.

    Source: Bellec et al. 2020, Nature Communications 11:3625, supplementary tutorial (pattern generation).
    """

    redraws_task: bool = True

    def __init__(
        self, *, channels: int, outputs: int, duration_ms: int, rate_hz: float, periods_ms: Sequence[float], seed: int
    ) -> None:
        self.n_inputs: int = require_count("dataset.channels", channels)
        self.curves = require_count("dataset.outputs", outputs)
        self.duration_ms = require_count("dataset.duration_ms", duration_ms)
        self.rate_hz = require_number("dataset.rate_hz", rate_hz, low=0, high=1000, open_low=True)
        if not isinstance(periods_ms, list | tuple) or not periods_ms:
            raise InputError(f"dataset.periods_ms={periods_ms!r}: a list such as [1000, 500] is needed")
        periods = (require_number("dataset.periods_ms", period, low=0, open_low=True) for period in periods_ms)
        self.periods_ms = tuple(periods)
        super().__init__(samples=[1, 1, 1], seed=seed)

    def outputs(self) -> int:
        return self.curves

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Generate the sample, the same for all three splits; `data_dir` is not used."""
        random = self.random(0)
        ones = np.ones(1, dtype=np.int64)
        blocks = ActiveBlocks(0 * ones, 0 * ones, self.n_inputs * ones, 0 * ones, self.duration_ms * ones)
        spikes = fire(random, [(blocks, self.rate_hz)])
        trains = SpikeTrains.of(*spikes, self.duration_ms * NATIVE_STEP_US * ones, self.n_inputs)
        sample = Samples(trains, torch.from_numpy(self._curves(random)), None)
        return {"train": sample, "validation": sample, "test": sample}

    def _curves(self, random: np.random.Generator) -> np.ndarray:
        """Draw the target curves [1, steps, outputs], sums of sines of random amplitude and phase."""
        amplitude, phase = random.random((2, self.curves, len(self.periods_ms)))
        time_ms = np.arange(self.duration_ms)[:, None, None]
        waves = np.sin(2 * math.pi * (time_ms / np.array(self.periods_ms) + phase))
        curves = ((0.5 + 1.5 * amplitude) * waves).sum(2)
        return (curves / np.abs(curves).max(0))[None]
