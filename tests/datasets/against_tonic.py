"""Each sample of a data set, as we read it and as tonic does."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sgbench.datasets.base import SPLITS, Samples
from sgbench.datasets.checks import check
from sgbench.datasets.event_files import EventFiles


@functools.cache
def tonic() -> Any:
    """tonic's data sets, or a skip."""
    pytest.importorskip("tonic", reason="tonic is not installed: pip install 'sgbench[events]'")
    from tonic import datasets

    return datasets


def whole(made: EventFiles, root: Path) -> dict[str, list[tuple[int, list[tuple[int, int]]]]]:
    """Class and spikes (time, channel) of each sample, by split, after all checks."""
    splits = made.load(root)
    check(made, splits)
    return {split: each_sample(splits[split]) for split in SPLITS}


def each_sample(samples: Samples) -> list[tuple[int, list[tuple[int, int]]]]:
    found = []
    for place, label in enumerate(samples.target.tolist()):
        one = samples.values[torch.tensor([place])]
        found.append((label, list(zip(one.time_us.tolist(), one.channel.tolist(), strict=True))))
    return found


def by_tonic(data: Any, channel: Any, label: Any = int) -> list[tuple[int, list[tuple[int, int]]]]:
    """The same of a loader of tonic."""
    found = []
    for events, target in data:
        rows = sorted(zip(np.asarray(events["t"]).astype(int).tolist(), channel(events).tolist(), strict=True))
        found.append((label(target), rows))
    return found
