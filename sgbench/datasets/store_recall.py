"""The store-recall task: remember a bit until it is asked for."""

import numpy as np
import torch

from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.base import Samples
from sgbench.datasets.generated import NATIVE_STEP_US, ActiveBlocks, DrawnBySplit, Numbers, fire
from sgbench.errors import InputError, require_count, require_number

STORE, RECALL = 1, 2  # commands of a character; 0 is none
GROUPS = 4  # of channels: the values 0 and 1, the store command, the recall command


class StoreRecall(DrawnBySplit, entry="store_recall"):
    """Generates random bits with store and recall commands; the class is the bit shown with the last store.

    Each sample is a sequence of characters. A character is a random bit, alone or with the command store, or it is
    the command recall without a bit. Four equal groups of channels fire for the bit 0, the bit 1, store and recall.
    Store and recall alternate; each character has the next of them with `command_chance`. A sample ends with its
    last recall, so samples differ in length.

    Args:
        channels: input channels N, a multiple of 4.
        characters: number of characters drawn for each sample, before it is cut after its last recall.
        character_ms: duration of a character [ms].
        command_chance: probability that a character has the command that comes next.
        rate_hz: firing rate of a channel while its group is active [Hz].
        seed: of all random numbers.

    Source: Bellec et al. 2018, NeurIPS (arXiv:1803.09574), section 4.3; IGITUGraz/LSNN-official, tutorial. There,
    each recall of a sequence is scored.
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

    def _generate(self, count: int, random: np.random.Generator) -> Samples:
        """Draw bits with commands to store and to recall; the class is the last bit stored before the last recall."""
        command, value = self._sequences(random, count)
        # Indices of the last recall and of the last store [samples].
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
        """Draw commands (0, `STORE` or `RECALL`) and bits, both [count, characters].

        Sequences without a recall, or whose last store has no recall after it, are drawn again.
        """
        commands, values = [], []
        n_sequences = 0
        while n_sequences < count:
            chance, bit = random.random((2, count, self.characters))
            command, store_is_next = np.zeros(bit.shape, dtype=np.int64), np.ones(count, dtype=bool)
            for position in range(self.characters):
                has_command = chance[:, position] < self.chance
                command[has_command, position] = np.where(store_is_next, STORE, RECALL)[has_command]
                store_is_next ^= has_command
            is_complete = store_is_next & (command == RECALL).any(1)
            commands.append(command[is_complete])
            values.append((bit[is_complete] * 2).astype(np.int64))
            n_sequences += len(commands[-1])
        return np.concatenate(commands)[:count], np.concatenate(values)[:count]

    def _blocks(self, active: list[np.ndarray]) -> ActiveBlocks:
        """Return a block for each character in which a group fires; active: a mask [count, characters] a group."""
        indices = [np.nonzero(mask) for mask in active]
        sample, position = (np.concatenate(axis) for axis in zip(*indices, strict=True))
        width = self.n_inputs // GROUPS
        channel = np.repeat(np.arange(GROUPS) * width, [len(axes[0]) for axes in indices])
        ones = np.ones_like(sample)
        return ActiveBlocks(sample, channel, width * ones, position * self.character_ms, self.character_ms * ones)
