"""Spike trains that are written and read back, and recordings to write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hypothesis import strategies as st

from sgbench.datasets.formats.event_store import Recording, StoredTrains, Writer, read

N = 5


def written(folder: Path, recordings: Iterable[Recording], channels: int = N) -> StoredTrains:
    with Writer(folder, channels) as writer:
        for recording in recordings:
            writer.add(recording)
    values = read(folder).values
    assert isinstance(values, StoredTrains)
    return values


samples = st.lists(st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, 3000)), max_size=12), max_size=6)
