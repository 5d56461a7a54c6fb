"""The spike-train matching task: answer a fixed noisy spike pattern with given output spikes."""

from pathlib import Path

import numpy as np
import torch

from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.base import Samples, Split
from sgbench.datasets.generated import NATIVE_STEP_US, ActiveBlocks, Generated, fire
from sgbench.errors import require_count, require_number


class SpikePatterns(Generated, entry="spike_patterns"):
    """Generates fixed Poisson patterns, and for each a Poisson pattern of the outputs as target, in steps of 1 ms.

    The task is to memorise the pairs: validation and test are the training patterns.

    Args:
        patterns: number of pairs of input and target.
        channels: input channels N.
        outputs: number of output spike trains.
        duration_ms: duration of a pattern [ms].
        rate_hz: firing rate of an input channel [Hz].
        output_rate_hz: firing rate of a target spike train [Hz].
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
        self.output_rate_hz = require_number("dataset.output_rate_hz", output_rate_hz, low=0, high=1000, open_low=True)
        super().__init__(samples=[count] * 3, seed=seed)

    def outputs(self) -> int:
        return self.trains

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Generate the pairs, the same for all three splits; `data_dir` is not used."""
        random, count = self.random(0), self.sizes["train"]
        ones = np.ones(count, dtype=np.int64)
        blocks = ActiveBlocks(np.arange(count), 0 * ones, self.n_inputs * ones, 0 * ones, self.duration_ms * ones)
        spikes = fire(random, [(blocks, self.rate_hz)])
        trains = SpikeTrains.of(*spikes, self.duration_ms * NATIVE_STEP_US * ones, self.n_inputs)
        target_spikes = fire(random, [(blocks._replace(channels=self.trains * ones), self.output_rate_hz)])
        target = torch.zeros(count, self.duration_ms, self.trains, dtype=torch.float64)
        sample, channel, time_us = (torch.from_numpy(array) for array in target_spikes)
        target[sample, time_us // NATIVE_STEP_US, channel] = 1
        pairs = Samples(trains, target, None)
        return {"train": pairs, "validation": pairs, "test": pairs}
