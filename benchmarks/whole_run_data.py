"""A data set as large as w1, made from a seed: nothing to learn, everything to carry."""

import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from sgbench.datasets.base import SPLITS, DataSet, Samples, Split

TAU_EFF_S, THRESHOLD = 0.010, 0.2  # of conf/encoder/latency.yaml
LAST_S = 0.1


class W1Like(DataSet):
    r"""700 channels that in a latency code fire once, at a time drawn evenly from 100 steps of 1 ms; 20 classes.

    .. math:: x = x_\theta / (1 - e^{-t/\tau_\mathrm{eff}})

    is the value that fires at time t; the earliest time is that of the value 1.
    """

    n_inputs: ClassVar[int] = 700
    n_classes: ClassVar[int] = 20
    sizes: ClassVar[dict[Split, int]] = {"train": 3200, "validation": 256, "test": 256}
    source: ClassVar[str] = "made from a seed by numpy's PCG64"
    licence: ClassVar[str] = "MIT"
    sha256: ClassVar[str] = "b412805d8a5bb12668561789c716994c4c7e5c0d4c68ebb4561bce237b1723f4"
    seed: ClassVar[int] = 0

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        random = np.random.Generator(np.random.PCG64(self.seed))
        first_s = -TAU_EFF_S * math.log(1 - THRESHOLD)
        splits: dict[Split, Samples] = {}
        for name in SPLITS:
            time_s = first_s + (LAST_S - first_s) * random.random((self.sizes[name], self.n_inputs))
            values = np.minimum(THRESHOLD / -np.expm1(-time_s / TAU_EFF_S), 1.0)
            target = random.integers(0, self.n_classes, self.sizes[name])
            splits[name] = Samples(torch.from_numpy(values), torch.from_numpy(target), None)
        return splits


def task_words(batch: int, hidden: int, epochs: int, steps: int = 100) -> list[str]:
    """One network on these data, as on the command line with --config-dir and --allow-target."""
    return [
        "dataset=w1_like",
        "encoder=latency",
        "loss=max_over_time",
        "network.bias=true",
        "neuron.beta=0.9",
        "readout.beta=0.9",
        "init.gain=4.2",  # so that a few per cent fire
        "optimizer.lr=0.001",
        "protocol.name=w1_like_v1",
        f"protocol.steps={steps}",
        f"protocol.batch_size={batch}",
        f"protocol.hidden=[{hidden}]",
        f"protocol.epochs={epochs}",
        "trainer.progress=false",
    ]
