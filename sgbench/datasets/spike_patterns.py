"""Spike-train matching: answer frozen noise with given spikes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sgbench.datasets.base import Samples, Split
from sgbench.datasets.generated import NATIVE_STEP_US, ActiveBlocks, Generated, fire
from sgbench.errors import require_count, require_number
from sgbench.signals.spike_trains import SpikeTrains


class SpikePatterns(Generated, entry="spike_patterns"):
    """Generates frozen Poisson patterns, and for each a Poisson pattern of the outputs as target, in steps of 1 ms.

    The task is to learn the pairs by heart: validation and test are the training patterns.

    Args:
        patterns: pairs.
        channels: input channels N.
        outputs: output trains.
        duration_ms: of a pattern [ms].
        rate_hz: of an input channel [Hz].
        output_rate_hz: of an output train [Hz].
        seed: of inputs and targets.

    Source: Zenke & Ganguli 2018, Neural Computation 30(6), section 3.2 (SuperSpike).
    """

    redraws_task: bool = True

    def __init__(
        self,
        *,
        patterns: int,
        channels: int,
        outputs: int,
        duration_ms: int,
        rate_hz: float,
        output_rate_hz: float,
        seed: int,
    ) -> None:
        count = require_count("dataset.patterns", patterns)
        self.n_inputs: int = require_count("dataset.channels", channels)
        self.trains = require_count("dataset.outputs", outputs)
        self.duration_ms = require_count("dataset.duration_ms", duration_ms)
        self.rate_hz = require_number("dataset.rate_hz", rate_hz, low=0, high=1000, open_low=True)
        self.output_rate_hz = require_number(
            "dataset.output_rate_hz", output_rate_hz, low=0, high=1000, open_low=True
        )
        super().__init__(samples=[count] * 3, seed=seed)

    def outputs(self) -> int:
        """Count one output for each train."""
        return self.trains

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Load the same pairs for all three splits."""
        random, count = self.random(0), self.sizes["train"]
        same = np.ones(count, dtype=np.int64)
        blocks = ActiveBlocks(
            np.arange(count), 0 * same, self.n_inputs * same, 0 * same, self.duration_ms * same
        )
        spikes = fire(random, [(blocks, self.rate_hz)])
        trains = SpikeTrains.of(*spikes, self.duration_ms * NATIVE_STEP_US * same, self.n_inputs)
        asked = fire(random, [(blocks._replace(channels=self.trains * same), self.output_rate_hz)])
        target = torch.zeros(count, self.duration_ms, self.trains, dtype=torch.float64)
        sample, channel, time_us = (torch.from_numpy(array) for array in asked)
        target[sample, time_us // NATIVE_STEP_US, channel] = 1
        known = Samples(trains, target, None)
        return {"train": known, "validation": known, "test": known}
