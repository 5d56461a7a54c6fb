"""Store and recall: keep a bit until it is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sgbench.datasets.base import Samples, Split
from sgbench.datasets.generated import NATIVE_STEP_US, ActiveBlocks, Generated, Numbers, fire
from sgbench.errors import InputError, require_count, require_number
from sgbench.signals.spike_trains import SpikeTrains

BIT, STORE, RECALL = 0, 1, 2
GROUPS = 4  # of channels: the values 0 and 1, the store command, the recall command


class StoreRecall(Generated, entry="store_recall"):
    """Generates bits with commands: at `recall` the answer is the bit that was shown with the last `store`.

    Four groups of channels stand for the values 0 and 1 and for the two commands. Of a character, one value's group
    fires, at `store` that command's too, at `recall` only its own. After a recall comes a store and after a store a
    recall, each character with the same chance. A sample is a sequence up to the end of its last recall, so it has
    one question and a length of its own; within the sequence there may be earlier ones.

    Args:
        channels: input channels N, a multiple of 4.
        characters: of a whole sequence.
        character_ms: duration of a character [ms].
        command_chance: that a character is the command that may come next.
        rate_hz: of a channel whose group is active [Hz].
        samples: of train, validation and test.
        seed: of everything random.

    Source: Bellec et al. 2018, NeurIPS (arXiv:1803.09574), section 4.3; IGITUGraz/LSNN-official, tutorial, where
    all recalls of a sequence count.
    """

    def __init__(
        self,
        *,
        channels: int,
        characters: int,
        character_ms: int,
        command_chance: float,
        rate_hz: float,
        samples: list[int],
        seed: int,
    ) -> None:
        self.n_inputs: int = require_count("dataset.channels", channels, low=GROUPS)
        if channels % GROUPS:
            raise InputError(f"dataset.channels={channels}: a multiple of {GROUPS} is needed")
        self.characters = require_count("dataset.characters", characters, low=2)
        self.character_ms = require_count("dataset.character_ms", character_ms)
        self.chance = require_number("dataset.command_chance", command_chance, low=0, high=1, open_low=True)
        self.rate_hz = require_number("dataset.rate_hz", rate_hz, low=0, high=1000, open_low=True)
        super().__init__(samples=samples, seed=seed)

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Draw each split by a generator of its own, see `each_split`; `data_dir` is not read."""
        return {name: self._generate(size, random) for name, size, random in self.each_split()}

    def _generate(self, count: int, random: np.random.Generator) -> Samples:
        command, value = self._sequences(random, count)
        last = self.characters - 1 - np.argmax(command[:, ::-1] == RECALL, 1)
        stored = np.where(command == STORE, np.arange(self.characters), -1).max(1)
        inside = np.arange(self.characters) <= last[:, None]
        active = [(command != RECALL) & (value == 0), (command != RECALL) & (value == 1)]
        active += [command == STORE, command == RECALL]
        blocks = self._blocks([mask & inside for mask in active])
        duration_us = (last + 1) * self.character_ms * NATIVE_STEP_US
        trains = SpikeTrains.of(*fire(random, [(blocks, self.rate_hz)]), duration_us, self.n_inputs)
        return Samples(trains, torch.from_numpy(value[np.arange(count), stored]), None)

    def _sequences(self, random: np.random.Generator, count: int) -> tuple[Numbers, Numbers]:
        """Draw commands and values [count, characters] of sequences whose last store a recall has followed."""
        commands, values = [], []
        n_sequences = 0
        while n_sequences < count:
            chance, bit = random.random((2, count, self.characters))
            command, stores = np.zeros(bit.shape, dtype=np.int64), np.ones(count, dtype=bool)
            for position in range(self.characters):
                comes = chance[:, position] < self.chance
                command[comes, position] = np.where(stores, STORE, RECALL)[comes]
                stores ^= comes
            whole_ones = stores & (command == RECALL).any(1)
            commands.append(command[whole_ones])
            values.append((bit[whole_ones] * 2).astype(np.int64))
            n_sequences += len(commands[-1])
        return np.concatenate(commands)[:count], np.concatenate(values)[:count]

    def _blocks(self, active: list[np.ndarray]) -> ActiveBlocks:
        """Describe each group of channels as active for the characters in which it fires."""
        indices = [np.nonzero(mask) for mask in active]
        sample, position = (np.concatenate(axis) for axis in zip(*indices, strict=True))
        width = self.n_inputs // GROUPS
        channel = np.repeat(np.arange(GROUPS) * width, [len(axes[0]) for axes in indices])
        same = np.ones_like(sample)
        return ActiveBlocks(
            sample, channel, width * same, position * self.character_ms, self.character_ms * same
        )
