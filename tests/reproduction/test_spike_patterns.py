"""What of SuperSpike's patterns can be answered at all, counted in the data set alone."""

import re

import numpy as np

from sgbench.datasets.spike_patterns import SpikePatterns
from sgbench.reproduction.definition import read

STEPS, DECAY = 200, np.exp(-0.1)  # of 1 ms; of a kernel of 10 ms in a step
KERNEL = np.tril(DECAY ** (np.arange(STEPS)[:, None] - np.arange(STEPS)))


def distance(difference):
    """The van Rossum distance by its definition, a sum of squares in NumPy."""
    return float(np.square(KERNEL @ difference).sum())


def nearest(wanted, allowed):
    """The smallest distance that adding, dropping and moving single spikes of allowed steps comes to."""
    sent = wanted * allowed
    steps = np.flatnonzero(allowed)
    while True:
        changes = [{at} for at in steps]
        changes += [{at, to} for at in np.flatnonzero(sent) for to in steps if not sent[to] and abs(at - to) < 15]
        tried = []
        for change in changes:
            other = sent.copy()
            other[list(change)] = 1 - other[list(change)]
            tried.append((distance(other - wanted), other))
        best, other = min(tried, key=lambda each: each[0])
        if best >= distance(sent - wanted):
            return distance(sent - wanted)
        sent = other


def test_spikes_that_neurons_without_a_current_cannot_send(tmp_path):
    """Expected: the counts and the floor that the page tells. Must differ: no floor where all steps are allowed."""
    chosen = {"patterns": 4, "channels": 100, "outputs": 3, "duration_ms": STEPS, "rate_hz": 10.0}
    known = SpikePatterns(**chosen, output_rate_hz=20.0, seed=0).load(tmp_path)["train"]
    trains, wanted = known[0], known[1].numpy()
    arrives = np.zeros((4, STEPS), dtype=bool)
    sample = np.repeat(np.arange(4), np.diff(trains.indptr.numpy()))
    arrives[sample, trains.time_us.numpy() // 1000] = True
    silent = 1 - arrives.mean()
    lost = wanted[~arrives].sum()
    pairs = [(wanted[row, :, column], arrives[row]) for row in range(4) for column in range(3)]
    floor = sum(nearest(*pair) for pair in pairs) / wanted.size
    told = read("superspike_pattern").reason
    assert f"{silent:.0%}".replace("%", " %") in told
    assert re.search(rf"\b{wanted.sum():.0f} spikes\b[^.]*\b{lost:.0f} lie\b", told)
    assert f"a distance of {floor:.4f}" in told
    assert nearest(pairs[0][0], np.ones(STEPS, dtype=bool)) == 0.0
