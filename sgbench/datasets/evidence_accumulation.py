"""The evidence-accumulation task: on which side were more cues?"""

import numpy as np
import torch

from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.base import Samples
from sgbench.datasets.generated import NATIVE_STEP_US, ActiveBlocks, DrawnBySplit, fire, whole
from sgbench.errors import InputError, require_count, require_number

GROUPS = 4  # of channels: left cues (0), right cues (1), the recall signal, noise
RECALL, NOISE = 2, 3


class EvidenceAccumulation(DrawnBySplit, entry="evidence_accumulation"):
    """Generates cues on the left or right, a delay, then a signal that asks which side had more cues.

    Four equal groups of channels: left cue, right cue, recall signal, and noise that fires at a quarter of the rate
    throughout. Each sample prefers a side at random: each cue is on it with probability 1 - `minority_chance`. The
    class is the side with more cues: 0 left, 1 right.

    Args:
        channels: input channels N, a multiple of 4.
        cues: number of cues, odd so that one side has more.
        cue_ms: duration of a cue [ms].
        cue_every_ms: from the start of a cue to that of the next [ms].
        delay_ms: from the end of the last such interval to the recall signal [ms].
        recall_ms: duration of the recall signal, which ends the sample [ms].
        minority_chance: probability that a cue is on the side that is not preferred, 0 to 0.5.
        rate_hz: firing rate of a channel while its group is active [Hz].
        seed: of all random numbers.

    Source: Bellec et al. 2020, Nature Communications 11:3625, figure 3; IGITUGraz/eligibility_propagation.
    """

    def __init__(  # noqa: PLR0913 - the task has so many numbers
        self,
        *,
        channels: int,
        cues: int,
        cue_ms: int,
        cue_every_ms: int,
        delay_ms: int,
        recall_ms: int,
        minority_chance: float,
        rate_hz: float,
        samples: list[int],
        seed: int,
    ) -> None:
        self.n_inputs: int = require_count("dataset.channels", channels, low=GROUPS)
        if channels % GROUPS:
            raise InputError(f"dataset.channels={channels}: a multiple of {GROUPS} is needed")
        self.cues = require_count("dataset.cues", cues)
        if cues % 2 == 0:
            raise InputError(f"dataset.cues={cues}: an odd number is needed, so that there is a majority")
        self.cue_ms = require_count("dataset.cue_ms", cue_ms)
        self.cue_every_ms = require_count("dataset.cue_every_ms", cue_every_ms, low=self.cue_ms)
        self.delay_ms = require_count("dataset.delay_ms", delay_ms, low=0)
        self.recall_ms = require_count("dataset.recall_ms", recall_ms)
        self.minority = require_number("dataset.minority_chance", minority_chance, low=0, high=0.5)
        self.rate_hz = require_number("dataset.rate_hz", rate_hz, low=0, high=1000, open_low=True)
        super().__init__(samples=samples, seed=seed)

    def _generate(self, count: int, random: np.random.Generator) -> Samples:
        """Draw cues on the left or right, a delay and a recall signal; the class is the side of most cues."""
        preferred = whole(random, 2, count)
        side = preferred[:, None] ^ (random.random((count, self.cues)) < self.minority)  # [samples, cues]
        recall_ms = self.cues * self.cue_every_ms + self.delay_ms
        end_ms = recall_ms + self.recall_ms
        width, sample = self.n_inputs // GROUPS, np.arange(count)
        ones = np.ones_like(sample)
        cue = ActiveBlocks(
            np.repeat(sample, self.cues),
            channel=side.ravel() * width,
            channels=np.full(side.size, width),
            step=np.tile(np.arange(self.cues) * self.cue_every_ms, count),
            steps=np.full(side.size, self.cue_ms),
        )
        recall = ActiveBlocks(sample, RECALL * width * ones, width * ones, recall_ms * ones, self.recall_ms * ones)
        noise = ActiveBlocks(sample, NOISE * width * ones, width * ones, 0 * ones, end_ms * ones)
        parts = [(cue, self.rate_hz), (recall, self.rate_hz), (noise, self.rate_hz / 4)]
        trains = SpikeTrains.of(*fire(random, parts), end_ms * NATIVE_STEP_US * ones, self.n_inputs)
        majority = (side.sum(1) > self.cues // 2).astype(np.int64)
        return Samples(trains, torch.from_numpy(majority), None)
