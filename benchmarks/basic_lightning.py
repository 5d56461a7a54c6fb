"""A sweep as a user of Hydra, snnTorch and Lightning writes it; it knows nothing of sgbench.

`python benchmarks/basic_lightning.py -m lr=0.001,0.002 alpha=0.5,1 seed=range(10) folder=DIR batch=128 epochs=1`:
Hydra's basic launcher runs the points one after another in one process. Each keeps a CSV log, the checkpoint that
validation selects, and that one's test score.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pytorch_lightning as pl
import torch
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from snntorch import surrogate
from sweep_snntorch import Arrays, Net, frames
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset


@dataclass
class Point:
    """One run; weights and batches of all epochs are in the folder."""

    folder: str
    seed: int = 0
    lr: float = 1e-3
    alpha: float = 2.0
    batch: int = 128
    epochs: int = 1


class Batches(IterableDataset):
    """Batches of a split as they were stored; those of training epoch by epoch."""

    def __init__(self, data: Arrays, batch: int, split: Callable[[], str]) -> None:
        self.data = data
        self.batch = batch
        self.split = split

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        times = torch.from_numpy(self.data[f"times_{self.split()}"])
        target = torch.from_numpy(self.data[f"target_{self.split()}"])
        for low in range(0, len(target), self.batch):
            yield frames(times[low : low + self.batch]), target[low : low + self.batch]


class Task(pl.LightningModule):
    """Trains and scores the network."""

    def __init__(self, net: Net, lr: float) -> None:
        super().__init__()
        self.net = net
        self.lr = lr
        self.criterion = nn.CrossEntropyLoss()

    def training_step(self, batch: Any, number: int) -> Tensor:
        x, target = batch
        loss = self.criterion(self.net(x), target)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(target))
        return loss

    def validation_step(self, batch: Any, number: int) -> None:
        self._score("validation", batch)

    def test_step(self, batch: Any, number: int) -> None:
        self._score("test", batch)

    def _score(self, split: str, batch: Any) -> None:
        """Log loss and accuracy of a batch."""
        x, target = batch
        potentials = self.net(x)
        right = (potentials.argmax(1) == target).float().mean()
        self.log(f"{split}_loss", self.criterion(potentials, target), batch_size=len(target))
        self.log(f"{split}_accuracy", right, batch_size=len(target))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


@hydra.main(version_base="1.3", config_path=None, config_name="point")
def main(point: Point) -> None:
    """Train one point, and test the weights that validation selects."""
    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    pl.seed_everything(point.seed, verbose=False)
    folder, own = Path(point.folder), Path(HydraConfig.get().runtime.output_dir)
    data = dict(np.load(folder / f"data_{point.seed}.npz"))
    net = Net(np.load(folder / f"weights_{point.seed}.npz"), surrogate.atan(alpha=point.alpha))
    task = Task(net, point.lr)
    best = ModelCheckpoint(own, monitor="validation_loss")
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=point.epochs,
        logger=CSVLogger(own, name=None, version=""),
        callbacks=[best],
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
    )

    def loader(split: Callable[[], str]) -> DataLoader:
        return DataLoader(Batches(data, point.batch, split), batch_size=None)

    trainer.fit(task, loader(lambda: str(task.current_epoch)), loader(lambda: "validation"))
    trainer.test(task, loader(lambda: "test"), ckpt_path="best", verbose=False)


if __name__ == "__main__":
    ConfigStore.instance().store(name="point", node=Point)
    main()
