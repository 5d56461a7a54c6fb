"""A data set of the catalogue as a LightningDataModule, for networks of one's own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fastspiking.signals.spikes import dense
from fastspiking.signals.streams import generator
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.datasets.base import Split
from sgbench.datasets.batches import Batches, SpikingData
from sgbench.errors import InputError, require_count
from sgbench.records.spec import RunSpec
from sgbench.training.build import DTYPES, data_of

DRAWN_FROM = ("dataset", "encoder", "augmentation")
"""Groups whose choices a protocol fixes for its data."""


def data(
    name: str,
    *,
    batch_size: int | None = None,
    seed: int = 0,
    time_first: bool = True,
    with_lengths: bool = False,
    data_dir: Path | str | None = None,
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
) -> SpikingDataModule:
    """Make a LightningDataModule of a data set, with the splits, encoding and batch size of its protocol.

    Args:
        name: of a data set, which stands for its latest protocol, e.g. "braille"; or of a protocol, "braille_v1".
        batch_size: samples in a batch; None for the protocol's.
        seed: of the order of training samples and of random encodings, and of data that are drawn.
        time_first: whether input is [steps, samples, channels], as snnTorch has it; else [samples, steps, channels].
        with_lengths: whether a batch is (input, target, valid steps of each sample [B]) in place of the first two.
        data_dir: folder of data files; None for the one of the command.
        config_dirs: folders with data sets and protocols of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.

    Raises:
        InputError: there is no such data set or protocol; on `setup`, files that are missing or differ.

    >>> module = data("yin_yang", batch_size=100)
    >>> module.setup()
    >>> x, target = next(iter(module.val_dataloader()))
    >>> module.protocol, x.shape == (module.steps, 100, module.n_inputs), target.dtype
    ('yin_yang_v2', True, torch.int64)
    """
    folders = [Path(folder) for folder in config_dirs]
    overrides = [*_overrides_for(_protocol_of(name, folders), folders), f"seed={seed}"]
    if data_dir is not None:
        overrides.append(f"paths.data_dir='{data_dir}'")
    spec = compose(overrides, config_dirs=folders, allow_targets=allow_targets)
    size = spec.method.protocol.batch_size if batch_size is None else require_count("batch_size", batch_size)
    return SpikingDataModule(spec, size, time_first=time_first, with_lengths=with_lengths)


def _protocol_of(name: str, folders: Sequence[Path]) -> str:
    """Return a protocol's own name, or the latest protocol of a data set, by preference of those named after it."""
    protocols = catalogue.paths("protocol", folders)
    if name in protocols:
        return name
    catalogue.entry("dataset", name, folders)  # an error if there is none
    using = [protocol for protocol in protocols if _fixed_by(protocol, folders).get("dataset") == name]
    using = [protocol for protocol in using if re.fullmatch(rf"{re.escape(name)}_v[0-9]+", protocol)] or using
    if not using:
        raise InputError(f"data set {name}: no protocol says how it is divided and encoded; name one")
    return max(using, key=lambda protocol: (len(protocol), protocol))  # by length first, so that v10 is after v9


def _fixed_by(protocol: str, folders: Sequence[Path]) -> dict[str, Any]:
    """Return the choices and settings that a protocol fixes, e.g. {"dataset": "digits"}."""
    fixed = catalogue.entry("protocol", protocol, folders).parameters.get("fixed")
    return dict(fixed) if isinstance(fixed, dict) else {}


def _overrides_for(protocol: str, folders: Sequence[Path]) -> list[str]:
    """Return the overrides that compose a protocol and the data it fixes, but not its networks."""
    fixed = _fixed_by(protocol, folders).items()
    return [f"protocol={protocol}", *(f"{key}={value}" for key, value in fixed if key.partition(".")[0] in DRAWN_FROM)]


class SpikingDataModule(pl.LightningDataModule):
    """Loads and verifies a data set, and hands out its splits as DataLoaders of encoded batches; `data` makes it."""

    def __init__(self, spec: RunSpec, batch_size: int, *, time_first: bool = True, with_lengths: bool = False) -> None:
        super().__init__()
        protocol = spec.method.protocol
        self.data = data_of(spec, DTYPES[protocol.precision])
        self.batch_size, self.time_first, self.with_lengths = batch_size, time_first, with_lengths
        self.protocol, self.steps, self.dt_s = protocol.name, protocol.steps, protocol.dt_s
        self.n_inputs: int = self.data.encoder.channels(self.data.data_set.n_inputs)
        self.n_outputs: int = self.data.data_set.outputs()

    def setup(self, stage: str | None = None) -> None:
        """Load and verify all splits."""
        self.data.setup()

    def train_dataloader(self) -> DataLoader:
        """Return the training batches, shuffled anew in each epoch."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Return the batches of the validation split, in their order."""
        return self._loader("validation")

    def test_dataloader(self) -> DataLoader:
        """Return the batches of the test split, in their order."""
        with self.data.last_step():
            return self._loader("test")

    def _loader(self, split: Split, *, shuffle: bool = False) -> DataLoader:
        encoded = EncodedSplit(self.data, split, time_first=self.time_first, with_lengths=self.with_lengths)
        order = generator(self.data.seed, "data_order") if shuffle else None
        return DataLoader(encoded, self.batch_size, shuffle=shuffle, generator=order, collate_fn=_unchanged)


def _unchanged(batch: Any) -> Any:  # a lambda could not be sent to worker processes
    return batch


class EncodedSplit(Dataset):
    """Encodes the samples of a split batch by batch, as a DataLoader asks for them; options are those of `data`."""

    def __init__(self, data: SpikingData, split: Split, *, time_first: bool, with_lengths: bool) -> None:
        self.samples, self.encoder, self.dtype = data.splits[split], data.encoder, data.dtype
        self.noise = generator(data.seed, "encoding", split)
        self.time_first, self.with_lengths = time_first, with_lengths

    def __len__(self) -> int:
        return len(self.samples.target)

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, ...]:
        """Return the samples at these indices as one encoded batch; a DataLoader calls this for each batch."""
        order = torch.tensor(indices)
        size, encoder, dtype = len(indices), self.encoder, self.dtype
        (batch,) = Batches(self.samples, encoder, batch_size=size, order=order, noise=self.noise, dtype=dtype)
        x = dense(batch.x) if self.time_first else dense(batch.x).transpose(0, 1)
        return (x, batch.target, batch.lengths) if self.with_lengths else (x, batch.target)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        """Return the sample at an index as a batch of one."""
        return self.__getitems__([index])
