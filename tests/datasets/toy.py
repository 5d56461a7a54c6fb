"""Ten samples whose value names them, and their batches."""

from pathlib import Path
from typing import ClassVar

import torch

from sgbench.datasets.base import SPLITS, DataSet, Samples, Split
from sgbench.datasets.batches import SpikingData
from sgbench.encoders.direct import Direct
from sgbench.encoders.rate import Rate

NOWHERE = Path("no-such-folder")


class Toy(DataSet):
    """Ten samples whose value names them; the last numbers of each split may be spoilt."""

    n_inputs: ClassVar[int] = 1
    n_classes: ClassVar[int] = 2
    sizes: ClassVar[dict[Split, int]] = dict.fromkeys(SPLITS, 10)

    def verify(self, splits: dict[Split, Samples]) -> None:
        """A toy has no published bytes."""

    def __init__(self, lengths: bool = False, **changes: Samples) -> None:
        self.changes = changes
        self.lengths = torch.arange(10) % 3 + 1 if lengths else None

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        values = (torch.arange(10, dtype=torch.float64) / 10)[:, None]
        plain = Samples(values, torch.arange(10) % 2, self.lengths)
        return {**dict.fromkeys(SPLITS, plain), **self.changes}


def make_data(data_set: DataSet | None = None, *, seed: int = 0, batch_size: int = 4, random: bool = False):
    encoder = Rate(steps=3, dt_s=0.001, max_rate_hz=500.0) if random else Direct(steps=3, dt_s=0.001, gain=1.0)
    data = SpikingData(
        data_set or Toy(), encoder, data_dir=NOWHERE, batch_size=batch_size, seed=seed, dtype=torch.float32
    )
    data.setup()
    return data
