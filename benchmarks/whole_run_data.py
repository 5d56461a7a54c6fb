"""A data set as large as w1, made from a seed, and a neuron of somebody's own, as a user writes one."""

import math
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sgbench.datasets.base import SPLITS, DataSet, Samples, Split
from sgbench.neurons.base import Operations, SpikingNeuron
from sgbench.neurons.quantity import Threshold
from sgbench.surrogates.base import Surrogate

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
    """Write overrides for one network on `W1Like`; they need --config-dir and --allow-target."""
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


LARGEST = 2.0  # input current


class ThreeVariablesState(NamedTuple):
    """What a `ThreeVariables` layer carries from step to step."""

    u: Tensor  # membrane potential [B, N], before its reset
    fast: Tensor  # current that follows the input [B, N]
    slow: Tensor  # adaptation [B, N]
    s: Tensor  # spikes [B, N]


class ThreeVariables(SpikingNeuron):
    r"""Leaky neuron with a saturating input current and a gated adaptation.

    .. math:: f &\leftarrow 0.8 f + 0.5 \tanh I, \qquad a \leftarrow 0.95 a + 0.1 |u| \sigma(u) + 0.3 s \\
        u &\leftarrow 0.9 u (1 - s) + f + 0.5 I - 0.2 a

    Args:
        surrogate: spike forward, slope backward.
    """

    State: ClassVar[type[Any]] = ThreeVariablesState

    def __init__(self, surrogate: Surrogate) -> None:
        super().__init__(surrogate, "zero", "attached")
        self.threshold = Threshold(1.0, learn="none", features=None)

    def step(self, current: Tensor, state: ThreeVariablesState) -> tuple[Tensor, ThreeVariablesState]:
        """Follow the input, adapt, integrate, fire."""
        fast = 0.8 * state.fast + 0.5 * torch.tanh(current)
        slow = 0.95 * state.slow + 0.1 * state.u.abs() * torch.sigmoid(state.u) + 0.3 * state.s
        u = 0.9 * state.u * (1 - state.s) + fast + 0.5 * current - 0.2 * slow
        s = self.surrogate(u - self.threshold())
        return s, ThreeVariablesState(u, torch.where(fast > LARGEST, LARGEST, fast), slow, s)

    @property
    def operations(self) -> Operations:
        """Products and sums as written; a tanh and a sigmoid."""
        return Operations(10, 9, 2, state_words=3, functions=2)
