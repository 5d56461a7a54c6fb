"""LightningModules of somebody else around networks of snnTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

QUIET: Any = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


class Wrapped(pl.LightningModule):
    """Trains a network on one batch, again and again, by a loss of the network and the batch."""

    def __init__(self, net: nn.Module, loss: Callable[[nn.Module, Tensor], Tensor], *, lr: float = 5e-3) -> None:
        super().__init__()
        self.net, self.loss, self.lr = net, loss, lr

    def forward(self, x: Tensor) -> Any:
        return self.net(x)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.loss(self.net, batch)

    def validation_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.loss(self.net, batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class Repeated(torch.utils.data.Dataset):
    """The same batch so many times."""

    def __init__(self, batch: Tensor, times: int) -> None:
        self.batch, self.times = batch, times

    def __len__(self) -> int:
        return self.times

    def __getitem__(self, index: int) -> Tensor:
        return self.batch


def fit(
    module: pl.LightningModule,
    batch: Tensor,
    callbacks: Sequence[pl.Callback],
    *,
    batches: int = 3,
    folder: Any = None,
    **arguments: Any,
) -> pl.Trainer:
    """Train on a batch so many times in one epoch; with curves in a CSV file where a folder is given."""
    logger = False if folder is None else CSVLogger(folder, name=None, version="csv")
    settings = {"max_epochs": 1, "accelerator": "cpu", "logger": logger, "log_every_n_steps": 1, **QUIET} | arguments
    trainer = pl.Trainer(callbacks=[*callbacks], **settings)
    trainer.fit(module, DataLoader(Repeated(batch, batches), batch_size=None))
    return trainer
