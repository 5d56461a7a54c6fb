"""Generators of tasks as they ship and at a small size, and spikes counted by window and by channel."""

import functools
from pathlib import Path

import numpy as np
import torch

import sgbench
from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.adding import Adding
from sgbench.datasets.base import DataSet, Samples, Split
from sgbench.datasets.brackets import Brackets
from sgbench.datasets.copy_memory import CopyMemory
from sgbench.datasets.delayed_response import DelayedResponse
from sgbench.datasets.delayed_xor import DelayedXor
from sgbench.datasets.evidence_accumulation import EvidenceAccumulation
from sgbench.datasets.flip_flop import FlipFlop
from sgbench.datasets.intervals import Intervals
from sgbench.datasets.randman import Randman
from sgbench.datasets.random_patterns import RandomPatterns
from sgbench.datasets.sine_frequency import SineFrequency
from sgbench.datasets.store_recall import StoreRecall
from sgbench.datasets.temporal_order import TemporalOrder
from sgbench.datasets.temporal_xor import TemporalXor

NOWHERE = Path("no-such-folder")
SMALL: dict[str, dict] = {
    "random_patterns": {"patterns": 8, "channels": 5, "duration_s": 0.02, "rate_hz": 100.0, "seed": 0},
    "randman": {
        "classes": 2,
        "channels": 3,
        "dimension": 1,
        "alpha": 1.0,
        "spectrum": "printed",
        "tau_s": 0.05,
        "duration_s": 0.1,
        "samples": [6, 3, 3],
        "seed": 0,
    },
    "temporal_xor": {
        "early_s": 0.005,
        "late_s": 0.012,
        "jitter_s": 0.001,
        "duration_s": 0.025,
        "samples": [12, 4, 4],
        "seed": 0,
    },
    "delayed_xor": {
        "channels": 4,
        "window_ms": 5,
        "delay_ms": 4,
        "answer_ms": 3,
        "low_hz": 100.0,
        "high_hz": 900.0,
        "noise_hz": 10.0,
        "samples": [12, 4, 4],
        "seed": 0,
    },
    "intervals": {
        "channels": 4,
        "volley_ms": 3,
        "volley_hz": 900.0,
        "gaps_ms": [2, 6],
        "onset_ms": 5,
        "answer_ms": 3,
        "noise_hz": 10.0,
        "samples": [12, 4, 4],
        "seed": 0,
    },
    "store_recall": {
        "channels": 8,
        "characters": 6,
        "character_ms": 20,
        "command_chance": 0.3,
        "rate_hz": 100.0,
        "samples": [12, 6, 6],
        "seed": 0,
    },
    "evidence_accumulation": {
        "channels": 8,
        "cues": 3,
        "cue_ms": 10,
        "cue_every_ms": 15,
        "delay_ms": 20,
        "recall_ms": 10,
        "minority_chance": 0.3,
        "rate_hz": 100.0,
        "samples": [12, 6, 6],
        "seed": 0,
    },
    "copy_memory": {
        "letters": 3,
        "items": 2,
        "silence": 2,
        "channels": 3,
        "symbol_ms": 4,
        "rate_hz": 500.0,
        "samples": [12, 6, 6],
        "seed": 0,
    },
    "temporal_order": {
        "places": 6,
        "early": [0, 1],
        "middle": [3, 4],
        "distractors": 2,
        "channels": 3,
        "symbol_ms": 4,
        "rate_hz": 500.0,
        "samples": [12, 8, 8],
        "seed": 0,
    },
    "brackets": {
        "kinds": 2,
        "depth": 2,
        "places": 5,
        "channels": 3,
        "symbol_ms": 4,
        "rate_hz": 500.0,
        "samples": [12, 6, 6],
        "seed": 0,
    },
    "flip_flop": {
        "bits": 2,
        "places": 8,
        "pulse_chance": 0.4,
        "channels": 3,
        "symbol_ms": 4,
        "rate_hz": 500.0,
        "samples": [12, 6, 6],
        "seed": 0,
    },
    "sine_frequency": {
        "frequencies_hz": [20.0, 50.0],
        "duration_ms": 30,
        "noise": 0.1,
        "samples": [12, 6, 6],
        "seed": 0,
    },
    "delayed_response": {
        "cues": 3,
        "silence": 2,
        "question": "cue",
        "channels": 3,
        "symbol_ms": 4,
        "rate_hz": 500.0,
        "samples": [12, 6, 6],
        "seed": 0,
    },
    "adding": {"places": 6, "samples": [12, 6, 6], "seed": 0},
}
CLASSES = {
    "random_patterns": RandomPatterns,
    "randman": Randman,
    "temporal_xor": TemporalXor,
    "delayed_xor": DelayedXor,
    "intervals": Intervals,
    "store_recall": StoreRecall,
    "evidence_accumulation": EvidenceAccumulation,
    "copy_memory": CopyMemory,
    "temporal_order": TemporalOrder,
    "brackets": Brackets,
    "flip_flop": FlipFlop,
    "sine_frequency": SineFrequency,
    "delayed_response": DelayedResponse,
    "adding": Adding,
}


@functools.cache
def load(name: str) -> dict[Split, Samples]:
    return sgbench.create(f"dataset/{name}").load(NOWHERE)


def small(name: str, **changes: object) -> DataSet:
    return CLASSES[name](**{**SMALL[name], **changes})


def counts(trains: SpikeTrains, first_ms: int, last_ms: int) -> np.ndarray:
    """Spikes [S, N] of each sample and channel within some milliseconds."""
    inside = (trains.time_us >= 1000 * first_ms) & (trains.time_us < 1000 * last_ms)
    found = np.zeros((len(trains), trains.n_channels), dtype=int)
    np.add.at(found, (trains.sample()[inside].numpy(), trains.channel[inside].numpy()), 1)
    return found


def times_by_channel(trains):
    """Time of the one spike of each channel [samples, channels], in microseconds."""
    times = torch.full((len(trains), trains.n_channels), -1, dtype=torch.int64)
    times[trains.sample(), trains.channel.long()] = trains.time_us.long()
    assert len(trains.channel) == times.numel()
    assert (times >= 0).all()
    return times
